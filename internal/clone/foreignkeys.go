package clone

import (
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtools"
)

// ForeignKey is made in two steps. To be added it wants both of its tables for
// itself, for a moment; validating it reads the rows under locks that let others
// in. Added at once, as a dump does it, foreign keys wait for each other.
type ForeignKey struct {
	Add Statement
	// Validate is empty where the source's is not valid either.
	Validate Statement
	// Table is the one that refers to Parent, by the source's OIDs.
	Table, Parent uint32
}

// relate plans the foreign keys: those that need no more than their two tables,
// and, in attach, those that come after them.
//
// Before 18 a partitioned table can't have a key that is not valid: each of its
// partitions gets one, which is validated, and then the table's own takes those
// over without reading a row. A key that refers to a partitioned table is added
// as it is, because validating it would leave its copies for the partitions not
// valid. So is what isn't understood.
func relate(s *catalog.Schema, a *pgtools.Archive, entries []pgtools.Entry) (out []ForeignKey, attach []Statement) {
	keys := make(map[uint32]catalog.ForeignKey, len(s.ForeignKeys))
	for _, k := range s.ForeignKeys {
		keys[k.OID] = k
	}
	partitioned := make(map[uint32]bool, len(s.Parents))
	for _, p := range s.Parents {
		partitioned[p.OID] = true
	}
	leaves := leavesOf(a, partitioned)
	one := func(e pgtools.Entry, oid uint32, table, of string, k catalog.ForeignKey) {
		what := statement(e).What + of
		alter, name := "ALTER TABLE ONLY "+table, " CONSTRAINT "+catalog.Ident(k.Name)
		out = append(out, ForeignKey{
			Add:      Statement{what, alter + " ADD" + name + " " + k.Definition + " NOT VALID;\n"},
			Validate: Statement{what, alter + " VALIDATE" + name + ";\n"},
			Table:    oid, Parent: k.ParentOID,
		})
	}
	for _, e := range entries {
		k, known := keys[e.OID]
		switch {
		case !known || !strings.HasSuffix(e.Defn, " "+k.Definition+";\n") || k.Validated && !k.Enforced || partitioned[k.ParentOID]:
			attach = append(attach, statement(e))
		case partitioned[k.TableOID]:
			if k.Validated && free(k, leaves[k.TableOID], s) {
				for _, leaf := range leaves[k.TableOID] {
					name := catalog.Name{Schema: leaf.Namespace, Name: leaf.Tag}
					one(e, leaf.OID, name.SQL(), " of "+name.String(), k)
				}
			}
			attach = append(attach, statement(e))
		case !k.Validated: // and stays so: its definition says it
			out = append(out, ForeignKey{Add: statement(e), Table: k.TableOID, Parent: k.ParentOID})
		default:
			one(e, k.TableOID, k.Table.SQL(), "", k)
		}
	}
	return out, attach
}

// free reports whether the name of a key is free on all leaves: one of them may
// have a constraint of its own that is called so.
func free(k catalog.ForeignKey, leaves []pgtools.Entry, s *catalog.Schema) bool {
	taken := make(map[uint32]bool)
	for _, other := range s.ForeignKeys {
		taken[other.TableOID] = taken[other.TableOID] || other.Name == k.Name
	}
	return !slices.ContainsFunc(leaves, func(leaf pgtools.Entry) bool {
		return taken[leaf.OID] || strings.Contains(leaf.Defn, "CONSTRAINT "+k.Name) || strings.Contains(leaf.Defn, "CONSTRAINT "+catalog.Ident(k.Name))
	})
}

// leavesOf lists, for each partitioned table by OID, the tables that hold its
// rows, at whatever depth.
func leavesOf(a *pgtools.Archive, partitioned map[uint32]bool) map[uint32][]pgtools.Entry {
	tables := make(map[int]pgtools.Entry)
	children := make(map[uint32][]pgtools.Entry)
	for _, e := range a.Entries {
		switch e.Desc {
		case "TABLE":
			tables[e.DumpID] = e
		case "TABLE ATTACH":
			var parent, child pgtools.Entry
			for _, id := range e.Dependencies {
				if t, ok := tables[id]; ok && t.Tag == e.Tag && t.Namespace == e.Namespace {
					child = t
				} else if ok {
					parent = t
				}
			}
			children[parent.OID] = append(children[parent.OID], child)
		}
	}
	leaves := make(map[uint32][]pgtools.Entry)
	var below func(oid uint32) []pgtools.Entry
	below = func(oid uint32) (out []pgtools.Entry) {
		for _, child := range children[oid] {
			switch {
			case child.OID == 0: // not understood: its parent reads it itself
			case partitioned[child.OID]:
				out = append(out, below(child.OID)...)
			default:
				out = append(out, child)
			}
		}
		return out
	}
	for oid := range partitioned {
		leaves[oid] = below(oid)
	}
	return leaves
}
