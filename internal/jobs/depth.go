package jobs

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Depth is how many jobs of a queue are in a state of River's.
type Depth struct {
	Queue, State string
	Jobs         int64
}

// Depths counts the jobs that are not over, by queue and state. A queue where
// nothing waits is there too.
func Depths(ctx context.Context, pool *pgxpool.Pool) ([]Depth, error) {
	rows, _ := pool.Query(ctx, `SELECT queue, state, sum(jobs)::bigint FROM (
			SELECT queue, state::text, count(*) FROM `+schema+`.river_job WHERE finalized_at IS NULL GROUP BY 1, 2
			UNION ALL SELECT q, 'available', 0 FROM unnest($1::text[]) q) AS d (queue, state, jobs)
		GROUP BY 1, 2 ORDER BY 1, 2`, []string{queueWebhook, queueSync, queueReport, queueClean}) // CollectRows reports the error
	depths, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Depth])
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return depths, nil
}
