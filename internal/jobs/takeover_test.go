package jobs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// childWorker is a worker in a process of its own, for tests that kill it. Its
// Filler says so when it begins and then works until it is stopped; whatever
// happens, it claims to have succeeded.
func childWorker(url string) {
	ctx := context.Background()
	control, err := pgxpool.ParseConfig(url)
	if err != nil {
		panic(err)
	}
	// As in the server: one that is stopped amid a transaction would keep its
	// locks, and nobody could take over.
	control.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "5s"
	pool, err := pgxpool.NewWithConfig(ctx, control)
	if err != nil {
		panic(err)
	}
	cfg := fast(pool)
	cfg.LeaseTTL = 6 * time.Second
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
		fmt.Fprintln(os.Stdout, "filling", l.Token())
		<-ctx.Done()
		fmt.Fprintln(os.Stdout, "stopped", errors.Is(l.Check(context.WithoutCancel(ctx)), twin.ErrLeaseLost))
		return twin.Report{Run: l.Token()}, nil
	})
	q, err := New(cfg)
	if err != nil {
		panic(err)
	}
	if err := q.Start(ctx); err != nil {
		panic(err)
	}
	<-q.Stopped()
}

// child starts a childWorker and gives its process and what it says.
func child(t *testing.T, url string) (*os.Process, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "NEONTWIN_TEST_WORKER="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process, bufio.NewScanner(out)
}

// hear reads the child's next words.
func hear(t *testing.T, s *bufio.Scanner, want string) string {
	t.Helper()
	if !s.Scan() {
		t.Fatalf("the child ended before it said %q: %v", want, s.Err())
	}
	rest, ok := strings.CutPrefix(s.Text(), want)
	if !ok {
		t.Fatalf("the child said %q, want %q", s.Text(), want)
	}
	return strings.TrimSpace(rest)
}

func TestAKilledWorkersRunIsTakenOver(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	process, says := child(t, url)
	run := enqueue(t, inserter(t, pool), request(1))
	dead := hear(t, says, "filling")
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	zombie := one[int64](t, pool, "SELECT river_job_id FROM sync_run WHERE id = $1", run)

	cfg := fast(pool)
	rep := &reporter{}
	cfg.Reporter = rep
	work(t, cfg)
	got := await(t, pool, run, twin.Succeeded)
	if got.Attempt != 2 || got.Report.Run == dead {
		t.Errorf("attempt %d published generation %s; the dead one's was %s", got.Attempt, got.Report.Run, dead)
	}
	requireEvents(t, pool, run, "Queued.", "Attempt 1 of 5 started.", "The worker ended unexpectedly; another one takes over.",
		"Attempt 2 of 5 started.", "Published.")
	if n := one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE id = $1 AND metadata ? 'cancel_attempted_at'", zombie); n != 1 {
		t.Error("the dead worker's job is not marked for River to finalise")
	}
	eventually(t, "the places are told", func() bool {
		s := rep.states(run, headSHA(1))
		return len(s) > 0 && s[len(s)-1] == twin.Succeeded
	})
}

func TestAWorkerThatWakesUpLateChangesNothing(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	process, says := child(t, url)
	run := enqueue(t, inserter(t, pool), request(1))
	hear(t, says, "filling")
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	cfg := fast(pool)
	filling, finish := make(chan struct{}), make(chan struct{})
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
		close(filling)
		<-finish
		return twin.Report{Run: l.Token()}, l.Check(ctx)
	})
	work(t, cfg)
	select {
	case <-filling:
	case <-time.After(patience):
		t.Fatal("nobody took over")
	}
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, says, "stopped"); got != "true" {
		t.Error("Check told the late worker that it holds the lease")
	}
	late := getRun(t, pool, run)
	close(finish)
	got := await(t, pool, run, twin.Succeeded)
	if late.State != twin.Running || got.Attempt != 2 {
		t.Errorf("the late worker left the run %s; published by attempt %d", late.State, got.Attempt)
	}
	if state := one[string](t, pool, "SELECT state FROM river.river_job WHERE id = (SELECT river_job_id FROM sync_run WHERE id = $1)", run); state != "completed" {
		t.Errorf("the successor's job is %s", state)
	}
}

func TestStopHandsOverAtOnce(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	cfg := fast(pool)
	// The lease alone would keep the run for an hour.
	cfg.LeaseTTL = time.Hour
	started := make(chan struct{})
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
		l.Progress(twin.Progress{Phase: twin.Load})
		close(started)
		<-ctx.Done()
		return twin.Report{}, errors.New("conn closed") // as pgx would say it
	})
	first := work(t, cfg)
	run := enqueue(t, inserter(t, pool), request(1))
	<-started
	stop(t, first)
	if r := getRun(t, pool, run); r.State != twin.Running {
		t.Errorf("run handed over is %s, want running", r.State)
	}
	cfg.Filler = filler(fillOnce)
	work(t, cfg)
	got := await(t, pool, run, twin.Succeeded)
	if got.Attempt != 1 || got.Failure != nil {
		t.Errorf("attempt %d, failure %+v: a shutdown was counted", got.Attempt, got.Failure)
	}
	requireEvents(t, pool, run, "Queued.", "Attempt 1 of 5 started.", "Handed over: this worker is stopping.", "Attempt 1 of 5 started.", "Published.")
	if n := one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'sync_run'"); n != 1 {
		t.Errorf("%d sync_run jobs, want the same one again", n)
	}
}

func TestDrainLetsARunFinish(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	cfg := fast(pool)
	cfg.Drain = patience
	started, finish := make(chan struct{}), make(chan struct{})
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
		close(started)
		<-finish
		return twin.Report{Run: l.Token()}, ctx.Err()
	})
	q := work(t, cfg)
	run := enqueue(t, inserter(t, pool), request(1))
	<-started
	time.AfterFunc(300*time.Millisecond, func() { close(finish) })
	stop(t, q)
	if r := getRun(t, pool, run); r.State != twin.Succeeded {
		t.Errorf("run is %s after a drained stop", r.State)
	}
}

func TestAnInterruptedRunYieldsToANewerOne(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	cfg := fast(pool)
	cfg.LeaseTTL = time.Hour
	started := make(chan struct{})
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, _ twin.Lease) (twin.Report, error) {
		close(started)
		<-ctx.Done()
		return twin.Report{}, ctx.Err()
	})
	q := work(t, cfg)
	old := enqueue(t, i, request(1))
	<-started
	newer := enqueue(t, i, request(2))
	stop(t, q)
	cfg.Filler = filler(fillOnce)
	work(t, cfg)
	await(t, pool, newer, twin.Succeeded)
	if r := getRun(t, pool, old); r.State != twin.Superseded || r.SupersededBy != newer {
		t.Errorf("interrupted run is %s by %d, want superseded by %d", r.State, r.SupersededBy, newer)
	}
	requireEvents(t, pool, old, "Queued.", "Attempt 1 of 5 started.", "Handed over: this worker is stopping.",
		fmt.Sprintf("Superseded by run %d after an interruption.", newer))
}

func TestARunWhoseWorkersKeepDyingFails(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	run := enqueue(t, inserter(t, pool), request(1))
	execute(t, pool, `UPDATE sync_run SET state = 'running', phase = 'publish', attempt = max_attempts, lease_token = 1, lease_owner = 'dead',
		lease_expires_at = now() - interval '1 h', river_job_id = NULL`)
	execute(t, pool, "DELETE FROM river.river_job WHERE kind = 'sync_run'")
	work(t, fast(pool))
	r := await(t, pool, run, twin.Failed)
	if r.Failure == nil || r.Failure.Code != twin.CodeInternal || r.Failure.Phase != twin.Publish {
		t.Errorf("failure %+v", r.Failure)
	}
	// It may have published before it died.
	if word, _ := r.TwinLeft(); word != "intact" {
		t.Errorf("the Twin is said to be %s", word)
	}
	requireEvents(t, pool, run, "Queued.", "Failed: the worker ended unexpectedly in the last attempt that was left.")
}

func TestAWorkerWithoutDatabaseStopsByItself(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	cfg := fast(pool)
	cfg.LeaseTTL = 6 * time.Second // it ends one second after the work must
	var cause atomic.Value
	started, stopped := make(chan struct{}), make(chan struct{})
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
		close(started)
		<-ctx.Done()
		cause.Store(context.Cause(ctx))
		defer close(stopped)
		return twin.Report{}, l.Check(ctx)
	})
	q, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	enqueue(t, q.Inserter, request(1))
	<-started
	began := time.Now()
	if left := (&lease{q: q}).left(began); left > cfg.LeaseTTL*5/6 {
		t.Errorf("after a heartbeat it goes on for %s, when another worker may begin after %s", left, cfg.LeaseTTL)
	}
	q.beats.Close() // no heartbeat reaches the database any more
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("it went on without a lease")
	}
	if err, _ := cause.Load().(error); !errors.Is(err, twin.ErrLeaseLost) {
		t.Errorf("cause %v, want lease lost", err)
	}
	stop(t, q)
}

// requireEvents wants a run's history to tell all that happened to it.
func requireEvents(t *testing.T, pool *pgxpool.Pool, run int64, want ...string) {
	t.Helper()
	events, err := store.New(pool).Events(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.Message)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events of run %d (-want +got):\n%s", run, diff)
	}
}
