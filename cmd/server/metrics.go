package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/jobs"
	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// metrics are what /metrics tells, in a registry of our own.
type metrics struct {
	registry *prometheus.Registry
	webhooks *prometheus.CounterVec
	attempts *prometheus.HistogramVec
	bytes    prometheus.Counter
}

func newMetrics(pool *pgxpool.Pool, runs store.Store) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "neontwin_webhooks_total", Help: "Webhooks by event and by what became of them.",
		}, []string{"event", "outcome"}),
		attempts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "neontwin_sync_seconds", Help: "Time of one attempt of a sync, by how it ended.",
			Buckets: []float64{1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600},
		}, []string{"outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "neontwin_copied_bytes_total", Help: "Bytes of rows that published syncs moved.",
		}),
	}
	m.registry.MustRegister(m.webhooks, m.attempts, m.bytes, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), poolCollector(pool), stateCollector{pool, runs})
	return m
}

// budget tells of what is left of GitHub's limits.
func (m *metrics) budget(app *github.App) { m.registry.MustRegister(budgetCollector{app}) }

func (m *metrics) webhook(event, outcome string) { m.webhooks.WithLabelValues(event, outcome).Inc() }

// observed is a Filler that counts what it does.
type observed struct {
	jobs.Filler
	m *metrics
}

func (m *metrics) observe(f jobs.Filler) jobs.Filler { return observed{f, m} }

// Fill measures one attempt.
func (o observed) Fill(ctx context.Context, run twin.Run, lease twin.Lease) (twin.Report, error) {
	began := time.Now()
	report, err := o.Filler.Fill(ctx, run, lease)
	outcome := "published"
	if err != nil {
		outcome = string(twin.AsFailure(err).Code)
	}
	o.m.attempts.WithLabelValues(outcome).Observe(time.Since(began).Seconds())
	o.m.bytes.Add(float64(report.Bytes()))
	return report, err
}

func poolCollector(pool *pgxpool.Pool) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "neontwin_control_connections", Help: "Open connections to the control database.",
	}, func() float64 { return float64(pool.Stat().TotalConns()) })
}
