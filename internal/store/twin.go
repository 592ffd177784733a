package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// LockTwin finds the Twin that a request is about, or makes it, and locks its
// row until the transaction ends. Owner and name follow the newest telling.
func (s Store) LockTwin(ctx context.Context, r twin.Request) (int64, error) {
	var id int64
	err := s.db.QueryRow(ctx, `
		INSERT INTO twin (installation_id, repository_id, owner, repository_name, default_branch, name, config, config_sha)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (repository_id, name) DO UPDATE SET
			installation_id = excluded.installation_id,
			owner = excluded.owner,
			repository_name = excluded.repository_name,
			default_branch = coalesce(nullif(excluded.default_branch, ''), twin.default_branch)
		RETURNING id`,
		r.Repo.InstallationID, r.Repo.ID, r.Repo.Owner, r.Repo.Name, r.Repo.DefaultBranch,
		r.Spec.Name, r.Spec, r.SHA).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("lock twin: %w", err)
	}
	return id, nil
}

// LockTwinOf locks the Twin of a run until the transaction ends.
func (s Store) LockTwinOf(ctx context.Context, run int64) (int64, error) {
	var id int64
	found, err := s.maybe(ctx, "lock twin of run", `
		SELECT t.id FROM twin t WHERE t.id = (SELECT twin_id FROM sync_run WHERE id = $1) FOR UPDATE`, []any{run}, &id)
	if err == nil && !found {
		err = ErrNotFound
	}
	return id, err
}

// TryLockTwinOf is LockTwinOf that gives 0 instead of waiting.
func (s Store) TryLockTwinOf(ctx context.Context, run int64) (int64, error) {
	var id int64
	_, err := s.maybe(ctx, "try to lock twin of run", `
		SELECT t.id FROM twin t WHERE t.id = (SELECT twin_id FROM sync_run WHERE id = $1) FOR UPDATE SKIP LOCKED`, []any{run}, &id)
	return id, err
}

// Configure stores what a Twin is told to be, as of a commit.
func (s Store) Configure(ctx context.Context, twinID int64, spec twin.Spec, sha string) error {
	_, err := s.exec(ctx, "configure twin",
		`UPDATE twin SET config = $2, config_sha = $3 WHERE id = $1`, twinID, spec, sha)
	return err
}

// FreeTarget takes the target that a request asks for from a Twin of the same
// repository that does not exist any more as of the request's commit, unless
// that Twin has a run of a younger commit. The transaction must hold the lock
// of the request's Twin.
func (s Store) FreeTarget(ctx context.Context, twinID int64, r twin.Request) error {
	_, err := s.exec(ctx, "free target", `
		UPDATE twin t SET target = NULL
		WHERE t.target = $1 AND t.repository_id = $2 AND t.id <> $3 AND t.name <> ALL ($4)
			AND NOT EXISTS (SELECT FROM sync_run WHERE twin_id = t.id AND at > coalesce($5, now()) AND `+counts+`)`,
		r.Spec.Target, r.Repo.ID, twinID, r.Twins, nullTime(r.At))
	return err
}

// TakeTarget makes a Twin the holder of a target and lets go of the one that
// it held before. It gives false if another Twin holds the target. The
// transaction must hold the Twin's lock.
func (s Store) TakeTarget(ctx context.Context, twinID int64, target string) (bool, error) {
	// Two Twins that ask for the same free target at once take turns here; the
	// second then sees what the first has committed.
	if _, err := s.exec(ctx, "lock target",
		`SELECT pg_advisory_xact_lock(hashtextextended('neontwin target ' || $1, 0))`, target); err != nil {
		return false, err
	}
	n, err := s.exec(ctx, "take target", `
		UPDATE twin SET target = $2
		WHERE id = $1 AND NOT EXISTS (SELECT FROM twin other WHERE other.target = $2 AND other.id <> $1)`, twinID, target)
	return n == 1, err
}

// TwinStatus is a Twin and where it stands.
type TwinStatus struct {
	ID     int64
	Repo   twin.Repository
	Spec   twin.Spec // as of the newest accepted commit
	Target string    // the one it holds, empty if none
	// Published is the latest run that succeeded: what the Twin serves.
	Published *twin.Run
	// Current is the run that is running, else the one that waits.
	Current *twin.Run
	// NextAt is when its schedule is due next, zero without one, and Paused says
	// that it is not followed for now.
	NextAt time.Time
	Paused bool
}

// Twins reads all Twins with what they serve and what they do.
func (s Store) Twins(ctx context.Context) ([]TwinStatus, error) {
	type row struct {
		TwinStatus
		published, current int64
		next               *time.Time
	}
	rows, _ := s.db.Query(ctx, `
		SELECT t.id, t.installation_id, t.repository_id, t.owner, t.repository_name, t.default_branch, t.config, coalesce(t.target, ''),
			coalesce((SELECT r.id FROM sync_run r WHERE r.twin_id = t.id AND r.state = 'succeeded' ORDER BY r.finished_at DESC, r.id DESC LIMIT 1), 0),
			coalesce((SELECT r.id FROM sync_run r WHERE r.twin_id = t.id AND r.state IN ('running', 'queued') ORDER BY r.state DESC LIMIT 1), 0),
			t.next_run_at, t.paused_at IS NOT NULL
		FROM twin t ORDER BY lower(t.owner), lower(t.repository_name), t.name, t.id`)
	found, err := collect(rows, "list twins", func(r pgx.CollectableRow) (t row, err error) {
		err = r.Scan(&t.ID, &t.Repo.InstallationID, &t.Repo.ID, &t.Repo.Owner, &t.Repo.Name, &t.Repo.DefaultBranch,
			&t.Spec, &t.Target, &t.published, &t.current, &t.next, &t.Paused)
		t.NextAt = moment(t.next)
		return t, err
	})
	if err != nil {
		return nil, err
	}
	all := make([]TwinStatus, 0, len(found))
	for _, t := range found {
		if t.Published, err = s.optionalRun(ctx, t.published); err != nil {
			return nil, err
		}
		if t.Current, err = s.optionalRun(ctx, t.current); err != nil {
			return nil, err
		}
		all = append(all, t.TwinStatus)
	}
	return all, nil
}

func (s Store) optionalRun(ctx context.Context, id int64) (*twin.Run, error) {
	if id == 0 {
		return nil, nil
	}
	run, err := s.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	return &run, nil
}

// Bind pins the operator's word "owner/name" to the first repository that was
// seen under it, and gives the repository that it is bound to: another one
// than asked if the name has changed hands since.
func (s Store) Bind(ctx context.Context, fullName string, repositoryID int64) (boundTo int64, err error) {
	err = s.db.QueryRow(ctx, `
		INSERT INTO repository_binding (full_name, repository_id) VALUES ($1, $2)
		ON CONFLICT (full_name) DO UPDATE SET full_name = excluded.full_name
		RETURNING repository_id`, strings.ToLower(fullName), repositoryID).Scan(&boundTo)
	if err != nil {
		return 0, fmt.Errorf("bind repository name: %w", err)
	}
	return boundTo, nil
}
