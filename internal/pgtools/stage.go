package pgtools

// Stage says when an entry is made. The stages follow each other in the order
// of their numbers, and within a stage entries keep the order of the archive.
type Stage int

// The stages of a copy.
const (
	// Skip: never made in a Twin, or made by other means.
	Skip Stage = iota
	// Pre: made before any row is loaded.
	Pre
	// Index: indexes, primary keys, unique and exclusion constraints. Each
	// needs the rows of its own table only.
	Index
	// Attach: the index of a partition becomes part of its parent's.
	Attach
	// ForeignKey: needs the rows and keys of two tables.
	ForeignKey
	// Final: what acts on rows or reads from several tables: triggers, rules,
	// policies, late views, checks that are not valid, comments.
	Final
	// Refresh: fills a materialized view.
	Refresh
	// MatViewIndex: an index of a materialized view, built on what is in it.
	MatViewIndex
)

// Class says at which stage an entry is made and, for Skip, why it is not.
// What it doesn't know is kept: in Pre if it stands before the rows, else in
// Final. It sees one entry alone, so the indexes of materialized views are in
// Index: Archive.Stages tells them apart.
func Class(e Entry) (Stage, string) { return Final, "" }

// Skipped is an entry that is not made, and why.
type Skipped struct {
	Entry
	Reason string
}

// Stages sorts the archive's entries by stage and keeps their order.
func (a *Archive) Stages() (map[Stage][]Entry, []Skipped) { return nil, nil }

// Session is what to send before any definition: the settings that
// pg_restore makes, with the archive's own encoding and string syntax. The
// connection must not be used for anything else afterwards.
func (a *Archive) Session() string { return "" }

// Identity describes an object as ALTER ... OWNER TO wants it, such as
// `TABLE "public"."t"` or `FUNCTION public.f(integer)`. It is empty for what
// has no owner of its own.
func Identity(e Entry) string { return "" }
