package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// FileState is the commit as of which a repository's file is known.
type FileState struct {
	SHA        string
	At         time.Time
	ForcedFrom *string // as in Rival
}

// KnowsRepository reports whether anything is stored of a repository's Twins.
func (s Store) KnowsRepository(ctx context.Context, repositoryID int64) (bool, error) {
	var known bool
	err := s.db.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM twin WHERE repository_id = $1) OR EXISTS (SELECT FROM repository_file WHERE repository_id = $1)`,
		repositoryID).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("look for repository: %w", err)
	}
	return known, nil
}

// LockFile gives as of which commit the file of a declaration's repository is
// known, that of the declaration if of none yet, and locks it until the
// transaction ends.
func (s Store) LockFile(ctx context.Context, d twin.Declaration) (FileState, error) {
	var f FileState
	err := s.db.QueryRow(ctx, `
		INSERT INTO repository_file (repository_id, sha, at, forced_from) VALUES ($1, $2, $3, $4)
		ON CONFLICT (repository_id) DO UPDATE SET repository_id = excluded.repository_id
		RETURNING sha, at, forced_from`, d.Repo.ID, d.SHA, d.At, forcedFrom(d.Forced, d.Before)).Scan(&f.SHA, &f.At, &f.ForcedFrom)
	if err != nil {
		return FileState{}, fmt.Errorf("lock file of repository: %w", err)
	}
	return f, nil
}

// SetFile notes as of which commit a repository's file is known.
func (s Store) SetFile(ctx context.Context, d twin.Declaration) error {
	_, err := s.exec(ctx, "note commit of file",
		`UPDATE repository_file SET sha = $2, at = $3, forced_from = $4 WHERE repository_id = $1`,
		d.Repo.ID, d.SHA, d.At, forcedFrom(d.Forced, d.Before))
	return err
}

// forcedFrom is null for a branch that only got new commits.
func forcedFrom(forced bool, before string) *string {
	if !forced {
		return nil
	}
	return &before
}

// Planned is a Twin and its schedule. Dates are midnights in UTC.
type Planned struct {
	TwinID int64
	Repo   twin.Repository
	Name   string
	Plan   *twin.Timetable // nil: none
	Next   time.Time       // when the next date is due; zero without a schedule
	Last   time.Time       // the last date that was due; zero if none was
	Due    time.Time       // the date whose run has not been asked for yet; zero: none
	Job    int64           // the River job that asks for it, 0 if none was ever made
}

const plannedColumns = `id, installation_id, repository_id, owner, repository_name, default_branch, name,
	CASE WHEN sched_tz IS NOT NULL THEN jsonb_build_object('at', to_char(sched_local_time, 'HH24:MI'), 'timezone', sched_tz,
		'days', (SELECT jsonb_agg(d) FROM generate_series(0, 6) d WHERE sched_days & (1 << d) <> 0)) END,
	next_run_at, last_sched_date, due_date, coalesce(due_job_id, 0)`

func scanPlanned(row pgx.CollectableRow) (p Planned, err error) {
	var next, last, due *time.Time
	err = row.Scan(&p.TwinID, &p.Repo.InstallationID, &p.Repo.ID, &p.Repo.Owner, &p.Repo.Name, &p.Repo.DefaultBranch, &p.Name,
		&p.Plan, &next, &last, &due, &p.Job)
	p.Next, p.Last, p.Due = moment(next), moment(last), moment(due)
	return p, err
}

// LockTwinsOf locks all Twins of a repository until the transaction ends.
func (s Store) LockTwinsOf(ctx context.Context, repositoryID int64) ([]Planned, error) {
	rows, _ := s.db.Query(ctx, `SELECT `+plannedColumns+` FROM twin WHERE repository_id = $1 ORDER BY id FOR UPDATE`, repositoryID)
	return collect(rows, "lock twins of repository", scanPlanned)
}

// LockPlanned locks a Twin until the transaction ends.
func (s Store) LockPlanned(ctx context.Context, twinID int64) (Planned, error) {
	return s.planned(ctx, "lock twin", ` FROM twin WHERE id = $1 FOR UPDATE`, twinID)
}

// Planned reads a Twin and its schedule.
func (s Store) Planned(ctx context.Context, twinID int64) (Planned, error) {
	return s.planned(ctx, "read schedule", ` FROM twin WHERE id = $1`, twinID)
}

func (s Store) planned(ctx context.Context, doing, from string, twinID int64) (Planned, error) {
	rows, _ := s.db.Query(ctx, `SELECT `+plannedColumns+from, twinID)
	all, err := collect(rows, doing, scanPlanned)
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Planned{}, err
	}
	return all[0], nil
}

// LockDueTwin locks a Twin whose schedule is due at now, until the transaction
// ends. Those that somebody else has locked are left out: whoever has them will
// see to them.
func (s Store) LockDueTwin(ctx context.Context, now time.Time) (p Planned, found bool, err error) {
	rows, _ := s.db.Query(ctx, `SELECT `+plannedColumns+` FROM twin
		WHERE next_run_at <= $1 AND paused_at IS NULL ORDER BY next_run_at LIMIT 1 FOR UPDATE SKIP LOCKED`, now)
	all, err := collect(rows, "lock due twin", scanPlanned)
	if err != nil || len(all) == 0 {
		return Planned{}, false, err
	}
	return all[0], true, nil
}

// SetPlan gives a Twin another schedule, or none, and what follows from it. A
// date that is due stays so only under a schedule.
func (s Store) SetPlan(ctx context.Context, twinID int64, plan *twin.Timetable, next time.Time) error {
	if plan == nil {
		_, err := s.exec(ctx, "end schedule", `
			UPDATE twin SET sched_local_time = NULL, sched_tz = NULL, sched_days = NULL, next_run_at = NULL, due_date = NULL
			WHERE id = $1`, twinID)
		return err
	}
	days := 0
	for _, d := range plan.Days {
		days |= 1 << d
	}
	_, err := s.exec(ctx, "set schedule", `
		UPDATE twin SET sched_local_time = $2::text::time, sched_tz = $3, sched_days = $4, next_run_at = $5
		WHERE id = $1`, twinID, plan.At, plan.Timezone, days, next)
	return err
}

// SetNext says when a schedule is due next.
func (s Store) SetNext(ctx context.Context, twinID int64, next time.Time) error {
	_, err := s.exec(ctx, "set next date", `UPDATE twin SET next_run_at = $2 WHERE id = $1`, twinID, next)
	return err
}

// SetDue notes that a date of a schedule is due.
func (s Store) SetDue(ctx context.Context, twinID int64, date time.Time) error {
	_, err := s.exec(ctx, "note due date",
		`UPDATE twin SET due_date = $2::date, last_sched_date = $2::date WHERE id = $1`, twinID, date)
	return err
}

// SetDueJob says which River job asks for the run of a date that is due.
func (s Store) SetDueJob(ctx context.Context, twinID, job int64) error {
	_, err := s.exec(ctx, "note job of due date", `UPDATE twin SET due_job_id = $2 WHERE id = $1`, twinID, job)
	return err
}

// ClearDue notes that the run of the date that is due has been asked for.
func (s Store) ClearDue(ctx context.Context, twinID int64) error {
	_, err := s.exec(ctx, "clear due date", `UPDATE twin SET due_date = NULL WHERE id = $1`, twinID)
	return err
}

// DueTwins lists Twins of which a date is due.
func (s Store) DueTwins(ctx context.Context, limit int) ([]int64, error) {
	return s.ids(ctx, "list due twins",
		`SELECT id FROM twin WHERE due_date IS NOT NULL AND paused_at IS NULL ORDER BY id LIMIT $1`, limit)
}

// Now is the database's time: the one clock that all workers share.
func (s Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	if err := s.db.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
		return time.Time{}, fmt.Errorf("read clock: %w", err)
	}
	return now, nil
}
