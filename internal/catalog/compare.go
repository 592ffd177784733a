package catalog

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Object is one thing of a schema, described so that two databases with the
// same schema give the same text.
type Object struct {
	Kind       string // table, column, constraint, index, ...
	Identity   string // qualified and quoted
	Definition string
}

// Inventory is everything in a database that a schema dump would make, by
// kind and identity.
type Inventory struct {
	// ServerVersion is the server's number, such as 170006.
	ServerVersion int
	Objects       []Object
}

// kindQuery is the text of views, rules and the like, as a server prints it
// from what it has parsed.
const kindQuery = "query"

// Objects takes the inventory in one query. q must be in a transaction, whose
// settings it changes as Read does. Owners, grants, members and versions of extensions,
// publications, subscriptions, event triggers, security labels, user
// mappings, storage places, schema public itself and the schema of our mark
// are left out. Of operators, collations, text search, servers and languages
// only the names are compared.
func Objects(ctx context.Context, q Querier) (*Inventory, error) {
	version, err := enter(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	sql, err := inventoryQuery(version / 10000)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	objects, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Object])
	if err != nil {
		return nil, fmt.Errorf("read inventory: %w", err)
	}
	// The server's order depends on its locale.
	slices.SortFunc(objects, func(a, b Object) int { return compareKeys(a.key(), b.key()) })
	return &Inventory{ServerVersion: version, Objects: objects}, nil
}

// inventoryQuery joins the queries of all kinds; a kind is a file's name.
func inventoryQuery(major int) (string, error) {
	names, err := fs.Glob(files, "sql/objects/*.sql")
	if err != nil {
		return "", fmt.Errorf("list queries: %w", err)
	}
	with, err := query("with", major)
	if err != nil {
		return "", err
	}
	var parts []string
	for _, name := range names {
		kind := strings.TrimSuffix(path.Base(name), ".sql")
		sql, err := query("objects/"+kind, major)
		if err != nil {
			return "", err
		}
		parts = append(parts, "SELECT '"+kind+"'::text, o.identity::text, o.definition::text FROM (\n"+sql+") AS o (identity, definition)\n")
	}
	return with + strings.Join(parts, "UNION ALL\n"), nil
}

// key orders and finds objects. The server may hold two objects of one
// identity only in catalogs that are damaged; then they are compared in order.
func (o Object) key() [2]string { return [2]string{o.Kind, o.Identity} }

func compareKeys(a, b [2]string) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

// Difference is an object that two inventories don't have alike. An object
// that one of them lacks has an empty definition there.
type Difference struct {
	Kind, Identity string
	Source, Target string
	// Missing is set if the target lacks it, Extra if the source does.
	Missing, Extra bool
}

// String is the difference in one line, without definitions: those may hold
// values.
func (d Difference) String() string {
	switch {
	case d.Missing:
		return d.Kind + " " + d.Identity + " is missing"
	case d.Extra:
		return d.Kind + " " + d.Identity + " is not in the source"
	}
	return d.Kind + " " + d.Identity + " differs"
}

// Compare lists what differs, ordered by kind and identity. Between major
// versions the text of views, rules and SQL bodies is not compared: servers
// print it differently.
func Compare(source, target *Inventory) []Difference {
	sameMajor := source.ServerVersion/10000 == target.ServerVersion/10000
	var diffs []Difference
	s, t := source.Objects, target.Objects
	for len(s) > 0 || len(t) > 0 {
		var order int
		switch {
		case len(s) == 0:
			order = 1
		case len(t) == 0:
			order = -1
		default:
			order = compareKeys(s[0].key(), t[0].key())
		}
		switch {
		case order < 0:
			diffs = append(diffs, Difference{Kind: s[0].Kind, Identity: s[0].Identity, Source: s[0].Definition, Missing: true})
			s = s[1:]
		case order > 0:
			diffs = append(diffs, Difference{Kind: t[0].Kind, Identity: t[0].Identity, Target: t[0].Definition, Extra: true})
			t = t[1:]
		default:
			if s[0].Definition != t[0].Definition && (sameMajor || s[0].Kind != kindQuery) {
				diffs = append(diffs, Difference{Kind: s[0].Kind, Identity: s[0].Identity, Source: s[0].Definition, Target: t[0].Definition})
			}
			s, t = s[1:], t[1:]
		}
	}
	return diffs
}
