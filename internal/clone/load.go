package clone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/twin"
)

const (
	// maxTogether and maxTogetherBytes bound what travels in one message: what
	// is lost with a connection is sent again.
	maxTogether      = 200
	maxTogetherBytes = 8 << 20
)

// unit are tables that are loaded and built together: a large one in parts, or
// many small ones in one message.
type unit struct {
	steps []int
	// parts and indexes count what is still to do.
	parts, indexes atomic.Int64
}

// load is a part of a large table, or all of a unit of small ones.
type load struct {
	unit *unit
	key  string
	Part
}

// small reports whether the step can share a message with others.
func (s *Step) small() bool { return s.Bytes <= maxSmall && len(s.Parts) == 1 && !s.Keep }

// group makes the units: the largest tables first, the small ones together,
// but not so many that some of the workers would have nothing to do. The tables
// of extensions, whose foreign keys are there already, are one, in their order.
func (r *run) group() {
	r.units = make([]unit, 0, len(r.Steps))
	many := 0
	for i := range r.Steps {
		if r.Steps[i].small() {
			many++
		}
	}
	most := min(maxTogether, many/max(1, r.env.Jobs)+1)
	var bytes int64
	open := false
	through := map[catalog.Name]int{} // units by the table that rows go through
	for i := range r.Steps {
		step := &r.Steps[i]
		if step.Root != (catalog.Name{}) {
			// A row may land in any of them: none is complete before all are.
			at, ok := through[step.Root]
			if !ok {
				at = len(r.units)
				through[step.Root] = at
				r.units = append(r.units, unit{})
				open = false
			}
			r.units[at].steps = append(r.units[at].steps, i)
			continue
		}
		if i > 0 && step.Keep {
			r.units[0].steps = append(r.units[0].steps, i)
			continue
		}
		if open && step.small() && bytes+step.Bytes <= maxTogetherBytes && len(r.units[len(r.units)-1].steps) < most {
			last := &r.units[len(r.units)-1]
			last.steps = append(last.steps, i)
			bytes += step.Bytes
			continue
		}
		r.units = append(r.units, unit{steps: []int{i}})
		open, bytes = step.small(), step.Bytes
	}
}

// load copies all units and builds what belongs to a unit's tables as soon as
// its last part has landed.
func (r *run) load(ctx context.Context) error {
	var loads []load
	builds := 0
	for i := range r.units {
		u := &r.units[i]
		parts := []Part{{}}
		if len(u.steps) == 1 {
			parts = r.Steps[u.steps[0]].Parts
		}
		for k, part := range parts {
			loads = append(loads, load{u, fmt.Sprintf("load%d.%d", i, k), part})
		}
		u.parts.Store(int64(len(parts)))
		for _, at := range u.steps {
			u.indexes.Add(int64(len(r.Steps[at].Indexes)))
		}
		builds += int(u.indexes.Load()) + 1
	}
	// Both queues have room for everything, so no worker ever waits to put.
	r.loads, r.builds = make(chan load, len(loads)), make(chan build, builds+len(r.ForeignKeys))
	for _, l := range loads {
		r.loads <- l
	}
	close(r.loads)
	if r.waiting.Store(int64(len(r.units) + len(r.ForeignKeys))); r.waiting.Load() == 0 {
		return nil
	}
	r.landing.Store(int64(len(loads)))
	r.keys.expect(r.Plan)
	if len(r.units) == 0 { // nobody else would begin
		s := r.targets.take()
		defer r.targets.put(s)
		if err := r.relateComplete(ctx, s); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for range max(1, min(r.env.Jobs, len(loads))) {
		g.Go(func() error { return r.copier(ctx) })
	}
	for range max(1, min(r.env.Jobs, builds)) {
		g.Go(func() error { return r.builder(ctx) })
	}
	return g.Wait()
}

// copier takes loads until there are none left.
func (r *run) copier(ctx context.Context) error {
	source := &session{app: r.env.App, open: r.openSource}
	defer func() { pgcopy.Close(source.conn) }()
	target := r.targets.take()
	defer r.targets.put(target)
	for l := range r.loads {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		if len(l.unit.steps) == 1 {
			err = r.copyOne(ctx, source, target, l.unit.steps[0], l.Part, l.key)
		} else {
			err = r.copyMany(ctx, source, target, l)
		}
		if err != nil {
			return err
		}
		r.landed(l)
	}
	return nil
}

// openSource opens a session on the source that copies rows.
func (r *run) openSource(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgcopy.Reader(ctx, r.env.Source, r.env.App, r.env.Snapshot)
	if err != nil || r.Selections == nil {
		return conn, err
	}
	return conn, exec(ctx, conn, nameRows)
}

// nameRows makes a session fetch rows where they are named one by one: for
// thousands of them the planner would read the whole table, each time anew.
const nameRows = "SET enable_seqscan = off"

// copyOne copies one part of a table.
func (r *run) copyOne(ctx context.Context, source, target *session, at int, part Part, key string) error {
	step := &r.Steps[at]
	began := time.Now()
	stream, masked := r.stream(ctx, step, part)
	stream.To = r.note(key) + stream.To
	var moved pgcopy.Moved
	err := r.transfer(ctx, step.Table.String(), source, target, func(from, to *pgx.Conn, n int) (int64, error) {
		// What a try before this one sent stands, if it turns out to have landed.
		sent, err := pgcopy.Copy(ctx, from.PgConn(), to.PgConn(), stream)
		if n > 1 && noted(err) {
			return sent.Bytes, nil
		}
		moved = sent
		return sent.Bytes, err
	})
	if err != nil {
		return err
	}
	r.notes.Add(1)
	r.count(at, part, moved, time.Since(began))
	return r.proven(step, masked)
}

// copyMany copies small tables in one message. Should it fail, they are copied
// one by one, so that the error names the table.
func (r *run) copyMany(ctx context.Context, source, target *session, l load) error {
	began := time.Now()
	streams, masked := make([]pgcopy.Stream, len(l.unit.steps)), make([]*masking, len(l.unit.steps))
	for i, at := range l.unit.steps {
		streams[i], masked[i] = r.stream(ctx, &r.Steps[at], Part{})
	}
	var moved []pgcopy.Moved
	what := fmt.Sprintf("%s and %d other tables", r.Steps[l.unit.steps[0]].Table, len(streams)-1)
	err := r.transfer(ctx, what, source, target, func(from, to *pgx.Conn, n int) (bytes int64, err error) {
		sent, err := pgcopy.CopyMany(ctx, from.PgConn(), to.PgConn(), r.note(l.key), streams)
		for _, m := range sent {
			bytes += m.Bytes
		}
		if n > 1 && noted(err) {
			return bytes, nil
		}
		moved = sent
		return bytes, err
	})
	// Rows that another worker lost end this one too, with the same error.
	if errors.Is(err, pgcopy.ErrRowsLost) && len(moved) < len(streams) {
		return &Error{Object: r.Steps[l.unit.steps[len(moved)]].Table.String(), Err: err}
	}
	if err != nil && ctx.Err() == nil && !pgcopy.Transient(err) {
		for i, at := range l.unit.steps {
			if err := r.copyOne(ctx, source, target, at, Part{}, fmt.Sprintf("%s.%d", l.key, i)); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	r.notes.Add(1)
	for i, at := range l.unit.steps {
		r.count(at, Part{}, moved[i], time.Since(began)/time.Duration(len(streams)))
		if err := r.proven(&r.Steps[at], masked[i]); err != nil {
			return err
		}
	}
	return nil
}

// transfer carries rows with connections to both sides, again if one of them
// is lost. What it gives is how many bytes try moved.
func (r *run) transfer(ctx context.Context, object string, source, target *session, try func(from, to *pgx.Conn, n int) (int64, error)) error {
	fromSourceSide := false
	err := r.again(ctx, object, func(n int) error {
		from, to, err := both(ctx, source, target)
		if err != nil {
			fromSourceSide = fromSource(err)
			return err
		}
		bytes, err := try(from, to, n)
		if err != nil {
			fromSourceSide = fromSource(err)
			r.env.Tracker.update(false, func(now *twin.Progress) { now.BytesDone -= bytes })
		}
		return err
	})
	if err != nil {
		return &Error{Object: object, Source: fromSourceSide, Err: err}
	}
	return nil
}

// both connects to both sides at once, where it must.
func both(ctx context.Context, source, target *session) (from, to *pgx.Conn, err error) {
	var g errgroup.Group
	g.Go(func() (err error) {
		if from, err = source.get(ctx); err != nil {
			return &pgcopy.SourceError{Err: err}
		}
		return nil
	})
	g.Go(func() (err error) {
		if to, err = target.get(ctx); err != nil {
			return &pgcopy.TargetError{Err: err}
		}
		return nil
	})
	err = g.Wait()
	return from, to, err
}

// stream is what copies a part, and follows what is masked on the way, nil if
// nothing is.
func (r *run) stream(ctx context.Context, step *Step, part Part) (pgcopy.Stream, *masking) {
	name := step.Table.String()
	stream := pgcopy.Stream{From: step.out(part), To: step.in(), Moved: func(n int) {
		r.env.Tracker.update(false, func(now *twin.Progress) { now.BytesDone += int64(n); now.Table = name })
		r.rate.Wait(ctx, n)
	}}
	if r.env.Between != nil {
		stream.Between = func(w io.Writer) io.WriteCloser { return r.env.Between(step.Table, w) }
	}
	if step.Mask == nil {
		return stream, nil
	}
	m := &masking{step: step}
	after := stream.Between
	stream.Between = func(w io.Writer) io.WriteCloser {
		if after != nil {
			w = after(w)
		}
		return m.between(w)
	}
	return stream, m
}

// proven notes what was masked of a part that has landed.
func (r *run) proven(step *Step, m *masking) error {
	if err := r.env.Proof.add(m); err != nil {
		return &Error{Object: step.Table.String(), Err: err}
	}
	return nil
}

// count notes what a part of a table has brought.
func (r *run) count(at int, part Part, moved pgcopy.Moved, took time.Duration) {
	step, state := &r.Steps[at], &r.tables[at]
	state.rows.Add(moved.Rows)
	state.bytes.Add(moved.Bytes)
	state.nanos.Add(int64(took))
	r.env.Tracker.update(false, func(now *twin.Progress) {
		now.RowsDone += moved.Rows
		// What has landed is known by its size on the wire, which is what
		// BytesDone counts; only the rest is still an estimate.
		now.BytesTotal += moved.Bytes - step.share(part)
	})
}

// landed queues what a load was the last one for.
func (r *run) landed(l load) {
	u := l.unit
	if u.parts.Add(-1) == 0 {
		r.env.Tracker.update(true, func(now *twin.Progress) { now.TablesDone += len(u.steps) })
		r.build(u)
	}
	if r.landing.Add(-1) == 0 {
		r.env.Tracker.Begin(twin.Index)
	}
}

// build is some work on tables that have their rows: one index of a large one,
// all that is left to be made of a unit, or some foreign keys to validate.
type build struct {
	unit       *unit // nil for foreign keys
	key        string
	statements []Statement
	last       bool
	keys       []ForeignKey
}

// build queues a unit's builds. A large table's indexes are built side by side,
// and then comes the rest; of smaller ones all is made in one message.
func (r *run) build(u *unit) {
	step := &r.Steps[u.steps[0]]
	if len(u.steps) > 1 || step.Bytes < minSideBySide || len(step.Indexes) == 0 {
		var all []Statement
		for _, at := range u.steps {
			all = slices.Concat(all, r.Steps[at].Indexes)
		}
		r.builds <- r.rest(u, all)
		return
	}
	for i, index := range step.Indexes {
		r.builds <- build{unit: u, key: fmt.Sprintf("index%d.%d", u.steps[0], i), statements: []Statement{index}}
	}
}

// rest is what comes last of a unit: keys, then statistics.
func (r *run) rest(u *unit, statements []Statement) build {
	for _, at := range u.steps {
		statements = slices.Concat(statements, r.Steps[at].Keys)
	}
	for _, at := range u.steps {
		statements = append(statements, analyze(r.Steps[at].Table))
	}
	return build{unit: u, key: fmt.Sprintf("build%d", u.steps[0]), statements: statements, last: true}
}

// builder takes builds until all units are finished.
func (r *run) builder(ctx context.Context) error {
	s := r.targets.take()
	defer r.targets.put(s)
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
		if err := r.define(ctx, s, b.key, b.statements); err != nil {
			return err
		}
		made := len(b.statements)
		switch {
		case b.unit == nil:
			made = 0
			r.keys.validated(b.keys)
		case b.last:
			made -= len(b.unit.steps)
			for _, at := range b.unit.steps {
				r.keys.complete(r.Steps[at].OID)
			}
		case b.unit.indexes.Add(-1) == 0:
			r.builds <- r.rest(b.unit, nil)
		}
		r.env.Tracker.update(true, func(now *twin.Progress) { now.IndexesDone += made })
		if b.unit == nil || b.last {
			if err := r.relateComplete(ctx, s); err != nil {
				return err
			}
			r.done(max(1, len(b.keys)))
		}
	}
}

// done counts what is finished of units and foreign keys.
func (r *run) done(n int) {
	if r.waiting.Add(-int64(n)) == 0 {
		close(r.builds)
	}
}
