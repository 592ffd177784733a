package subset

import (
	"fmt"
	"slices"

	"github.com/neontwin/neontwin/internal/catalog"
)

// relation is a table as references and roots see it: with rows of its own, or
// partitioned.
type relation struct {
	*catalog.Table
	partitioned bool
	// leaves are the tables that its rows lie in: itself, or its partitions at
	// the end of every branch.
	leaves []int
	// heirs are those, and those that inherit from it.
	heirs []int
	// node is the OID of the table that it is a part of at last, or its own:
	// what is partitioned counts as one table when levels are made.
	node uint32
}

// from is the relation as the server's foreign keys read it: with partitions,
// without what inherits.
func (r *relation) from() string {
	if r.partitioned {
		return r.Table.Name.SQL()
	}
	return "ONLY " + r.Table.Name.SQL()
}

// column finds a column of the relation.
func (r *relation) column(name string) (catalog.Column, bool) {
	for _, c := range r.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return catalog.Column{}, false
}

// meant asks after the column that a name was most likely to be.
func (r *relation) meant(name string) string {
	var names []string
	for _, c := range r.Columns {
		names = append(names, c.Name)
	}
	if word := nearest(name, names); word != "" {
		return ": did you mean " + catalog.Name{Name: word}.String() + "?"
	}
	return ""
}

// indexed reports whether rows can be found by some of the columns wherever
// they lie.
func (p *planner) indexed(r *relation, columns []string) bool {
	for _, i := range r.leaves {
		if !slices.ContainsFunc(p.s.Tables[i].Indexes, func(index []string) bool { return slices.Contains(columns, index[0]) }) {
			return false
		}
	}
	return true
}

// relations indexes the schema's tables.
func (p *planner) relations() {
	p.byOID, p.byName = make(map[uint32]*relation), make(map[catalog.Name]*relation)
	add := func(t *catalog.Table, partitioned bool) {
		r := &relation{Table: t, partitioned: partitioned}
		p.byOID[t.OID], p.byName[t.Name] = r, r
	}
	for i := range p.s.Parents {
		add(&p.s.Parents[i], true)
	}
	for i := range p.s.Tables {
		add(&p.s.Tables[i], false)
	}
	for i := range p.s.Tables {
		for oid := range p.ancestors(p.s.Tables[i].OID, false) {
			p.byOID[oid].leaves = append(p.byOID[oid].leaves, i)
		}
		for oid := range p.ancestors(p.s.Tables[i].OID, true) {
			p.byOID[oid].heirs = append(p.byOID[oid].heirs, i)
		}
	}
	for oid, r := range p.byOID {
		for r.node = oid; ; {
			up, ok := p.byOID[p.byOID[r.node].Parent]
			if !ok || !up.partitioned {
				break
			}
			r.node = up.OID
		}
	}
}

// ancestors are a table and all that it is a partition of or, if heirs is set,
// inherits from.
func (p *planner) ancestors(oid uint32, heirs bool) map[uint32]bool {
	out := map[uint32]bool{oid: true}
	for todo := []uint32{oid}; len(todo) > 0; {
		r := p.byOID[todo[0]]
		todo = todo[1:]
		for _, up := range r.Inherits {
			a, ok := p.byOID[up]
			if ok && !out[up] && (heirs || a.partitioned) {
				out[up] = true
				todo = append(todo, up)
			}
		}
	}
	return out
}

// find looks for a table by the name that a person wrote.
func (p *planner) find(text string) (*relation, error) {
	name, err := catalog.ParseTable(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no table's name: %w", text, err)
	}
	if r, ok := p.byName[name]; ok {
		return r, nil
	}
	for _, f := range p.s.Foreign {
		if f.Name == name {
			return nil, fmt.Errorf("%s is a foreign table: its rows are elsewhere, leave it out", name)
		}
	}
	for _, v := range p.s.MatViews {
		if v.Name == name {
			return nil, fmt.Errorf("%s is a materialized view: name the tables that it reads", name)
		}
	}
	if similar := p.similar(name); similar != "" {
		return nil, fmt.Errorf("the source has no table %s: did you mean %s?", name, similar)
	}
	return nil, fmt.Errorf("the source has no table %s", name)
}

// similar is a table of the same name in another schema, or of nearly that name
// in the same one, if there is one.
func (p *planner) similar(name catalog.Name) string {
	var near []string
	for _, list := range [][]catalog.Table{p.s.Parents, p.s.Tables} {
		for _, t := range list {
			if catalog.Fold(t.Name.Name) == catalog.Fold(name.Name) {
				return t.Name.String()
			}
			if t.Schema == name.Schema {
				near = append(near, t.Name.Name)
			}
		}
	}
	if word := nearest(name.Name, near); word != "" {
		return catalog.Name{Schema: name.Schema, Name: word}.String()
	}
	return ""
}

// nearest is the word that another one was most likely to be, or empty.
func nearest(word string, words []string) string {
	best, least := "", min(2, len(word)/3)+1
	for _, w := range words {
		if d := distance(word, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is how many letters must be put in, left out or replaced to make one
// word of another.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			step := corner
			if a[i] != b[j] {
				step = 1 + min(corner, row[j], row[j+1])
			}
			corner, row[j+1] = row[j+1], step
		}
	}
	return row[len(b)]
}
