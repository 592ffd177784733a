package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// Reported gives what was asked for by the latest run of each Twin that is
// reported on a commit of a repository, with all of its places; of one Twin
// alone where run, one of its runs, is not 0.
func (s Store) Reported(ctx context.Context, repositoryID int64, sha string, run int64) ([]twin.Request, error) {
	rows, _ := s.db.Query(ctx, selectRun+`
		WHERE t.repository_id = $1 AND ($3 = 0 OR r.twin_id = (SELECT o.twin_id FROM sync_run o WHERE o.id = $3))
			AND r.id IN (SELECT max(c.run_id) FROM check_publication c JOIN sync_run o ON o.id = c.run_id
				WHERE c.sha = $2 GROUP BY o.twin_id)
		ORDER BY r.id`, repositoryID, sha, run) // collect reports the error
	runs, err := collect(rows, "find runs on commit", func(row pgx.CollectableRow) (twin.Run, error) { return scanRun(row) })
	if err != nil {
		return nil, err
	}
	requests := make([]twin.Request, 0, len(runs))
	for _, r := range runs {
		request, err := s.requestOf(ctx, r)
		if err != nil {
			return nil, err
		}
		requests = append(requests, request)
	}
	return requests, nil
}

// RequestOf gives what was asked for by a run, with all of its places, and when
// the branch came to its commit.
func (s Store) RequestOf(ctx context.Context, run int64) (r twin.Request, at time.Time, err error) {
	of, err := s.Run(ctx, run)
	if err != nil {
		return twin.Request{}, time.Time{}, err
	}
	if at, err = s.At(ctx, run); err != nil {
		return twin.Request{}, time.Time{}, err
	}
	r, err = s.requestOf(ctx, of)
	return r, at, err
}

// At gives the time at which the branch came to a run's commit.
func (s Store) At(ctx context.Context, run int64) (at time.Time, err error) {
	found, err := s.maybe(ctx, "read time of run", `SELECT at FROM sync_run WHERE id = $1`, []any{run}, &at)
	if err == nil && !found {
		err = ErrNotFound
	}
	return at, err
}

func (s Store) requestOf(ctx context.Context, r twin.Run) (twin.Request, error) {
	told, err := s.Publications(ctx, r.ID)
	if err != nil {
		return twin.Request{}, err
	}
	request := twin.Request{Repo: r.Repo, Spec: r.Spec, Trigger: r.Trigger, Ref: r.Ref, SHA: r.SHA, PR: r.PR}
	for _, p := range told {
		request.Places = append(request.Places, p.Place)
	}
	return request, nil
}
