package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/neontwin/neontwin/internal/githubtest"
	"github.com/neontwin/neontwin/internal/neontest"
	"github.com/neontwin/neontwin/internal/pglocal"
)

// What stands in the sandbox.
const (
	repository = "acme/shop"
	twinName   = "staging"
	database   = "shop"
	reader     = "neontwin_reader"
)

//go:embed shop.sql
var shop string

// files are what the repository holds before anything is proposed.
var files = map[string]string{
	"README.md": "# The shop\n\nMigrations are in `db/migrations`.\n",
	".github/neon-twin.yml": `version: 1
twins:
  staging:
    source: prod
    target: shop-twin
    on:
      pull_request: {branches: [main], paths: ["db/migrations/**"]}
      push: {branches: [main], paths: ["db/migrations/**"]}
    mode: full
`,
	"db/migrations/0001_schema_migrations.sql": "CREATE TABLE schema_migrations (version text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());\n",
}

// operator is the operator's file. Its secrets come from the environment.
const operator = `sources:
  prod:
    url: ${PROD_DATABASE_URL}
    repositories: [acme/shop]
targets:
  shop-twin:
    neon: {api_key: "${NEON_API_KEY}", project: %s, branch: twin, database: shop}
    repositories: [acme/shop]
`

// world is everything that runs.
type world struct {
	dir        string
	keep       bool
	production *pglocal.Cluster
	neon       *neontest.Server
	twinBranch neontest.Branch
	github     *githubtest.Server
	panel      *panel
	server     *exec.Cmd
	serverURL  string
	// serverEnded is closed once the server has ended; serverErr says how.
	serverEnded chan struct{}
	serverErr   error
}

// build starts all parts, those that don't need each other at the same time.
// What has been started stands in the world also when it fails.
func build(ctx context.Context, cl commandLine, progress io.Writer) (*world, error) {
	w := &world{keep: cl.Keep, serverEnded: make(chan struct{})}
	var err error
	if w.dir, err = pglocal.Scratch("neontwin-sandbox-"); err != nil {
		return w, err
	}
	fmt.Fprintln(progress, "Starting production with a shop in it, a Neon and a GitHub, and building the server ...")
	var binary string
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.startProduction(gctx) })
	g.Go(func() error { return w.startNeon(gctx) })
	g.Go(func() (err error) { binary, err = w.buildServer(gctx); return err })
	if err := g.Wait(); err != nil {
		return w, err
	}
	if w.panel, err = newPanel(ctx, w); err != nil {
		return w, err
	}
	if err := w.startGitHub(ctx, cl.Addr); err != nil {
		return w, err
	}
	return w, w.startServer(ctx, binary)
}

// startProduction fills a database and makes the role that the service reads
// it with: no superuser, and it can't write.
func (w *world) startProduction(ctx context.Context) error {
	var err error
	w.production, err = pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(w.dir, "production"), Volatile: true})
	if err != nil {
		return fmt.Errorf("start production: %w", err)
	}
	if err := execute(ctx, w.production.URL("postgres"), "CREATE DATABASE "+database); err != nil {
		return err
	}
	sql := shop + files["db/migrations/0001_schema_migrations.sql"] + "INSERT INTO schema_migrations VALUES ('0001');" +
		fmt.Sprintf("CREATE ROLE %[1]s LOGIN PASSWORD '%[1]s'; GRANT pg_read_all_data TO %[1]s;", reader)
	if err := execute(ctx, w.production.URL(database), sql); err != nil {
		return fmt.Errorf("fill production: %w", err)
	}
	return nil
}

// startNeon makes a project whose branch twin will hold the Twin.
func (w *world) startNeon(ctx context.Context) error {
	var err error
	if w.neon, err = neontest.Start(ctx, neontest.Options{Dir: filepath.Join(w.dir, "neon")}); err != nil {
		return fmt.Errorf("start Neon: %w", err)
	}
	project, err := w.neon.CreateProject(ctx, "shop")
	if err == nil {
		w.twinBranch, err = w.neon.CreateBranch(ctx, project.ID, project.RootBranchID, "twin")
	}
	if err != nil {
		return fmt.Errorf("make a Neon project: %w", err)
	}
	return nil
}

func (w *world) startGitHub(ctx context.Context, addr string) error {
	var err error
	w.github, err = githubtest.Start(ctx, githubtest.Options{Addr: addr, Panel: w.panel.show, Propose: propose, Deploy: w.deploy})
	if err != nil {
		return fmt.Errorf("start GitHub: %w", err)
	}
	if _, err = w.github.CreateRepository(githubtest.NewRepository{FullName: repository, Files: files}); err == nil {
		_, err = w.github.Install("acme")
	}
	if err == nil {
		// Whoever presses a button here, Re-run too.
		err = w.github.SetRole(repository, "octocat", "write")
	}
	if err == nil {
		_, err = w.github.Propose(repository)
	}
	if err != nil {
		return fmt.Errorf("fill GitHub: %w", err)
	}
	return nil
}

// propose is the n-th change that the page offers: a migration that nobody's
// lock has to wait for.
func propose(n int) (title string, files map[string]string) {
	version := fmt.Sprintf("%04d", n+1)
	return fmt.Sprintf("Remember wishes of customers, part %d", n), map[string]string{
		"db/migrations/" + version + "_wishes.sql": fmt.Sprintf(`CREATE TABLE wishes_%[1]d (
	customer_id bigint NOT NULL REFERENCES customers,
	product_id uuid NOT NULL REFERENCES products,
	wished_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (customer_id, product_id)
);
INSERT INTO wishes_%[1]d (customer_id, product_id) SELECT id, md5('product' || 1 + id %% 2000)::uuid FROM customers WHERE id %% 10 = %[1]d %% 10;
INSERT INTO schema_migrations (version) VALUES ('%[2]s');
`, n, version),
	}
}

// deploy is the team's own deploy: it brings a merged migration to production.
func (w *world) deploy(_ string, changed map[string]string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for path, sql := range changed {
		if strings.HasPrefix(path, "db/migrations/") {
			if err := execute(ctx, w.production.URL(database), sql); err != nil {
				w.panel.trouble(fmt.Sprintf("deploy of %s: %v", path, err))
			}
		}
	}
}

// buildServer compiles the real server: the sandbox kills and starts it as
// what it is, a process.
func (w *world) buildServer(ctx context.Context) (string, error) {
	binary := filepath.Join(w.dir, "server")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/neontwin/neontwin/cmd/server")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server (run the sandbox inside the repository): %w\n%s", err, out)
	}
	return binary, nil
}

func (w *world) serverLog() string { return filepath.Join(w.dir, "server.log") }

// startServer runs the service as an operator would: with an environment, a
// key file and the operator's file. It has no DATABASE_URL and so brings a
// PostgreSQL of its own.
func (w *world) startServer(ctx context.Context, binary string) error {
	env, err := w.environment()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(w.serverLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// Not bound to ctx: it is asked to stop in order.
	w.server = exec.Command(binary, "serve", "--role=all") //nolint:noctx // see above
	w.server.Env, w.server.Stdout, w.server.Stderr = env, log, log
	w.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	if err := w.server.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	go func() { w.serverErr = w.server.Wait(); close(w.serverEnded) }()
	if err := w.awaitReady(ctx); err != nil {
		return err
	}
	return w.github.SetWebhookURL(w.serverURL + "/webhooks/github")
}

func (w *world) environment() ([]string, error) {
	app := w.github.App()
	key, conf := filepath.Join(w.dir, "app.pem"), filepath.Join(w.dir, "neontwin.yml")
	err := errors.Join(
		os.WriteFile(key, app.PrivateKeyPEM, 0o600),
		os.WriteFile(conf, fmt.Appendf(nil, operator, w.twinBranch.ProjectID), 0o600))
	if err != nil {
		return nil, err
	}
	port, err := pglocal.FreePort()
	if err != nil {
		return nil, err
	}
	admin, err := pglocal.FreePort()
	if err != nil {
		return nil, err
	}
	w.serverURL = fmt.Sprintf("http://127.0.0.1:%d", port)
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "NEONTWIN_DATA_DIR=" + filepath.Join(w.dir, "neontwin"),
		"NEONTWIN_CONFIG=" + conf,
		"PROD_DATABASE_URL=" + w.production.URLFor(reader, reader, database),
		"NEON_API_URL=" + w.neon.URL(), "NEON_API_KEY=" + w.neon.APIKey(),
		"GITHUB_API_URL=" + w.github.URL(), fmt.Sprintf("GITHUB_APP_ID=%d", app.ID),
		"GITHUB_PRIVATE_KEY_FILE=" + key, "GITHUB_WEBHOOK_SECRET=" + app.WebhookSecret,
		fmt.Sprintf("LISTEN_ADDR=127.0.0.1:%d", port), fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin), "PUBLIC_URL=" + w.serverURL,
		"LOG_FORMAT=text", "SHUTDOWN_DRAIN=2s", "LEASE_TTL=10s", "PROGRESS_EVERY=1s",
	}, nil
}

func (w *world) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.serverURL+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-w.serverEnded:
			return fmt.Errorf("the server ended at once: %w", w.serverErr)
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// twinURL is the Twin's address with the role that developers use.
func (w *world) twinURL(ctx context.Context) (string, error) {
	u := w.neon.URL() + "/projects/" + w.twinBranch.ProjectID + "/connection_uri?database_name=neondb&role_name=neondb_owner&branch_id=" + w.twinBranch.ID
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+w.neon.APIKey())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var body struct{ URI string }
	if err := decode(res, &body); err != nil {
		return "", fmt.Errorf("ask Neon for the Twin's address: %w", err)
	}
	address, err := url.Parse(body.URI)
	if err != nil {
		return "", err
	}
	address.Path = "/" + database
	return address.String(), nil
}

// close ends everything in order: the server first.
func (w *world) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 40*time.Second)
	defer cancel()
	if w.server != nil && w.server.Process != nil {
		_ = w.server.Process.Signal(syscall.SIGTERM)
		select {
		case <-w.serverEnded:
		case <-time.After(15 * time.Second):
			_ = w.server.Process.Kill()
		}
	}
	if w.github != nil {
		_ = w.github.Close()
	}
	if w.panel != nil {
		w.panel.close()
	}
	if w.neon != nil {
		_ = w.neon.Close(ctx)
	}
	if w.production != nil {
		_ = w.production.Kill(ctx)
	}
	if !w.keep && w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
}

// lastWords is the end of the server's log, for somebody who sees it fail.
func (w *world) lastWords() string {
	b, err := os.ReadFile(w.serverLog())
	if err != nil || len(b) == 0 {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return "The server's last words:\n" + string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n"))) + "\n"
}

// execute runs statements in one message.
func execute(ctx context.Context, address, sql string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}
