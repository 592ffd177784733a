package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/neontwin/neontwin/internal/store"
)

// How long things are kept, and how long somebody tries.
const (
	// keepDeliveries is longer than GitHub can deliver one again.
	keepDeliveries = 7 * 24 * time.Hour
	keepEvents     = 90 * 24 * time.Hour
	// reportFor is how long a place that GitHub does not let us tell (for want
	// of a permission, say) is tried after its run has ended.
	reportFor = 3 * 24 * time.Hour
	// pruneBatch bounds what one statement deletes.
	pruneBatch = 1000
)

// prune deletes what has been kept for long enough, and ends what has been
// tried for long enough.
func (q *Queue) prune(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := store.New(q.pool).DropJudged(ctx)
	return errors.Join(err, q.pruneDeliveries(ctx), q.pruneEvents(ctx), q.giveUpReports(ctx))
}

func (q *Queue) pruneDeliveries(ctx context.Context) error {
	for {
		n, lost, err := store.New(q.pool).DropDeliveries(ctx, keepDeliveries, pruneBatch)
		if err != nil {
			return err
		}
		for _, guid := range lost {
			q.log.ErrorContext(ctx, "delivery given up: it was never processed", "delivery", guid)
		}
		if n < pruneBatch {
			return nil
		}
	}
}

func (q *Queue) pruneEvents(ctx context.Context) error {
	for {
		n, err := store.New(q.pool).DropEvents(ctx, keepEvents, pruneBatch)
		if err != nil || n < pruneBatch {
			return err
		}
	}
}

func (q *Queue) giveUpReports(ctx context.Context) error {
	runs, err := store.New(q.pool).GiveUpReports(ctx, reportFor)
	for _, run := range runs {
		q.log.WarnContext(ctx, "report given up: the place could not be told", "run", run)
	}
	return err
}
