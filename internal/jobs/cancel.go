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

// Errors of Cancel.
var (
	// ErrOver says that a run has ended already.
	ErrOver = errors.New("the run has ended already")
	// ErrPublishing says that a run can't be cancelled any more: it is about to
	// publish, or has just done so.
	ErrPublishing = errors.New("the run is publishing and can't be cancelled any more")
)

// Cancel ends a run that waits, or asks the worker of a run that is running to
// end it: the worker removes what it has half made, and the Twin is as it was.
// by says in words who asked, for the run's history.
func (i *Inserter) Cancel(ctx context.Context, run int64, by string) error {
	err := pgx.BeginFunc(ctx, i.pool, func(tx pgx.Tx) error {
		s := store.New(tx)
		if _, err := s.LockTwinOf(ctx, run); err != nil {
			return err
		}
		st, err := s.LockRun(ctx, run, 0)
		switch {
		case err != nil:
			return err
		case st.State.Terminal():
			return ErrOver
		case st.State == twin.Queued:
			return i.cancelQueued(ctx, tx, run, by)
		}
		asked, err := s.RequestCancel(ctx, run)
		switch {
		case err != nil:
			return err
		case !asked:
			return ErrPublishing
		}
		if err := s.AddEvent(ctx, run, store.Info, "", "Cancel asked for "+by+"."); err != nil {
			return err
		}
		return i.tell(ctx, tx, st.Job)
	})
	if err != nil {
		return fmt.Errorf("cancel run %d: %w", run, err)
	}
	return nil
}

// tell tells at once whoever works on a job that its end is asked for. The next
// heartbeat would notice too.
func (i *Inserter) tell(ctx context.Context, tx pgx.Tx, job int64) error {
	if _, err := i.river.JobCancelTx(ctx, tx, job); err != nil && !errors.Is(err, river.ErrNotFound) {
		return fmt.Errorf("cancel job: %w", err)
	}
	return nil
}

func (i *Inserter) cancelQueued(ctx context.Context, tx pgx.Tx, run int64, by string) error {
	s := store.New(tx)
	if _, err := s.CancelQueued(ctx, run); err != nil {
		return err
	}
	if err := s.AddEvent(ctx, run, store.Info, "", "Cancelled "+by+"."); err != nil {
		return err
	}
	return i.reportRun(ctx, tx, run, false)
}

// asked gives what becomes of a run under a lease whose end was asked for: by
// a person, or for a newer commit. River's own word is not enough: it cancels
// the jobs of the dead too.
func (q *Queue) asked(ctx context.Context, c claimed) (v verdict, asked bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	held, end, err := store.New(q.beats).Heartbeat(ctx, c.run.ID, c.token, q.cfg.LeaseTTL, nil)
	switch {
	case err != nil:
		q.log.WarnContext(ctx, "nobody can tell whether the end of the run was asked for", "run", c.run.ID, "err", err)
		return verdict{}, false
	case !held || end == store.GoOn:
		return verdict{}, false
	case end == store.GiveWay:
		return gaveWay, true
	}
	return cancelledVerdict, true
}

// cancelledVerdict ends a run that somebody cancelled.
var cancelledVerdict = verdict{end: store.Ending{State: twin.Cancelled}, why: "Cancelled. The Twin is as it was."}

// gaveWay ends a run for the one of a newer commit that waits. Should that one
// have been cancelled meanwhile, this one begins again.
var gaveWay = verdict{again: true, free: true, why: "Begins again: the run of a newer commit, for which it was interrupted, is gone."}
