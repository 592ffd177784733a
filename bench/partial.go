package main

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The latest orders and whatever they need: about a million rows at scale 1.
const (
	partialName = "twin sync --file, mode partial"
	byHandName  = "by hand: \\copy of a query for each table"
)

// recent is the set of orders that both ways begin with.
const recent = "placed_at >= '2026-02-01'"

// partialFile is the repository's file of ours.
const partialFile = `version: 1
twins:
  part:
    source: bench
    target: bench
    on: {push: {}}
    mode: partial
    subset:
      roots: [{table: public.orders, where: "` + recent + `"}]
      empty: [public.events, public.documents, public.measurements]
      max_rows: 5000000
`

// byHand are the queries that a person writes for the same rows, one for each
// table: there is a circle of keys among the users and their tenants.
func byHand() map[string]string {
	const users = `WITH RECURSIVE kept AS (
		SELECT DISTINCT user_id AS id FROM orders WHERE ` + recent + `
		UNION SELECT n.id FROM kept k JOIN users u ON u.id = k.id JOIN tenants t ON t.id = u.tenant_id
			CROSS JOIN LATERAL (VALUES (u.invited_by), (t.owner_id)) n (id) WHERE n.id IS NOT NULL) `
	return map[string]string{
		"orders":      "SELECT * FROM orders WHERE " + recent,
		"order_items": "SELECT i.* FROM order_items i JOIN orders o ON o.id = i.order_id WHERE o." + recent,
		"products":    "SELECT p.* FROM products p WHERE EXISTS (SELECT FROM order_items i JOIN orders o ON o.id = i.order_id WHERE i.product_id = p.id AND o." + recent + ")",
		"users": users + `SELECT u.id, tenant_id, invited_by, email, full_name, settings, last_ip, credit, active, created_at, seen_at
			FROM users u JOIN kept k ON k.id = u.id`,
		"tenants": users + "SELECT t.* FROM tenants t WHERE id IN (SELECT tenant_id FROM users u JOIN kept k ON k.id = u.id)",
	}
}

// usersColumns are those of users that are not generated.
const usersColumns = " (id, tenant_id, invited_by, email, full_name, settings, last_ip, credit, active, created_at, seen_at)"

// partials are the ways to a partial copy of the shop.
func (b *bench) partials(ctx context.Context, database string) ([]contender, error) {
	counted, err := count(ctx, b.source.URL(database))
	if err != nil {
		return nil, err
	}
	queries := byHand()
	keeps := make(map[string]int64, len(counted.rows))
	for table := range counted.rows {
		keeps[table] = 0
		if q, ok := queries[table]; ok {
			var n int64
			if err := value(ctx, b.source.URL(database), "SELECT count(*) FROM ("+q+") q", &n); err != nil {
				return nil, fmt.Errorf("count what is kept of %s: %w", table, err)
			}
			keeps[table] = n
		}
	}
	file := filepath.Join(b.cache, "partial.yml")
	if err := os.WriteFile(file, []byte(partialFile), 0o600); err != nil {
		return nil, err
	}
	ours := b.ours("--file", file, "--twin", "part")
	ours.name = partialName
	list := []contender{ours, b.byHand(queries)}
	for i := range list {
		list[i].keeps = keeps
	}
	return list, nil
}

// byHand makes the schema, copies a query of each table to a file and from
// there into the table, and then makes indexes and keys.
func (b *bench) byHand(queries map[string]string) contender {
	return contender{name: byHandName, pipelines: func(from, to endpoint, staging string) []pipeline {
		bin, dump := b.target.Bin(), filepath.Join(staging, "schema")
		var out, in []string
		for _, t := range slices.Sorted(maps.Keys(queries)) {
			file, columns := filepath.Join(staging, t), ""
			if t == "users" {
				columns = usersColumns
			}
			out = append(out, "-c", `\copy (`+strings.Join(strings.Fields(queries[t]), " ")+") TO '"+file+"'")
			in = append(in, "-c", `\copy `+t+columns+" FROM '"+file+"'")
		}
		psql := func(e endpoint, args []string) command {
			return command{program: filepath.Join(bin, "psql"), args: append([]string{"-X", "-q", "-v", "ON_ERROR_STOP=1"}, args...), env: e.env()}
		}
		restore := func(section string, args ...string) command {
			args = append(args, "--section="+section, "--no-owner", "--no-acl", "-d", twinDatabase, dump)
			return command{program: filepath.Join(bin, "pg_restore"), args: args, env: to.env()}
		}
		return []pipeline{
			{{program: filepath.Join(bin, "pg_dump"), args: []string{"-Fc", "--schema-only", "-f", dump}, env: from.env()}},
			{restore("pre-data")},
			{psql(from, out)},
			{psql(to, in)},
			{restore("post-data", "-j2")},
		}
	}}
}
