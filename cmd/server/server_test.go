package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/githubtest"
	"github.com/neontwin/neontwin/internal/pgtest"
)

const small = `create table people (id int generated always as identity primary key, name text);
	insert into people (name) select 'person ' || i from generate_series(1, 500) i`

func TestMergedPullRequestBecomesAFreshTwin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	w.start()
	pr := w.merge(1, githubtest.Merge{})
	w.await("a check stands on the pull request", 60*time.Second, func() bool { return len(w.checks(pr.HeadSHA)) > 0 })
	w.awaitChecks(pr, 60*time.Second)
	w.requireGreen(pr)
	if diff := cmp.Diff(pgtest.Schema(w.t, w.source), pgtest.Schema(w.t, w.target)); diff != "" {
		t.Errorf("the Twin's schema (-source +twin):\n%s", diff)
	}
	if n := scan[int](w, w.target, "select count(*) from people"); n != 500 {
		t.Errorf("the Twin holds %d people", n)
	}
	// The page behind the check.
	page := w.checks(pr.HeadSHA)[0].DetailsURL
	if !strings.HasPrefix(page, w.url+"/runs/") || status(page) != http.StatusOK {
		t.Errorf("details at %s answer %d", page, status(page))
	}
	requireMetrics(t, w.body(w.admin+"/metrics"),
		`neontwin_twin_age_seconds{repository="acme/shop",twin="[a-z]+"} [0-9.]+`, `neontwin_github_requests_left{installation="[1-9][0-9]*"} [1-9][0-9]*`,
		`neontwin_github_requests_limit{installation="[1-9][0-9]*"} [1-9][0-9]*`, `neontwin_webhooks_total{event="push",outcome="stored"} [1-9]`,
		`neontwin_sync_seconds_count{outcome="published"} 1`, `neontwin_waiting{what="reports"} [0-9]+`)
	// Pressed again: the next merge, told by push first.
	pgtest.Exec(t, w.source, "create table more ()")
	pr = w.merge(2, githubtest.Merge{Method: githubtest.Squash, PushFirst: true})
	w.awaitChecks(pr, 60*time.Second)
	w.requireGreen(pr)
	if n := scan[int](w, w.control, "select count(*) from sync_run"); n != 2 {
		t.Errorf("%d runs for two merges", n)
	}
	// A job names what it is about, and holds nothing else.
	if n := scan[int](w, w.control, `select count(*) from river.river_job where args::text !~ '^{"(guid|run_id|twin_id|target_id)": ("[0-9a-z-]+"|[0-9]+)}$'`); n != 0 {
		t.Errorf("%d jobs hold more than an id", n)
	}
	if jobs := scan[string](w, w.control, "select string_agg(j::text, ' ') from river.river_job j"); strings.Contains(jobs, password(w.source)) || secretive.MatchString(jobs) {
		t.Error("a secret is in a job")
	}
}

func TestWebhookAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	w.start()
	secret := w.github.App().WebhookSecret
	pr := w.merge(1, githubtest.Merge{})
	w.awaitChecks(pr, 60*time.Second)
	body := w.closed()
	const newGUID = "11111111-2222-3333-4444-555555555555"
	cases := []struct {
		name, event, guid, signature string
		body                         []byte
		want                         int
	}{
		{"the same fact under another id", "pull_request", newGUID, sign(secret, body), body, http.StatusAccepted},
		{"a redelivery of it", "pull_request", newGUID, sign(secret, body), body, http.StatusAccepted},
		{"a bad signature", "pull_request", newGUID, sign("x"+secret, body), body, http.StatusUnauthorized},
		{"no signature", "pull_request", newGUID, "", body, http.StatusUnauthorized},
		{"signed, but no JSON", "pull_request", newGUID, sign(secret, []byte("{")), []byte("{"), http.StatusBadRequest},
		{"an event that nobody knows", "star", newGUID, sign(secret, []byte("{}")), []byte("{}"), http.StatusAccepted},
	}
	for _, c := range cases {
		if got := w.post(c.event, c.guid, c.signature, c.body); got != c.want {
			t.Errorf("%s: answered %d, want %d", c.name, got, c.want)
		}
	}
	w.await("all deliveries are processed", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from webhook_delivery where processed_at is null") == 0
	})
	if n := scan[int](w, w.control, "select count(*) from sync_run"); n != 1 {
		t.Errorf("%d runs, want 1: the fact was told again, not new", n)
	}
	w.requireGreen(pr)
}

func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	control := pgtest.Cluster(t, nil)
	w.setenv("DATABASE_URL", control.URL("postgres"))
	w.start()
	w.awaitChecks(w.merge(1, githubtest.Merge{}), 60*time.Second)
	body := w.closed()
	if err := control.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.post("pull_request", "11111111-2222-3333-4444-555555555555", sign(w.github.App().WebhookSecret, body), body); got != http.StatusServiceUnavailable {
		t.Errorf("with the database down a webhook is answered %d, want 503", got)
	}
	if got := status(w.admin + "/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("with the database down /readyz answers %d, want 503", got)
	}
	if got := status(w.admin + "/livez"); got != http.StatusOK {
		t.Errorf("with the database down /livez answers %d, want 200", got)
	}
}

// checked has a function that each row waits for when it is copied. It hurries
// until crawl or hold make it do something else.
const checked = `create function unhurried(int) returns boolean language plpgsql as $$ begin return true; end $$;
	create table people (id int generated always as identity primary key, name text);
	insert into people (name) select 'person ' || i from generate_series(1, 2500) i;
	alter table people add check (public.unhurried(id)) not valid;
	update pg_constraint set convalidated = true where conname = 'people_id_check'`

// crawl makes it take minutes from the next copy on, and hurry no time at all:
// what is to happen while rows are copied then does not race the copy.
const (
	crawl = `create or replace function unhurried(int) returns boolean language plpgsql as $$ begin perform pg_sleep(0.1); return true; end $$`
	hurry = `create or replace function unhurried(int) returns boolean language plpgsql as $$ begin return true; end $$`
)

// hold makes copies wait, from the next one on, until they are let go. The gate
// is something that all databases of the server see.
func (w *world) hold() (letGo func()) {
	w.t.Helper()
	gate := w.twin() + "_gate"
	pgtest.Exec(w.t, w.control, "create role "+gate)
	open := sync.OnceFunc(func() { pgtest.Exec(w.t, w.control, "drop role "+gate) })
	w.t.Cleanup(open)
	pgtest.Exec(w.t, w.source, `create or replace function unhurried(int) returns boolean language plpgsql as $$ begin
		while exists (select from pg_catalog.pg_roles where rolname = '`+gate+`') loop perform pg_sleep(0.02); end loop; return true; end $$`)
	return open
}

// awaitCopying waits until rows are being copied.
func (w *world) awaitCopying() {
	w.t.Helper()
	w.await("rows are being copied", 60*time.Second, w.copying)
}

// awaitCrawling waits until rows are being copied that will take minutes. What
// is copied after these does not.
func (w *world) awaitCrawling() {
	w.t.Helper()
	w.awaitCopying()
	pgtest.Exec(w.t, w.source, hurry)
}

func TestKilledWhileCopying(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked+";"+crawl)
	first := w.start()
	pr := w.merge(1, githubtest.Merge{})
	w.awaitCrawling()
	first.kill()
	if got := w.databases(); len(got) == 0 {
		t.Error("the kill came too late: nothing was half-made")
	}
	w.start()
	w.awaitChecks(pr, 90*time.Second)
	w.requireGreen(pr)
	if n := scan[int](w, w.target, "select count(*) from people"); n != 2500 {
		t.Errorf("the Twin holds %d people", n)
	}
	w.await("no stray database is left", 60*time.Second, func() bool { return len(w.databases()) == 1 })
}

func TestKilledTwinServesTheOldGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked)
	p := w.start()
	w.awaitChecks(w.merge(1, githubtest.Merge{}), 90*time.Second)
	pgtest.Exec(t, w.source, "insert into people (name) values ('new');"+crawl)
	pr := w.merge(2, githubtest.Merge{})
	w.awaitCrawling()
	p.kill()
	if n := scan[int](w, w.target, "select count(*) from people"); n != 2500 {
		t.Errorf("after the kill the Twin holds %d people, want the 2500 of the generation before", n)
	}
	w.start()
	w.awaitChecks(pr, 90*time.Second)
	w.requireGreen(pr)
	if n := scan[int](w, w.target, "select count(*) from people"); n != 2501 {
		t.Errorf("the Twin holds %d people", n)
	}
	w.await("no stray database is left", 60*time.Second, func() bool { return len(w.databases()) == 1 })
}

// copying reports whether a half-loaded generation of this world receives rows.
func (w *world) copying() bool {
	return scan[int](w, w.control, "select count(*) from pg_stat_activity where state = 'active' and query like '%COPY %people% FROM STDIN%' and starts_with(datname, '"+w.twin()+"__')") > 0
}

func TestStopHandsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked+";"+crawl)
	w.setenv("SHUTDOWN_DRAIN", "1s")
	w.setenv("LEASE_TTL", "60s") // what is given back is not waited for
	p := w.start()
	pr := w.merge(1, githubtest.Merge{})
	w.awaitCrawling()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		t.Fatal("the server did not stop")
	}
	if code := p.ProcessState.ExitCode(); code != 0 {
		t.Errorf("stopped with exit code %d", code)
	}
	if !strings.Contains(p.log.String(), `"msg":"run handed over","run":1}`) {
		t.Error("the log does not say which run was handed over")
	}
	if got := w.databases(); len(got) != 0 {
		t.Errorf("stopped in order, it left %v", got)
	}
	began := time.Now()
	w.start()
	w.awaitChecks(pr, 90*time.Second)
	w.requireGreen(pr)
	if attempt := scan[int](w, w.control, "select attempt from sync_run"); attempt != 1 {
		t.Errorf("the interrupted attempt was counted: %d", attempt)
	}
	t.Logf("handed over and finished in %s", time.Since(began))
}

func TestSplitRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	w.setenv("AUTO_MIGRATE", "false")
	web := w.launch("serve", "--role=web")
	w.await("the web process lives", 60*time.Second, func() bool { return status(w.url+"/livez") == http.StatusOK })
	if got := status(w.url + "/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("before the migration /readyz answers %d", got)
	}
	if p := w.launch("migrate"); true {
		<-p.done
		if p.ProcessState.ExitCode() != 0 {
			t.Fatalf("migrate ended with %d: %s", p.ProcessState.ExitCode(), p.log)
		}
	}
	w.await("the web process is ready", 60*time.Second, func() bool { return status(w.url+"/readyz") == http.StatusOK })
	if p := w.launch("healthcheck"); true {
		<-p.done
		if p.ProcessState.ExitCode() != 0 {
			t.Errorf("healthcheck ended with %d: %s", p.ProcessState.ExitCode(), p.log)
		}
	}
	pr := w.merge(1, githubtest.Merge{})
	if err := w.github.WaitForWebhooks(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The web process stores what it is told, also when it ends at once.
	web.kill()
	w.start("serve", "--role=worker")
	w.awaitChecks(pr, 60*time.Second)
	w.requireGreen(pr)
}

func TestEmbeddedDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	dir, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	w.setenv("DATABASE_URL", "")
	w.setenv("AUTO_MIGRATE", "")
	w.setenv("NEONTWIN_DATA_DIR", dir)
	p := w.start()
	if !strings.Contains(p.log.String(), "private PostgreSQL") {
		t.Error("the log does not say that a private PostgreSQL is used")
	}
	pr := w.merge(1, githubtest.Merge{})
	w.awaitChecks(pr, 60*time.Second)
	w.requireGreen(pr)
	// Killed, its PostgreSQL goes on; the next process takes it over.
	p.kill()
	w.start()
	pr = w.merge(2, githubtest.Merge{})
	w.awaitChecks(pr, 60*time.Second)
	w.requireGreen(pr)
}

func TestGitHubTroubleFailsNoSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	w.github.Break(githubtest.Fault{Route: "POST /repos/{owner}/{repo}/check-runs", Times: 3, Kind: githubtest.TooManyRequests, RetryAfter: "1"})
	w.start()
	pr := w.merge(1, githubtest.Merge{})
	w.awaitChecks(pr, 90*time.Second)
	w.requireGreen(pr)
}

func TestWrongConfigurationIsToldAtOnce(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"serve", "--role=web"}, environment{
		getenv: func(name string) string { return map[string]string{"LISTEN_ADDR": "nonsense"}[name] }, stdout: &out, stderr: &errs,
	})
	if code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	for _, name := range []string{"DATABASE_URL", "GITHUB_WEBHOOK_SECRET", "LISTEN_ADDR"} {
		if !strings.Contains(errs.String(), name) {
			t.Errorf("%s is not named in:\n%s", name, errs.String())
		}
	}
}

// closed is the body of the webhook that told of a merged pull request.
func (w *world) closed() []byte {
	w.t.Helper()
	for _, d := range w.github.Deliveries() {
		if d.Event == "pull_request" && d.Action == "closed" {
			return d.Payload
		}
	}
	w.t.Fatal("no webhook told of a merged pull request")
	return nil
}

func (w *world) setenv(name, value string) {
	for i, entry := range w.env {
		if strings.HasPrefix(entry, name+"=") {
			w.env[i] = name + "=" + value
			return
		}
	}
	w.env = append(w.env, name+"="+value)
}

// sign is written from GitHub's documentation, not from our own verifier.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func (w *world) post(event, guid, signature string, body []byte) int {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", event)
	req.Header.Set("X-GitHub-Delivery", guid)
	req.Header.Set("X-GitHub-Hook-Installation-Target-ID", fmt.Sprint(w.github.App().ID))
	req.Header.Set("X-GitHub-Hook-Installation-Target-Type", "integration")
	if signature != "" {
		req.Header.Set("X-Hub-Signature-256", signature)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}
