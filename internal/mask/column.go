package mask

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
)

// Kind is what values are to a masker, whatever the type that holds them.
type Kind uint16

// The kinds of values, each with its canonical form. Values that a database
// calls equal have one canonical form, in both formats of COPY.
const (
	// Text is NFC; char(n) is without trailing blanks, citext is lower-cased.
	Text Kind = 1 << iota
	// Int is decimal.
	Int
	// Numeric is decimal without trailing zeros or exponent.
	Numeric
	// Float is decimal, as short as it can be read back.
	Float
	// Bool is t or f.
	Bool
	// UUID is 16 bytes.
	UUID
	// Moment is a date or timestamp: microseconds since 2000 in UTC, as eight
	// bytes, big-endian.
	Moment
	// Bytes are bytes.
	Bytes
	// IP is an address as PostgreSQL writes it.
	IP
	// MAC is six or eight bytes in hexadecimal digits with colons.
	MAC
	// JSON is a document as it comes, jsonb without its version byte.
	JSON
	// XML is a document as it comes.
	XML
	// HStore is as the type is sent in binary.
	HStore
	// Enum is the label.
	Enum
	// Other is any other type, as text. Only what replaces it whole masks it,
	// and only in the text format.
	Other
)

var kindNames = [...]string{
	"text", "integer", "numeric", "float", "boolean", "uuid", "date or timestamp", "bytea",
	"address", "mac address", "json", "xml", "hstore", "enum", "other type",
}

// String lists the kinds in k.
func (k Kind) String() string {
	var names []string
	for i, name := range kindNames {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// The OIDs of the types that have a form of their own (pg_type.dat).
const (
	oidBool        = 16
	oidBytea       = 17
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidJSON        = 114
	oidXML         = 142
	oidCIDR        = 650
	oidFloat4      = 700
	oidFloat8      = 701
	oidMACAddr8    = 774
	oidMACAddr     = 829
	oidINET        = 869
	oidBPChar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802
)

var kindOf = map[uint32]Kind{
	oidBool: Bool, oidBytea: Bytes, oidName: Text, oidInt8: Int, oidInt2: Int, oidInt4: Int,
	oidText: Text, oidJSON: JSON, oidXML: XML, oidCIDR: IP, oidFloat4: Float, oidFloat8: Float,
	oidMACAddr8: MAC, oidMACAddr: MAC, oidINET: IP, oidBPChar: Text, oidVarchar: Text,
	oidDate: Moment, oidTimestamp: Moment, oidTimestamptz: Moment, oidNumeric: Numeric,
	oidUUID: UUID, oidJSONB: JSON,
}

// Column is what a masker must know of the column that it writes to. Where
// columns are tied, by a foreign key or a shared domain, one masker serves all
// of them: it is made for the narrowest, with Unique set if any of them is
// unique.
type Column struct {
	// Name is for errors.
	Name string
	Kind Kind
	// OID is the base type's; 0 where only the kind counts.
	OID uint32
	// Fold is set for citext: case does not count.
	Fold bool
	// MaxLen is the most characters that fit, by the type or a CHECK; 0 is any.
	MaxLen int
	// MinLen is the fewest characters that a CHECK takes; empty text stays empty
	// all the same.
	MinLen int
	// Precision and Scale are a numeric's, if Precision is not 0.
	Precision, Scale int
	// Least and Most are the bounds of a number, in decimal; empty is none.
	Least, Most string
	// Span bounds a date or timestamp; nil is any.
	Span *Span
	// Allowed are the only values that a CHECK takes, as COPY's text format
	// writes them.
	Allowed []string
	NotNull bool
	// Unique is set where two values must not become one: keys, unique indexes,
	// exclusion constraints, partition keys.
	Unique bool
	// Values is about how many different ones there are; 0 is unknown.
	Values int64
	// Labels are an enum's.
	Labels []string
	// Elem is what an array's elements are; Kind and the rest are then unused,
	// and ElemOID is the OID that a binary array names, 0 for the element's own.
	Elem    *Column
	ElemOID uint32
}

// ColumnOf tells a column from the catalog. What the catalog does not say
// (uniqueness, labels, checks) is left to the caller to add.
func ColumnOf(s *catalog.Schema, c catalog.Column) Column {
	col := ofType(s, c.TypeOID)
	col.Name, col.NotNull = c.Name, c.NotNull
	target := &col
	if col.Elem != nil {
		target = col.Elem
	}
	target.modifier(c.Type)
	return col
}

func ofType(s *catalog.Schema, oid uint32) Column {
	if kind, ok := kindOf[oid]; ok {
		return Column{Kind: kind, OID: oid}
	}
	t := s.Types[oid]
	switch {
	case t.Kind == catalog.TypeDomain && len(t.Of) == 1:
		return ofType(s, t.Of[0])
	case t.Kind == catalog.TypeArray && len(t.Of) == 1:
		elem := ofType(s, t.Of[0])
		return Column{Elem: &elem, ElemOID: t.Of[0]}
	case t.Kind == catalog.TypeEnum:
		return Column{Kind: Enum, OID: oid}
	case t.Extension == "citext" && t.Name.Name == "citext":
		return Column{Kind: Text, OID: oid, Fold: true}
	case t.Extension == "hstore" && t.Name.Name == "hstore":
		return Column{Kind: HStore, OID: oid}
	}
	return Column{Kind: Other, OID: oid}
}

// modifier reads the length or precision that a type is written with. A
// domain's is not written, and its length is left to PostgreSQL.
func (c *Column) modifier(written string) {
	_, rest, found := strings.Cut(written, "(")
	inner, _, closed := strings.Cut(rest, ")")
	if !found || !closed {
		return
	}
	first, second, _ := strings.Cut(inner, ",")
	n, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return
	}
	switch c.OID {
	case oidVarchar, oidBPChar:
		c.MaxLen = n
	case oidNumeric:
		c.Precision = n
		if scale, err := strconv.Atoi(strings.TrimSpace(second)); err == nil {
			c.Scale = scale
		}
	}
}

// value is the column that one value stands in: an array's elements.
func (c Column) value() Column {
	if c.Elem == nil {
		return c
	}
	v := *c.Elem
	v.Name, v.Unique, v.Values = c.Name, c.Unique, c.Values
	return v
}

// intRange is the largest and smallest value of the column's integers.
func (c Column) intRange() (least, most int64) {
	switch c.OID {
	case oidInt2:
		return -1 << 15, 1<<15 - 1
	case oidInt4:
		return -1 << 31, 1<<31 - 1
	}
	return -1 << 63, 1<<63 - 1
}

// ColumnError says why a column can't be masked, or one of its values. It quotes
// no value.
type ColumnError struct {
	Column string
	Err    error
}

// Error names the column.
func (e *ColumnError) Error() string { return "mask column " + e.Column + ": " + e.Err.Error() }

// Unwrap gives the reason.
func (e *ColumnError) Unwrap() error { return e.Err }

// errorf is an error about the column.
func (c Column) errorf(format string, args ...any) error {
	return &ColumnError{c.Name, fmt.Errorf(format, args...)}
}
