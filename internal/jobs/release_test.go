package jobs

import (
	"errors"
	"testing"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// TestATargetIsReleased: the operator gives it to another repository's Twin,
// but not while a run works on it or is about to.
func TestATargetIsReleased(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	if _, _, err := q.Release(t.Context(), "shop-twin"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a target that nobody holds: %v", err)
	}
	run := enqueue(t, q.Inserter, request(1))
	requireBusy := func(want twin.State) {
		t.Helper()
		var busy *BusyError
		if _, _, err := q.Release(t.Context(), "shop-twin"); !errors.As(err, &busy) || busy.Run != run || busy.State != want {
			t.Errorf("released while a run is %s: %v", want, err)
		}
	}
	requireBusy(twin.Queued)
	claimAs(t, q, run)
	requireBusy(twin.Running)
	execute(t, pool, "UPDATE sync_run SET state = 'succeeded', finished_at = now(), lease_token = NULL WHERE id = $1", run)

	repo, name, err := q.Release(t.Context(), "shop-twin")
	if err != nil || repo.FullName() != "acme/shop" || name != "staging" {
		t.Errorf("released from %s of %s: %v", name, repo.FullName(), err)
	}
	other := request(2)
	other.Repo.ID, other.Repo.Name = 23, "other"
	if r := getRun(t, pool, enqueue(t, q.Inserter, other)); r.State != twin.Queued {
		t.Errorf("the next Twin's run is %s, %v", r.State, r.Failure)
	}
	if r := getRun(t, pool, enqueue(t, q.Inserter, request(3))); r.State != twin.Failed {
		t.Errorf("the run of the Twin before is %s, want refused", r.State)
	}
}
