package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/twin"
)

// TestAJobThatIsOverBeforeItsRun: River finalises the row of a healthy job that
// was cancelled and is older than RescueStuckJobsAfter. Completing it then gives
// no error and means nothing: the run's end is stored all the same, and the one
// that waits is started.
func TestAJobThatIsOverBeforeItsRun(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	began, finish := make(chan int64, 2), make(chan struct{})
	cfg := fast(pool)
	cfg.Filler = filler(func(ctx context.Context, r twin.Run, l twin.Lease) (twin.Report, error) {
		began <- r.ID
		<-finish
		return fillOnce(ctx, r, l)
	})
	q := work(t, cfg)
	run := enqueue(t, q.Inserter, request(1))
	<-began
	next := enqueue(t, q.Inserter, request(2))
	execute(t, pool, `UPDATE river.river_job SET state = 'cancelled', finalized_at = now() WHERE id = (SELECT river_job_id FROM sync_run WHERE id = $1)`, run)
	close(finish)
	if r := await(t, pool, run, twin.Succeeded); r.Attempt != 1 {
		t.Errorf("it took %d attempts", r.Attempt)
	}
	await(t, pool, next, twin.Succeeded)
	if state := one[string](t, pool, "SELECT j.state FROM river.river_job j JOIN sync_run r ON r.river_job_id = j.id WHERE r.id = $1", run); state != "cancelled" {
		t.Errorf("the job that was over is %s", state)
	}
}

// TestAZombieIsFinalised: by River's leader, once the job of a dead worker is
// old enough and marked. That of a sync which takes as long is left alone.
func TestAZombieIsFinalised(t *testing.T) {
	t.Parallel()
	rounds := 1 // each takes River up to half a minute
	if pgtest.Everything() {
		rounds = 2
	}
	_, pool := database(t)
	run := enqueue(t, inserter(t, pool), request(1))
	execute(t, pool, `UPDATE river.river_job SET state = 'running', attempt = 1, attempted_at = now() - interval '1 h', attempted_by = '{dead}' WHERE kind = 'sync_run'`)
	execute(t, pool, `UPDATE sync_run SET state = 'running', attempt = 1, lease_token = 1, lease_owner = 'dead', lease_expires_at = now() - interval '1 h'`)
	zombie := one[int64](t, pool, "SELECT river_job_id FROM sync_run WHERE id = $1", run)
	cfg := fast(pool)
	began, finish := make(chan struct{}), make(chan struct{})
	cfg.Filler = filler(func(ctx context.Context, r twin.Run, l twin.Lease) (twin.Report, error) {
		if r.ID != run {
			close(began)
			<-finish
		}
		return fillOnce(ctx, r, l)
	})
	work(t, cfg)
	await(t, pool, run, twin.Succeeded)
	long := enqueue(t, inserter(t, pool), request(2))
	<-began
	execute(t, pool, `UPDATE river.river_job SET attempted_at = now() - interval '5 h' WHERE id = (SELECT river_job_id FROM sync_run WHERE id = $1)`, long)
	for range rounds { // the second is marked after the first was seen to
		within(t, 4*patience, "the zombie is finalised", func() bool {
			return one[string](t, pool, "SELECT state FROM river.river_job WHERE id = $1", zombie) == "cancelled"
		})
		execute(t, pool, `UPDATE river.river_job SET state = 'running', finalized_at = NULL WHERE id = $1`, zombie)
	}
	close(finish)
	if r := await(t, pool, long, twin.Succeeded); r.Attempt != 1 {
		t.Errorf("a long sync took %d attempts", r.Attempt)
	}
	if n := one[int](t, pool, "SELECT attempt FROM river.river_job WHERE id = (SELECT river_job_id FROM sync_run WHERE id = $1)", long); n != 1 {
		t.Errorf("River has begun its job %d times", n)
	}
}

// TestAJobOfANewerVersion is left for whoever knows it: in a deploy both work
// side by side.
func TestAJobOfANewerVersion(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := work(t, fast(pool))
	for _, queue := range []string{queueSync, queueWebhook, queueReport} {
		execute(t, pool, `INSERT INTO river.river_job (kind, queue, args, max_attempts, state, priority, scheduled_at)
			VALUES ('not_yet_known', $1, '{}', 1, 'available', 1, now() - interval '1 h')`, queue)
	}
	await(t, pool, enqueue(t, q.Inserter, request(1)), twin.Succeeded)
	if n := one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'not_yet_known' AND state = 'available' AND attempt = 0"); n != 3 {
		t.Errorf("%d of 3 jobs of a newer version are left", n)
	}
}

// TestHeartbeatsDontWaitForOthers: the pool may be busy for as long as it likes.
func TestHeartbeatsDontWaitForOthers(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	c := claimAs(t, q, enqueue(t, q.Inserter, request(1)))
	for range pool.Config().MaxConns {
		conn, err := pool.Acquire(t.Context())
		check(t, err)
		defer conn.Release()
	}
	_, lose := context.WithCancelCause(t.Context())
	if err := newLease(q, c, time.Now(), make(chan struct{}), lose, lose).beat(t.Context(), nil); err != nil {
		t.Errorf("all connections are taken: %v", err)
	}
}

// TestOnlyAnInterruptionGivesTheAttemptBack: River looks for context.Canceled
// in the error, whatever a broken connection calls it.
func TestOnlyAnInterruptionGivesTheAttemptBack(t *testing.T) {
	t.Parallel()
	broken := errors.New("conn closed")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := interrupted(ended, broken); !errors.Is(err, context.Canceled) || !errors.Is(err, broken) {
		t.Errorf("interrupted, a job gives %v", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{t.Context(), late} {
		if err := interrupted(ctx, broken); errors.Is(err, context.Canceled) {
			t.Errorf("a failure counts as an interruption: %v", err)
		}
	}
	if err := interrupted(ended, nil); err != nil {
		t.Errorf("a job that is done gives %v", err)
	}
}

// TestEveryWorkerKnowsEveryKind: River's leader discards what it does not know.
// A sync has no end that River could wait for.
func TestEveryWorkerKnowsEveryKind(t *testing.T) {
	t.Parallel()
	workers, err := (&Queue{}).workers()
	if err != nil {
		t.Fatal(err)
	}
	for kind, err := range map[string]error{
		"webhook_process": river.AddWorkerSafely(workers, &webhookWorker{}),
		"sync_run":        river.AddWorkerSafely(workers, &syncWorker{}),
		"schedule_due":    river.AddWorkerSafely(workers, &dueWorker{}),
		"check_publish":   river.AddWorkerSafely(workers, &reportWorker{}),
		"clean_target":    river.AddWorkerSafely(workers, &cleanWorker{}),
	} {
		if err == nil {
			t.Errorf("%s was not registered", kind)
		}
	}
	if got := (&syncWorker{}).Timeout(nil); got != -1 {
		t.Errorf("a sync ends after %s", got)
	}
}

// TestAJobIsDatedByTheDatabase: a process whose clock is hours ahead makes jobs
// that are worked on now.
func TestAJobIsDatedByTheDatabase(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	// As if this process's clock were three hours ahead, or behind.
	for guid, ahead := range map[string]time.Duration{"ahead": 3 * time.Hour, "behind": -3 * time.Hour} {
		now := time.Now()
		i.clock.mu.Lock()
		i.clock.then, i.clock.mark, i.clock.asked = now.Add(-ahead), now, now
		i.clock.mu.Unlock()
		if err := i.Deliver(t.Context(), delivery(guid)); err != nil {
			t.Fatal(err)
		}
		off := one[float64](t, pool, "SELECT extract(epoch FROM now() - scheduled_at)::float8 FROM river.river_job WHERE args->>'guid' = $1", guid)
		if d := time.Duration(off*float64(time.Second)) - ahead; d.Abs() > time.Hour {
			t.Errorf("%s: the job is dated %f s ago: River did not ask this clock", guid, off)
		}
	}
	// The database is asked, and right.
	if _, err := i.clock.set(t.Context(), i.store()); err != nil {
		t.Fatal(err)
	}
	if off := time.Since(i.clock.Now()); off.Abs() > time.Minute {
		t.Errorf("the clock is %s off", off)
	}
	if i.clock.NowOrNil() != nil {
		t.Error("River does not leave the time to the database, though the clocks agree")
	}
}

// TestARerunMakesNothingOld: it is as new as its commit, whenever the button was
// pressed. GitHub's clock and ours need not agree.
func TestARerunMakesNothingOld(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	enqueue(t, i, push(1))
	settleAll(t, i, "staging", "")
	again := push(1)
	again.Trigger, again.At, again.AskedAt = twin.Rerun, day.Add(time.Hour), day.Add(time.Hour)
	rerun := enqueue(t, i, again)
	settleAll(t, i, "staging", "")
	if twice := enqueue(t, i, again); twice != rerun {
		t.Errorf("one press told twice is run %d and run %d", rerun, twice)
	}
	if r := getRun(t, pool, enqueue(t, i, push(2))); r.State != twin.Queued {
		t.Errorf("the next push is %s", r.State)
	}
}
