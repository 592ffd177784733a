package clone

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
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
	Jobs    int
	Tracker *Tracker
	// Between, if set, is put into each table's stream. For tests that damage it.
	Between func(table catalog.Name, w io.Writer) io.WriteCloser
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

// maxBatch is how many definitions go into one message. A message is one
// transaction and locks all that it makes: a larger one overflows the lock
// table of a server with default settings.
const maxBatch = 1000

// Run fills an empty database. When it returns nil, everything of the plan is
// there and committed, but nothing has been verified. It reports a row for
// each step, in the order of the steps.
func (p *Plan) Run(ctx context.Context, env Env) ([]twin.TableReport, error) {
	env.Tracker.update(false, func(now *twin.Progress) {
		now.TablesTotal, now.RowsTotal, now.BytesTotal, now.IndexesTotal = len(p.Steps), p.Rows(), p.Bytes(), p.Builds()
	})
	env.Tracker.Begin(twin.Schema)
	if err := p.define(ctx, env, p.Before); err != nil {
		return nil, err
	}
	env.Tracker.Begin(twin.Load)
	r := &run{Plan: p, env: env, tables: make([]tableState, len(p.Steps))}
	loading, lctx := errgroup.WithContext(ctx)
	loading.Go(func() error { return r.load(lctx) })
	loading.Go(func() error { return p.copyLargeObjects(lctx, env) })
	if err := loading.Wait(); err != nil {
		return nil, err
	}
	if err := p.define(ctx, env, p.Parents); err != nil {
		return nil, err
	}
	env.Tracker.update(true, func(now *twin.Progress) { now.IndexesDone += len(p.Parents) })
	env.Tracker.Begin(twin.Relate)
	for _, fk := range p.ForeignKeys {
		if err := p.define(ctx, env, []Statement{fk}); err != nil {
			return nil, err
		}
	}
	if err := p.define(ctx, env, p.After); err != nil {
		return nil, err
	}
	env.Tracker.Begin(twin.Finish)
	if err := p.finish(ctx, env); err != nil {
		return nil, err
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

// define makes definitions on a connection of its own, because they leave
// settings behind.
func (p *Plan) define(ctx context.Context, env Env, statements []Statement) error {
	if len(statements) == 0 {
		return nil
	}
	conn, err := pgcopy.Writer(ctx, env.Target, env.App)
	if err != nil {
		return &Error{Object: "connection to the target", Err: err}
	}
	defer closeConn(conn)
	if err := exec(ctx, conn, p.Session); err != nil {
		return &Error{Object: "session settings", Err: err}
	}
	for batch := range slices.Chunk(statements, maxBatch) {
		var b strings.Builder
		for _, s := range batch {
			b.WriteString(s.SQL)
			b.WriteString("\n")
		}
		err := exec(ctx, conn, b.String())
		if err == nil {
			continue
		}
		if len(batch) == 1 || ctx.Err() != nil {
			return &Error{Object: batch[0].What, Err: err}
		}
		// The message was one transaction and left nothing behind. One by one,
		// the statement that fails has a name; and what only failed for the
		// size of the message succeeds.
		for _, s := range batch {
			if err := exec(ctx, conn, s.SQL); err != nil {
				return &Error{Object: s.What, Err: err}
			}
		}
	}
	return nil
}

// run is one execution of a plan's steps.
type run struct {
	*Plan
	env    Env
	tables []tableState // by step

	parts  chan part
	builds chan build
	// waiting counts the steps that are not finished: the last one closes builds.
	waiting atomic.Int64
	// landing counts the parts that have not landed: after the last one the
	// phase is Index.
	landing atomic.Int64
}

type tableState struct {
	rows, bytes, nanos atomic.Int64
	parts, indexes     atomic.Int64 // still to do
}

type part struct {
	step int
	Part
}

// build is some work on a table that has its rows: its keys, one index, or
// its statistics once those are there.
type build struct {
	step       int
	statements []Statement
	kind       buildKind
}

type buildKind int

const (
	buildKeys buildKind = iota
	buildIndex
	buildStatistics
)

// load copies all parts, the largest tables first, and builds a table's keys
// and indexes as soon as its last part has landed.
func (r *run) load(ctx context.Context) error {
	nParts, nBuilds := 0, 0
	for i := range r.Steps {
		nParts += len(r.Steps[i].Parts)
		nBuilds += len(r.Steps[i].Indexes) + 2
	}
	// Both queues have room for everything, so no worker ever waits to put.
	r.parts, r.builds = make(chan part, nParts), make(chan build, nBuilds)
	for i := range r.Steps {
		s := &r.Steps[i]
		r.tables[i].parts.Store(int64(len(s.Parts)))
		r.tables[i].indexes.Store(int64(len(s.Indexes)))
		for _, pt := range s.Parts {
			r.parts <- part{i, pt}
		}
	}
	close(r.parts)
	r.waiting.Store(int64(len(r.Steps)))
	r.landing.Store(int64(nParts))
	if len(r.Steps) == 0 {
		close(r.builds)
	}
	g, ctx := errgroup.WithContext(ctx)
	for range max(1, min(r.env.Jobs, nParts)) {
		g.Go(func() error { return r.copier(ctx) })
	}
	for range max(1, min(r.env.Jobs, nBuilds)) {
		g.Go(func() error { return r.builder(ctx) })
	}
	return g.Wait()
}

// copier takes parts until there are none left.
func (r *run) copier(ctx context.Context) error {
	var source, target *pgx.Conn
	defer func() { closeConn(source); closeConn(target) }()
	for pt := range r.parts {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		var err error
		if source == nil {
			if source, err = pgcopy.Reader(ctx, r.env.Source, r.env.App, r.env.Snapshot); err != nil {
				return &Error{Object: "connection to the source", Source: true, Err: err}
			}
			if target, err = pgcopy.Writer(ctx, r.env.Target, r.env.App); err != nil {
				return &Error{Object: "connection to the target", Err: err}
			}
		}
		if err := r.copyPart(ctx, source, target, pt); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) copyPart(ctx context.Context, source, target *pgx.Conn, pt part) error {
	step, state := &r.Steps[pt.step], &r.tables[pt.step]
	name := step.Table.String()
	began := time.Now()
	stream := pgcopy.Stream{From: step.out(pt.Part), To: step.in(), Moved: func(n int) {
		r.env.Tracker.update(false, func(now *twin.Progress) { now.BytesDone += int64(n); now.Table = name })
	}}
	if r.env.Between != nil {
		stream.Between = func(w io.Writer) io.WriteCloser { return r.env.Between(step.Table, w) }
	}
	moved, err := pgcopy.Copy(ctx, source.PgConn(), target.PgConn(), stream)
	if err != nil {
		return &Error{Object: name, Source: fromSource(err), Err: err}
	}
	state.rows.Add(moved.Rows)
	state.bytes.Add(moved.Bytes)
	state.nanos.Add(int64(time.Since(began)))
	last := state.parts.Add(-1) == 0
	r.env.Tracker.update(last, func(now *twin.Progress) {
		now.RowsDone += moved.Rows
		// What has landed is known by its size on the wire, which is what
		// BytesDone counts; only the rest is still an estimate.
		now.BytesTotal += moved.Bytes - step.share(pt.Part)
		if last {
			now.TablesDone++
		}
	})
	if last {
		r.builds <- build{step: pt.step, kind: buildKeys, statements: step.Keys}
	}
	if r.landing.Add(-1) == 0 {
		r.env.Tracker.Begin(twin.Index)
	}
	return nil
}

// builder takes builds until all steps are finished.
func (r *run) builder(ctx context.Context) error {
	var conn *pgx.Conn
	defer func() { closeConn(conn) }()
	for {
		var b build
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case next, ok := <-r.builds:
			if !ok {
				return nil
			}
			b = next
		}
		if conn == nil {
			var err error
			if conn, err = pgcopy.Writer(ctx, r.env.Target, r.env.App); err != nil {
				return &Error{Object: "connection to the target", Err: err}
			}
			if err := exec(ctx, conn, r.Session); err != nil {
				return &Error{Object: "session settings", Err: err}
			}
		}
		for _, s := range b.statements {
			if err := exec(ctx, conn, s.SQL); err != nil {
				return &Error{Object: s.What, Err: err}
			}
			if b.kind != buildStatistics {
				r.env.Tracker.update(true, func(now *twin.Progress) { now.IndexesDone++ })
			}
		}
		r.built(b)
	}
}

// built queues what comes after b.
func (r *run) built(b build) {
	step, state := &r.Steps[b.step], &r.tables[b.step]
	statistics := build{step: b.step, kind: buildStatistics, statements: []Statement{analyze(step.Table)}}
	switch b.kind {
	case buildKeys:
		for _, s := range step.Indexes {
			r.builds <- build{step: b.step, kind: buildIndex, statements: []Statement{s}}
		}
		if len(step.Indexes) == 0 {
			r.builds <- statistics
		}
	case buildIndex:
		if state.indexes.Add(-1) == 0 {
			r.builds <- statistics
		}
	case buildStatistics:
		if r.waiting.Add(-1) == 0 {
			close(r.builds)
		}
	}
}

func analyze(table catalog.Name) Statement {
	return Statement{What: "statistics of " + table.String(), SQL: "ANALYZE " + table.SQL()}
}

// finish sets the sequences, fills the materialized views and gathers the
// statistics that no step did.
func (p *Plan) finish(ctx context.Context, env Env) error {
	if err := p.setSequences(ctx, env); err != nil {
		return err
	}
	for _, s := range p.Refresh {
		if err := p.define(ctx, env, []Statement{s}); err != nil {
			return err
		}
	}
	rest := make([]Statement, len(p.Analyze))
	for i, name := range p.Analyze {
		rest[i] = analyze(name)
	}
	if err := p.define(ctx, env, rest); err != nil {
		return err
	}
	return p.flush(ctx, env)
}

// flush makes all that was committed without waiting durable: a commit that
// waits for the log waits for everything before it.
func (p *Plan) flush(ctx context.Context, env Env) error {
	conn, err := pgcopy.Connect(ctx, env.Target, env.App, 15*time.Second)
	if err != nil {
		return &Error{Object: "connection to the target", Err: err}
	}
	defer closeConn(conn)
	err = exec(ctx, conn, "SET synchronous_commit = on; BEGIN; SELECT pg_catalog.pg_current_xact_id(); COMMIT")
	if err != nil {
		return &Error{Object: "final commit", Err: err}
	}
	return nil
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

// closeConn closes a session, also one that was never opened, without waiting
// for long. A server notices a closed session at its next message or never
// sends one again; either way nothing more is committed.
func closeConn(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
