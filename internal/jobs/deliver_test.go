package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/twin"
)

// A burst that waits while all turns are taken is stored together: each once,
// each with a job of its own, the doubled ones told so.
func TestABurstOfDeliveriesIsStoredTogether(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	count := func(sql string) (n int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	i := inserter(t, pool)
	if err := i.Deliver(t.Context(), delivery("known")); err != nil {
		t.Fatal(err)
	}
	for range deliverTurns { // nobody gets a turn
		i.desk.turns <- struct{}{}
	}
	const fresh = deliverTogether + 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	stored, doubled := make(map[string]int), make(map[string]int)
	for n := range 2*fresh + 5 {
		guid := fmt.Sprint("g", n%fresh) // each twice
		if n >= 2*fresh {
			guid = "known"
		}
		wg.Go(func() {
			err := i.Deliver(t.Context(), delivery(guid))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				stored[guid]++
			case errors.Is(err, twin.ErrDuplicate):
				doubled[guid]++
			default:
				t.Errorf("%s: %v", guid, err)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.Deliver(gone, delivery("gone")); !errors.Is(err, context.Canceled) {
		t.Errorf("one whose context has ended gives %v", err)
	}
	i.awaitLine(t, 2*fresh+5)
	for range deliverTurns {
		<-i.desk.turns
	}
	wg.Wait()
	if len(stored) != fresh || doubled["known"] != 5 {
		t.Errorf("%d were stored, %d times the known one was told to be", len(stored), doubled["known"])
	}
	for guid, n := range stored {
		if n != 1 || doubled[guid] != 1 {
			t.Errorf("%s was stored %d times and known %d times", guid, n, doubled[guid])
		}
	}
	if n := count(`select count(*) from webhook_delivery d join river.river_job j on j.id = d.river_job_id and j.args->>'guid' = d.guid`); n != fresh+1 {
		t.Errorf("%d deliveries have their job, want %d", n, fresh+1)
	}
	if n := count(`select count(*) from river.river_job`); n != fresh+1 {
		t.Errorf("there are %d jobs for %d deliveries", n, fresh+1)
	}
}

// One that the database refuses fails alone.
func TestOneBadDeliveryFailsAlone(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	count := func(sql string) (n int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	pgtest.Exec(t, url, "alter table webhook_delivery add check (guid <> 'bad')")
	i := inserter(t, pool)
	for range deliverTurns {
		i.desk.turns <- struct{}{}
	}
	outcomes := make(map[string]error)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, guid := range []string{"a", "bad", "b", "c"} {
		wg.Go(func() {
			err := i.Deliver(t.Context(), delivery(guid))
			mu.Lock()
			defer mu.Unlock()
			outcomes[guid] = err
		})
	}
	i.awaitLine(t, 4)
	for range deliverTurns {
		<-i.desk.turns
	}
	wg.Wait()
	for guid, err := range outcomes {
		if (err != nil) != (guid == "bad") {
			t.Errorf("%s: %v", guid, err)
		}
	}
	if n := count(`select count(*) from river.river_job`); n != 3 {
		t.Errorf("there are %d jobs for 3 deliveries", n)
	}
}

// awaitLine waits until so many stand in line.
func (i *Inserter) awaitLine(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d deliveries wait", n), func() bool {
		i.desk.mu.Lock()
		defer i.desk.mu.Unlock()
		return len(i.desk.line) == n
	})
}
