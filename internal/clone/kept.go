package clone

import "github.com/neontwin/neontwin/internal/catalog"

// unranked is the rank of all tables but those of extensions.
const unranked = 1 << 20

// ranks orders the configuration tables of extensions: each comes after those
// that it refers to, as its foreign keys are made with the extension. Where they
// refer to each other in a circle no order is right.
func ranks(tables []catalog.Table) map[uint32]int {
	kept := make(map[uint32]catalog.Table)
	rank := make(map[uint32]int, len(tables))
	for _, t := range tables {
		rank[t.OID] = unranked
		if t.Extension != "" {
			kept[t.OID] = t
			rank[t.OID] = 0
		}
	}
	// A chain is no longer than there are tables.
	for range kept {
		for oid, t := range kept {
			for _, parent := range t.Refers {
				if _, ok := kept[parent]; ok {
					rank[oid] = min(max(rank[oid], rank[parent]+1), len(kept))
				}
			}
		}
	}
	return rank
}
