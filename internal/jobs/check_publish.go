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
	// placeTimeout bounds what is said at one place.
	placeTimeout = 20 * time.Second
	// placeHold is how long a publisher keeps a place for itself: longer than
	// it may speak, so that it never does so after its successor.
	placeHold = placeTimeout + 5*time.Second
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
	return w.q.clock.Now().Add(backoff(time.Second, job.Attempt, 5*time.Minute))
}

// Work reports until nothing is left to be said. Only one publisher at a time
// holds a place; what becomes true meanwhile is told by its next round. One
// place's trouble does not keep the others from being told.
func (w *reportWorker) Work(ctx context.Context, job *river.Job[reportArgs]) error {
	var (
		s        = store.New(w.q.pool)
		tried    = []string{}
		failures []error
		until    time.Time // when the last of the places that must wait may be told
	)
	for {
		// The version is read before the run: what is told is then never older
		// than the version that is noted as posted.
		place, found, err := s.HoldPlace(ctx, job.Args.RunID, placeHold, tried)
		if err != nil {
			return interrupted(ctx, err)
		}
		if !found {
			break
		}
		err = w.tell(ctx, job.Args.RunID, place)
		var later *twin.LaterError
		switch {
		case err == nil:
			continue
		case errors.As(err, &later):
			if later.At.After(until) {
				until = later.At
			}
		default:
			failures = append(failures, err)
		}
		tried = append(tried, place.SHA)
	}
	if err := errors.Join(failures...); err != nil {
		return interrupted(ctx, err)
	}
	if !until.IsZero() {
		return river.JobSnooze(max(time.Until(until), time.Second))
	}
	held, err := s.PlacesHeld(ctx, job.Args.RunID)
	if err == nil && held {
		// Whoever holds them may have died: look again.
		return river.JobSnooze(5 * time.Second)
	}
	return interrupted(ctx, err)
}

// tell reports a run to one place and notes what came of it. What GitHub has
// done must be noted even if the process is about to stop.
func (w *reportWorker) tell(ctx context.Context, id int64, p store.Publication) error {
	s := store.New(w.q.pool)
	telling, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	run, err := s.Run(telling, id)
	check := p.CheckRunID
	if err == nil {
		check, err = w.q.cfg.Reporter.Report(telling, run, p.Place, p.CheckRunID)
	}
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if check != 0 && check != p.CheckRunID {
		if err := s.SetCheckRun(noting, id, p.SHA, check); err != nil {
			return err
		}
	}
	if err == nil {
		return s.Posted(noting, id, p.SHA, p.Wanted)
	}
	gone := errors.Is(err, twin.ErrUnreachable)
	if noted := s.NotPosted(noting, id, p.SHA, err.Error(), gone); noted != nil {
		return errors.Join(err, noted)
	}
	if gone {
		// Is it this place alone? If not, it is told when access comes back.
		if err := s.Doubt(noting, run.Repo.InstallationID, run.Repo.ID); err != nil {
			return err
		}
		w.q.log.WarnContext(ctx, "place unreachable", "run", id, "repo", run.Repo.FullName(), "sha", p.SHA, "err", err)
		return nil
	}
	return fmt.Errorf("report run %d on %.12s: %w", id, p.SHA, err)
}
