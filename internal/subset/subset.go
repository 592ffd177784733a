// Package subset decides which rows a partial Twin keeps: those that are asked
// for, those that belong to them, and every row that a kept row refers to.
//
// It knows rows by where they lie under one snapshot, so that it needs no key,
// no temporary table and no privilege but to read, and a cycle of references is
// nothing special. It works in two passes over the references, which are put in
// levels: parents above children, what refers to each other in a circle on one
// level. The first pass goes down from the roots along the references that are
// followed. The second goes up from all that is kept, and finds what it refers
// to. Rows that are found on the way up don't bring their children: else a
// single order would bring its customer, and with him every other order.
package subset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/twin"
)

// Plan is what a subset means for one schema, before any row was read.
type Plan struct {
	Roots []Root
	// Edges are all references between tables of which something may be kept.
	Edges []*Edge
	// Tables are those that hold rows, partitions each for itself, in the
	// schema's order.
	Tables []Table
	// MaxRows is how many rows may be kept; 0 is no bound.
	MaxRows int64

	// wrote are the edges that a person has written something of, used or not.
	wrote   []*Edge
	levels  int
	byOID   map[uint32]int // place in Tables
	shift   uint
	hazards []twin.Hazard
}

// Root is where a subset begins.
type Root struct {
	Table          catalog.Name
	Where, OrderBy string
	Limit          int64
	// Share is how many of ten thousand rows are kept; 0 means all.
	Share int64

	from  string // the table and all that inherit from it
	alias string
	key   []string
	into  []int // the tables that its rows lie in
}

// Edge is a reference from one table to another, declared or not.
type Edge struct {
	Table, Parent          catalog.Name
	Columns, ParentColumns []string
	// Constraint is empty where the schema does not declare it.
	Constraint string
	// Operators compare a column of Parent with one of Table. Collations, where
	// not empty, are what they compare by.
	Operators, Collations []string
	// Cycle is set where Parent refers to Table too, over other tables or not.
	Cycle bool
	// Follow is set where the rows that refer to a kept row are kept, of those
	// that satisfy Where so many of each row as Limit says.
	Follow         bool
	When           string
	Where, OrderBy string
	Limit          int64
	// Nullify are the columns that become NULL where the row that is referred to
	// is not kept; then it is not kept for this reference's sake.
	Nullify []string
	// Down and Up say whether rows may be found along it in that direction.
	Down, Up bool
	// Indexed and ParentIndexed say whether rows of Table and of Parent are
	// found by its columns without reading all of them.
	Indexed, ParentIndexed bool
	// Unchecked is set where the server lets orphans stand.
	Unchecked bool

	child, parent *relation
}

// Table is what is known beforehand of a table that holds rows.
type Table struct {
	OID uint32
	catalog.Name
	Rule twin.Rule
	// Why says it in words, where no row does.
	Why string
	// Level is 0 for tables that refer to no other, and higher than that of all
	// tables that it refers to but those that it is in a cycle with.
	Level int
	// Estimate is the source's idea of how many rows it has, -1 if it has none.
	Estimate int64

	condition string // of an extension's configuration table
	empty     bool
	full      bool // may have rows whose children are followed
	listed    bool // whole, but its rows must be known one by one
}

// whole reports whether nobody needs to know which rows are kept.
func (t *Table) whole() bool { return t.Rule == twin.KeptWhole && !t.listed }

// Empty reports whether no row of a table will be kept.
func (p *Plan) Empty(table uint32) bool {
	return slices.ContainsFunc(p.Tables, func(t Table) bool { return t.OID == table && t.Rule == twin.KeptNothing })
}

// Hazards lists what a person should know before the rows are looked for.
func (p *Plan) Hazards() []twin.Hazard { return p.hazards }

// String prints the plan, for people and for tests.
func (p *Plan) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, r := range p.Roots {
		line("root %s%s", r.Table, r.words())
	}
	for _, e := range p.Edges {
		line("reference %s%s", e, e.words())
	}
	for level := range p.levels {
		for _, t := range p.Tables {
			if t.Level == level {
				why := ""
				if t.Why != "" {
					why = ": " + t.Why
				}
				line("table %d %s %s%s", level, t.Name, t.Rule, why)
			}
		}
	}
	if p.MaxRows > 0 {
		line("at most %d rows", p.MaxRows)
	}
	for _, h := range p.hazards {
		line("hazard %s %s: %s", h.ID, h.Object, h.Message)
	}
	return b.String()
}

func (r Root) words() string {
	out := ""
	if r.Where != "" {
		out += " where " + r.Where
	}
	if r.Share > 0 {
		out += fmt.Sprintf(" share %d/10000", r.Share)
	}
	if r.Limit > 0 {
		out += fmt.Sprintf(" limit %d order by %s", r.Limit, strings.Join(r.order(), ", "))
	}
	return out
}

// String names the reference as a person knows it.
func (e *Edge) String() string {
	return fmt.Sprintf("%s (%s) to %s (%s)", e.Table, names(e.Columns), e.Parent, names(e.ParentColumns))
}

func (e *Edge) words() string {
	out := " by"
	for i, op := range e.Operators {
		out += " " + op
		if e.Collations[i] != "" {
			out += " COLLATE " + e.Collations[i]
		}
	}
	if e.Constraint == "" {
		out += ", undeclared"
	}
	if e.When != "" {
		out += ", when " + e.When
	}
	if e.Cycle {
		out += ", in a cycle"
	}
	if len(e.Nullify) > 0 {
		out += ", nullify " + names(e.Nullify)
	}
	if e.Up {
		out += ", up"
		if !e.ParentIndexed {
			out += " without an index"
		}
	}
	if e.Down {
		out += ", down"
		if !e.Indexed {
			out += " without an index"
		}
		if e.Where != "" {
			out += " where " + e.Where
		}
		if e.Limit > 0 {
			out += fmt.Sprintf(" limit %d order by %s", e.Limit, strings.Join(e.order(""), ", "))
		}
	}
	return out
}

// names lists columns for a person.
func names(columns []string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = catalog.Name{Name: c}.String()
	}
	return strings.Join(out, ", ")
}
