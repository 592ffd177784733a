package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Read reads the catalog. q must be in a transaction, best under the snapshot
// that rows are read from. Until the transaction ends, its search_path is empty
// and its formats are the ISO ones.
func Read(ctx context.Context, q Querier) (*Schema, error) {
	version, err := enter(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	r := &reader{q: q, major: version / 10000, s: &Schema{Types: map[uint32]Type{}}}
	for _, step := range []func(context.Context) error{
		r.database, r.relations, r.columns, r.indexes, r.types, r.foreignKeys, r.sequences, r.matViews, r.extensions, r.beside,
	} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("read catalog: %w", err)
		}
	}
	return r.s, nil
}

// Lockable lists what a copy must hold ACCESS SHARE locks on: all tables and
// partitioned tables that we may read. It is for LOCK TABLE ONLY, before the
// snapshot is taken. It needs no transaction.
func Lockable(ctx context.Context, q Querier) ([]Name, error) {
	return collect(ctx, q, "lockable", oldest, func(rows pgx.Rows, n *Name) error { return rows.Scan(&n.Schema, &n.Name) })
}

// reader fills a Schema. It lives for one Read.
type reader struct {
	q     Querier
	major int
	s     *Schema
}

func (r *reader) database(ctx context.Context) error {
	s := r.s
	_, err := collect(ctx, r.q, "database", r.major, func(rows pgx.Rows, _ *struct{}) error {
		d := &s.Database
		return rows.Scan(&s.ServerVersion, &d.Name, &d.Encoding, &d.Collate, &d.CType, &d.Provider, &d.Locale, &s.LargeObjects, &s.LargeObjectsUnreadable, &s.Bytes, &s.BlockSize)
	})
	return err
}

// relation is a row of relations.sql: a table, or what is less than one.
type relation struct {
	Table
	kind      string
	populated bool
}

func (r *reader) relations(ctx context.Context) error {
	found, err := collect(ctx, r.q, "relations", r.major, func(rows pgx.Rows, t *relation) error {
		return rows.Scan(&t.OID, &t.Schema, &t.Name.Name, &t.kind, &t.Readable, &t.Unlogged, &t.Partition, &t.Parent,
			&t.HasChildren, &t.RowSecurity, &t.ForceRowSecurity, &t.Filtered, &t.Extension, &t.Condition,
			&t.Pages, &t.Bytes, &t.Rows, &t.HasPrimaryKey, &t.populated, &t.Reordered, &t.Refers, &t.Inherits)
	})
	for _, t := range found {
		switch t.kind {
		case "r":
			r.s.Tables = append(r.s.Tables, t.Table)
		case "p":
			r.s.Parents = append(r.s.Parents, t.Table)
		case "f":
			r.s.Foreign = append(r.s.Foreign, t.Relation)
		case "m":
			r.s.MatViews = append(r.s.MatViews, MatView{Relation: t.Relation, Populated: t.populated})
		}
	}
	return err
}

func (r *reader) columns(ctx context.Context) error {
	type column struct {
		table uint32
		Column
	}
	found, err := collect(ctx, r.q, "columns", r.major, func(rows pgx.Rows, c *column) error {
		return rows.Scan(&c.table, &c.Num, &c.Name, &c.Type, &c.TypeOID, &c.NotNull, &c.Generated, &c.Identity, &c.Default, &c.Collation)
	})
	if err != nil {
		return err
	}
	tables := r.tables()
	for _, c := range found {
		if t, ok := tables[c.table]; ok { // else an extension's own
			t.Columns = append(t.Columns, c.Column)
		}
	}
	return nil
}

// tables are those with rows and those with partitions, by OID.
func (r *reader) tables() map[uint32]*Table {
	out := make(map[uint32]*Table, len(r.s.Tables)+len(r.s.Parents))
	for i := range r.s.Tables {
		out[r.s.Tables[i].OID] = &r.s.Tables[i]
	}
	for i := range r.s.Parents {
		out[r.s.Parents[i].OID] = &r.s.Parents[i]
	}
	return out
}

// indexes finds the key of each table and what its rows can be found by.
func (r *reader) indexes(ctx context.Context) error {
	type index struct {
		table   uint32
		key     bool
		columns []string
	}
	found, err := collect(ctx, r.q, "indexes", r.major, func(rows pgx.Rows, x *index) error { return rows.Scan(&x.table, &x.key, &x.columns) })
	if err != nil {
		return err
	}
	tables := r.tables()
	for _, x := range found {
		t, ok := tables[x.table]
		if !ok || len(x.columns) == 0 {
			continue
		}
		t.Indexes = append(t.Indexes, x.columns)
		if x.key && t.Key == nil { // the primary key comes first
			t.Key = x.columns
		}
	}
	return nil
}

func (r *reader) types(ctx context.Context) error {
	found, err := collect(ctx, r.q, "types", r.major, func(rows pgx.Rows, t *Type) error {
		return rows.Scan(&t.OID, &t.Schema, &t.Name.Name, &t.Kind, &t.Of, &t.Extension, &t.HasSend, &t.Equal)
	})
	for _, t := range found {
		r.s.Types[t.OID] = t
	}
	return err
}

func (r *reader) foreignKeys(ctx context.Context) (err error) {
	r.s.ForeignKeys, err = collect(ctx, r.q, "foreign_keys", r.major, func(rows pgx.Rows, k *ForeignKey) error {
		return rows.Scan(&k.OID, &k.Name, &k.Table.Schema, &k.Table.Name, &k.Parent.Schema, &k.Parent.Name, &k.TableOID, &k.ParentOID,
			&k.Columns, &k.ParentColumns, &k.Operators, &k.Match, &k.Deferrable, &k.Deferred, &k.Validated, &k.Enforced, &k.Definition)
	})
	return err
}

func (r *reader) sequences(ctx context.Context) (err error) {
	r.s.Sequences, err = collect(ctx, r.q, "sequences", r.major, func(rows pgx.Rows, s *Sequence) error {
		return rows.Scan(&s.OID, &s.Schema, &s.Name.Name, &s.Readable, &s.OwnerTable.Schema, &s.OwnerTable.Name, &s.OwnerTableOID,
			&s.OwnerColumn, &s.Identity, &s.Type, &s.Start, &s.Increment, &s.Min, &s.Max, &s.Cycle)
	})
	return err
}

// matViews puts the materialized views in order: each after those it reads.
func (r *reader) matViews(ctx context.Context) error {
	type edge struct{ view, reads uint32 }
	edges, err := collect(ctx, r.q, "matviews", r.major, func(rows pgx.Rows, e *edge) error { return rows.Scan(&e.view, &e.reads) })
	if err != nil {
		return err
	}
	// The edges reach through everything, so a view reads more of them than
	// any view it reads.
	reads := map[uint32]int{}
	for _, e := range edges {
		reads[e.view]++
	}
	slices.SortStableFunc(r.s.MatViews, func(a, b MatView) int { return reads[a.OID] - reads[b.OID] })
	return nil
}

func (r *reader) extensions(ctx context.Context) (err error) {
	r.s.Extensions, err = collect(ctx, r.q, "extensions", r.major, func(rows pgx.Rows, e *Extension) error {
		return rows.Scan(&e.Name, &e.Version, &e.Schema)
	})
	return err
}

// beside finds what a dump does not tell.
func (r *reader) beside(ctx context.Context) error {
	found, err := collect(ctx, r.q, "beside", r.major, func(rows pgx.Rows, b *Beside) error { return rows.Scan(&b.Kind, &b.Name) })
	for _, b := range found {
		switch b.Kind {
		case "role":
			r.s.PolicyRoles = append(r.s.PolicyRoles, b.Name)
		case "check":
			r.s.ValidChecks = append(r.s.ValidChecks, b.Name)
		case "nullable":
			r.s.Nullable = append(r.s.Nullable, b.Name)
		default:
			r.s.Beside = append(r.s.Beside, b)
		}
	}
	return err
}
