package clone

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/twin"
)

// MismatchError says what differs between the source's snapshot and what was
// loaded. It names objects, never their definitions: those may hold values.
type MismatchError struct{ Differences []string }

// Error lists the first differences.
func (e *MismatchError) Error() string {
	const shown = 10
	text := strings.Join(e.Differences[:min(shown, len(e.Differences))], "; ")
	if n := len(e.Differences) - shown; n > 0 {
		text += fmt.Sprintf("; and %d more", n)
	}
	return text
}

// Verify compares the loaded database with the source's snapshot: the number
// of rows of each table, counted on both sides, and if deep their contents;
// everything that a schema consists of, whether constraints are valid
// included; each sequence with its column; large objects. It gives in words
// what agreed. What differs is a *MismatchError.
//
// A connection that is lost is asked for again, the source's while the snapshot
// lives.
func (p *Plan) Verify(ctx context.Context, env Env, deep bool) ([]string, error) {
	env = env.whole()
	env.Tracker.Begin(twin.Verify)
	g, gctx := errgroup.WithContext(ctx)
	var counted int64
	var countDiffs, schemaDiffs, sequenceDiffs, objectDiffs []string
	var objects int
	g.Go(func() (err error) { counted, countDiffs, err = p.verifyRows(gctx, env, deep); return err })
	g.Go(func() (err error) { objects, schemaDiffs, err = verifySchema(gctx, env); return err })
	g.Go(func() (err error) { sequenceDiffs, err = p.verifySequences(gctx, env); return err })
	g.Go(func() (err error) { objectDiffs, err = p.verifyLargeObjects(gctx, env, deep); return err })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if diffs := slices.Concat(schemaDiffs, countDiffs, objectDiffs, sequenceDiffs); len(diffs) > 0 {
		return nil, &MismatchError{diffs}
	}
	rows := "row counts"
	if deep {
		rows = "row counts and contents"
	}
	against := "the snapshot"
	if p.Selections != nil {
		against = "what was chosen of the snapshot"
	}
	var verified []string
	if len(p.Steps) > 0 {
		verified = append(verified, fmt.Sprintf("%s of %d tables agree with %s: %d rows", rows, len(p.Steps), against, counted))
	}
	verified = append(verified,
		fmt.Sprintf("schema agrees with the source: %d objects, every constraint and index in the same state", objects),
		fmt.Sprintf("%d sequences are past their columns", len(p.Sequences)),
	)
	if p.LargeObjects > 0 {
		verified = append(verified, fmt.Sprintf("%d large objects arrived", p.LargeObjects))
	}
	return verified, nil
}

// Compare holds any database against the source's snapshot as Verify does,
// whoever made it, and compares where sequences stand too. Of a mode that does
// not hold all rows it compares what such a Twin has in common with its source:
// definitions, and for partial ones sequences.
func Compare(ctx context.Context, env Env, mode twin.Mode, deep bool) ([]string, error) {
	env = env.whole()
	source, err := schemaOf(ctx, env, true, catalog.Read)
	if err != nil {
		return nil, err
	}
	target, err := schemaOf(ctx, env, false, catalog.Read)
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	if mode != twin.SchemaOnly {
		p.LargeObjects = source.LargeObjects - source.LargeObjectsUnreadable
	}
	native := sameHashes(source.ServerVersion, target.ServerVersion)
	there := make(map[catalog.Name]catalog.Table, len(target.Tables))
	for _, t := range target.Tables {
		there[t.Name] = t
	}
	for _, t := range source.Tables {
		// A table or column that is missing is told by the schema's comparison.
		if other, ok := there[t.Name]; ok && mode == twin.Full && slices.Equal(columnNames(t), columnNames(other)) {
			p.Steps = append(p.Steps, stepOf(t, source, native))
		}
	}
	p.Sequences = slices.DeleteFunc(slices.Clone(target.Sequences), func(q catalog.Sequence) bool { return !q.Readable })
	var stand []string
	if mode != twin.SchemaOnly {
		if stand, err = comparePositions(ctx, env, source, target); err != nil {
			return nil, err
		}
	}
	verified, err := p.Verify(ctx, env, deep)
	if len(stand) == 0 {
		return verified, err
	}
	var mismatch *MismatchError
	if err == nil {
		mismatch = &MismatchError{}
	} else if !errors.As(err, &mismatch) {
		return nil, err
	}
	return nil, &MismatchError{append(mismatch.Differences, stand...)}
}

// stepOf is a step that is only compared.
func stepOf(t catalog.Table, s *catalog.Schema, native bool) Step {
	step := newStep(t, s, math.MaxInt64/2)
	step.Digest = digest(t, s.Types, native)
	return step
}

// reader is a session that reads on one of the two servers: on the source what
// the snapshot saw.
func reader(env Env, source bool) *session {
	return &session{app: env.App, open: func(ctx context.Context) (*pgx.Conn, error) {
		if source {
			return pgcopy.Reader(ctx, env.Source, env.App, env.Snapshot)
		}
		return pgcopy.Reader(ctx, env.Target, env.App, "")
	}}
}

// inquire asks one of the two servers, and again if the connection is lost.
func inquire(ctx context.Context, env Env, s *session, source bool, object string, ask func(*pgx.Conn) error) error {
	err := again(ctx, env.Logger, object, func(int) error {
		conn, err := s.get(ctx)
		if err != nil {
			return err
		}
		return ask(conn)
	})
	if err != nil {
		return &Error{Object: object, Source: source, Err: err}
	}
	return nil
}

// schemaOf reads the schema of one of the two databases.
func schemaOf[T any](ctx context.Context, env Env, source bool, read func(context.Context, catalog.Querier) (T, error)) (schema T, err error) {
	s := reader(env, source)
	defer func() { pgcopy.Close(s.conn) }()
	err = inquire(ctx, env, s, source, "schema", func(conn *pgx.Conn) (err error) {
		schema, err = read(ctx, conn)
		return err
	})
	return schema, err
}

// columnNames are a table's, sorted: inheritance children of a copy have
// theirs in another order.
func columnNames(t catalog.Table) []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	slices.Sort(names)
	return names
}

// comparePositions names the sequences that stand behind the source's.
func comparePositions(ctx context.Context, env Env, source, target *catalog.Schema) ([]string, error) {
	var there [2]map[catalog.Name]position
	for i, of := range []*catalog.Schema{source, target} {
		err := again(ctx, env.Logger, "sequences", func(int) (err error) {
			there[i], err = positionsAt(ctx, []string{env.Source, env.Target}[i], env.App, of.Sequences)
			return err
		})
		if err != nil {
			return nil, &Error{Object: "sequences", Source: i == 0, Err: err}
		}
	}
	want, got := there[0], there[1]
	var diffs []string
	for _, q := range source.Sequences {
		w, known := want[q.Name]
		g, there := got[q.Name]
		ahead := g.value > w.value
		if q.Increment < 0 {
			ahead = g.value < w.value
		}
		if known && there && !ahead && (g.value != w.value || w.called && !g.called) {
			diffs = append(diffs, fmt.Sprintf("sequence %s is behind the source's", q.Name))
		}
	}
	return diffs, nil
}

// verifyRows counts every table on both sides, and if deep sums up the hashes
// of its rows. The counts of the copy itself would agree even if a range of
// pages had been left out.
func (p *Plan) verifyRows(ctx context.Context, env Env, deep bool) (rows int64, diffs []string, err error) {
	results := make([][2]sum, len(p.Steps))
	masked := make([][]int64, len(p.Steps))
	batches := p.batches()
	todo := make(chan []int, len(batches))
	for _, b := range batches {
		todo <- b
	}
	close(todo)
	g, ctx := errgroup.WithContext(ctx)
	for range max(1, min(env.Jobs, len(batches))) {
		g.Go(func() error {
			servers := [2]*session{reader(env, true), reader(env, false)}
			defer func() { pgcopy.Close(servers[0].conn); pgcopy.Close(servers[1].conn) }()
			for batch := range todo {
				both, bctx := errgroup.WithContext(ctx)
				for side, server := range servers {
					both.Go(func() error {
						sums, err := p.sums(bctx, env, server, side == 0, batch, deep)
						for k, one := range sums {
							results[batch[k]][side] = one
							if side == 1 {
								masked[batch[k]] = one.masked
							}
						}
						return err
					})
				}
				if err := both.Wait(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, nil, err
	}
	p.gather(results)
	for i, r := range results {
		n, err := strconv.ParseInt(r[0].count, 10, 64)
		if err != nil {
			return 0, nil, &Error{Object: p.Steps[i].Table.String(), Source: true, Err: err}
		}
		rows += n
		switch {
		case r[0].count != r[1].count:
			diffs = append(diffs, fmt.Sprintf("table %s has %s rows in the snapshot and %s in the copy", p.Steps[i].Table, r[0].count, r[1].count))
		case r[0].hash != r[1].hash:
			diffs = append(diffs, fmt.Sprintf("table %s has other contents in the copy", p.Steps[i].Table))
		}
	}
	if env.Proof != nil {
		diffs = append(diffs, p.nullDiffs(env.Proof, masked)...)
	}
	return rows, diffs, nil
}

// gather compares partitions that rows went to anew as one table: the first of
// them has the sums of all, the others none.
func (p *Plan) gather(results [][2]sum) {
	first := map[catalog.Name]int{}
	for i := range p.Steps {
		root := p.Steps[i].Root
		if root == (catalog.Name{}) {
			continue
		}
		at, seen := first[root]
		if !seen {
			first[root] = i
			continue
		}
		for side := range results[i] {
			results[at][side] = plus(results[at][side], results[i][side])
			results[i][side] = sum{count: "0"}
		}
	}
}

// sum is how many rows a table has, if asked for the sum of their hashes, and of
// a copy how many values stand in its masked columns.
type sum struct {
	count, hash string
	masked      []int64
}

// batches are the steps that are asked for in one message each: over a slow
// link small tables would cost a round trip each otherwise.
func (p *Plan) batches() (out [][]int) {
	var small []int
	for i := range p.Steps {
		if p.Steps[i].small() {
			small = append(small, i)
		} else {
			out = append(out, []int{i})
		}
	}
	return slices.AppendSeq(out, slices.Chunk(small, perQuery))
}

// sums asks one of the two servers for those of some steps. How many rows of a
// partial table are to be there is known: only what is in them is asked for.
func (p *Plan) sums(ctx context.Context, env Env, s *session, source bool, batch []int, deep bool) ([]sum, error) {
	questions := make([][]string, len(batch))
	for k, i := range batch {
		step := &p.Steps[i]
		switch {
		case !source || step.Pick == nil:
			questions[k] = []string{step.sum(deep, source)}
		case deep:
			questions[k] = step.pickedSums()
		}
	}
	text := strings.Join(slices.Concat(questions...), ";\n")
	if source && p.Selections != nil {
		text = nameRows + ";\n" + text
	}
	var answers []*pgconn.Result
	err := inquire(ctx, env, s, source, "rows", func(conn *pgx.Conn) (err error) {
		answers, err = conn.PgConn().Exec(ctx, text).ReadAll()
		answers = slices.DeleteFunc(answers, func(a *pgconn.Result) bool { return a.Err == nil && a.CommandTag.String() == "SET" })
		return err
	})
	out := make([]sum, len(batch))
	for k, asked := range questions {
		step, n := &p.Steps[batch[k]], len(asked)
		if len(answers) < n || n > 0 && answers[n-1].Err != nil {
			var at *Error
			if errors.As(err, &at) {
				at.Object = step.Table.String()
			}
			return nil, err
		}
		if out[k] = total(answers[:n]); n == 0 {
			out[k].count = strconv.FormatInt(step.Pick.Rows.Len(), 10)
		}
		if n > 0 && !source {
			if out[k].masked, err = numbers(answers[0].Rows[0]); err != nil {
				return nil, &Error{Object: step.Table.String(), Err: err}
			}
		}
		answers = answers[n:]
	}
	return out, err
}

// sum counts what the step copied, and if deep hashes it. Of a partial table
// that is all that the target has. Of the target it counts what stands in the
// masked columns, too.
func (s *Step) sum(deep, source bool) string {
	hash := "0"
	if deep {
		hash = "coalesce(sum(" + s.Digest + "), 0)::text"
	}
	if !source {
		hash += s.counts()
	}
	sql := "SELECT count(*), " + hash + " FROM ONLY " + s.Table.SQL()
	if s.Where != "" {
		sql += " WHERE " + s.Where
	}
	return sql
}

func verifySchema(ctx context.Context, env Env) (objects int, diffs []string, err error) {
	source, err := schemaOf(ctx, env, true, catalog.Objects)
	if err != nil {
		return 0, nil, err
	}
	target, err := schemaOf(ctx, env, false, catalog.Objects)
	if err != nil {
		return 0, nil, err
	}
	for _, d := range catalog.Compare(source, target) {
		diffs = append(diffs, d.String())
	}
	return len(source.Objects), diffs, nil
}

// verifySequences looks at the target alone: what counts is the next value that
// it will give out.
func (p *Plan) verifySequences(ctx context.Context, env Env) (diffs []string, err error) {
	owned := p.owned()
	if len(owned) == 0 {
		return nil, nil
	}
	// In no transaction: a column that can't be compared fails its question, and
	// must not fail the others.
	s := &session{app: env.App, open: func(ctx context.Context) (*pgx.Conn, error) {
		return pgcopy.Connect(ctx, env.Target, env.App, 15*time.Second)
	}}
	defer func() { pgcopy.Close(s.conn) }()
	far := make(map[uint32]int64)
	var at map[catalog.Name]position
	err = inquire(ctx, env, s, false, "sequences", func(conn *pgx.Conn) (err error) {
		for batch := range slices.Chunk(owned, perQuery) {
			if err := farthestOfMany(ctx, conn, batch, far); err != nil {
				return err
			}
		}
		at, err = positions(ctx, conn, owned)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, q := range owned {
		if value, filled := far[q.OID]; filled && behind(at[q.Name], value, q.Increment) {
			diffs = append(diffs, fmt.Sprintf("sequence %s is behind its column", q.Name))
		}
	}
	return diffs, nil
}
