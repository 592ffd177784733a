package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// github is what a test's GitHub shows.
type github struct {
	mu       sync.Mutex
	attempts []twin.Attempt // newest first
	perPage  int
	pages    int     // that were read
	asked    []int64 // attempts whose webhook was asked for again
	refuse   error   // of asking

	suspended map[int64]bool // installations; absent means uninstalled
	repos     map[int64]twin.Sight
	err       error // of everything

	missing func(branch string, known twin.Known) twin.Missing
	looked  []string // branches
}

func (g *github) Attempts(_ context.Context, cursor string) ([]twin.Attempt, string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pages++
	from := 0
	if cursor != "" {
		from, _ = strconv.Atoi(cursor)
	}
	to := min(from+g.perPage, len(g.attempts))
	next := ""
	if to < len(g.attempts) {
		next = strconv.Itoa(to)
	}
	return g.attempts[from:to], next, g.err
}

func (g *github) Redeliver(_ context.Context, id int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, id)
	return g.refuse
}

func (g *github) Installation(_ context.Context, id int64) (twin.Installation, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	suspended, there := g.suspended[id]
	switch {
	case g.err != nil:
		return twin.Installation{}, g.err
	case !there:
		return twin.Installation{}, twin.ErrUnreachable
	}
	return twin.Installation{ID: id, Suspended: suspended}, nil
}

func (g *github) Repository(_ context.Context, repo twin.Repository) (twin.Sight, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, there := g.repos[repo.ID]
	suspended, installed := g.suspended[repo.InstallationID]
	switch {
	case g.err != nil:
		return twin.Sight{}, g.err
	case !there || suspended || !installed || s.InstallationID != repo.InstallationID:
		return twin.Sight{}, twin.ErrUnreachable
	}
	return s, nil
}

func (g *github) Find(_ context.Context, owner, name string) (twin.Sight, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.repos {
		if strings.EqualFold(s.FullName(), owner+"/"+name) {
			return s, g.err
		}
	}
	return twin.Sight{}, twin.ErrUnreachable
}

func (g *github) Missing(_ context.Context, repo twin.Repository, branch string, known twin.Known) (twin.Missing, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looked = append(g.looked, branch)
	if g.missing == nil {
		return twin.Missing{Head: twin.Fact{Repo: repo, Ref: "refs/heads/" + branch, SHA: fmt.Sprintf("%040d", 0), At: day}}, nil
	}
	return g.missing(branch, known), nil
}

func (g *github) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// shop is the repository of request, which an installation can see.
func newGitHub() *github {
	return &github{
		perPage: 100, suspended: map[int64]bool{11: false},
		repos: map[int64]twin.Sight{22: {Repository: request(0).Repo}},
	}
}

func (g *github) catchUp() CatchUp {
	return CatchUp{
		Deliveries: g, Truth: g, Watcher: g, Every: time.Minute,
		Acts: func(event, _ string) bool { return event != "ping" }, Repositories: []string{"Acme/Shop"},
	}
}

// watcher is a worker that does nothing by itself.
func watcher(t *testing.T, pool *pgxpool.Pool, g *github, change ...func(*Config)) *Queue {
	t.Helper()
	cfg := fast(pool)
	cfg.CatchUp = g.catchUp()
	for _, f := range change {
		f(&cfg)
	}
	q, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, q) })
	return q
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestMissedWebhooksAreAskedForAgain: those that no attempt could deliver, that
// may lead to something, and that are not here; the newest first.
func TestMissedWebhooksAreAskedForAgain(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	now := time.Now().UTC().Truncate(time.Second)
	g := newGitHub()
	g.perPage = 3
	attempt := func(id int64, guid string, ok bool, ago time.Duration) twin.Attempt {
		return twin.Attempt{ID: id, GUID: guid, Event: "push", InstallationID: 11, At: now.Add(-ago), OK: ok}
	}
	g.attempts = []twin.Attempt{
		attempt(19, "new", false, time.Minute),
		attempt(18, "delivered-later", true, 2*time.Minute),
		attempt(17, "tried-twice", false, 3*time.Minute),
		{ID: 16, GUID: "idle", Event: "ping", At: now.Add(-3 * time.Minute)},
		attempt(15, "delivered-later", false, 4*time.Minute),
		attempt(14, "known", false, 5*time.Minute),
		attempt(13, "tried-twice", false, 6*time.Minute),
		attempt(12, "old", false, 71*time.Hour),
		attempt(11, "too-old", false, 73*time.Hour),
		attempt(10, "never-read", false, 74*time.Hour),
		attempt(9, "never-read", false, 75*time.Hour),
		attempt(8, "never-read", false, 75*time.Hour),
		attempt(7, "never-read", false, 75*time.Hour),
	}
	q := watcher(t, pool, g)
	check(t, q.Deliver(t.Context(), twin.Delivery{GUID: "known", Event: "push", InstallationID: 11, Body: []byte("{}")}))
	point, err := q.missedDeliveries(t.Context(), time.Time{})
	check(t, err)
	if want := []int64{19, 17, 12}; !slices.Equal(g.asked, want) {
		t.Errorf("asked for %v, want %v", g.asked, want)
	}
	if !point.Equal(now.Add(-time.Minute)) || g.pages != 4-1 {
		t.Errorf("came to %s after %d pages", point, g.pages)
	}

	// From the point on little is read; nothing is asked for before its time.
	g.asked, g.pages = nil, 0
	_, err = q.missedDeliveries(t.Context(), point)
	check(t, err)
	if len(g.asked) != 0 || g.pages != 3 {
		t.Errorf("asked for %v after %d pages", g.asked, g.pages)
	}

	// What comes in meanwhile is missed no more, stored or not.
	check(t, q.Deliver(t.Context(), twin.Delivery{GUID: "new", Event: "push", InstallationID: 11, Body: []byte("{}")}))
	g.attempts = append([]twin.Attempt{attempt(20, "tried-twice", true, 0)}, g.attempts...)
	_, err = q.missedDeliveries(t.Context(), point)
	check(t, err)
	if got := one[string](t, pool, "SELECT string_agg(guid, ' ' ORDER BY guid) FROM missed_delivery"); got != "old" {
		t.Errorf("still missed: %s", got)
	}

	// It is asked for five times, later and later.
	g.refuse = twin.ErrUnreachable
	for range 10 {
		execute(t, pool, "UPDATE missed_delivery SET ask_at = now()")
		_, err = q.missedDeliveries(t.Context(), point)
		check(t, err)
	}
	if n := one[int](t, pool, "SELECT tries FROM missed_delivery"); n != askTries || len(g.asked) != askTries-1 {
		t.Errorf("asked for %d times, %v", n, g.asked)
	}
	if wait := one[float64](t, pool, "SELECT extract(epoch FROM ask_at - now())::float8 FROM missed_delivery WHERE error IS NOT NULL"); wait > 60*(1<<(askTries-1)) {
		t.Errorf("the next time would be in %f s", wait)
	}

	// A limit stops it, without a try being counted.
	execute(t, pool, "UPDATE missed_delivery SET ask_at = now(), tries = 1")
	g.refuse = &twin.LaterError{At: time.Now().Add(time.Hour), Err: errors.New("limit")}
	if _, err = q.missedDeliveries(t.Context(), point); !errors.As(err, new(*twin.LaterError)) {
		t.Errorf("got %v", err)
	}
	if n := one[int](t, pool, "SELECT tries FROM missed_delivery"); n != 1 {
		t.Errorf("%d tries", n)
	}
}

// TestGitHubsClockIsSetBack: what could not be delivered since is older than
// what was seen before.
func TestGitHubsClockIsSetBack(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	now := time.Now().UTC().Truncate(time.Second)
	g := newGitHub()
	g.perPage = 10
	g.attempts = []twin.Attempt{
		{ID: 2, GUID: "after", Event: "push", InstallationID: 11, At: now.Add(-3 * time.Hour)},
		{ID: 1, GUID: "before", Event: "push", InstallationID: 11, At: now.Add(-time.Minute), OK: true},
	}
	q := watcher(t, pool, g)
	point, err := q.missedDeliveries(t.Context(), now.Add(-time.Minute))
	check(t, err)
	if !slices.Equal(g.asked, []int64{2}) {
		t.Errorf("asked for %v, come to %s", g.asked, point)
	}
}

// TestAChoreIsDoneByOneProcessAtATime, also after one has died at it.
func TestAChoreIsDoneByOneProcessAtATime(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := watcher(t, pool, newGitHub())
	s := store.New(pool)
	check(t, s.ChoreSoon(t.Context(), "x"))
	point := day.Add(time.Second)
	done := 0
	do := func(context.Context, time.Time) (time.Time, error) { done++; return point, nil }
	var inner error
	check(t, q.chore(t.Context(), "x", func(ctx context.Context, from time.Time) (time.Time, error) {
		if !from.IsZero() {
			t.Errorf("it begins at %s", from)
		}
		inner = q.chore(ctx, "x", do)
		return point, nil
	}))
	check(t, inner)
	check(t, q.chore(t.Context(), "x", do))
	if done != 0 {
		t.Error("it was done while somebody was at it, or before it was due")
	}
	check(t, s.ChoreSoon(t.Context(), "x"))
	check(t, q.chore(t.Context(), "x", func(_ context.Context, from time.Time) (time.Time, error) {
		if !from.Equal(point) {
			t.Errorf("it goes on at %s, want %s", from, point)
		}
		return time.Time{}, &twin.LaterError{At: time.Now().Add(time.Hour), Err: errors.New("limit")}
	}))
	if wait := one[float64](t, pool, "SELECT extract(epoch FROM next_at - now())::float8 FROM chore WHERE point = $1", point); wait < 3500 {
		t.Errorf("a limit of an hour is waited for for %f s", wait)
	}
	execute(t, pool, "UPDATE chore SET next_at = now(), held_until = now() + interval '1 minute'") // its process has died
	check(t, q.chore(t.Context(), "x", do))
	execute(t, pool, "UPDATE chore SET held_until = now()")
	check(t, q.chore(t.Context(), "x", do))
	if done != 1 {
		t.Errorf("it was done %d times, want once", done)
	}
}

// TestALookFindsWhatNobodyTold: a branch is noted when it is first seen; what
// comes later is delivered, once for a fact, until it is decided about.
func TestALookFindsWhatNobodyTold(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	g := newGitHub()
	decided := func(reach bool) decider {
		return func(_ context.Context, d twin.Delivery) (twin.Decision, error) {
			if !reach {
				return twin.Decision{Reason: "out of reach"}, nil
			}
			r := push(1)
			return twin.Decision{Requests: []twin.Request{r}, Fact: &twin.Fact{Repo: r.Repo, Ref: r.Ref, SHA: r.SHA, At: r.At}}, nil
		}
	}
	reach := false
	q := watcher(t, pool, g, func(c *Config) {
		c.Decider = decider(func(ctx context.Context, d twin.Delivery) (twin.Decision, error) { return decided(reach)(ctx, d) })
	})
	if _, err := q.findNames(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, pool, "SELECT ref || ' ' || sha FROM judged"); got != "refs/heads/main "+fmt.Sprintf("%040d", 0) {
		t.Fatalf("noted %s", got)
	}
	g.missing = func(_ string, known twin.Known) twin.Missing {
		if known.Pushed.SHA == push(1).SHA {
			return twin.Missing{Head: known.Pushed}
		}
		return twin.Missing{Deliveries: []twin.Delivery{{GUID: "catchup-1", Event: "push", InstallationID: 11, RepositoryID: 22, Body: []byte("{}")}}}
	}
	look := func() {
		t.Helper()
		check(t, q.look(t.Context(), store.Watched{Repo: request(0).Repo, State: store.Active}))
		q.workOff(t)
	}
	look()
	look() // GitHub could not be asked: the delivery is taken up again
	if n := one[int](t, pool, "SELECT count(*) FROM sync_run"); n != 0 {
		t.Errorf("%d runs of what nobody could look at", n)
	}
	reach = true
	look()
	look()
	if n := one[int](t, pool, "SELECT count(*) FROM sync_run"); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
	if n := one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'webhook_process'"); n != 3 {
		t.Errorf("%d jobs for the delivery, want one for each look until it was decided about", n)
	}
}

// workOff processes all deliveries.
func (q *Queue) workOff(t *testing.T) {
	t.Helper()
	rows, err := q.pool.Query(t.Context(), "SELECT guid FROM webhook_delivery WHERE processed_at IS NULL")
	check(t, err)
	var guids []string
	for rows.Next() {
		var guid string
		check(t, rows.Scan(&guid))
		guids = append(guids, guid)
	}
	w := &webhookWorker{q: q}
	for _, guid := range guids {
		d, _, err := store.New(q.pool).Delivery(t.Context(), guid)
		check(t, err)
		reason, err := w.process(t.Context(), d)
		check(t, err)
		check(t, store.New(q.pool).FinishDelivery(t.Context(), guid, reason))
	}
}

// TestTrackedBranches: those that triggers name as they are, few of them.
func TestTrackedBranches(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	g := newGitHub()
	q := watcher(t, pool, g)
	r := push(1)
	r.Spec.On.Push = &twin.BranchTrigger{Branches: []string{"main", "release", "feature/*", "v[12]"}}
	r.Spec.On.PullRequest = &twin.BranchTrigger{Branches: []string{"stable/1"}}
	enqueue(t, q.Inserter, r)
	r = push(2)
	r.Spec.On.Push = &twin.BranchTrigger{Branches: []string{"main", "release", "feature/*", "v[12]"}}
	r.Spec.On.PullRequest = &twin.BranchTrigger{Branches: []string{"stable/1"}}
	r.Ref = "refs/heads/feature/a" // only a pattern names it, but it had a run
	enqueue(t, q.Inserter, r)
	check(t, q.looks(t.Context()))
	slices.Sort(g.looked)
	if want := []string{"feature/a", "main", "release", "stable/1"}; !slices.Equal(g.looked, want) {
		t.Errorf("looked at %v, want %v", g.looked, want)
	}
	g.looked = nil
	check(t, q.looks(t.Context()))
	if len(g.looked) > 0 {
		t.Errorf("looked again at once at %v", g.looked)
	}
}

// TestJudgedIsTheLatestPush, whatever the order of arrival; a branch that comes
// back to a commit is there again.
func TestJudgedIsTheLatestPush(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := watcher(t, pool, newGitHub())
	s := store.New(pool)
	repo := request(0).Repo
	judge := func(n int, minutes int, pr int) {
		t.Helper()
		check(t, s.Judge(t.Context(), twin.Fact{Repo: repo, Ref: "refs/heads/main", SHA: fmt.Sprintf("%040d", n), PR: pr, At: day.Add(time.Duration(minutes) * time.Minute)}))
	}
	judge(1, 0, 0)
	if j, err := s.Judged(t.Context(), repo, "refs/heads/main"); err != nil || j.Pushed.SHA != "" {
		t.Errorf("kept %+v, %v of a repository without a Twin", j, err)
	}
	enqueue(t, q.Inserter, push(1))
	judge(3, 3, 0)
	judge(2, 2, 0)
	judge(3, 3, 7)
	j, err := s.Judged(t.Context(), repo, "refs/heads/main")
	if err != nil || j.Pushed.SHA != fmt.Sprintf("%040d", 3) || len(j.Merged) != 1 || j.Merged[0].PR != 7 {
		t.Errorf("got %+v, %v", j, err)
	}
	judge(2, 5, 0)
	if j, err = s.Judged(t.Context(), repo, "refs/heads/main"); err != nil || j.Pushed.SHA != fmt.Sprintf("%040d", 2) {
		t.Errorf("after the branch came back: %+v, %v", j, err)
	}
	// What is old goes, but for the latest push.
	execute(t, pool, "UPDATE judged SET at = at - interval '1 year', judged_at = judged_at - interval '1 year'")
	if n, err := s.DropJudged(t.Context()); err != nil || n != 2 {
		t.Errorf("dropped %d, %v", n, err)
	}
	j, err = s.Judged(t.Context(), repo, "refs/heads/main")
	if err != nil || j.Pushed.SHA != fmt.Sprintf("%040d", 2) || time.Since(j.Since) > 15*24*time.Hour {
		t.Errorf("kept %+v, %v", j, err)
	}
}
