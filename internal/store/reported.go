package store

import (
	"context"

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
		told, err := s.Publications(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		request := twin.Request{Repo: r.Repo, Spec: r.Spec, Trigger: r.Trigger, Ref: r.Ref, SHA: r.SHA, PR: r.PR}
		for _, p := range told {
			request.Places = append(request.Places, p.Place)
		}
		requests = append(requests, request)
	}
	return requests, nil
}
