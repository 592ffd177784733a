package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// LockHolder gives the Twin that holds a target, and locks its row until the
// transaction ends.
func (s Store) LockHolder(ctx context.Context, target string) (id int64, repo twin.Repository, name string, err error) {
	found, err := s.maybe(ctx, "lock holder of target", `
		SELECT id, installation_id, repository_id, owner, repository_name, default_branch, name FROM twin WHERE target = $1 FOR UPDATE`,
		[]any{target}, &id, &repo.InstallationID, &repo.ID, &repo.Owner, &repo.Name, &repo.DefaultBranch, &name)
	if err == nil && !found {
		err = ErrNotFound
	}
	return id, repo, name, err
}

// Filling lists the runs of a target that run or wait, whichever Twin's.
func (s Store) Filling(ctx context.Context, target string) ([]twin.Run, error) {
	rows, _ := s.db.Query(ctx, selectRun+`WHERE r.target = $1 AND r.state IN ('running', 'queued') ORDER BY r.id`, target)
	return collect(rows, "list runs of target", func(row pgx.CollectableRow) (twin.Run, error) { return scanRun(row) })
}

// DropTarget takes a Twin's target from it.
func (s Store) DropTarget(ctx context.Context, twinID int64) error {
	_, err := s.exec(ctx, "let go of target", `UPDATE twin SET target = NULL WHERE id = $1`, twinID)
	return err
}
