package store

import (
	"context"
	"time"
)

// Loading is a target where a run may have left something half loaded.
type Loading struct {
	ID         int64
	Target     string
	Generation string // of the attempt that came last
	Tries      int    // how often it was cleaned in vain
	Job        int64  // the River job that cleans it, 0 if none
	// Due is set where it is time to clean, and no run fills the target or is
	// about to: the next one cleans by itself.
	Due bool
}

// idleTarget holds for targets l that no run fills or is about to.
const idleTarget = `NOT EXISTS (SELECT FROM sync_run r WHERE r.target = l.target AND r.state IN ('queued', 'running'))`

const loadingColumns = `l.id, l.target, l.generation, l.tries, coalesce(l.river_job_id, 0), l.clean_at <= now() AND ` + idleTarget

// BeginLoading notes that an attempt may make something on a target.
func (s Store) BeginLoading(ctx context.Context, target, generation string) error {
	_, err := s.exec(ctx, "note target that is loaded", `
		INSERT INTO loading_target AS l (target, generation) VALUES ($1, $2)
		ON CONFLICT (target) DO UPDATE SET generation = excluded.generation, tries = 0, clean_at = now(), error = NULL`, target, generation)
	return err
}

// EndLoading notes that nothing half loaded is left by an attempt, or by those
// before it.
func (s Store) EndLoading(ctx context.Context, target, generation string) error {
	_, err := s.exec(ctx, "forget target that was loaded", `DELETE FROM loading_target WHERE target = $1 AND generation = $2`, target, generation)
	return err
}

// Published notes the same of the attempt by which a run has published.
func (s Store) Published(ctx context.Context, run int64) error {
	_, err := s.exec(ctx, "forget target that was published", `
		DELETE FROM loading_target l USING sync_run r WHERE r.id = $1 AND l.target = r.target AND l.generation = r.generation`, run)
	return err
}

// DueLoading lists the targets that are to be cleaned now.
func (s Store) DueLoading(ctx context.Context, limit int) ([]int64, error) {
	return s.ids(ctx, "list targets to clean", `
		SELECT l.id FROM loading_target l WHERE l.clean_at <= now() AND `+idleTarget+`
		ORDER BY l.clean_at LIMIT $1`, limit)
}

// Loading reads a target that may have to be cleaned.
func (s Store) Loading(ctx context.Context, id int64) (Loading, error) { return s.loading(ctx, id, "") }

// LockLoading is Loading that locks the row until the transaction ends. One
// that somebody else has locked is ErrNotFound.
func (s Store) LockLoading(ctx context.Context, id int64) (Loading, error) {
	return s.loading(ctx, id, " FOR UPDATE SKIP LOCKED")
}

func (s Store) loading(ctx context.Context, id int64, lock string) (l Loading, err error) {
	found, err := s.maybe(ctx, "read target to clean", `SELECT `+loadingColumns+` FROM loading_target l WHERE l.id = $1`+lock, []any{id},
		&l.ID, &l.Target, &l.Generation, &l.Tries, &l.Job, &l.Due)
	if err == nil && !found {
		err = ErrNotFound
	}
	return l, err
}

// SetLoadingJob says which River job cleans a target.
func (s Store) SetLoadingJob(ctx context.Context, id, job int64) error {
	_, err := s.exec(ctx, "note job of target", `UPDATE loading_target SET river_job_id = $2 WHERE id = $1`, id, job)
	return err
}

// CleanLater notes why a target could not be cleaned, and when to try again.
func (s Store) CleanLater(ctx context.Context, l Loading, after time.Duration, problem string) error {
	_, err := s.exec(ctx, "put off cleaning", `
		UPDATE loading_target SET tries = tries + 1, clean_at = now() + $3::interval, error = $4 WHERE id = $1 AND generation = $2`,
		l.ID, l.Generation, after, plain(problem))
	return err
}
