package privacy

import (
	"slices"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/twin"
)

// reveals refuses rules that pass parts of documents as they are, where only the
// operator can say that those are nobody's.
func (p *planner) reveals() {
	if !p.Policy.Must {
		return
	}
	said := map[*column]bool{}
	for _, c := range p.columns {
		if c.rule == nil || said[c.root()] || !keeps(ruleOf(c.rule.Mask)) {
			continue
		}
		if _, ok := p.stated(c, 0); ok {
			continue
		}
		said[c.root()] = true
		p.hazard(true, HazardStatedSafe, c.root().label, "its rule keeps parts of a document as they are, and only the operator can call them safe: mask them too, or the operator adds the column to safe of the source")
	}
}

// keeps reports whether a rule passes any value on.
func keeps(r mask.Rule) bool {
	return r.Class == mask.Keep || r.Rest != nil && keeps(*r.Rest) || slices.ContainsFunc(r.Paths, func(p mask.PathRule) bool { return keeps(p.Rule) })
}

// complete holds the plan to what it promises, whatever was decided on the way:
// each column of which values are copied is masked, passes for a reason, or is
// why the run is refused.
func (p *planner) complete() {
	if slices.ContainsFunc(p.plan.Hazards, func(h twin.Hazard) bool { return h.Refuses }) {
		return
	}
	passed := map[passedKey]bool{}
	for _, c := range p.plan.Passed {
		passed[passedKey{c.Table, c.Name}] = true
	}
	for _, c := range p.columns {
		if p.parents[c.table.OID] || c.Generated != "" || p.Empty != nil && p.Empty(c.table.OID) || passed[passedKey{c.table.Name, c.Name}] {
			continue
		}
		if t := p.plan.tables[c.table.OID]; t == nil || t.Fields[c.Name].Masker == nil {
			p.hazard(true, HazardImpossible, c.label, "nothing was decided of it; report this as a defect")
		}
	}
}

type passedKey struct {
	table  catalog.Name
	column string
}
