package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/neontwin/neontwin/internal/store"
)

// clock is the database's time, as this process reckons it from its monotonic
// clock. River writes times of its own into rows, such as that from which on a
// job may be worked on: by the clock of a process that is hours ahead, nobody
// would for hours.
type clock struct {
	mu sync.Mutex
	// then is the database's time at mark. Zero: it was never asked.
	then, mark time.Time
	asked      time.Time
}

const (
	// clockSlack is how far two clocks may be apart and still count as one.
	clockSlack = time.Second
	// clockEvery is how often the database is asked by who does not sweep.
	clockEvery = time.Minute
)

// Now implements rivertype.TimeGenerator.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reckoned()
}

func (c *clock) reckoned() time.Time {
	if c.then.IsZero() {
		return time.Now()
	}
	return c.then.Add(time.Since(c.mark))
}

// NowOrNil implements rivertype.TimeGenerator. As long as the clock of this
// process is right, River does as it always does.
func (c *clock) NowOrNil() *time.Time {
	now, own := c.Now(), time.Now()
	if now.Round(0).Sub(own.Round(0)).Abs() <= clockSlack {
		return nil
	}
	return &now
}

// set asks the database, and gives by how much this process's own clock is
// ahead of it.
func (c *clock) set(ctx context.Context, s store.Store) (ahead time.Duration, err error) {
	from := c.Now()
	now, err := s.Now(ctx)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	own, till := time.Now(), c.reckoned()
	c.asked = own
	if c.then.IsZero() || now.Before(from.Round(0)) || now.After(till.Round(0)) {
		c.then, c.mark = till.Add(now.Sub(till)), own
	}
	return own.Sub(now), nil
}

// keep sets the clock if that was not done lately.
func (c *clock) keep(ctx context.Context, s store.Store) error {
	c.mu.Lock()
	due := c.asked.IsZero() || time.Since(c.asked) > clockEvery
	c.mu.Unlock()
	if !due {
		return nil
	}
	_, err := c.set(ctx, s)
	return err
}
