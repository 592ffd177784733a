package subset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/twin"
)

// equals is what columns of two types are compared with that have no operator
// of their own in common.
const equals = "OPERATOR(pg_catalog.=)"

// declared makes an edge of each foreign key. What belongs to an extension
// alone comes with the extension.
func (p *planner) declared() {
	for _, k := range p.s.ForeignKeys {
		child, parent := p.byOID[k.TableOID], p.byOID[k.ParentOID]
		if child == nil || parent == nil {
			continue
		}
		e := &Edge{
			Table: k.Table, Parent: k.Parent, Columns: k.Columns, ParentColumns: k.ParentColumns, Constraint: k.Name,
			Operators: k.Operators, Unchecked: !k.Validated || !k.Enforced, child: child, parent: parent,
		}
		p.add(e)
	}
}

// add completes an edge.
func (p *planner) add(e *Edge) {
	for i, name := range e.Columns {
		c, _ := e.child.column(name)
		up, _ := e.parent.column(e.ParentColumns[i])
		collation := ""
		if c.Collation != up.Collation {
			// A foreign key compares as its parent's key does.
			collation = up.Collation
		}
		e.Collations = append(e.Collations, collation)
	}
	e.Indexed, e.ParentIndexed = p.indexed(e.child, e.Columns), p.indexed(e.parent, e.ParentColumns)
	p.edges = append(p.edges, e)
}

// rules applies what the file says of references.
func (p *planner) rules(rules []twin.Reference) {
	ruled := make(map[*Edge]bool)
	for _, r := range rules {
		child, err := p.find(r.Table)
		if err != nil {
			p.problem("references: %v", err)
			continue
		}
		if !p.columns(child, r.Columns) {
			continue
		}
		p.expression(child.Table.Name, "where", r.Where)
		p.expression(child.Table.Name, "when", r.When)
		p.expression(child.Table.Name, "order_by", r.OrderBy)
		what := fmt.Sprintf("the reference %s (%s)", child.Table.Name, names(r.Columns))
		var edges []*Edge
		if r.To != "" {
			edges = p.undeclared(child, r, what)
		} else {
			edges = p.match(child, r, what)
		}
		for _, e := range edges {
			if ruled[e] {
				p.problem("%s has several rules: put them into one", what)
				continue
			}
			ruled[e] = true
			p.plan.wrote = append(p.plan.wrote, e)
			p.apply(e, r, what)
		}
	}
}

// columns checks that a table has the columns that a rule names.
func (p *planner) columns(t *relation, columns []string) bool {
	if len(columns) == 0 {
		p.problem("references: a rule for %s names no columns: write those that refer", t.Table.Name)
		return false
	}
	ok := true
	for i, name := range columns {
		if _, found := t.column(name); !found {
			p.problem("references: %s has no column %s%s", t.Table.Name, catalog.Name{Name: name}, t.meant(name))
			ok = false
		} else if slices.Contains(columns[:i], name) {
			p.problem("references: a rule for %s names the column %s twice", t.Table.Name, catalog.Name{Name: name})
			ok = false
		}
	}
	return ok
}

// match finds the declared keys that a rule is for: those of the table, or of
// its partitions.
func (p *planner) match(child *relation, r twin.Reference, what string) []*Edge {
	if r.When != "" {
		p.problem("%s has a when, which is for references that the schema does not declare: add to, or write where", what)
		return nil
	}
	var out []*Edge
	var known []string
	for _, e := range p.edges {
		if e.Constraint == "" || e.child != child && !contained(e.child, child) {
			continue
		}
		if same(e.Columns, r.Columns) {
			out = append(out, e)
			continue
		}
		if text := "(" + names(e.Columns) + ") to " + e.Parent.String(); !slices.Contains(known, text) {
			known = append(known, text)
		}
	}
	if len(out) > 0 {
		return out
	}
	if len(known) == 0 {
		p.problem("%s is no foreign key, and the table has none: add to and to_columns if its rows refer to others all the same", what)
		return nil
	}
	p.problem("%s is no foreign key: the table has %s, or add to and to_columns for one that is not declared", what, strings.Join(known, ", "))
	return nil
}

// contained reports whether one table is a partition of the other.
func contained(leaf, of *relation) bool {
	return of.partitioned && len(leaf.leaves) > 0 && !slices.ContainsFunc(leaf.leaves, func(i int) bool { return !slices.Contains(of.leaves, i) })
}

// same reports whether two lists hold the same columns in any order.
func same(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(c string) bool { return !slices.Contains(b, c) })
}

// undeclared makes the edge of a reference that the schema does not declare.
func (p *planner) undeclared(child *relation, r twin.Reference, what string) []*Edge {
	parent, err := p.find(r.To)
	if err != nil {
		p.problem("%s: %v", what, err)
		return nil
	}
	to := r.ToColumns
	if len(to) == 0 {
		to = parent.Key
	}
	if len(to) != len(r.Columns) {
		p.problem("%s needs as many to_columns as columns: write %d columns of %s", what, len(r.Columns), parent.Table.Name)
		return nil
	}
	if !p.columns(parent, to) {
		return nil
	}
	e := &Edge{Table: child.Table.Name, Parent: parent.Table.Name, Columns: r.Columns, ParentColumns: to, When: r.When, child: child, parent: parent}
	for _, other := range p.edges {
		if other.child != child || other.parent != parent || !slices.Equal(other.Columns, e.Columns) || other.When != e.When {
			continue
		}
		if other.Constraint != "" {
			p.problem("%s is declared as the foreign key %s: leave out to and to_columns", what, catalog.Name{Name: other.Constraint})
		} else {
			p.problem("%s to %s is there twice: put the two into one, or tell them apart by when", what, parent.Table.Name)
		}
		return nil
	}
	for i, name := range e.Columns {
		c, _ := child.column(name)
		up, _ := parent.column(to[i])
		e.Operators = append(e.Operators, p.operator(c, up))
	}
	p.add(e)
	return []*Edge{e}
}

// operator compares columns of an undeclared reference: as their type does, so
// that text that ignores case still does, or as the server's own = for the two.
// Whether there is one, only the server knows.
func (p *planner) operator(a, b catalog.Column) string {
	x, y := p.base(a.TypeOID), p.base(b.TypeOID)
	if op := p.s.Types[x].Equal; x == y && op != "" {
		return op
	}
	return equals
}

// base is what a domain is made of.
func (p *planner) base(oid uint32) uint32 {
	for range 64 { // a domain over a domain over ..
		t := p.s.Types[oid]
		if t.Kind != catalog.TypeDomain || len(t.Of) == 0 {
			break
		}
		oid = t.Of[0]
	}
	return oid
}

// apply puts a rule on an edge.
func (p *planner) apply(e *Edge, r twin.Reference, what string) {
	p.explicit[e] = r.Follow
	e.Where, e.OrderBy, e.Limit = r.Where, r.OrderBy, r.Limit
	restricted := r.Where != "" || r.OrderBy != "" || r.Limit != 0
	switch {
	case r.Limit < 0:
		p.problem("%s has the limit %d: write a number of rows, or leave it out for all", what, r.Limit)
	case r.OrderBy != "" && r.Limit == 0:
		p.problem("%s has an order_by without a limit: it says which rows a limit takes, so add one or leave it out", what)
	case restricted && r.Follow != nil && !*r.Follow:
		p.problem("%s is not followed, so that where, limit and order_by mean nothing: leave them out", what)
	}
	if r.Nullify {
		p.nullify(e, what)
	}
}

// nullify finds the columns that can become NULL. One is enough for a reference
// that takes the others as they are, MATCH FULL wants all of them.
func (p *planner) nullify(e *Edge, what string) {
	if e.child.Extension != "" {
		p.problem("%s can't be nullified: the rows belong to an extension", what)
		return
	}
	full := slices.ContainsFunc(p.s.ForeignKeys, func(k catalog.ForeignKey) bool {
		return k.Name == e.Constraint && k.TableOID == e.child.OID && k.Match == "f"
	})
	for _, name := range e.Columns {
		c, _ := e.child.column(name)
		if !p.notNull(e.child, name) && c.Generated == "" {
			e.Nullify = append(e.Nullify, name)
		}
	}
	if len(e.Nullify) == 0 || full && len(e.Nullify) < len(e.Columns) {
		e.Nullify = nil
		p.problem("%s can't be nullified: its columns take no NULL, so leave on_missing out", what)
		return
	}
	for _, k := range p.s.ForeignKeys {
		for _, name := range e.Nullify {
			switch child, parent := p.byOID[k.TableOID], p.byOID[k.ParentOID]; {
			case child == nil || parent == nil:
			case k.Name != e.Constraint && k.Match == "f" && len(k.Columns) > 1 && child.node == e.child.node && slices.Contains(k.Columns, name):
				p.problem("%s can't be nullified: %s is part of the foreign key %s, which is NULL as a whole or not at all", what, catalog.Name{Name: name}, k.Name)
			case parent.node == e.child.node && slices.Contains(k.ParentColumns, name):
				p.problem("%s can't be nullified: %s refers to %s, so leave on_missing out", what, k.Table, catalog.Name{Name: name})
			}
		}
	}
}

// notNull reports whether a column takes no NULL wherever the rows lie.
func (p *planner) notNull(r *relation, name string) bool {
	if c, _ := r.column(name); c.NotNull {
		return true
	}
	for _, i := range r.leaves {
		leaf := &relation{Table: &p.s.Tables[i]}
		if c, _ := leaf.column(name); c.NotNull {
			return true
		}
	}
	return false
}
