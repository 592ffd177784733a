package subset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/twin"
)

const (
	// rowsPerCall is how many rows a query takes as its parameter.
	rowsPerCall = 100_000
	// rowsPerScan is how many it takes where each query reads a whole table.
	rowsPerScan = 1_000_000
	// sqlLimit is how long a query may take that has a person's SQL in it.
	sqlLimit = 5 * time.Minute
)

// Close finds the rows that are kept. It opens up to so many sessions, all of
// which must see the same snapshot, read only, in a transaction, with an empty
// search_path and row_security off; it closes them. The result is the same
// however many there are. progress, if not nil, is told how many rows were found.
func (p *Plan) Close(ctx context.Context, open func(context.Context) (*pgx.Conn, error), workers int, progress func(rows int64)) (*Result, error) {
	s := &search{
		p: p, sessions: &sessions{open: open, most: max(workers, 1)}, progress: progress,
		sets: make([]*Rows, len(p.Tables)), counts: make([]int64, len(p.Tables)), why: make([][]twin.Reason, len(p.Tables)), from: make([]int, len(p.Tables)),
		by: make([]*Edge, len(p.Tables)),
	}
	defer s.sessions.closeAll(context.WithoutCancel(ctx))
	for i := range s.from {
		s.from[i] = -1
	}
	for _, step := range []func(context.Context) error{s.try, s.count, s.begin, s.down, s.settle, s.up} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("find the rows to keep: %w", err)
		}
	}
	return s.result(ctx)
}

// search is one Close.
type search struct {
	p        *Plan
	sessions *sessions
	progress func(rows int64)
	// sets are the rows found so far, by table; nil for none. While tasks run,
	// nobody changes them.
	sets []*Rows
	// counts are how many rows there are of the tables that are whole.
	counts []int64
	why    [][]twin.Reason
	// from is the table over which the first rows of a table were found, or -1.
	from []int
	// by is the edge that all rows of a table were found by on the way down, or
	// nil: what they refer to by it is kept already.
	by []*Edge
	// total is how many rows will be copied, as far as is known.
	total int64
	// ascent is set once rows that lie in whole tables are of no use any more.
	ascent bool
}

// task finds rows by one query.
type task struct {
	sql string
	// rows number first up to limit are the query's parameter, if not nil.
	rows         *Rows
	first, limit int64
	words        string
	from         int   // the table that the parameter's rows lie in, or -1
	down         *Edge // that it follows down, if any
	table        catalog.Name
	settings     []string // a person's SQL that is in it
}

// errEnough ends a search that has found more rows than are allowed.
var errEnough = errors.New("more rows than allowed")

func (s *search) try(ctx context.Context) error {
	return s.sessions.each(ctx, 1, func(ctx context.Context, c *session, _ int) error { return s.p.try(ctx, c) })
}

// count counts the rows of tables that are whole.
func (s *search) count(ctx context.Context) error {
	var whole []int
	for i := range s.p.Tables {
		if s.p.Tables[i].whole() {
			whole = append(whole, i)
		}
	}
	err := s.sessions.each(ctx, len(whole), func(ctx context.Context, c *session, n int) error {
		t := &s.p.Tables[whole[n]]
		rows, err := c.number(ctx, "SELECT count(*) FROM "+only(t.Name)+" "+t.condition, nil, 0, 0)
		s.counts[whole[n]] = rows
		if err != nil {
			return fmt.Errorf("count the rows of %s: %w", t.Name, err)
		}
		return nil
	})
	for _, i := range whole {
		s.total += s.counts[i]
	}
	if err != nil {
		return err
	}
	return s.bounded()
}

// begin finds the rows of the roots, and those of whole tables that must be
// known one by one.
func (s *search) begin(ctx context.Context) error {
	var tasks []task
	for _, r := range s.p.Roots {
		var settings []string
		if r.Where != "" {
			settings = append(settings, "where")
		}
		if r.OrderBy != "" {
			settings = append(settings, "order_by")
		}
		tasks = append(tasks, task{sql: r.sql(), words: "asked for", from: -1, table: r.Table, settings: settings})
	}
	_, err := s.run(ctx, tasks)
	return err
}

// down follows references from the roots to the rows that refer to them.
func (s *search) down(ctx context.Context) error {
	for level := range s.p.levels {
		fresh := s.at(level)
		for {
			tasks := s.downward(fresh, true)
			if len(tasks) == 0 {
				break
			}
			found, err := s.run(ctx, tasks)
			if err != nil {
				return err
			}
			fresh = found
		}
		if _, err := s.run(ctx, s.downward(s.at(level), false)); err != nil {
			return err
		}
	}
	return nil
}

// settle forgets the rows of tables that are whole: where they lie mattered for
// their children only. Those of whom more must be known are listed.
func (s *search) settle(ctx context.Context) error {
	s.ascent = true
	var tasks []task
	for i := range s.p.Tables {
		t := &s.p.Tables[i]
		switch {
		case t.whole():
			s.sets[i], s.why[i], s.from[i] = nil, nil, -1
		case t.listed:
			tasks = append(tasks, task{sql: "SELECT tableoid, ctid FROM " + only(t.Name), words: t.Why, from: -1, table: t.Name})
		}
	}
	_, err := s.run(ctx, tasks)
	return err
}

// up finds all rows that a kept row refers to.
func (s *search) up(ctx context.Context) error {
	for level := s.p.levels - 1; level >= 0; level-- {
		if _, err := s.run(ctx, s.upwardAll(level)); err != nil {
			return err
		}
		for fresh := s.at(level); ; {
			tasks := s.upward(fresh, true)
			if len(tasks) == 0 {
				break
			}
			found, err := s.run(ctx, tasks)
			if err != nil {
				return err
			}
			fresh = found
		}
		if _, err := s.run(ctx, s.upward(s.at(level), false)); err != nil {
			return err
		}
	}
	return nil
}

// at are the rows found so far of the tables of one level.
func (s *search) at(level int) []*Rows {
	out := make([]*Rows, len(s.sets))
	for i, set := range s.sets {
		if s.p.Tables[i].Level == level {
			out[i] = set
		}
	}
	return out
}

// downward makes the tasks that find what refers to rows: over the edges of
// cycles, or over the others.
func (s *search) downward(rows []*Rows, cycle bool) []task {
	var out []task
	for _, e := range s.p.Edges {
		if !e.Down || e.Cycle != cycle {
			continue
		}
		for _, i := range e.parent.leaves {
			t := task{sql: e.down(s.p.Tables[i].Name), words: fmt.Sprintf("refers to %s by (%s)", e.Parent, names(e.Columns)), from: i, down: e, table: e.Table, settings: e.settings(true)}
			out = append(out, t.split(rows[i], e.Indexed)...)
		}
	}
	return out
}

// upward makes the tasks that find what rows refer to.
func (s *search) upward(rows []*Rows, cycle bool) []task {
	var out []task
	for _, e := range s.p.Edges {
		if !s.upwards(e) || e.Cycle != cycle {
			continue
		}
		for _, i := range e.child.leaves {
			// By a declared reference a row refers to one row only.
			if s.by[i] == e && e.Constraint != "" {
				continue
			}
			t := s.referred(e, i, false)
			out = append(out, t.split(rows[i], e.ParentIndexed)...)
		}
	}
	return out
}

// upwardAll makes the tasks that find what the whole tables of a level refer to.
func (s *search) upwardAll(level int) []task {
	var out []task
	for _, e := range s.p.Edges {
		for _, i := range e.child.leaves {
			if t := &s.p.Tables[i]; t.Level == level && t.whole() && s.upwards(e) {
				out = append(out, s.referred(e, i, true))
			}
		}
	}
	return out
}

// upwards reports whether an edge can bring rows that are not there anyway.
func (s *search) upwards(e *Edge) bool {
	return e.Up && slices.ContainsFunc(e.parent.leaves, func(i int) bool { return !s.p.Tables[i].whole() && !s.p.Tables[i].empty })
}

func (s *search) referred(e *Edge, i int, all bool) task {
	return task{sql: e.up(s.p.Tables[i].Name, all), words: fmt.Sprintf("referred to by %s (%s)", e.Table, names(e.Columns)), from: i, table: e.Table, settings: e.settings(false)}
}

// settings names what a person wrote that is in an edge's queries.
func (e *Edge) settings(down bool) []string {
	var out []string
	if e.When != "" {
		out = append(out, "when")
	}
	if down && e.Where != "" {
		out = append(out, "where")
	}
	if down && e.OrderBy != "" {
		out = append(out, "order_by")
	}
	return out
}

// split makes a task for each so many rows.
func (t task) split(rows *Rows, indexed bool) []task {
	var out []task
	for _, part := range parts(rows.Len(), indexed) {
		t.rows, t.first, t.limit = rows, part[0], part[1]
		out = append(out, t)
	}
	return out
}

// parts cuts n rows into as many as one query takes.
func parts(n int64, indexed bool) [][2]int64 {
	most := int64(rowsPerScan)
	if indexed {
		most = rowsPerCall
	}
	var out [][2]int64
	for first := int64(0); first < n; first += most {
		out = append(out, [2]int64{first, min(first+most, n)})
	}
	return out
}
