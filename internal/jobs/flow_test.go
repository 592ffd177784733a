package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

func delivery(guid string) twin.Delivery {
	return twin.Delivery{GUID: guid, Event: "pull_request", Action: "closed", InstallationID: 11, RepositoryID: 22, Body: []byte(`{"a":"\u0000"}`)}
}

// decideCommit answers every delivery with a request for commit n.
func decideCommit(n int) decider {
	return func(context.Context, twin.Delivery) (twin.Decision, error) {
		return twin.Decision{Requests: []twin.Request{request(n)}}, nil
	}
}

func TestFromDeliveryToReport(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	rep := &reporter{}
	cfg := fast(pool)
	cfg.Decider, cfg.Reporter = decideCommit(1), rep
	finish := make(chan struct{})
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
		l.Progress(twin.Progress{Phase: twin.Load, RowsDone: 3})
		<-finish
		return fillOnce(ctx, twin.Run{}, l)
	})
	i := work(t, cfg).Inserter
	// Runs are held up until "queued" has been told.
	eventually(t, "the queue can be paused", func() bool { return i.river.QueuePause(t.Context(), queueSync, nil) == nil })
	if err := i.Deliver(t.Context(), delivery("g1")); err != nil {
		t.Fatal(err)
	}
	both := func(state twin.State) bool { // what is true for a moment only need not be told
		return slices.Contains(rep.states(1, headSHA(1)), state) && slices.Contains(rep.states(1, request(1).SHA), state)
	}
	eventually(t, "queued is told", func() bool { return both(twin.Queued) })
	if err := i.river.QueueResume(t.Context(), queueSync, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "progress is told on the head", func() bool {
		rep.mu.Lock()
		defer rep.mu.Unlock()
		return slices.ContainsFunc(rep.all, func(x told) bool { return x.SHA == headSHA(1) && x.Phase == twin.Load })
	})
	eventually(t, "running is told", func() bool { return both(twin.Running) })
	running := getRun(t, pool, 1)
	if running.Progress.RowsDone != 3 || running.Phase != twin.Load || running.StartedAt.IsZero() {
		t.Errorf("running: %+v", running)
	}
	close(finish)
	run := await(t, pool, 1, twin.Succeeded)
	if run.Report.Rows() != 7 || run.FinishedAt.IsZero() || run.Attempt != 1 {
		t.Errorf("succeeded: %+v", run)
	}
	want := []twin.State{twin.Queued, twin.Running, twin.Succeeded}
	for _, sha := range []string{headSHA(1), request(1).SHA} {
		eventually(t, "all states are told", func() bool { return len(rep.states(1, sha)) == 3 })
		if diff := cmp.Diff(want, rep.states(1, sha)); diff != "" {
			t.Error(diff)
		}
	}
	checkHistory(t, rep, store.New(pool), run)
	delivered, processed, err := store.New(pool).Delivery(t.Context(), "g1")
	if err != nil || !processed || string(delivered.Body) != string(delivery("g1").Body) {
		t.Errorf("delivery: processed %v, body %q, %v", processed, delivered.Body, err)
	}
}

// checkHistory checks that each place has one check run, and what a reader of
// the run's page finds.
func checkHistory(t *testing.T, rep *reporter, s store.Store, run twin.Run) {
	t.Helper()
	rep.mu.Lock()
	created := 0
	for _, x := range rep.all {
		if x.Check == 0 {
			created++
		}
		if x.SHA == run.SHA && x.State == twin.Running && x.Phase != "" && created > 2 {
			t.Error("the merge commit was told of progress")
		}
	}
	rep.mu.Unlock()
	if created != 2 {
		t.Errorf("%d check runs for two places", created)
	}
	_, places, events, err := s.RunByPageKey(t.Context(), run.PageKey)
	if err != nil {
		t.Fatal(err)
	}
	if len(places) != 2 || places[0].Role != twin.Head || places[0].CheckRunID == 0 {
		t.Errorf("places %+v", places)
	}
	var history []string
	for _, e := range events {
		history = append(history, e.Message)
	}
	if diff := cmp.Diff([]string{"Queued.", "Attempt 1 of 5 started.", "Published."}, history); diff != "" {
		t.Error(diff)
	}
}

func TestADeliveryTwice(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	for n, want := range []error{nil, twin.ErrDuplicate, twin.ErrDuplicate} {
		if err := i.Deliver(t.Context(), delivery("g1")); !errors.Is(err, want) {
			t.Errorf("time %d: %v, want %v", n+1, err, want)
		}
	}
	jobs := func() int {
		return one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'webhook_process'")
	}
	if jobs() != 1 {
		t.Errorf("%d jobs for one delivery", jobs())
	}
	// The job was lost: the redelivery brings it back.
	execute(t, pool, "DELETE FROM river.river_job")
	if err := i.Deliver(t.Context(), delivery("g1")); !errors.Is(err, twin.ErrDuplicate) || jobs() != 1 {
		t.Errorf("redelivery of an unprocessed delivery: %v, %d jobs", err, jobs())
	}
	execute(t, pool, "UPDATE webhook_delivery SET processed_at = now()")
	execute(t, pool, "DELETE FROM river.river_job")
	if err := i.Deliver(t.Context(), delivery("g1")); !errors.Is(err, twin.ErrDuplicate) || jobs() != 0 {
		t.Errorf("redelivery of a processed delivery: %v, %d jobs", err, jobs())
	}
}

func TestTheSweeperFindsWhatWasLost(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	cfg := fast(pool)
	rep := &reporter{}
	cfg.Decider, cfg.Reporter = decideCommit(1), rep
	if err := i.Deliver(t.Context(), delivery("g1")); err != nil {
		t.Fatal(err)
	}
	waiting := request(2)
	waiting.Spec.Name, waiting.Spec.Target = "other", "other-twin"
	lost := enqueue(t, i, waiting)
	// The delivery's process was killed at work; the run and its report have no job.
	execute(t, pool, `UPDATE river.river_job SET state = 'running', attempted_at = now() - interval '1 h' WHERE kind = 'webhook_process'`)
	execute(t, pool, "DELETE FROM river.river_job WHERE kind IN ('sync_run', 'check_publish')")
	work(t, cfg)
	await(t, pool, lost, twin.Succeeded)
	eventually(t, "the delivery's run succeeds", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM sync_run WHERE state = 'succeeded'") == 2
	})
	// A report that was lost after the end is found too.
	execute(t, pool, "UPDATE check_publication SET wanted_version = posted_version + 1, updated_at = now() - interval '1 h', river_job_id = NULL")
	eventually(t, "all places are told", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM check_publication WHERE wanted_version > posted_version") == 0
	})
}

func TestASucceededRunDoesNotSwallowTheNext(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	work(t, fast(pool))
	for n := 1; n <= 3; n++ {
		await(t, pool, enqueue(t, i, request(n)), twin.Succeeded)
	}
	if n := one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE unique_key IS NOT NULL"); n != 0 {
		t.Errorf("%d unique jobs", n)
	}
}

func TestARunStartsTheOneThatWaits(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	cfg := fast(pool)
	var overlap, active atomic.Int32
	cfg.Filler = filler(func(ctx context.Context, r twin.Run, l twin.Lease) (twin.Report, error) {
		if active.Add(1) > 1 {
			overlap.Add(1)
		}
		defer active.Add(-1)
		if r.SHA == request(1).SHA {
			for n := 2; n <= 9; n++ {
				if _, err := i.Enqueue(ctx, request(n)); err != nil {
					return twin.Report{}, err
				}
			}
		}
		return fillOnce(ctx, r, l)
	})
	work(t, cfg)
	enqueue(t, i, request(1))
	eventually(t, "the newest is published", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM sync_run WHERE state = 'succeeded'") == 2
	})
	if sha := one[string](t, pool, "SELECT sha FROM sync_run WHERE state = 'succeeded' ORDER BY finished_at DESC LIMIT 1"); sha != request(9).SHA || overlap.Load() != 0 {
		t.Errorf("last published %s, %d overlaps", sha, overlap.Load())
	}
}

func TestAPlaceAddedAfterTheEndIsTold(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	cfg := fast(pool)
	rep := &reporter{}
	cfg.Reporter = rep
	work(t, cfg)
	run := enqueue(t, i, push(1))
	await(t, pool, run, twin.Succeeded)
	enqueue(t, i, request(1))
	eventually(t, "the pull request is told", func() bool {
		return slices.Equal(rep.states(run, headSHA(1)), []twin.State{twin.Succeeded})
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe to 10.0.0.1")
	for name, c := range map[string]struct {
		err     func(attempt int) error
		state   twin.State
		code    twin.Code
		attempt int
	}{
		"refused":           {func(int) error { return twin.Refuse("no", "do") }, twin.Failed, twin.CodeRefused, 1},
		"permanent":         {func(int) error { return &twin.Failure{Code: twin.CodeSchema, Message: "m"} }, twin.Failed, twin.CodeSchema, 1},
		"refused, by cause": {func(int) error { return &twin.Failure{Code: twin.CodeConfig, Retry: true, Cause: twin.ErrRefused} }, twin.Failed, twin.CodeConfig, 1},
		"transient": {func(attempt int) error {
			if attempt == 1 {
				return broken
			}
			return nil
		}, twin.Succeeded, "", 2},
		"panic": {func(attempt int) error {
			if attempt == 1 {
				panic("defect")
			}
			return nil
		}, twin.Succeeded, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			cfg := fast(pool)
			cfg.Filler = filler(func(ctx context.Context, r twin.Run, l twin.Lease) (twin.Report, error) {
				if err := c.err(r.Attempt); err != nil {
					return twin.Report{}, err
				}
				return fillOnce(ctx, r, l)
			})
			work(t, cfg)
			run := await(t, pool, enqueue(t, inserter(t, pool), request(1)), c.state)
			if run.Attempt != c.attempt {
				t.Errorf("attempt %d, want %d", run.Attempt, c.attempt)
			}
			if code := twin.AsFailure(orNil(run.Failure)); c.code != "" && code.Code != c.code || c.code == "" && run.Failure != nil {
				t.Errorf("failure %+v, want code %q", run.Failure, c.code)
			}
			stored := one[string](t, pool, "SELECT coalesce(string_agg(e.message, ' '), '') || coalesce(max(r.failure::text), '') FROM sync_run_event e, sync_run r")
			if strings.Contains(stored, "10.0.0.1") {
				t.Errorf("the cause stands where anybody may read it: %s", stored)
			}
		})
	}
}

func orNil(f *twin.Failure) error {
	if f == nil {
		return nil
	}
	return f
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	q := &Queue{cfg: Config{RetryAfter: 30 * time.Second}}
	transient := &twin.Failure{Code: twin.CodeSource, Message: "the source went away", Retry: true}
	for name, c := range map[string]struct {
		attempt int
		err     error
		again   bool
		free    bool
		after   time.Duration
		state   twin.State
	}{
		"first":      {1, transient, true, false, 30 * time.Second, ""},
		"third":      {3, transient, true, false, 2 * time.Minute, ""},
		"last":       {5, transient, false, false, 0, twin.Failed},
		"unknown":    {1, errors.New("x"), true, false, 30 * time.Second, ""},
		"later":      {5, &twin.LaterError{At: time.Now().Add(-time.Hour), Err: transient}, true, true, 0, ""},
		"later, why": {1, &twin.LaterError{At: time.Now().Add(-time.Hour)}, true, true, 0, ""},
		"not ours":   {1, &twin.Failure{Code: twin.CodeConflict, Cause: twin.ErrLeaseLost}, true, false, 30 * time.Second, ""},
		"done":       {1, nil, false, false, 0, twin.Succeeded},
	} {
		v := q.outcome(twin.Run{Attempt: c.attempt, MaxAttempts: 5}, twin.Index, twin.Report{}, c.err)
		if v.again != c.again || v.free != c.free || v.after != c.after || v.end.State != c.state {
			t.Errorf("%s: %+v", name, v)
		}
		if f := v.end.Failure; f != nil && f.Phase != twin.Index {
			t.Errorf("%s: phase %q", name, f.Phase)
		}
	}
	if transient.Phase != "" {
		t.Error("the Filler's own error was changed")
	}
}

func TestARunThatWaitsGivesWayToANewerOne(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	cfg := fast(pool)
	cfg.Filler = filler(func(ctx context.Context, r twin.Run, l twin.Lease) (twin.Report, error) {
		if r.SHA == request(1).SHA {
			return twin.Report{}, &twin.LaterError{At: time.Now().Add(time.Hour), Err: errors.New("busy")}
		}
		return fillOnce(ctx, r, l)
	})
	work(t, cfg)
	first := enqueue(t, i, request(1))
	eventually(t, "it waits", func() bool { return !getRun(t, pool, first).NotBefore.IsZero() })
	if r := getRun(t, pool, first); r.State != twin.Queued || r.Attempt != 0 || time.Until(r.NotBefore) < 59*time.Minute {
		t.Errorf("%s, attempt %d, not before %s", r.State, r.Attempt, r.NotBefore)
	}
	await(t, pool, enqueue(t, i, request(2)), twin.Succeeded)
	await(t, pool, first, twin.Superseded)
}

func TestTroubleWithReportsFailsNoSync(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  func(n int32) error
		told bool
	}{
		"plain error":      {func(n int32) error { return ifFirst(n, errors.New("502")) }, true},
		"later":            {func(n int32) error { return ifFirst(n, &twin.LaterError{At: time.Now().Add(time.Second)}) }, true},
		"unreachable":      {func(int32) error { return twin.ErrUnreachable }, false},
		"always a failure": {func(int32) error { return errors.New("502") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			cfg := fast(pool)
			var calls atomic.Int32
			rep := &reporter{fail: func(twin.Run, twin.Place) error { return c.err(calls.Add(1)) }}
			cfg.Reporter = rep
			work(t, cfg)
			run := enqueue(t, inserter(t, pool), push(1))
			await(t, pool, run, twin.Succeeded)
			if c.told {
				eventually(t, "it is told in the end", func() bool {
					s := rep.states(run, request(1).SHA)
					return len(s) > 0 && s[len(s)-1] == twin.Succeeded
				})
				const attempts = "SELECT max(attempt) FROM river.river_job WHERE kind = 'check_publish'"
				if n := one[int](t, pool, attempts); name == "later" && n != 1 {
					t.Errorf("to wait has cost %d attempts", n-1)
				}
				return
			}
			if name == "unreachable" {
				eventually(t, "it is recorded", func() bool {
					return one[int](t, pool, "SELECT count(*) FROM check_publication WHERE unreachable_at IS NOT NULL AND last_error IS NOT NULL") == 1
				})
				eventually(t, "the jobs end", func() bool {
					return one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'check_publish' AND state <> 'completed'") == 0
				})
				if n := calls.Load(); n != 1 {
					t.Errorf("%d calls, want 1", n)
				}
			}
		})
	}
}

func ifFirst(n int32, err error) error {
	if n == 1 {
		return err
	}
	return nil
}

func TestAnOlderTruthNeverOvertakes(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	cfg := fast(pool)
	slow, release := make(chan struct{}), make(chan struct{})
	rep := &reporter{fail: func(r twin.Run, _ twin.Place) error {
		if r.State == twin.Running {
			select {
			case <-slow: // only the first report of "running" is slow
			default:
				close(slow)
				<-release
			}
		}
		return nil
	}}
	cfg.Reporter = rep
	cfg.Filler = filler(func(ctx context.Context, r twin.Run, l twin.Lease) (twin.Report, error) {
		<-slow
		return fillOnce(ctx, r, l)
	})
	work(t, cfg)
	run := enqueue(t, inserter(t, pool), push(1))
	await(t, pool, run, twin.Succeeded)
	time.AfterFunc(300*time.Millisecond, func() { close(release) })
	eventually(t, "the end is told", func() bool { return slices.Contains(rep.states(run, request(1).SHA), twin.Succeeded) })
	states := rep.states(run, request(1).SHA)
	if states[len(states)-1] != twin.Succeeded {
		t.Errorf("told %v", states)
	}
}

func TestEveryKindStatesItsTimeout(t *testing.T) {
	t.Parallel()
	for kind, timeout := range map[string]time.Duration{
		webhookArgs{}.Kind(): (&webhookWorker{}).Timeout(nil),
		syncArgs{}.Kind():    (&syncWorker{}).Timeout(nil),
		reportArgs{}.Kind():  (&reportWorker{}).Timeout(nil),
		dueArgs{}.Kind():     (&dueWorker{}).Timeout(nil),
		cleanArgs{}.Kind():   (&cleanWorker{}).Timeout(nil),
	} {
		if timeout == 0 {
			t.Errorf("%s has River's default timeout", kind)
		}
	}
	for _, args := range []river.JobArgsWithInsertOpts{webhookArgs{}, syncArgs{}, reportArgs{}, dueArgs{}, cleanArgs{}} {
		var fields map[string]any
		text, err := json.Marshal(args)
		if err == nil {
			err = json.Unmarshal(text, &fields)
		}
		if err != nil || len(fields) != 1 { // what it is about stands in our rows
			t.Errorf("the arguments of %T are %s, want an id alone: %v", args, text, err)
		}
		o := args.InsertOpts()
		if o.Queue == "" || o.MaxAttempts == 0 || !cmp.Equal(o.UniqueOpts, river.UniqueOpts{}) {
			t.Errorf("%T: %+v", args, o)
		}
	}
}

func TestNewRefusesALeaseThatCantBeKept(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{LeaseTTL: time.Minute, HeartbeatEvery: 30 * time.Second}); err == nil {
		t.Error("two missed heartbeats would end the lease")
	}
}
