package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// BoundNames lists the operator's words that stand for a repository.
func (s Store) BoundNames(ctx context.Context, repositoryID int64) ([]string, error) {
	rows, _ := s.db.Query(ctx, `SELECT full_name FROM repository_binding WHERE repository_id = $1 ORDER BY full_name`, repositoryID)
	return collect(rows, "list bound names", pgx.RowTo[string])
}

// BoundTo gives the repository that a name, in lower case, stands for; 0 if none.
func (s Store) BoundTo(ctx context.Context, fullName string) (id int64, err error) {
	_, err = s.maybe(ctx, "look for bound name", `SELECT repository_id FROM repository_binding WHERE full_name = $1`, []any{fullName}, &id)
	return id, err
}

// Standing of a repository with GitHub.
const (
	Active   = "active"
	Archived = "archived" // it is read-only: nothing can be reported
	Lost     = "lost"     // GitHub did not let us see it when it was last asked
	Removed  = "removed"  // it is not ours to see any more
)

// Watched is a repository as GitHub showed it when it was last looked at.
type Watched struct {
	Repo  twin.Repository
	State string
}

const watchedColumns = `id, installation_id, owner, name, default_branch, state`

func scanWatched(row pgx.CollectableRow) (w Watched, err error) {
	err = row.Scan(&w.Repo.ID, &w.Repo.InstallationID, &w.Repo.Owner, &w.Repo.Name, &w.Repo.DefaultBranch, &w.State)
	return w, err
}

// Watched reads a repository that is watched.
func (s Store) Watched(ctx context.Context, id int64) (w Watched, found bool, err error) {
	rows, _ := s.db.Query(ctx, `SELECT `+watchedColumns+` FROM repository WHERE id = $1`, id)
	all, err := collect(rows, "read repository", scanWatched)
	if err != nil || len(all) == 0 {
		return Watched{}, false, err
	}
	return all[0], true, nil
}

// Watch adds the repositories of Twins that are not watched yet.
func (s Store) Watch(ctx context.Context) error {
	_, err := s.exec(ctx, "watch repositories of twins", `
		INSERT INTO repository (id, installation_id, owner, name, default_branch)
		SELECT DISTINCT ON (repository_id) repository_id, installation_id, owner, repository_name, default_branch
		FROM twin t WHERE NOT EXISTS (SELECT FROM repository r WHERE r.id = t.repository_id)
		ORDER BY repository_id, t.id DESC
		ON CONFLICT DO NOTHING`)
	return err
}

// TakeLooks gives repositories that are due to be looked at, and puts their
// next look off by every, spread by a tenth to either side: whoever takes them
// looks. What is out of reach is looked at less often.
func (s Store) TakeLooks(ctx context.Context, every time.Duration, limit int) ([]Watched, error) {
	rows, _ := s.db.Query(ctx, `
		UPDATE repository SET look_at = now() + $1::interval * (0.9 + random() * 0.2) * CASE WHEN state IN ('lost', 'removed') THEN 12 ELSE 1 END
		WHERE id IN (SELECT id FROM repository WHERE look_at <= now() ORDER BY look_at LIMIT $2 FOR UPDATE SKIP LOCKED)
		RETURNING `+watchedColumns, every, limit)
	return collect(rows, "take repositories to look at", scanWatched)
}

// LookSoon makes all repositories due within a spread of time: of all
// installations, or of one if it is not 0.
func (s Store) LookSoon(ctx context.Context, installation int64, spread time.Duration) error {
	_, err := s.exec(ctx, "look at repositories soon", `
		UPDATE repository SET look_at = least(look_at, now() + random() * $2::interval)
		WHERE $1 = 0 OR installation_id = $1`, installation, spread)
	return err
}

// LookAt says when a repository is to be looked at, at the latest.
func (s Store) LookAt(ctx context.Context, id int64, after time.Duration) error {
	_, err := s.exec(ctx, "set next look", `UPDATE repository SET look_at = least(look_at, now() + $2::interval) WHERE id = $1`, id, after)
	return err
}

// Doubt notes that GitHub did not let us see an installation's repositories, or
// one of them: they are looked at soon, and if they are seen then, what could
// not be told meanwhile is told.
func (s Store) Doubt(ctx context.Context, installation, id int64) error {
	_, err := s.exec(ctx, "doubt repository", `
		UPDATE repository SET look_at = least(look_at, now()), state = CASE WHEN state = 'removed' THEN state ELSE 'lost' END
		WHERE installation_id = $1 AND ($2 = 0 OR id = $2)`, installation, id)
	return err
}

// LockWatched locks a repository that is watched until the transaction ends,
// and adds it if it is not. It gives what was known of it.
func (s Store) LockWatched(ctx context.Context, repo twin.Repository) (Watched, error) {
	rows, _ := s.db.Query(ctx, `
		INSERT INTO repository (id, installation_id, owner, name, default_branch) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET id = excluded.id
		RETURNING `+watchedColumns, repo.ID, repo.InstallationID, repo.Owner, repo.Name, repo.DefaultBranch)
	w, err := pgx.CollectExactlyOneRow(rows, scanWatched)
	if err != nil {
		return Watched{}, fmt.Errorf("lock repository: %w", err)
	}
	return w, nil
}

// SaveWatched stores how a repository stands, in its own row and its Twins'.
// Twins of one that is not active are paused.
func (s Store) SaveWatched(ctx context.Context, w Watched) error {
	r := w.Repo
	_, err := s.exec(ctx, "store repository", `
		UPDATE repository SET installation_id = $2, owner = $3, name = $4, default_branch = $5, state = $6, looked_at = now(), unseen_often = 0
		WHERE id = $1`,
		r.ID, r.InstallationID, r.Owner, r.Name, r.DefaultBranch, w.State)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "store repository of twins", `
		WITH locked AS (
			SELECT id FROM twin
			WHERE repository_id = $1 AND (installation_id, owner, repository_name, default_branch, coalesce(pause_reason, 'active'))
				IS DISTINCT FROM ($2, $3, $4, $5, $6)
			ORDER BY id FOR UPDATE)
		UPDATE twin t SET installation_id = $2, owner = $3, repository_name = $4, default_branch = $5,
			paused_at = CASE WHEN $6 = 'active' THEN NULL ELSE coalesce(paused_at, now()) END, pause_reason = nullif($6, 'active')
		FROM locked WHERE t.id = locked.id`, r.ID, r.InstallationID, r.Owner, r.Name, r.DefaultBranch, w.State)
	return err
}

// ActiveRuns lists the runs of a repository, or of an installation if that is
// not 0, that have not ended.
func (s Store) ActiveRuns(ctx context.Context, installation, repository int64) ([]int64, error) {
	return s.ids(ctx, "list runs that have not ended", `
		SELECT r.id FROM sync_run r JOIN twin t ON t.id = r.twin_id
		WHERE r.state IN ('queued', 'running') AND CASE WHEN $1 <> 0 THEN t.installation_id = $1 ELSE t.repository_id = $2 END
		ORDER BY r.id DESC`, installation, repository)
}

// ElsewhereSeen gives a repository as the latest of its Twins was told of it,
// if that was by another installation.
func (s Store) ElsewhereSeen(ctx context.Context, repo twin.Repository) (other twin.Repository, found bool, err error) {
	found, err = s.maybe(ctx, "look for another installation", `
		SELECT installation_id, repository_id, owner, repository_name, default_branch FROM twin
		WHERE repository_id = $1 AND installation_id <> $2 ORDER BY id DESC LIMIT 1`, []any{repo.ID, repo.InstallationID},
		&other.InstallationID, &other.ID, &other.Owner, &other.Name, &other.DefaultBranch)
	return other, found, err
}

// Released notes that the end of a run was asked for because its repository is
// not ours to see any more, and forgets that its commit was decided about.
func (s Store) Released(ctx context.Context, run int64) error {
	_, err := s.exec(ctx, "note released run", `
		WITH r AS (
			UPDATE sync_run r SET released = true FROM twin t
			WHERE r.id = $1 AND t.id = r.twin_id AND (r.state = 'cancelled' OR r.cancel_requested_at IS NOT NULL)
			RETURNING t.repository_id, r.sha)
		DELETE FROM judged j USING r WHERE j.repository_id = r.repository_id AND j.sha = r.sha`, run)
	return err
}

// LetGo ends what a repository's Twins hold: their targets, and the places that
// can't be told any more.
func (s Store) LetGo(ctx context.Context, repository int64) error {
	_, err := s.exec(ctx, "let go of targets", `
		WITH locked AS (SELECT id FROM twin WHERE repository_id = $1 ORDER BY id FOR UPDATE)
		UPDATE twin t SET target = NULL FROM locked WHERE t.id = locked.id`, repository)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "give up places", `
		UPDATE check_publication c SET unreachable_at = now(), last_error = 'the repository is not ours to see any more'
		FROM sync_run r JOIN twin t ON t.id = r.twin_id
		WHERE r.id = c.run_id AND t.repository_id = $1 AND c.unreachable_at IS NULL
			AND (c.wanted_version > c.posted_version OR r.finished_at IS NULL)`, repository)
	return err
}

// maxRevivals bounds the chances of a place: it may be out of reach for reasons
// of its own.
const maxRevivals = 5

// Revive gives places of a repository that were recorded as unreachable another
// chance, for a week after their run, and gives the runs.
func (s Store) Revive(ctx context.Context, repository int64) ([]int64, error) {
	return s.ids(ctx, "try unreachable places again", `
		WITH revived AS (
			UPDATE check_publication c SET unreachable_at = NULL, revivals = revivals + 1, wanted_version = wanted_version + 1, updated_at = now()
			FROM sync_run r JOIN twin t ON t.id = r.twin_id
			WHERE r.id = c.run_id AND t.repository_id = $1 AND c.unreachable_at IS NOT NULL
				AND coalesce(r.finished_at, now()) > now() - interval '7 days'
				AND c.revivals < $2
			RETURNING c.run_id)
		SELECT DISTINCT run_id FROM revived ORDER BY 1`, repository, maxRevivals)
}

// Purge deletes what is kept for an installation, except which repository a
// name of the operator's stands for. It gives the Twins that have runs which
// have not ended; as long as there are any, nothing is deleted.
func (s Store) Purge(ctx context.Context, installation int64) (busy []int64, err error) {
	repositories, err := s.ids(ctx, "lock repositories of installation",
		`SELECT id FROM repository WHERE installation_id = $1 ORDER BY id FOR UPDATE`, installation)
	if err != nil {
		return nil, err
	}
	if _, err := s.ids(ctx, "lock files of installation", `
		SELECT repository_id FROM repository_file
		WHERE repository_id = ANY ($2) OR repository_id IN (SELECT repository_id FROM twin WHERE installation_id = $1)
		ORDER BY repository_id FOR UPDATE`, installation, repositories); err != nil {
		return nil, err
	}
	rows, _ := s.db.Query(ctx, `SELECT id, repository_id FROM twin WHERE installation_id = $1 ORDER BY id FOR UPDATE`, installation)
	twins := []int64{}
	found, err := collect(rows, "lock twins of installation", pgx.RowToStructByPos[struct{ ID, Repository int64 }])
	if err != nil {
		return nil, err
	}
	for _, t := range found {
		twins, repositories = append(twins, t.ID), append(repositories, t.Repository)
	}
	busy, err = s.ids(ctx, "find runs that have not ended", `
		SELECT DISTINCT twin_id FROM sync_run WHERE twin_id = ANY ($1) AND state IN ('queued', 'running')`, twins)
	if err != nil || len(busy) > 0 {
		return busy, err
	}
	for _, d := range []struct {
		from, where string
		arg         any
	}{
		{"sync_run", "twin_id = ANY ($1)", twins}, // events and places go with it
		{"twin", "id = ANY ($1)", twins},
		{"judged", "repository_id = ANY ($1)", repositories},
		{"repository_file", "repository_id = ANY ($1)", repositories},
		{"repository", "id = ANY ($1)", repositories},
		{"missed_delivery", "installation_id = $1", installation},
		{"webhook_delivery", "installation_id = $1", installation},
		{"installation_gone", "installation_id = $1", installation},
	} {
		if _, err := s.exec(ctx, "purge "+d.from, `DELETE FROM `+d.from+` WHERE `+d.where, d.arg); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// Gone notes that GitHub does not show an installation any more, and says
// whether it has not for as long as wait and so often. What was said long
// before is forgotten.
func (s Store) Gone(ctx context.Context, installation int64, wait time.Duration, often int) (sure bool, err error) {
	err = s.db.QueryRow(ctx, `
		INSERT INTO installation_gone AS g (installation_id) VALUES ($1)
		ON CONFLICT (installation_id) DO UPDATE SET seen_at = now(),
			since = CASE WHEN g.seen_at < now() - 3 * $2::interval - interval '10 min' THEN now() ELSE g.since END,
			said = CASE WHEN g.seen_at < now() - 3 * $2::interval - interval '10 min' THEN 1 ELSE g.said + 1 END
		RETURNING since <= now() - $2::interval AND said >= $3`, installation, wait, often).Scan(&sure)
	if err != nil {
		return false, fmt.Errorf("note that an installation is gone: %w", err)
	}
	return sure, nil
}

// NotGone forgets that an installation seemed to be gone.
func (s Store) NotGone(ctx context.Context, installation int64) error {
	_, err := s.exec(ctx, "note that an installation is there", `DELETE FROM installation_gone WHERE installation_id = $1`, installation)
	return err
}

// Unseen notes that GitHub does not show a repository, though its installation
// is there, and says whether it has not for as long as wait and so often, as Gone
// does. SaveWatched forgets it. Of one that is not watched nothing can be lost.
func (s Store) Unseen(ctx context.Context, repository int64, wait time.Duration, often int) (sure bool, err error) {
	found, err := s.maybe(ctx, "note that a repository is not shown", `
		UPDATE repository SET unseen_at = now(),
			unseen_since = CASE WHEN unseen_often = 0 OR unseen_at < now() - 3 * $2::interval - interval '10 min' THEN now() ELSE unseen_since END,
			unseen_often = CASE WHEN unseen_often = 0 OR unseen_at < now() - 3 * $2::interval - interval '10 min' THEN 1 ELSE unseen_often + 1 END
		WHERE id = $1
		RETURNING unseen_since <= now() - $2::interval AND unseen_often >= $3`, []any{repository, wait, often}, &sure)
	return sure || err == nil && !found, err
}
