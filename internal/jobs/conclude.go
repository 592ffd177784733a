package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// verdict is what becomes of a run after an attempt: it ends, or, with again
// set, it waits for the next attempt.
type verdict struct {
	end   store.Ending
	again bool
	after time.Duration
	free  bool // the attempt does not count
	why   string
}

// outcome says what becomes of a run after an attempt that ended in a phase.
func (q *Queue) outcome(run twin.Run, phase twin.Phase, report twin.Report, err error) verdict {
	if err == nil {
		return verdict{end: store.Ending{State: twin.Succeeded, Report: &report}, why: "Published."}
	}
	var later *twin.LaterError
	if errors.As(err, &later) {
		v := verdict{again: true, after: max(time.Until(later.At), 0), free: true}
		v.why = "Waits until " + later.At.UTC().Format("15:04:05 MST") + "."
		// Waiting is no failure, but a person may read what it is for.
		if f := (*twin.Failure)(nil); errors.As(later.Err, &f) {
			v.end.Failure = inPhase(f, phase)
		}
		return v
	}
	f := inPhase(twin.AsFailure(err), phase)
	retry := (f.Retry || errors.Is(err, twin.ErrLeaseLost)) && !errors.Is(err, twin.ErrRefused)
	if retry && run.Attempt < run.MaxAttempts {
		after := backoff(q.cfg.RetryAfter, run.Attempt, 30*time.Minute)
		return verdict{
			again: true, after: after, end: store.Ending{Failure: f},
			why: fmt.Sprintf("Attempt %d failed: %s. The next one follows in %s.", run.Attempt, f.Message, after.Round(time.Second)),
		}
	}
	return verdict{end: store.Ending{State: twin.Failed, Failure: f}, why: "Failed: " + f.Message + "."}
}

// inPhase says in which phase a failure happened, if it does not do so itself.
func inPhase(f *twin.Failure, phase twin.Phase) *twin.Failure {
	placed := *f
	placed.Phase = cmp.Or(f.Phase, phase)
	return &placed
}

// conclude stores a verdict, completes the job and starts what waits, in one
// transaction. If the lease has passed to somebody else, nothing is changed.
func (q *Queue) conclude(ctx context.Context, job *river.Job[syncArgs], c claimed, v verdict) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		s := store.New(tx)
		twinID, err := s.LockTwinOf(ctx, c.run.ID)
		if err != nil {
			return err
		}
		if v.again {
			err = q.again(ctx, tx, twinID, c, v)
		} else {
			err = q.end(ctx, tx, twinID, c.run.ID, c.token, v.end, v.why)
		}
		if err != nil {
			return err
		}
		// Not a fence: it gives no error if the job's row is over already. The
		// fence is the lease's token, above.
		done, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		if err != nil {
			return fmt.Errorf("complete job: %w", err)
		}
		if done.State != rivertype.JobStateCompleted {
			q.log.InfoContext(ctx, "job was over before its run", "run", c.run.ID, "job_id", job.ID, "state", done.State)
		}
		return nil
	})
}

// again makes a run wait for its next attempt, unless somebody has cancelled it
// while this one was ending, or a newer one waits: then that one is worth more.
func (q *Queue) again(ctx context.Context, tx pgx.Tx, twinID int64, c claimed, v verdict) error {
	s := store.New(tx)
	st, err := s.LockRun(ctx, c.run.ID, 0)
	if err != nil {
		return err
	}
	if st.Cancelled {
		return q.end(ctx, tx, twinID, c.run.ID, c.token, cancelledVerdict.end, cancelledVerdict.why)
	}
	_, queued, err := s.Active(ctx, twinID)
	if err != nil {
		return err
	}
	if queued != 0 {
		v.end.State, v.end.SupersededBy = twin.Superseded, queued
		return q.end(ctx, tx, twinID, c.run.ID, c.token, v.end, fmt.Sprintf("Superseded by run %d after an attempt that did not publish.", queued))
	}
	held, err := s.Requeue(ctx, c.run.ID, c.token, v.end.Failure, v.after, v.free)
	if err != nil {
		return err
	}
	if !held {
		return twin.ErrLeaseLost
	}
	if err := s.AddEvent(ctx, c.run.ID, store.Warn, phaseOf(v.end.Failure), v.why); err != nil {
		return err
	}
	if err := q.reportRun(ctx, tx, c.run.ID, false); err != nil {
		return err
	}
	return q.startRun(ctx, tx, c.run.ID, &river.InsertOpts{ScheduledAt: q.clock.Now().Add(v.after)})
}

// end ends a running run for good and starts the one that waits behind it.
func (q *Queue) end(ctx context.Context, tx pgx.Tx, twinID, run, token int64, e store.Ending, why string) error {
	s := store.New(tx)
	held, err := s.End(ctx, run, token, e)
	if err != nil {
		return err
	}
	if !held {
		return twin.ErrLeaseLost
	}
	level := store.Info
	switch e.State {
	case twin.Succeeded:
		if err := s.Published(ctx, run); err != nil {
			return err
		}
	case twin.Failed:
		level = store.Error
	case twin.Queued, twin.Running, twin.Cancelled, twin.Superseded:
	}
	if err := s.AddEvent(ctx, run, level, phaseOf(e.Failure), why); err != nil {
		return err
	}
	if err := q.reportRun(ctx, tx, run, false); err != nil {
		return err
	}
	_, queued, err := s.Active(ctx, twinID)
	if err != nil || queued == 0 {
		return err
	}
	return q.startRun(ctx, tx, queued, nil)
}

// settle ends a run whose lease has ended, if it is not to be tried again: it
// was cancelled, a newer one waits, or its workers have died too often.
func (q *Queue) settle(ctx context.Context, tx pgx.Tx, twinID, run int64, st store.Standing) (ended bool, err error) {
	_, queued, err := store.New(tx).Active(ctx, twinID)
	switch {
	case err != nil:
		return false, err
	case st.Cancelled:
		return true, q.end(ctx, tx, twinID, run, st.Token, cancelledVerdict.end, cancelledVerdict.why)
	case queued != 0:
		e := store.Ending{State: twin.Superseded, SupersededBy: queued}
		return true, q.end(ctx, tx, twinID, run, st.Token, e, fmt.Sprintf("Superseded by run %d after an interruption.", queued))
	case !st.GivenBack && st.Attempt >= st.MaxAttempts:
		r, err := store.New(tx).Run(ctx, run)
		if err != nil {
			return false, err
		}
		f := &twin.Failure{
			Code: twin.CodeInternal, Phase: r.At().Phase, // what the Twin serves depends on it
			Message: "the worker ended unexpectedly in the last attempt that was left",
			Next:    "look for the reason in the service's log, memory limits first; then run it again",
		}
		return true, q.end(ctx, tx, twinID, run, st.Token, store.Ending{State: twin.Failed, Failure: f}, "Failed: "+f.Message+".")
	}
	return false, nil
}

func phaseOf(f *twin.Failure) twin.Phase {
	if f == nil {
		return ""
	}
	return f.Phase
}
