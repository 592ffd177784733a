package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// selectRun names the run that took another one's place by the one that is at
// the end of the chain: the places between published nothing either.
const selectRun = `
	SELECT r.id, r.twin_id, t.installation_id, t.repository_id, t.owner, t.repository_name, t.default_branch,
		r.spec, r.trigger, r.ref, r.sha, r.pr, r.state, r.attempt, r.max_attempts, r.page_key,
		coalesce(r.phase, ''), r.progress, r.report, r.failure, coalesce(w.id, 0),
		CASE WHEN r.state = 'queued' THEN coalesce((SELECT b.id FROM sync_run b WHERE b.twin_id = r.twin_id AND b.state = 'running'), 0) ELSE 0 END,
		coalesce(w.sha, ''), coalesce(w.page_key, ''),
		CASE WHEN r.state = 'queued' THEN coalesce((SELECT b.sha FROM sync_run b WHERE b.twin_id = r.twin_id AND b.state = 'running'), '') ELSE '' END,
		r.created_at, r.not_before, r.started_at, r.finished_at
	FROM sync_run r JOIN twin t ON t.id = r.twin_id LEFT JOIN LATERAL (
		WITH RECURSIVE chain AS (
			SELECT id, sha, page_key, superseded_by FROM sync_run WHERE id = r.superseded_by
			UNION SELECT n.id, n.sha, n.page_key, n.superseded_by FROM sync_run n JOIN chain ON n.id = chain.superseded_by)
		SELECT id, sha, page_key FROM chain WHERE superseded_by IS NULL LIMIT 1) w ON r.superseded_by IS NOT NULL
	`

func scanRun(row pgx.CollectableRow) (twin.Run, error) {
	var (
		r                              twin.Run
		progress                       *twin.Progress
		notBefore, startedAt, finished *time.Time
	)
	err := row.Scan(&r.ID, &r.TwinID, &r.Repo.InstallationID, &r.Repo.ID, &r.Repo.Owner, &r.Repo.Name, &r.Repo.DefaultBranch,
		&r.Spec, &r.Trigger, &r.Ref, &r.SHA, &r.PR, &r.State, &r.Attempt, &r.MaxAttempts, &r.PageKey,
		&r.Phase, &progress, &r.Report, &r.Failure, &r.SupersededBy,
		&r.Behind, &r.SupersededBySHA, &r.SupersededByKey, &r.BehindSHA, &r.CreatedAt, &notBefore, &startedAt, &finished)
	if err != nil {
		return twin.Run{}, err
	}
	if progress != nil {
		r.Progress = *progress
	}
	r.NotBefore, r.StartedAt, r.FinishedAt = moment(notBefore), moment(startedAt), moment(finished)
	return r, nil
}

// oneRun reads the run that where selects, or gives ErrNotFound.
func (s Store) oneRun(ctx context.Context, where string, arg any) (twin.Run, error) {
	rows, _ := s.db.Query(ctx, selectRun+where, arg) // CollectExactlyOneRow reports the error
	run, err := pgx.CollectExactlyOneRow(rows, scanRun)
	if errors.Is(err, pgx.ErrNoRows) {
		return twin.Run{}, ErrNotFound
	}
	if err != nil {
		return twin.Run{}, fmt.Errorf("read run: %w", err)
	}
	return run, nil
}

// Run reads a run as it is now.
func (s Store) Run(ctx context.Context, id int64) (twin.Run, error) {
	return s.oneRun(ctx, "WHERE r.id = $1", id)
}

// RunByPageKey reads what a run's page shows: the run, the places that it is
// reported to, and what happened, oldest first.
func (s Store) RunByPageKey(ctx context.Context, key string) (twin.Run, []Publication, []Event, error) {
	run, err := s.oneRun(ctx, "WHERE r.page_key = $1", key)
	if err != nil {
		return twin.Run{}, nil, nil, err
	}
	places, err := s.Publications(ctx, run.ID)
	if err != nil {
		return twin.Run{}, nil, nil, err
	}
	events, err := s.Events(ctx, run.ID)
	if err != nil {
		return twin.Run{}, nil, nil, err
	}
	return run, places, events, nil
}

// NewRun is a run about to be stored.
type NewRun struct {
	TwinID      int64
	Request     twin.Request
	PageKey     string
	State       twin.State
	MaxAttempts int
	// Failure is why the run is stored as failed already.
	Failure *twin.Failure
	// SupersededBy is the run that it is too late for.
	SupersededBy int64
	Indirect     bool // as in Rival
}

// InsertRun stores a run. A request without a time is about now.
func (s Store) InsertRun(ctx context.Context, n NewRun) (int64, error) {
	r := n.Request
	var id int64
	err := s.db.QueryRow(ctx, `
		INSERT INTO sync_run (twin_id, page_key, trigger, ref, sha, pr, at, spec, target, state, max_attempts, failure, superseded_by, forced_from, indirect, asked_at, finished_at)
		VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, now()), $8, $9, $10, $11, $12, nullif($13::bigint, 0), $14, $15, $16,
			CASE WHEN $10 IN ('queued', 'running') THEN NULL ELSE now() END)
		RETURNING id`,
		n.TwinID, n.PageKey, r.Trigger, r.Ref, r.SHA, r.PR, nullTime(r.At), r.Spec, r.Spec.Target,
		n.State, n.MaxAttempts, n.Failure, n.SupersededBy, forcedFrom(r.Forced, r.Before), n.Indirect, nullTime(r.AskedAt)).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("store run: %w", err)
	}
	return id, nil
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// RunOfFact finds the latest run of a Twin for a commit of a branch, 0 if none.
// One that was released answers nothing any more.
func (s Store) RunOfFact(ctx context.Context, twinID int64, ref, sha string) (int64, error) {
	var id int64
	_, err := s.maybe(ctx, "find run of commit", `
		SELECT id FROM sync_run WHERE twin_id = $1 AND sha = $2 AND ref = $3 AND NOT released ORDER BY id DESC LIMIT 1`,
		[]any{twinID, sha, ref}, &id)
	return id, err
}

// RunOfRequest finds the run that answers a person's or a clock's request: the
// one made for it before, or one that waits for the same commit anyway. 0 if none.
func (s Store) RunOfRequest(ctx context.Context, twinID int64, r twin.Request) (int64, error) {
	var id int64
	_, err := s.maybe(ctx, "find run of request", `
		SELECT id FROM sync_run
		WHERE twin_id = $1 AND sha = $2 AND ref = $3 AND (state = 'queued' OR trigger = $4 AND coalesce(asked_at, at) = $5)
		ORDER BY id DESC LIMIT 1`,
		[]any{twinID, r.SHA, r.Ref, r.Trigger, nullTime(r.AskedAt)}, &id)
	return id, err
}

// Earlier notes that a run's commit was there at the given time already: the
// same fact may be told with several times, and the earliest one counts. One
// that is earlier by more than within, or told of a commit that the branch was
// forced to, is that of an earlier stay there and says nothing.
func (s Store) Earlier(ctx context.Context, run int64, at time.Time, within time.Duration) error {
	_, err := s.exec(ctx, "note time of commit", `
		UPDATE sync_run SET at = $2
		WHERE id = $1 AND at > $2 AND at <= $2::timestamptz + $3::interval AND forced_from IS NULL`, run, nullTime(at), within)
	return err
}

// MovedAgain notes that a branch was moved to a run's commit once more, which
// makes everything in between old.
func (s Store) MovedAgain(ctx context.Context, run int64, at time.Time, before string) error {
	_, err := s.exec(ctx, "note time of push",
		`UPDATE sync_run SET at = $2, forced_from = $3 WHERE id = $1 AND at < $2`, run, at, before)
	return err
}

// Rival is a run of another commit of the same branch and moment.
type Rival struct {
	Run int64
	SHA string
	At  time.Time
	// ForcedFrom is where the branch was before it was forced to the commit,
	// empty if unknown; nil if the branch only got new commits.
	ForcedFrom *string
	// Indirect says that a pull request told the commit whose head it is: its
	// time is that at which GitHub noticed that a push had brought it.
	Indirect bool
}

// NewestOf gives the run of a Twin for the newest commit of a branch. Runs that
// were refused or cancelled are left out, and so are those that a newer commit
// of the branch superseded: their time need not be the earlier one.
func (s Store) NewestOf(ctx context.Context, twinID int64, ref string) (r Rival, found bool, err error) {
	found, err = s.maybe(ctx, "find newest run of branch", `
		SELECT id, sha, at, forced_from, indirect FROM sync_run r
		WHERE twin_id = $1 AND ref = $2 AND `+newestOf+`
		ORDER BY at DESC, id DESC LIMIT 1`,
		[]any{twinID, ref}, &r.Run, &r.SHA, &r.At, &r.ForcedFrom, &r.Indirect)
	return r, found, err
}

// Rivals lists runs of a Twin whose commits came to the branch so close to a
// time that it does not say which is newer: closer than within, or for indirect
// ones than loose, which is for all where the request itself is indirect. Runs
// that were refused or cancelled are none.
func (s Store) Rivals(ctx context.Context, twinID int64, ref, sha string, at time.Time, within, loose time.Duration) ([]Rival, error) {
	rows, _ := s.db.Query(ctx, `
		SELECT id, sha, at, forced_from, indirect FROM sync_run
		WHERE twin_id = $1 AND ref = $2 AND sha <> $3 AND at BETWEEN $4::timestamptz - $6::interval AND $4::timestamptz + $6::interval
			AND (indirect OR at BETWEEN $4::timestamptz - $5::interval AND $4::timestamptz + $5::interval) AND `+counts+`
		ORDER BY id DESC`, twinID, ref, sha, at, within, loose)
	return collect(rows, "list runs of the same moment", pgx.RowToStructByPos[Rival])
}

// Winner follows a run that was superseded to the one that was not.
func (s Store) Winner(ctx context.Context, run int64) (int64, error) {
	var winner int64
	found, err := s.maybe(ctx, "follow superseded run", `
		WITH RECURSIVE w AS (
			SELECT id, superseded_by FROM sync_run WHERE id = $1
			UNION SELECT r.id, r.superseded_by FROM sync_run r JOIN w ON r.id = w.superseded_by)
		SELECT id FROM w WHERE superseded_by IS NULL LIMIT 1`, []any{run}, &winner)
	if err == nil && !found {
		err = ErrNotFound
	}
	return winner, err
}

// counts holds for runs that can make another one old: not for those that were
// refused or cancelled.
const counts = `state <> 'cancelled' AND NOT (state = 'failed' AND coalesce(failure->>'code', '') = 'refused')`

// newestOf holds for those runs r that NewestOf chooses from.
const newestOf = counts + ` AND NOT (state = 'superseded' AND EXISTS (
	SELECT FROM (SELECT * FROM sync_run WHERE id = r.superseded_by AND ref = r.ref) w WHERE ` + counts + `))`

// NewerRun finds the newest run of a Twin whose commit is younger than at, 0
// if there is none. Runs that were refused or cancelled make nothing old, nor
// do those in except.
func (s Store) NewerRun(ctx context.Context, twinID int64, at time.Time, except []int64) (int64, error) {
	var id int64
	_, err := s.maybe(ctx, "find newer run", `
		SELECT id FROM sync_run
		WHERE twin_id = $1 AND at > $2 AND id <> ALL ($3) AND `+counts+`
		ORDER BY at DESC, id DESC LIMIT 1`, []any{twinID, nullTime(at), except}, &id)
	return id, err
}

// Active gives the run of a Twin that runs and the one that waits, 0 where
// there is none.
func (s Store) Active(ctx context.Context, twinID int64) (running, queued int64, err error) {
	err = s.db.QueryRow(ctx, `
		SELECT coalesce(max(id) FILTER (WHERE state = 'running'), 0), coalesce(max(id) FILTER (WHERE state = 'queued'), 0)
		FROM sync_run WHERE twin_id = $1 AND state IN ('running', 'queued')`, twinID).Scan(&running, &queued)
	if err != nil {
		return 0, 0, fmt.Errorf("find active runs: %w", err)
	}
	return running, queued, nil
}

// SupersedeQueued ends the waiting run of a Twin. SetSupersededBy must follow.
func (s Store) SupersedeQueued(ctx context.Context, queued int64) error {
	_, err := s.exec(ctx, "supersede waiting run",
		`UPDATE sync_run SET state = 'superseded', finished_at = now() WHERE id = $1 AND state = 'queued'`, queued)
	return err
}

// SetSupersededBy says which run took a superseded run's place.
func (s Store) SetSupersededBy(ctx context.Context, run, by int64) error {
	_, err := s.exec(ctx, "note superseding run", `UPDATE sync_run SET superseded_by = $2 WHERE id = $1`, run, by)
	return err
}

// SetRunJob says which River job may claim a run.
func (s Store) SetRunJob(ctx context.Context, run, job int64) error {
	_, err := s.exec(ctx, "note job of run", `UPDATE sync_run SET river_job_id = $2 WHERE id = $1`, run, job)
	return err
}
