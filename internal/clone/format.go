package clone

import "github.com/neontwin/neontwin/internal/catalog"

// Format is how rows travel.
type Format string

// The formats of COPY.
const (
	Text   Format = "text"
	Binary Format = "binary"
)

// binaryGain says how much a column of a type gains from travelling in binary;
// below zero it loses. Measured over single-type tables. What is not listed
// never travels in binary: reg* types and oid would silently carry the
// source's numbers, and others differ between versions.
var binaryGain = map[string]float64{
	"uuid": 2, "bytea": 2, "float4": 2, "float8": 2, "timestamp": 2, "timestamptz": 2,
	"date": 2, "time": 2, "timetz": 2, "inet": 2, "cidr": 2, "macaddr": 2, "macaddr8": 2, "interval": 2,
	"int8": 0.3, "int4": 0, "int2": 0, "bool": 0, "jsonb": 0.2, "json": 0,
	"numeric": -0.6, "text": -0.6, "varchar": -0.6, "bpchar": -0.6, "name": -0.6, "char": 0,
	"bit": 0, "varbit": 0, "point": 0, "box": 0, "circle": 0, "line": 0, "lseg": 0, "path": 0, "polygon": 0,
}

// arrayGain is for an array of any type that may travel in binary.
const arrayGain = -0.6

// format chooses for one table. Binary must be allowed for every column and
// pay in sum.
func format(t catalog.Table, types map[uint32]catalog.Type) Format {
	var sum float64
	for _, c := range t.Columns {
		if c.Generated != "" {
			continue
		}
		gain, ok := gainOf(c.TypeOID, types)
		if !ok {
			return Text
		}
		sum += gain
	}
	if sum > 0 {
		return Binary
	}
	return Text
}

// gainOf looks through domains and arrays. Enums travel by label in both
// formats; composites and ranges stay text.
func gainOf(oid uint32, types map[uint32]catalog.Type) (float64, bool) {
	t, ok := types[oid]
	if !ok {
		return 0, false
	}
	switch t.Kind {
	case catalog.TypeBase:
		gain, ok := binaryGain[t.Name.Name]
		return gain, ok && t.Schema == "pg_catalog"
	case catalog.TypeDomain:
		if len(t.Of) == 1 {
			return gainOf(t.Of[0], types)
		}
	case catalog.TypeArray:
		if len(t.Of) == 1 {
			_, ok := gainOf(t.Of[0], types)
			// The header of a binary array names its element type by OID, which
			// for a type of the user's differs between the two databases.
			element, known := types[t.Of[0]]
			return arrayGain, ok && known && element.Schema == "pg_catalog"
		}
	case catalog.TypeEnum:
		return -0.6, true
	case catalog.TypeComposite, catalog.TypeRange, catalog.TypeMultirange, catalog.TypePseudo:
	}
	return 0, false
}
