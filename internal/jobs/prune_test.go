package jobs

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

func TestWhatIsOldIsDeleted(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	for _, guid := range []string{"new", "old", "old-unprocessed", "young-unprocessed"} {
		if err := i.Deliver(t.Context(), delivery(guid)); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, pool, `UPDATE webhook_delivery SET processed_at = now() WHERE guid IN ('new', 'old')`)
	execute(t, pool, `UPDATE webhook_delivery SET received_at = now() - interval '7 days 1 second' WHERE guid LIKE 'old%'`)
	execute(t, pool, `UPDATE webhook_delivery SET received_at = now() - interval '6 days 23 hours' WHERE guid LIKE 'young%'`)
	ended, live := enqueue(t, i, request(1)), enqueue(t, i, request(2)) // the first is superseded
	execute(t, pool, `INSERT INTO sync_run_event (run_id, at, level, message)
		SELECT run, now() - age * interval '1 day', 'info', age || ' days' FROM unnest($1::bigint[]) run, unnest('{89,91}'::int[]) age`, []int64{ended, live})
	execute(t, pool, "DELETE FROM river.river_job")

	cfg := fast(pool)
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, _ twin.Lease) (twin.Report, error) {
		<-ctx.Done()
		return twin.Report{}, context.Cause(ctx)
	})
	work(t, cfg)
	eventually(t, "old deliveries are gone", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM webhook_delivery") == 2
	})
	if n := one[int](t, pool, "SELECT count(*) FROM webhook_delivery WHERE guid IN ('new', 'young-unprocessed')"); n != 2 {
		t.Error("a delivery of the last seven days is gone")
	}
	eventually(t, "old events of the run that ended are gone", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM sync_run_event WHERE run_id = $1 AND message = '91 days'", ended) == 0
	})
	for run, want := range map[int64]int{ended: 1, live: 2} {
		if n := one[int](t, pool, "SELECT count(*) FROM sync_run_event WHERE run_id = $1 AND message LIKE '% days'", run); n != want {
			t.Errorf("run %d keeps %d of the events, want %d", run, n, want)
		}
	}
}

// TestADeliveryDeletedMeanwhileIsNoDuplicate: 202 must never be answered for a
// delivery that is not stored.
func TestADeliveryDeletedMeanwhileIsNoDuplicate(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return i.redeliver(t.Context(), tx, "gone") })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a delivery that is not stored any more: %v", err)
	}
}

// TestAReportThatNeverGetsThroughIsGivenUp: after three days of trying, the
// place counts as unreachable, and nobody asks GitHub any more.
func TestAReportThatNeverGetsThroughIsGivenUp(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	runs := map[string]int64{}
	for n, name := range []string{"fresh", "stuck", "told", "untried"} {
		r := push(n + 1)
		r.Spec.Name, r.Spec.Target = name, name
		runs[name] = enqueue(t, i, r)
	}
	execute(t, pool, "UPDATE sync_run SET state = 'succeeded', finished_at = now() - interval '3 days 1 minute'")
	execute(t, pool, "UPDATE sync_run SET finished_at = now() - interval '2 days' WHERE id = $1", runs["fresh"])
	execute(t, pool, "UPDATE check_publication SET last_error = 'refused' WHERE run_id <> $1", runs["untried"])
	execute(t, pool, "UPDATE check_publication SET posted_version = wanted_version WHERE run_id = $1", runs["told"])
	q := idle(t, pool)
	if err := q.prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, run := range runs {
		if got := one[bool](t, pool, "SELECT unreachable_at IS NOT NULL FROM check_publication WHERE run_id = $1", run); got != (name == "stuck") {
			t.Errorf("%s: given up is %v", name, got)
		}
		if got := getRun(t, pool, run).State; got != twin.Succeeded {
			t.Errorf("%s: the run became %s", name, got)
		}
	}
}
