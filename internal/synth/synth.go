// Package synth invents rows that satisfy a schema, none of them real.
//
// Every value is a function of the seed, its table and the index of its row.
// Nothing is stored or looked up: any range of rows can be made by anybody, at
// any time, in any order, and comes out the same. What one table says does not
// change another's rows.
//
// # Keys
//
// The key of row i of a table follows from i, so a row that refers to another
// needs only know its index. Which parent a row has is said by a [fan]: it gives
// the parents' children as ranges, larger and smaller ones as in life, and can
// be asked both ways.
//
// # Values
//
// A [gen] invents a column's values. What it makes is decided by the file, or
// guessed from names, types, CHECKs and statistics. Columns that are about one
// person agree.
package synth

import (
	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/twin"
)

// The stable names of hazards.
const (
	// HazardCheck is a constraint that invented rows may not satisfy.
	HazardCheck = "synthetic_check"
	// HazardCapacity is a table that gets fewer rows than were asked for, because
	// no more can differ.
	HazardCapacity = "synthetic_capacity"
	// HazardUnmatched is a rule that matches nothing.
	HazardUnmatched = "synthetic_unmatched"
	// HazardImpossible is a column or table for which nothing can be invented.
	HazardImpossible = "synthetic_impossible"
)

// HazardIDs lists all of them.
func HazardIDs() []string {
	return []string{HazardCheck, HazardCapacity, HazardUnmatched, HazardImpossible}
}

// Input is what a plan depends on.
type Input struct {
	Schema *catalog.Schema
	Facts  *catalog.Facts
	// Statistics are counts and shares of the source, never values; nil where
	// they may not be used or there are none.
	Statistics *catalog.Statistics
	Synthesis  twin.Synthesis
	// Find tells what a column probably holds, by its name and type.
	Find func(table uint32, column string) detect.Finding
}

// Plan is which rows are made. It is made by New and never changes.
type Plan struct {
	// Tables are those that get rows, of a partitioned table its root alone, in
	// the schema's order.
	Tables []*Table
	// Columns tell how each column's values are invented, ordered by name.
	Columns []twin.InventedColumn
	Hazards []twin.Hazard
}

// Table makes the rows of one table.
type Table struct {
	OID  uint32
	Name catalog.Name
	// Columns are those that are written, in order: no generated ones.
	Columns []string
	// Rows is how many there are.
	Rows int64
	// Bytes is about what they take in COPY's text format.
	Bytes int64

	gens []gen // by column
}
