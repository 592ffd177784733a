// Package privacy decides what becomes of each column of a Twin in which no
// personal value may stand: it is masked, or may pass as it is and says why. A
// column of which neither is known refuses the run, before a row is read.
//
// Columns that hold the same values are decided together: those that foreign
// keys and declared references tie, and those of a table and its partitions or
// heirs. They have one masker, made for the narrowest of them.
package privacy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/twin"
)

// The stable names of hazards.
const (
	// HazardUnclassified is a column of which nobody has said what it holds.
	HazardUnclassified = "column_unclassified"
	// HazardImpossible is a rule that can't hold for its column.
	HazardImpossible = "mask_impossible"
	// HazardStatedSafe is a column that was stated safe and looks personal.
	HazardStatedSafe = "stated_safe_looks_personal"
	// HazardUnmatched is a rule that no column matches.
	HazardUnmatched = "mask_unmatched"
	// HazardCheck is a CHECK of a masked column that stand-ins may not satisfy.
	HazardCheck = "mask_check"
	// HazardLiteral is a definition with what looks like personal data in it.
	HazardLiteral = "literal_looks_personal"
)

// HazardIDs lists all of them.
func HazardIDs() []string {
	return []string{HazardUnclassified, HazardImpossible, HazardStatedSafe, HazardUnmatched, HazardCheck, HazardLiteral}
}

// Hard are the hazards that no acknowledgement can lift.
func Hard() []string { return []string{HazardUnclassified, HazardImpossible, HazardStatedSafe} }

// Policy is what the operator of a source says.
type Policy struct {
	// Must is set where only the operator can call safe what looks personal.
	Must bool
	// Safe and SafeTypes are as in twin.Masking, said by the operator.
	Safe, SafeTypes []string
	// Harmless are the rules of detection by which a column may pass.
	Harmless []detect.Harmless
}

// Input is what a decision depends on.
type Input struct {
	Schema  *catalog.Schema
	Facts   *catalog.Facts
	Masking twin.Masking
	// References tie columns as foreign keys do.
	References []twin.Reference
	Policy     Policy
	// Find tells what a column probably holds.
	Find   func(table uint32, column string) detect.Finding
	Secret mask.Secret
	// Empty reports whether no row of a table is copied. Nil means that all are.
	Empty func(table uint32) bool
}

// Plan is what becomes of each column. It is made by New and never changes.
type Plan struct {
	// Key names the secret.
	Key     string
	Hazards []twin.Hazard
	// Masked and Passed are the columns, of a table with partitions or heirs
	// once, ordered by name. Masked have no counts yet.
	Masked []twin.MaskedColumn
	Passed []Passed
	// Open are the columns of which nothing is said, in the schema's order. They
	// refuse the run.
	Open   []Open
	tables map[uint32]*Table
}

// Open is a column of which nothing is said.
type Open struct {
	Label   string
	Table   string // the part of Label that names its table
	Type    string // as SQL writes it
	Finding detect.Finding
	// Rule is what would mask it: what was found to fit, or what its kind
	// suggests, as long as it holds for the column and its ties.
	Rule mask.Rule
	// Tied is another column of Open that holds the same values and that this
	// one refers to, if any: a rule for that one is a rule for both.
	Tied string
}

// Passed is a column whose values pass as they are.
type Passed struct {
	Label string // as reports name it
	Why   string
	Table catalog.Name // where its values are: of partitions each is listed
	Name  string
	Kind  mask.Kind
	// Trusted is set where the operator said so.
	Trusted bool
}

// Table is how the rows of one table are masked.
type Table struct {
	// Fields are the masked columns by name.
	Fields map[string]mask.Field
	// Labels are the names under which they are reported.
	Labels map[string]string
	// Root is the partitioned table through which rows are written, where they
	// may belong to another partition once they are masked; else it is zero.
	Root catalog.Name
}

// Table gives how a table's rows are masked; nil where they are not.
func (p *Plan) Table(oid uint32) *Table {
	if p == nil {
		return nil
	}
	return p.tables[oid]
}

// column is a column of a table, with or without rows of its own.
type column struct {
	catalog.Column
	table *catalog.Table
	label string
	// up are the same column of the tables that this one inherits from.
	up []*column
	// tied is the column that speaks for all that hold the same values.
	tied *column
	rule *rule
	from string // where the rule comes from
	// referred and refers are set for what foreign keys tie.
	referred, refers bool
}

// rule is a rule of the file.
type rule struct {
	twin.MaskRule
	pattern catalog.Pattern
	matched bool
}

// planner makes one Plan.
type planner struct {
	Input
	plan    *Plan
	columns []*column // in the order of the schema
	byKey   map[key]*column
	open    []*column             // those of Plan.Open
	members map[*column][]*column // those that a column speaks for
	parents map[uint32]bool       // tables that hold no rows of their own
	rules   []*rule
	safe    [2][]catalog.Pattern // the operator's, and the file's
}

type key struct {
	table  uint32
	column string
}

// New decides. What forbids a run stands in the plan as hazards that refuse; an
// error is a pattern that is none.
func New(in Input) (*Plan, error) {
	p := &planner{
		Input: in, byKey: map[key]*column{}, parents: map[uint32]bool{},
		plan: &Plan{Key: in.Secret.ID(), tables: map[uint32]*Table{}},
	}
	if err := p.parse(); err != nil {
		return nil, err
	}
	p.gather()
	p.tie()
	p.match()
	p.agree()
	p.classify()
	p.lead()
	p.compile()
	p.reveals()
	p.unmatched()
	p.complete()
	slices.SortStableFunc(p.plan.Masked, func(a, b twin.MaskedColumn) int { return cmp.Compare(a.Column, b.Column) })
	slices.SortStableFunc(p.plan.Passed, func(a, b Passed) int { return cmp.Compare(a.Label, b.Label) })
	slices.SortStableFunc(p.plan.Hazards, func(a, b twin.Hazard) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Object, b.Object))
	})
	return p.plan, nil
}

func (p *planner) parse() error {
	for i := range p.Masking.Rules {
		r := &rule{MaskRule: p.Masking.Rules[i]}
		var err error
		if r.pattern, err = catalog.ParsePattern(r.Column, 3); err != nil {
			return fmt.Errorf("read mask rule %s: %w", r.Column, err)
		}
		p.rules = append(p.rules, r)
	}
	for i, list := range [][]string{p.Policy.Safe, p.Masking.Safe} {
		for _, text := range list {
			pattern, err := catalog.ParsePattern(text, 3)
			if err != nil {
				return fmt.Errorf("read safe column %s: %w", text, err)
			}
			p.safe[i] = append(p.safe[i], pattern)
		}
	}
	return nil
}

// gather makes the columns and links those of heirs to what they inherit.
func (p *planner) gather() {
	add := func(tables []catalog.Table, parents bool) {
		for i := range tables {
			t := &tables[i]
			p.parents[t.OID] = parents
			for _, c := range t.Columns {
				col := &column{Column: c, table: t, label: t.Name.String() + "." + plainIdent(c.Name)}
				col.tied = col
				p.columns = append(p.columns, col)
				p.byKey[key{t.OID, c.Name}] = col
			}
		}
	}
	add(p.Schema.Parents, true)
	add(p.Schema.Tables, false)
	for _, c := range p.columns {
		for _, oid := range c.table.Inherits {
			if up := p.byKey[key{oid, c.Name}]; up != nil {
				c.up = append(c.up, up)
			}
		}
	}
}

// plainIdent is a column's name for people: quoted only where it must be.
func plainIdent(name string) string { return catalog.Name{Name: name}.String() }

// root is the column under which this one is reported.
func (c *column) root() *column {
	for len(c.up) > 0 {
		c = c.up[0]
	}
	return c
}

// names calls f for the column's name and those that it inherits, nearest first,
// until f says yes.
func (c *column) names(f func(schema, table, column string) bool) bool {
	if f(c.table.Schema, c.table.Name.Name, c.Name) {
		return true
	}
	return slices.ContainsFunc(c.up, func(up *column) bool { return up.names(f) })
}

// speaker finds the column that speaks for c.
func (c *column) speaker() *column {
	for c.tied != c {
		c.tied = c.tied.tied
		c = c.tied
	}
	return c
}

// tie joins the columns that hold the same values.
func (p *planner) tie() {
	join := func(a, b *column) {
		if a != nil && b != nil {
			a.speaker().tied = b.speaker()
		}
	}
	for _, c := range p.columns {
		for _, up := range c.up {
			join(c, up)
		}
	}
	for _, k := range p.Schema.ForeignKeys {
		for i := range k.Columns {
			from, to := p.byKey[key{k.TableOID, k.Columns[i]}], p.byKey[key{k.ParentOID, k.ParentColumns[i]}]
			if from != nil && to != nil && from != to {
				from.refers, to.referred = true, true
			}
			join(from, to)
		}
	}
	for _, r := range p.References {
		if r.To == "" {
			continue
		}
		from, to := p.tableNamed(r.Table), p.tableNamed(r.To)
		for i := range min(len(r.Columns), len(r.ToColumns)) {
			join(p.byKey[key{from, r.Columns[i]}], p.byKey[key{to, r.ToColumns[i]}])
		}
	}
}

// tableNamed is 0 where there is none: a reference that names no table has
// been refused where rows are chosen.
func (p *planner) tableNamed(text string) uint32 {
	name, err := catalog.ParseTable(text)
	if err != nil {
		return 0
	}
	for _, list := range [][]catalog.Table{p.Schema.Tables, p.Schema.Parents} {
		for _, t := range list {
			if t.Name == name {
				return t.OID
			}
		}
	}
	return 0
}

// match finds the rule for each column.
func (p *planner) match() {
	for _, c := range p.columns {
		for _, exact := range []bool{true, false} {
			for _, r := range p.rules {
				if r.pattern.Exact() != exact || !c.names(func(s, t, n string) bool { return r.pattern.Match(s, t, n) }) {
					continue
				}
				r.matched = true
				if c.rule == nil {
					c.rule, c.from = r, "by its rule"
					if !exact {
						c.from = "by the rule " + r.Column
					}
				}
			}
		}
	}
}

func (p *planner) unmatched() {
	for _, r := range p.rules {
		if !r.matched {
			p.hazard(false, HazardUnmatched, r.Column, "no column matches this rule: correct it, or take it out")
		}
	}
}

func (p *planner) hazard(refuses bool, id, object, format string, args ...any) {
	p.plan.Hazards = append(p.plan.Hazards, twin.Hazard{ID: id, Object: object, Message: object + ": " + fmt.Sprintf(format, args...), Refuses: refuses})
}
