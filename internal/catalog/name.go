package catalog

import (
	"regexp"

	"github.com/jackc/pgx/v5"
)

// Name is the name of something in a schema, both parts unquoted.
type Name struct {
	Schema, Name string
}

// SQL is the name for a statement: qualified, always quoted.
func (n Name) SQL() string { return Ident(n.Schema, n.Name) }

// plain matches what SQL reads back without quotes, keywords aside.
var plain = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// String is the name for people and messages: quoted only where its letters
// ask for it. Don't send it to a server: keywords are not quoted.
func (n Name) String() string {
	parts := []string{n.Schema, n.Name}
	if n == (Name{}) {
		return ""
	}
	if n.Schema == "" {
		parts = parts[1:]
	}
	out := ""
	for i, p := range parts {
		if i > 0 {
			out += "."
		}
		if plain.MatchString(p) {
			out += p
		} else {
			out += Ident(p)
		}
	}
	return out
}

// Ident quotes an identifier of one or more parts for a statement.
func Ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }
