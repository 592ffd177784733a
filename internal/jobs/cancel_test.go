package jobs

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// patient works until it is told to stop, and says why it stopped.
func patient(began chan<- int64, ended chan<- error) filler {
	return func(ctx context.Context, run twin.Run, l twin.Lease) (twin.Report, error) {
		l.Progress(twin.Progress{Phase: twin.Load})
		began <- run.ID
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return twin.Report{}, errors.New("57014: canceling statement due to user request")
	}
}

func TestCancelARunThatWaits(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	run := enqueue(t, i, request(1))
	if err := i.Cancel(t.Context(), run, "by a test"); err != nil {
		t.Fatal(err)
	}
	rep := &reporter{}
	cfg := fast(pool)
	cfg.Reporter = rep
	work(t, cfg)
	eventually(t, "its end is told", func() bool {
		return slices.Contains(rep.states(run, headSHA(1)), twin.Cancelled)
	})
	if r := getRun(t, pool, run); r.State != twin.Cancelled || r.Attempt != 0 || r.FinishedAt.IsZero() {
		t.Errorf("cancelled: %+v", r)
	}
	if err := i.Cancel(t.Context(), run, "again"); !errors.Is(err, ErrOver) {
		t.Errorf("cancelled twice: %v", err)
	}
}

func TestCancelARunAtWork(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	began, ended := make(chan int64, 2), make(chan error, 2)
	rep := &reporter{}
	cfg := fast(pool)
	cfg.Filler, cfg.Reporter = patient(began, ended), rep
	// River's notice comes at once; the heartbeat would take longer.
	cfg.LeaseTTL, cfg.HeartbeatEvery = 2*time.Hour, 20*time.Minute
	q := work(t, cfg)
	run := enqueue(t, q.Inserter, request(1))
	<-began
	next := enqueue(t, q.Inserter, request(2))
	if err := q.Cancel(t.Context(), run, "by a test"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the work was not ended from outside")
		}
	case <-time.After(2 * patience): // should the notice be lost, River looks once a minute
		t.Fatal("the worker was not told")
	}
	r := await(t, pool, run, twin.Cancelled)
	if r.Attempt != 1 || r.Failure != nil {
		t.Errorf("cancelled: %+v", r)
	}
	eventually(t, "its end is told", func() bool { return slices.Contains(rep.states(run, headSHA(1)), twin.Cancelled) })
	if got := <-began; got != next {
		t.Errorf("then run %d began, want the one that waited, %d", got, next)
	}
}

// Should River's notice be lost, the heartbeat brings it.
func TestCancelByHeartbeat(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	began, ended := make(chan int64, 1), make(chan error, 1)
	cfg := fast(pool)
	cfg.Filler = patient(began, ended)
	q := work(t, cfg)
	run := enqueue(t, q.Inserter, request(1))
	<-began
	execute(t, pool, "UPDATE sync_run SET cancel_requested_at = now() WHERE id = $1", run)
	if err := <-ended; !errors.Is(err, twin.ErrCancelled) {
		t.Errorf("the work ended by %v", err)
	}
	await(t, pool, run, twin.Cancelled)
}

func TestCancelIsRefusedDuringPublish(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	publishing, finish := make(chan struct{}), make(chan struct{})
	cfg := fast(pool)
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
		l.Progress(twin.Progress{Phase: twin.Publish})
		if err := l.Check(ctx); err != nil {
			return twin.Report{}, err
		}
		close(publishing)
		<-finish
		return twin.Report{Run: l.Token()}, nil
	})
	q := work(t, cfg)
	run := enqueue(t, q.Inserter, request(1))
	<-publishing
	if err := q.Cancel(t.Context(), run, "too late"); !errors.Is(err, ErrPublishing) {
		t.Errorf("cancel during publish gave %v", err)
	}
	close(finish)
	await(t, pool, run, twin.Succeeded)
}

// A request that comes before the worker says that it publishes stops it there.
func TestCancelComesBeforePublish(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	verified, asked := make(chan struct{}), make(chan struct{})
	checked := make(chan error, 1)
	cfg := fast(pool)
	cfg.LeaseTTL, cfg.HeartbeatEvery = time.Minute, 20*time.Second
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
		close(verified)
		<-asked
		l.Progress(twin.Progress{Phase: twin.Publish})
		// Whatever has become of the context: the question is put to the database.
		err := l.Check(context.WithoutCancel(ctx))
		checked <- err
		return twin.Report{}, err
	})
	q := work(t, cfg)
	run := enqueue(t, q.Inserter, request(1))
	<-verified
	if err := q.Cancel(t.Context(), run, "in time"); err != nil {
		t.Fatal(err)
	}
	close(asked)
	if err := <-checked; !errors.Is(err, twin.ErrCancelled) {
		t.Errorf("the lease's check before publishing gave %v", err)
	}
	await(t, pool, run, twin.Cancelled)
}

func TestCancelARunWhoseWorkerDied(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	run := enqueue(t, q.Inserter, request(1))
	claimAs(t, q, run)
	execute(t, pool, "UPDATE sync_run SET lease_expires_at = now() - interval '1 hour' WHERE id = $1", run)
	if err := q.Cancel(t.Context(), run, "by a test"); err != nil {
		t.Fatal(err)
	}
	work(t, fast(pool))
	if r := await(t, pool, run, twin.Cancelled); r.Attempt != 1 {
		t.Errorf("it was tried again: %+v", r)
	}
}

// TestCancelWhileClaiming: whoever of the two comes first to the Twin's lock,
// the run ends, and no work goes on for it.
func TestCancelWhileClaiming(t *testing.T) {
	t.Parallel()
	for name, cancelFirst := range map[string]bool{"the claim is first": false, "the cancel is first": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			began, ended := make(chan int64, 1), make(chan error, 1)
			rep := &reporter{}
			cfg := fast(pool)
			cfg.Filler, cfg.Reporter = patient(began, ended), rep
			i := inserter(t, pool)
			run := enqueue(t, i, request(1))
			claim := func() error { work(t, cfg); return nil }
			cancel := func() error { return i.Cancel(context.WithoutCancel(t.Context()), run, "by a test") }
			both := []func() error{claim, cancel}
			if cancelFirst {
				both = []func() error{cancel, claim}
			}
			for _, err := range atOnce(t, pool, getRun(t, pool, run).TwinID, both...) {
				check(t, err)
			}
			await(t, pool, run, twin.Cancelled)
			eventually(t, "its end is told", func() bool { return slices.Contains(rep.states(run, headSHA(1)), twin.Cancelled) })
			eventually(t, "its job is over", func() bool {
				return one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'sync_run' AND finalized_at IS NULL") == 0
			})
			if len(began) != len(ended) || cancelFirst && len(began) != 0 {
				t.Errorf("work began %d times and ended %d times", len(began), len(ended))
			}
		})
	}
}

// TestCancelWhileAnAttemptFails: between its last look at whether its end is
// asked for and the transaction that would have it tried again.
func TestCancelWhileAnAttemptFails(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	c := claimAs(t, q, enqueue(t, q.Inserter, request(1)))
	if _, asked := q.asked(t.Context(), c); asked {
		t.Fatal("nobody has asked")
	}
	check(t, q.Cancel(t.Context(), c.run.ID, "by a test"))
	v := q.outcome(c.run, twin.Load, twin.Report{}, errors.New("the source went away"))
	if !v.again {
		t.Fatalf("the attempt would not be tried again: %+v", v)
	}
	check(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return q.again(t.Context(), tx, c.run.TwinID, c, v) }))
	if r := getRun(t, pool, c.run.ID); r.State != twin.Cancelled {
		t.Errorf("the run is %s", r.State)
	}
}
