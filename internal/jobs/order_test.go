package jobs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// TestTheNewestCommitOfOneSecondIsSynced: GitHub tells times in whole seconds,
// and a push's may even be later than that of the next merge. The history
// decides, in whatever order the webhooks come.
func TestTheNewestCommitOfOneSecondIsSynced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		order []int         // of the deliveries
		early time.Duration // by how much commit 2 seems older than commit 1
	}{
		"in order":                       {[]int{1, 2}, 0},
		"reversed":                       {[]int{2, 1}, 0},
		"a second too early":             {[]int{1, 2}, time.Second},
		"a second too early, reversed":   {[]int{2, 1}, time.Second},
		"the older one once more at end": {[]int{1, 2, 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			cfg := fast(pool)
			// A run of another commit is at work, so that these have to wait.
			i := inserter(t, pool)
			first := enqueue(t, i, request(0))
			execute(t, pool, "UPDATE sync_run SET at = at - interval '1 h'")
			release := make(chan struct{})
			cfg.Filler = filler(func(ctx context.Context, r twin.Run, l twin.Lease) (twin.Report, error) {
				if r.ID == first {
					<-release
				}
				return fillOnce(ctx, r, l)
			})
			cfg.Decider = decider(func(_ context.Context, d twin.Delivery) (twin.Decision, error) {
				r := request(1)
				if d.Action == "2" {
					r = request(2)
				}
				r.At = day
				if d.Action == "2" {
					r.At = day.Add(-c.early)
				}
				return twin.Decision{Requests: []twin.Request{r}}, nil
			})
			work(t, cfg)
			await(t, pool, first, twin.Running)
			for n, commit := range c.order {
				d := delivery(fmt.Sprintf("g%d", n))
				d.Action = fmt.Sprint(commit)
				if err := i.Deliver(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the delivery is processed", func() bool {
					return one[bool](t, pool, "SELECT processed_at IS NOT NULL FROM webhook_delivery WHERE guid = $1", d.GUID)
				})
			}
			close(release)
			newest := one[int64](t, pool, "SELECT id FROM sync_run WHERE sha = $1", request(2).SHA)
			await(t, pool, newest, twin.Succeeded)
			older := getRun(t, pool, one[int64](t, pool, "SELECT id FROM sync_run WHERE sha = $1", request(1).SHA))
			if older.State != twin.Superseded || older.SupersededBy != newest {
				t.Errorf("the older commit's run is %s by %d, want superseded by %d", older.State, older.SupersededBy, newest)
			}
		})
	}
}
