package subset

import (
	"fmt"
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
)

// All names are quoted and qualified and all operators are the constraint's
// own: the search_path is empty, and a bare = might mean another one.

// tid is a column of every table: where a row lies.
const tid = "ctid"

// order is what a root's limit takes the first of.
func (r Root) order() []string { return order(r.OrderBy, r.key, "") }

// order is what an edge's limit takes the first of.
func (e *Edge) order(alias string) []string { return order(e.OrderBy, e.child.Key, alias) }

// order ends in what tells any two rows apart, so that there is only one.
func order(by string, key []string, alias string) []string {
	var out []string
	if by != "" {
		out = append(out, by)
	}
	prefix := ""
	if alias != "" {
		prefix = catalog.Ident(alias) + "."
	}
	for _, c := range key {
		out = append(out, prefix+catalog.Ident(c))
	}
	return append(out, prefix+"tableoid", prefix+tid)
}

// sql asks for a root's rows.
func (r Root) sql() string {
	var where []string
	if r.Where != "" {
		where = append(where, "("+r.Where+")")
	}
	if r.Share > 0 {
		where = append(where, fmt.Sprintf("(pg_catalog.hashtextextended(%s COLLATE pg_catalog.\"C\", 0) & 9223372036854775807) OPERATOR(pg_catalog.%%) 10000 < %d", r.text(), r.Share))
	}
	out := "SELECT tableoid, ctid FROM " + r.from + conjunction(where)
	if r.Limit > 0 {
		out += fmt.Sprintf(" ORDER BY %s LIMIT %d", strings.Join(order(r.OrderBy, r.key, r.alias), ", "), r.Limit)
	}
	return out
}

// text is what tells a root's rows apart, the same in every run.
func (r Root) text() string {
	alias := catalog.Ident(r.alias)
	switch len(r.key) {
	case 0:
		return "(" + alias + ".*)::pg_catalog.text"
	case 1:
		return alias + "." + catalog.Ident(r.key[0]) + "::pg_catalog.text"
	}
	columns := make([]string, len(r.key))
	for i, c := range r.key {
		columns[i] = alias + "." + catalog.Ident(c)
	}
	return "ROW(" + strings.Join(columns, ", ") + ")::pg_catalog.text"
}

func conjunction(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

// on compares the two tables of an edge. columns are those of the child, as SQL.
func (e *Edge) on(parent string, columns []string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		up := parent + "." + catalog.Ident(e.ParentColumns[i])
		if e.Collations[i] != "" {
			up = "(" + up + " COLLATE " + e.Collations[i] + ")"
		}
		out[i] = up + " " + e.Operators[i] + " " + c
	}
	return strings.Join(out, " AND ")
}

// conditions are those of a person's, in parentheses.
func conditions(all ...string) []string {
	var out []string
	for _, c := range all {
		if c != "" {
			out = append(out, "("+c+")")
		}
	}
	return out
}

// source is the child's table under the alias c. A person's conditions stand in
// a query of their own, where their names can mean nothing else. The columns of
// the reference are k0, k1 and so on.
func (e *Edge) source(from string, extra string, where ...string) string {
	var columns strings.Builder
	for i, c := range e.Columns {
		fmt.Fprintf(&columns, "%s AS k%d, ", catalog.Ident(c), i)
	}
	return "(SELECT " + columns.String() + "tableoid AS t, ctid AS i" + extra + " FROM " + from + conjunction(conditions(where...)) + ") AS c"
}

// keys are the columns of source.
func (e *Edge) keys() []string {
	out := make([]string, len(e.Columns))
	for i := range out {
		out[i] = fmt.Sprintf("c.k%d", i)
	}
	return out
}

// only is a table that holds rows, without those that inherit from it.
func only(t catalog.Name) string { return "ONLY " + t.SQL() }

// chosen restricts a table to the rows of $1, which all lie from $2 to $3: where
// they lie close together, the server reads that part of the table once, in
// order, instead of all of it or row by row.
func chosen(place string) string {
	return fmt.Sprintf("%[1]s = ANY ($1) AND %[1]s >= $2 AND %[1]s <= $3", place)
}

// up asks for the rows that rows of a table refer to: those of $1, or all.
func (e *Edge) up(table catalog.Name, all bool) string {
	out := "SELECT DISTINCT p.tableoid, p.ctid FROM " + e.source(only(table), "", e.When) + " JOIN " + e.parent.from() + " AS p ON " + e.on("p", e.keys())
	if !all {
		out += " WHERE " + chosen("c.i")
	}
	return out
}

// pairs asks for rows of a table and the rows that they refer to.
func (e *Edge) pairs(table catalog.Name) string {
	return "SELECT c.i, p.tableoid, p.ctid FROM " + e.source(only(table), "", e.When) + " JOIN " + e.parent.from() + " AS p ON " + e.on("p", e.keys()) + " WHERE " + chosen("c.i")
}

// orphans counts rows of a table that should refer to a row and don't: those of
// $1, or all.
func (e *Edge) orphans(table catalog.Name, all bool) string {
	out := "SELECT count(*) FROM " + e.source(only(table), "") + " LEFT JOIN " + e.parent.from() + " AS p ON " + e.on("p", e.keys()) + " WHERE p.ctid IS NULL"
	for _, k := range e.keys() {
		out += " AND " + k + " IS NOT NULL"
	}
	if !all {
		out += " AND " + chosen("c.i")
	}
	return out
}

// down asks for the rows that refer to rows of a table, those of $1.
func (e *Edge) down(table catalog.Name) string {
	from := e.child.from()
	switch {
	case e.Limit == 0:
		return "SELECT c.t, c.i FROM " + e.source(from, "", e.When, e.Where) + " JOIN " + only(table) + " AS p ON " + e.on("p", e.keys()) + " WHERE " + chosen("p.ctid")
	case e.Indexed:
		// The child goes by its own name, as a person's SQL expects; the parent
		// must not go by the same.
		child, parent := catalog.Ident(e.Table.Name), "p"
		if e.Table.Name == parent {
			parent = "q"
		}
		columns := make([]string, len(e.Columns))
		for i, c := range e.Columns {
			columns[i] = child + "." + catalog.Ident(c)
		}
		where := append([]string{e.on(parent, columns)}, conditions(e.When, e.Where)...)
		return fmt.Sprintf("SELECT x.t, x.i FROM %s AS %s CROSS JOIN LATERAL (SELECT %s.tableoid AS t, %s.ctid AS i FROM %s%s ORDER BY %s LIMIT %d) AS x WHERE %s",
			only(table), parent, child, child, from, conjunction(where), strings.Join(e.order(e.Table.Name), ", "), e.Limit, chosen(parent+".ctid"))
	default:
		// Without an index each parent would cost a scan: one scan ranks all.
		rank := ", row_number() OVER (ORDER BY " + strings.Join(e.order(e.Table.Name), ", ") + ") AS n"
		return fmt.Sprintf("SELECT x.t, x.i FROM (SELECT c.t, c.i, row_number() OVER (PARTITION BY p.ctid ORDER BY c.n) AS r FROM %s JOIN %s AS p ON %s WHERE %s) AS x WHERE x.r <= %d",
			e.source(from, rank, e.When, e.Where), only(table), e.on("p", e.keys()), chosen("p.ctid"), e.Limit)
	}
}
