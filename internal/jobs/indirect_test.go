package jobs

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// TestOnePushThatMergesSeveral: the push's head is one pull request's head; the
// others' heads came with it. In whatever order that is told, each of them is
// told of the push's run at last.
func TestOnePushThatMergesSeveral(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	merged := func(n int) twin.Request {
		r := request(n)
		r.At, r.Places = day.Add(5*time.Second), []twin.Place{{Role: twin.Head, SHA: r.SHA, PR: n}}
		return r
	}
	moved := push(3)
	moved.At, moved.Before = day, request(0).SHA
	told := []twin.Request{merged(1), merged(2), merged(3), moved}
	w := &webhookWorker{q: q}
	for name, order := range map[string][]int{
		"push first": {3, 0, 1, 2}, "push last": {0, 1, 2, 3}, "in between": {0, 3, 2, 1}, "backwards": {2, 1, 0, 3}, "twice": {0, 1, 0, 3, 1, 2, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var last int64
			for _, n := range order {
				r := told[n]
				r.Spec.Name, r.Spec.Target = strings.ReplaceAll(name, " ", "-"), name
				run, err := w.enqueue(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				if r.SHA == moved.SHA {
					last = run
				}
			}
			if r := getRun(t, pool, last); r.State != twin.Queued {
				t.Errorf("the push's run is %s", r.Headline())
			}
			places, err := store.New(pool).Publications(t.Context(), last)
			if err != nil {
				t.Fatal(err)
			}
			for n := 1; n <= 3; n++ {
				want := twin.Place{Role: twin.Head, SHA: request(n).SHA, PR: n}
				if !slices.ContainsFunc(places, func(p store.Publication) bool { return p.Place == want }) {
					t.Errorf("pull request %d is not told of the run: %+v", n, places)
				}
			}
			if len(places) != 3 {
				t.Errorf("%d places, want 3", len(places))
			}
		})
	}
}
