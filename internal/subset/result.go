package subset

import (
	"cmp"
	"slices"

	"github.com/neontwin/neontwin/internal/twin"
)

// Result says which rows are kept, and why.
type Result struct {
	// Selections are one for each table that holds rows, in the plan's order.
	Selections []twin.Selection
	Hazards    []twin.Hazard

	picks map[uint32]Pick // of tables that are not whole
	whole map[uint32]bool
}

// Pick says which rows of a table are copied.
type Pick struct {
	// Rows are never nil for a table that is not whole. They may be empty.
	Rows *Rows
	// Null are columns that are written as NULL in some of the rows.
	Null []NullPick
}

// NullPick says in which rows a column is written as NULL.
type NullPick struct {
	Column string
	Rows   *Rows
}

// Pick says which rows of a table that holds rows are copied. If whole is set
// it is all of them, and the Pick is zero. Of a table that the plan didn't know
// nothing is copied.
func (r *Result) Pick(table uint32) (pick Pick, whole bool) {
	if r.whole[table] {
		return Pick{}, true
	}
	pick, ok := r.picks[table]
	if !ok {
		pick.Rows = &Rows{}
	}
	return pick, false
}

// Rows is how many rows are kept of all tables.
func (r *Result) Rows() int64 {
	var n int64
	for _, s := range r.Selections {
		n += s.Rows
	}
	return n
}

// byRows puts the reasons in order, those with most rows first.
func byRows(reasons []twin.Reason) []twin.Reason {
	slices.SortStableFunc(reasons, func(a, b twin.Reason) int { return cmp.Compare(b.Rows, a.Rows) })
	return reasons
}
