package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// AddDelivery stores a delivery and which River job processes it, unless its
// GUID is known.
func (s Store) AddDelivery(ctx context.Context, d twin.Delivery, job int64) (added bool, err error) {
	n, err := s.exec(ctx, "store delivery", `
		INSERT INTO webhook_delivery (guid, event, action, installation_id, repository_id, payload, river_job_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (guid) DO NOTHING`,
		plain(d.GUID), plain(d.Event), plain(d.Action), d.InstallationID, d.RepositoryID, d.Body, job)
	return n == 1, err
}

// AddDeliveries stores those deliveries whose GUIDs are not known, each with the
// River job that processes it, and says which those are.
func (s Store) AddDeliveries(ctx context.Context, all []twin.Delivery, jobs []int64) (added []bool, err error) {
	var guids, events, actions []string
	var installations, repositories []int64
	var bodies [][]byte
	for _, d := range all {
		guids, events, actions = append(guids, plain(d.GUID)), append(events, plain(d.Event)), append(actions, plain(d.Action))
		installations, repositories, bodies = append(installations, d.InstallationID), append(repositories, d.RepositoryID), append(bodies, d.Body)
	}
	// In one order everywhere: two that store the same ones wait for each other.
	rows, _ := s.db.Query(ctx, `
		INSERT INTO webhook_delivery (guid, event, action, installation_id, repository_id, payload, river_job_id)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bigint[]) AS d (guid) ORDER BY guid
		ON CONFLICT (guid) DO NOTHING RETURNING guid`, guids, events, actions, installations, repositories, bodies, jobs) // collect reports the error
	stored, err := collect(rows, "store deliveries", pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	fresh := make(map[string]bool, len(stored))
	for _, guid := range stored {
		fresh[guid] = true
	}
	added = make([]bool, len(all))
	for k, guid := range guids { // of two alike the first is the one
		added[k] = fresh[guid]
		delete(fresh, guid)
	}
	return added, nil
}

// plain drops the one character that a text column refuses.
func plain(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// DeliveryState is how far a delivery has come.
type DeliveryState struct {
	Processed bool
	Job       int64 // the River job that processes it, 0 if none was ever made
}

// LockDelivery locks a delivery until the transaction ends.
func (s Store) LockDelivery(ctx context.Context, guid string) (DeliveryState, error) {
	var d DeliveryState
	found, err := s.maybe(ctx, "lock delivery", `
		SELECT processed_at IS NOT NULL, coalesce(river_job_id, 0)
		FROM webhook_delivery WHERE guid = $1 FOR UPDATE`, []any{plain(guid)}, &d.Processed, &d.Job)
	if err == nil && !found {
		err = ErrNotFound
	}
	return d, err
}

// SetDeliveryJob notes which River job processes a delivery.
func (s Store) SetDeliveryJob(ctx context.Context, guid string, job int64) error {
	_, err := s.exec(ctx, "note job of delivery",
		`UPDATE webhook_delivery SET river_job_id = $2 WHERE guid = $1`, plain(guid), job)
	return err
}

// Delivery reads a delivery and whether it has been processed.
func (s Store) Delivery(ctx context.Context, guid string) (d twin.Delivery, processed bool, err error) {
	found, err := s.maybe(ctx, "read delivery", `
		SELECT guid, event, action, installation_id, repository_id, payload, received_at, processed_at IS NOT NULL
		FROM webhook_delivery WHERE guid = $1`, []any{guid},
		&d.GUID, &d.Event, &d.Action, &d.InstallationID, &d.RepositoryID, &d.Body, &d.ReceivedAt, &processed)
	if err == nil && !found {
		err = ErrNotFound
	}
	return d, processed, err
}

// FinishDelivery marks a delivery as processed, with the reason why nothing
// followed from it, if so.
func (s Store) FinishDelivery(ctx context.Context, guid, reason string) error {
	_, err := s.exec(ctx, "finish delivery", `
		UPDATE webhook_delivery SET processed_at = now(), reason = nullif($2, ''), error = NULL
		WHERE guid = $1 AND processed_at IS NULL`, guid, plain(reason))
	return err
}

// FailDelivery keeps the error of an attempt to process a delivery.
func (s Store) FailDelivery(ctx context.Context, guid, text string) error {
	_, err := s.exec(ctx, "note failure of delivery",
		`UPDATE webhook_delivery SET error = $2 WHERE guid = $1 AND processed_at IS NULL`, guid, plain(text))
	return err
}

// StaleDeliveries lists deliveries that have waited for longer than age. One
// that nobody could process for three days is given up.
func (s Store) StaleDeliveries(ctx context.Context, age time.Duration, limit int) ([]string, error) {
	rows, _ := s.db.Query(ctx, `
		SELECT guid FROM webhook_delivery
		WHERE processed_at IS NULL AND received_at < now() - $1::interval AND received_at > now() - interval '3 days'
		ORDER BY received_at LIMIT $2`, age, limit)
	return collect(rows, "list unprocessed deliveries", pgx.RowTo[string])
}
