package jobs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

func TestWhichMoveIsNewer(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return day.Add(time.Duration(s) * time.Second) }
	from := func(s string) *string { return &s }
	for _, c := range []struct {
		name  string
		m     move
		other store.Rival
		h     history
		want  int
		doubt bool
	}{
		{"much later", move{sha: "b", at: at(10)}, store.Rival{SHA: "a", At: at(0)}, history{}, 1, false},
		{"much earlier", move{sha: "b", at: at(0)}, store.Rival{SHA: "a", At: at(10)}, history{"a": 1}, -1, false},
		{"one moment", move{sha: "b", at: at(1)}, store.Rival{SHA: "a", At: at(0)}, history{}, 0, true},
		{"one moment, nobody looks", move{sha: "b", at: at(1)}, store.Rival{SHA: "a", At: at(0)}, nil, 0, false},
		{"one moment, history known", move{sha: "b", at: at(0)}, store.Rival{SHA: "a", At: at(1)}, history{"a": 1}, 1, false},
		{"pushed upon it", move{sha: "b", at: at(0), before: "a"}, store.Rival{SHA: "a", At: at(1)}, history{}, 1, false},
		{"forced away from", move{sha: "b", at: at(1)}, store.Rival{SHA: "a", At: at(0), ForcedFrom: from("b")}, history{}, -1, false},
		{"forced back and told before it", move{sha: "b", at: at(1), before: "a"}, store.Rival{SHA: "a", At: at(1), ForcedFrom: from("b")}, history{"a": 1}, -1, false},
		{"forced to and fro", move{sha: "b", at: at(2), before: "a", forced: true}, store.Rival{SHA: "a", At: at(1), ForcedFrom: from("b")}, history{}, 1, false},
		{"forced from elsewhere", move{sha: "b", at: at(1), before: "x", forced: true}, store.Rival{SHA: "a", At: at(1)}, history{"a": 0}, 0, false},
	} {
		got, err := c.m.against(c.other, c.h)
		var doubt *doubtError
		if errors.As(err, &doubt) != c.doubt || got != c.want {
			t.Errorf("%s: %d, %v; want %d", c.name, got, err, c.want)
		}
	}
}

func TestWhichMoveReturns(t *testing.T) {
	t.Parallel()
	newest := store.Rival{SHA: "b", At: day}
	for _, c := range []struct {
		name string
		m    move
		want bool
	}{
		{"the newest again", move{sha: "b", at: day.Add(time.Minute), forced: true}, false},
		{"told late", move{sha: "a", at: day.Add(-time.Minute)}, false},
		{"told late, a forced one", move{sha: "a", at: day.Add(-time.Minute), forced: true}, false},
		{"told with another time", move{sha: "a", at: day.Add(5 * time.Second)}, false},
		{"forced back", move{sha: "a", at: day.Add(time.Minute), forced: true}, true},
		{"forced back from there, at once", move{sha: "a", at: day, before: "b", forced: true}, true},
		{"forced at once, from elsewhere", move{sha: "a", at: day, before: "c", forced: true}, false},
		{"pushed upon the newest", move{sha: "a", at: day.Add(time.Second), before: "b"}, true},
		{"pushed upon the newest, in one second", move{sha: "a", at: day, before: "b"}, true},
		{"told twice, as pushed upon the newest", move{sha: "a", at: day.Add(-2 * time.Second), before: "b", forced: true}, false},
		{"pushed upon an older stay there", move{sha: "a", at: day.Add(-time.Second), before: "b"}, false},
	} {
		if got := c.m.returns(day.Add(-2*time.Second), newest); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// stage is one move of a branch, as a push tells it.
func stage(commit, before, minute int, forced bool) twin.Request {
	r := push(commit)
	r.At, r.Before, r.Forced = day.Add(time.Duration(minute)*time.Minute), request(before).SHA, forced
	return r
}

// TestABranchThatComesBack: forced pushes to commits that are known. In
// whatever order and however often they are told, the Twin ends where the
// branch is.
func TestABranchThatComesBack(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	for name, moves := range map[string][]twin.Request{
		"back":              {stage(1, 0, 1, false), stage(2, 1, 2, false), stage(1, 2, 3, true)},
		"back and on":       {stage(1, 0, 1, false), stage(2, 1, 2, false), stage(1, 2, 3, true), stage(3, 1, 4, false)},
		"there again":       {stage(1, 0, 1, false), stage(2, 1, 2, false), stage(1, 2, 3, true), stage(2, 1, 4, false)},
		"to and fro":        {stage(1, 0, 1, false), stage(2, 1, 2, true), stage(1, 2, 3, true), stage(2, 1, 4, true), stage(1, 2, 5, true)},
		"over another":      {stage(1, 0, 1, false), stage(2, 1, 2, false), stage(3, 2, 3, false), stage(1, 3, 4, true)},
		"in one second":     {stage(1, 0, 1, false), stage(2, 1, 2, false), stage(1, 2, 2, true)},
		"made anew further": {stage(1, 0, 1, false), stage(4, 1, 2, false), stage(2, 0, 3, true)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			random := rand.New(rand.NewPCG(seed, 1))
			end := moves[len(moves)-1].SHA
			for round := range 12 {
				told := append([]twin.Request(nil), moves...)
				for range random.IntN(3) {
					told = append(told, moves[random.IntN(len(moves))])
				}
				if round > 0 {
					random.Shuffle(len(told), func(a, b int) { told[a], told[b] = told[b], told[a] })
				}
				serves, called := "", fmt.Sprint(name, round)
				var order []string
				for _, r := range told {
					r.Spec.Name, r.Spec.Target = called, called
					enqueue(t, i, r)
					order = append(order, fmt.Sprintf("%s@%d", strings.TrimLeft(r.SHA, "0"), r.At.Minute()))
					// Whatever waits is worked on at once, sometimes.
					if random.IntN(2) == 0 {
						serves = settleAll(t, i, called, serves)
					}
				}
				if serves = settleAll(t, i, called, serves); serves != end {
					t.Errorf("seed %d: told as %v, the Twin ends at %s, want %s", seed, order, serves, end)
				}
			}
		})
	}
}

// settleAll ends the run of a Twin that waits, if any, and gives the commit that the
// Twin serves then.
func settleAll(t *testing.T, i *Inserter, name, serves string) string {
	t.Helper()
	var sha string
	err := i.pool.QueryRow(t.Context(), `UPDATE sync_run SET state = 'succeeded', finished_at = now()
		WHERE state = 'queued' AND twin_id = (SELECT id FROM twin WHERE name = $1) RETURNING sha`, name).Scan(&sha)
	if err != nil {
		return serves
	}
	return sha
}

// TestWhatIsToldOfAComebackIsOneRun: the forced push told twice is one run,
// with its place, and the commit's earlier run keeps its own.
func TestWhatIsToldOfAComebackIsOneRun(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	first := enqueue(t, i, request(1))
	settleAll(t, i, "staging", "")
	enqueue(t, i, stage(2, 1, 2, false))
	settleAll(t, i, "staging", "")
	back := stage(1, 2, 3, true)
	runs := []int64{enqueue(t, i, back), enqueue(t, i, back), enqueue(t, i, request(1))}
	if runs[0] == first || runs[1] != runs[0] || runs[2] != runs[0] {
		t.Errorf("runs %v after %d, want one of its own", runs, first)
	}
	if r := getRun(t, pool, runs[0]); r.State != twin.Queued {
		t.Errorf("the run is %s", r.State)
	}
	// Who looks at the branch sees the same, and so does a catch-up after a
	// forced push that nobody told.
	look := stage(2, 1, 9, false)
	look.Trigger, look.Before = twin.CatchUp, ""
	settleAll(t, i, "staging", "")
	if r := getRun(t, pool, enqueue(t, i, look)); r.State != twin.Queued || r.SHA != request(2).SHA {
		t.Errorf("the run of what was seen is %s at %s", r.State, r.SHA)
	}
	if again := enqueue(t, i, look); again != one[int64](t, pool, "SELECT max(id) FROM sync_run") {
		t.Errorf("looked twice: run %d is another one", again)
	}
}

// TestTheOlderOfOneSecondIsToldLate: two merges within a second, the older one
// told last. What is told of the newer one then is still the fact that is known.
func TestTheOlderOfOneSecondIsToldLate(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	newer, older := request(2), request(1)
	newer.At, older.At = day, day
	run := enqueue(t, i, newer)
	settleAll(t, i, "staging", "")
	late, err := i.enqueueKnowing(t.Context(), older, history{newer.SHA: -1})
	if err != nil {
		t.Fatal(err)
	}
	if r := getRun(t, pool, late); r.State != twin.Superseded || r.SupersededBy != run {
		t.Fatalf("the older commit's run is %s by %d, want superseded by %d", r.State, r.SupersededBy, run)
	}
	for _, after := range []time.Duration{0, time.Second, 2 * time.Second} {
		p := push(2)
		p.At, p.Before = day.Add(after), older.SHA
		if again := enqueue(t, i, p); again != run {
			t.Errorf("told by a push %v later, the commit is synced by run %d, want %d", after, again, run)
		}
	}
}
