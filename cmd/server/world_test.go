package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/githubtest"
	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// binary compiles the server once, as users get it.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := pglocal.Scratch("neontwin-server-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "server")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// world is a GitHub, a source, a target and a control database of a test's own.
type world struct {
	t                       *testing.T
	github                  *githubtest.Server
	control, source, target string
	url, admin              string
	env                     []string
	asking                  *pgx.Conn // to control, for what is asked all the time
}

const repo = "acme/shop"

func newWorld(t *testing.T, source string) *world {
	t.Helper()
	return newWorldWith(t, source, githubtest.Options{})
}

func newWorldWith(t *testing.T, source string, o githubtest.Options) *world {
	t.Helper()
	w := &world{t: t, control: pgtest.URL(t), source: pgtest.URL(t)}
	w.asking = pgtest.Connect(t, w.control)
	pgtest.Exec(t, w.source, source)
	w.target = strings.Replace(w.source, "?", "_twin?", 1)
	t.Cleanup(func() {
		for _, name := range w.databases() {
			pgtest.Exec(t, w.control, "drop database "+pgx.Identifier{name}.Sanitize()+" with (force)")
		}
	})
	var err error
	if w.github, err = githubtest.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.github.Close() })
	if _, err := w.github.CreateRepository(githubtest.NewRepository{FullName: repo, Files: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.github.Install("acme"); err != nil {
		t.Fatal(err)
	}
	port, admin := freePort(t), freePort(t)
	w.url, w.admin = fmt.Sprintf("http://127.0.0.1:%d", port), fmt.Sprintf("http://127.0.0.1:%d", admin)
	if err := w.github.SetWebhookURL(w.url + "/webhooks/github"); err != nil {
		t.Fatal(err)
	}
	app := w.github.App()
	key := filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(key, app.PrivateKeyPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "DATABASE_URL=" + w.control, "AUTO_MIGRATE=true",
		"GITHUB_API_URL=" + w.github.URL(), fmt.Sprintf("GITHUB_APP_ID=%d", app.ID),
		"GITHUB_PRIVATE_KEY_FILE=" + key, "GITHUB_WEBHOOK_SECRET=" + app.WebhookSecret,
		"TWIN_REPOSITORY=" + repo, "SOURCE_DATABASE_URL=" + w.source, "TWIN_DATABASE_URL=" + w.target,
		fmt.Sprintf("LISTEN_ADDR=127.0.0.1:%d", port), fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin), "PUBLIC_URL=" + w.url,
		"LEASE_TTL=3s", "PROGRESS_EVERY=1s", "SHUTDOWN_DRAIN=1s",
	}
	return w
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := pglocal.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// process is a running server.
type process struct {
	*exec.Cmd
	log  *lockedBuffer
	done chan struct{}
}

// start runs the server until the test ends, and waits until it is ready.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	p := w.launch(args...)
	w.await("the server is ready", 60*time.Second, func() bool { return status(w.admin+"/readyz") == http.StatusOK })
	return p
}

func (w *world) launch(args ...string) *process {
	w.t.Helper()
	path, err := binary()
	if err != nil {
		w.t.Fatal(err)
	}
	if len(args) == 0 {
		args = []string{"serve"}
	}
	return w.launchBinary(path, args...)
}

func (w *world) launchBinary(path string, args ...string) *process {
	w.t.Helper()
	p := &process{Cmd: exec.CommandContext(context.Background(), path, args...), log: &lockedBuffer{}, done: make(chan struct{})}
	p.Env, p.Stdout, p.Stderr = w.env, p.log, p.log
	if err := p.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = p.Wait(); close(p.done) }()
	w.t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(60 * time.Second):
			w.t.Error("the server did not stop after SIGTERM")
			_ = p.Process.Kill()
		}
		if w.t.Failed() {
			w.t.Logf("log of the server:\n%s", p.log)
		}
		for _, secret := range []string{w.github.App().WebhookSecret, password(w.source)} {
			if strings.Contains(p.log.String(), secret) {
				w.t.Error("a secret is in the log")
			}
		}
		if line := secretive.FindString(p.log.String()); line != "" {
			w.t.Errorf("the log has what it must not: %s", line)
		}
	})
	return p
}

// secretive finds what no log may hold: tokens of GitHub's and our own, keys,
// addresses of databases, and the keys of runs' pages.
var secretive = regexp.MustCompile(`.*(ghs_|eyJ[A-Za-z0-9_-]+\.|PRIVATE KEY|postgres(ql)?://|/runs/[a-z2-7]{26}).*`)

func password(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	pw, _ := u.User.Password()
	return pw
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.Process.Kill()
	<-p.done
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (w *world) await(what string, within time.Duration, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			w.t.Fatalf("waited %s in vain until %s", within, what)
		case <-tick.C:
		}
	}
}

func status(address string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

// merge opens a pull request and merges it.
func (w *world) merge(n int, m githubtest.Merge) githubtest.PullRequest {
	w.t.Helper()
	pr, err := w.github.OpenPullRequest(githubtest.NewPullRequest{
		Repository: repo, Title: fmt.Sprintf("change %d", n), Files: map[string]string{fmt.Sprintf("change-%d", n): "x"},
	})
	if err == nil {
		pr, err = w.github.Merge(repo, pr.Number, m)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return pr
}

// checks gives the check runs of a commit.
func (w *world) checks(sha string) []githubtest.CheckRun { return w.github.CheckRuns(repo, sha) }

// awaitChecks waits until both commits of a merged pull request have a check
// that has ended, and gives them.
func (w *world) awaitChecks(pr githubtest.PullRequest, within time.Duration) []githubtest.CheckRun {
	w.t.Helper()
	var all []githubtest.CheckRun
	w.await("the checks have ended", within, func() bool {
		all = nil
		for _, sha := range []string{pr.HeadSHA, pr.MergeSHA} {
			runs := w.checks(sha)
			all = append(all, runs...)
			if len(runs) == 0 || runs[len(runs)-1].Status != "completed" {
				return false
			}
		}
		return true
	})
	return all
}

// requireGreen wants exactly one green check on each of the two commits.
func (w *world) requireGreen(pr githubtest.PullRequest) {
	w.t.Helper()
	for _, sha := range []string{pr.HeadSHA, pr.MergeSHA} {
		runs := w.checks(sha)
		if len(runs) != 1 || runs[0].Conclusion != "success" {
			w.t.Errorf("the checks of %.7s are %+v, want a single green one", sha, runs)
		}
	}
}

// twin is the name of the Twin's database.
func (w *world) twin() string {
	u, err := url.Parse(w.target)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// databases lists the Twin's database and all that belong to it.
func (w *world) databases() []string {
	rows, err := w.asking.Query(context.Background(), "select datname from pg_database where starts_with(datname, $1)", w.twin())
	if err != nil {
		w.t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return names
}

// scan asks a database for one value.
func scan[T any](w *world, address, sql string) (v T) {
	w.t.Helper()
	conn := w.asking
	if address != w.control {
		var err error
		if conn, err = pgx.Connect(context.Background(), address); err != nil {
			w.t.Fatal(err)
		}
		defer conn.Close(context.Background())
	}
	if err := conn.QueryRow(context.Background(), sql).Scan(&v); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return v
}
