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

// Depths counts the jobs that are not over, by queue and state.
func Depths(ctx context.Context, pool *pgxpool.Pool) ([]Depth, error) {
	rows, _ := pool.Query(ctx, `SELECT queue, state::text, count(*) FROM `+schema+`.river_job
		WHERE finalized_at IS NULL GROUP BY 1, 2 ORDER BY 1, 2`) // CollectRows reports the error
	depths, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Depth])
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return depths, nil
}
