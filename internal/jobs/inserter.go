package jobs

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/neontwin/neontwin/internal/store"
)

// Inserter stores what must be done, for workers elsewhere to do it.
type Inserter struct {
	pool  *pgxpool.Pool
	river *river.Client[pgx.Tx]
	log   *slog.Logger
	clock *clock
	desk  desk
}

func newInserter(pool *pgxpool.Pool, client *river.Client[pgx.Tx], now *clock, log *slog.Logger) *Inserter {
	return &Inserter{pool: pool, river: client, clock: now, log: log, desk: desk{turns: make(chan struct{}, deliverTurns)}}
}

// NewInserter makes an Inserter for a process that works on nothing itself.
func NewInserter(pool *pgxpool.Pool, logger *slog.Logger) (*Inserter, error) {
	now := &clock{}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: schema, Logger: logger, Test: river.TestConfig{Time: now}})
	if err != nil {
		return nil, fmt.Errorf("make queue client: %w", err)
	}
	return newInserter(pool, client, now, logger), nil
}

func (i *Inserter) store() store.Store { return store.New(i.pool) }

// redeliver makes a new job for a delivery that waits without a living one.
func (i *Inserter) redeliver(ctx context.Context, tx pgx.Tx, guid string) error {
	// One that was deleted for its age just now is an error: it is in nobody's
	// hands, and the next attempt stores it anew.
	d, err := store.New(tx).LockDelivery(ctx, guid)
	if err != nil || d.Processed {
		return err
	}
	if alive, err := i.alive(ctx, tx, d.Job, 2*webhookTimeout); err != nil || alive {
		return err
	}
	return i.processDelivery(ctx, tx, guid)
}

func (i *Inserter) processDelivery(ctx context.Context, tx pgx.Tx, guid string) error {
	res, err := i.river.InsertTx(ctx, tx, webhookArgs{GUID: guid}, nil)
	if err != nil {
		return fmt.Errorf("insert webhook_process: %w", err)
	}
	return store.New(tx).SetDeliveryJob(ctx, guid, res.Job.ID)
}

// startRun makes the job that may claim a queued run.
func (i *Inserter) startRun(ctx context.Context, tx pgx.Tx, run int64, opts *river.InsertOpts) error {
	res, err := i.river.InsertTx(ctx, tx, syncArgs{RunID: run}, opts)
	if err != nil {
		return fmt.Errorf("insert sync_run: %w", err)
	}
	return store.New(tx).SetRunJob(ctx, run, res.Job.ID)
}

// reportRun asks for a report of a run that has changed: to its heads only, or
// to all of its places.
func (i *Inserter) reportRun(ctx context.Context, tx pgx.Tx, run int64, headsOnly bool) error {
	n, err := store.New(tx).WantReport(ctx, run, headsOnly)
	if err != nil || n == 0 {
		return err
	}
	return i.publish(ctx, tx, run)
}

// publish makes a job that tells a run to the places that wait for it.
func (i *Inserter) publish(ctx context.Context, tx pgx.Tx, run int64) error {
	res, err := i.river.InsertTx(ctx, tx, reportArgs{RunID: run}, nil)
	if err != nil {
		return fmt.Errorf("insert check_publish: %w", err)
	}
	return store.New(tx).SetReportJob(ctx, run, res.Job.ID)
}
