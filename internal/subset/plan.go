package subset

import (
	"fmt"
	"math"
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/twin"
)

// lookupBytes is the size below which a table that nothing relates to the roots
// is copied whole, if it refers to no other.
const lookupBytes = 10 << 20

// planner makes a Plan. It lives for one New.
type planner struct {
	s        *catalog.Schema
	byOID    map[uint32]*relation
	byName   map[catalog.Name]*relation
	plan     *Plan
	edges    []*Edge
	explicit map[*Edge]*bool // what a rule says of following
	whole    []bool          // by table, as the file says
	problems []string
}

// New makes the plan of a subset for a schema. All that is wrong with what the
// file says is in the error, which is a refusal.
func New(s *catalog.Schema, spec twin.Subset) (*Plan, error) {
	p := &planner{
		s: s, explicit: make(map[*Edge]*bool), whole: make([]bool, len(s.Tables)),
		plan: &Plan{MaxRows: spec.MaxRows, shift: places(s.BlockSize), byOID: make(map[uint32]int)},
	}
	p.relations()
	for i, t := range s.Tables {
		estimate := int64(-1)
		if t.Rows >= 0 {
			estimate = int64(t.Rows)
		}
		p.plan.byOID[t.OID] = i
		p.plan.Tables = append(p.plan.Tables, Table{OID: t.OID, Name: t.Name, Estimate: estimate, condition: t.Condition})
	}
	if spec.MaxRows < 0 {
		p.problem("max_rows is %d: write a number of rows, or leave it out", spec.MaxRows)
	}
	p.patterns(spec)
	p.roots(spec.Roots)
	p.declared()
	p.rules(spec.References)
	p.arrange()
	p.follow()
	p.reach()
	p.lookups()
	p.emptied()
	if len(p.problems) > 0 {
		return nil, twin.Refuse("the subset does not fit the source: "+strings.Join(p.problems, "; "), "correct the subset in the Twin's file")
	}
	p.hazards()
	return p.plan, nil
}

func (p *planner) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

// patterns marks the tables that are copied whole or left empty.
func (p *planner) patterns(spec twin.Subset) {
	mark := func(setting string, patterns []string, set func(leaf int)) {
		for _, text := range patterns {
			pattern, err := catalog.ParsePattern(text, 2)
			if err != nil {
				p.problem("%s: %q is no pattern of tables: %v", setting, text, err)
				continue
			}
			found := false
			for _, r := range p.byName {
				if pattern.Match(r.Table.Schema, r.Table.Name.Name) {
					found = true
					for _, i := range r.leaves {
						set(i)
					}
				}
			}
			if !found {
				p.problem("%s: no table of the source matches %q: correct it or leave it out", setting, text)
			}
		}
	}
	mark("whole", spec.Whole, func(i int) { p.whole[i] = true })
	mark("empty", spec.Empty, func(i int) { p.plan.Tables[i].empty = true })
	for i, t := range p.plan.Tables {
		if t.empty && p.whole[i] {
			p.problem("%s is matched by whole and by empty: take it out of one of them", t.Name)
		}
		if t.empty && p.s.Tables[i].Extension != "" {
			p.problem("%s belongs to the extension %s and is always whole: take it out of empty", t.Name, p.s.Tables[i].Extension)
		}
	}
}

func (p *planner) roots(roots []twin.Root) {
	for _, r := range roots {
		t, err := p.find(r.Table)
		if err != nil {
			p.problem("roots: %v", err)
			continue
		}
		p.expression(t.Table.Name, "where", r.Where)
		p.expression(t.Table.Name, "order_by", r.OrderBy)
		switch {
		case r.Limit < 0:
			p.problem("roots: the limit of %s is %d: write a number of rows, or leave it out for all", t.Table.Name, r.Limit)
		case r.OrderBy != "" && r.Limit == 0:
			p.problem("roots: order_by of %s has no limit: it says which rows a limit takes, so add one or leave it out", t.Table.Name)
		case math.IsNaN(r.Percent) || r.Percent < 0 || r.Percent > 100:
			p.problem("roots: percent of %s is %v: write a number over 0 up to 100", t.Table.Name, r.Percent)
		}
		root := Root{
			Table: t.Table.Name, Where: r.Where, OrderBy: r.OrderBy, Limit: r.Limit,
			from: t.Table.Name.SQL(), alias: t.Table.Name.Name, key: t.Key,
		}
		if r.Percent > 0 && r.Percent < 100 {
			root.Share = max(1, int64(math.Round(r.Percent*100)))
		}
		for _, i := range t.heirs {
			if p.plan.Tables[i].empty {
				if len(t.leaves) == 1 && t.leaves[0] == i {
					p.problem("%s is a root and matched by empty: take it out of one of them", t.Table.Name)
				}
				continue
			}
			p.plan.Tables[i].Rule = twin.KeptRoot
			p.plan.Tables[i].full = true
			root.into = append(root.into, i)
		}
		p.plan.Roots = append(p.plan.Roots, root)
	}
}

// expression checks the form of a person's SQL.
func (p *planner) expression(table catalog.Name, setting, sql string) {
	if sql == "" {
		return
	}
	if err := checkExpression(sql); err != nil {
		p.problem("%s of %s is no SQL expression: %v", setting, table, err)
	}
}
