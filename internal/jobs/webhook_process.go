package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

const (
	queueWebhook   = "webhook"
	webhookTimeout = time.Minute
)

// webhookArgs names the delivery to process.
type webhookArgs struct {
	GUID string `json:"guid"`
}

// Kind is the name under which the job is stored.
func (webhookArgs) Kind() string { return "webhook_process" }

// InsertOpts says where the job waits and how often it is tried.
func (webhookArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueWebhook, MaxAttempts: 10}
}

// webhookWorker turns a delivery into requests and those into runs.
type webhookWorker struct {
	river.WorkerDefaults[webhookArgs]
	q *Queue
}

// Timeout bounds one attempt.
func (w *webhookWorker) Timeout(*river.Job[webhookArgs]) time.Duration { return webhookTimeout }

// NextRetry waits up to five minutes: a check should appear within seconds
// after GitHub answers again.
func (w *webhookWorker) NextRetry(job *river.Job[webhookArgs]) time.Time {
	return w.q.clock.Now().Add(backoff(time.Second, job.Attempt, 5*time.Minute))
}

// Work processes the delivery. Every part of it may happen twice: a run is
// made once for a fact, and only then is the delivery marked.
func (w *webhookWorker) Work(ctx context.Context, job *river.Job[webhookArgs]) error {
	s := store.New(w.q.pool)
	d, processed, err := s.Delivery(ctx, job.Args.GUID)
	if errors.Is(err, store.ErrNotFound) || err == nil && processed {
		return nil
	}
	if err != nil {
		return interrupted(ctx, err)
	}
	reason, err := w.process(ctx, d)
	var later *twin.LaterError
	switch {
	case err == nil:
		return interrupted(ctx, s.FinishDelivery(ctx, d.GUID, reason))
	case ctx.Err() == nil && errors.As(err, &later):
		return river.JobSnooze(max(time.Until(later.At), time.Second))
	case errors.Is(err, twin.ErrRefused):
		w.q.log.WarnContext(ctx, "delivery refused", "delivery", d.GUID, "event", d.Event, "err", err)
		return interrupted(ctx, s.FinishDelivery(ctx, d.GUID, err.Error()))
	}
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return interrupted(ctx, errors.Join(err, s.FailDelivery(noting, d.GUID, err.Error())))
}

// process gives the reason why nothing followed from the delivery, if so.
func (w *webhookWorker) process(ctx context.Context, d twin.Delivery) (reason string, err error) {
	decision, err := w.q.cfg.Decider.Decide(ctx, d)
	if err != nil {
		return "", err
	}
	if err := w.q.declare(ctx, decision.Declared); err != nil {
		return "", err
	}
	if err := w.q.changed(ctx, decision.Changed); err != nil {
		return "", err
	}
	for _, r := range decision.Requests {
		run, err := w.enqueue(ctx, r)
		if err != nil {
			return "", err
		}
		w.q.log.InfoContext(ctx, "request enqueued", "delivery", d.GUID, "event", d.Event,
			"repo", r.Repo.FullName(), "installation", r.Repo.InstallationID, "twin", r.Spec.Name, "sha", r.SHA, "run", run)
	}
	if len(decision.Requests) == 0 {
		w.q.log.InfoContext(ctx, "delivery declined", "delivery", d.GUID, "event", d.Event, "reason", decision.Reason)
	}
	if decision.Fact != nil {
		if err := store.New(w.q.pool).Judge(ctx, *decision.Fact); err != nil {
			return "", err
		}
	}
	return decision.Reason, nil
}

// enqueue is Enqueue that looks into the history where times don't tell which
// commit is newer.
func (w *webhookWorker) enqueue(ctx context.Context, r twin.Request) (run int64, err error) {
	err = w.q.knowing(ctx, r.Repo, r.SHA, func(h history) (err error) {
		run, err = w.q.enqueueKnowing(ctx, r, h)
		return err
	})
	return run, err
}
