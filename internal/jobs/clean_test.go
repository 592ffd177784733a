package jobs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// cleaner remembers what it was asked to clean. If do is set, it decides.
type cleaner struct {
	do  func(ctx context.Context, idle func(context.Context) error) error
	mu  sync.Mutex
	all []string // target and generation
}

func (c *cleaner) Clean(ctx context.Context, target, generation string, idle func(context.Context) error) error {
	c.mu.Lock()
	c.all = append(c.all, target+" "+generation)
	c.mu.Unlock()
	if c.do != nil {
		return c.do(ctx, idle)
	}
	return idle(ctx)
}

func (c *cleaner) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// cleaning is a worker whose targets are cleaned.
func cleaning(t *testing.T, pool *pgxpool.Pool, c *cleaner, fill filler) *Queue {
	t.Helper()
	cfg := fast(pool)
	cfg.Cleaner, cfg.Filler = c, fill
	return work(t, cfg)
}

func noted(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	return one[int](t, pool, "SELECT count(*) FROM loading_target")
}

// TestWhatMayBeLeftIsCleaned: a run that has ended without publishing may have
// left something, however it ended; a run that has published has not.
func TestWhatMayBeLeftIsCleaned(t *testing.T) {
	t.Parallel()
	fails := func(context.Context, twin.Run, twin.Lease) (twin.Report, error) {
		return twin.Report{}, twin.Refuse("no", "say yes")
	}
	waits := func(ctx context.Context, _ twin.Run, _ twin.Lease) (twin.Report, error) {
		<-ctx.Done()
		return twin.Report{}, ctx.Err()
	}
	for name, c := range map[string]struct {
		fill filler
		ends func(t *testing.T, q *Queue, run int64)
		want int
	}{
		"published": {fill: fillOnce, ends: func(t *testing.T, q *Queue, run int64) {
			t.Helper()
			await(t, q.pool, run, twin.Succeeded)
		}},
		"failed": {fill: fails, want: 1, ends: func(t *testing.T, q *Queue, run int64) {
			t.Helper()
			await(t, q.pool, run, twin.Failed)
		}},
		"cancelled": {fill: waits, want: 1, ends: func(t *testing.T, q *Queue, run int64) {
			t.Helper()
			await(t, q.pool, run, twin.Running)
			check(t, q.Cancel(t.Context(), run, "by a test"))
			await(t, q.pool, run, twin.Cancelled)
		}},
		// As after a kill: the run waits for its next attempt, and that is cancelled.
		"cancelled while it waits again": {
			fill: func(context.Context, twin.Run, twin.Lease) (twin.Report, error) {
				return twin.Report{}, &twin.LaterError{At: time.Now().Add(time.Hour), Err: errors.New("later")}
			}, want: 1, ends: func(t *testing.T, q *Queue, run int64) {
				t.Helper()
				eventually(t, "the run waits again", func() bool { return getRun(t, q.pool, run).NotBefore.After(time.Now()) })
				check(t, q.Cancel(t.Context(), run, "by a test"))
			},
		},
		"its tenant is purged": {fill: waits, want: 1, ends: func(t *testing.T, q *Queue, run int64) {
			t.Helper()
			await(t, q.pool, run, twin.Running)
			eventually(t, "all is purged", func() bool { return q.purge(t.Context(), 11) == nil })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			clean := &cleaner{}
			q := cleaning(t, pool, clean, c.fill)
			c.ends(t, q, enqueue(t, q.Inserter, request(1)))
			eventually(t, "nothing is noted", func() bool { return noted(t, pool) == 0 })
			got := clean.asked()
			if len(got) != c.want {
				t.Errorf("cleaned %q, want %d times", got, c.want)
			}
			if left := one[int](t, pool, "SELECT count(*) FROM sync_run WHERE 'shop-twin ' || generation <> ALL ($1)", got); c.want > 0 && left != 0 {
				t.Errorf("cleaned %q, another attempt came last", got)
			}
		})
	}
}

// TestATargetIsCleanedWhenItIsIdle: not while a run has it or waits for it, and
// not by two at once.
func TestATargetIsCleanedWhenItIsIdle(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	cfg := fast(pool)
	clean := &cleaner{}
	cfg.Cleaner = clean
	q, err := New(cfg)
	check(t, err)
	t.Cleanup(func() { stop(t, q) })
	s := store.New(pool)
	check(t, s.BeginLoading(t.Context(), "shop-twin", "g1"))
	jobs := func() int {
		t.Helper()
		check(t, q.sweepTargets(t.Context()))
		return one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'clean_target'")
	}
	run := enqueue(t, q.Inserter, request(1))
	for _, state := range []string{"state = 'queued'", "state = 'running', lease_token = 1, lease_expires_at = now()"} {
		execute(t, pool, "UPDATE sync_run SET "+state+" WHERE id = $1", run)
		if n := jobs(); n != 0 {
			t.Fatalf("%d jobs, though the run's %s", n, state)
		}
	}
	execute(t, pool, "UPDATE sync_run SET state = 'failed', lease_token = NULL, lease_expires_at = NULL, finished_at = now() WHERE id = $1", run)
	if n := jobs() + jobs(); n != 2 {
		t.Fatalf("%d jobs after the first sweep and after the second, want the same one", n)
	}

	// One that begins while it is cleaned: the note stays, for that one's end.
	l, err := s.Loading(t.Context(), one[int64](t, pool, "SELECT id FROM loading_target"))
	check(t, err)
	w := &cleanWorker{q: q}
	check(t, w.idle(t.Context(), l))
	check(t, s.BeginLoading(t.Context(), "shop-twin", "g2"))
	if err := w.idle(t.Context(), l); !errors.Is(err, errBusy) {
		t.Errorf("after another attempt: %v", err)
	}
	check(t, s.EndLoading(t.Context(), l.Target, l.Generation))
	check(t, s.CleanLater(t.Context(), l, time.Hour, "x"))
	if due := one[bool](t, pool, "SELECT clean_at <= now() AND tries = 0 FROM loading_target WHERE generation = 'g2'"); !due {
		t.Error("what became of the attempt before counts for the next one")
	}
	execute(t, pool, "INSERT INTO loading_target (target, generation) VALUES ('other', 'g3')")
	enqueue(t, q.Inserter, request(2))
	if due, err := s.DueLoading(t.Context(), 10); err != nil || len(due) != 1 {
		t.Errorf("due are %v, %v: want the other one alone", due, err)
	}
}

// TestATargetIsCleanedLater: later and later while it is in vain, and no more
// once nothing can be done. A job that is lost is made anew.
func TestATargetIsCleanedLater(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	clean := &cleaner{}
	var refuse atomic.Bool
	clean.do = func(context.Context, func(context.Context) error) error {
		if refuse.Load() {
			return twin.Refuse("there is no such target", "name it")
		}
		return errors.New("no \x00 answer")
	}
	check(t, store.New(pool).BeginLoading(t.Context(), "shop-twin", "g1"))
	cleaning(t, pool, clean, fillOnce)
	next := func() time.Time { return one[time.Time](t, pool, "SELECT clean_at FROM loading_target") }
	tries := func() int { return one[int](t, pool, "SELECT tries FROM loading_target") }
	eventually(t, "it was tried", func() bool { return tries() == 1 })
	first := next()
	execute(t, pool, "UPDATE loading_target SET clean_at = now()")
	eventually(t, "it was tried again", func() bool { return tries() == 2 })
	if later := next().Sub(first); later < cleanWait {
		t.Errorf("the wait has grown by %s, though it doubles", later)
	}
	if problem := one[string](t, pool, "SELECT error FROM loading_target"); problem == "" {
		t.Error("it is not noted why")
	}
	execute(t, pool, "UPDATE loading_target SET tries = 100")
	refuse.Store(true)
	execute(t, pool, "UPDATE loading_target SET clean_at = now()")
	eventually(t, "it is given up", func() bool { return noted(t, pool) == 0 })
}
