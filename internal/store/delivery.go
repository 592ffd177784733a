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
