package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

const queueSync = "sync"

// syncArgs names the run to work on.
type syncArgs struct {
	RunID int64 `json:"run_id"`
}

// Kind is the name under which the job is stored.
func (syncArgs) Kind() string { return "sync_run" }

// InsertOpts says where the job waits. Its attempts are for trouble with the
// control database alone: how often a run is tried is said by the run.
func (syncArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueSync, MaxAttempts: 5}
}

// syncWorker works on one attempt of a run.
type syncWorker struct {
	river.WorkerDefaults[syncArgs]
	q *Queue
}

// Timeout is none: a sync takes as long as it takes. River would never find
// out that such a job has died; our leases do.
func (w *syncWorker) Timeout(*river.Job[syncArgs]) time.Duration { return -1 }

// NextRetry waits up to a minute: only trouble with the control database ends
// here, and the run waits for nothing else.
func (w *syncWorker) NextRetry(job *river.Job[syncArgs]) time.Time {
	return w.q.clock.Now().Add(backoff(time.Second, job.Attempt, time.Minute))
}

// Work claims the run, lets the Filler work on it, and stores what came of it.
func (w *syncWorker) Work(ctx context.Context, job *river.Job[syncArgs]) error {
	began := time.Now()
	c, err := w.claim(ctx, job.Args.RunID, job.ID)
	switch {
	case err != nil:
		return interrupted(ctx, err)
	case c.wait > 0:
		return river.JobSnooze(c.wait)
	case c.token == 0:
		return nil // somebody else's, or over
	}
	log := w.q.log.With("run", c.run.ID, "repo", c.run.Repo.FullName(), "twin", c.run.Spec.Name, "sha", c.run.SHA, "attempt", c.run.Attempt)
	log.InfoContext(ctx, "run started", "mode", c.run.Spec.Mode, "generation", c.generation)

	// held lives as long as the lease does, through a shutdown as well.
	held, lose := context.WithCancelCause(context.WithoutCancel(ctx))
	filling, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := newLease(w.q, c, began, held.Done(), lose, cancel)
	var keeping sync.WaitGroup
	keeping.Go(func() { l.keep(held) })
	defer func() { lose(nil); keeping.Wait(); l.fence.Stop() }()
	defer context.AfterFunc(held, func() { cancel(context.Cause(held)) })()
	report, err := w.fill(filling, c.run, l)
	if err != nil && held.Err() == nil {
		if v, asked := w.q.asked(ctx, c); asked {
			log.InfoContext(ctx, "run ended as it was asked to", "for_newer", v.again, "took", time.Since(began))
			return w.persist(ctx, held, job, c, v)
		}
	}
	switch {
	case held.Err() != nil:
		log.WarnContext(ctx, "lease lost: what this attempt did does not count", "err", context.Cause(held))
		return nil
	case err != nil && ctx.Err() != nil:
		return w.handOver(ctx, c)
	}
	v := w.q.outcome(c.run, l.phase(), report, err)
	switch {
	case err == nil:
		log.InfoContext(ctx, "run published", "rows", report.Rows(), "took", time.Since(began))
	case v.free:
		log.InfoContext(ctx, "run must wait", "after", v.after, "err", err)
	default:
		log.ErrorContext(ctx, "attempt failed", "again", v.again, "after", v.after, "took", time.Since(began), "err", err)
	}
	return w.persist(ctx, held, job, c, v)
}

// fill lets the Filler work and turns a panic into an error, so that the run
// is tried again in order instead of waiting for its lease to end.
func (w *syncWorker) fill(ctx context.Context, run twin.Run, l *lease) (report twin.Report, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return w.q.cfg.Filler.Fill(ctx, run, l)
}

// claimed is what a claim gave: a lease on a run, a time to wait, or neither.
type claimed struct {
	run        twin.Run
	token      int64
	generation string
	wait       time.Duration
}

// busyWait is how long a run waits for another Twin to let go of its target.
const busyWait = 10 * time.Second

// claim makes the run running under a new lease, if this job may.
func (w *syncWorker) claim(ctx context.Context, run, job int64) (c claimed, err error) {
	err = pgx.BeginFunc(ctx, w.q.pool, func(tx pgx.Tx) error {
		s := store.New(tx)
		twinID, err := s.LockTwinOf(ctx, run)
		if errors.Is(err, store.ErrNotFound) {
			return nil // purged with its tenant
		}
		if err != nil {
			return err
		}
		st, err := s.LockRun(ctx, run, 0)
		switch {
		case err != nil:
			return err
		case st.Job != job:
			return nil
		case st.State == twin.Queued && !st.Holds:
			return w.q.cancelQueued(ctx, tx, run, "because its Twin has let go of the target")
		case st.State == twin.Running && st.Expired && !st.Holds:
			return w.q.end(ctx, tx, twinID, run, st.Token, cancelledVerdict.end, "Cancelled, because its Twin has let go of the target.")
		case st.State == twin.Queued && st.Wait > 0:
			c.wait = st.Wait
			return nil
		case st.State == twin.Running && st.Expired:
			if ended, err := w.q.settle(ctx, tx, twinID, run, st); err != nil || ended {
				return err
			}
		case st.State != twin.Queued:
			return nil
		}
		if busy, err := s.TargetBusy(ctx, run, st.Target); err != nil || busy {
			c.wait = busyWait
			return err
		}
		return w.begin(ctx, tx, run, &c)
	})
	if err != nil {
		return claimed{}, fmt.Errorf("claim run %d: %w", run, err)
	}
	return c, nil
}

// begin starts an attempt of a run that may be claimed.
func (w *syncWorker) begin(ctx context.Context, tx pgx.Tx, run int64, c *claimed) error {
	s := store.New(tx)
	token, err := s.NextToken(ctx)
	if err != nil {
		return err
	}
	// The random part keeps generations apart on the target even if the
	// control database, and the sequence with it, is made anew.
	generation := strconv.FormatInt(token, 36) + strings.ToLower(rand.Text()[:6])
	if err := s.Claim(ctx, run, token, w.q.river.ID(), generation, w.q.cfg.LeaseTTL); err != nil {
		return err
	}
	if c.run, err = s.Run(ctx, run); err != nil {
		return err
	}
	if err := s.BeginLoading(ctx, c.run.Spec.Target, generation); err != nil {
		return err
	}
	c.token, c.generation = token, generation
	if err := s.AddEvent(ctx, run, store.Info, "", fmt.Sprintf("Attempt %d of %d started.", c.run.Attempt, c.run.MaxAttempts)); err != nil {
		return err
	}
	return w.q.reportRun(ctx, tx, run, false)
}

// handOver gives the lease back, for the next worker to claim the run at once.
func (w *syncWorker) handOver(ctx context.Context, c claimed) error {
	giving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var held bool
	err := pgx.BeginFunc(giving, w.q.pool, func(tx pgx.Tx) (err error) {
		s := store.New(tx)
		if held, err = s.GiveBack(giving, c.run.ID, c.token); err != nil || !held {
			return err
		}
		return s.AddEvent(giving, c.run.ID, store.Info, "", "Handed over: this worker is stopping.")
	})
	switch {
	case err != nil:
		// The lease ends by itself; the run is only taken over later.
		w.q.log.WarnContext(ctx, "lease not given back", "run", c.run.ID, "err", err)
	case held:
		w.q.log.InfoContext(ctx, "run handed over", "run", c.run.ID)
	default:
		w.q.log.WarnContext(ctx, "lease lost: what this attempt did does not count", "run", c.run.ID)
	}
	return fmt.Errorf("run %d interrupted: %w", c.run.ID, context.Canceled)
}

// persist stores the verdict, again and again while the lease is held: a short
// outage of the control database must not cost a finished sync.
func (w *syncWorker) persist(ctx, held context.Context, job *river.Job[syncArgs], c claimed, v verdict) error {
	storing, cancel := context.WithCancel(held)
	defer cancel()
	// A process that is stopping does not wait for the lease to end.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(30*time.Second, cancel) })()
	for try := 1; ; try++ {
		err := w.q.conclude(storing, job, c, v)
		if errors.Is(err, twin.ErrLeaseLost) {
			w.q.log.WarnContext(ctx, "lease lost: what this attempt did does not count", "run", c.run.ID, "err", err)
			return nil
		}
		if err == nil {
			return nil
		}
		w.q.log.WarnContext(ctx, "outcome of run not stored yet", "run", c.run.ID, "err", err)
		select {
		case <-storing.Done():
			return fmt.Errorf("store outcome of run %d: %w", c.run.ID, err)
		case <-time.After(backoff(200*time.Millisecond, try, 5*time.Second)):
		}
	}
}
