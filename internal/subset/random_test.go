package subset_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/subset"
	"github.com/neontwin/neontwin/internal/twin"
)

// world is a random schema with its rows, as this test knows them.
type world struct {
	r      *rand.Rand
	tables []*wTable
	edges  []*wEdge
	spec   twin.Subset
}

type wTable struct {
	name   string
	leaves []string
	key    []string
	unique bool // whether there is a column u
	rows   []*wRow
}

type wRow struct {
	table *wTable
	leaf  string
	id    int
	cols  map[string]int // NULLs are left out
}

// wEdge is a reference and what the subset says of it.
type wEdge struct {
	child, parent *wTable
	leaf          string // set where only that partition has it
	cols, to      []string
	declared      bool
	full, notNull bool
	loose, index  bool
	when          bool // only rows with even id
	follow        *bool
	limit         int
	nullify       bool
}

func (w *world) chance(percent int) bool { return w.r.IntN(100) < percent }

func newWorld(seed uint64) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 5))}
	for i := range 2 + w.r.IntN(5) {
		t := &wTable{name: fmt.Sprintf("t%d", i), key: []string{"id"}, unique: true}
		t.leaves = []string{t.name}
		if w.chance(30) {
			t.unique = false
			t.leaves = []string{t.name + "_a", t.name + "_b", t.name + "_c"} // b and c are a level deeper
		}
		if w.chance(35) {
			t.key = []string{"id", "k"}
		}
		for id := 1; id <= w.r.IntN(14); id++ {
			leaf := t.leaves[0]
			if len(t.leaves) > 1 {
				leaf = t.leaves[min(id/4, 2)]
			}
			t.rows = append(t.rows, &wRow{table: t, leaf: leaf, id: id, cols: map[string]int{"id": id, "k": w.r.IntN(3), "u": 100 + id}})
		}
		w.tables = append(w.tables, t)
	}
	for _, t := range w.tables {
		for j := range w.r.IntN(4) {
			w.reference(t, j)
		}
	}
	w.subset()
	return w
}

func (w *world) reference(t *wTable, j int) {
	parent := w.tables[w.r.IntN(len(w.tables))]
	e := &wEdge{child: t, parent: parent, to: parent.key, declared: w.chance(80), full: w.chance(20), index: w.chance(50)}
	if parent.unique && w.chance(30) {
		e.to = []string{"u"}
	}
	for i := range e.to {
		e.cols = append(e.cols, fmt.Sprintf("f%d_%d", j, i))
	}
	e.notNull = e.declared && len(parent.rows) > 0 && w.chance(15)
	e.loose = e.declared && len(t.leaves) == 1 && w.chance(15)
	e.when = !e.declared && w.chance(50)
	if e.declared && len(t.leaves) > 1 && w.chance(30) {
		e.leaf = t.leaves[w.r.IntN(len(t.leaves))]
	}
	for _, row := range t.rows {
		if len(parent.rows) == 0 || !e.notNull && w.chance(25) {
			continue
		}
		to := parent.rows[w.r.IntN(len(parent.rows))]
		for i, c := range e.to {
			if len(e.to) > 1 && !e.full && !e.notNull && w.chance(10) {
				continue // in part NULL
			}
			row.cols[e.cols[i]] = to.cols[c]
			if (e.loose || !e.declared) && w.chance(10) {
				row.cols[e.cols[i]] = 999
			}
		}
	}
	w.edges = append(w.edges, e)
}

func (w *world) subset() {
	for range 1 + w.r.IntN(2) {
		t := w.tables[w.r.IntN(len(w.tables))]
		root := twin.Root{Table: "w." + t.name, Where: fmt.Sprintf("id > %d", w.r.IntN(6))}
		if w.chance(50) {
			root.Limit = int64(1 + w.r.IntN(3))
		}
		w.spec.Roots = append(w.spec.Roots, root)
	}
	for _, e := range w.edges {
		table := e.child.name
		if e.leaf != "" {
			table = e.leaf
		}
		ref := twin.Reference{Table: "w." + table, Columns: e.cols}
		if !e.declared {
			ref.To, ref.ToColumns = "w."+e.parent.name, e.to
			if e.when {
				ref.When = "id % 2 = 0"
			}
		} else if w.chance(50) {
			continue
		}
		if w.chance(60) {
			follow := w.chance(70)
			e.follow = &follow
			if follow && w.chance(40) {
				e.limit = 1 + w.r.IntN(2)
			}
		}
		e.nullify = !e.notNull && w.chance(25)
		ref.Follow, ref.Limit, ref.Nullify = e.follow, int64(e.limit), e.nullify
		w.spec.References = append(w.spec.References, ref)
	}
	for _, t := range w.tables {
		switch name := "w." + t.name; {
		case w.chance(8) && !slices.ContainsFunc(w.spec.Roots, func(r twin.Root) bool { return r.Table == name }):
			w.spec.Empty = append(w.spec.Empty, name)
		case w.chance(10):
			w.spec.Whole = append(w.spec.Whole, name)
		}
	}
}

// sql makes the schema.
func (w *world) sql() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+";\n", args...) }
	say("DROP SCHEMA IF EXISTS w CASCADE; CREATE SCHEMA w; SET search_path = w")
	for _, t := range w.tables {
		columns := "id int NOT NULL, k int NOT NULL, u int"
		if t.unique {
			columns += " UNIQUE"
		}
		for _, e := range w.edges {
			for _, c := range e.cols {
				if e.child == t {
					columns += ", " + c + " int"
					if e.notNull {
						columns += " NOT NULL"
					}
				}
			}
		}
		columns += ", PRIMARY KEY (" + strings.Join(t.key, ", ") + ")"
		if len(t.leaves) == 1 {
			say("CREATE TABLE %s (%s)", t.name, columns)
		} else {
			say("CREATE TABLE %s (%s) PARTITION BY RANGE (id)", t.name, columns)
			say("CREATE TABLE %[1]s_a PARTITION OF %[1]s FOR VALUES FROM (0) TO (4)", t.name)
			say("CREATE TABLE %[1]s_x PARTITION OF %[1]s FOR VALUES FROM (4) TO (100) PARTITION BY RANGE (id)", t.name)
			say("CREATE TABLE %[1]s_b PARTITION OF %[1]s_x FOR VALUES FROM (4) TO (8)", t.name)
			say("CREATE TABLE %[1]s_c PARTITION OF %[1]s_x FOR VALUES FROM (8) TO (100)", t.name)
		}
		for _, row := range t.rows {
			names := slices.Sorted(maps.Keys(row.cols))
			values := make([]string, len(names))
			for i, n := range names {
				values[i] = fmt.Sprint(row.cols[n])
			}
			say("INSERT INTO %s (%s) VALUES (%s)", t.name, strings.Join(names, ", "), strings.Join(values, ", "))
		}
	}
	for _, e := range w.edges {
		cols, table := strings.Join(e.cols, ", "), e.child.name
		if e.index {
			say("CREATE INDEX ON %s (%s)", table, cols)
		}
		if !e.declared {
			continue
		}
		if e.leaf != "" {
			table = e.leaf
		}
		extra := ""
		if e.full {
			extra += " MATCH FULL"
		}
		if e.loose {
			extra += " NOT VALID"
		}
		say("ALTER TABLE %s ADD FOREIGN KEY (%s) REFERENCES %s (%s)%s", table, cols, e.parent.name, strings.Join(e.to, ", "), extra)
	}
	return b.String()
}

// refers reports whether a row refers to another over an edge.
func (e *wEdge) refers(c, p *wRow) bool {
	if c.table != e.child || p.table != e.parent || e.leaf != "" && c.leaf != e.leaf || e.when && c.id%2 != 0 {
		return false
	}
	for i, name := range e.cols {
		if v, ok := c.cols[name]; !ok || v != p.cols[e.to[i]] {
			return false
		}
	}
	return true
}

// ofChild are the leaves that an edge begins in.
func (e *wEdge) ofChild() []string {
	if e.leaf != "" {
		return []string{e.leaf}
	}
	return e.child.leaves
}

// expected is what must be kept, found the slow way: over and over until
// nothing changes.
func (w *world) expected() (kept map[*wRow]bool, null map[string]bool) {
	empty := func(t *wTable) bool { return slices.Contains(w.spec.Empty, "w."+t.name) }
	whole := func(t *wTable) bool { return slices.Contains(w.spec.Whole, "w."+t.name) }
	reaches := make(map[[2]*wTable]bool)
	until := func(step func() bool) {
		for changed := true; changed; {
			changed = step()
		}
	}
	until(func() (changed bool) {
		for _, e := range w.edges {
			if empty(e.child) || empty(e.parent) {
				continue
			}
			for _, t := range w.tables {
				if (t == e.parent || reaches[[2]*wTable{e.parent, t}]) && !reaches[[2]*wTable{e.child, t}] {
					reaches[[2]*wTable{e.child, t}], changed = true, true
				}
			}
		}
		return changed
	})
	follows := func(e *wEdge) bool {
		if e.follow != nil {
			return *e.follow
		}
		return !reaches[[2]*wTable{e.parent, e.child}]
	}
	full, kept := make(map[*wRow]bool), make(map[*wRow]bool)
	fullLeaf, leaf := make(map[string]bool), make(map[string]bool)
	for _, root := range w.spec.Roots {
		var above, n int
		_, _ = fmt.Sscanf(root.Where, "id > %d", &above)
		for _, t := range w.tables {
			if "w."+t.name != root.Table {
				continue
			}
			for _, l := range t.leaves {
				fullLeaf[l], leaf[l] = true, true
			}
			for _, row := range t.rows { // they are in the order of their ids
				if row.id > above && (root.Limit == 0 || n < int(root.Limit)) {
					full[row] = true
					n++
				}
			}
		}
	}
	until(func() (changed bool) {
		for _, e := range w.edges {
			if !follows(e) || empty(e.child) {
				continue
			}
			for _, l := range e.ofChild() {
				if slices.ContainsFunc(e.parent.leaves, func(l string) bool { return fullLeaf[l] }) && !fullLeaf[l] {
					fullLeaf[l], leaf[l], changed = true, true, true
				}
			}
			for _, p := range e.parent.rows {
				n := 0
				for _, c := range e.child.rows {
					if full[p] && e.refers(c, p) && (e.limit == 0 || n < e.limit) {
						n++
						changed = changed || !full[c]
						full[c] = true
					}
				}
			}
		}
		return changed
	})
	for _, t := range w.tables {
		for _, row := range t.rows {
			if full[row] || whole(t) {
				kept[row] = true
			}
		}
		for _, l := range t.leaves {
			leaf[l] = leaf[l] || whole(t)
		}
	}
	until(func() (changed bool) {
		for _, e := range w.edges {
			if e.nullify || empty(e.parent) {
				continue
			}
			for _, l := range e.parent.leaves {
				if slices.ContainsFunc(e.ofChild(), func(l string) bool { return leaf[l] }) && !leaf[l] {
					leaf[l], changed = true, true
				}
			}
			for _, c := range e.child.rows {
				for _, p := range e.parent.rows {
					if kept[c] && e.refers(c, p) && !kept[p] {
						kept[p], changed = true, true
					}
				}
			}
		}
		return changed
	})
	for _, t := range w.tables {
		related := empty(t) || slices.ContainsFunc(t.leaves, func(l string) bool { return leaf[l] }) ||
			slices.ContainsFunc(w.edges, func(e *wEdge) bool { return e.child == t })
		for _, row := range t.rows {
			if !related {
				kept[row] = true
			}
		}
	}
	null = make(map[string]bool)
	for _, e := range w.edges {
		for _, c := range e.child.rows {
			if !e.nullify || !kept[c] {
				continue
			}
			some, there := false, false
			for _, p := range e.parent.rows {
				if e.refers(c, p) {
					some, there = true, there || kept[p]
				}
			}
			for _, name := range e.cols {
				if some && !there {
					null[fmt.Sprintf("%s %d %s", c.leaf, c.id, name)] = true
				}
			}
		}
	}
	return kept, null
}

// TestRandom compares what is found in random schemas with what is found the
// slow way, and looks for orphans.
func TestRandom(t *testing.T) {
	t.Parallel()
	n := uint64(25)
	if pgtest.Everything() {
		n = 300
	}
	url := pgtest.URL(t)
	done := 0
	for seed := range n {
		w := newWorld(seed)
		pgtest.Exec(t, url, w.sql())
		s := readSchema(t, url)
		plan, err := subset.New(s, w.spec)
		if err != nil {
			if len(w.spec.Empty) == 0 || !strings.Contains(err.Error(), "left empty") {
				t.Fatalf("seed %d: %v", seed, err)
			}
			continue
		}
		done++
		r, err := plan.Close(t.Context(), opener(url), 2, nil)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, w.sql())
		}
		w.compare(t, seed, kept(t, url, s, r), plan)
		if t.Failed() {
			t.Fatalf("seed %d\n%+v\n%s", seed, w.spec, w.sql())
		}
	}
	if done < int(n)/2 {
		t.Errorf("only %d of %d schemas were accepted", done, n)
	}
}

func (w *world) compare(t *testing.T, seed uint64, found map[string][]string, plan *subset.Plan) {
	t.Helper()
	got, want := make(map[string]bool), make(map[string]bool)
	for table, rows := range found {
		for _, row := range rows {
			var id int
			if _, err := fmt.Sscanf(row, "(%d,", &id); err != nil {
				t.Fatal(err)
			}
			leaf := strings.TrimPrefix(table, "w.")
			got[fmt.Sprintf("%s %d", leaf, id)] = true
			_, null, _ := strings.Cut(row, ") ")
			for _, c := range strings.Fields(strings.ReplaceAll(null, "null ", "")) {
				got[fmt.Sprintf("%s %d %s", leaf, id, c)] = true
			}
		}
	}
	kept, null := w.expected()
	for row := range kept {
		want[fmt.Sprintf("%s %d", row.leaf, row.id)] = true
	}
	maps.Copy(want, null)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("seed %d (-want +got):\n%s\n%s", seed, diff, plan)
	}
	for _, e := range w.edges {
		for _, c := range e.child.rows {
			for _, p := range e.parent.rows {
				is := func(row *wRow) bool { return got[fmt.Sprintf("%s %d", row.leaf, row.id)] }
				if is(c) && e.refers(c, p) && !is(p) && !got[fmt.Sprintf("%s %d %s", c.leaf, c.id, e.cols[0])] && e.declared {
					t.Errorf("seed %d: %s %d refers by %v to %s %d, which is left out", seed, c.leaf, c.id, e.cols, p.leaf, p.id)
				}
			}
		}
	}
}
