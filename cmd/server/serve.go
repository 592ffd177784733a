package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/checks"
	"github.com/neontwin/neontwin/internal/config"
	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/jobs"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/neon"
	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
	"github.com/neontwin/neontwin/internal/webhook"
)

// service is the one place that knows every part.
type service struct {
	cfg     config.Config
	role    config.Role
	log     *slog.Logger
	pool    *pgxpool.Pool
	store   store.Store
	metrics *metrics
	health  *health
	queue   *jobs.Queue    // nil in the web role
	inbox   *jobs.Inserter // what webhooks are handed to
}

// serve runs the service until ctx ends, then stops it in order.
func serve(ctx context.Context, role config.Role, env environment) error {
	cfg, err := config.Load(role, env.getenv, env.readFile)
	if err != nil {
		return err
	}
	log := newLogger(cfg, env.stderr)
	database := cfg.Database.Reveal()
	if database == "" {
		cluster, url, err := embedded(ctx, cfg, log)
		if err != nil {
			return err
		}
		// Last of all: everything else writes to it until it has stopped.
		defer stopEmbedded(ctx, cluster, log)
		ctx = untilExit(ctx, cluster)
		database = url
	}
	pool, err := connect(ctx, database, 20)
	if err != nil {
		return err
	}
	defer closePool(ctx, pool, 5*time.Second, log)
	s := &service{cfg: cfg, role: role, log: log, pool: pool, store: store.New(pool), health: &health{pool: pool, log: log}}
	s.metrics = newMetrics(pool, s.store)
	if err := s.wire(); err != nil { //nolint:contextcheck // it sends nothing
		return err
	}
	return s.run(ctx)
}

// wire makes the parts and puts them together. It sends nothing.
func (s *service) wire() error {
	if s.role == config.RoleWeb {
		inbox, err := jobs.NewInserter(s.pool, s.log)
		s.inbox = inbox
		return err
	}
	app, err := github.New(github.Config{
		AppID: s.cfg.GitHub.AppID, PrivateKey: []byte(s.cfg.GitHub.PrivateKey.Reveal()), BaseURL: s.cfg.GitHub.APIURL,
		WriteSpacing: writeSpacing(s.cfg.GitHub.APIURL), Logger: s.log,
	})
	if err != nil {
		return fmt.Errorf("set up the GitHub App: %w", err)
	}
	s.metrics.budget(app)
	filler, err := refreshService(s.cfg, s.log)
	if err != nil {
		return err
	}
	decider := webhook.NewProcessor(app, policy(s.cfg), s.store, s.store, s.log)
	queue, err := jobs.New(jobs.Config{
		CatchUp: catchUp(s.cfg, app),
		Pool:    s.pool, Logger: s.log,
		Decider:         decider,
		Filler:          s.metrics.observe(permitted{filler, decider.Permit}),
		Cleaner:         filler,
		Reporter:        located{checks.New(app, s.cfg.PublicURL, s.log), branches(s.cfg)},
		SyncConcurrency: s.cfg.SyncConcurrency, Drain: s.cfg.ShutdownDrain, LeaseTTL: s.cfg.LeaseTTL, ProgressEvery: s.cfg.ProgressEvery,
	})
	if err != nil {
		return fmt.Errorf("set up the queue: %w", err)
	}
	s.queue, s.inbox = queue, queue.Inserter
	return nil
}

// catchUp says how what no webhook told is found out.
func catchUp(cfg config.Config, app *github.App) jobs.CatchUp {
	named := make(map[string]bool)
	for _, source := range cfg.Sources {
		for _, name := range source.Repositories {
			named[strings.ToLower(name)] = true
		}
	}
	return jobs.CatchUp{
		Deliveries: app, Truth: app, Watcher: webhook.NewWatcher(app, min(time.Minute, cfg.CatchUpEvery/5)), Acts: webhook.Acts,
		Repositories: slices.Sorted(maps.Keys(named)), Every: cfg.CatchUpEvery,
	}
}

// writeSpacing is the pause that GitHub asks for between two writes. A server
// on this machine is a sandbox and asks for none.
func writeSpacing(api string) time.Duration {
	if u, err := url.Parse(api); err == nil && isLoopback(u.Hostname()) {
		return 0
	}
	return time.Second
}

// policy is what the operator allows, in the words of package webhook.
func policy(cfg config.Config) webhook.Policy {
	p := webhook.Policy{Sources: make(map[string]webhook.Access), Targets: make(map[string]webhook.Access)}
	for name, source := range cfg.Sources {
		p.Sources[name] = webhook.Access{Repositories: source.Repositories, MustMask: source.MustMask, AllowSQL: source.AllowSQL}
	}
	for name, target := range cfg.Targets {
		p.Targets[name] = webhook.Access{Repositories: target.Repositories}
	}
	if t := cfg.EnvTwin; t != nil {
		p.Default = &twin.Spec{Name: t.Name, Source: t.Source, Target: t.Target, Mode: twin.Full}
		p.DefaultRepository = t.Repository
	}
	return p
}

// refreshService resolves the operator's names to addresses.
func refreshService(cfg config.Config, log *slog.Logger) (*refresh.Service, error) {
	s := &refresh.Service{
		Refresher: &refresh.Refresher{ToolsDir: cfg.PostgresBin, Logger: log},
		Sources:   make(map[string]refresh.Source), Targets: make(map[string]refresh.Target),
	}
	for name, source := range cfg.Sources {
		policy, err := privacyPolicy(source)
		if err != nil {
			return nil, fmt.Errorf("read source %s: %w", name, err)
		}
		s.Sources[name] = refresh.Source{Address: source.URL.Reveal(), MaxRate: source.MaxRate, Policy: policy}
	}
	for name, target := range cfg.Targets {
		secret, err := maskKey(cfg, target)
		if err != nil {
			return nil, fmt.Errorf("read target %s: %w", name, err)
		}
		s.Targets[name] = refresh.Target{
			Locate: locator(cfg, target, log), Publish: target.Publish, Adopt: target.Adopt,
			Accept: target.Accept, SourceGrants: target.SourceGrants, Deep: target.VerifyHash, Jobs: target.Jobs,
			MaskKey: secret,
		}
	}
	return s, nil
}

// privacyPolicy is what the operator of a source says of its columns.
func privacyPolicy(source config.Source) (privacy.Policy, error) {
	p := privacy.Policy{Must: source.MustMask, Safe: source.Safe, SafeTypes: source.SafeTypes, Harmless: detect.DefaultRules()}
	for _, text := range source.Safe {
		if _, err := catalog.ParsePattern(text, 3); err != nil {
			return p, fmt.Errorf("safe column %s: %w", text, err)
		}
	}
	if source.Harmless == nil {
		return p, nil
	}
	p.Harmless = nil
	for _, rule := range source.Harmless {
		if !slices.Contains(detect.HarmlessRules(), detect.Harmless(rule)) {
			return p, fmt.Errorf("there is no rule %s for what is harmless; there are %v", rule, detect.HarmlessRules())
		}
		p.Harmless = append(p.Harmless, detect.Harmless(rule))
	}
	return p, nil
}

// maskKey is the key of a target, or the service's; the zero one where there is
// none, with which nothing can be masked.
func maskKey(cfg config.Config, target config.Target) (mask.Secret, error) {
	key := target.MaskKey
	if key.IsZero() {
		key = cfg.MaskKey
	}
	if key.IsZero() {
		return mask.Secret{}, nil
	}
	return mask.ParseSecret(key.Reveal())
}

// locator says how a target's address is found.
func locator(cfg config.Config, target config.Target, log *slog.Logger) func(context.Context) (string, error) {
	if target.Neon == nil {
		return func(context.Context) (string, error) { return target.URL.Reveal(), nil }
	}
	n := target.Neon
	client := neon.New(neon.Config{BaseURL: cfg.NeonAPIURL, APIKey: n.APIKey.Reveal(), Logger: log})
	return func(ctx context.Context) (string, error) {
		return client.DatabaseURL(ctx, n.Project, n.Branch, n.Database, n.Role)
	}
}

// run serves until ctx ends, or a listener fails. Its error is what ended it,
// unless it was told to stop.
func (s *service) run(ctx context.Context) error {
	servers, err := s.listen(ctx)
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "neontwin is listening", slog.String("role", string(s.role)),
		slog.String("addr", servers.publicAddr()), slog.String("admin", servers.adminAddr()))
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	servers.serve(fail)
	s.startQueue(ctx)
	<-ctx.Done()
	s.log.InfoContext(ctx, "stopping: no new work is taken")
	s.health.drain()
	// Webhooks are still taken while jobs end: they are stored for whoever comes.
	lingered := time.After(s.linger())
	var left error
	if s.queue != nil {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownDrain+40*time.Second)
		left = s.queue.Stop(grace)
		cancel()
	}
	<-lingered
	servers.stop(ctx)
	s.log.InfoContext(ctx, "stopped")
	return ended(context.Cause(ctx), left)
}

// errLeft says that the process did not stop in order.
var errLeft = errors.New("jobs did not end in time; their leases run out and others take over")

// ended is the error of a service that has stopped: what ended it, unless it was
// told to stop, and that jobs were left behind.
func ended(cause, left error) error {
	if errors.Is(cause, context.Canceled) {
		cause = nil
	}
	if left != nil {
		left = fmt.Errorf("%w: %w", errLeft, left)
	}
	return errors.Join(cause, left)
}

// linger is how long webhooks are taken after /readyz has said no. A balancer
// notices late, and GitHub doesn't ask twice. On loopback there is none.
func (s *service) linger() time.Duration {
	host, _, err := net.SplitHostPort(s.cfg.ListenAddr)
	if s.role == config.RoleWorker || err == nil && isLoopback(host) {
		return 0
	}
	return min(5*time.Second, s.cfg.ShutdownDrain)
}

// closePool closes a pool, but does not wait for a job that won't let go of its
// connection: the process is about to end.
func closePool(ctx context.Context, pool *pgxpool.Pool, most time.Duration, log *slog.Logger) {
	closed := make(chan struct{})
	go func() { pool.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(most):
		log.WarnContext(ctx, "connections to the control database are left behind")
	}
}

// startQueue waits until the database is up to date, then takes up work. Web
// processes answer meanwhile: not ready, and 503 to webhooks.
func (s *service) startQueue(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		err := s.ready(ctx)
		if err == nil && s.queue != nil {
			// The queue outlives ctx: it is stopped in order.
			err = s.queue.Start(context.WithoutCancel(ctx))
		}
		if err == nil {
			s.health.ready()
			return
		}
		if ctx.Err() != nil {
			return
		}
		s.log.WarnContext(ctx, "waiting for the control database", slog.Any("err", err))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

var errPending = errors.New(`the database is not up to date: run "server migrate"`)

func (s *service) ready(ctx context.Context) error {
	if s.queue != nil || s.cfg.AutoMigrate {
		if err := jobs.Direct(ctx, s.pool); err != nil {
			return err
		}
	}
	if s.cfg.AutoMigrate {
		return jobs.Migrate(ctx, s.pool, s.log)
	}
	pending, err := jobs.Pending(ctx, s.pool)
	if err != nil {
		return err
	}
	if pending {
		return errPending
	}
	return nil
}

// embeddedDatabase is the control database in the private PostgreSQL.
const embeddedDatabase = "neontwin"

// embedded starts the private PostgreSQL of a service without DATABASE_URL.
func embedded(ctx context.Context, cfg config.Config, log *slog.Logger) (*pglocal.Cluster, string, error) {
	dir := filepath.Join(cfg.DataDir, "postgres")
	cluster, err := pglocal.Start(ctx, pglocal.Options{Dir: dir, Bin: cfg.PostgresBin})
	if err != nil {
		return nil, "", fmt.Errorf("DATABASE_URL is not set, and a private PostgreSQL can't be started: %w", err)
	}
	log.InfoContext(ctx, "DATABASE_URL is not set: runs are kept in a private PostgreSQL", slog.String("dir", dir))
	conn, err := pgx.Connect(ctx, cluster.URL("postgres"))
	if err == nil {
		defer conn.Close(ctx)
		var exists bool
		err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", embeddedDatabase).Scan(&exists)
		if err == nil && !exists {
			_, err = conn.Exec(ctx, "CREATE DATABASE "+embeddedDatabase)
		}
	}
	if err != nil {
		stopEmbedded(ctx, cluster, log)
		return nil, "", fmt.Errorf("prepare the private PostgreSQL in %s: %w", dir, err)
	}
	return cluster, cluster.URL(embeddedDatabase), nil
}

func stopEmbedded(ctx context.Context, cluster *pglocal.Cluster, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := cluster.Stop(ctx); err != nil {
		log.WarnContext(ctx, "the private PostgreSQL did not stop in order; it recovers when it starts again", slog.Any("err", err))
	}
}

var errDatabaseEnded = errors.New("the private PostgreSQL has ended, and the service with it")

// untilExit is a context that also ends with the cluster's server.
func untilExit(ctx context.Context, cluster *pglocal.Cluster) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-cluster.Exited():
			cancel(errDatabaseEnded)
		case <-ctx.Done():
			cancel(nil)
		}
	}()
	return ctx
}
