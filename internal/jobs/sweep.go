package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// sweepLimit bounds what one sweep takes up of each sort.
const sweepLimit = 200

// sweep makes up for processes that died, at once and then from time to time.
// Every worker sweeps; the locks let only one of them act on each thing.
func (q *Queue) sweep(ctx context.Context) {
	tick := time.NewTicker(q.cfg.SweepEvery)
	defer tick.Stop()
	var pruned time.Time
	for {
		if err := q.sweepOnce(ctx); err != nil && ctx.Err() == nil {
			q.log.ErrorContext(ctx, "sweep failed", "err", err)
		}
		if time.Since(pruned) >= q.cfg.PruneEvery {
			pruned = time.Now()
			if err := q.prune(ctx); err != nil && ctx.Err() == nil {
				q.log.ErrorContext(ctx, "prune failed", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweepOnce does not let a database that hangs end all sweeping.
func (q *Queue) sweepOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return errors.Join(q.setClock(ctx), q.sweepExpired(ctx), q.sweepWaiting(ctx), q.sweepDeliveries(ctx), q.sweepReports(ctx), q.sweepSchedules(ctx), q.sweepTargets(ctx))
}

// each runs fn for every item in a transaction of its own.
func each[T any](ctx context.Context, q *Queue, items []T, fn func(pgx.Tx, T) error) error {
	var failures []error
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		if err := pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error { return fn(tx, item) }); err != nil {
			failures = append(failures, fmt.Errorf("sweep %v: %w", item, err))
		}
	}
	return errors.Join(failures...)
}

// sweepExpired takes runs from workers that no longer extend their leases.
func (q *Queue) sweepExpired(ctx context.Context) error {
	grace := q.cfg.HeartbeatEvery
	runs, err := store.New(q.pool).ExpiredRuns(ctx, grace)
	if err != nil {
		return err
	}
	return each(ctx, q, runs, func(tx pgx.Tx, run int64) error {
		s := store.New(tx)
		twinID, err := s.TryLockTwinOf(ctx, run)
		if err != nil || twinID == 0 {
			return err
		}
		st, err := s.LockRun(ctx, run, grace)
		if err != nil || !st.Expired {
			return err
		}
		// A job that will still be worked on claims the run by itself.
		if coming, err := q.bury(ctx, tx, st.Job, 0); err != nil || coming {
			return err
		}
		q.log.WarnContext(ctx, "worker of run died", "run", run, "attempt", st.Attempt)
		if ended, err := q.settle(ctx, tx, twinID, run, st); err != nil || ended {
			return err
		}
		if held, err := s.Requeue(ctx, run, st.Token, nil, 0, st.GivenBack); err != nil || !held {
			return err
		}
		if err := s.AddEvent(ctx, run, store.Warn, "", "The worker ended unexpectedly; another one takes over."); err != nil {
			return err
		}
		if err := q.reportRun(ctx, tx, run, false); err != nil {
			return err
		}
		return q.startRun(ctx, tx, run, nil)
	})
}

// sweepWaiting makes jobs for runs that nothing would start.
func (q *Queue) sweepWaiting(ctx context.Context) error {
	runs, err := store.New(q.pool).WaitingRuns(ctx)
	if err != nil {
		return err
	}
	return each(ctx, q, runs, func(tx pgx.Tx, run int64) error {
		s := store.New(tx)
		twinID, err := s.TryLockTwinOf(ctx, run)
		if err != nil || twinID == 0 {
			return err
		}
		st, err := s.LockRun(ctx, run, 0)
		if err != nil || st.State != twin.Queued || st.Wait > 0 {
			return err
		}
		if running, _, err := s.Active(ctx, twinID); err != nil || running != 0 {
			return err
		}
		// A process can die between taking the job and claiming the run.
		if coming, err := q.bury(ctx, tx, st.Job, q.cfg.LeaseTTL); err != nil || coming {
			return err
		}
		q.log.WarnContext(ctx, "waiting run had no job", "run", run)
		return q.startRun(ctx, tx, run, nil)
	})
}

// bury marks a sync_run job of a dead process, for River to finalise it. It
// gives true if the job lives: it will be worked on, or has been for less than
// age.
func (q *Queue) bury(ctx context.Context, tx pgx.Tx, job int64, age time.Duration) (coming bool, err error) {
	coming, err = q.alive(ctx, tx, job, age)
	if err != nil || coming {
		return coming, err
	}
	row, err := q.job(ctx, tx, job)
	if err != nil || row == nil || row.State != rivertype.JobStateRunning {
		return false, err
	}
	if _, err := q.river.JobCancelTx(ctx, tx, job); err != nil {
		return false, fmt.Errorf("cancel job of dead worker: %w", err)
	}
	return false, nil
}

// sweepDeliveries makes new jobs for deliveries that nobody works on.
func (q *Queue) sweepDeliveries(ctx context.Context) error {
	guids, err := store.New(q.pool).StaleDeliveries(ctx, q.cfg.StaleAfter, sweepLimit)
	if err != nil {
		return err
	}
	return each(ctx, q, guids, func(tx pgx.Tx, guid string) error {
		d, err := store.New(tx).LockDelivery(ctx, guid)
		if err != nil || d.Processed {
			return err
		}
		if alive, err := q.alive(ctx, tx, d.Job, q.cfg.StaleAfter); err != nil || alive {
			return err
		}
		q.log.WarnContext(ctx, "delivery had no job", "delivery", guid)
		return q.processDelivery(ctx, tx, guid)
	})
}

// sweepReports makes new jobs for reports that nobody works on.
func (q *Queue) sweepReports(ctx context.Context) error {
	runs, err := store.New(q.pool).UntoldRuns(ctx, q.cfg.StaleAfter, sweepLimit)
	if err != nil {
		return err
	}
	return each(ctx, q, runs, func(tx pgx.Tx, r store.UntoldRun) error {
		if alive, err := q.alive(ctx, tx, r.Job, q.cfg.StaleAfter); err != nil || alive {
			return err
		}
		q.log.WarnContext(ctx, "report had no job", "run", r.Run)
		return q.publish(ctx, tx, r.Run)
	})
}
