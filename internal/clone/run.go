package clone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/twin"
)

// Env is where a plan is run.
type Env struct {
	// Source and Target are addresses. Target is the empty database to load.
	Source, Target string
	// App is the name of our sessions on both servers.
	App string
	// Snapshot is exported by a session that lives for as long as Run does.
	Snapshot string
	// Jobs is how many tables are copied at once, and how many indexes are
	// built at once beside that. Each copy takes a connection on either side.
	Jobs int
	// MaxRate bounds the bytes a second that are read from the source; 0 is no
	// bound.
	MaxRate int64
	Tracker *Tracker
	// Logger, if set, is told of what had to be tried again.
	Logger *slog.Logger
	// Proof takes what becomes of masked columns; a plan that masks needs one.
	Proof *Proof
	// Between, if set, is put into each table's stream. For tests that damage it.
	Between func(table catalog.Name, w io.Writer) io.WriteCloser
}

// whole is the environment with a logger, if it is one that hears nothing.
func (e Env) whole() Env {
	if e.Logger == nil {
		e.Logger = slog.New(slog.DiscardHandler)
	}
	return e
}

// Error is what stopped a run, and at which object.
type Error struct {
	// Object is the table or definition at hand, as catalog.Name.String or a
	// Statement's What give it.
	Object string
	// Source is set where it happened on the source.
	Source bool
	Err    error
}

// Error says at what and why.
func (e *Error) Error() string { return e.Object + ": " + e.Err.Error() }

// Unwrap gives the server's error.
func (e *Error) Unwrap() error { return e.Err }

// run is one execution of a plan.
type run struct {
	*Plan
	env     Env
	rate    *pgcopy.Rate
	targets pool
	opened  func() // waits for the pool's first sessions
	// ledger makes the ledger with the first note, and is empty then: a round
	// trip of its own would cost a slow link more than the rest of a small schema.
	ledger string
	// notes counts what stands in the target's ledger.
	notes  atomic.Int64
	tables []tableState // by step

	units  []unit
	loads  chan load
	builds chan build
	keys   relater
	// waiting counts the units and foreign keys that are not finished: the last
	// one closes builds. landing counts the loads that have not landed: after
	// the last one the phase is Index.
	waiting, landing atomic.Int64
}

type tableState struct{ rows, bytes, nanos atomic.Int64 }

// Run fills an empty database. When it returns nil, everything of the plan is
// there and committed, but nothing has been verified. It reports a row for
// each step, in the order of the steps.
//
// A connection that is lost on either side costs what was under way on it. If
// the snapshot is lost, or the target forgets what it committed (ErrForgotten),
// the run can't go on.
func (p *Plan) Run(ctx context.Context, env Env) ([]twin.TableReport, error) {
	env.Tracker.update(false, func(now *twin.Progress) {
		*now = twin.Progress{
			Phase: now.Phase, PhaseStarted: now.PhaseStarted,
			TablesTotal: len(p.Steps), RowsTotal: p.Rows(), BytesTotal: p.Bytes(), IndexesTotal: p.Builds(),
		}
	})
	env = env.whole()
	r := &run{Plan: p, env: env, rate: pgcopy.NewRate(env.MaxRate), tables: make([]tableState, len(p.Steps))}
	r.targets.open = func() *session {
		return &session{app: env.App, open: func(ctx context.Context) (*pgx.Conn, error) {
			return pgcopy.Writer(ctx, env.Target, env.App, p.Session, memory(env.Jobs))
		}}
	}
	defer r.targets.close()
	s := r.targets.take()
	r.opened = func() {}
	defer func() { r.opened() }()
	r.group()
	for _, step := range []func(context.Context, *session) error{r.schema, r.rows, r.relate, r.finish, r.settle} {
		if err := step(ctx, s); err != nil {
			return nil, err
		}
	}
	reports := make([]twin.TableReport, len(p.Steps))
	for i := range p.Steps {
		s := &r.tables[i]
		reports[i] = twin.TableReport{
			Table: p.Steps[i].Table.String(), Rows: s.rows.Load(), Bytes: s.bytes.Load(),
			Seconds: time.Duration(s.nanos.Load()).Seconds(),
		}
	}
	return reports, nil
}

func (r *run) schema(ctx context.Context, s *session) error {
	// To connect is still part of the preparation: it takes several round trips,
	// and the schema itself only one or two.
	err := r.again(ctx, "connection", func(int) error {
		_, err := s.get(ctx)
		return err
	})
	if err != nil {
		return &Error{Object: "connection to the target", Err: err}
	}
	r.env.Tracker.Begin(twin.Schema)
	// Over a slow link a session takes as long to open as a schema to apply.
	r.opened = r.targets.warm(ctx, 2*min(max(1, r.env.Jobs), len(r.units)))
	r.ledger = r.openLedger()
	err = r.define(ctx, s, "before", r.Before)
	if err == nil && len(r.Before) == 0 {
		err = r.once(ctx, s, "before", "ledger", "")
	}
	r.ledger = ""
	return err
}

// rows brings all that is content, with what each table needs for itself.
func (r *run) rows(ctx context.Context, _ *session) error {
	r.opened()
	r.env.Tracker.Begin(twin.Load)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.load(ctx) })
	g.Go(func() error { return r.copyLargeObjects(ctx) })
	return g.Wait()
}

// relate makes what needs more than one table.
func (r *run) relate(ctx context.Context, s *session) error {
	if err := r.define(ctx, s, "parents", r.Parents); err != nil {
		return err
	}
	r.env.Tracker.update(true, func(now *twin.Progress) { now.IndexesDone += len(r.Parents) })
	r.env.Tracker.Begin(twin.Relate)
	if err := r.define(ctx, s, "attach", r.Attach); err != nil {
		return err
	}
	return r.define(ctx, s, "after", r.After)
}

// finish sets the sequences, fills the materialized views and gathers the
// statistics that no step did.
func (r *run) finish(ctx context.Context, s *session) error {
	r.env.Tracker.Begin(twin.Finish)
	if err := r.setSequences(ctx, s); err != nil {
		return err
	}
	if err := r.define(ctx, s, "refresh", r.Refresh); err != nil {
		return err
	}
	rest := make([]Statement, len(r.Analyze))
	for i, name := range r.Analyze {
		rest[i] = analyze(name)
	}
	return r.define(ctx, s, "analyze", rest)
}

// settle makes all durable that was committed without waiting: a commit that
// waits for the log waits for everything before it. It looks first whether
// everything is still there.
func (r *run) settle(ctx context.Context, s *session) error {
	err := r.again(ctx, "final commit", func(n int) error {
		conn, err := s.get(ctx)
		if err != nil {
			return err
		}
		var there int64
		err = conn.QueryRow(ctx, "SELECT count(*) FROM neontwin.ledger").Scan(&there)
		var pg *pgconn.PgError
		if n > 1 && errors.As(err, &pg) && pg.Code == "42P01" {
			return nil // the ledger was dropped, by a commit that waited
		}
		if err != nil {
			return err
		}
		if there != r.notes.Load() {
			return fmt.Errorf("%w (%d of %d notes are left)", ErrForgotten, there, r.notes.Load())
		}
		return exec(ctx, conn, "SET synchronous_commit = on;"+dropLedger)
	})
	if err != nil {
		return &Error{Object: "final commit", Err: err}
	}
	return nil
}

// memory gives each of a number of builders its share of what the target's
// settings suggest that it has for such work: an eighth of the cache that it
// believes in, or its shared buffers, or what it lets a single build have. No
// share is above a gigabyte, where sorting gains little more. Builds are
// parallel in themselves as far as there are workers for all builders, who
// work themselves too: more of them only take turns on the same cores.
func memory(builders int) string {
	return fmt.Sprintf(`SELECT pg_catalog.set_config('maintenance_work_mem', greatest(16384, least(1048576, kilobytes / %[1]d))::text, false),
		pg_catalog.set_config('max_parallel_maintenance_workers', least(each, greatest(0, workers / %[1]d - 1))::text, false)
		FROM (SELECT greatest(max(setting::bigint) FILTER (WHERE name = 'effective_cache_size') * 8 / 8,
				max(setting::bigint) FILTER (WHERE name = 'shared_buffers') * 8,
				max(setting::bigint) FILTER (WHERE name = 'maintenance_work_mem')) AS kilobytes,
			max(setting::bigint) FILTER (WHERE name = 'max_parallel_maintenance_workers') AS each,
			max(setting::bigint) FILTER (WHERE name = 'max_parallel_workers') AS workers
			FROM pg_catalog.pg_settings WHERE name IN ('effective_cache_size', 'shared_buffers', 'maintenance_work_mem',
				'max_parallel_maintenance_workers', 'max_parallel_workers')) AS target;`, max(1, builders))
}

func analyze(table catalog.Name) Statement {
	return Statement{What: "statistics of " + table.String(), SQL: "ANALYZE " + table.SQL() + ";"}
}

// exec sends SQL as one message.
func exec(ctx context.Context, conn *pgx.Conn, sql string) error {
	if strings.TrimSpace(sql) == "" {
		return nil
	}
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}
