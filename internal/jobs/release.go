package jobs

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// BusyError says that a target can't be released: a run works on it, or is
// about to.
type BusyError struct {
	Target string
	Run    int64
	State  twin.State
}

// Error says which run it is.
func (e *BusyError) Error() string {
	return fmt.Sprintf("run %d of target %s is %s", e.Run, e.Target, e.State)
}

// Release takes a target from the Twin that holds it, for the next Twin that
// asks for it, and gives that Twin's repository and name. The database itself
// is not touched. The error is a *BusyError while a run works or waits, and
// store.ErrNotFound if no Twin holds the target.
func (i *Inserter) Release(ctx context.Context, target string) (repo twin.Repository, name string, err error) {
	err = pgx.BeginFunc(ctx, i.pool, func(tx pgx.Tx) error {
		s := store.New(tx)
		var id int64
		// Runs are made, begun and ended under the Twin's lock: none appears now.
		if id, repo, name, err = s.LockHolder(ctx, target); err != nil {
			return err
		}
		runs, err := s.Filling(ctx, target)
		if err != nil {
			return err
		}
		if len(runs) > 0 {
			return &BusyError{Target: target, Run: runs[0].ID, State: runs[0].State}
		}
		return s.DropTarget(ctx, id)
	})
	if err != nil {
		return twin.Repository{}, "", fmt.Errorf("release target %s: %w", target, err)
	}
	return repo, name, nil
}
