package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/githubtest"
	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// TestModel lets one web process and three workers live through a random
// history: merges, pushes and forced pushes, webhooks that are lost, fail, come
// twice, late or in the wrong order, trouble at GitHub, processes that are
// killed, stopped in order or frozen, a control database that restarts, clocks
// that jump (GitHub's, and in a long history those of workers), suspensions,
// cancels and re-runs. All along the Twins must answer, whole, and never go back
// to where the branch was earlier; a check that has ended stays so, and a run
// that was superseded says by which. In the end they are where it is, every check
// has ended, nothing waits, nothing is left behind, and what was answered is
// there.
//
// NEONTWIN_MODEL_EVENTS says how many events, NEONTWIN_SEED which history, and
// NEONTWIN_MODEL_OTHER where a server of another version is that works beside.
func TestModel(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	events := 40
	if text := os.Getenv("NEONTWIN_MODEL_EVENTS"); text != "" {
		var err error
		if events, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		if m.wrong, err = wrongBinary(t); err != nil {
			t.Fatal(err)
		}
	}
	watch, stop := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	for _, name := range m.twins {
		watchers.Go(func() { m.watch(watch, name) })
	}
	for n := range events {
		m.happen(n)
		m.always()
		m.pause(150 * time.Millisecond)
		if n%100 == 99 {
			m.answered()
			t.Logf("%d events: %v", n+1, m.happened)
		}
		if t.Failed() {
			break
		}
	}
	m.calm()
	stop()
	watchers.Wait()
	m.judge()
	t.Logf("seed %d: %d events: %v", m.seed, events, m.happened)
}

// model is a history and what is known of it.
type model struct {
	*world
	seed     uint64
	random   *rand.Rand
	cluster  *pglocal.Cluster // of the control database
	pool     *pgxpool.Pool
	web      *process
	workers  []*process
	twins    []string // their addresses
	happened map[string]int
	ended    map[int64]string // checks that were seen to have ended, and how
	// commits is where main was, one after the other, order at which places of it
	// a commit stands, and epochs how often GitHub's clock had been set back then.
	mu      sync.Mutex
	order   map[string][]int
	commits []string
	epochs  []int
	epoch   int
	clock   time.Duration // by how much GitHub's is ahead
	pulls   []githubtest.PullRequest
	frozen  *process
	gone    bool   // the App is suspended
	wrong   string // a server whose clock jumps, empty if there is none
	other   string // one of another version, empty if there is none
}

const (
	modelPeople = 40
	modelFile   = `version: 1
twins:
  first: {source: prod, target: a, mode: full, on: {push: {branches: [main]}, pull_request: {branches: [main]}}}
  second: {source: prod, target: b, mode: full, on: {push: {branches: [main]}}, on_newer: restart}
`
)

// modelSettings keep what was committed when the server is killed; the machine
// is not.
var modelSettings = map[string]string{"synchronous_commit": "on"}

func newModel(t *testing.T) *model {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("NEONTWIN_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("NEONTWIN_SEED=%d", seed)
	people := fmt.Sprintf("create table people (id int primary key, name text); insert into people select n, 'p' || n from generate_series(1, %d) n", modelPeople)
	w := newWorldWith(t, people, githubtest.Options{RateLimit: 1_000_000, ManyWrites: true, AnyClock: true})
	m := &model{world: w, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), other: os.Getenv("NEONTWIN_MODEL_OTHER"), happened: map[string]int{}, ended: map[int64]string{}, order: map[string][]int{}}
	m.cluster = pgtest.Cluster(t, modelSettings)
	t.Cleanup(func() { _ = m.cluster.Kill(context.Background()) })
	var err error
	if m.pool, err = pgxpool.New(t.Context(), m.cluster.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.pool.Close)
	t.Cleanup(func() {
		if t.Failed() {
			m.dump()
		}
	})
	second := strings.Replace(w.target, "_twin?", "_twin_b?", 1) // dropped with the first: its name begins alike
	m.twins = []string{w.target, second}
	path := filepath.Join(t.TempDir(), "neontwin.yml")
	text := "sources:\n  prod:\n    url: ${PROD}\n    repositories: [" + repo + "]\ntargets:\n"
	for _, name := range []string{"a", "b"} {
		text += "  " + name + ":\n    url: ${TWIN_" + strings.ToUpper(name) + "}\n    repositories: [" + repo + "]\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TWIN_REPOSITORY", "SOURCE_DATABASE_URL", "TWIN_DATABASE_URL"} {
		w.setenv(name, "")
	}
	w.setenv("DATABASE_URL", m.cluster.URL("postgres"))
	w.env = append(w.env, "NEONTWIN_CONFIG="+path, "PROD="+w.source, "TWIN_A="+w.target, "TWIN_B="+second, "CATCH_UP_EVERY=1s")
	m.web = w.launch("serve", "--role", "web")
	for range 3 {
		m.workers = append(m.workers, m.worker())
	}
	w.await("the web process is ready", 60*time.Second, func() bool { return status(w.admin+"/readyz") == 200 })
	m.push(githubtest.Push{Files: map[string]string{".github/neon-twin.yml": modelFile}})
	w.await("both Twins exist", 60*time.Second, func() bool { return m.count("select count(*) from sync_run where state = 'succeeded'") >= 2 })
	return m
}

// worker starts a worker with ports of its own.
func (m *model) worker() *process {
	path, err := binary()
	if err != nil {
		m.t.Fatal(err)
	}
	return m.workerOf(path)
}

func (m *model) workerOf(path string) *process {
	port := freePort(m.t)
	was := slices.Clone(m.env)
	defer func() { m.env = was }()
	m.setenv("ADMIN_ADDR", fmt.Sprintf("127.0.0.1:%d", port))
	m.setenv("LISTEN_ADDR", fmt.Sprintf("127.0.0.1:%d", freePort(m.t)))
	return m.launchBinary(path, "serve", "--role", "worker")
}

func (m *model) pause(most time.Duration) {
	timer := time.NewTimer(time.Duration(m.random.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.t.Context().Done():
	}
}

// moves lets main be moved, and notes where it is then. Nobody looks at the
// Twins meanwhile.
func (m *model) moves(do func() (sha string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sha := do()
	if n := len(m.commits); n > 0 && m.commits[n-1] == sha {
		return
	}
	m.order[sha] = append(m.order[sha], len(m.commits))
	m.commits, m.epochs = append(m.commits, sha), append(m.epochs, m.epoch)
}

func (m *model) push(p githubtest.Push) { m.moves(func() string { return m.world.push(p) }) }

// force moves main back, or on to where it was once, or puts another commit in
// the place of its last one. A forced push within the same moment as another
// move can't be told from it by time: it keeps a distance.
func (m *model) force(n int) {
	m.advance(40 * time.Second)
	switch m.random.IntN(3) {
	case 0:
		m.push(githubtest.Push{Force: true, Files: map[string]string{".github/neon-twin.yml": modelFile, fmt.Sprint("replaced", n): "x"}})
	default:
		least := max(0, len(m.commits)-8)
		m.push(githubtest.Push{Force: true, To: m.commits[least+m.random.IntN(len(m.commits)-least)]})
	}
	m.advance(40 * time.Second)
}

// thereAndBack moves main elsewhere, and at once back to where it was.
func (m *model) thereAndBack(n int) {
	m.advance(40 * time.Second)
	at := m.commits[len(m.commits)-1]
	m.push(githubtest.Push{Force: true, Files: map[string]string{".github/neon-twin.yml": modelFile, fmt.Sprint("replaced", n): "x"}})
	m.push(githubtest.Push{Force: true, To: at})
	m.advance(40 * time.Second)
}

// advance moves GitHub's clock.
func (m *model) advance(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if by < 0 {
		m.epoch++
	}
	m.clock += by
	m.github.SetClock(m.clock)
}

// count asks the control database, which may be away for a while.
func (m *model) count(sql string) (n int) {
	if err := m.pool.QueryRow(m.t.Context(), sql).Scan(&n); err != nil {
		return -1
	}
	return n
}

// happening is something that may come to pass, and how often it does.
type happening struct {
	name   string
	weight int
	do     func(n int)
}

func (m *model) happenings() []happening {
	return []happening{
		{"merge", 12, m.mergeOne},
		{"push", 8, func(n int) {
			m.push(githubtest.Push{Files: map[string]string{fmt.Sprint("direct", n): "x"}})
		}},
		{"forced push", 4, m.force},
		{"forced there and back within a second", 2, m.thereAndBack},
		{"GitHub's clock jumps", 3, func(int) {
			by := []time.Duration{5 * time.Second, 2 * time.Minute, 3 * time.Hour}[m.random.IntN(3)]
			if m.random.IntN(2) == 0 && m.clock > -12*time.Hour {
				by = -by
			}
			m.advance(by)
		}},
		{"worker whose clock jumps", 3, func(int) {
			if m.wrong == "" {
				return
			}
			i := m.random.IntN(len(m.workers))
			m.thaw(m.workers[i])
			_ = m.workers[i].Process.Signal(syscall.SIGTERM)
			m.workers[i] = m.workerOf(m.wrong)
		}},
		{"worker of another version", 3, func(int) {
			if m.other == "" {
				return
			}
			i := m.random.IntN(len(m.workers))
			m.thaw(m.workers[i])
			_ = m.workers[i].Process.Signal(syscall.SIGTERM)
			m.workers[i] = m.workerOf(m.other)
		}},
		{"webhook trouble", 8, func(int) {
			kind := []githubtest.WebhookTrouble{
				githubtest.WebhookLost, githubtest.WebhookFailed, githubtest.WebhookDoubled, githubtest.WebhookDelayed, githubtest.WebhookOvertaken,
			}[m.random.IntN(5)]
			m.github.BreakWebhook(githubtest.WebhookFault{Times: 1 + m.random.IntN(3), Kind: kind, Delay: 300 * time.Millisecond})
		}},
		{"GitHub trouble", 8, func(int) {
			kind := []githubtest.Trouble{
				githubtest.ServerError, githubtest.BadGateway, githubtest.TooManyRequests, githubtest.SecondaryLimit,
				githubtest.AnswerLost, githubtest.CutBody, githubtest.NotFound, githubtest.Slow,
			}[m.random.IntN(8)]
			m.github.Break(githubtest.Fault{Times: 1 + m.random.IntN(4), Kind: kind, RetryAfter: "1", Delay: 200 * time.Millisecond})
		}},
		{"kill -9 of a worker", 5, func(int) {
			i := m.random.IntN(len(m.workers))
			m.thaw(m.workers[i])
			m.workers[i].kill()
			m.workers[i] = m.worker()
		}},
		{"deploy of a worker", 3, func(int) {
			i := m.random.IntN(len(m.workers))
			m.thaw(m.workers[i])
			next := m.worker()
			_ = m.workers[i].Process.Signal(syscall.SIGTERM)
			m.workers[i] = next
		}},
		{"frozen worker", 3, func(int) {
			i := m.random.IntN(len(m.workers))
			m.thaw(m.frozen)
			m.frozen = m.workers[i]
			_ = m.frozen.Process.Signal(syscall.SIGSTOP)
		}},
		{"kill -9 of web", 2, func(int) {
			m.web.kill()
			m.web = m.launch("serve", "--role", "web")
		}},
		{"control database restarts", 2, func(int) { m.restart() }},
		{"suspension", 1, func(int) {
			change := m.github.Suspend
			if m.gone {
				change = m.github.Unsuspend
			}
			must(m.t, change("acme"))
			m.gone = !m.gone
		}},
		{"cancel", 2, func(int) {
			if run := m.count("select coalesce(max(id), 0) from sync_run where state in ('queued', 'running')"); run > 0 {
				m.command("cancel", strconv.Itoa(run))
			}
		}},
		{"re-run", 2, func(int) {
			sha := m.commits[m.random.IntN(len(m.commits))]
			for _, c := range m.github.CheckRuns(repo, sha) {
				if c.Status == "completed" {
					_ = m.github.Rerun(repo, c.ID) // refused where GitHub shows no button
					return
				}
			}
		}},
	}
}

// happen lets one thing come to pass.
func (m *model) happen(n int) {
	all := m.happenings()
	sum := 0
	for _, h := range all {
		sum += h.weight
	}
	dice := m.random.IntN(sum)
	for _, h := range all {
		if dice -= h.weight; dice < 0 {
			m.happened[h.name]++
			h.do(n)
			return
		}
	}
}

func (m *model) mergeOne(n int) {
	methods := []githubtest.Method{githubtest.MergeCommit, githubtest.Squash, githubtest.Rebase}
	var pr githubtest.PullRequest
	m.moves(func() string {
		pr = m.merge(n, githubtest.Merge{Method: methods[m.random.IntN(3)], PushFirst: m.random.IntN(2) == 0})
		return pr.MergeSHA
	})
	m.pulls = append(m.pulls, pr)
}

// command runs the server's command line; that it is refused is no news.
func (m *model) command(args ...string) {
	p := m.launch(args...)
	m.await(strings.Join(args, " ")+" ends", 60*time.Second, func() bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
}

func (m *model) thaw(p *process) {
	if p != nil && p == m.frozen {
		_ = p.Process.Signal(syscall.SIGCONT)
		m.frozen = nil
	}
}

func (m *model) restart() {
	end := m.cluster.Stop
	if m.random.IntN(2) == 0 {
		end = m.cluster.Kill
	}
	must(m.t, end(m.t.Context()))
	again, err := pglocal.Start(m.t.Context(), pglocal.Options{Dir: m.cluster.Dir(), Volatile: true, Settings: modelSettings})
	if err != nil {
		m.t.Fatal(err)
	}
	m.cluster = again
}

// calm lets everything come to rest.
func (m *model) calm() {
	m.t.Helper()
	m.thaw(m.frozen)
	if m.other != "" { // what only this version does is done by somebody
		m.workers[0].kill()
		m.workers[0] = m.worker()
	}
	m.github.ClearFaults()
	if m.gone {
		must(m.t, m.github.Unsuspend("acme"))
		m.gone = false
	}
	// A cancelled run leaves the Twin as it was; the next commit brings both up.
	// By what is told of the moves after that, they may go astray.
	m.push(githubtest.Push{Files: map[string]string{"last": "x"}})
	m.thereAndBack(0)
	must(m.t, m.github.WaitForWebhooks(m.t.Context()))
	resting := func() bool {
		return m.count(`select (select count(*) from sync_run where state in ('queued', 'running'))
			+ (select count(*) from webhook_delivery where processed_at is null)
			+ (select count(*) from check_publication where wanted_version > posted_version and unreachable_at is null)
			+ (select count(*) from loading_target)`) == 0
	}
	m.await("nothing waits or runs", 3*time.Minute, resting)
	head := m.commits[len(m.commits)-1]
	m.await("both Twins are of the newest commit", 3*time.Minute, func() bool {
		return m.count(fmt.Sprintf(`select count(*) from twin t where '%s' = (select sha from sync_run
			where twin_id = t.id and state = 'succeeded' order by finished_at desc, id desc limit 1)`, head)) == 2
	})
	m.await("nothing waits or runs", 3*time.Minute, resting)
	m.await("every check has ended", 3*time.Minute, func() bool {
		return !slices.ContainsFunc(m.everyCheck(), func(c githubtest.CheckRun) bool { return c.Status != "completed" })
	})
}

// always looks at what must hold at every moment.
func (m *model) always() {
	m.t.Helper()
	// What is older has ended, or is looked at in the end.
	const latest = 8
	shas := slices.Clone(m.commits[max(0, len(m.commits)-latest):])
	for _, pr := range m.pulls[max(0, len(m.pulls)-latest):] {
		shas = append(shas, pr.HeadSHA)
	}
	for _, sha := range shas {
		for _, c := range m.checks(sha) {
			was, known := m.ended[c.ID]
			if known && (c.Status != "completed" || c.Conclusion != was) {
				m.t.Errorf("check %s of %.7s had ended as %s, and is %s %s", c.ExternalID, sha, was, c.Status, c.Conclusion)
			}
			if c.Status == "completed" {
				m.ended[c.ID] = c.Conclusion
			}
		}
	}
	var wrong []string
	err := m.pool.QueryRow(m.t.Context(), `select coalesce(array_agg(w), '{}') from (
		select format('run %s was superseded by nobody', id) from sync_run where state = 'superseded' and superseded_by is null
		union all select format('%s runs fill %s', count(*), target) from sync_run where state = 'running' group by target having count(*) > 1
		union all select format('%s runs of Twin %s wait', count(*), twin_id) from sync_run where state = 'queued' group by twin_id having count(*) > 1
		union all select format('version %s of run %s was posted, of %s', posted_version, run_id, wanted_version) from check_publication where posted_version > wanted_version
		union all select format('run %s ended without a place', id) from sync_run r where state in ('succeeded', 'failed')
			and not exists (select from check_publication c where c.run_id = r.id)) x (w)`).Scan(&wrong)
	if err == nil && len(wrong) > 0 { // the database may be away
		m.t.Errorf("%q", wrong)
	}
}

// everyCheck gives the checks of all commits that could have one.
func (m *model) everyCheck() []githubtest.CheckRun {
	var all []githubtest.CheckRun
	for sha := range m.order {
		all = append(all, m.checks(sha)...)
	}
	for _, pr := range m.pulls {
		if _, main := m.order[pr.HeadSHA]; !main {
			all = append(all, m.checks(pr.HeadSHA)...)
		}
	}
	return all
}

// watch asks a Twin over and over: it must answer with all of its rows, and
// never go back to where the branch was before. Only a clock of GitHub's that is
// set back may have it do so, for as long as it takes to look at the branch.
func (m *model) watch(ctx context.Context, address string) {
	last := -1
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		people, sha, err := ask(ctx, address)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			// A publish ends connections, and who connects in that very moment
			// is told that the database was renamed.
			if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == "3D000" && !strings.Contains(pg.Detail, "renamed") {
				m.t.Errorf("a Twin is gone: %v (%s)", err, pg.Detail)
			}
			continue
		}
		if people != modelPeople {
			m.t.Errorf("a Twin has %d people, want %d", people, modelPeople)
		}
		m.mu.Lock()
		places := m.order[sha] // of one that was there twice, the next
		at := slices.IndexFunc(places, func(p int) bool { return p >= last })
		switch {
		case at >= 0:
			last = places[at]
		case len(places) > 0 && m.epochs[places[len(places)-1]] == m.epochs[last]:
			m.t.Errorf("a Twin went back from %.7s, commit %d, to %.7s, commit %d", m.commits[last], last, sha, places[len(places)-1])
			fallthrough
		case len(places) > 0:
			last = places[len(places)-1]
		}
		m.mu.Unlock()
	}
}

// ask gives what a Twin holds and which commit it is of.
func ask(ctx context.Context, address string) (people int, sha string, err error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "select (select count(*) from people), (select commit_sha from neontwin.generation)").Scan(&people, &sha)
	return people, sha, err
}

// judge looks at what the history has left.
func (m *model) judge() {
	m.t.Helper()
	head := m.commits[len(m.commits)-1]
	for _, address := range m.twins {
		if people, sha, err := ask(m.t.Context(), address); err != nil || people != modelPeople || sha != head {
			m.t.Errorf("in the end a Twin has %d people and is of commit %.7s, want %d and %.7s (%v)", people, sha, modelPeople, head, err)
		}
	}
	m.answered()
	// One fact is synced once, unless somebody asked again or ended it.
	var once []string // those that came back were more facts than one
	for sha, places := range m.order {
		if len(places) == 1 {
			once = append(once, sha)
		}
	}
	var twice []string
	err := m.pool.QueryRow(m.t.Context(), `select coalesce(array_agg(left(sha, 7)), '{}') from (select twin_id, sha from sync_run
		where trigger in ('push', 'pull_request') and state in ('succeeded', 'failed') and sha = any ($1)
		group by 1, 2 having count(*) > 1) d`, once).Scan(&twice)
	if err != nil || len(twice) != 0 {
		m.t.Errorf("synced twice: %v (%v)", twice, err)
	}
	if failed := m.count("select count(*) from sync_run where state = 'failed'"); failed != 0 {
		m.t.Errorf("%d runs have failed", failed)
	}
	// A place to report to has one check run of a run.
	seen := make(map[string]bool)
	for _, c := range m.everyCheck() {
		key := c.HeadSHA + " " + c.ExternalID
		if seen[key] {
			m.t.Errorf("commit %.7s has two check runs of %s", c.HeadSHA, c.ExternalID)
		}
		seen[key] = true
	}
	if left := m.databases(); len(left) != len(m.twins) {
		m.t.Errorf("databases are left behind: %v", left)
	}
}

// answered wants everything to be there that was answered with a 202.
func (m *model) answered() {
	for _, d := range m.github.Deliveries() {
		if d.StatusCode != 202 || strings.Contains(d.ResponseBody, "ignored") {
			continue
		}
		var there bool
		err := m.pool.QueryRow(m.t.Context(), "select exists (select from webhook_delivery where guid = $1)", d.GUID).Scan(&there)
		if err == nil && !there {
			m.t.Errorf("delivery %s (%s) was answered %d and is not there", d.GUID, d.Event, d.StatusCode)
		}
	}
}

// dump tells what the control database holds, for whoever looks for the reason.
func (m *model) dump() {
	m.pool.Reset() // some connections are those of a server that is gone
	for _, sql := range []string{
		`select format('run %s twin %s %s %s attempt %s %s at %s by %s not before %s: %s', id, twin_id, trigger, left(sha, 7), attempt, state, at, superseded_by, not_before, failure) from sync_run order by id`,
		`select format('delivery %s %s %s job %s: %s', guid, event, received_at, d.river_job_id, error) from webhook_delivery d where processed_at is null`,
		`select format('report of run %s to %s: %s of %s, job %s: %s', run_id, left(sha, 7), posted_version, wanted_version, river_job_id, last_error)
			from check_publication where wanted_version > posted_version and unreachable_at is null`,
		`select format('job %s %s %s attempt %s scheduled %s: %s', id, kind, state, attempt, scheduled_at, errors[array_length(errors, 1)]->>'error') from river.river_job where finalized_at is null`,
		`select format('now %s', now())`,
	} {
		rows, err := m.pool.Query(context.WithoutCancel(m.t.Context()), sql)
		if err != nil {
			m.t.Log(err)
			return
		}
		for rows.Next() {
			var line string
			if rows.Scan(&line) == nil {
				m.t.Log(line)
			}
		}
		rows.Close()
	}
}
