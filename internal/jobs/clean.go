package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// What a run leaves half loaded, because its worker was killed or its target
// could not be reached any more, is removed by the next sync of the target. If
// none follows, nobody would: so a claim notes the target, in its transaction,
// a publish strikes the note, and the sweeper has what is noted and idle
// cleaned. The note is the truth; a job that is lost is made anew.

// Cleaner removes what attempts have left half loaded on a target. What the
// Twin serves, and what is kept of it, stays.
type Cleaner interface {
	// Clean ends the session of the attempt that came last, should it still
	// hold the target; it asks idle before. twin.ErrRefused says that there is
	// nothing that could ever be done.
	Clean(ctx context.Context, target, generation string, idle func(context.Context) error) error
}

const (
	queueClean   = "clean"
	cleanTimeout = 2 * time.Minute
	// cleanWait is the wait after the first try in vain. It doubles, up to
	// cleanWaitMost.
	cleanWait     = time.Minute
	cleanWaitMost = 6 * time.Hour
)

// cleanArgs names the target to clean, by our number for it.
type cleanArgs struct {
	TargetID int64 `json:"target_id"`
}

// Kind is the name under which the job is stored.
func (cleanArgs) Kind() string { return "clean_target" }

// InsertOpts says where the job waits. It is tried once: when to try again is
// said by our row.
func (cleanArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueClean, MaxAttempts: 1}
}

// cleanWorker cleans a target.
type cleanWorker struct {
	river.WorkerDefaults[cleanArgs]
	q *Queue
}

// Timeout bounds one try.
func (w *cleanWorker) Timeout(*river.Job[cleanArgs]) time.Duration { return cleanTimeout }

// Work cleans the target, unless a run has it or is about to.
func (w *cleanWorker) Work(ctx context.Context, job *river.Job[cleanArgs]) error {
	s := store.New(w.q.pool)
	l, err := s.Loading(ctx, job.Args.TargetID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !l.Due {
		return nil
	}
	if err != nil {
		return interrupted(ctx, err)
	}
	err = w.q.cfg.Cleaner.Clean(ctx, l.Target, l.Generation, func(ctx context.Context) error { return w.idle(ctx, l) })
	if errors.Is(ctx.Err(), context.Canceled) { // another process does it
		return interrupted(ctx, err)
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	switch {
	case errors.Is(err, errBusy): // it is cleaned by that run, or after it
		return nil
	case err == nil:
		w.q.log.InfoContext(ctx, "target has nothing half loaded", "target", l.Target)
	case errors.Is(err, twin.ErrRefused):
		w.q.log.WarnContext(ctx, "target is not cleaned", "target", l.Target, "err", err)
	default:
		after := backoff(cleanWait, l.Tries+1, cleanWaitMost)
		w.q.log.WarnContext(ctx, "target could not be cleaned", "target", l.Target, "after", after, "err", err)
		return s.CleanLater(ending, l, after, err.Error())
	}
	return s.EndLoading(ending, l.Target, l.Generation)
}

// errBusy says that a run has a target that was to be cleaned.
var errBusy = errors.New("a run has the target")

// idle looks whether still no run has a target.
func (w *cleanWorker) idle(ctx context.Context, was store.Loading) error {
	now, err := store.New(w.q.pool).Loading(ctx, was.ID)
	if err == nil && (!now.Due || now.Generation != was.Generation) {
		err = errBusy
	}
	return err
}

// sweepTargets makes jobs for targets that have to be cleaned.
func (q *Queue) sweepTargets(ctx context.Context) error {
	if q.cfg.Cleaner == nil {
		return nil
	}
	due, err := store.New(q.pool).DueLoading(ctx, sweepLimit)
	if err != nil {
		return err
	}
	return each(ctx, q, due, func(tx pgx.Tx, id int64) error {
		s := store.New(tx)
		l, err := s.LockLoading(ctx, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && !l.Due {
			return nil
		}
		if err != nil {
			return err
		}
		if alive, err := q.alive(ctx, tx, l.Job, cleanTimeout+q.cfg.LeaseTTL); err != nil || alive {
			return err
		}
		res, err := q.river.InsertTx(ctx, tx, cleanArgs{TargetID: id}, nil)
		if err != nil {
			return fmt.Errorf("insert clean_target: %w", err)
		}
		return s.SetLoadingJob(ctx, id, res.Job.ID)
	})
}
