package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

func TestMain(m *testing.M) {
	if url := os.Getenv("NEONTWIN_TEST_WORKER"); url != "" {
		childWorker(url)
		return
	}
	pgtest.Main(m)
}

// patience is how long a test waits for what should happen soon.
const patience = 60 * time.Second

// database gives a migrated database.
func database(t *testing.T) (url string, pool *pgxpool.Pool) {
	t.Helper()
	url = pgtest.URL(t)
	pool = openPool(t, url)
	if err := Migrate(t.Context(), pool, quiet()); err != nil {
		t.Fatal(err)
	}
	return url, pool
}

func openPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 10
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func inserter(t *testing.T, pool *pgxpool.Pool) *Inserter {
	t.Helper()
	i, err := NewInserter(pool, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// fast is a configuration whose times suit a test.
func fast(pool *pgxpool.Pool) Config {
	return Config{
		Pool: pool, Logger: quiet(),
		Decider: decider(nil), Filler: filler(fillOnce), Reporter: &reporter{},
		// Long enough for a machine that stands still for a while. A test that
		// needs a lease to end says so.
		LeaseTTL: time.Minute, HeartbeatEvery: 200 * time.Millisecond, SweepEvery: 250 * time.Millisecond,
		ProgressEvery: 100 * time.Millisecond, StaleAfter: time.Second, RetryAfter: 50 * time.Millisecond,
	}
}

// work starts a worker that is stopped when the test ends.
func work(t *testing.T, cfg Config) *Queue {
	t.Helper()
	q, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, q) })
	return q
}

func stop(t *testing.T, q *Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := q.Stop(ctx); err != nil {
		t.Error(err)
	}
}

type decider func(context.Context, twin.Delivery) (twin.Decision, error)

func (d decider) Decide(ctx context.Context, dl twin.Delivery) (twin.Decision, error) {
	return d(ctx, dl)
}

// Order follows the numbers that request makes commits of.
func (d decider) Order(_ context.Context, _ twin.Repository, a, b string) (int, error) {
	return strings.Compare(a, b), nil
}

// Scheduled is decided like a delivery of that name. A repository's file says
// nothing of Twins.
func (d decider) Scheduled(ctx context.Context, repo twin.Repository, name string) (twin.Decision, error) {
	if name == "" {
		return twin.Decision{Reason: "no Twin has this name"}, nil
	}
	return d(ctx, twin.Delivery{Event: "schedule", Action: name, RepositoryID: repo.ID})
}

type filler func(context.Context, twin.Run, twin.Lease) (twin.Report, error)

func (f filler) Fill(ctx context.Context, r twin.Run, l twin.Lease) (twin.Report, error) {
	return f(ctx, r, l)
}

// fillOnce publishes at once.
func fillOnce(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
	l.Progress(twin.Progress{Phase: twin.Load})
	if err := l.Check(ctx); err != nil {
		return twin.Report{}, err
	}
	return twin.Report{Run: l.Token(), Tables: []twin.TableReport{{Table: "public.a", Rows: 7}}}, nil
}

// told is what a reporter was asked to tell.
type told struct {
	Run   int64
	SHA   string
	State twin.State
	Phase twin.Phase
	Check int64 // the check run's id as the caller knew it
}

// reporter remembers what it was asked to tell. If fail is set, it decides.
type reporter struct {
	fail func(twin.Run, twin.Place) error
	mu   sync.Mutex
	all  []told
}

func (r *reporter) Report(_ context.Context, run twin.Run, p twin.Place, check int64) (int64, error) {
	if r.fail != nil {
		if err := r.fail(run, p); err != nil {
			return check, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, told{run.ID, p.SHA, run.State, run.Phase, check})
	if check == 0 {
		check = int64(1000 + len(r.all))
	}
	return check, nil
}

// states gives the states told for a run on a commit, repetitions dropped.
func (r *reporter) states(run int64, sha string) []twin.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	var states []twin.State
	for _, t := range r.all {
		if t.Run == run && t.SHA == sha {
			states = append(states, t.State)
		}
	}
	return slices.Compact(states)
}

var day = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// request asks for the Twin "staging" at commit n: commits follow each other
// by a minute.
func request(n int) twin.Request {
	sha := fmt.Sprintf("%040d", n)
	return twin.Request{
		Repo:    twin.Repository{InstallationID: 11, ID: 22, Owner: "acme", Name: "shop", DefaultBranch: "main"},
		Spec:    twin.Spec{Name: "staging", Source: "prod", Target: "shop-twin", Mode: twin.Full},
		Trigger: twin.PullRequest, Ref: "refs/heads/main", SHA: sha, PR: n,
		At:     day.Add(time.Duration(n) * time.Minute),
		Places: []twin.Place{{Role: twin.Head, SHA: headSHA(n), PR: n}, {Role: twin.Merge, SHA: sha}},
	}
}

func headSHA(n int) string { return fmt.Sprintf("head%036d", n) }

// push is the same fact as request, told by a push.
func push(n int) twin.Request {
	r := request(n)
	r.Trigger, r.PR, r.Places = twin.Push, 0, r.Places[1:]
	return r
}

func enqueue(t *testing.T, i *Inserter, r twin.Request) int64 {
	t.Helper()
	run, err := i.Enqueue(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func getRun(t *testing.T, pool *pgxpool.Pool, id int64) twin.Run {
	t.Helper()
	run, err := store.New(pool).Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// await waits until a run is in a state.
func await(t *testing.T, pool *pgxpool.Pool, id int64, want twin.State) twin.Run {
	t.Helper()
	var run twin.Run
	eventually(t, fmt.Sprintf("run %d %s", id, want), func() bool {
		run = getRun(t, pool, id)
		return run.State == want
	})
	return run
}

// eventually waits until something is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	within(t, patience, what, ok)
}

// within waits for something to become true that takes its time.
func within(t *testing.T, most time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(most)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("did not happen in %s: %s", most, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// one reads a single value.
func one[T any](t *testing.T, pool *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := pool.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
