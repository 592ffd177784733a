package clone

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
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
func (p *Plan) Verify(ctx context.Context, env Env, deep bool) ([]string, error) {
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
	verified := []string{
		fmt.Sprintf("%s of %d tables agree with the snapshot: %d rows", rows, len(p.Steps), counted),
		fmt.Sprintf("schema agrees with the source: %d objects, every constraint and index in the same state", objects),
		fmt.Sprintf("%d sequences are past their columns", len(p.Sequences)),
	}
	if p.LargeObjects > 0 {
		verified = append(verified, fmt.Sprintf("%d large objects arrived", p.LargeObjects))
	}
	return verified, nil
}

// Compare holds any database against the source's snapshot as Verify does,
// whoever made it, and compares where sequences stand too.
func Compare(ctx context.Context, env Env, deep bool) ([]string, error) {
	source, err := readCatalog(ctx, env.Source, env.App, env.Snapshot)
	if err != nil {
		return nil, &Error{Object: "schema", Source: true, Err: err}
	}
	target, err := readCatalog(ctx, env.Target, env.App, "")
	if err != nil {
		return nil, &Error{Object: "schema", Err: err}
	}
	p := &Plan{LargeObjects: source.LargeObjects - source.LargeObjectsUnreadable}
	native := sameHashes(source.ServerVersion, target.ServerVersion)
	there := make(map[catalog.Name]catalog.Table, len(target.Tables))
	for _, t := range target.Tables {
		there[t.Name] = t
	}
	for _, t := range source.Tables {
		// A table or column that is missing is told by the schema's comparison.
		if other, ok := there[t.Name]; ok && slices.Equal(columnNames(t), columnNames(other)) {
			p.Steps = append(p.Steps, stepOf(t, source, native))
		}
	}
	p.Sequences = slices.DeleteFunc(slices.Clone(target.Sequences), func(q catalog.Sequence) bool { return !q.Readable })
	stand, err := comparePositions(ctx, env, source, target)
	if err != nil {
		return nil, err
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

func readCatalog(ctx context.Context, url, app, snapshot string) (*catalog.Schema, error) {
	conn, err := pgcopy.Reader(ctx, url, app, snapshot)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	return catalog.Read(ctx, conn)
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
	want, err := positionsAt(ctx, env.Source, env.App, source.Sequences)
	if err != nil {
		return nil, &Error{Object: "sequences", Source: true, Err: err}
	}
	got, err := positionsAt(ctx, env.Target, env.App, target.Sequences)
	if err != nil {
		return nil, &Error{Object: "sequences", Err: err}
	}
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
	type side struct {
		count int64
		hash  string
	}
	results := make([][2]side, len(p.Steps))
	todo := make(chan int, len(p.Steps))
	for i := range p.Steps {
		todo <- i
	}
	close(todo)
	ask := func(ctx context.Context, conn *pgx.Conn, sql string, to *side) error {
		return conn.QueryRow(ctx, sql).Scan(&to.count, &to.hash)
	}
	g, ctx := errgroup.WithContext(ctx)
	for range max(1, min(env.Jobs, len(p.Steps))) {
		g.Go(func() error {
			source, err := pgcopy.Reader(ctx, env.Source, env.App, env.Snapshot)
			if err != nil {
				return &Error{Object: "connection to the source", Source: true, Err: err}
			}
			defer closeConn(source)
			target, err := pgcopy.Reader(ctx, env.Target, env.App, "")
			if err != nil {
				return &Error{Object: "connection to the target", Err: err}
			}
			defer closeConn(target)
			for i := range todo {
				step := &p.Steps[i]
				sql := step.sum(deep)
				both, bctx := errgroup.WithContext(ctx)
				both.Go(func() error {
					if err := ask(bctx, source, sql, &results[i][0]); err != nil {
						return &Error{Object: step.Table.String(), Source: true, Err: err}
					}
					return nil
				})
				both.Go(func() error {
					if err := ask(bctx, target, sql, &results[i][1]); err != nil {
						return &Error{Object: step.Table.String(), Err: err}
					}
					return nil
				})
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
	for i, r := range results {
		rows += r[0].count
		switch {
		case r[0].count != r[1].count:
			diffs = append(diffs, fmt.Sprintf("table %s has %d rows in the snapshot and %d in the copy", p.Steps[i].Table, r[0].count, r[1].count))
		case r[0].hash != r[1].hash:
			diffs = append(diffs, fmt.Sprintf("table %s has other contents in the copy", p.Steps[i].Table))
		}
	}
	return rows, diffs, nil
}

// sum counts what the step copies, on either side, and if deep hashes it.
func (s *Step) sum(deep bool) string {
	hash := "''"
	if deep {
		hash = "coalesce(sum(" + s.Digest + "), 0)::text"
	}
	sql := "SELECT count(*), " + hash + " FROM ONLY " + s.Table.SQL()
	if s.Where != "" {
		sql += " WHERE " + s.Where
	}
	return sql
}

func verifySchema(ctx context.Context, env Env) (objects int, diffs []string, err error) {
	source, err := inventory(ctx, env.Source, env.App, env.Snapshot)
	if err != nil {
		return 0, nil, &Error{Object: "schema", Source: true, Err: err}
	}
	target, err := inventory(ctx, env.Target, env.App, "")
	if err != nil {
		return 0, nil, &Error{Object: "schema", Err: err}
	}
	for _, d := range catalog.Compare(source, target) {
		diffs = append(diffs, d.String())
	}
	return len(source.Objects), diffs, nil
}

func inventory(ctx context.Context, url, app, snapshot string) (*catalog.Inventory, error) {
	conn, err := pgcopy.Reader(ctx, url, app, snapshot)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	return catalog.Objects(ctx, conn)
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
	conn, err := pgcopy.Connect(ctx, env.Target, env.App, 15*time.Second)
	if err != nil {
		return nil, &Error{Object: "connection to the target", Err: err}
	}
	defer closeConn(conn)
	far := make(map[uint32]int64)
	for batch := range slices.Chunk(owned, perQuery) {
		if err := farthestOfMany(ctx, conn, batch, far); err != nil {
			return nil, &Error{Object: "sequences", Err: err}
		}
	}
	at, err := positions(ctx, conn, owned)
	if err != nil {
		return nil, &Error{Object: "sequences", Err: err}
	}
	for _, q := range owned {
		if value, filled := far[q.OID]; filled && behind(at[q.Name], value, q.Increment) {
			diffs = append(diffs, fmt.Sprintf("sequence %s is behind its column", q.Name))
		}
	}
	return diffs, nil
}
