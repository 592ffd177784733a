package catalog

// Statistics are what a server knows of the sizes and shapes of its tables. No
// value of a column is among them.
type Statistics struct {
	// Columns are by table and column.
	Columns map[uint32]map[string]ColumnStatistics
}

// ColumnStatistics are a column's.
type ColumnStatistics struct {
	// Nulls is the share of NULLs.
	Nulls float64
	// Distinct is how many different values there are, or, negative, their share
	// of the rows, as pg_stats has it; 0 is unknown.
	Distinct float64
	// Width is the average number of bytes.
	Width int
	// Frequencies are how often the commonest values occur, as shares of all
	// rows, the commonest first. Which values those are is not known.
	Frequencies []float64
}
