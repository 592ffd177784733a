package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// Decider says what a delivery means.
type Decider interface {
	Decide(ctx context.Context, d twin.Delivery) (twin.Decision, error)
	// Order says how commit a lies to commit b: after it (1), before it (-1), or
	// neither (0), as after a forced push.
	Order(ctx context.Context, repo twin.Repository, a, b string) (int, error)
	// Scheduled says what the schedule of a Twin asks for now.
	Scheduled(ctx context.Context, repo twin.Repository, name string) (twin.Decision, error)
}

// Filler carries out one attempt of a run under a lease. It ends soon after
// its context does, leaving nothing half made that the next attempt would not
// remove. Its error may be a *twin.Failure or a *twin.LaterError.
type Filler interface {
	Fill(ctx context.Context, run twin.Run, lease twin.Lease) (twin.Report, error)
}

// Reporter tells a run as it is now to one place. checkRunID is 0 where no
// check run is known yet; the id of the one found or made is given back, also
// beside an error. A *twin.LaterError is waited for; twin.ErrUnreachable is
// recorded and the place never tried again.
type Reporter interface {
	Report(ctx context.Context, run twin.Run, place twin.Place, checkRunID int64) (int64, error)
}

// Config is what a worker needs. Only Pool, Logger and the three parts are
// required; a zero duration or number means its default.
type Config struct {
	Pool   *pgxpool.Pool // direct to the server: LISTEN must work
	Logger *slog.Logger

	Decider  Decider
	Filler   Filler
	Reporter Reporter
	CatchUp  CatchUp
	// Cleaner may be nil: then what the last run of a target left half loaded
	// stays there until the next one.
	Cleaner Cleaner

	// SyncConcurrency is how many runs this process works on at once; 4.
	SyncConcurrency int
	// Drain is how long jobs may go on after Stop before they are interrupted
	// and handed over. Zero hands over at once.
	Drain time.Duration
	// LeaseTTL is how long after a worker's death its run is taken over; 3 min.
	LeaseTTL time.Duration
	// HeartbeatEvery is how often a lease is extended; a twelfth of LeaseTTL.
	HeartbeatEvery time.Duration
	// SweepEvery is how often this process looks for what others left; a sixth
	// of LeaseTTL.
	SweepEvery time.Duration
	// PruneEvery is how often this process deletes what is old; 1 h.
	PruneEvery time.Duration
	// ProgressEvery is how often numbers are reported within a phase; 30 s.
	ProgressEvery time.Duration
	// StaleAfter is how long a delivery or report may lie before the sweeper
	// looks whether anybody still works on it; two thirds of LeaseTTL, from 5 s
	// up to 2 min. Everything may be done twice.
	StaleAfter time.Duration
	// RetryAfter is the wait before the second attempt of a run; 30 s. It
	// doubles with every attempt.
	RetryAfter time.Duration
	// Now is the clock that schedules follow; the database's, which all workers
	// share.
	Now func(context.Context) (time.Time, error)
}

func (c Config) withDefaults() Config {
	c.SyncConcurrency = cmp.Or(c.SyncConcurrency, 4)
	c.LeaseTTL = cmp.Or(c.LeaseTTL, 3*time.Minute)
	c.HeartbeatEvery = cmp.Or(c.HeartbeatEvery, c.LeaseTTL/12)
	c.SweepEvery = cmp.Or(c.SweepEvery, c.LeaseTTL/6)
	c.PruneEvery = cmp.Or(c.PruneEvery, time.Hour)
	c.ProgressEvery = cmp.Or(c.ProgressEvery, 30*time.Second)
	c.StaleAfter = cmp.Or(c.StaleAfter, min(2*time.Minute, max(5*time.Second, 2*c.LeaseTTL/3)))
	c.RetryAfter = cmp.Or(c.RetryAfter, 30*time.Second)
	if c.Now == nil {
		c.Now = store.New(c.Pool).Now
	}
	return c
}

// Queue works on jobs, and can insert them.
type Queue struct {
	*Inserter
	cfg     Config
	beats   *pgxpool.Pool // heartbeats never wait for a busy pool
	stop    context.CancelFunc
	stopped chan struct{}
}

// New makes a worker. Start sets it to work; without Start, Stop lets go of
// what New has opened.
func New(cfg Config) (*Queue, error) {
	cfg = cfg.withDefaults()
	if cfg.HeartbeatEvery > cfg.LeaseTTL/3 {
		return nil, fmt.Errorf("heartbeat every %s is too seldom for a lease of %s: at least three must fit", cfg.HeartbeatEvery, cfg.LeaseTTL)
	}
	q := &Queue{cfg: cfg, stopped: make(chan struct{})}
	now := &clock{}
	workers, err := q.workers()
	if err != nil {
		return nil, err
	}
	client, err := river.NewClient(riverpgxv5.New(cfg.Pool), &river.Config{
		Schema: schema,
		Logger: cfg.Logger,
		Queues: map[string]river.QueueConfig{
			queueWebhook: {MaxWorkers: 20},
			queueSync:    {MaxWorkers: cfg.SyncConcurrency},
			queueReport:  {MaxWorkers: 5},
			queueClean:   {MaxWorkers: 2},
		},
		Workers:              workers,
		JobTimeout:           time.Minute,
		RescueStuckJobsAfter: 10 * time.Minute,
		FetchOnlyKnownKinds:  true,
		ErrorHandler:         errorLog{cfg.Logger},
		// The one way to tell River what time it is.
		Test: river.TestConfig{Time: now},
		// River waits for ever on zero.
		SoftStopTimeout: max(cfg.Drain, time.Millisecond),
	})
	if err != nil {
		return nil, fmt.Errorf("make queue client: %w", err)
	}
	pool := cfg.Pool.Config()
	pool.MaxConns, pool.MinConns, pool.MinIdleConns = 2, 0, 0
	if q.beats, err = pgxpool.NewWithConfig(context.Background(), pool); err != nil {
		return nil, fmt.Errorf("open heartbeat pool: %w", err)
	}
	q.Inserter = newInserter(cfg.Pool, client, now, cfg.Logger)
	return q, nil
}

// workers registers every kind: River's leader discards stuck jobs of kinds
// that it does not know.
func (q *Queue) workers() (*river.Workers, error) {
	workers := river.NewWorkers()
	err := errors.Join(
		river.AddWorkerSafely(workers, &webhookWorker{q: q}),
		river.AddWorkerSafely(workers, &syncWorker{q: q}),
		river.AddWorkerSafely(workers, &dueWorker{q: q}),
		river.AddWorkerSafely(workers, &reportWorker{q: q}),
		river.AddWorkerSafely(workers, &cleanWorker{q: q}),
	)
	if err != nil {
		return nil, fmt.Errorf("register workers: %w", err)
	}
	return workers, nil
}

// Start takes up work, that of dead processes first. When ctx ends, or on
// Stop, no more jobs are taken, running ones have Config.Drain to finish, and
// what is left is handed over. The pool must stay open until Stopped. After an
// error (the database went away just then) nothing runs, and Start may be
// called again.
func (q *Queue) Start(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	err := q.setClock(ctx)
	if err == nil {
		err = q.river.Start(ctx)
	}
	if err != nil {
		stop()
		return fmt.Errorf("start queue: %w", err)
	}
	q.stop = stop
	var running sync.WaitGroup
	running.Go(func() { q.sweep(ctx) })
	running.Go(func() { q.catchUp(ctx) })
	running.Go(func() { <-q.river.Stopped() })
	go func() {
		running.Wait()
		q.beats.Close()
		close(q.stopped)
	}()
	return nil
}

// wrongClock is from when on a process's clock deserves a warning: GitHub
// refuses the tokens of one that is a minute ahead.
const wrongClock = 30 * time.Second

// setClock sets the clock that River follows.
func (q *Queue) setClock(ctx context.Context) error {
	ahead, err := q.clock.set(ctx, store.New(q.pool))
	if err == nil && ahead.Abs() > wrongClock {
		q.log.WarnContext(ctx, "the clock of this process is not that of the database", "ahead", ahead.Round(time.Second))
	}
	return err
}

// Stop ends the work in order and waits until it has ended or ctx does.
func (q *Queue) Stop(ctx context.Context) error {
	if q.stop == nil {
		q.beats.Close()
		return nil
	}
	q.stop()
	select {
	case <-q.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the queue to stop: %w", ctx.Err())
	}
}

// Stopped is closed when the last job has ended after Start's context or Stop.
func (q *Queue) Stopped() <-chan struct{} { return q.stopped }

// interrupted marks the error of a job that was stopped from outside, so that
// River makes the job available again without counting the attempt. Anything
// else, a broken connection say, would count.
func interrupted(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("interrupted (%w): %w", context.Canceled, err)
	}
	return err
}

// backoff doubles a wait with every failed attempt, up to a limit.
func backoff(first time.Duration, failed int, limit time.Duration) time.Duration {
	wait := first
	for i := 1; i < failed && wait < limit; i++ {
		wait *= 2
	}
	return min(wait, limit)
}

// errorLog logs failed jobs: River itself does so at a level that nobody reads.
type errorLog struct{ log *slog.Logger }

// HandleError logs the error of a job.
func (l errorLog) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	l.log.ErrorContext(ctx, "job failed", "job", job.Kind, "job_id", job.ID, "attempt", job.Attempt, "err", err)
	return nil
}

// HandlePanic logs a defect in a job.
func (l errorLog) HandlePanic(ctx context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	l.log.ErrorContext(ctx, "job panicked", "job", job.Kind, "job_id", job.ID, "attempt", job.Attempt, "panic", value, "trace", trace)
	return nil
}

// alive reports whether a River job will still be worked on. One that is
// running counts as long as it is younger than age: its process may have died.
func (i *Inserter) alive(ctx context.Context, tx pgx.Tx, job int64, age time.Duration) (bool, error) {
	row, err := i.job(ctx, tx, job)
	if err != nil || row == nil {
		return false, err
	}
	switch row.State {
	case rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateScheduled:
		return true, nil
	case rivertype.JobStateRunning:
		now, err := store.New(tx).Now(ctx)
		return row.AttemptedAt != nil && now.Sub(*row.AttemptedAt) < age, err
	case rivertype.JobStateCancelled, rivertype.JobStateCompleted, rivertype.JobStateDiscarded:
	}
	return false, nil
}

// job reads a River job, nil if there is none.
func (i *Inserter) job(ctx context.Context, tx pgx.Tx, id int64) (*rivertype.JobRow, error) {
	if id == 0 {
		return nil, nil
	}
	row, err := i.river.JobGetTx(ctx, tx, id)
	if errors.Is(err, river.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read job: %w", err)
	}
	return row, nil
}
