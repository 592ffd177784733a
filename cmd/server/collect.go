package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/jobs"
	"github.com/neontwin/neontwin/internal/store"
)

// stateCollector reads what all processes share when it is asked. Every process
// tells the same.
type stateCollector struct {
	pool  *pgxpool.Pool
	store store.Store
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("neontwin_"+name, help, labels, nil)
}

var (
	staleness   = desc("twin_age_seconds", "Age of the snapshot that a Twin serves.", "repository", "twin")
	working     = desc("twin_runs", "Runs of a Twin that are under way, by state.", "repository", "twin", "state")
	due         = desc("twin_due_seconds", "Time since a Twin's schedule was due; negative until it is.", "repository", "twin")
	leaseLeft   = desc("lease_left_seconds", "For how long the lease of a run holds without a heartbeat; negative until another worker takes the run over.", "repository", "twin", "run")
	leaseAge    = desc("lease_age_seconds", "How long ago the attempt began that holds the lease of a run.", "repository", "twin", "run")
	queued      = desc("queue_jobs", "River's jobs that are not over.", "queue", "state")
	waiting     = desc("waiting", "What is stored and not done: deliveries that are not processed, reports that are not posted, webhooks that GitHub could not deliver, targets where something half loaded may be left.", "what")
	waited      = desc("waited_seconds", "How long the oldest of them has waited.", "what")
	unreachable = desc("reports_unreachable", "Places that can't be told any more, because the App or the repository is gone.")
	budgetLeft  = desc("github_requests_left", "What an installation may still ask of GitHub in this hour, as this process was told last; installation 0 is the App itself.", "installation")
	budgetLimit = desc("github_requests_limit", "What it may ask in an hour.", "installation")
	budgetPause = desc("github_paused_seconds", "For how long nothing is sent, because a limit was met.", "installation")
)

// Describe implements prometheus.Collector.
func (c stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{staleness, working, due, leaseLeft, leaseAge, queued, waiting, waited, unreachable} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := errors.Join(c.twins(ctx, ch), c.leases(ctx, ch), c.queues(ctx, ch), c.backlog(ctx, ch)); err != nil {
		ch <- prometheus.NewInvalidMetric(staleness, err)
	}
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (c stateCollector) twins(ctx context.Context, ch chan<- prometheus.Metric) error {
	twins, err := c.store.Twins(ctx)
	if err != nil {
		return err
	}
	// A repository that was renamed without our hearing of it and its successor
	// have one name: of those the youngest is told. The same metric twice would
	// make all of them unreadable.
	youngest := make(map[[2]string]store.TwinStatus, len(twins))
	for _, t := range twins {
		name := [2]string{t.Repo.FullName(), t.Spec.Name}
		if t.ID > youngest[name].ID {
			youngest[name] = t
		}
	}
	for name, t := range youngest {
		if t.Published != nil && t.Published.Report != nil {
			gauge(ch, staleness, time.Since(t.Published.Report.SnapshotAt).Seconds(), name[:]...)
		}
		if t.Current != nil {
			gauge(ch, working, 1, name[0], name[1], string(t.Current.State))
		}
		if !t.NextAt.IsZero() && !t.Paused {
			gauge(ch, due, time.Since(t.NextAt).Seconds(), name[:]...)
		}
	}
	return nil
}

func (c stateCollector) leases(ctx context.Context, ch chan<- prometheus.Metric) error {
	leases, err := c.store.Leases(ctx)
	for _, l := range leases {
		labels := []string{l.Repo.FullName(), l.Twin, strconv.FormatInt(l.Run, 10)}
		gauge(ch, leaseLeft, l.Left.Seconds(), labels...)
		gauge(ch, leaseAge, l.Age.Seconds(), labels...)
	}
	return err
}

func (c stateCollector) queues(ctx context.Context, ch chan<- prometheus.Metric) error {
	depths, err := jobs.Depths(ctx, c.pool)
	for _, d := range depths {
		gauge(ch, queued, float64(d.Jobs), d.Queue, d.State)
	}
	return err
}

func (c stateCollector) backlog(ctx context.Context, ch chan<- prometheus.Metric) error {
	b, err := c.store.Backlog(ctx)
	if err != nil {
		return err
	}
	since := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return time.Since(t).Seconds()
	}
	gauge(ch, waiting, float64(b.Deliveries), "deliveries")
	gauge(ch, waited, since(b.OldestDelivery), "deliveries")
	gauge(ch, waiting, float64(b.Reports), "reports")
	gauge(ch, waited, since(b.OldestReport), "reports")
	gauge(ch, waiting, float64(b.Missed), "missed")
	gauge(ch, waited, since(b.OldestMissed), "missed")
	gauge(ch, waiting, float64(b.Targets), "targets")
	gauge(ch, unreachable, float64(b.Unreachable))
	return nil
}

// budgetCollector tells what this process knows of GitHub's limits.
type budgetCollector struct{ app *github.App }

// Describe implements prometheus.Collector.
func (c budgetCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- budgetLeft
	ch <- budgetLimit
	ch <- budgetPause
}

// Collect implements prometheus.Collector.
func (c budgetCollector) Collect(ch chan<- prometheus.Metric) {
	for _, b := range c.app.Budgets() {
		installation := strconv.FormatInt(b.Installation, 10)
		gauge(ch, budgetLeft, float64(b.Left), installation)
		gauge(ch, budgetLimit, float64(b.Limit), installation)
		gauge(ch, budgetPause, max(0, time.Until(b.PausedUntil).Seconds()), installation)
	}
}
