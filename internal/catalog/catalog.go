// Package catalog reads a Postgres schema as data, in a few queries under the
// caller's transaction, and compares two of them.
package catalog

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Querier is a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Schema is a database's catalog as a copy needs it. Temporary relations, the
// server's own schemas and the schema of our mark are left out.
type Schema struct {
	// ServerVersion is the server's number, such as 170006.
	ServerVersion int
	Database      Database
	// Tables are the leaf relations that hold rows: ordinary tables and
	// partitions. Tables of extensions are left out, except those that their
	// extension marks as configuration.
	Tables []Table
	// Parents are partitioned tables: they hold no rows of their own.
	Parents []Table
	// Foreign are foreign tables: their rows are elsewhere.
	Foreign []Relation
	// ForeignKeys are those that were declared; the copies that partitions
	// inherit are left out.
	ForeignKeys []ForeignKey
	Sequences   []Sequence
	// MatViews are in an order in which they can be refreshed.
	MatViews   []MatView
	Extensions []Extension
	// LargeObjects is their number, LargeObjectsUnreadable that of those that
	// we may not read.
	LargeObjects, LargeObjectsUnreadable int64
	// PolicyRoles are the roles that policies name.
	PolicyRoles []string
	// Beside is what a copy leaves out and a dump does not tell.
	Beside []Beside
	// ValidChecks are statements that validate the CHECKs that are valid for a
	// table, but not for the one that it inherits them from. A dump can't say it.
	ValidChecks []string
	// Nullable are columns of heirs that take NULL where those that they inherit
	// from don't, as ALTER TABLE wants them before DROP NOT NULL. A dump can't
	// say it, and from 18 on there is no such thing.
	Nullable []string
	// Bytes is what the database takes on disk, BlockSize what a page does.
	Bytes     int64
	BlockSize int
	// Types are all types of the tables' columns, and the types those are
	// made of, by OID.
	Types map[uint32]Type
}

// Database is what can't be changed after CREATE DATABASE.
type Database struct {
	Name, Encoding, Collate, CType string
	// Provider is "c" (libc), "i" (ICU) or "b" (builtin); before 15 always "c".
	Provider string
	// Locale is the provider's locale where that is not Collate.
	Locale string
}

// Relation is a relation by name and OID.
type Relation struct {
	OID uint32
	Name
	// Readable is set if we may SELECT from it.
	Readable bool
}

// Table is a relation that holds rows.
type Table struct {
	Relation
	Unlogged bool
	// Partition is set for a partition, Parent is then its parent's OID. For
	// an inheritance child Parent is its first parent's.
	Partition bool
	Parent    uint32
	// Inherits are all tables it inherits from directly, of which Parent is the
	// first.
	Inherits []uint32
	// HasChildren is set if other tables inherit from it: only ONLY reads it alone.
	HasChildren bool
	// Reordered is set for an inheritance child whose columns a restored copy
	// has in another order: its parents' first.
	Reordered bool
	// RowSecurity is set if policies are enabled, Filtered if they apply to us:
	// then not all rows are visible.
	RowSecurity, ForceRowSecurity, Filtered bool
	// Extension is the extension it is a configuration table of, Condition
	// the WHERE clause (empty: all rows) that says which rows are the user's.
	Extension, Condition string
	// Refers are the other tables that a configuration table has foreign keys
	// to: those are there before its rows are.
	Refers  []uint32
	Columns []Column
	// Pages is the size of the table proper, Bytes that with TOAST.
	Pages, Bytes int64
	// Rows is the planner's estimate, -1 if the table was never analyzed.
	Rows          float64
	HasPrimaryKey bool
	// Key are the columns that tell its rows apart: those of the primary key,
	// else of a unique index over columns that are not null, else none.
	Key []string
	// Indexes are the columns that rows can be found by, in order, up to the
	// first expression: one list for each valid index over all rows.
	Indexes [][]string
}

// Column is a column of a table. Dropped ones are left out.
type Column struct {
	Num  int16
	Name string
	// Type is the type as SQL writes it, qualified, with its modifier.
	Type    string
	TypeOID uint32
	NotNull bool
	// Generated is "" or "s" (stored) or "v" (virtual): never copied.
	Generated string
	// Identity is "" or "a" (always) or "d" (by default).
	Identity string
	// Default is the default or generation expression.
	Default string
	// Collation is the column's, as SQL writes it; empty where its type has none.
	Collation string
}

// TypeKind is a type's typtype, with arrays told apart.
type TypeKind string

// The kinds of types.
const (
	TypeBase       TypeKind = "b"
	TypeArray      TypeKind = "a" // not a typtype of the catalog
	TypeComposite  TypeKind = "c"
	TypeDomain     TypeKind = "d"
	TypeEnum       TypeKind = "e"
	TypeRange      TypeKind = "r"
	TypeMultirange TypeKind = "m"
	TypePseudo     TypeKind = "p"
)

// Type is a type that a column has or is made of.
type Type struct {
	OID uint32
	Name
	Kind TypeKind
	// Of are the types it is made of: an array's element, a domain's base, a
	// range's subtype, a composite's columns in order.
	Of []uint32
	// Extension that brought it, if any.
	Extension string
	// HasSend is set if the type has binary output and input.
	HasSend bool
	// Equal is the operator that its default order compares with, as SQL writes
	// it; empty where it has no order of its own.
	Equal string
}

// ForeignKey is a declared foreign key.
type ForeignKey struct {
	OID  uint32
	Name string
	// Table refers to Parent; both may be partitioned. TableOID and ParentOID
	// tell them apart from their names.
	Table, Parent       Name
	TableOID, ParentOID uint32
	// Columns of Table refer to ParentColumns, in order. Operators compare a
	// parent's column with the child's: under an empty search_path, = may
	// mean something else.
	Columns, ParentColumns, Operators []string
	// Match is "s" (simple) or "f" (full).
	Match string
	// Deferrable and Deferred are as declared; Validated and Enforced as found.
	Deferrable, Deferred, Validated, Enforced bool
	// Definition is what ADD CONSTRAINT takes; it says NOT VALID by itself.
	Definition string
}

// Sequence is a sequence's fixed part.
type Sequence struct {
	Relation
	// OwnerTable and OwnerColumn are the column that a serial or identity
	// sequence belongs to; zero if none.
	OwnerTable                 Name
	OwnerTableOID              uint32
	OwnerColumn                string
	Identity                   bool
	Type                       string
	Start, Increment, Min, Max int64
	Cycle                      bool
}

// MatView is a materialized view.
type MatView struct {
	Relation
	Populated bool
}

// Extension is an installed extension.
type Extension struct {
	Name, Version, Schema string
}

// Beside is something that a copy of a schema leaves out: a publication, a
// subscription, a security label, a place on disk, the changed comment of an
// extension.
type Beside struct{ Kind, Name string }
