package jobs

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// blocked waits until n sessions wait for locks.
func blocked(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	eventually(t, "sessions wait for locks", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") >= n
	})
}

// atOnce lets things meet at a row of a Twin: they come to wait for it in their
// order, and go on in it. It gives what became of each.
func atOnce(t *testing.T, pool *pgxpool.Pool, twinID int64, things ...func() error) []error {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	check(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), "SELECT FROM twin WHERE id = $1 FOR UPDATE", twinID); err != nil {
		t.Fatal(err)
	}
	ends := make([]chan error, len(things))
	for k, do := range things {
		ends[k] = make(chan error, 1)
		go func() { ends[k] <- do() }()
		blocked(t, pool, k+1)
	}
	check(t, tx.Commit(t.Context()))
	errs := make([]error, len(things))
	for k, end := range ends {
		errs[k] = <-end
	}
	return errs
}

// TestOneOrderOfLocks: whatever touches several Twins of a repository takes
// them in the same order, so that no two of them wait for each other.
func TestOneOrderOfLocks(t *testing.T) {
	t.Parallel()
	repo := request(0).Repo
	// The second Twin asks for what the first one, which is gone, has held.
	takeOver := twin.Request{
		Repo: repo, Spec: nightly("second", "01:00", "UTC"), Trigger: twin.Push, Ref: "refs/heads/main",
		SHA: request(3).SHA, At: request(3).At, Twins: []string{"second"},
	}
	takeOver.Spec.Target = "first-twin"
	scheduled := takeOver
	scheduled.Trigger = twin.Schedule
	renamed := store.Watched{Repo: repo, State: store.Archived}
	renamed.Repo.Name = "boutique"
	doings := map[string]func(context.Context, *Queue) error{
		"declare": func(ctx context.Context, q *Queue) error {
			return q.declare(ctx, declares(2, nightly("first", "03:00", "UTC")))
		},
		"take over": func(ctx context.Context, q *Queue) error { _, err := q.Enqueue(ctx, takeOver); return err },
		"schedule": func(ctx context.Context, q *Queue) error {
			due, err := store.New(q.pool).DueTwins(ctx, 1)
			if err != nil {
				return err
			}
			p, err := store.New(q.pool).Planned(ctx, due[0])
			if err != nil {
				return err
			}
			return (&dueWorker{q: q}).ask(ctx, p, twin.Decision{Requests: []twin.Request{scheduled}})
		},
		"rename":  func(ctx context.Context, q *Queue) error { return q.seen(ctx, renamed, false) },
		"release": func(ctx context.Context, q *Queue) error { return q.release(ctx, repo, "because of a test") },
		"purge":   func(ctx context.Context, q *Queue) error { return q.purge(ctx, repo.InstallationID) },
	}
	for _, pair := range [][2]string{
		{"declare", "take over"},
		{"take over", "declare"},
		{"declare", "schedule"},
		{"take over", "rename"},
		{"schedule", "rename"},
		{"take over", "release"},
		{"purge", "declare"},
	} {
		t.Run(pair[0]+", "+pair[1], func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			q := idle(t, pool)
			tellFile(t, q, declares(1, nightly("first", "01:00", "UTC"), nightly("second", "01:00", "UTC")))
			// The row that was made first is not the one that a scan finds first.
			execute(t, pool, "UPDATE twin SET due_date = '2026-03-04' WHERE name = 'second'")
			execute(t, pool, "UPDATE twin SET target = $1 WHERE name = 'first'", takeOver.Spec.Target)
			first := one[int64](t, pool, "SELECT id FROM twin WHERE name = 'first'")
			errs := atOnce(t, pool, first,
				func() error { return doings[pair[0]](t.Context(), q) },
				func() error { return doings[pair[1]](t.Context(), q) })
			for n, err := range errs {
				if err != nil {
					t.Errorf("%s: %v", pair[n], err)
				}
			}
		})
	}
}
