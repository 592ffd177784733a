package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

const (
	// deliverTurns is how many transactions store deliveries at once. One waits
	// for the disk while the next is filled.
	deliverTurns = 3
	// deliverTogether bounds what one of them stores.
	deliverTogether = 50
	// deliverWithin bounds the time of one.
	deliverWithin = 10 * time.Second
)

// desk is where deliveries wait for a transaction. Whoever gets a turn takes
// all that wait, his own among them: in a burst one commit serves many, and a
// single delivery waits for nobody.
type desk struct {
	turns chan struct{}
	mu    sync.Mutex
	line  []*handed
}

// handed is a delivery that somebody wants stored.
type handed struct {
	twin.Delivery
	done chan error // has room for the outcome
}

// take gives those who have waited longest.
func (d *desk) take() []*handed {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(d.line), deliverTogether)
	batch := d.line[:n:n]
	d.line = d.line[n:]
	return batch
}

// leave takes back what nobody has begun to store.
func (d *desk) leave(h *handed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line = slices.DeleteFunc(d.line, func(other *handed) bool { return other == h })
}

// Deliver stores a delivery together with its job, in one transaction: once it
// returns nil, the delivery will be processed. A delivery that is known gives
// twin.ErrDuplicate; should nobody work on it any more, it gets a new job.
// Whether one is stored whose context ended meanwhile is not known.
func (i *Inserter) Deliver(ctx context.Context, d twin.Delivery) error {
	h := &handed{d, make(chan error, 1)}
	i.desk.mu.Lock()
	i.desk.line = append(i.desk.line, h)
	i.desk.mu.Unlock()
	turns := i.desk.turns
	for {
		select {
		case err := <-h.done: // perhaps somebody else's turn has brought it
			return err
		case <-ctx.Done():
			i.desk.leave(h)
			return fmt.Errorf("store delivery: %w", context.Cause(ctx))
		case turns <- struct{}{}:
			batch := i.desk.take()
			if len(batch) == 0 { // ours is in somebody's hands
				turns = nil
			}
			// Others depend on it: it does not end with whoever has the turn.
			within, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverWithin)
			i.deliver(within, batch)
			cancel()
			<-i.desk.turns
		}
	}
}

// deliver stores a batch and tells everybody how it went.
func (i *Inserter) deliver(ctx context.Context, batch []*handed) {
	if err := i.clock.keep(ctx, store.New(i.pool)); err != nil {
		for _, h := range batch {
			h.done <- err
		}
		return
	}
	var known []*handed
	fresh := batch
	for len(fresh) > 1 {
		added, err := i.deliverTogether(ctx, fresh)
		if err != nil {
			break // perhaps one of them is at fault: none must suffer for another
		}
		stored := len(added) == len(fresh)
		known = append(known, slices.DeleteFunc(fresh, func(h *handed) bool { return slices.Contains(added, h) })...)
		if fresh = added; stored {
			for _, h := range fresh {
				h.done <- nil
			}
			fresh = nil
		}
	}
	for _, h := range fresh {
		h.done <- i.deliverOne(ctx, h.Delivery)
	}
	for _, h := range known {
		h.done <- i.known(ctx, h.GUID)
	}
}

// deliverOne stores one delivery in a transaction of its own.
func (i *Inserter) deliverOne(ctx context.Context, d twin.Delivery) error {
	// The job comes first, so that the delivery is written once, with its number.
	err := pgx.BeginFunc(ctx, i.pool, func(tx pgx.Tx) error {
		res, err := i.river.InsertTx(ctx, tx, webhookArgs{GUID: d.GUID}, nil)
		if err != nil {
			return fmt.Errorf("insert webhook_process: %w", err)
		}
		added, err := store.New(tx).AddDelivery(ctx, d, res.Job.ID)
		if err == nil && !added { // and its job goes too
			err = twin.ErrDuplicate
		}
		return err
	})
	if errors.Is(err, twin.ErrDuplicate) {
		return i.known(ctx, d.GUID)
	}
	return err
}

// errKnown ends a transaction that would have made jobs for deliveries which
// are known.
var errKnown = errors.New("some deliveries are known")

// deliverTogether stores deliveries, each with its job, in one transaction. If
// some are known, none is stored: it gives those that are not.
func (i *Inserter) deliverTogether(ctx context.Context, batch []*handed) (added []*handed, err error) {
	jobs := make([]river.InsertManyParams, len(batch))
	all := make([]twin.Delivery, len(batch))
	for k, h := range batch {
		jobs[k], all[k] = river.InsertManyParams{Args: webhookArgs{GUID: h.GUID}}, h.Delivery
	}
	err = pgx.BeginFunc(ctx, i.pool, func(tx pgx.Tx) error {
		made, err := i.river.InsertManyTx(ctx, tx, jobs)
		if err != nil {
			return fmt.Errorf("insert webhook_process: %w", err)
		}
		ids := make([]int64, len(made))
		for k, m := range made {
			ids[k] = m.Job.ID
		}
		fresh, err := store.New(tx).AddDeliveries(ctx, all, ids)
		if err != nil {
			return err
		}
		for k, h := range batch {
			if fresh[k] {
				added = append(added, h)
			}
		}
		if len(added) < len(batch) {
			return errKnown
		}
		return nil
	})
	if errors.Is(err, errKnown) {
		err = nil
	}
	return added, err
}

// known is the answer to a delivery that was stored before. Should nobody work
// on it any more, it gets a new job.
func (i *Inserter) known(ctx context.Context, guid string) error {
	if err := pgx.BeginFunc(ctx, i.pool, func(tx pgx.Tx) error { return i.redeliver(ctx, tx, guid) }); err != nil {
		return err
	}
	return fmt.Errorf("delivery %s: %w", guid, twin.ErrDuplicate)
}
