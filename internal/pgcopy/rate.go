package pgcopy

import (
	"context"
	"sync"
	"time"
)

// Rate bounds how many bytes a second all streams that share it move together.
// A nil *Rate is no bound.
type Rate struct {
	perSecond float64
	mu        sync.Mutex
	next      time.Time // when the next byte may pass
}

// NewRate makes a bound, or none for 0.
func NewRate(bytesPerSecond int64) *Rate {
	if bytesPerSecond <= 0 {
		return nil
	}
	return &Rate{perSecond: float64(bytesPerSecond)}
}

// Wait returns when n bytes that have just come may be followed by others, or
// when ctx ends.
func (r *Rate) Wait(ctx context.Context, n int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	now := time.Now()
	if r.next.Before(now) {
		r.next = now
	}
	r.next = r.next.Add(time.Duration(float64(n) / r.perSecond * float64(time.Second)))
	pause := r.next.Sub(now)
	r.mu.Unlock()
	// Shorter pauses add up until they are worth a timer.
	if pause < 5*time.Millisecond {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
