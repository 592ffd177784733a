// Package detect says what a column probably holds: personal data and of which
// class, or something that can't be anybody's. It judges by names in seven
// languages, types, and values that it looks at and forgets. Where it is not
// sure of a column, it says neither.
package detect

import (
	"slices"

	"github.com/neontwin/neontwin/internal/mask"
)

// Column is what is known of a column beside its values.
type Column struct {
	Schema, Table, Name string
	// Type is the type as SQL writes it.
	Type string
	// Kind is that of a value: of an array its elements'.
	Kind  mask.Kind
	Array bool
	// Comment is what somebody wrote about the column.
	Comment string
	// Labels are an enum's.
	Labels  []string
	Default string
	// Primary is set for a part of the primary key, Refers for one of a foreign
	// key, Unique for a column that a unique index is about alone.
	Primary, Refers, Unique, NotNull, Identity bool
	// Rows and Distinct are estimates, 0 where nobody knows.
	Rows, Distinct int64
}

// Harmless names a rule by which a column is nobody's. Names stand in
// configuration files and are never renamed.
type Harmless string

// The rules.
const (
	// SurrogateKey is a key that the database made up, or refers to one.
	SurrogateKey Harmless = "surrogate_key"
	// Boolean is yes or no, and says nothing intimate.
	Boolean Harmless = "boolean"
	// RowTimestamp is when something happened to the row.
	RowTimestamp Harmless = "row_timestamp"
	// Enum is one of a few labels that the schema itself lists.
	Enum Harmless = "enum"
	// Counter is how many or how much of a thing: counts, sizes, amounts,
	// positions.
	Counter Harmless = "counter"
	// Version is a version, revision or checksum of the row or of a thing.
	Version Harmless = "version"
	// Code is text out of a small fixed set, such as a status, a currency or a
	// language: by its name and by its values.
	Code Harmless = "code"
)

// HarmlessRules lists all rules.
func HarmlessRules() []Harmless {
	return []Harmless{SurrogateKey, Boolean, RowTimestamp, Enum, Counter, Version, Code}
}

// DefaultRules are those that a policy allows unless it says otherwise. Counter
// and Code are not among them: what is measured of a person looks like what is
// measured of a thing, and a sample of text proves little.
func DefaultRules() []Harmless {
	return []Harmless{SurrogateKey, Boolean, RowTimestamp, Enum, Version}
}

// Finding is what a column probably holds. A column that is neither Personal
// nor Harmless is undecided: a person must say.
type Finding struct {
	Personal bool
	// Class is the masker that fits the column's kind; it is set if Personal.
	Class mask.Class
	// Confidence lies between 0 and 1.
	Confidence float64
	// Reason is for a reviewer. No value stands in it, nor part of one.
	Reason string
	// Harmless is the rule, empty if none; never set together with Personal.
	Harmless Harmless
	// Locale is the language of the column's name, where it tells.
	Locale string
	// Paths are where the personal parts of a document are.
	Paths []mask.PathRule
}

// Worded reports whether a class makes words, for which a language counts.
func Worded(c mask.Class) bool {
	return has([]mask.Class{
		mask.FirstName, mask.LastName, mask.FullName, mask.Street, mask.City, mask.Company, mask.FreeText,
	}, c)
}

func has[T comparable](list []T, v T) bool { return slices.Contains(list, v) }
