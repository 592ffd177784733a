package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// DropDeliveries deletes at most limit deliveries that came in longer ago than
// age: their payloads hold names and e-mail addresses. lost are the GUIDs of
// those that nobody ever managed to process.
func (s Store) DropDeliveries(ctx context.Context, age time.Duration, limit int) (dropped int, lost []string, err error) {
	rows, _ := s.db.Query(ctx, `
		DELETE FROM webhook_delivery WHERE guid IN (
			SELECT guid FROM webhook_delivery WHERE received_at < now() - $1::interval
			ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED)
		RETURNING CASE WHEN processed_at IS NULL THEN guid ELSE '' END`, age, limit)
	guids, err := collect(rows, "delete old deliveries", pgx.RowTo[string])
	for _, guid := range guids {
		if guid != "" {
			lost = append(lost, guid)
		}
	}
	return len(guids), lost, err
}

// DropEvents deletes at most limit events that are older than age, of runs
// that have ended.
func (s Store) DropEvents(ctx context.Context, age time.Duration, limit int) (dropped int64, err error) {
	return s.exec(ctx, "delete old events", `
		DELETE FROM sync_run_event WHERE id IN (
			SELECT e.id FROM sync_run_event e JOIN sync_run r ON r.id = e.run_id
			WHERE e.at < now() - $1::interval AND r.finished_at IS NOT NULL
			ORDER BY e.at LIMIT $2 FOR UPDATE OF e SKIP LOCKED)`, age, limit)
}

// GiveUpReports records as unreachable the places that could not be told for
// longer than age how their run ended, and gives the runs. A place that nobody
// has tried to tell yet is none of them.
func (s Store) GiveUpReports(ctx context.Context, age time.Duration) ([]int64, error) {
	return s.ids(ctx, "give up reports", `
		UPDATE check_publication c SET unreachable_at = now()
		FROM sync_run r
		WHERE r.id = c.run_id AND r.finished_at < now() - $1::interval AND c.wanted_version > c.posted_version
			AND c.unreachable_at IS NULL AND c.last_error IS NOT NULL AND (c.posting_until IS NULL OR c.posting_until <= now())
		RETURNING r.id`, age)
}
