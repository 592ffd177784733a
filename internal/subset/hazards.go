package subset

import (
	"fmt"

	"github.com/neontwin/neontwin/internal/twin"
)

// The stable names of hazards.
const (
	// HazardScan: a reference is looked up without an index.
	HazardScan = "subset_scan"
	// HazardUnstable: two runs may keep different rows of equal rank.
	HazardUnstable = "subset_unstable"
	// HazardOrphans: rows refer to rows that the source does not have.
	HazardOrphans = "subset_orphans"
	// HazardNullified: references of kept rows became NULL.
	HazardNullified = "subset_nullified"
)

// HazardIDs lists all of them. None refuses a run.
func HazardIDs() []string {
	return []string{HazardScan, HazardUnstable, HazardOrphans, HazardNullified}
}

// scanBytes is the size below which nobody minds that a table is read.
const scanBytes = 1 << 20

func (p *planner) hazards() {
	add := func(id, object, format string, args ...any) {
		p.plan.hazards = append(p.plan.hazards, twin.Hazard{ID: id, Object: object, Message: fmt.Sprintf(format, args...)})
	}
	for _, e := range p.plan.Edges {
		if bytes := p.bytes(e.child); e.Down && !e.Indexed && bytes >= scanBytes {
			add(HazardScan, e.Table.String()+" ("+names(e.Columns)+")", "no index of %s leads with a column of (%s): its %s are read at the source, perhaps several times, to find the rows that belong to %s",
				e.Table, names(e.Columns), twin.HumanBytes(bytes), e.Parent)
		}
		if bytes := p.bytes(e.parent); (e.Up || len(e.Nullify) > 0) && !e.ParentIndexed && bytes >= scanBytes {
			add(HazardScan, e.Parent.String()+" ("+names(e.ParentColumns)+")", "no index of %s leads with a column of (%s): its %s are read at the source, perhaps several times, to find the rows that %s refers to",
				e.Parent, names(e.ParentColumns), twin.HumanBytes(bytes), e.Table)
		}
		if e.Down && e.Limit > 0 && e.child.Key == nil {
			add(HazardUnstable, e.Table.String(), "%s has no key: of rows that its order does not tell apart, another run may keep others", e.Table)
		}
	}
	for _, r := range p.plan.Roots {
		if r.Limit > 0 && r.key == nil {
			add(HazardUnstable, r.Table.String(), "%s has no key: of rows that its order does not tell apart, another run may keep others", r.Table)
		}
	}
}

// bytes is what the pages of a table take.
func (p *planner) bytes(r *relation) int64 {
	var n int64
	for _, i := range r.leaves {
		n += p.s.Tables[i].Pages
	}
	return n * int64(p.s.BlockSize)
}
