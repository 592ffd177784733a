package clone

import (
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
)

// hashed are the types whose equality is that of their bytes, so that the
// server's own hash tells any two values apart. What is not listed is hashed
// as text: an enum's hash is that of its number, which differs between two
// databases, 1.0 and 1.00 have one hash, and json has none at all.
var hashed = map[string]bool{
	"int2": true, "int4": true, "int8": true, "bool": true, "uuid": true, "bytea": true, "oid": true,
	"date": true, "timestamp": true, "timestamptz": true, "time": true,
}

// digest is an expression for the hash of a row's content, of which the sum
// over a table does not depend on the order of its rows. Between major
// versions, and before 14, it is slower.
func digest(t catalog.Table, types map[uint32]catalog.Type, native bool) string {
	var direct, rest []string
	for _, c := range t.Columns {
		name := catalog.Ident(c.Name)
		ty := types[c.TypeOID]
		builtin := native && ty.Kind == catalog.TypeBase && ty.Schema == "pg_catalog"
		switch {
		case builtin && hashed[ty.Name.Name]:
			direct = append(direct, name)
		case builtin && (ty.Name.Name == "text" || ty.Name.Name == "varchar"):
			direct = append(direct, name+` COLLATE pg_catalog."C"`)
		default:
			rest = append(rest, name)
		}
	}
	// The text of a record is that of its values by their types' own output,
	// whatever casts somebody has made.
	text := `ROW(` + strings.Join(rest, ", ") + `)::pg_catalog.text COLLATE pg_catalog."C"`
	switch {
	case len(t.Columns) == 0:
		return "0"
	case !native:
		return `('x' || pg_catalog.substr(pg_catalog.md5(` + text + `), 1, 16))::pg_catalog.bit(64)::pg_catalog.int8`
	case len(rest) > 0:
		direct = append(direct, text)
	}
	return "pg_catalog.hash_record_extended(ROW(" + strings.Join(direct, ", ") + "), 0)"
}

// hashRecords is the first version that can hash a row.
const hashRecords = 140000

// sameHashes reports whether two servers give a row the same hash.
func sameHashes(a, b int) bool { return a >= hashRecords && a/10000 == b/10000 }
