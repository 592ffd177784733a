package jobs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/twin"
)

// restarting is request of a Twin whose file says on_newer: restart.
func restarting(n int) twin.Request {
	r := request(n)
	r.Spec.OnNewer = twin.OnNewerRestart
	return r
}

// requireSuperseded wants a run to have given way to another, and its places
// to be told.
func requireSuperseded(t *testing.T, pool *pgxpool.Pool, rep *reporter, run, by int64, n int) {
	t.Helper()
	r := await(t, pool, run, twin.Superseded)
	if r.SupersededBy != by || !strings.HasPrefix(r.Headline(), "Superseded by ") {
		t.Errorf("run %d: %s, want superseded by run %d", run, r.Headline(), by)
	}
	eventually(t, "the check of the superseded run is told", func() bool {
		return slices.Contains(rep.states(run, headSHA(n)), twin.Superseded)
	})
}

// TestANewerCommitRestarts: the run that is under way ends, cleaned up, and the
// newest one follows. By River's notice, or should that be lost, by heartbeat.
func TestANewerCommitRestarts(t *testing.T) {
	t.Parallel()
	for name, every := range map[string]time.Duration{"at once": 20 * time.Second, "by heartbeat": 200 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			began, ended := make(chan int64, 9), make(chan error, 9)
			rep := &reporter{}
			cfg := fast(pool)
			cfg.Reporter, cfg.LeaseTTL, cfg.HeartbeatEvery = rep, time.Minute, every
			cfg.Filler = filler(func(ctx context.Context, run twin.Run, l twin.Lease) (twin.Report, error) {
				if run.SHA == request(4).SHA {
					began <- run.ID
					return fillOnce(ctx, run, l)
				}
				return patient(began, ended)(ctx, run, l)
			})
			q := work(t, cfg)
			first := enqueue(t, q.Inserter, restarting(1))
			<-began
			var last int64
			if name == "at once" {
				// A burst: who waited in between has never begun.
				second := enqueue(t, q.Inserter, restarting(3))
				enqueue(t, q.Inserter, restarting(2)) // told late
				last = enqueue(t, q.Inserter, restarting(4))
				if err := <-ended; err == nil {
					t.Error("the work was not ended from outside")
				}
				await(t, pool, second, twin.Superseded)
				await(t, pool, first, twin.Superseded)
			} else {
				// Nobody is told: the row alone says it.
				last = enqueue(t, q.Inserter, request(4))
				execute(t, pool, "UPDATE sync_run SET give_way = true WHERE id = $1", first)
				if err := <-ended; !errors.Is(err, twin.ErrCancelled) {
					t.Errorf("the work ended by %v", err)
				}
				requireSuperseded(t, pool, rep, first, last, 1)
			}
			await(t, pool, last, twin.Succeeded)
			if r := getRun(t, pool, first); r.SupersededBy == 0 || r.SupersededBy > last || r.Failure != nil || r.Attempt != 1 {
				t.Errorf("the interrupted run: %+v", r)
			}
		})
	}
}

// TestOnlyANewerCommitRestarts: neither the same commit told again, nor an
// older one, nor one whose file does not ask for it.
func TestOnlyANewerCommitRestarts(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	run := enqueue(t, q.Inserter, restarting(5))
	claimAs(t, q, run)
	again := restarting(5)
	again.Trigger, again.At = twin.Rerun, day.AddDate(0, 0, 1)
	enqueue(t, q.Inserter, again)
	enqueue(t, q.Inserter, restarting(4))
	enqueue(t, q.Inserter, push(5))
	if one[bool](t, pool, "SELECT give_way FROM sync_run WHERE id = $1", run) {
		t.Error("the run was interrupted for its own commit, or an older one")
	}
	next := request(6)
	next.At = day.AddDate(0, 0, 2)
	enqueue(t, q.Inserter, next)
	if one[bool](t, pool, "SELECT give_way FROM sync_run WHERE id = $1", run) {
		t.Error("the run was interrupted, though the newer commit's file does not say so")
	}
}

// TestPublishingIsNeverInterrupted: whoever comes first, the worker that says
// that it publishes or the newer commit, decides.
func TestPublishingIsNeverInterrupted(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	publishing, finish := make(chan struct{}), make(chan struct{})
	var interrupted atomic.Bool
	cfg := fast(pool)
	cfg.Filler = filler(func(ctx context.Context, run twin.Run, l twin.Lease) (twin.Report, error) {
		if run.SHA != request(1).SHA {
			return fillOnce(ctx, run, l)
		}
		l.Progress(twin.Progress{Phase: twin.Publish})
		if err := l.Check(ctx); err != nil {
			return twin.Report{}, err
		}
		close(publishing)
		<-finish
		interrupted.Store(ctx.Err() != nil)
		return twin.Report{Run: l.Token()}, nil
	})
	q := work(t, cfg)
	first := enqueue(t, q.Inserter, restarting(1))
	<-publishing
	second := enqueue(t, q.Inserter, restarting(2))
	// Long enough for heartbeats to bring what they might.
	beat := one[time.Time](t, pool, "SELECT lease_expires_at FROM sync_run WHERE id = $1", first)
	eventually(t, "two more heartbeats", func() bool {
		return one[bool](t, pool, "SELECT lease_expires_at > $2::timestamptz + interval '500 ms' FROM sync_run WHERE id = $1", first, beat)
	})
	close(finish)
	await(t, pool, first, twin.Succeeded)
	await(t, pool, second, twin.Succeeded)
	if interrupted.Load() {
		t.Error("the run was interrupted while it published")
	}
}

// TestARebuildInPlaceIsNotInterrupted: the Twin would stay broken.
func TestARebuildInPlaceIsNotInterrupted(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	run := enqueue(t, q.Inserter, restarting(1))
	c := claimAs(t, q, run)
	held, lose := context.WithCancelCause(t.Context())
	l := newLease(q, c, time.Now(), held.Done(), lose, lose)
	l.Progress(twin.Progress{Phase: twin.Prepare, Rebuilding: true})
	if err := l.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	enqueue(t, q.Inserter, restarting(2))
	l.Progress(twin.Progress{Phase: twin.Load, Rebuilding: true})
	if err := l.Check(t.Context()); err != nil {
		t.Errorf("the run is to end: %v", err)
	}
}

// TestTheRequestComesBeforePublish: the worker learns of it from the very
// answer with which it would go on to publish.
func TestTheRequestComesBeforePublish(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	run := enqueue(t, q.Inserter, restarting(1))
	c := claimAs(t, q, run)
	held, lose := context.WithCancelCause(t.Context())
	_, end := context.WithCancelCause(t.Context())
	l := newLease(q, c, time.Now(), held.Done(), lose, end)
	enqueue(t, q.Inserter, restarting(2))
	l.Progress(twin.Progress{Phase: twin.Publish})
	if err := l.Check(t.Context()); !errors.Is(err, twin.ErrCancelled) {
		t.Errorf("it may publish: %v", err)
	}
}

// TestKilledBetweenRequestAndStop: the worker dies before it has heard of the
// newer commit. Whoever takes over ends the run for it.
func TestKilledBetweenRequestAndStop(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	dead := idle(t, pool)
	run := enqueue(t, dead.Inserter, restarting(1))
	claimAs(t, dead, run)
	next := enqueue(t, dead.Inserter, restarting(2))
	if !one[bool](t, pool, "SELECT give_way FROM sync_run WHERE id = $1", run) {
		t.Fatal("the end of the run was not asked for")
	}
	execute(t, pool, "UPDATE sync_run SET lease_expires_at = now() - interval '1 min' WHERE id = $1", run)
	rep := &reporter{}
	cfg := fast(pool)
	cfg.Reporter = rep
	work(t, cfg)
	await(t, pool, next, twin.Succeeded)
	requireSuperseded(t, pool, rep, run, next, 1)
}

// TestTheNewerRunIsGone: it was cancelled before the older one had stopped for
// it. That one begins again, and no attempt of its is lost.
func TestTheNewerRunIsGone(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	began, stopping, stopped := make(chan int64, 9), make(chan struct{}), make(chan struct{})
	var attempts atomic.Int32
	cfg := fast(pool)
	cfg.Filler = filler(func(ctx context.Context, run twin.Run, l twin.Lease) (twin.Report, error) {
		if attempts.Add(1) > 1 {
			return fillOnce(ctx, run, l)
		}
		began <- run.ID
		<-ctx.Done()
		close(stopping)
		<-stopped
		return twin.Report{}, ctx.Err()
	})
	q := work(t, cfg)
	run := enqueue(t, q.Inserter, restarting(1))
	<-began
	next := enqueue(t, q.Inserter, restarting(2))
	<-stopping
	if err := q.Cancel(t.Context(), next, "by a test"); err != nil {
		t.Fatal(err)
	}
	close(stopped)
	if r := await(t, pool, run, twin.Succeeded); r.Attempt != 1 {
		t.Errorf("the interruption counted as an attempt: %d", r.Attempt)
	}
}

// TestAPersonsWordGoesFirst: a run that is asked to give way and then cancelled
// is cancelled.
func TestAPersonsWordGoesFirst(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	run := enqueue(t, q.Inserter, restarting(1))
	c := claimAs(t, q, run)
	enqueue(t, q.Inserter, restarting(2))
	if err := q.Cancel(t.Context(), run, "by a test"); err != nil {
		t.Fatal(err)
	}
	if v, asked := q.asked(t.Context(), c); !asked || v.end.State != twin.Cancelled {
		t.Errorf("asked for %+v, %v", v, asked)
	}
}
