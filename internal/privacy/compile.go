package privacy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/twin"
)

// kind is the kind of a column's values, and whether they stand in an array.
func (p *planner) kind(c *column) (mask.Kind, bool) {
	col := mask.ColumnOf(p.Schema, c.Column)
	if col.Elem != nil {
		return col.Elem.Kind, true
	}
	return col.Kind, false
}

// fact is all that a masker must know of a column.
func (p *planner) fact(c *column) mask.Column {
	written := c.Column
	notNull := c.NotNull
	var checks []catalog.Check
	// A domain's length is that of the type that it is made of.
	for oid := c.TypeOID; ; {
		d, ok := p.Facts.Domains[oid]
		if !ok {
			break
		}
		notNull = notNull || d.NotNull
		checks = append(checks, p.Facts.Checks[oid]...)
		t := p.Schema.Types[oid]
		if written.Type = d.Base; len(t.Of) != 1 {
			break
		}
		oid = t.Of[0]
	}
	col := mask.ColumnOf(p.Schema, written)
	col.Name, col.NotNull = c.label, notNull
	value := &col
	if col.Elem != nil {
		value = col.Elem
	}
	if value.Kind == mask.Enum {
		value.Labels = p.Facts.Labels[value.OID]
	}
	for _, u := range p.uniques(c) {
		if slices.Contains(u.Columns, c.Name) {
			col.Unique = true
		}
	}
	col.Values = p.Facts.Distinct[c.table.OID][c.Name]
	for _, check := range p.Facts.Checks[c.table.OID] {
		if slices.Contains(check.Columns, c.Name) {
			checks = append(checks, check)
		}
	}
	if col.Elem == nil {
		p.bound(c, &col, checks)
	}
	return col
}

// uniques are those of a column's table, with the keys by which the tables
// above it are partitioned.
func (p *planner) uniques(c *column) []catalog.Unique {
	out := p.Facts.Uniques[c.table.OID]
	for _, up := range c.up {
		for _, u := range p.uniques(up) {
			if u.Kind == catalog.UniquePartition {
				out = append(slices.Clip(out), u)
			}
		}
	}
	return out
}

// bound tells the column what its CHECKs say. Those that are not understood are
// hazards: the target holds to them, and a stand-in that it does not take fails
// the run.
func (p *planner) bound(c *column, col *mask.Column, checks []catalog.Check) {
	for _, check := range checks {
		name := c.Name
		if len(check.Columns) == 0 {
			name = "VALUE"
		}
		alike := func(other token) bool { return p.moveAlike(c, other) }
		if !understood(check.Expression, name, col, alike) && c.rule != nil && !passes(c.rule) && c.root() == c {
			p.hazard(false, HazardCheck, c.label, "the CHECK %s is about it, and stand-ins may not satisfy it: the run fails then, and says so", plainIdent(check.Name))
		}
	}
}

// moveAlike reports whether a name is that of a column of c's table whose dates
// move by as much as c's in each row: those of one person do.
func (p *planner) moveAlike(c *column, name token) bool {
	return slices.ContainsFunc(p.columns, func(other *column) bool {
		return other.table == c.table && name.names(other.Name) && c.rule != nil && other.rule != nil && c.rule.By != "" &&
			mask.Class(c.rule.Class) == mask.DateShift && reflect.DeepEqual(c.rule.Mask, other.rule.Mask)
	})
}

// passes reports whether a rule satisfies any CHECK: NULL does.
func passes(r *rule) bool { return mask.Class(r.Class) == mask.Null }

// ruleOf is a rule in the words of the maskers.
func ruleOf(m twin.Mask) mask.Rule {
	r := mask.Rule{
		Class: mask.Class(m.Class), Domain: m.Domain, Value: m.Value, Values: m.Values, Keep: m.Keep, KeepDomain: m.KeepDomain,
		Locale: m.Locale, Days: m.Days, Percent: m.Percent, Unit: m.Unit, Max: m.Max,
	}
	for _, path := range m.Paths {
		r.Paths = append(r.Paths, mask.PathRule{Path: path.Path, Rule: ruleOf(path.Mask)})
	}
	if m.Rest != nil {
		rest := ruleOf(*m.Rest)
		r.Rest = &rest
	}
	return r
}

// group are columns that share one masker, because equal values of theirs must
// have equal stand-ins.
type group struct {
	members []*column
	facts   []mask.Column
}

// compile makes the maskers.
func (p *planner) compile() {
	groups := map[string]*group{}
	var order []string
	for _, c := range p.columns {
		if c.rule == nil || c.Generated != "" {
			continue
		}
		if !p.possible(c) {
			continue
		}
		fact := p.fact(c)
		id := p.shares(c, fact)
		if groups[id] == nil {
			groups[id] = &group{}
			order = append(order, id)
		}
		groups[id].members = append(groups[id].members, c)
		groups[id].facts = append(groups[id].facts, fact)
	}
	reported := map[*column]*twin.MaskedColumn{}
	for _, id := range order {
		p.make(groups[id], reported)
	}
	for _, c := range p.columns { // in the order of the schema
		if m := reported[c]; m != nil {
			p.plan.Masked = append(p.plan.Masked, *m)
		}
	}
}

// shares names the group of a column: by what its values mean, by how they are
// masked and by their kind. Columns that are held to bounds of their own share
// only with those that they are tied to.
func (p *planner) shares(c *column, fact mask.Column) string {
	options, err := json.Marshal(c.rule.Mask)
	if err != nil { // plain data always can
		options = []byte(c.rule.Class)
	}
	value := fact
	if fact.Elem != nil {
		value = *fact.Elem
	}
	id := fmt.Sprintf("%s %s %d", options, ruleOf(c.rule.Mask).Meaning(), value.Kind)
	if value.Kind == mask.Enum || value.Kind == mask.Other {
		id += fmt.Sprintf(" type %d", value.OID)
	}
	bounded := len(value.Allowed) > 0 || value.Least != "" || value.Most != "" || value.Span != nil || value.MinLen > 0 || value.Precision > 0
	if c.rule.Domain == "" && (bounded || !correlates[mask.Class(c.rule.Class)]) {
		id += fmt.Sprintf(" as %p", c.speaker())
	}
	return id
}

// correlates are the classes by which people join tables without a foreign key.
var correlates = map[mask.Class]bool{
	mask.Hash: true, mask.UUIDClass: true, mask.FirstName: true, mask.LastName: true, mask.FullName: true, mask.Username: true,
	mask.Email: true, mask.Phone: true, mask.Street: true, mask.City: true, mask.PostalCode: true, mask.Company: true, mask.URL: true,
	mask.IPClass: true, mask.MACClass: true, mask.IBAN: true, mask.Card: true, mask.NationalID: true, mask.Integer: true,
}

// make builds the masker of a group, for the narrowest of its columns.
func (p *planner) make(g *group, reported map[*column]*twin.MaskedColumn) {
	rule := ruleOf(g.members[0].rule.Mask)
	masker, err := mask.New(rule, narrowest(g.facts), p.Secret)
	if err != nil {
		p.blame(g, rule, err)
		return
	}
	for i, c := range g.members {
		if p.parents[c.table.OID] {
			continue
		}
		t := p.plan.tables[c.table.OID]
		if t == nil {
			t = &Table{Fields: map[string]mask.Field{}, Labels: map[string]string{}}
			p.plan.tables[c.table.OID] = t
		}
		fact := g.facts[i]
		fact.Name = c.Name
		t.Fields[c.Name] = mask.Field{Column: fact, Masker: masker, By: c.rule.By}
		t.Labels[c.Name] = c.root().label
		if root := p.rerouted(c); root != nil {
			t.Root = root.Name
		}
		if reported[c.root()] == nil {
			reported[c.root()] = &twin.MaskedColumn{Column: c.root().label, Class: c.rule.Class, Domain: rule.Meaning(), Why: c.root().from}
		}
	}
}

// blame says which columns a masker can't be made for.
func (p *planner) blame(g *group, rule mask.Rule, err error) {
	found := false
	seen := map[*column]bool{}
	for i, c := range g.members {
		_, own := mask.New(rule, g.facts[i], p.Secret)
		if own == nil || seen[c.root()] {
			continue
		}
		found = true
		seen[c.root()] = true
		p.hazard(true, HazardImpossible, c.root().label, "%s", reason(own))
	}
	if !found {
		p.hazard(true, HazardImpossible, g.members[0].root().label, "it shares its stand-ins with %d other columns, for which: %s; give some of them a domain of their own", len(g.members)-1, reason(err))
	}
}

// reason is what an error says beside the column's name.
func reason(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		return inner.Error()
	}
	return err.Error()
}

// narrowest is a column whose stand-ins fit all of facts.
func narrowest(facts []mask.Column) mask.Column {
	out := facts[0]
	if out.Elem != nil {
		elem := *out.Elem
		out.Elem = &elem
	}
	for _, f := range facts[1:] {
		out.Unique = out.Unique || f.Unique
		out.NotNull = out.NotNull || f.NotNull
		out.Values = max(out.Values, f.Values)
		into, from := &out, f
		if out.Elem != nil {
			into = out.Elem
		}
		if f.Elem != nil {
			from = *f.Elem
		}
		if from.MaxLen > 0 && (into.MaxLen == 0 || from.MaxLen < into.MaxLen) {
			into.MaxLen = from.MaxLen
		}
		into.MinLen = max(into.MinLen, from.MinLen)
		if from.Precision > 0 && (into.Precision == 0 || from.Precision-from.Scale < into.Precision-into.Scale) {
			into.Precision, into.Scale = from.Precision, from.Scale
		}
		into.Least = tighter(into.Least, from.Least, 1)
		into.Most = tighter(into.Most, from.Most, -1)
		if from.Span != nil {
			within(*from.Span, into)
		}
		if into.Kind == mask.Int && width(from.OID) < width(into.OID) {
			into.OID = from.OID
		}
		if into.Allowed == nil {
			into.Allowed = from.Allowed
		} else if from.Allowed != nil {
			into.Allowed = slices.DeleteFunc(slices.Clone(into.Allowed), func(v string) bool { return !slices.Contains(from.Allowed, v) })
		}
	}
	return out
}

// tighter is the narrower of two bounds: the larger one of least values (1),
// the smaller one of most (-1).
func tighter(a, b string, sign int) string {
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	if errA != nil || errB == nil && cmp.Compare(y, x)*sign > 0 {
		return b
	}
	return a
}

// width orders the integer types.
func width(oid uint32) int {
	switch oid {
	case 21: // int2
		return 2
	case 23: // int4
		return 4
	}
	return 8
}

// possible checks what a masker can't: where rows belong, sequences, and whom a
// row is about.
func (p *planner) possible(c *column) bool {
	ok := true
	refuse := func(format string, args ...any) {
		ok = false
		known := len(p.plan.Hazards)
		p.hazard(true, HazardImpossible, c.root().label, format, args...)
		if last := p.plan.Hazards[known]; slices.Contains(p.plan.Hazards[:known], last) { // of a partition or heir before
			p.plan.Hazards = p.plan.Hazards[:known]
		}
	}
	for _, u := range p.Facts.Uniques[c.table.OID] {
		if u.Kind == catalog.UniquePartition && slices.Contains(u.Columns, c.Name) && u.Strategy != "h" && !u.Default {
			refuse("its table is partitioned by %s, and a stand-in may belong to no partition: add a DEFAULT partition, or leave the column as it is", u.Name)
		}
	}
	if mask.Class(c.rule.Class) == mask.Integer && c.rule.Max == 0 {
		for _, q := range p.Schema.Sequences {
			if q.OwnerTableOID == c.table.OID && q.OwnerColumn == c.Name {
				refuse("the sequence %s would begin past the largest stand-in, near the end of its range: give the rule a max, such as {class: integer, max: 10000000}", q.Name)
			}
		}
	}
	if c.rule.By != "" && !slices.ContainsFunc(c.table.Columns, func(o catalog.Column) bool { return o.Name == c.rule.By }) {
		refuse("its rule says by: %s, and %s has no such column", c.rule.By, c.table.Name)
	}
	return ok
}

// rerouted is the partitioned table through which the rows of a partition are
// written, if masking c may send them to another partition.
func (p *planner) rerouted(c *column) *catalog.Table {
	if !c.table.Partition {
		return nil
	}
	keyed := false
	for _, u := range p.uniques(c) {
		keyed = keyed || u.Kind == catalog.UniquePartition && slices.Contains(u.Columns, c.Name)
	}
	if !keyed {
		return nil
	}
	for len(c.up) > 0 {
		c = c.up[0]
	}
	return c.table
}
