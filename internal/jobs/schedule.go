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

// A schedule lives in the Twin's row: when it is due next, and the last date on
// which it was. Whoever finds it due moves it on to the next date and notes
// that the date's run is to be asked for, all in one transaction, so that a
// date is due once, whoever looks. A job then asks GitHub for the head of the
// default branch, without a lock, and makes the run, in the transaction that
// strikes the note. Should the job be lost, the sweeper makes another one.

// dueArgs names the Twin of which a date is due.
type dueArgs struct {
	TwinID int64 `json:"twin_id"`
}

// Kind is the name under which the job is stored.
func (dueArgs) Kind() string { return "schedule_due" }

// InsertOpts says where the job waits and how often it is tried before the
// sweeper makes a new one.
func (dueArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueWebhook, MaxAttempts: 10}
}

// dueWorker asks for the run of a date that is due.
type dueWorker struct {
	river.WorkerDefaults[dueArgs]
	q *Queue
}

// Timeout bounds one attempt.
func (w *dueWorker) Timeout(*river.Job[dueArgs]) time.Duration { return webhookTimeout }

// NextRetry waits up to five minutes.
func (w *dueWorker) NextRetry(job *river.Job[dueArgs]) time.Time {
	return w.q.clock.Now().Add(backoff(time.Second, job.Attempt, 5*time.Minute))
}

// Work looks at the default branch as it is now and asks for its sync. While
// GitHub can't be asked, it is tried again until the next date is due.
func (w *dueWorker) Work(ctx context.Context, job *river.Job[dueArgs]) error {
	p, err := store.New(w.q.pool).Planned(ctx, job.Args.TwinID)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && p.Due.IsZero():
		return nil
	case err != nil:
		return interrupted(ctx, err)
	}
	decision, err := w.q.cfg.Decider.Scheduled(ctx, p.Repo, p.Name)
	var later *twin.LaterError
	switch {
	case ctx.Err() == nil && errors.As(err, &later):
		return river.JobSnooze(max(time.Until(later.At), time.Second))
	case err != nil:
		return interrupted(ctx, err)
	}
	if err := w.q.declare(ctx, decision.Declared); err != nil {
		return interrupted(ctx, err)
	}
	return interrupted(ctx, w.ask(ctx, p, decision))
}

// ask makes the runs of a date, unless that has been done or undone meanwhile.
func (w *dueWorker) ask(ctx context.Context, p store.Planned, d twin.Decision) error {
	sha := ""
	if len(d.Requests) > 0 {
		sha = d.Requests[0].SHA
	}
	return w.q.knowing(ctx, p.Repo, sha, func(h history) error {
		return pgx.BeginFunc(ctx, w.q.pool, func(tx pgx.Tx) error {
			s := store.New(tx)
			if _, err := s.LockTwinsOf(ctx, p.Repo.ID); err != nil { // as enqueue may do, which comes after
				return err
			}
			now, err := s.LockPlanned(ctx, p.TwinID)
			if err != nil || now.Due.IsZero() || !now.Due.Equal(p.Due) {
				return err
			}
			for _, r := range d.Requests {
				run, err := w.q.enqueue(ctx, tx, r, h)
				if err != nil {
					return err
				}
				w.q.log.InfoContext(ctx, "scheduled run enqueued", "repo", p.Repo.FullName(), "twin", r.Spec.Name,
					"date", p.Due.Format(time.DateOnly), "sha", r.SHA, "run", run)
			}
			if len(d.Requests) == 0 {
				w.q.log.InfoContext(ctx, "schedule declined", "repo", p.Repo.FullName(), "twin", p.Name, "reason", d.Reason)
			}
			return s.ClearDue(ctx, p.TwinID)
		})
	})
}

// sweepSchedules finds the schedules that are due, and the dates that nobody
// asks for.
func (q *Queue) sweepSchedules(ctx context.Context) error {
	now, err := q.cfg.Now(ctx)
	if err != nil {
		return err
	}
	for more, n := true, 0; more && n < sweepLimit; n++ {
		if more, err = q.fireNext(ctx, now); err != nil {
			return fmt.Errorf("look for schedules that are due: %w", err)
		}
	}
	twins, err := store.New(q.pool).DueTwins(ctx, sweepLimit)
	if err != nil {
		return err
	}
	return each(ctx, q, twins, func(tx pgx.Tx, id int64) error {
		p, err := store.New(tx).LockPlanned(ctx, id)
		if err != nil || p.Due.IsZero() {
			return err
		}
		return q.askLater(ctx, tx, p)
	})
}

// fireNext takes up one schedule that is due, and says whether there was one.
func (q *Queue) fireNext(ctx context.Context, now time.Time) (found bool, err error) {
	err = pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		s := store.New(tx)
		var p store.Planned
		if p, found, err = s.LockDueTwin(ctx, now); err != nil || !found {
			return err
		}
		if p.Plan == nil {
			return s.SetPlan(ctx, p.TwinID, nil, time.Time{})
		}
		t, err := newTimetable(*p.Plan, p.Repo.ID, p.Name)
		if err != nil {
			// A zone that this machine does not know; others may.
			q.log.ErrorContext(ctx, "schedule can't be computed", "repo", p.Repo.FullName(), "twin", p.Name, "err", err)
			return s.SetNext(ctx, p.TwinID, now.Add(time.Hour))
		}
		date := t.due(p.Next, now)
		if err := s.SetNext(ctx, p.TwinID, t.next(date, now)); err != nil {
			return err
		}
		if !date.After(p.Last) { // the date has had its run, by another plan
			return nil
		}
		if err := s.SetDue(ctx, p.TwinID, date); err != nil {
			return err
		}
		return q.askLater(ctx, tx, p)
	})
	return found, err
}

// askLater makes the job that asks for the run of a date, unless one lives.
func (q *Queue) askLater(ctx context.Context, tx pgx.Tx, p store.Planned) error {
	if alive, err := q.alive(ctx, tx, p.Job, 2*webhookTimeout); err != nil || alive {
		return err
	}
	res, err := q.river.InsertTx(ctx, tx, dueArgs{TwinID: p.TwinID}, nil)
	if err != nil {
		return fmt.Errorf("insert schedule_due: %w", err)
	}
	return store.New(tx).SetDueJob(ctx, p.TwinID, res.Job.ID)
}

// knowing calls do with what is known of how a commit lies to others, until it
// knows enough.
func (q *Queue) knowing(ctx context.Context, repo twin.Repository, sha string, do func(history) error) error {
	h := history{}
	for {
		err := do(h)
		var doubt *doubtError
		if !errors.As(err, &doubt) {
			return err
		}
		if h[doubt.sha], err = q.cfg.Decider.Order(ctx, repo, sha, doubt.sha); err != nil {
			return err
		}
	}
}
