package refresh

import (
	"context"
	"fmt"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// keepEvery is how often the target's session is looked after while others do
// the work; keepWait is how long an answer may take.
const (
	keepEvery = 2 * time.Second
	keepWait  = 30 * time.Second
)

// keep looks after the target's session while the database is loaded: with the
// session goes the lock. One that was lost is made anew and takes the lock
// again, which costs nothing where nobody came between. Where somebody did, the
// context it gives ends: whoever goes on would work beside a successor.
//
// The session belongs to keep until letGo has returned.
func (t *target) keep(ctx context.Context, database, token string) (held context.Context, letGo func()) {
	held, cancel := context.WithCancelCause(ctx)
	enough, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(keepEvery)
		defer tick.Stop()
		for {
			select {
			case <-enough:
				return
			case <-held.Done():
				return
			case <-tick.C:
			}
			// Not under held: a statement that is cancelled takes the session
			// with it, and letGo is to hand it over in good order.
			if err := t.stillHeld(ctx, database, token); err != nil {
				cancel(err)
				return
			}
		}
	}()
	return held, func() {
		close(enough)
		<-ended
		cancel(context.Canceled)
	}
}

func (t *target) stillHeld(ctx context.Context, database, token string) error {
	ping, cancel := context.WithTimeout(ctx, keepWait)
	_, err := t.conn.Exec(ping, "SELECT 1")
	cancel()
	if err == nil {
		return nil
	}
	if err := t.regain(ctx); err != nil {
		return err
	}
	m, marked, err := t.markOf(ctx, database)
	if err != nil || !marked || m.Token != token || m.State != loading && m.State != rebuilding {
		return fmt.Errorf("the database %s is no longer this run's: %w", database, twin.ErrLeaseLost)
	}
	return nil
}
