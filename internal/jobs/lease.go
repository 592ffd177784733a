package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// lease is this process's hold on one attempt of a run. It implements
// twin.Lease.
type lease struct {
	q          *Queue
	run, token int64
	generation string

	held  <-chan struct{} // closed once the lease is lost
	lose  context.CancelCauseFunc
	end   context.CancelCauseFunc // ends the work, not the lease
	fence *time.Timer             // goes off before anybody else may take over
	poke  chan struct{}           // a new phase: don't wait for the next beat

	mu        sync.Mutex
	latest    *twin.Progress
	confirmed time.Time // when the last beat that succeeded was sent
}

var _ twin.Lease = (*lease)(nil)

// newLease holds what was claimed by a transaction that began at began.
func newLease(q *Queue, c claimed, began time.Time, held <-chan struct{}, lose, end context.CancelCauseFunc) *lease {
	l := &lease{
		q: q, run: c.run.ID, token: c.token, generation: c.generation,
		held: held, lose: lose, end: end, poke: make(chan struct{}, 1), confirmed: began,
	}
	// The timer runs on the monotonic clock and goes off late, but at once,
	// after the process was stopped: nothing else has to notice.
	l.fence = time.AfterFunc(l.left(began), func() {
		lose(fmt.Errorf("%w: not extended in time", twin.ErrLeaseLost))
	})
	return l
}

// left is how long this process may go on after a beat sent at began.
func (l *lease) left(began time.Time) time.Duration {
	return time.Until(began.Add(l.q.cfg.LeaseTTL * 5 / 6))
}

// Token names the generation that is being loaded.
func (l *lease) Token() string { return l.generation }

// Progress notes how far the run has come.
func (l *lease) Progress(p twin.Progress) {
	l.mu.Lock()
	fresh := l.latest == nil || l.latest.Phase != p.Phase
	l.latest = &p
	l.mu.Unlock()
	if fresh {
		select {
		case l.poke <- struct{}{}:
		default:
		}
	}
}

// Check extends the lease now. Where the database can't be asked, a lease with
// at least half of its time left still counts as held.
func (l *lease) Check(ctx context.Context) error {
	err := l.beat(ctx, l.progress())
	select {
	case <-l.held:
		return twin.ErrLeaseLost
	default:
	}
	if errors.Is(err, twin.ErrCancelled) {
		return err
	}
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.confirmed) < l.q.cfg.LeaseTTL/2 {
		return nil
	}
	return fmt.Errorf("check lease: %w", err)
}

func (l *lease) progress() *twin.Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

// phase is the one that the run is in.
func (l *lease) phase() twin.Phase {
	if p := l.progress(); p != nil {
		return p.Phase
	}
	return ""
}

// keep extends the lease until ctx ends, storing the progress with it.
func (l *lease) keep(ctx context.Context) {
	tick := time.NewTicker(min(l.q.cfg.HeartbeatEvery, l.q.cfg.ProgressEvery))
	defer tick.Stop()
	var (
		told   twin.Progress
		toldAt time.Time
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.poke:
		}
		p := l.progress()
		if err := l.beat(ctx, p); err != nil {
			if ctx.Err() == nil && !errors.Is(err, twin.ErrCancelled) {
				l.q.log.WarnContext(ctx, "lease not extended", "run", l.run, "err", err)
			}
			continue
		}
		if p == nil || p.Phase == told.Phase && (*p == told || time.Since(toldAt) < l.q.cfg.ProgressEvery) {
			continue
		}
		told, toldAt = *p, time.Now()
		if err := l.tell(ctx); err != nil && ctx.Err() == nil {
			l.q.log.WarnContext(ctx, "progress not reported", "run", l.run, "err", err)
		}
	}
}

// beat extends the lease by one heartbeat.
func (l *lease) beat(ctx context.Context, p *twin.Progress) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, l.q.cfg.LeaseTTL/6)
	defer cancel()
	held, end, err := store.New(l.q.beats).Heartbeat(ctx, l.run, l.token, l.q.cfg.LeaseTTL, p)
	if err != nil {
		return err
	}
	if !held {
		l.lose(fmt.Errorf("%w: taken over", twin.ErrLeaseLost))
		return twin.ErrLeaseLost
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if began.After(l.confirmed) {
		l.confirmed = began
		l.fence.Reset(l.left(began))
	}
	if end != store.GoOn {
		l.end(twin.ErrCancelled)
		return twin.ErrCancelled
	}
	return nil
}

// tell asks for a report of the progress that was stored.
func (l *lease) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.q.cfg.LeaseTTL/6)
	defer cancel()
	return pgx.BeginFunc(ctx, l.q.beats, func(tx pgx.Tx) error {
		return l.q.reportRun(ctx, tx, l.run, true)
	})
}
