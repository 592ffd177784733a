package pgtools

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// Identity describes an object as ALTER ... OWNER TO wants it, such as
// `TABLE "public"."t"` or `FUNCTION public.f(integer)`. It is empty for what
// has no owner of its own.
func Identity(e Entry) string {
	switch e.Desc {
	case "COLLATION", "CONVERSION", "DOMAIN", "FOREIGN TABLE", "MATERIALIZED VIEW", "SEQUENCE", "STATISTICS", "TABLE",
		"TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "TYPE", "VIEW",
		"DATABASE", "EVENT TRIGGER", "FOREIGN DATA WRAPPER", "PROCEDURAL LANGUAGE", "PUBLICATION", "SCHEMA", "SERVER", "SUBSCRIPTION":
		name := pgx.Identifier{e.Tag}
		if e.Namespace != "" {
			name = pgx.Identifier{e.Namespace, e.Tag}
		}
		return e.Desc + " " + name.Sanitize()
	case "AGGREGATE", "FUNCTION", "OPERATOR", "OPERATOR CLASS", "OPERATOR FAMILY", "PROCEDURE":
		// Tags lack what tells these apart; the statement that drops them
		// has it, already qualified and quoted.
		rest, ok := strings.CutPrefix(e.DropStmt, "DROP ")
		if !ok {
			return ""
		}
		return strings.TrimRight(rest, ";\n")
	case "BLOB":
		return "LARGE OBJECT " + e.Tag
	}
	return ""
}
