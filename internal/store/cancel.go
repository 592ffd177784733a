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

// RequestGiveWay asks the worker of a run to end it for the run of another
// commit, as RequestCancel does, and not while the Twin is broken until it ends.
// job is the one that works on it.
func (s Store) RequestGiveWay(ctx context.Context, run int64, sha string) (job int64, asked bool, err error) {
	asked, err = s.maybe(ctx, "ask a run to give way", `
		UPDATE sync_run SET give_way = true
		WHERE id = $1 AND sha <> $2 AND state = 'running' AND NOT give_way AND cancel_requested_at IS NULL
			AND phase IS DISTINCT FROM 'publish' AND NOT coalesce((progress->>'rebuilding')::boolean, false) AND lease_owner IS NOT NULL AND lease_expires_at > now()
		RETURNING coalesce(river_job_id, 0)`, []any{run, sha}, &job)
	return job, asked, err
}
