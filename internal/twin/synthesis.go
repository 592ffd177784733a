package twin

// Synthesis says which rows are invented, and how many. Whatever it does not
// say is guessed from the schema, and from statistics where they may be used.
//
// Tables and columns are named as SQL names them, in full. In a pattern "*"
// matches any run of characters of its part.
type Synthesis struct {
	// Seed decides every value: the same seed makes the same rows.
	Seed int64 `json:"seed,omitempty"`
	// Scale multiplies the sizes that the source has; 0 is 1.
	Scale float64 `json:"scale,omitempty"`
	// Rows is how many rows a table gets of which Sizes says nothing; 0 is as
	// many as the source has, times Scale.
	Rows int64 `json:"rows,omitempty"`
	// Sizes are for the tables that they match, the first that does.
	Sizes []TableSize `json:"sizes,omitempty"`
	// Columns overrule what is guessed. A rule that names a column counts before
	// one whose pattern matches it, and of several patterns the first.
	Columns []InventRule `json:"columns,omitempty"`
	// References are references that the schema does not declare. Of their
	// fields only Table, Columns, To, ToColumns and When are used.
	References []Reference `json:"references,omitempty"`
	// NoStatistics uses the schema alone.
	NoStatistics bool `json:"no_statistics,omitempty"`
	// Common are patterns of columns whose most common values may be used as
	// they are. The operator must allow it.
	Common []string `json:"common,omitempty"`
}

// TableSize is how many rows tables get.
type TableSize struct {
	Table string  `json:"table"`
	Rows  int64   `json:"rows,omitempty"`
	Scale float64 `json:"scale,omitempty"`
}

// InventRule says how the values of columns are invented.
type InventRule struct {
	Column string `json:"column"`
	Invent
}

// Invent is how values are invented. Class is a class of masking where one
// fits, or one of invention's own: number, money, moment, text, words, sequence.
type Invent struct {
	Class  string    `json:"class,omitempty"`
	Locale string    `json:"locale,omitempty"`
	Value  string    `json:"value,omitempty"`  // of constant, or of template as in masking
	Values []string  `json:"values,omitempty"` // of choice
	Weight []float64 `json:"weights,omitempty"`
	// Min and Max bound numbers, moments and the lengths of text; empty is no
	// bound.
	Min string `json:"min,omitempty"`
	Max string `json:"max,omitempty"`
	// Nulls is the share of NULLs, between 0 and 1; nil leaves it to the guess.
	Nulls *float64 `json:"nulls,omitempty"`
	// Shape is a document's: a path and what stands there.
	Shape []InventPath `json:"shape,omitempty"`
}

// InventPath is what stands at one place of a document.
type InventPath struct {
	Path string `json:"path"`
	Invent
}

// InventedColumn tells how the values of a column were invented, and why so.
type InventedColumn struct {
	Column string `json:"column"`
	Class  string `json:"class"`
	// Why says it: "the file says so", "a foreign key", "its name", "its type".
	Why string `json:"why"`
	// Sure is set unless it is a guess that a person should look at.
	Sure bool `json:"sure"`
}
