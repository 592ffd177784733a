package clone

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
// of rows of each table, counted on both sides; everything that a schema
// consists of, whether constraints are valid included; and each sequence with
// its column. It gives in words what agreed. What differs is a *MismatchError.
func (p *Plan) Verify(ctx context.Context, env Env) ([]string, error) {
	env.Tracker.Begin(twin.Verify)
	g, gctx := errgroup.WithContext(ctx)
	var counted int64
	var countDiffs, schemaDiffs, sequenceDiffs, objectDiffs []string
	var objects int
	g.Go(func() (err error) { counted, countDiffs, err = p.verifyCounts(gctx, env); return err })
	g.Go(func() (err error) { objects, schemaDiffs, err = verifySchema(gctx, env); return err })
	g.Go(func() (err error) { sequenceDiffs, err = p.verifySequences(gctx, env); return err })
	g.Go(func() (err error) { objectDiffs, err = p.verifyLargeObjects(gctx, env, false); return err })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if diffs := slices.Concat(countDiffs, schemaDiffs, sequenceDiffs, objectDiffs); len(diffs) > 0 {
		return nil, &MismatchError{diffs}
	}
	return []string{
		fmt.Sprintf("row counts of %d tables agree with the snapshot: %d rows", len(p.Steps), counted),
		fmt.Sprintf("schema agrees with the source: %d objects, every constraint and index in the same state", objects),
		fmt.Sprintf("%d sequences are past their columns", len(p.Sequences)),
	}, nil
}

// verifyCounts counts every table on both sides. The counts of the copy itself
// would agree even if a range of pages had been left out.
func (p *Plan) verifyCounts(ctx context.Context, env Env) (rows int64, diffs []string, err error) {
	type result struct{ source, target int64 }
	results := make([]result, len(p.Steps))
	todo := make(chan int, len(p.Steps))
	for i := range p.Steps {
		todo <- i
	}
	close(todo)
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
				if err := source.QueryRow(ctx, step.count()).Scan(&results[i].source); err != nil {
					return &Error{Object: step.Table.String(), Source: true, Err: err}
				}
				if err := target.QueryRow(ctx, step.count()).Scan(&results[i].target); err != nil {
					return &Error{Object: step.Table.String(), Err: err}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, nil, err
	}
	for i, r := range results {
		rows += r.source
		if r.source != r.target {
			diffs = append(diffs, fmt.Sprintf("table %s has %d rows in the snapshot and %d in the copy", p.Steps[i].Table, r.source, r.target))
		}
	}
	return rows, diffs, nil
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

func (p *Plan) verifySequences(ctx context.Context, env Env) (diffs []string, err error) {
	conn, err := pgcopy.Reader(ctx, env.Target, env.App, "")
	if err != nil {
		return nil, &Error{Object: "connection to the target", Err: err}
	}
	defer closeConn(conn)
	for _, q := range p.Sequences {
		if q.OwnerColumn == "" {
			continue
		}
		far, filled, err := farthestOf(ctx, conn, q)
		if err != nil {
			return nil, &Error{Object: "SEQUENCE " + q.Name.String(), Err: err}
		}
		if !filled {
			continue
		}
		var at position
		if err := conn.QueryRow(ctx, "SELECT last_value, is_called FROM "+q.Name.SQL()).Scan(&at.value, &at.called); err != nil {
			return nil, &Error{Object: "SEQUENCE " + q.Name.String(), Err: err}
		}
		if behind(at, far, q.Increment) {
			diffs = append(diffs, fmt.Sprintf("sequence %s is behind its column", q.Name))
		}
	}
	return diffs, nil
}

// farthestOf is farthest inside a transaction that must outlive an error.
func farthestOf(ctx context.Context, conn *pgx.Conn, q catalog.Sequence) (int64, bool, error) {
	if err := exec(ctx, conn, "SAVEPOINT sequence"); err != nil {
		return 0, false, err
	}
	far, filled, err := farthest(ctx, conn, q)
	if err == nil {
		err = exec(ctx, conn, "ROLLBACK TO SAVEPOINT sequence")
	}
	return far, filled, err
}
