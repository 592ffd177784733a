package store

import (
	"context"

	"github.com/neontwin/neontwin/internal/twin"
)

// Runs lists the newest runs of all Twins, newest first.
func (s Store) Runs(ctx context.Context, limit int) ([]twin.Run, error) {
	rows, _ := s.db.Query(ctx, selectRun+"ORDER BY r.id DESC LIMIT $1", limit) // collect reports the error
	return collect(rows, "list runs", scanRun)
}
