package jobs

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// places gives a run's places as "role sha pr", heads first.
func places(t *testing.T, pool *pgxpool.Pool, run int64) []string {
	t.Helper()
	pubs, err := store.New(pool).Publications(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range pubs {
		all = append(all, fmt.Sprintf("%s %s %d", p.Role, strings.TrimLeft(p.SHA, "0"), p.PR))
	}
	return all
}

func TestTheSameFactToldTwiceIsOneRun(t *testing.T) {
	t.Parallel()
	want := []string{"head " + headSHA(1) + " 1", "merge 1 0"}
	for name, order := range map[string][]twin.Request{
		"pull request first": {request(1), push(1), request(1)},
		"push first":         {push(1), request(1), push(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			i := inserter(t, pool)
			var runs []int64
			for _, r := range order {
				runs = append(runs, enqueue(t, i, r))
			}
			if runs[0] != runs[1] || runs[1] != runs[2] {
				t.Errorf("runs %v, want one", runs)
			}
			if diff := cmp.Diff(want, places(t, pool, runs[0])); diff != "" {
				t.Error(diff)
			}
			if n := one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'sync_run'"); n != 1 {
				t.Errorf("%d sync_run jobs, want 1", n)
			}
		})
	}
}

func TestAPlaceThatIsBothIsTheHead(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	r := push(1)
	run := enqueue(t, i, r)
	r.Trigger, r.PR, r.Places = twin.PullRequest, 1, []twin.Place{{Role: twin.Head, SHA: r.SHA, PR: 1}}
	enqueue(t, i, r)
	enqueue(t, i, push(1))
	if diff := cmp.Diff([]string{"head 1 1"}, places(t, pool, run)); diff != "" {
		t.Error(diff)
	}
}

func TestNewestCommitWaits(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	first, third, second := enqueue(t, i, request(1)), enqueue(t, i, request(3)), enqueue(t, i, request(2))

	for run, want := range map[int64]int64{first: third, second: third} {
		r := getRun(t, pool, run)
		if r.State != twin.Superseded || r.SupersededBy != want || r.SupersededBySHA != request(3).SHA || r.FinishedAt.IsZero() {
			t.Errorf("run %d is %s by %d, want superseded by %d", run, r.State, r.SupersededBy, want)
		}
		// Somebody waits for word of it on GitHub.
		if n := one[int](t, pool, "SELECT count(*) FROM check_publication WHERE run_id = $1 AND wanted_version > posted_version", run); n != 2 {
			t.Errorf("%d places of run %d will be told, want 2", n, run)
		}
	}
	if r := getRun(t, pool, third); r.State != twin.Queued {
		t.Errorf("newest run is %s", r.State)
	}
}

// TestTheEndOfAChainIsNamed: who took the place of a run may have lost it since.
func TestTheEndOfAChainIsNamed(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	const many = 20
	runs := make([]int64, many)
	for n := range runs {
		runs[n] = enqueue(t, i, request(n))
	}
	last := getRun(t, pool, runs[many-1])
	for _, run := range runs[:many-1] {
		r := getRun(t, pool, run)
		if r.State != twin.Superseded || r.SupersededBy != last.ID || r.SupersededBySHA != last.SHA || r.SupersededByKey != last.PageKey {
			t.Errorf("run %d is %s and leads to run %d of %.12s, want run %d", run, r.State, r.SupersededBy, r.SupersededBySHA, last.ID)
		}
	}
	if last.State != twin.Queued || last.SupersededBy != 0 || last.SupersededByKey != "" {
		t.Errorf("the last one is %s by %d", last.State, last.SupersededBy)
	}
}

func TestManyEnqueuesAtOnce(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	commits := 200
	if pgtest.Everything() {
		commits = 2000
	}
	var all []twin.Request
	for n := range commits {
		all = append(all, request(n), push(n))
	}
	rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })

	// One run is running all the while.
	running := enqueue(t, i, func() twin.Request { r := request(0); r.SHA, r.At = "first", day.AddDate(0, 0, -1); return r }())
	execute(t, pool, "UPDATE sync_run SET state = 'running', lease_token = 1, lease_expires_at = now() + interval '1 h' WHERE id = $1", running)
	var group errgroup.Group
	for part := range 8 {
		group.Go(func() error {
			for n := part; n < len(all); n += 8 {
				if _, err := i.Enqueue(t.Context(), all[n]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	states := one[string](t, pool, `SELECT string_agg(state || ' ' || n, ', ' ORDER BY state)
		FROM (SELECT state, count(*) n FROM sync_run GROUP BY state) s`)
	if want := fmt.Sprintf("queued 1, running 1, superseded %d", commits-1); states != want {
		t.Errorf("%s, want %s", states, want)
	}
	if sha, want := one[string](t, pool, "SELECT sha FROM sync_run WHERE state = 'queued'"), request(commits-1).SHA; sha != want {
		t.Errorf("commit %s waits, want %s", sha, want)
	}
	if n := one[int](t, pool, "SELECT count(*) FROM check_publication"); n != 2*commits+2 {
		t.Errorf("%d places, want %d", n, 2*commits+2)
	}
	// The waiting run has no job: the end of the running one makes it.
	if n := one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'sync_run'"); n != 1 {
		t.Errorf("%d sync_run jobs, want 1", n)
	}
	if config := one[string](t, pool, "SELECT config_sha FROM twin"); config != request(commits-1).SHA {
		t.Errorf("the Twin is configured as of %s", config)
	}
}

func TestATargetBelongsToOneTwin(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	enqueue(t, i, request(1))
	other := request(2)
	other.Repo.ID, other.Repo.Name = 23, "other"
	run := getRun(t, pool, enqueue(t, i, other))
	if run.State != twin.Failed || run.Failure == nil || run.Failure.Code != twin.CodeRefused {
		t.Errorf("run of a second Twin is %s, %+v", run.State, run.Failure)
	}
	if n := len(places(t, pool, run.ID)); n != 2 {
		t.Errorf("%d places are told, want 2", n)
	}
	// The first lets go of it by taking another.
	moved := request(3)
	moved.Spec.Target = "elsewhere"
	enqueue(t, i, moved)
	other.SHA, other.At = "later", request(4).At
	if run := getRun(t, pool, enqueue(t, i, other)); run.State != twin.Queued {
		t.Errorf("run on a target that is free again is %s", run.State)
	}
}

// TestARenamedTwinKeepsItsTarget: under its new name a Twin is another one,
// and the old one is gone from the file.
func TestARenamedTwinKeepsItsTarget(t *testing.T) {
	t.Parallel()
	named := func(n int, name string, all ...string) twin.Request {
		r := request(n)
		r.Spec.Name, r.Twins = name, all
		return r
	}
	for name, c := range map[string]struct {
		next twin.Request
		want twin.State
	}{
		"renamed":                       {named(3, "preview", "preview"), twin.Queued},
		"both in the file":              {named(3, "preview", "preview", "staging"), twin.Failed},
		"by a branch that can't say so": {named(3, "preview"), twin.Failed},
		"by a commit told late":         {named(1, "preview", "preview"), twin.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, pool := database(t)
			i := inserter(t, pool)
			enqueue(t, i, named(2, "staging", "staging"))
			if run := getRun(t, pool, enqueue(t, i, c.next)); run.State != c.want {
				t.Errorf("the run is %s, %+v, want %s", run.State, run.Failure, c.want)
			}
		})
	}
}

func TestARefusedRequestIsToldAndMakesNothingOld(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	bad := request(2)
	bad.Refusal = twin.Refuse("the file is not valid", "mend it")
	run := getRun(t, pool, enqueue(t, i, bad))
	if run.State != twin.Failed || run.Failure == nil || run.Failure.Message != "the file is not valid" || run.FinishedAt.IsZero() {
		t.Errorf("refused run: %+v", run)
	}
	if n := one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'sync_run'"); n != 0 {
		t.Errorf("%d jobs for a refused run", n)
	}
	if run := getRun(t, pool, enqueue(t, i, request(1))); run.State != twin.Queued {
		t.Errorf("run of the commit before is %s, want queued", run.State)
	}
}

func TestARerunIsARunOfItsOwn(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	first := enqueue(t, i, request(1))
	execute(t, pool, "UPDATE sync_run SET state = 'failed', finished_at = now()")
	again := request(1)
	again.Trigger, again.At = twin.Rerun, day.AddDate(0, 0, 1)
	rerun := enqueue(t, i, again)
	if rerun == first {
		t.Error("a re-run was taken for the run before")
	}
	again.At = again.At.Add(1)
	if absorbed := enqueue(t, i, again); absorbed != rerun {
		t.Errorf("a second click made run %d, while run %d waits", absorbed, rerun)
	}
}

func TestRowsKeepToTheRules(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	run := enqueue(t, inserter(t, pool), request(1))
	for name, sql := range map[string]string{
		"two queued": `INSERT INTO sync_run (twin_id, page_key, trigger, ref, sha, at, spec, target, state, max_attempts)
			SELECT twin_id, 'x', trigger, ref, sha, at, spec, target, 'queued', 1 FROM sync_run WHERE id = $1`,
		"running without a lease": `UPDATE sync_run SET state = 'running' WHERE id = $1`,
		"ended without a time":    `UPDATE sync_run SET state = 'succeeded' WHERE id = $1`,
		"two running on one target": `WITH other AS (
				INSERT INTO twin (installation_id, repository_id, owner, repository_name, default_branch, name, config, config_sha)
				SELECT installation_id, repository_id, owner, repository_name, default_branch, 'other', config, config_sha FROM twin RETURNING id)
			INSERT INTO sync_run (twin_id, page_key, trigger, ref, sha, at, spec, target, state, max_attempts, lease_token)
			SELECT i, 'x' || i, trigger, ref, sha, at, spec, target, 'running', 1, 1 FROM sync_run r, (SELECT id FROM other UNION SELECT id FROM twin) AS t (i) WHERE r.id = $1`,
		"one target of two Twins": `INSERT INTO twin (installation_id, repository_id, owner, repository_name, default_branch, name, config, config_sha, target)
			SELECT installation_id, repository_id, owner, repository_name, default_branch, 'other', config, config_sha, target FROM twin WHERE $1 > 0`,
		"unknown state": `UPDATE sync_run SET state = 'lost', finished_at = now() WHERE id = $1`,
	} {
		if _, err := pool.Exec(t.Context(), sql, run); err == nil {
			t.Errorf("%s: the database took it", name)
		}
	}
}
