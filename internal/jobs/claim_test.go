package jobs

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/twin"
)

// idle gives a worker that has not been started.
func idle(t *testing.T, pool *pgxpool.Pool) *Queue {
	t.Helper()
	cfg := fast(pool)
	cfg.LeaseTTL = time.Hour
	q, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, q) })
	return q
}

// claimAs claims a run as its own River job would.
func claimAs(t *testing.T, q *Queue, run int64) claimed {
	t.Helper()
	job := one[int64](t, q.pool, "SELECT coalesce(river_job_id, 0) FROM sync_run WHERE id = $1", run)
	c, err := (&syncWorker{q: q}).claim(t.Context(), run, job)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClaim(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	run := enqueue(t, q.Inserter, request(1))

	if c, err := (&syncWorker{q: q}).claim(t.Context(), run, 4711); err != nil || c.token != 0 {
		t.Errorf("a job that is not the run's own claimed it: %+v, %v", c, err)
	}
	execute(t, pool, "UPDATE sync_run SET not_before = now() + interval '1 h' WHERE id = $1", run)
	if c := claimAs(t, q, run); c.token != 0 || c.wait < 59*time.Minute || c.wait > time.Hour {
		t.Errorf("claim of a run that must wait an hour: %+v", c)
	}
	execute(t, pool, "UPDATE sync_run SET not_before = NULL WHERE id = $1", run)
	first := claimAs(t, q, run)
	if first.run.State != twin.Running || first.run.Attempt != 1 || len(first.generation) > 16 {
		t.Errorf("claimed %+v", first)
	}
	if c := claimAs(t, q, run); c.token != 0 || c.wait != 0 {
		t.Errorf("claim of a run that is running: %+v", c)
	}
	execute(t, pool, "UPDATE sync_run SET lease_expires_at = now() WHERE id = $1", run)
	second := claimAs(t, q, run)
	if second.token <= first.token || second.generation == first.generation || second.run.Attempt != 2 {
		t.Errorf("second claim %+v after %+v", second, first)
	}
	// The first can neither end nor extend nor give back what is the second's.
	err := q.conclude(t.Context(), nil, first, q.outcome(first.run, "", twin.Report{}, nil))
	if r := getRun(t, pool, run); err == nil || r.State != twin.Running || r.Report != nil {
		t.Errorf("the late worker ended the run: %s, %v", r.State, err)
	}
	_, lose := context.WithCancelCause(t.Context())
	late := newLease(q, first, time.Now(), make(chan struct{}), lose, lose)
	if err := late.beat(t.Context(), nil); err == nil {
		t.Error("the late worker extended the lease")
	}
}

func TestTwoTwinsTakeTurnsOnATarget(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	running := enqueue(t, q.Inserter, request(1))
	c := claimAs(t, q, running)
	moved := request(2)
	moved.Spec.Target = "elsewhere"
	enqueue(t, q.Inserter, moved)
	other := request(3)
	other.Spec.Name = "other"
	waiting := enqueue(t, q.Inserter, other)
	if got := claimAs(t, q, waiting); got.token != 0 || got.wait != busyWait {
		t.Errorf("two runs on one target: %+v", got)
	}
	execute(t, pool, "UPDATE sync_run SET state = 'succeeded', finished_at = now(), lease_token = NULL WHERE id = $1", c.run.ID)
	if got := claimAs(t, q, waiting); got.token == 0 {
		t.Errorf("the target is free, and the run was not claimed: %+v", got)
	}
}

func TestCheckSurvivesAShortOutageOnly(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	c := claimAs(t, q, enqueue(t, q.Inserter, request(1)))
	held, lose := context.WithCancelCause(t.Context())
	l := newLease(q, c, time.Now(), held.Done(), lose, lose)
	if err := l.Check(t.Context()); err != nil {
		t.Errorf("held: %v", err)
	}
	q.beats.Close()
	if err := l.Check(t.Context()); err != nil {
		t.Errorf("database away for a moment: %v", err)
	}
	l.confirmed = time.Now().Add(-31 * time.Minute)
	if err := l.Check(t.Context()); err == nil {
		t.Error("half of the lease is gone and the database does not answer: Check passed")
	}
}

// TestAShortOutageOfTheDatabaseCostsNoSync, neither one that is at work nor one
// that has published and finds nobody to tell.
func TestAShortOutageOfTheDatabaseCostsNoSync(t *testing.T) {
	t.Parallel()
	for _, working := range []bool{true, false} {
		t.Run(fmt.Sprintf("working=%t", working), func(t *testing.T) {
			t.Parallel()
			cluster := pgtest.Cluster(t, nil)
			pool := openPool(t, cluster.URL("postgres"))
			check(t, Migrate(t.Context(), pool, quiet()))
			cfg := fast(pool)
			cfg.LeaseTTL = patience
			down, up := make(chan struct{}), make(chan struct{})
			started := sync.OnceFunc(func() {
				defer close(down)
				if err := cluster.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
			cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
				started()
				if working {
					select {
					case <-up:
					case <-ctx.Done():
						return twin.Report{}, context.Cause(ctx)
					}
				}
				return twin.Report{Run: l.Token()}, nil
			})
			work(t, cfg)
			run := enqueue(t, inserter(t, pool), request(1))
			<-down
			again, err := pglocal.Start(t.Context(), pglocal.Options{Dir: cluster.Dir(), Volatile: true})
			check(t, err)
			t.Cleanup(func() { _ = again.Kill(context.Background()) })
			close(up)
			eventually(t, "the run succeeds", func() bool {
				var state twin.State
				_ = pool.QueryRow(t.Context(), "SELECT state FROM sync_run WHERE id = $1", run).Scan(&state)
				return state == twin.Succeeded
			})
			if r := getRun(t, pool, run); r.Attempt != 1 {
				t.Errorf("published by attempt %d: a sync was done again", r.Attempt)
			}
		})
	}
}
