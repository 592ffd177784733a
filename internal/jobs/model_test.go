package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/neontwin/neontwin/internal/twin"
)

// TestManyWorkersManyTwins lets three workers, of which one is replaced again
// and again, work on a random history of requests told twice and in any order.
func TestManyWorkersManyTwins(t *testing.T) {
	t.Parallel()
	const twins, commits = 3, 40
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	_, pool := database(t)
	var mu sync.Mutex
	busy := map[string]bool{}
	cfg := fast(pool)
	cfg.SyncConcurrency = 2
	cfg.Filler = filler(func(ctx context.Context, r twin.Run, l twin.Lease) (twin.Report, error) {
		mu.Lock()
		if busy[r.Spec.Target] {
			t.Errorf("two runs fill %s", r.Spec.Target)
		}
		busy[r.Spec.Target] = true
		dice := random.IntN(10)
		mu.Unlock()
		defer func() { mu.Lock(); delete(busy, r.Spec.Target); mu.Unlock() }()
		select {
		case <-ctx.Done():
			return twin.Report{}, ctx.Err()
		case <-time.After(time.Duration(5*dice) * time.Millisecond):
		}
		if dice == 0 {
			return twin.Report{}, errors.New("the source went away")
		}
		return fillOnce(ctx, r, l)
	})
	rep := &reporter{}
	cfg.Reporter = rep
	work(t, cfg)
	work(t, cfg)

	var history []twin.Request
	for n := range commits {
		for k := range twins {
			r, p := request(n), push(n)
			for _, x := range []*twin.Request{&r, &p} {
				x.Spec.Name, x.Spec.Target = fmt.Sprint("twin", k), fmt.Sprint("target", k)
			}
			history = append(history, r, p)
		}
	}
	// Neighbours change places: late and reordered, as GitHub delivers.
	for i := range history {
		j := max(0, i-random.IntN(12))
		history[i], history[j] = history[j], history[i]
	}
	i := inserter(t, pool)
	var tellers errgroup.Group
	for part := range 4 {
		tellers.Go(func() error {
			for n := part; n < len(history); n += 4 {
				if _, err := i.Enqueue(t.Context(), history[n]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range 3 {
		stop(t, work(t, cfg))
	}
	if err := tellers.Wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "every Twin is published at its newest commit", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM sync_run WHERE state = 'succeeded' AND sha = $1", request(commits-1).SHA) == twins
	})
	eventually(t, "every place is told", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM check_publication WHERE wanted_version > posted_version") == 0
	})
	if n := one[int](t, pool, "SELECT count(*) FROM sync_run WHERE state IN ('queued', 'running', 'failed', 'cancelled')"); n != 0 {
		t.Errorf("%d runs have not ended well", n)
	}
	if n := one[int](t, pool, "SELECT count(*) FROM sync_run"); n != twins*commits {
		t.Errorf("%d runs, want one for each fact: %d", n, twins*commits)
	}
	rep.mu.Lock()
	defer rep.mu.Unlock()
	final := map[string]twin.State{}
	for _, x := range rep.all {
		key := fmt.Sprint(x.Run, x.SHA)
		if last := final[key]; last != "" && last.Terminal() && !x.State.Terminal() {
			t.Errorf("run %d on %s was told %s after %s", x.Run, x.SHA, x.State, last)
		}
		final[key] = x.State
	}
	if len(final) != 2*twins*commits {
		t.Errorf("%d places were told, want %d", len(final), 2*twins*commits)
	}
}
