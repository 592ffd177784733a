package subset

import (
	"fmt"

	"github.com/neontwin/neontwin/internal/catalog"
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

// HazardIDs lists all of them. HazardScan alone may refuse a run.
func HazardIDs() []string {
	return []string{HazardScan, HazardUnstable, HazardOrphans, HazardNullified}
}

const (
	// scanBytes is the size below which nobody minds that a table is read,
	// refuseBytes the one from which an operator is asked first.
	scanBytes   = 1 << 20
	refuseBytes = 10 << 30
)

func (p *planner) hazards() {
	add := func(id, object, format string, args ...any) {
		p.plan.hazards = append(p.plan.hazards, twin.Hazard{ID: id, Object: object, Message: fmt.Sprintf(format, args...)})
	}
	scan := func(table catalog.Name, columns []string, bytes int64, format string, args ...any) {
		object := table.String() + " (" + names(columns) + ")"
		text := fmt.Sprintf("no index of %s leads with a column of (%s): its %s are read at the source, perhaps several times, to find the rows that ", table, names(columns), twin.HumanBytes(bytes)) + fmt.Sprintf(format, args...)
		h := twin.Hazard{ID: HazardScan, Object: object, Message: text, Refuses: bytes >= refuseBytes}
		if h.Refuses {
			h.Message += ": make an index, take the reference out of the subset, or accept " + HazardScan
		}
		p.plan.hazards = append(p.plan.hazards, h)
	}
	for _, e := range p.plan.Edges {
		if bytes := p.bytes(e.child); e.Down && !e.Indexed && bytes >= scanBytes {
			scan(e.Table, e.Columns, bytes, "belong to %s", e.Parent)
		}
		if bytes := p.bytes(e.parent); (e.Up || len(e.Nullify) > 0) && !e.ParentIndexed && bytes >= scanBytes {
			scan(e.Parent, e.ParentColumns, bytes, "%s refers to", e.Table)
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
