// Package refresh is the use case of one sync: it looks at both sides, plans,
// loads a generation, verifies it and publishes it, and leaves nothing behind
// when it fails. Until the moment of publishing the Twin serves the generation
// before.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/twin"
)

// Job says what to sync. Its addresses are resolved and hold passwords.
type Job struct {
	Source, Target string
	Mode           twin.Mode
	// Subset says which rows are kept; nil keeps all that Mode does.
	Subset *twin.Subset
	// Masking says what becomes of the columns, nil for a Twin that passes every
	// value on.
	Masking *twin.Masking
	// Policy is what the source's operator says of its columns, MaskKey the
	// secret that stand-ins depend on.
	Policy  privacy.Policy
	MaskKey mask.Secret
	Publish twin.Strategy
	// Adopt allows a target that holds tables but not our mark.
	Adopt bool
	// Jobs is how many tables are copied at once; 0 chooses. MaxRate bounds the
	// bytes a second that are read from the source; 0 is no bound.
	Jobs    int
	MaxRate int64
	// Run and Commit are noted in the generation.
	Run, Commit string
	// Exclusive is set where nothing else of the service can hold the target.
	Exclusive bool
	// Accept are the ids of hazards that the operator has acknowledged: they
	// don't refuse the run.
	Accept []string
	// Deep compares what is in the rows too, not only how many there are.
	Deep bool
	// Grants says where a first generation's grants come from.
	Grants Grants
	// Between, if set, is put into each table's stream. For tests.
	Between func(table catalog.Name, w io.Writer) io.WriteCloser
}

// Grants says where a first generation's grants come from. Later ones take
// over what the generation before has.
type Grants string

// The places that grants come from.
const (
	GrantsNone   Grants = ""       // nobody but the Twin's owner gets anything
	GrantsSource Grants = "source" // the source's, for roles that the target has
)

// firstConnect is for how long a server that does not answer is tried again. A
// suspended compute is awake by then; a wrong port is told soon.
const firstConnect = 8 * time.Second

// servicePrefix starts the names of the service's sessions on both servers;
// commandPrefix those of the command line.
const (
	servicePrefix = "neontwin-run/"
	commandPrefix = "neontwin/"
)

// Refresher syncs Twins.
type Refresher struct {
	// ToolsDir is where pg_dump is; empty means the newest of the machine.
	ToolsDir string
	Logger   *slog.Logger
}

// sync is one sync under way.
type sync struct {
	*Refresher
	Job
	lease twin.Lease
	log   *slog.Logger
	app   string
	track *clone.Tracker

	target *target
	holder *pgcopy.Holder
	source identity
	// public is what the source has for a schema public; a new database always
	// has one. sourceSettings are the source's, for a first generation.
	public         publicSchema
	sourceSettings []setting
	sourceSlots    int // the connections that it has to spare
	schema         *catalog.Schema
	archive        *pgtools.Archive
	tools          pgtools.Tools
	plan           *clone.Plan
	// private says what becomes of the columns, nil where all values pass; proof
	// and scanned are what became of them.
	private  *privacy.Plan
	proof    *clone.Proof
	scanned  map[string]twin.PassedColumn
	hazards  []twin.Hazard
	heritage heritage
	// missingRoles are those of policies that the target lacks; madeRoles were
	// created for this run.
	missingRoles, madeRoles []string
	// newest is the newer server's major version, for a comparison.
	newest int
	// roles are the target's when the run began.
	roles map[string]bool
	// next is the database being loaded, once it exists.
	next string
	// loaded is a connection to it for what comes last; nil if it failed.
	loaded *pgx.Conn
	// cleared is set once the Twin itself has been touched: in place only.
	cleared bool
}

// Sync makes the Twin a fresh copy. It returns nil only after the new
// generation serves. Any error is, or wraps, a *twin.Failure; under the swap
// strategy the Twin then serves what it served before.
func (r *Refresher) Sync(ctx context.Context, job Job, lease twin.Lease) (twin.Report, error) {
	s, err := r.begin(job, lease)
	if err != nil {
		return twin.Report{}, err
	}
	defer s.end()
	began := time.Now()
	report, err := s.run(ctx)
	if err != nil {
		err = s.classify(ctx, err)
		s.cleanUp(ctx)
		return twin.Report{}, err
	}
	report.Seconds = time.Since(began).Seconds()
	return report, nil
}

// Plan says what Sync would do, and changes nothing.
func (r *Refresher) Plan(ctx context.Context, job Job) (*clone.Plan, error) {
	s, err := r.begin(job, idle{})
	if err != nil {
		return nil, err
	}
	defer s.end()
	if _, err := s.ready(ctx); err != nil {
		return nil, s.classify(ctx, err)
	}
	s.plan.Hazards = s.allHazards()
	return s.plan, nil
}

// idle is the lease of somebody who only looks.
type idle struct{}

func (idle) Token() string               { return "plan" }
func (idle) Progress(twin.Progress)      {}
func (idle) Check(context.Context) error { return nil }

func (r *Refresher) begin(job Job, lease twin.Lease) (*sync, error) {
	if job.Mode == "" {
		job.Mode = twin.Full
	}
	if job.Publish == "" {
		job.Publish = twin.Swap
	}
	if err := errors.Join(checkAccept(job.Accept), job.checkSubset(), job.checkMasking()); err != nil {
		return nil, err
	}
	if job.Publish != twin.Swap && job.Publish != twin.InPlace {
		return nil, twin.Refuse(fmt.Sprintf("this version of neontwin can't publish by %s", job.Publish), "use publish: swap")
	}
	prefix := commandPrefix
	if job.Exclusive {
		prefix = servicePrefix
	}
	s := &sync{Refresher: r, Job: job, lease: lease, app: prefix + lease.Token(), track: clone.NewTracker(lease.Progress)}
	s.log = r.Logger.With(slog.String("token", lease.Token()))
	return s, nil
}

// end lets go of both servers.
func (s *sync) end() {
	if s.holder != nil {
		s.holder.Close()
	}
	pgcopy.Close(s.loaded)
	if s.target != nil {
		s.target.close()
	}
}

func (s *sync) run(ctx context.Context) (twin.Report, error) {
	reading, err := s.ready(ctx)
	if err != nil {
		return twin.Report{}, err
	}
	tables, verified, err := s.fill(ctx, reading)
	if err != nil {
		return twin.Report{}, err
	}
	masking, err := s.prove(s.proof, s.scanned)
	if err != nil {
		return twin.Report{}, err
	}
	if masking != nil {
		verified = append(verified, masking.Proven())
	}
	snapshot := s.holder.Snapshot
	publishedAt, err := s.publish(ctx, snapshot)
	if err != nil {
		return twin.Report{}, err
	}
	return twin.Report{
		Run: s.lease.Token(), Mode: s.Mode, Publish: s.Publish, Database: s.target.name,
		SnapshotAt: snapshot.At, SnapshotLSN: snapshot.LSN, PublishedAt: publishedAt,
		Tables: tables, Selections: s.plan.Selections, Masking: masking, Phases: s.track.Finish(), Hazards: s.allHazards(), Verified: verified,
	}, nil
}

// load fills the new generation and verifies it, while the target is held.
func (s *sync) load(reading context.Context, env clone.Env) ([]twin.TableReport, []string, error) {
	held, letGo := s.target.keep(reading, s.loading(), s.lease.Token())
	defer letGo()
	tables, err := s.plan.Run(held, env)
	if err != nil {
		return nil, nil, s.whyEnded(held, err)
	}
	var verified []string
	g, both := errgroup.WithContext(held)
	g.Go(func() (err error) { verified, err = s.plan.Verify(both, env, s.Deep); return err })
	g.Go(func() error { return s.inheritBeside(both) })
	g.Go(func() error { // what fails is tried again when it is needed
		pgcopy.Close(s.loaded)
		s.loaded, _ = s.connectLoaded(both)
		return nil
	})
	var notes []twin.Hazard
	g.Go(func() (err error) { s.scanned, notes, err = s.scan(both, env.Target); return err })
	if err := g.Wait(); err != nil {
		return nil, nil, s.whyEnded(held, err)
	}
	s.hazards = append(s.hazards, notes...)
	return tables, verified, nil
}

// whyEnded prefers the reason for which the snapshot ended to what its end did
// to whoever was reading. Who reads may notice first that it is gone.
func (s *sync) whyEnded(reading context.Context, err error) error {
	if cause := context.Cause(reading); cause != nil && !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	if lost := s.release(reading); lost != nil {
		return fmt.Errorf("%w: %w", lost, err)
	}
	return err
}

// release lets go of the source, which must have been held until now.
func (s *sync) release(ctx context.Context) error {
	if err := s.holder.Release(ctx); err != nil {
		return &sourceError{"hold the snapshot until all was read", err}
	}
	return nil
}

// preflight looks at both sides and makes the plan. It holds the target and
// the source's snapshot when it returns, and has changed nothing. The context
// it gives ends with the snapshot.
func (s *sync) preflight(ctx context.Context) (context.Context, error) {
	s.track.Begin(twin.Preflight)
	for side, address := range map[string]string{"source": s.Source, "target": s.Job.Target} {
		if err := checkAddress(side, address); err != nil {
			return nil, err
		}
	}
	var standby bool
	var looking errgroup.Group
	looking.Go(func() (err error) { standby, err = s.lookAtSource(ctx); return err })
	var err error
	s.target, err = openTarget(ctx, s.Job.Target, s.app, s.Exclusive, s.lease.Check)
	// Where both fail, it is always the target's error that is told.
	if looked := looking.Wait(); err == nil {
		err = looked
	}
	if err != nil {
		return nil, err
	}
	if s.source.System == s.target.system && s.source.Database == s.target.name {
		return nil, twin.Refuse("the target is the source itself", "name another database as the target; a sync would replace production")
	}
	if !s.target.before.ours() && !s.Adopt {
		return nil, twin.Refuse(
			fmt.Sprintf("the database %s holds %d tables, views or sequences and was not made by neontwin", catalog.Ident(s.target.name), s.target.before.Relations),
			"a sync would replace it: name another database, or allow it with --adopt (adopt: true for a target in the operator's file)")
	}
	return s.hold(ctx, standby)
}

// hold takes the snapshot and makes the plan.
func (s *sync) hold(ctx context.Context, standby bool) (context.Context, error) {
	holder, reading, err := pgcopy.Hold(ctx, s.Source, s.app, lockable, 30*time.Second)
	if err != nil {
		return nil, &sourceError{"take a snapshot of the source", err}
	}
	s.holder = holder
	if err := s.makePlan(reading, standby); err != nil {
		return nil, s.whyEnded(reading, err)
	}
	return reading, nil
}

func (s *sync) makePlan(ctx context.Context, standby bool) error {
	conn, err := pgcopy.Reader(ctx, s.Source, s.app, s.holder.Snapshot.ID)
	if err != nil {
		return &sourceError{"connect to the source", err}
	}
	defer pgcopy.Close(conn)
	var on clone.Target
	var slots int
	looks, looking := errgroup.WithContext(ctx)
	looks.Go(func() (err error) {
		on, slots, err = s.target.describe(looking, s.Publish == twin.InPlace)
		return err
	})
	looks.Go(func() (err error) {
		if s.schema, err = catalog.Read(looking, conn); err != nil {
			return &sourceError{"read the source's catalog", err}
		}
		return nil
	})
	if err := looks.Wait(); err != nil {
		return err
	}
	if s.Jobs <= 0 {
		s.Jobs = jobsFor(runtime.GOMAXPROCS(0), s.sourceSlots, slots)
	}
	s.roles = on.Roles
	s.missingRoles = clone.MissingRoles(s.schema, on)
	options := clone.Options{Mode: s.Mode, Jobs: s.Jobs, Standby: standby}
	// One table that can't be read makes pg_dump fail as a whole, with a worse
	// message than ours.
	if refused := clone.Refusing(clone.Accept(clone.Check(s.schema, on, options), s.Accept)); len(refused) > 0 {
		return refusal(refused)
	}
	need := s.schema.ServerVersion
	if s.target.before.Exists { // what it hands over is read from its dump
		need = max(need, s.target.server)
	}
	if s.tools, err = pgtools.Find(ctx, need/10000, s.ToolsDir); err != nil {
		return err
	}
	rows, err := s.planSubset()
	if err != nil {
		return err
	}
	if s.private, err = s.decide(ctx, conn, rows); err != nil {
		return err
	}
	options.Privacy = s.private
	g, both := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		s.archive, err = s.tools.Dump(both, withApp(s.Source, s.app), pgtools.DumpOptions{Snapshot: s.holder.Snapshot.ID, ExcludeSchemas: []string{markSchema}, ACL: s.firstGrants(), Encoding: dumpEncoding(s.schema.Database)})
		return err
	})
	g.Go(func() (err error) { options.Rows, err = s.choose(both, rows); return err })
	if err := g.Wait(); err != nil {
		return err
	}
	if s.plan, err = clone.New(s.schema, s.archive, on, options); err != nil {
		return err
	}
	if s.private != nil || s.Policy.Must {
		s.plan.Hazards = append(append(s.plan.Hazards, s.withhold()...), s.literals()...)
	}
	if major := s.target.server / 10000; s.tools.Major < major {
		s.plan.Hazards = append(s.plan.Hazards, twin.Hazard{
			ID: HazardClient, Message: fmt.Sprintf("pg_dump %d can make a first generation on PostgreSQL %d, but not read it when it is refreshed: install postgresql-client-%d", s.tools.Major, major, major),
		})
	}
	return nil
}

// HazardClient says that the Twin can be made but not be made again.
const HazardClient = "client_older_than_target"

// firstGrants reports whether the source's grants are wanted.
func (s *sync) firstGrants() bool { return s.Grants == GrantsSource && !s.target.before.Exists }

// lookAtSource identifies the source.
func (s *sync) lookAtSource(ctx context.Context) (standby bool, err error) {
	conn, err := pgcopy.Connect(ctx, s.Source, s.app, firstConnect)
	if err != nil {
		return false, &sourceError{"connect to the source", err}
	}
	defer pgcopy.Close(conn)
	err = conn.QueryRow(ctx, `SELECT system_identifier::text, current_database(), pg_is_in_recovery(),
		EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'public'),
		coalesce((SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'public'), '') FROM pg_control_system()`).
		Scan(&s.source.System, &s.source.Database, &standby, &s.public.exists, &s.public.comment)
	if err == nil {
		s.sourceSettings, err = settings(ctx, conn, s.source.Database, false)
	}
	if err == nil {
		err = conn.QueryRow(ctx, freeSlots).Scan(&s.sourceSlots)
	}
	if err != nil {
		return false, &sourceError{"identify the source", err}
	}
	return standby, nil
}

// lockable names what is read, for the holder to lock.
func lockable(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	names, err := catalog.Lockable(ctx, conn)
	if err != nil {
		return nil, err
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = n.SQL()
	}
	return quoted, nil
}
