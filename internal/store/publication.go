package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// Publication is a place that a run is reported to, and what was said there.
type Publication struct {
	twin.Place
	CheckRunID    int64 // 0 while none is known
	Wanted        int64 // the version that should stand there
	Posted        int64 // the version that stands there
	UnreachableAt time.Time
}

// AddPlaces adds places to report a run to and gives the number of those that
// are new or have become the head of a pull request.
func (s Store) AddPlaces(ctx context.Context, run int64, places []twin.Place) (changed int64, err error) {
	for _, p := range places {
		n, err := s.exec(ctx, "add place to report to", `
			INSERT INTO check_publication AS c (run_id, sha, role, pr) VALUES ($1, $2, $3, $4)
			ON CONFLICT (run_id, sha) DO UPDATE SET
				role = CASE WHEN 'head' IN (c.role, excluded.role) THEN 'head' ELSE 'merge' END,
				pr = CASE WHEN c.pr = 0 OR c.role = 'merge' AND excluded.role = 'head' THEN excluded.pr ELSE c.pr END,
				wanted_version = c.wanted_version + 1, updated_at = now()
			WHERE c.role = 'merge' AND excluded.role = 'head'`, run, p.SHA, p.Role, p.PR)
		if err != nil {
			return 0, err
		}
		changed += n
	}
	return changed, nil
}

// WantReport asks for a new report to a run's places, or to its heads only,
// and gives the number of places that can be told.
func (s Store) WantReport(ctx context.Context, run int64, headsOnly bool) (int64, error) {
	return s.exec(ctx, "want report", `
		UPDATE check_publication SET wanted_version = wanted_version + 1, updated_at = now()
		WHERE run_id = $1 AND unreachable_at IS NULL AND (NOT $2 OR role = 'head')`, run, headsOnly)
}

// SetReportJob says which River job was made last to report a run.
func (s Store) SetReportJob(ctx context.Context, run, job int64) error {
	_, err := s.exec(ctx, "note job of report", `
		UPDATE check_publication SET river_job_id = $2
		WHERE run_id = $1 AND wanted_version > posted_version`, run, job)
	return err
}

// HoldPlace gives a place of a run that has something to be told, and keeps
// other publishers from it until Posted, NotPosted, or the end of hold. That
// way an older truth never overtakes a newer one. Commits in except are left
// out; false means that no place is left.
func (s Store) HoldPlace(ctx context.Context, run int64, hold time.Duration, except []string) (p Publication, found bool, err error) {
	rows, _ := s.db.Query(ctx, `
		UPDATE check_publication SET posting_until = now() + $2::interval
		WHERE (run_id, sha) = (
			SELECT run_id, sha FROM check_publication
			WHERE run_id = $1 AND wanted_version > posted_version AND unreachable_at IS NULL
				AND (posting_until IS NULL OR posting_until <= now()) AND sha <> ALL ($3)
			ORDER BY role, sha LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING `+publicationColumns, run, hold, except)
	places, err := collect(rows, "hold place to report to", scanPublication)
	if err != nil || len(places) == 0 {
		return Publication{}, false, err
	}
	return places[0], true, nil
}

// PlacesHeld reports whether another publisher holds places of a run that have
// something to be told.
func (s Store) PlacesHeld(ctx context.Context, run int64) (bool, error) {
	var held bool
	err := s.db.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM check_publication
			WHERE run_id = $1 AND wanted_version > posted_version AND unreachable_at IS NULL AND posting_until > now())`, run).Scan(&held)
	if err != nil {
		return false, fmt.Errorf("look at places to report to: %w", err)
	}
	return held, nil
}

// SetCheckRun stores the check run that was found or created at a place.
func (s Store) SetCheckRun(ctx context.Context, run int64, sha string, id int64) error {
	_, err := s.exec(ctx, "store check run",
		`UPDATE check_publication SET check_run_id = $3 WHERE run_id = $1 AND sha = $2`, run, sha, id)
	return err
}

// Posted notes that a version stands at a place, and lets go of it.
func (s Store) Posted(ctx context.Context, run int64, sha string, version int64) error {
	_, err := s.exec(ctx, "note report", `
		UPDATE check_publication SET posted_version = greatest(posted_version, $3), posting_until = NULL, last_error = NULL, updated_at = now()
		WHERE run_id = $1 AND sha = $2`, run, sha, version)
	return err
}

// NotPosted notes why a place could not be told, and lets go of it. With
// forGood set it is never tried again.
func (s Store) NotPosted(ctx context.Context, run int64, sha, reason string, forGood bool) error {
	_, err := s.exec(ctx, "note failure of report", `
		UPDATE check_publication SET posting_until = NULL, last_error = $3, updated_at = now(),
			unreachable_at = CASE WHEN $4 THEN now() ELSE unreachable_at END
		WHERE run_id = $1 AND sha = $2`, run, sha, plain(reason), forGood)
	return err
}

// Publications lists the places of a run, heads first.
func (s Store) Publications(ctx context.Context, run int64) ([]Publication, error) {
	rows, _ := s.db.Query(ctx, `SELECT `+publicationColumns+` FROM check_publication WHERE run_id = $1 ORDER BY role, sha`, run)
	return collect(rows, "list places to report to", scanPublication)
}

// UntoldRun is a run with places that should have been told by now.
type UntoldRun struct{ Run, Job int64 }

// UntoldRuns lists runs whose places have waited for a report for longer than
// age, with the latest job that should have told them. Those that were last
// tried longest ago come first: places that can't be told don't hide others.
func (s Store) UntoldRuns(ctx context.Context, age time.Duration, limit int) ([]UntoldRun, error) {
	rows, _ := s.db.Query(ctx, `
		SELECT run_id, coalesce(max(river_job_id), 0) FROM check_publication
		WHERE wanted_version > posted_version AND unreachable_at IS NULL AND updated_at < now() - $1::interval
		GROUP BY run_id ORDER BY min(updated_at), run_id LIMIT $2`, age, limit)
	return collect(rows, "list untold runs", pgx.RowToStructByPos[UntoldRun])
}

const publicationColumns = `sha, role, pr, check_run_id, wanted_version, posted_version, unreachable_at`

func scanPublication(r pgx.CollectableRow) (Publication, error) {
	var (
		p           Publication
		unreachable *time.Time
	)
	err := r.Scan(&p.SHA, &p.Role, &p.PR, &p.CheckRunID, &p.Wanted, &p.Posted, &unreachable)
	p.UnreachableAt = moment(unreachable)
	return p, err
}
