package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

const (
	queueReport   = "report"
	reportTimeout = time.Minute
	// reportHold is how long a publisher keeps a place for itself: longer than
	// it can live, so that it never speaks after its successor.
	reportHold = reportTimeout + 15*time.Second
)

// reportArgs names the run to report.
type reportArgs struct {
	RunID int64 `json:"run_id"`
}

// Kind is the name under which the job is stored.
func (reportArgs) Kind() string { return "check_publish" }

// InsertOpts says where the job waits and how often it is tried.
func (reportArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueReport, MaxAttempts: 20}
}

// reportWorker tells a run's places what is true of it now.
type reportWorker struct {
	river.WorkerDefaults[reportArgs]
	q *Queue
}

// Timeout bounds one attempt.
func (w *reportWorker) Timeout(*river.Job[reportArgs]) time.Duration { return reportTimeout }

// NextRetry waits up to five minutes.
func (w *reportWorker) NextRetry(job *river.Job[reportArgs]) time.Time {
	return time.Now().Add(backoff(time.Second, job.Attempt, 5*time.Minute))
}

// Work reports until nothing is left to be said. Only one publisher at a time
// holds a place; what became true meanwhile is told by its next round.
func (w *reportWorker) Work(ctx context.Context, job *river.Job[reportArgs]) error {
	s := store.New(w.q.pool)
	for {
		// The versions are read before the run: what is told is then never
		// older than the version that is noted as posted.
		places, err := s.HoldPlaces(ctx, job.Args.RunID, reportHold)
		if err != nil {
			return interrupted(ctx, err)
		}
		if len(places) == 0 {
			break
		}
		run, err := s.Run(ctx, job.Args.RunID)
		if err != nil {
			return interrupted(ctx, err)
		}
		if err := w.tell(ctx, run, places); err != nil {
			return interrupted(ctx, err)
		}
	}
	held, err := s.PlacesHeld(ctx, job.Args.RunID)
	if err == nil && held {
		// Whoever holds them may have died: look again.
		return river.JobSnooze(5 * time.Second)
	}
	return interrupted(ctx, err)
}

// tell reports a run to each place. One place's trouble does not keep the
// others from being told.
func (w *reportWorker) tell(ctx context.Context, run twin.Run, places []store.Publication) error {
	var (
		failures []error
		until    time.Time
		later    *twin.LaterError
	)
	for _, p := range places {
		err := w.tellOne(ctx, run, p)
		switch {
		case errors.As(err, &later):
			if later.At.After(until) {
				until = later.At
			}
		case err != nil:
			failures = append(failures, err)
		}
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	if !until.IsZero() {
		return river.JobSnooze(max(time.Until(until), time.Second))
	}
	return nil
}

// tellOne reports a run to one place and notes what came of it. What GitHub
// has done must be noted even if the process is about to stop.
func (w *reportWorker) tellOne(ctx context.Context, run twin.Run, p store.Publication) error {
	id, err := w.q.cfg.Reporter.Report(ctx, run, p.Place, p.CheckRunID)
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	s := store.New(w.q.pool)
	if id != 0 && id != p.CheckRunID {
		if err := s.SetCheckRun(noting, run.ID, p.SHA, id); err != nil {
			return err
		}
	}
	if err == nil {
		return s.Posted(noting, run.ID, p.SHA, p.Wanted)
	}
	gone := errors.Is(err, twin.ErrUnreachable)
	if noted := s.NotPosted(noting, run.ID, p.SHA, err.Error(), gone); noted != nil {
		return errors.Join(err, noted)
	}
	if gone {
		w.q.log.WarnContext(ctx, "place unreachable", "run", run.ID, "repo", run.Repo.FullName(), "sha", p.SHA, "err", err)
		return nil
	}
	return fmt.Errorf("report run %d on %.12s: %w", run.ID, p.SHA, err)
}
