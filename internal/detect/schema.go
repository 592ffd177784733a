package detect

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/mask"
)

//go:embed sql
var files embed.FS

// Options say how much is read.
type Options struct {
	// Rows is the most rows of a table that are looked at; 0 is 300.
	Rows int
	// Leaves is the most partitions or heirs of one table that are looked at,
	// the largest first; 0 is 4.
	Leaves int
	// Patience is for how long one table is read; 0 is 5 seconds. A table that
	// takes longer is judged by its names.
	Patience time.Duration
	// Progress is told of each table before it is read; it may be nil.
	Progress func(table catalog.Name)
}

func (o Options) filled() Options {
	o.Rows, o.Leaves, o.Patience = cmp.Or(o.Rows, 300), cmp.Or(o.Leaves, 4), cmp.Or(o.Patience, 5*time.Second)
	return o
}

// Findings are those of a schema's columns.
type Findings struct {
	of map[spot]Finding
	// Unread are the tables whose values were not looked at: they could not be
	// read, or not in time.
	Unread []catalog.Name
}

// spot is a column of a table.
type spot struct {
	table  uint32
	column string
}

// Of is the finding of a column. That of a column that is not known is the zero
// Finding: undecided.
func (f *Findings) Of(table uint32, column string) Finding { return f.of[spot{table, column}] }

// Schema looks at all columns of a schema under the caller's transaction, which
// may be read-only and on a standby: at names, types and comments, at how many
// different values there are, and at a sample of each table that is held in
// memory until the table is judged. Most common values and histograms are not
// read. It leaves the transaction as it was. Partitions and heirs share what is
// found of their root, and columns that are tied by a foreign key what is found
// of one of them.
func Schema(ctx context.Context, q catalog.Querier, s *catalog.Schema, o Options) (*Findings, error) {
	l := &looker{q: q, s: s, o: o.filled(), out: &Findings{of: map[spot]Finding{}}}
	if err := l.about(ctx); err != nil {
		return nil, fmt.Errorf("detect: %w", err)
	}
	if err := l.run(ctx); err != nil {
		return nil, fmt.Errorf("detect: %w", err)
	}
	l.tie()
	return l.out, nil
}

// looker lives for one Schema.
type looker struct {
	q     catalog.Querier
	s     *catalog.Schema
	o     Options
	out   *Findings
	facts map[spot]fact
}

// fact is what the catalog and the statistics say of a column.
type fact struct {
	comment                 string
	labels                  []string
	primary, refers, unique bool
	// distinct is a number, or if negative a part of the rows.
	distinct float64
}

// about reads what catalog.Schema does not have of the columns.
func (l *looker) about(ctx context.Context) error {
	text, err := files.ReadFile("sql/columns.sql")
	if err != nil {
		return fmt.Errorf("read query: %w", err)
	}
	rows, err := l.q.Query(ctx, string(text))
	if err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	l.facts = map[spot]fact{}
	var key spot
	var f fact
	_, err = pgx.ForEachRow(rows, []any{&key.table, &key.column, &f.comment, &f.labels, &f.primary, &f.refers, &f.unique, &f.distinct}, func() error {
		l.facts[key] = f
		f.labels = nil
		return nil
	})
	if err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	return nil
}

// family is a root and the tables that share its columns.
type family struct {
	root   catalog.Table
	leaves []catalog.Table // that hold rows, largest first
}

// families gathers partitions and heirs under their roots.
func (l *looker) families() []family {
	tables := map[uint32]catalog.Table{}
	var order []uint32
	for _, t := range slices.Concat(l.s.Parents, l.s.Tables) {
		tables[t.OID] = t
		order = append(order, t.OID)
	}
	rootOf := func(oid uint32) uint32 {
		for range 64 {
			t := tables[oid]
			if _, ok := tables[t.Parent]; !ok || t.Parent == 0 {
				break
			}
			oid = t.Parent
		}
		return oid
	}
	members := map[uint32][]catalog.Table{}
	for _, t := range l.s.Tables {
		root := rootOf(t.OID)
		members[root] = append(members[root], t)
	}
	var out []family
	for _, oid := range order {
		if rootOf(oid) != oid {
			continue
		}
		f := family{root: tables[oid], leaves: members[oid]}
		slices.SortStableFunc(f.leaves, func(a, b catalog.Table) int { return cmp.Compare(b.Bytes, a.Bytes) })
		out = append(out, f)
	}
	return out
}

func (l *looker) run(ctx context.Context) error {
	if err := l.exec(ctx, "SAVEPOINT neontwin_detect"); err != nil {
		return err
	}
	limit := fmt.Sprintf("SELECT pg_catalog.set_config('statement_timeout', '%d', true)", l.o.Patience.Milliseconds())
	if err := l.exec(ctx, limit); err != nil {
		return err
	}
	for _, f := range l.families() {
		if err := l.family(ctx, f); err != nil {
			return err
		}
	}
	if err := l.exec(ctx, "ROLLBACK TO SAVEPOINT neontwin_detect"); err != nil { // the settings are undone
		return err
	}
	return l.exec(ctx, "RELEASE SAVEPOINT neontwin_detect")
}

// exec runs a statement for what it does.
func (l *looker) exec(ctx context.Context, sql string) error {
	rows, err := l.q.Query(ctx, sql)
	if err == nil {
		rows.Close()
		err = rows.Err()
	}
	if err != nil {
		return fmt.Errorf("prepare the look: %w", err)
	}
	return nil
}

// family judges the columns of a table and of all that inherit from it. Heirs
// may have columns that their root has not.
func (l *looker) family(ctx context.Context, f family) error {
	if l.o.Progress != nil {
		l.o.Progress(f.root.Name)
	}
	values := map[string][]string{}
	for _, leaf := range f.leaves[:min(len(f.leaves), l.o.Leaves)] {
		if err := l.sample(ctx, leaf, values); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	var columns []Column
	var sampled [][]string
	for _, t := range append([]catalog.Table{f.root}, f.leaves...) {
		for _, c := range t.Columns {
			if seen[c.Name] {
				continue
			}
			seen[c.Name] = true
			one := l.column(t, c)
			one.Schema, one.Table = f.root.Schema, f.root.Name.Name
			columns, sampled = append(columns, one), append(sampled, values[c.Name])
		}
	}
	found := map[string]Finding{}
	for i, finding := range Table(columns, sampled) {
		found[columns[i].Name] = finding
	}
	for _, t := range append([]catalog.Table{f.root}, f.leaves...) {
		for _, c := range t.Columns {
			l.out.of[spot{t.OID, c.Name}] = found[c.Name]
		}
	}
	return nil
}

// column is what is known of a column beside its values.
func (l *looker) column(t catalog.Table, c catalog.Column) Column {
	m := mask.ColumnOf(l.s, c)
	f := l.facts[spot{t.OID, c.Name}]
	out := Column{
		Schema: t.Schema, Table: t.Name.Name, Name: c.Name, Type: c.Type, Kind: m.Kind, Comment: f.comment, Labels: f.labels, Default: c.Default,
		Primary: f.primary, Refers: f.refers, Unique: f.unique, NotNull: c.NotNull, Identity: c.Identity != "",
		Rows: int64(max(t.Rows, 0)), Distinct: int64(f.distinct),
	}
	if f.distinct < 0 { // a part of the rows
		out.Distinct = int64(-f.distinct * max(t.Rows, 0))
	}
	if m.Elem != nil {
		out.Kind, out.Array = m.Elem.Kind, true
	}
	return out
}

// tie carries what was found along foreign keys, until nothing changes: what
// refers to a person's natural key holds it, and the other way about.
func (l *looker) tie() {
	for range 16 {
		changed := false
		for _, k := range l.s.ForeignKeys {
			for i, name := range k.Columns {
				if i >= len(k.ParentColumns) {
					break
				}
				a, b := spot{k.TableOID, name}, spot{k.ParentOID, k.ParentColumns[i]}
				changed = l.carry(a, b) || l.carry(b, a) || changed
			}
		}
		if !changed {
			break
		}
	}
	for _, k := range l.s.ForeignKeys { // whatever they are called
		for i, name := range k.Columns {
			a := spot{k.TableOID, name}
			if f := l.out.of[a]; i < len(k.ParentColumns) && !f.Personal && f.Harmless == "" && l.out.of[spot{k.ParentOID, k.ParentColumns[i]}].Harmless == SurrogateKey {
				l.out.of[a] = Finding{Harmless: SurrogateKey, Confidence: 0.9, Reason: "it refers to a key that the database made up"}
			}
		}
	}
}

// carry makes what is found of a column hold for another.
func (l *looker) carry(from, to spot) bool {
	a, b := l.out.of[from], l.out.of[to]
	if !a.Personal || b.Personal {
		return false
	}
	a.Confidence *= 0.95
	a.Reason = "a foreign key ties it to a column of which is said: " + strings.TrimPrefix(a.Reason, "a foreign key ties it to a column of which is said: ")
	l.out.of[to] = a
	return true
}
