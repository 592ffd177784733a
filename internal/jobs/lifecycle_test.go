package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// everything counts what is kept for a tenant.
const everything = `SELECT (SELECT count(*) FROM twin) + (SELECT count(*) FROM sync_run) + (SELECT count(*) FROM check_publication)
	+ (SELECT count(*) FROM webhook_delivery) + (SELECT count(*) FROM judged) + (SELECT count(*) FROM repository) + (SELECT count(*) FROM missed_delivery)`

// TestAPurgeWaitsForARunThatPublishes, and takes nothing of another tenant's.
func TestAPurgeWaitsForARunThatPublishes(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	g := newGitHub()
	publishing, let := make(chan struct{}), make(chan struct{})
	q := work(t, func() Config {
		cfg := fast(pool)
		cfg.CatchUp = g.catchUp()
		cfg.CatchUp.Every = 200 * time.Millisecond
		cfg.Decider = decider(func(context.Context, twin.Delivery) (twin.Decision, error) { return twin.Decision{Reason: "no"}, nil })
		cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
			l.Progress(twin.Progress{Phase: twin.Publish})
			check(t, l.Check(ctx))
			close(publishing)
			<-let
			return twin.Report{Run: l.Token()}, nil
		})
		return cfg
	}())
	other := push(1)
	other.Repo.ID, other.Repo.InstallationID, other.Spec.Target = 33, 44, "other-twin"
	other.Refusal = twin.Refuse("no", "never")
	g.set(func() {
		g.suspended[44] = false
		g.repos[33] = twin.Sight{Repository: other.Repo}
	})
	run := enqueue(t, q.Inserter, request(1))
	<-publishing
	enqueue(t, q.Inserter, other)
	waiting := enqueue(t, q.Inserter, request(2))
	check(t, q.Deliver(t.Context(), twin.Delivery{GUID: "1", Event: "x", InstallationID: 11, Body: []byte("{}")}))
	g.set(func() { delete(g.suspended, 11) })
	eventually(t, "the run that waits is cancelled", func() bool { return getRun(t, pool, waiting).State == twin.Cancelled })
	if err := q.purge(t.Context(), 11); !errors.As(err, new(*twin.LaterError)) {
		t.Errorf("a purge beside a run that publishes: %v", err)
	}
	if r := getRun(t, pool, run); r.State != twin.Running {
		t.Errorf("the run that publishes is %s", r.State)
	}
	close(let)
	eventually(t, "the tenant is purged", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM twin WHERE installation_id = 11") == 0
	})
	if n := one[int](t, pool, "SELECT count(*) FROM sync_run r JOIN twin t ON t.id = r.twin_id WHERE t.installation_id = 44"); n != 1 {
		t.Errorf("%d runs of the other tenant are left, want 1", n)
	}
	g.set(func() { delete(g.suspended, 44) })
	execute(t, pool, "UPDATE repository SET look_at = now()")
	eventually(t, "nothing is left", func() bool { return one[int](t, pool, everything) == 0 })
}

// TestOneWrongAnswerPurgesNothing: a 404 of GitHub's may be a fault of its own.
func TestOneWrongAnswerPurgesNothing(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	g := newGitHub()
	q := watcher(t, pool, g)
	run := enqueue(t, q.Inserter, request(1))
	changed := twin.Changed{InstallationID: 11}
	for range 2 {
		g.set(func() { delete(g.suspended, 11) })
		if err := q.installationChanged(t.Context(), changed); !errors.As(err, new(*twin.LaterError)) {
			t.Errorf("it seems to be gone: %v", err)
		}
		g.set(func() { g.suspended[11] = false })
		check(t, q.installationChanged(t.Context(), changed))
	}
	if r := getRun(t, pool, run); r.State != twin.Queued {
		t.Errorf("the run is %s", r.State)
	}
	g.set(func() { delete(g.suspended, 11) })
	for _, wrong := range []string{"seen_at = now() - interval '1 day', since = now() - interval '1 day'", "since = now() - interval '1 h'", "since = now() - interval '1 h', said = 4"} {
		if n := one[int](t, pool, "SELECT count(*) FROM twin"); n != 1 {
			t.Errorf("%d Twins are left", n)
		}
		if err := q.installationChanged(t.Context(), changed); !errors.As(err, new(*twin.LaterError)) {
			t.Errorf("it seems to be gone: %v", err)
		}
		execute(t, pool, "UPDATE installation_gone SET "+wrong)
	}
	check(t, q.installationChanged(t.Context(), changed))
	if n := one[int](t, pool, everything); n != 0 {
		t.Errorf("%d rows are left of a tenant that is gone", n)
	}
}

// TestOutOfReachThenBack: reports wait, schedules rest, and when access comes
// back what could not be told is told; but not for ever.
func TestOutOfReachThenBack(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(g *github, away bool){
		"suspended": func(g *github, away bool) { g.suspended[11] = away },
		"archived":  func(g *github, away bool) { s := g.repos[22]; s.Archived = away; g.repos[22] = s },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outOfReachThenBack(t, set)
		})
	}
}

func outOfReachThenBack(t *testing.T, set func(g *github, away bool)) {
	t.Helper()
	_, pool := database(t)
	g := newGitHub()
	q := watcher(t, pool, g)
	run := enqueue(t, q.Inserter, request(1))
	check(t, q.looks(t.Context()))
	s := store.New(pool)
	paused := func() bool {
		t.Helper()
		return one[bool](t, pool, "SELECT paused_at IS NOT NULL FROM twin")
	}
	unreachable := func() int {
		t.Helper()
		return one[int](t, pool, "SELECT count(*) FROM check_publication WHERE unreachable_at IS NOT NULL")
	}
	for i := range maxRevivalsTried {
		g.set(func() { set(g, true) })
		check(t, s.NotPosted(t.Context(), run, headSHA(1), "out of reach", true))
		check(t, q.changed(t.Context(), &twin.Changed{InstallationID: 11}))
		check(t, q.looks(t.Context()))
		if !paused() || unreachable() != 1 {
			t.Fatalf("out of reach: paused %t, %d places unreachable", paused(), unreachable())
		}
		if st := getRun(t, pool, run).State; st != twin.Queued {
			t.Fatalf("a run that was accepted is %s", st)
		}
		g.set(func() { set(g, false) })
		check(t, q.changed(t.Context(), &twin.Changed{InstallationID: 11, Returned: true}))
		check(t, q.looks(t.Context()))
		want := 0
		if i >= 5 {
			want = 1 // it may be out of reach for reasons of its own
		}
		if paused() || unreachable() != want {
			t.Fatalf("back for the %d. time: paused %t, %d places unreachable", i+1, paused(), unreachable())
		}
	}
	// Told late, what is over changes nothing.
	check(t, q.changed(t.Context(), &twin.Changed{InstallationID: 11}))
	check(t, q.looks(t.Context()))
	if paused() {
		t.Error("what is over has paused the Twin")
	}
}

const maxRevivalsTried = 6

// TestWhatHappensToARepository is asked of GitHub, whatever the event says.
func TestWhatHappensToARepository(t *testing.T) {
	t.Parallel()
	shop := request(0).Repo
	elsewhere := shop
	elsewhere.InstallationID, elsewhere.Owner = 44, "umbrella"
	for name, c := range map[string]struct {
		happens func(*github)
		told    twin.Changed
		state   string // of the repository
		run     twin.State
		twin    string // what stands in its row
		target  bool
	}{
		"renamed": {
			happens: func(g *github) { s := g.repos[22]; s.Name, s.DefaultBranch = "boutique", "main"; g.repos[22] = s },
			told:    twin.Changed{InstallationID: 11, Repo: shop}, state: "active", run: twin.Queued, twin: "11 acme/boutique", target: true,
		},
		"archived": {
			happens: func(g *github) { s := g.repos[22]; s.Archived = true; g.repos[22] = s },
			told:    twin.Changed{InstallationID: 11, Repo: shop}, state: "archived", run: twin.Queued, twin: "11 acme/shop archived", target: true,
		},
		"deleted": {
			happens: func(g *github) { delete(g.repos, 22) },
			told:    twin.Changed{InstallationID: 11, Repo: shop}, state: "removed", run: twin.Cancelled, twin: "11 acme/shop removed",
		},
		"said to be deleted": {
			happens: func(*github) {},
			told:    twin.Changed{InstallationID: 11, Repo: shop}, state: "active", run: twin.Queued, twin: "11 acme/shop", target: true,
		},
		"transferred": {
			happens: func(g *github) { g.suspended[44] = false; g.repos[22] = twin.Sight{Repository: elsewhere} },
			told:    twin.Changed{InstallationID: 44, Repo: elsewhere}, state: "active", run: twin.Cancelled, twin: "44 umbrella/shop",
		},
		"said to be transferred": {
			happens: func(g *github) { g.suspended[44] = false },
			told:    twin.Changed{InstallationID: 44, Repo: elsewhere}, state: "active", run: twin.Queued, twin: "11 acme/shop", target: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			g := newGitHub()
			q := watcher(t, pool, g)
			run := enqueue(t, q.Inserter, request(1))
			check(t, q.looks(t.Context()))
			g.set(func() { c.happens(g) })
			for range 2 { // events come twice
				q.lookUntilSure(t, c.told)
			}
			if got := one[string](t, pool, "SELECT state FROM repository"); got != c.state {
				t.Errorf("the repository is %s, want %s", got, c.state)
			}
			if got := getRun(t, pool, run).State; got != c.run {
				t.Errorf("the run is %s, want %s", got, c.run)
			}
			row := one[string](t, pool, "SELECT concat_ws(' ', installation_id, owner || '/' || repository_name, pause_reason) FROM twin")
			if row != c.twin || one[bool](t, pool, "SELECT target IS NOT NULL FROM twin") != c.target {
				t.Errorf("the Twin is of %s, want %s; it holds a target: %t", row, c.twin, !c.target)
			}
			open := one[int](t, pool, "SELECT count(*) FROM check_publication WHERE unreachable_at IS NULL")
			if (open == 0) != (c.run == twin.Cancelled) {
				t.Errorf("%d places are still to be told", open)
			}
		})
	}
}

// lookUntilSure looks until GitHub has said often enough what it says. Until
// then nothing changes.
func (q *Queue) lookUntilSure(t *testing.T, c twin.Changed) {
	t.Helper()
	const standing = `SELECT concat((SELECT string_agg(concat_ws(' ', id, state), ',' ORDER BY id) FROM repository), ' ',
		(SELECT string_agg(concat_ws(' ', id, state), ',' ORDER BY id) FROM sync_run), ' ', (SELECT string_agg(target, ',') FROM twin))`
	was := one[string](t, q.pool, standing)
	for n := 1; ; n++ {
		err := q.changed(t.Context(), &c)
		if !errors.As(err, new(*twin.LaterError)) {
			check(t, err)
			return
		}
		if is := one[string](t, q.pool, standing); is != was || n == goneOften+1 {
			t.Fatalf("after %d looks %s, was %s", n, is, was)
		}
		execute(t, q.pool, "UPDATE repository SET unseen_since = unseen_since - interval '5 min'")
	}
}

// TestOneWrongAnswerCancelsNothing: what GitHub shows again was there all along.
func TestOneWrongAnswerCancelsNothing(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	g := newGitHub()
	q := watcher(t, pool, g)
	run := enqueue(t, q.Inserter, request(1))
	check(t, q.looks(t.Context()))
	changed := twin.Changed{InstallationID: 11, Repo: request(0).Repo}
	shop := g.repos[22]
	wrong := func() {
		t.Helper()
		g.set(func() { delete(g.repos, 22) })
		if err := q.changed(t.Context(), &changed); !errors.As(err, new(*twin.LaterError)) {
			t.Errorf("it seems to be gone: %v", err)
		}
	}
	for range 2 * goneOften { // now and then
		wrong()
		execute(t, pool, "UPDATE repository SET unseen_since = unseen_since - interval '1 h'")
		g.set(func() { g.repos[22] = shop })
		check(t, q.changed(t.Context(), &changed))
	}
	for range 2 * goneOften { // often, but not for long
		wrong()
	}
	for range goneOften { // for long, but seldom
		execute(t, pool, "UPDATE repository SET unseen_since = unseen_since - interval '1 day', unseen_at = unseen_at - interval '1 day'")
		wrong()
	}
	if r := getRun(t, pool, run); r.State != twin.Queued || one[bool](t, pool, "SELECT target IS NULL FROM twin") {
		t.Errorf("the run is %s", r.State)
	}
	g.set(func() { g.repos[22] = shop })
	check(t, q.changed(t.Context(), &changed))
	g.set(func() { delete(g.repos, 22) })
	q.lookUntilSure(t, changed)
	if r := getRun(t, pool, run); r.State != twin.Cancelled {
		t.Errorf("the run is %s", r.State)
	}
	// Known to be gone, it is not asked about again and again.
	check(t, q.changed(t.Context(), &changed))
}

// TestWhatWasReleasedIsDecidedAboutAnew, if the repository comes back; what a
// person has cancelled is not.
func TestWhatWasReleasedIsDecidedAboutAnew(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	g := newGitHub()
	q := watcher(t, pool, g)
	s := store.New(pool)
	check(t, s.Baseline(t.Context(), twin.Fact{Repo: request(0).Repo, Ref: "refs/heads/main", SHA: push(0).SHA, At: day.Add(-time.Hour)}))
	for n := range 3 {
		r := push(n + 1)
		run := enqueue(t, q.Inserter, r)
		check(t, s.Judge(t.Context(), twin.Fact{Repo: r.Repo, Ref: r.Ref, SHA: r.SHA, At: r.At}))
		if n == 1 {
			check(t, q.Cancel(t.Context(), run, "by a person"))
		}
	}
	check(t, q.looks(t.Context()))
	shop := g.repos[22]
	g.set(func() { delete(g.repos, 22) })
	q.lookUntilSure(t, twin.Changed{InstallationID: 11, Repo: shop.Repository})
	var pushed string
	g.set(func() {
		g.repos[22] = shop
		g.missing = func(_ string, known twin.Known) twin.Missing { pushed = known.Pushed.SHA; return twin.Missing{} }
	})
	check(t, q.changed(t.Context(), &twin.Changed{InstallationID: 11, Returned: true}))
	check(t, q.looks(t.Context()))
	if pushed != push(2).SHA {
		t.Errorf("the latest push that counts is %s, want that before the run that was released", pushed)
	}
	again, cancelled := enqueue(t, q.Inserter, push(3)), enqueue(t, q.Inserter, push(2))
	if a, c := getRun(t, pool, again), getRun(t, pool, cancelled); a.State != twin.Queued || c.State != twin.Cancelled || again < cancelled {
		t.Errorf("the released one is %s, the cancelled one %s", a.State, c.State)
	}
}

// TestTroubleWithGitHubChangesNothing: who can't be asked has said nothing.
func TestTroubleWithGitHubChangesNothing(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	g := newGitHub()
	q := watcher(t, pool, g)
	run := enqueue(t, q.Inserter, request(1))
	check(t, q.looks(t.Context()))
	g.err = errors.New("GitHub is down")
	for _, c := range []twin.Changed{{InstallationID: 11}, {InstallationID: 11, Repo: request(0).Repo}} {
		if err := q.changed(t.Context(), &c); !errors.Is(err, g.err) {
			t.Errorf("got %v", err)
		}
	}
	if got := getRun(t, pool, run).State; got != twin.Queued {
		t.Errorf("the run is %s", got)
	}
}

// TestARunOfATwinThatLetGoIsNotClaimed: whoever holds the target now would find
// another Twin's rows in it, masked by other rules. Nor is one that was purged.
func TestARunOfATwinThatLetGoIsNotClaimed(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	working := claimAs(t, q, enqueue(t, q.Inserter, request(1)))
	waiting := enqueue(t, q.Inserter, request(2))
	renamed := request(3)
	renamed.Spec.Name, renamed.Twins = "renamed", []string{"renamed"}
	next := enqueue(t, q.Inserter, renamed)
	execute(t, pool, "UPDATE sync_run SET lease_expires_at = now() - interval '1 hour' WHERE id = $1", working.run.ID)
	for _, run := range []int64{working.run.ID, waiting} {
		if got := claimAs(t, q, run); got.token != 0 || getRun(t, pool, run).State != twin.Cancelled {
			t.Errorf("run %d is %s: %+v", run, getRun(t, pool, run).State, got)
		}
	}
	if got := claimAs(t, q, next); got.token == 0 {
		t.Errorf("the run of the Twin that holds the target was not claimed: %+v", got)
	}
	w := &syncWorker{q: q}
	if got, err := w.claim(t.Context(), 999, 1); err != nil || got.token != 0 {
		t.Errorf("a run that was purged: %+v, %v", got, err)
	}
}
