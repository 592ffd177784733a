package subset

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/neontwin/neontwin/internal/twin"
)

// Result says which rows are kept, and why.
type Result struct {
	// Selections are one for each table that holds rows, in the plan's order.
	Selections []twin.Selection
	// Hazards are the plan's, and what only the rows could tell.
	Hazards []twin.Hazard

	picks map[uint32]Pick // of tables that are not whole
	whole map[uint32]bool
}

// Pick says which rows of a table are copied.
type Pick struct {
	// Rows are never nil for a table that is not whole. They may be empty.
	Rows *Rows
	// Null are columns that are written as NULL in some of the rows.
	Null []NullPick
}

// NullPick says in which rows a column is written as NULL.
type NullPick struct {
	Column string
	Rows   *Rows
}

// Pick says which rows of a table that holds rows are copied. If whole is set
// it is all of them, and the Pick is zero. Of a table that the plan didn't know
// nothing is copied.
func (r *Result) Pick(table uint32) (pick Pick, whole bool) {
	if r.whole[table] {
		return Pick{}, true
	}
	pick, ok := r.picks[table]
	if !ok {
		pick.Rows = &Rows{}
	}
	return pick, false
}

// Rows is how many rows are kept of all tables.
func (r *Result) Rows() int64 {
	var n int64
	for _, s := range r.Selections {
		n += s.Rows
	}
	return n
}

// byRows puts the reasons in order, those with most rows first.
func byRows(reasons []twin.Reason) []twin.Reason {
	slices.SortStableFunc(reasons, func(a, b twin.Reason) int { return cmp.Compare(b.Rows, a.Rows) })
	return reasons
}

// selection tells what is kept of a table, as far as is known.
func (s *search) selection(i int) twin.Selection {
	t := &s.p.Tables[i]
	out := twin.Selection{Table: t.Name.String(), Rule: t.Rule, Rows: s.sets[i].Len(), Of: t.Estimate, Why: byRows(slices.Clone(s.why[i]))}
	switch {
	case t.whole():
		out.Rows = s.counts[i]
		out.Why = []twin.Reason{{Rows: out.Rows, Words: t.Why}}
		return out
	case t.Rule == twin.KeptNothing:
		out.Why = []twin.Reason{{Words: t.Why}}
	case out.Rows == 0 && t.Rule == twin.KeptRoot:
		out.Why = []twin.Reason{{Words: "none of its rows is asked for"}}
	case out.Rows == 0:
		out.Why = []twin.Reason{{Words: "no kept row leads here"}}
	}
	if out.Rows > 0 {
		out.Path = s.path(i)
	}
	return out
}

// path leads to a table from where its first rows came from.
func (s *search) path(i int) []string {
	var out []string
	for ; i >= 0; i = s.from[i] {
		out = append(out, s.p.Tables[i].Name.String())
	}
	slices.Reverse(out)
	return out
}

// result makes the result once all rows are found.
func (s *search) result(ctx context.Context) (*Result, error) {
	r := &Result{Hazards: slices.Clone(s.p.hazards), picks: make(map[uint32]Pick), whole: make(map[uint32]bool)}
	for i := range s.p.Tables {
		t := &s.p.Tables[i]
		r.Selections = append(r.Selections, s.selection(i))
		if t.whole() {
			r.whole[t.OID] = true
			continue
		}
		if s.sets[i] == nil {
			s.sets[i] = newRows(s.p.shift)
		}
		s.sets[i].pack()
		r.picks[t.OID] = Pick{Rows: s.sets[i]}
	}
	if err := s.nullified(ctx, r); err != nil {
		return nil, fmt.Errorf("find references that become NULL: %w", err)
	}
	if err := s.orphans(ctx, r); err != nil {
		return nil, fmt.Errorf("count orphans: %w", err)
	}
	return r, nil
}

// piece is a part of what an edge's rows are looked at by, one query each.
type piece struct {
	e            *Edge
	i            int // the table of the rows
	rows         *Rows
	first, limit int64
	n            int64
	null         *Rows
}

// pieces cuts the kept rows that some edges start at.
func (s *search) pieces(which func(*Edge) bool) []piece {
	var out []piece
	for _, e := range s.p.Edges {
		if !which(e) {
			continue
		}
		for _, i := range e.child.leaves {
			if s.p.Tables[i].whole() {
				out = append(out, piece{e: e, i: i})
				continue
			}
			for _, part := range parts(s.sets[i].Len(), e.ParentIndexed) {
				out = append(out, piece{e: e, i: i, rows: s.sets[i], first: part[0], limit: part[1]})
			}
		}
	}
	return out
}

// nullified finds the kept rows that refer to a row that is not kept, over the
// references that may.
func (s *search) nullified(ctx context.Context, r *Result) error {
	pieces := s.pieces(func(e *Edge) bool { return len(e.Nullify) > 0 })
	err := s.sessions.each(ctx, len(pieces), func(ctx context.Context, c *session, n int) error {
		x := &pieces[n]
		// An undeclared reference may lead to several rows: one is enough.
		refer, kept := newRows(s.p.shift), newRows(s.p.shift)
		err := c.query(ctx, x.e.pairs(s.p.Tables[x.i].Name), x.rows, x.first, x.limit, func(row [][]byte) error {
			refer.addNew(row[0])
			if i, ok := s.p.byOID[binary.BigEndian.Uint32(row[1])]; ok && (s.p.Tables[i].whole() || s.sets[i].contains(row[2])) {
				kept.addNew(row[0])
			}
			return nil
		})
		x.null = refer.minus(kept)
		return blame(err, x.e.Table, x.e.settings(false))
	})
	if err != nil {
		return err
	}
	counts := make(map[*Edge]int64)
	for _, x := range pieces {
		if x.null.Len() == 0 {
			continue
		}
		counts[x.e] += x.null.Len()
		pick := r.picks[s.p.Tables[x.i].OID]
		for _, column := range x.e.Nullify {
			at := slices.IndexFunc(pick.Null, func(n NullPick) bool { return n.Column == column })
			if at < 0 {
				at = len(pick.Null)
				pick.Null = append(pick.Null, NullPick{Column: column, Rows: newRows(s.p.shift)})
			}
			pick.Null[at].Rows.merge(x.null)
		}
		r.picks[s.p.Tables[x.i].OID] = pick
	}
	s.tell(r, counts, HazardNullified, "%d rows of %s refer to rows that are left out: their (%s) becomes NULL")
	return nil
}

// orphans counts the kept rows whose row is missing at the source: its
// constraint does not hold for all rows.
func (s *search) orphans(ctx context.Context, r *Result) error {
	pieces := s.pieces(func(e *Edge) bool { return e.Unchecked })
	err := s.sessions.each(ctx, len(pieces), func(ctx context.Context, c *session, n int) (err error) {
		x := &pieces[n]
		x.n, err = c.number(ctx, x.e.orphans(s.p.Tables[x.i].Name, x.rows == nil), x.rows, x.first, x.limit)
		return err
	})
	if err != nil {
		return err
	}
	counts := make(map[*Edge]int64)
	for _, x := range pieces {
		counts[x.e] += x.n
	}
	s.tell(r, counts, HazardOrphans, "%d rows of %s refer by (%s) to rows that the source does not have: the foreign key stays unvalidated")
	return nil
}

// tell adds a hazard for each edge that has a count.
func (s *search) tell(r *Result, counts map[*Edge]int64, id, format string) {
	for _, e := range s.p.Edges {
		if n := counts[e]; n > 0 {
			r.Hazards = append(r.Hazards, twin.Hazard{ID: id, Object: e.Table.String() + " (" + names(e.Columns) + ")", Message: fmt.Sprintf(format, n, e.Table, names(e.Columns))})
		}
	}
}
