package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// Judge notes that a fact has been decided about. Facts of repositories that
// have no Twin and were given nothing are not kept.
func (s Store) Judge(ctx context.Context, f twin.Fact) error {
	_, err := s.exec(ctx, "note what was decided about", `
		INSERT INTO judged AS j (repository_id, ref, sha, pr, at)
		SELECT $1, $2, $3, $4, $5
		WHERE EXISTS (SELECT FROM repository WHERE id = $1) OR EXISTS (SELECT FROM twin WHERE repository_id = $1)
		ON CONFLICT (repository_id, ref, pr, sha) DO UPDATE SET at = greatest(j.at, excluded.at), judged_at = now()`,
		f.Repo.ID, plain(f.Ref), f.SHA, f.PR, f.At)
	return err
}

// Baseline notes the head of a branch of which nothing is known yet, for what
// comes after it to be told apart.
func (s Store) Baseline(ctx context.Context, head twin.Fact) error {
	_, err := s.exec(ctx, "note head of branch", `
		INSERT INTO judged (repository_id, ref, sha, pr, at)
		SELECT $1, $2, $3, 0, $4 WHERE NOT EXISTS (SELECT FROM judged WHERE repository_id = $1 AND ref = $2 AND pr = 0)
		ON CONFLICT DO NOTHING`, head.Repo.ID, head.Ref, head.SHA, head.At)
	return err
}

// keepJudged is how long what was decided about is kept. It is longer than
// keepSince: what is forgotten must not be found anew.
const (
	keepJudged = 30 * 24 * time.Hour
	keepSince  = 14 * 24 * time.Hour
)

// Judged gives what has been decided about of a branch.
func (s Store) Judged(ctx context.Context, repo twin.Repository, ref string) (twin.Known, error) {
	rows, _ := s.db.Query(ctx, `
		SELECT sha, pr, at, greatest(at, now() - $3::interval) FROM judged
		WHERE repository_id = $1 AND ref = $2 ORDER BY at DESC, judged_at DESC`, repo.ID, ref, keepSince)
	var j twin.Known
	all, err := collect(rows, "read what was decided about", func(row pgx.CollectableRow) (twin.Fact, error) {
		f := twin.Fact{Repo: repo, Ref: ref}
		err := row.Scan(&f.SHA, &f.PR, &f.At, &j.Since)
		return f, err
	})
	if err != nil {
		return twin.Known{}, err
	}
	for _, f := range all {
		switch {
		case f.PR != 0:
			j.Merged = append(j.Merged, f)
		case j.Pushed.SHA == "":
			j.Pushed = f
		}
	}
	return j, nil
}

// Bearing is how a Twin stands to a commit of a branch that a run of it was
// for. Of several such runs it is the latest one.
type Bearing struct {
	TwinID, Run int64
	State       twin.State
	At          time.Time // when the branch moved to the commit, as the run knows
	// Serves is set where the Twin serves the commit or is about to, or follows
	// another branch now: what waits counts, then what is running, then what was
	// published.
	Serves bool
	// Other is the newest move of the branch to another commit, without a SHA if
	// none is known.
	Other twin.Fact
}

// Bearings gives how the Twins of a repository stand to a commit, or one of
// them if twinID is not 0. Those that no run was asked of are left out.
func (s Store) Bearings(ctx context.Context, repositoryID, twinID int64, ref, sha string) ([]Bearing, error) {
	rows, _ := s.db.Query(ctx, `
		SELECT t.id, h.id, h.state, h.at, coalesce(now.sha = $4 OR now.ref <> $3, false), coalesce(v.sha, ''), coalesce(v.at, h.at)
		FROM twin t
		CROSS JOIN LATERAL (SELECT id, state, at FROM sync_run
			WHERE twin_id = t.id AND ref = $3 AND sha = $4 AND NOT released ORDER BY id DESC LIMIT 1) h
		LEFT JOIN LATERAL (SELECT ref, sha FROM sync_run
			WHERE twin_id = t.id AND state IN ('queued', 'running', 'succeeded')
			ORDER BY array_position(ARRAY['queued', 'running'], state), finished_at DESC, id DESC LIMIT 1) now ON true
		LEFT JOIN LATERAL (SELECT sha, at FROM sync_run r
			WHERE twin_id = t.id AND ref = $3 AND sha <> $4 AND `+newestOf+`
			ORDER BY at DESC, id DESC LIMIT 1) v ON true
		WHERE t.repository_id = $1 AND ($2 = 0 OR t.id = $2) ORDER BY t.id`, repositoryID, twinID, ref, sha)
	return collect(rows, "read how twins stand to a commit", func(row pgx.CollectableRow) (Bearing, error) {
		st := Bearing{Other: twin.Fact{Ref: ref}}
		err := row.Scan(&st.TwinID, &st.Run, &st.State, &st.At, &st.Serves, &st.Other.SHA, &st.Other.At)
		return st, err
	})
}

// DropJudged deletes what was decided about long ago, but for the latest push
// of each branch.
func (s Store) DropJudged(ctx context.Context) (int64, error) {
	return s.exec(ctx, "delete old facts", `
		DELETE FROM judged j WHERE judged_at < now() - $1::interval AND at < now() - $1::interval
			AND (pr <> 0 OR EXISTS (SELECT FROM judged later
				WHERE later.repository_id = j.repository_id AND later.ref = j.ref AND later.pr = 0 AND later.at > j.at))`, keepJudged)
}

// Branches lists the branches, and patterns for them, in the triggers of a
// repository's Twins, and the branches of which Twins were asked for lately.
func (s Store) Branches(ctx context.Context, repositoryID int64) ([]string, error) {
	rows, _ := s.db.Query(ctx, `
		SELECT DISTINCT b FROM twin t, jsonb_path_query(t.config, '$.on.*.branches[*]') p, LATERAL (SELECT p #>> '{}') AS x(b)
		WHERE t.repository_id = $1
		UNION SELECT substr(r.ref, 12) FROM sync_run r JOIN twin t ON t.id = r.twin_id
		WHERE t.repository_id = $1 AND r.ref LIKE 'refs/heads/%' AND r.created_at > now() - $2::interval
		ORDER BY b`, repositoryID, keepSince)
	return collect(rows, "list branches of twins", pgx.RowTo[string])
}

// UnwatchedNames gives those of the names, in lower case, that no repository
// which is watched and within reach has, by its present name or a bound one.
func (s Store) UnwatchedNames(ctx context.Context, names []string) ([]string, error) {
	rows, _ := s.db.Query(ctx, `
		SELECT n FROM unnest($1::text[]) n
		WHERE NOT EXISTS (SELECT FROM repository r
			LEFT JOIN repository_binding b ON b.repository_id = r.id AND b.full_name = n
			WHERE r.state <> 'removed' AND (lower(r.owner || '/' || r.name) = n OR b.full_name IS NOT NULL))
		ORDER BY n`, names)
	return collect(rows, "find names without repository", pgx.RowTo[string])
}

// Again makes a delivery of ours that was processed be processed once more. It
// gives false if it waits to be processed anyway.
func (s Store) Again(ctx context.Context, d twin.Delivery) (bool, error) {
	n, err := s.exec(ctx, "take up delivery again", `
		UPDATE webhook_delivery SET processed_at = NULL, reason = NULL, received_at = now(), payload = $2, installation_id = $3
		WHERE guid = $1 AND processed_at IS NOT NULL`, d.GUID, d.Body, d.InstallationID)
	return n == 1, err
}

// KnownDeliveries gives those of the GUIDs that are stored.
func (s Store) KnownDeliveries(ctx context.Context, guids []string) ([]string, error) {
	rows, _ := s.db.Query(ctx, `SELECT guid FROM webhook_delivery WHERE guid = ANY ($1)`, guids)
	return collect(rows, "find deliveries", pgx.RowTo[string])
}

// Missed is a webhook that GitHub could not deliver.
type Missed struct {
	GUID    string
	Attempt int64
	Event   string
	Tries   int // how often it was asked for again
}

// AddMissed notes that an attempt of GitHub's has failed.
func (s Store) AddMissed(ctx context.Context, a twin.Attempt) error {
	_, err := s.exec(ctx, "note missed delivery", `
		INSERT INTO missed_delivery AS m (guid, attempt_id, event, action, installation_id, at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (guid) DO UPDATE SET attempt_id = greatest(m.attempt_id, excluded.attempt_id), at = least(m.at, excluded.at)`,
		plain(a.GUID), a.ID, plain(a.Event), plain(a.Action), a.InstallationID, a.At)
	return err
}

// FoundMissed forgets webhooks that came in after all: those in guids, and
// those that are stored.
func (s Store) FoundMissed(ctx context.Context, guids []string) error {
	_, err := s.exec(ctx, "forget missed deliveries", `
		DELETE FROM missed_delivery m
		WHERE m.guid = ANY ($1) OR EXISTS (SELECT FROM webhook_delivery d WHERE d.guid = m.guid)`, guids)
	return err
}

// DueMissed lists webhooks to be asked for again, newest first: those that were
// not asked for more than tries times.
func (s Store) DueMissed(ctx context.Context, tries, limit int) ([]Missed, error) {
	rows, _ := s.db.Query(ctx, `
		SELECT guid, attempt_id, event, tries FROM missed_delivery
		WHERE ask_at <= now() AND tries < $1 ORDER BY at DESC, guid LIMIT $2`, tries, limit)
	return collect(rows, "list missed deliveries", pgx.RowToStructByPos[Missed])
}

// AskedMissed notes that a webhook was asked for again, and when to do so next.
func (s Store) AskedMissed(ctx context.Context, guid string, after time.Duration, problem string) error {
	_, err := s.exec(ctx, "note request for delivery", `
		UPDATE missed_delivery SET tries = tries + 1, ask_at = now() + $2::interval, error = nullif($3, '') WHERE guid = $1`,
		guid, after, plain(problem))
	return err
}

// DropMissed forgets webhooks that GitHub does not show any more, and gives the
// GUIDs of those that never came in.
func (s Store) DropMissed(ctx context.Context, age time.Duration) ([]string, error) {
	rows, _ := s.db.Query(ctx, `
		DELETE FROM missed_delivery m WHERE at < now() - $1::interval
		RETURNING CASE WHEN EXISTS (SELECT FROM webhook_delivery d WHERE d.guid = m.guid) THEN '' ELSE guid END`, age)
	all, err := collect(rows, "delete missed deliveries", pgx.RowTo[string])
	var lost []string
	for _, guid := range all {
		if guid != "" {
			lost = append(lost, guid)
		}
	}
	return lost, err
}

// ChoreSoon makes a chore due now, and adds it if it is new.
func (s Store) ChoreSoon(ctx context.Context, name string) error {
	_, err := s.exec(ctx, "make chore due", `
		INSERT INTO chore (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET next_at = least(chore.next_at, now())`, name)
	return err
}

// TakeChore takes a chore that is due and that nobody is at, and keeps others
// from it for a time. It gives how far it has come, zero if nowhere yet.
func (s Store) TakeChore(ctx context.Context, name string, hold time.Duration) (point time.Time, taken bool, err error) {
	var at *time.Time
	taken, err = s.maybe(ctx, "take chore", `
		UPDATE chore SET held_until = now() + $2::interval
		WHERE name = $1 AND next_at <= now() AND coalesce(held_until, now()) <= now()
		RETURNING point`, []any{name, hold}, &at)
	return moment(at), taken, err
}

// EndChore lets go of a chore and says when it is due next. A point that is
// zero leaves it where it was.
func (s Store) EndChore(ctx context.Context, name string, after time.Duration, point time.Time) error {
	_, err := s.exec(ctx, "end chore", `
		UPDATE chore SET held_until = NULL, next_at = now() + $2::interval, point = coalesce($3, point) WHERE name = $1`,
		name, after, nullTime(point))
	return err
}
