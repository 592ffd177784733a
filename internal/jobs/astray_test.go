package jobs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// branch is one whose head is at commit 1, seen so a while after commits 1 and
// 2 were pushed to it in turns.
type branch struct {
	t     *testing.T
	pool  *pgxpool.Pool
	q     *Queue
	seen  time.Time // when it is looked at
	reach func(twin.Request) []twin.Request
	found int // deliveries that looks have made
}

func newBranch(t *testing.T) *branch {
	t.Helper()
	b := &branch{t: t, seen: day.Add(time.Hour), reach: func(r twin.Request) []twin.Request { return []twin.Request{r} }}
	_, b.pool = database(t)
	g := newGitHub()
	head := push(1)
	g.missing = func(name string, known twin.Known) twin.Missing {
		if name != "main" || known.Pushed.SHA == head.SHA && known.Astray.SHA == "" {
			return twin.Missing{}
		}
		b.found++
		return twin.Missing{Deliveries: []twin.Delivery{{GUID: "catchup-1", Event: "push", InstallationID: 11, RepositoryID: 22, Body: []byte("{}")}}}
	}
	b.q = watcher(t, b.pool, g, func(c *Config) {
		c.Decider = decider(func(context.Context, twin.Delivery) (twin.Decision, error) {
			r := push(1)
			r.Trigger, r.At, r.Forced, r.Before = twin.CatchUp, b.seen, true, push(2).SHA
			return twin.Decision{Requests: b.reach(r), Fact: &twin.Fact{Repo: r.Repo, Ref: r.Ref, SHA: r.SHA, At: r.At}}, nil
		})
	})
	return b
}

// moved tells that the branch was forced from one commit to another at a time,
// and gives the run that answers.
func (b *branch) moved(from, to int, at time.Time, change ...func(*twin.Request)) int64 {
	b.t.Helper()
	r := push(to)
	r.At, r.Forced, r.Before = at, true, push(from).SHA
	for _, f := range change {
		f(&r)
	}
	run := enqueue(b.t, b.q.Inserter, r)
	check(b.t, store.New(b.pool).Judge(b.t.Context(), twin.Fact{Repo: r.Repo, Ref: r.Ref, SHA: r.SHA, At: r.At}))
	return run
}

func (b *branch) end(run int64, state twin.State) {
	b.t.Helper()
	execute(b.t, b.pool, "UPDATE sync_run SET state = $2, finished_at = clock_timestamp() WHERE id = $1", run, state)
}

// thereAndBack moves the branch to commit 2 and back within a second, long
// after it came to commit 1. The Twin stands at commit 2.
func (b *branch) thereAndBack(change ...func(*twin.Request)) {
	b.t.Helper()
	b.end(b.moved(0, 1, day.Add(-time.Hour), change...), twin.Succeeded)
	b.end(b.moved(1, 2, day, change...), twin.Succeeded)
	if run := getRun(b.t, b.pool, b.moved(2, 1, day, change...)); run.State != twin.Superseded {
		b.t.Fatalf("the run of the second move back is %s: nothing goes astray", run.State)
	}
}

// look looks at the branch, and gives the runs that were made by that.
func (b *branch) look() (made []twin.Run) {
	b.t.Helper()
	before := one[int64](b.t, b.pool, "SELECT coalesce(max(id), 0) FROM sync_run")
	check(b.t, b.q.look(b.t.Context(), store.Watched{Repo: request(0).Repo, State: store.Active}))
	b.q.workOff(b.t)
	b.seen = b.seen.Add(time.Second)
	ids := one[[]int64](b.t, b.pool, "SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM sync_run WHERE id > $1", before)
	for _, id := range ids {
		made = append(made, getRun(b.t, b.pool, id))
	}
	return made
}

// forget makes the branch be judged as it was before anybody looked.
func (b *branch) forget() {
	b.t.Helper()
	execute(b.t, b.pool, "UPDATE judged SET at = $1 WHERE sha = $2", day, push(1).SHA)
}

// brings wants a look to make a single run, of the head, and further ones none.
func (b *branch) brings() int64 {
	b.t.Helper()
	made := b.look()
	if len(made) != 1 || made[0].SHA != push(1).SHA || made[0].State != twin.Queued {
		b.t.Fatalf("the look has made %+v, want a run of the head", made)
	}
	b.brought()
	return made[0].ID
}

// brought wants looks to make no run, and to find nothing sooner or later.
func (b *branch) brought() {
	b.t.Helper()
	for range 3 {
		if made := b.look(); len(made) > 0 {
			b.t.Errorf("a look has made %+v", made)
		}
	}
	found := b.found
	b.look()
	if b.found != found {
		b.t.Error("every look finds the same")
	}
}

// TestATwinAstrayIsBroughtBack: GitHub's seconds don't say which of two moves
// was the later one, but what the branch is at does. It is compared with what
// the Twin stands at, or is about to.
func TestATwinAstrayIsBroughtBack(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(b *branch){
		"there and back": func(b *branch) {
			b.thereAndBack()
			b.end(b.brings(), twin.Succeeded)
			b.forget()
			b.brought()
		},
		"all three in a second": func(b *branch) {
			b.end(b.moved(0, 1, day), twin.Succeeded)
			b.end(b.moved(1, 2, day), twin.Succeeded)
			b.moved(2, 1, day)
			b.brings()
		},
		"while the other waits": func(b *branch) {
			b.end(b.moved(0, 1, day.Add(-time.Hour)), twin.Succeeded)
			other := b.moved(1, 2, day)
			b.moved(2, 1, day)
			run := b.brings()
			if was := getRun(b.t, b.pool, other); was.State != twin.Superseded || was.SupersededBy != run {
				b.t.Errorf("the other one is %s by %d, want superseded by %d", was.State, was.SupersededBy, run)
			}
		},
		"while the head is running": func(b *branch) {
			run := b.moved(0, 1, day)
			execute(b.t, b.pool, "UPDATE sync_run SET state = 'running', lease_token = 1, lease_expires_at = now() + interval '1 h' WHERE id = $1", run)
			b.moved(1, 2, day)
			b.moved(2, 1, day)
			b.brings()
		},
		"the other one has failed": func(b *branch) {
			b.end(b.moved(0, 1, day.Add(-2*time.Hour)), twin.Succeeded)
			b.end(b.moved(1, 0, day.Add(-time.Hour)), twin.Succeeded)
			b.end(b.moved(1, 2, day), twin.Failed)
			b.moved(2, 1, day)
			b.brings()
		},
		"GitHub showed an old head to who asked for a sync": func(b *branch) {
			b.end(b.moved(0, 1, day), twin.Succeeded)
			b.end(b.moved(0, 2, day.Add(10*time.Minute), func(r *twin.Request) { r.Trigger, r.Forced, r.Before = twin.Rerun, false, "" }), twin.Succeeded)
			execute(b.t, b.pool, "DELETE FROM judged WHERE sha = $1", push(2).SHA)
			b.brings()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			happens(newBranch(t))
		})
	}
}

// TestWhatALookLeavesAlone: what a person has ended, what has failed, and what
// no Twin follows.
func TestWhatALookLeavesAlone(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(b *branch){
		"it was cancelled": func(b *branch) {
			b.thereAndBack()
			check(b.t, b.q.Cancel(b.t.Context(), b.brings(), "by a test"))
			b.forget()
		},
		"it has failed": func(b *branch) {
			b.thereAndBack()
			b.end(b.brings(), twin.Failed)
			b.forget()
		},
		"no run was asked of the head": func(b *branch) {
			b.end(b.moved(0, 2, day), twin.Succeeded)
			r := push(1)
			check(b.t, store.New(b.pool).Judge(b.t.Context(), twin.Fact{Repo: r.Repo, Ref: r.Ref, SHA: r.SHA, At: day}))
		},
		"the Twin follows another branch now": func(b *branch) {
			b.thereAndBack()
			b.end(b.moved(0, 3, day.Add(time.Minute), func(r *twin.Request) { r.Ref = "refs/heads/release" }), twin.Succeeded)
		},
		"the file no longer asks for it": func(b *branch) {
			b.thereAndBack()
			b.reach = func(twin.Request) []twin.Request { return nil }
			if made := b.look(); len(made) > 0 || b.found != 1 {
				b.t.Errorf("%d found, made %+v", b.found, made)
			}
		},
		"another Twin's was cancelled": func(b *branch) {
			other := func(r *twin.Request) { r.Spec.Name, r.Spec.Target = "other", "other-twin" }
			b.thereAndBack()
			b.thereAndBack(other)
			b.reach = func(r twin.Request) []twin.Request {
				o := r
				other(&o)
				return []twin.Request{r, o}
			}
			made := b.look()
			if len(made) != 2 {
				b.t.Fatalf("made %+v, want a run of each Twin", made)
			}
			check(b.t, b.q.Cancel(b.t.Context(), made[0].ID, "by a test"))
			// The second one goes astray once more.
			b.end(made[1].ID, twin.Succeeded)
			b.end(b.moved(1, 2, b.seen, other), twin.Succeeded)
			b.seen = b.seen.Add(time.Minute)
			again := b.look()
			if len(again) != 1 || again[0].TwinID != made[1].TwinID {
				b.t.Fatalf("made %+v, want a run of the other Twin", again)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBranch(t)
			happens(b)
			b.brought()
			if t.Failed() {
				t.Log(one[string](t, b.pool, "SELECT string_agg(format('%s %s %s %s', id, right(sha, 1), state, at), E'\n' ORDER BY id) FROM sync_run"))
			}
		})
	}
}

// TestBearings: what a Twin stands at counts, whatever its runs were made for.
func TestBearings(t *testing.T) {
	t.Parallel()
	at := func(state twin.State, serves bool, other time.Duration) store.Bearing {
		return store.Bearing{State: state, At: day, Serves: serves, Other: twin.Fact{SHA: "b", At: day.Add(other)}}
	}
	for n, c := range []struct {
		st          store.Bearing
		lost, again bool
	}{
		{at(twin.Queued, true, 0), false, false},
		{at(twin.Running, true, 0), false, false},
		{at(twin.Running, false, 0), true, true},
		{at(twin.Succeeded, true, time.Second), false, false},
		{at(twin.Succeeded, false, -time.Second), true, true},
		{at(twin.Superseded, false, 0), true, true},
		{at(twin.Superseded, true, 0), false, false},
		{at(twin.Superseded, false, 2*time.Hour), true, false}, // it was elsewhere after it was seen
		{at(twin.Failed, false, 0), false, false},
		{at(twin.Failed, false, time.Second), false, true},
		{at(twin.Cancelled, false, 0), false, false},
		{at(twin.Cancelled, false, time.Second), false, true},
		{store.Bearing{State: twin.Superseded, At: day}, false, false},
	} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			if l, again := lost(c.st), seenAgain(c.st, day.Add(time.Hour)); l != c.lost || again != c.again {
				t.Errorf("%+v is lost %t, needs another run %t; want %t, %t", c.st, l, again, c.lost, c.again)
			}
		})
	}
}
