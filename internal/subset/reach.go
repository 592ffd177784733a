package subset

import (
	"slices"

	"github.com/neontwin/neontwin/internal/twin"
)

// arrange puts the tables in levels and finds the edges of cycles. A table of
// which nothing is copied stands in nobody's way.
func (p *planner) arrange() {
	nodes := make(map[uint32]*node)
	var order []*node
	for _, t := range p.s.Tables {
		id := p.byOID[t.OID].node
		if nodes[id] == nil {
			nodes[id] = &node{}
			order = append(order, nodes[id])
		}
	}
	related := func(e *Edge) bool { return !p.allEmpty(e.child) && !p.allEmpty(e.parent) }
	for _, e := range p.edges {
		if related(e) {
			child, parent := nodes[e.child.node], nodes[e.parent.node]
			child.refers = append(child.refers, parent)
		}
	}
	layer(order)
	for _, e := range p.edges {
		e.Cycle = related(e) && nodes[e.child.node].component == nodes[e.parent.node].component
	}
	for i, t := range p.s.Tables {
		p.plan.Tables[i].Level = nodes[p.byOID[t.OID].node].level
		p.plan.levels = max(p.plan.levels, p.plan.Tables[i].Level+1)
	}
}

// allEmpty reports whether nothing of a table is copied, or it has no place for
// rows.
func (p *planner) allEmpty(r *relation) bool {
	return !slices.ContainsFunc(r.leaves, func(i int) bool { return !p.plan.Tables[i].empty })
}

// node is a table in the graph of references.
type node struct {
	refers           []*node
	level, component int

	index, low int
	onStack    bool
}

// layer finds the components in which all tables refer to each other, over
// others or not, and puts each one level above all that it refers to. It is
// Tarjan's algorithm, which meets a component after those that it refers to.
func layer(nodes []*node) {
	var stack []*node
	index, component := 0, 0
	var visit func(n *node)
	visit = func(n *node) {
		index++
		n.index, n.low, n.onStack = index, index, true
		stack = append(stack, n)
		for _, to := range n.refers {
			if to.index == 0 {
				visit(to)
				n.low = min(n.low, to.low)
			} else if to.onStack {
				n.low = min(n.low, to.index)
			}
		}
		if n.low != n.index {
			return
		}
		component++
		at := slices.Index(stack, n)
		members := stack[at:]
		stack = stack[:at]
		level := 0
		for _, m := range members {
			m.onStack, m.component = false, component
		}
		for _, m := range members {
			for _, to := range m.refers {
				if to.component != component {
					level = max(level, to.level+1)
				}
			}
		}
		for _, m := range members {
			m.level = level
		}
	}
	for _, n := range nodes {
		if n.index == 0 {
			visit(n)
		}
	}
}

// follow decides which edges are followed from a row to those that refer to it.
func (p *planner) follow() {
	for _, e := range p.edges {
		asked := p.explicit[e]
		e.Follow = !e.Cycle
		if asked != nil {
			e.Follow = *asked
		}
		if !e.Follow && asked == nil && (e.Where != "" || e.Limit > 0) {
			p.problem("the reference %s (%s) is part of a cycle and is not followed by itself: add follow: true, or leave out where and limit", e.Table, names(e.Columns))
		}
	}
}

// reach finds the tables of which rows may be kept, and the edges that may
// bring some.
func (p *planner) reach() {
	tables := p.plan.Tables
	for changed := true; changed; {
		changed = false
		for _, e := range p.edges {
			if !e.Follow || e.Down || !slices.ContainsFunc(e.parent.leaves, func(i int) bool { return tables[i].full }) {
				continue
			}
			for _, i := range e.child.leaves {
				if !tables[i].empty {
					e.Down, changed = true, true
					tables[i].full = true
					p.keep(i, twin.KeptReached)
				}
			}
		}
	}
	for i := range tables {
		switch extension := p.s.Tables[i].Extension; {
		case extension != "":
			tables[i].Rule, tables[i].Why = twin.KeptWhole, "it belongs to the extension "+extension
		case p.whole[i]:
			tables[i].Rule, tables[i].Why = twin.KeptWhole, "asked for as a whole"
		}
	}
	for changed := true; changed; {
		changed = false
		for _, e := range p.edges {
			if e.Up || len(e.Nullify) > 0 || !slices.ContainsFunc(e.child.leaves, func(i int) bool { return tables[i].Rule != "" }) {
				continue
			}
			e.Up, changed = true, true
			for _, i := range e.parent.leaves {
				if !tables[i].empty {
					p.keep(i, twin.KeptReached)
				}
			}
		}
	}
	for _, e := range p.edges {
		kept := func(r *relation) bool {
			return slices.ContainsFunc(r.leaves, func(i int) bool { return tables[i].Rule != "" })
		}
		if !kept(e.child) {
			continue
		}
		p.plan.Edges = append(p.plan.Edges, e)
		for _, i := range e.child.leaves {
			tables[i].listed = tables[i].listed || len(e.Nullify) > 0 && tables[i].Rule == twin.KeptWhole
		}
	}
}

func (p *planner) keep(i int, rule twin.Rule) {
	if t := &p.plan.Tables[i]; t.Rule == "" {
		t.Rule = rule
	}
}

// lookups gives the tables that nothing has reached their rule. Small ones that
// refer to nothing are what applications look things up in.
func (p *planner) lookups() {
	type whole struct {
		bytes           int64
		refers, reached bool
	}
	nodes := make(map[uint32]*whole)
	at := func(oid uint32) *whole {
		id := p.byOID[oid].node
		if nodes[id] == nil {
			nodes[id] = &whole{}
		}
		return nodes[id]
	}
	for i, t := range p.s.Tables {
		n := at(t.OID)
		n.bytes += t.Bytes
		n.reached = n.reached || p.plan.Tables[i].Rule != ""
	}
	for _, e := range p.edges {
		at(e.child.OID).refers = true
	}
	for i := range p.plan.Tables {
		t := &p.plan.Tables[i]
		n := at(t.OID)
		switch {
		case t.empty:
			t.Rule, t.Why = twin.KeptNothing, "left empty"
		case t.Rule != "":
		case n.reached:
			t.Rule, t.Why = twin.KeptNothing, "nothing leads here from a root"
		case n.refers:
			t.Rule, t.Why = twin.KeptNothing, "not related to any root"
		case len(p.plan.Roots) == 0:
			t.Rule, t.Why = twin.KeptNothing, "not asked for"
		case n.bytes >= lookupBytes:
			t.Rule, t.Why = twin.KeptNothing, "not related to any root, and too large to be copied unasked"
		default:
			t.Rule, t.Why = twin.KeptWhole, "small, and not related to any root"
		}
	}
}

// emptied finds the references that would lead to tables that are left empty.
func (p *planner) emptied() {
	type pair struct{ table, columns string }
	told := make(map[pair]bool)
	for _, e := range p.plan.Edges {
		if len(e.Nullify) > 0 {
			continue
		}
		for _, i := range e.parent.leaves {
			if key := (pair{e.Table.String(), names(e.Columns)}); p.plan.Tables[i].empty && !told[key] {
				told[key] = true
				p.problem("%s is left empty, but rows of %s (%s) refer to it: %s", p.plan.Tables[i].Name, e.Table, names(e.Columns), p.wayOut(e))
			}
		}
	}
}

func (p *planner) wayOut(e *Edge) string {
	nullable := slices.ContainsFunc(e.Columns, func(c string) bool { return !p.notNull(e.child, c) })
	if nullable {
		return "write on_missing: nullify for that reference, or take the table out of empty"
	}
	return "the columns take no NULL, so take the table out of empty"
}
