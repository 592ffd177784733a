package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// Backlog is what waits to be done, and since when; a zero time means that
// nothing does.
type Backlog struct {
	Deliveries     int // stored and not yet processed
	OldestDelivery time.Time
	Reports        int // places that don't yet say what is true
	OldestReport   time.Time
	Unreachable    int // places that can't be told any more
	Missed         int // webhooks that GitHub could not deliver, and that are asked for again
	OldestMissed   time.Time
	Targets        int // where something half loaded may be left, and nobody is at it
}

// Backlog counts what waits to be done.
func (s Store) Backlog(ctx context.Context) (b Backlog, err error) {
	var delivery, report, missed *time.Time
	_, err = s.maybe(ctx, "count backlog", `
		SELECT (SELECT count(*) FROM webhook_delivery WHERE processed_at IS NULL),
			(SELECT min(received_at) FROM webhook_delivery WHERE processed_at IS NULL),
			(SELECT count(*) FROM check_publication WHERE wanted_version > posted_version AND unreachable_at IS NULL),
			(SELECT min(updated_at) FROM check_publication WHERE wanted_version > posted_version AND unreachable_at IS NULL),
			(SELECT count(*) FROM check_publication WHERE unreachable_at IS NOT NULL),
			(SELECT count(*) FROM missed_delivery), (SELECT min(at) FROM missed_delivery),
			(SELECT count(*) FROM loading_target l WHERE `+idleTarget+`)`, nil,
		&b.Deliveries, &delivery, &b.Reports, &report, &b.Unreachable, &b.Missed, &missed, &b.Targets)
	b.OldestDelivery, b.OldestReport, b.OldestMissed = moment(delivery), moment(report), moment(missed)
	return b, err
}

// LeaseStatus is a run that somebody works on.
type LeaseStatus struct {
	Run  int64
	Repo twin.Repository
	Twin string
	// Left is for how long the lease holds without another heartbeat, by the
	// database's clock; negative, the run is to be taken over.
	Left time.Duration
	// Age is how long ago the attempt began that holds it.
	Age time.Duration
}

// Leases lists the runs that are under way.
func (s Store) Leases(ctx context.Context) ([]LeaseStatus, error) {
	rows, _ := s.db.Query(ctx, `
		SELECT r.id, t.owner, t.repository_name, t.name,
			extract(epoch FROM r.lease_expires_at - clock_timestamp())::float8, coalesce(extract(epoch FROM clock_timestamp() - r.started_at), 0)::float8
		FROM sync_run r JOIN twin t ON t.id = r.twin_id WHERE r.state = 'running' ORDER BY r.id`) // collect reports the error
	return collect(rows, "list leases", func(r pgx.CollectableRow) (l LeaseStatus, err error) {
		var left, age float64
		err = r.Scan(&l.Run, &l.Repo.Owner, &l.Repo.Name, &l.Twin, &left, &age)
		l.Left, l.Age = time.Duration(left*float64(time.Second)), time.Duration(age*float64(time.Second))
		return l, err
	})
}
