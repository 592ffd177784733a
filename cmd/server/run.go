package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/term"

	"github.com/neontwin/neontwin/internal/config"
	"github.com/neontwin/neontwin/internal/jobs"
)

// environment is what the program is given by its surroundings.
type environment struct {
	getenv         func(string) string
	readFile       func(string) ([]byte, error)
	stdout, stderr io.Writer
}

// commandLine is what the command takes. Everything else is in the environment.
type commandLine struct {
	Version kong.VersionFlag `help:"Print the version and end."`

	Serve struct {
		Role string `help:"Which part to run: web takes webhooks and serves pages, worker does the jobs, all is both and may bring its own database." enum:"web,worker,all" default:"all"`
	} `cmd:"" help:"Run the service."`
	Migrate struct{} `cmd:"" help:"Bring the control database up to date."`
	Status  struct{} `cmd:"" help:"Print all Twins, what they serve and what they do, and the queue."`
	Runs    struct {
		Limit int `help:"How many of the newest runs to print." default:"20"`
	} `cmd:"" help:"Print the newest runs."`
	Cancel struct {
		Run int64 `arg:"" help:"The run's number, as \"server runs\" prints it."`
	} `cmd:"" help:"End a run that waits or works; refused once it publishes."`
	Rerun struct {
		Run int64 `arg:"" help:"The run's number, as \"server runs\" prints it."`
	} `cmd:"" help:"Sync a run's Twin again, from the newest commit of its branch, and report where the run was reported."`
	Release struct {
		Target string `arg:"" help:"The target's name in the operator's file."`
	} `cmd:"" help:"Make the Twin that holds a target let go of it, for another Twin to take; refused while a run fills it."`
	Healthcheck struct{} `cmd:"" help:"Ask a running service on this machine whether it lives; for containers."`
}

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // wrong flags or configuration
)

// run is the program.
func run(ctx context.Context, args []string, env environment) int {
	var cl commandLine
	exited := -1
	parser, err := kong.New(&cl, kong.Name("server"), kong.Writers(env.stdout, env.stderr),
		kong.Description("neontwin: keeps Neon Twins of production Postgres databases in sync with GitHub."),
		kong.Vars{"version": version}, kong.Exit(func(code int) { exited = code }))
	if err != nil {
		fmt.Fprintln(env.stderr, "server:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // help was printed
		return exited
	}
	if err != nil {
		fmt.Fprintf(env.stderr, "server: %v\nRun \"server --help\" for what it takes.\n", err)
		return exitUsage
	}
	switch parsed.Command() {
	case "migrate":
		err = migrate(ctx, env)
	case "status":
		err = showStatus(ctx, env)
	case "runs":
		err = showRuns(ctx, env, cl.Runs.Limit)
	case "cancel <run>":
		err = cancelRun(ctx, env, cl.Cancel.Run)
	case "rerun <run>":
		err = rerun(ctx, env, cl.Rerun.Run)
	case "release <target>":
		err = releaseTarget(ctx, env, cl.Release.Target)
	case "healthcheck":
		err = healthcheck(ctx, env)
	default:
		err = serve(ctx, config.Role(cl.Serve.Role), env)
	}
	var wrong *config.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		fmt.Fprintf(env.stderr, "server: %v\n", wrong)
		return exitUsage
	default:
		fmt.Fprintf(env.stderr, "server: %v\n", err)
		return exitFailed
	}
}

func migrate(ctx context.Context, env environment) error {
	cfg, err := config.Load(config.RoleMigrate, env.getenv, env.readFile)
	if err != nil {
		return err
	}
	pool, err := connect(ctx, cfg.Database.Reveal(), 2)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := jobs.Direct(ctx, pool); err != nil {
		return err
	}
	return jobs.Migrate(ctx, pool, newLogger(cfg, env.stderr))
}

// healthcheck asks the admin listener, which every role has.
func healthcheck(ctx context.Context, env environment) error {
	addr := env.getenv("ADMIN_ADDR")
	if addr == "" {
		addr = config.DefaultAdminAddr
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("ADMIN_ADDR is no host:port: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/livez", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the service does not answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the service answers %s", res.Status)
	}
	return nil
}

// connect makes a pool. It sends nothing yet: a database that is down is met
// later, by whoever needs it.
func connect(ctx context.Context, url string, most int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("DATABASE_URL can't be read; it is not repeated here because it holds a password")
	}
	cfg.MaxConns = most
	cfg.ConnConfig.RuntimeParams["application_name"] = "neontwin-control"
	// A process that is stopped in the middle of a transaction, a machine that
	// sleeps say, must not lock everybody else out for as long.
	cfg.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = controlIdle
	return pgxpool.NewWithConfig(ctx, cfg)
}

// controlIdle is how long a transaction on the control database may do nothing,
// in milliseconds. None of ours waits for anything but the database.
const controlIdle = "10000"

// newLogger logs as text to a person and as JSON to a machine.
func newLogger(cfg config.Config, w io.Writer) *slog.Logger {
	format := cfg.LogFormat
	if format == "" {
		format = "json"
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			format = "text"
		}
	}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(slog.NewJSONHandler(w, nil))
}
