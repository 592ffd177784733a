package jobs

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/twin"
)

// TestStartMayBeTriedAgain: a database that goes away between the look at its
// schema and the start of the queue costs nothing but the time.
func TestStartMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	var up atomic.Bool
	config.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
		if !up.Load() {
			return errors.New("the database is down")
		}
		return nil
	}
	flaky, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(flaky.Close)
	cfg := fast(flaky)
	// A queue without heartbeats would lose its lease.
	cfg.Filler = filler(func(ctx context.Context, _ twin.Run, l twin.Lease) (twin.Report, error) {
		return twin.Report{}, l.(*lease).beat(ctx, nil)
	})
	q, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := q.Start(t.Context()); err == nil {
			t.Fatal("started without a database")
		}
	}
	up.Store(true)
	if err := q.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, q) })
	run := enqueue(t, inserter(t, pool), push(1))
	if got := await(t, pool, run, twin.Succeeded); got.Attempt != 1 {
		t.Errorf("it took %d attempts", got.Attempt)
	}
}
