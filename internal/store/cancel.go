package store

import "context"

// CancelQueued ends a run that waits. It gives false if the run does not wait.
func (s Store) CancelQueued(ctx context.Context, run int64) (bool, error) {
	n, err := s.exec(ctx, "cancel waiting run", `
		UPDATE sync_run SET state = 'cancelled', cancel_requested_at = now(), finished_at = now()
		WHERE id = $1 AND state = 'queued'`, run)
	return n == 1, err
}

// RequestCancel asks the worker of a run to end it. It gives false if the run
// is not running, or publishes: a worker says that it publishes with the same
// update that would tell it of the request, so one of the two comes first.
func (s Store) RequestCancel(ctx context.Context, run int64) (bool, error) {
	n, err := s.exec(ctx, "ask for the end of a run", `
		UPDATE sync_run SET cancel_requested_at = coalesce(cancel_requested_at, now())
		WHERE id = $1 AND state = 'running' AND phase IS DISTINCT FROM 'publish'`, run)
	return n == 1, err
}
