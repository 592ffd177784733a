package store

import (
	"context"
	"fmt"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// Standing is what decides whether a run may be claimed or taken over. Its
// answers about time are the database's.
type Standing struct {
	State       twin.State
	Job         int64 // the River job that may claim it, 0 if none
	Attempt     int
	MaxAttempts int
	Target      string
	Holds       bool          // the run's Twin is the one that holds the target
	Token       int64         // of the lease, while running
	Expired     bool          // running, and its lease has ended
	GivenBack   bool          // running, and its worker let go of it in order
	Cancelled   bool          // running, and a person has asked for its end
	Wait        time.Duration // queued: for how long it must not be claimed yet
}

// LockRun reads a run's standing and locks its row until the transaction ends.
// Expired is reported once the lease has ended for longer than grace.
func (s Store) LockRun(ctx context.Context, run int64, grace time.Duration) (Standing, error) {
	var (
		st   Standing
		wait float64
	)
	found, err := s.maybe(ctx, "lock run", `
		SELECT state, coalesce(river_job_id, 0), attempt, max_attempts, target, coalesce(lease_token, 0),
			coalesce(state = 'running' AND lease_expires_at <= now() - $2::interval, false),
			state = 'running' AND lease_owner IS NULL, state = 'running' AND cancel_requested_at IS NOT NULL,
			greatest(extract(epoch FROM coalesce(not_before, now()) - now()), 0)::float8,
			EXISTS (SELECT FROM twin t WHERE t.id = twin_id AND t.target = sync_run.target)
		FROM sync_run WHERE id = $1 FOR UPDATE`, []any{run, grace},
		&st.State, &st.Job, &st.Attempt, &st.MaxAttempts, &st.Target, &st.Token, &st.Expired, &st.GivenBack, &st.Cancelled, &wait, &st.Holds)
	if err == nil && !found {
		err = ErrNotFound
	}
	st.Wait = time.Duration(wait * float64(time.Second))
	return st, err
}

// TargetBusy reports whether a run of another Twin fills a target.
func (s Store) TargetBusy(ctx context.Context, run int64, target string) (bool, error) {
	var busy bool
	err := s.db.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM sync_run WHERE target = $2 AND state = 'running' AND id <> $1)`, run, target).Scan(&busy)
	if err != nil {
		return false, fmt.Errorf("look at target: %w", err)
	}
	return busy, nil
}

// NextToken draws the number of a new lease: higher than all before it.
func (s Store) NextToken(ctx context.Context) (int64, error) {
	var token int64
	if err := s.db.QueryRow(ctx, `SELECT nextval('lease_token_seq')`).Scan(&token); err != nil {
		return 0, fmt.Errorf("draw lease token: %w", err)
	}
	return token, nil
}

// Claim makes a run running under a new lease. It counts as an attempt, unless
// the lease before was given back. The transaction must hold the Twin's lock.
func (s Store) Claim(ctx context.Context, run, token int64, owner, generation string, ttl time.Duration) error {
	_, err := s.exec(ctx, "claim run", `
		UPDATE sync_run SET
			attempt = attempt + CASE WHEN state = 'running' AND lease_owner IS NULL THEN 0 ELSE 1 END,
			state = 'running', lease_token = $2, lease_owner = $3, generation = $4, lease_expires_at = now() + $5::interval,
			not_before = NULL, phase = NULL, progress = NULL, started_at = now(), give_way = false
		WHERE id = $1`, run, token, owner, generation, ttl)
	return err
}

// End says whether a run is to end before it has published, and for whom.
type End int

// Who can ask for the end of a run.
const (
	GoOn    End = iota // nobody has
	Cancel             // a person
	GiveWay            // the run of a newer commit
)

// Heartbeat extends a lease and stores the progress made. It gives false if
// the lease has passed to somebody else or was given back, and says whether the
// run's end was asked for.
func (s Store) Heartbeat(ctx context.Context, run, token int64, ttl time.Duration, p *twin.Progress) (held bool, end End, err error) {
	var phase *twin.Phase
	if p != nil {
		phase = &p.Phase
	}
	held, err = s.maybe(ctx, "extend lease", `
		UPDATE sync_run SET lease_expires_at = now() + $3::interval, phase = coalesce($4, phase), progress = coalesce($5, progress)
		WHERE id = $1 AND lease_token = $2 AND state = 'running' AND lease_owner IS NOT NULL
		RETURNING CASE WHEN cancel_requested_at IS NOT NULL THEN 1 WHEN give_way THEN 2 ELSE 0 END`, []any{run, token, ttl, phase, p}, &end)
	return held, end, err
}

// GiveBack ends a lease in order: the run stays running and the next worker
// may claim it at once. It gives false if the lease has passed to somebody else.
func (s Store) GiveBack(ctx context.Context, run, token int64) (held bool, err error) {
	n, err := s.exec(ctx, "give lease back", `
		UPDATE sync_run SET lease_expires_at = now(), lease_owner = NULL
		WHERE id = $1 AND lease_token = $2 AND state = 'running'`, run, token)
	return n == 1, err
}

// Ending is how a run ends for good.
type Ending struct {
	State        twin.State
	Report       *twin.Report
	Failure      *twin.Failure
	SupersededBy int64
}

// End ends a running run for good. It gives false if the lease has passed to
// somebody else.
func (s Store) End(ctx context.Context, run, token int64, e Ending) (held bool, err error) {
	n, err := s.exec(ctx, "end run", `
		UPDATE sync_run SET state = $3, report = $4, failure = $5, superseded_by = nullif($6::bigint, 0), finished_at = now(),
			lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL
		WHERE id = $1 AND lease_token = $2 AND state = 'running'`, run, token, e.State, e.Report, e.Failure, e.SupersededBy)
	return n == 1, err
}

// Requeue makes a running run wait again. With free set, the attempt does not
// count. It gives false if the lease has passed to somebody else.
func (s Store) Requeue(ctx context.Context, run, token int64, f *twin.Failure, after time.Duration, free bool) (held bool, err error) {
	n, err := s.exec(ctx, "queue run again", `
		UPDATE sync_run SET state = 'queued', failure = coalesce($3, failure), not_before = now() + $4::interval,
			attempt = attempt - CASE WHEN $5 THEN 1 ELSE 0 END,
			lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL
		WHERE id = $1 AND lease_token = $2 AND state = 'running'`, run, token, f, after, free)
	return n == 1, err
}

// ExpiredRuns lists running runs whose lease ended more than grace ago.
func (s Store) ExpiredRuns(ctx context.Context, grace time.Duration) ([]int64, error) {
	return s.ids(ctx, "list expired leases", `
		SELECT id FROM sync_run WHERE state = 'running' AND lease_expires_at <= now() - $1::interval ORDER BY lease_expires_at`, grace)
}

// WaitingRuns lists queued runs that are due and have no running one before them.
func (s Store) WaitingRuns(ctx context.Context) ([]int64, error) {
	return s.ids(ctx, "list waiting runs", `
		SELECT q.id FROM sync_run q
		WHERE q.state = 'queued' AND coalesce(q.not_before, now()) <= now()
			AND NOT EXISTS (SELECT FROM sync_run r WHERE r.twin_id = q.twin_id AND r.state = 'running')
		ORDER BY q.id`)
}
