package catalog

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed sql
var files embed.FS

// oldest is the oldest major version whose catalog is known.
const oldest = 13

// marker matches what a line of our SQL ends in if not all versions take it:
// "-- since 15", "-- before 17", or both.
var marker = regexp.MustCompile(`-- (since|before) ([0-9]+)\s*`)

// query gives the SQL of a file under sql/ for a server's major version.
func query(name string, major int) (string, error) {
	text, err := files.ReadFile("sql/" + name + ".sql")
	if err != nil {
		return "", fmt.Errorf("read query: %w", err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if fits(line, major) {
			b.WriteString(line)
		}
	}
	return b.String(), nil
}

func fits(line string, major int) bool {
	for _, m := range marker.FindAllStringSubmatch(line, -1) {
		n, _ := strconv.Atoi(m[2]) // digits, says the pattern
		if (m[1] == "since") != (major >= n) {
			return false
		}
	}
	return true
}

// collect runs a query and reads each row.
func collect[T any](ctx context.Context, q Querier, name string, major int, scan func(pgx.Rows, *T) error) ([]T, error) {
	sql, err := query(name, major)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) {
		var v T
		err := scan(rows, &v)
		return v, err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return out, nil
}

// enterQuery sets what the text of definitions depends on, until the
// transaction ends.
const enterQuery = `SELECT pg_catalog.set_config(name, value, true) FROM (VALUES
	('search_path', ''), ('timezone', 'UTC'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'postgres'),
	('extra_float_digits', '3'), ('bytea_output', 'hex'), ('lc_monetary', 'C'), ('quote_all_identifiers', 'off'), ('standard_conforming_strings', 'on'))
	AS settings (name, value)`

// enter prepares the transaction and gives the server's version number.
func enter(ctx context.Context, q Querier) (int, error) {
	rows, err := q.Query(ctx, enterQuery)
	if err == nil {
		_, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return 0, fmt.Errorf("set search_path: %w", err)
	}
	type state struct {
		Version int
		Path    string
	}
	rows, err = q.Query(ctx, `SELECT pg_catalog.current_setting('server_version_num')::int, pg_catalog.current_setting('search_path')`)
	if err != nil {
		return 0, fmt.Errorf("read server version: %w", err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[state])
	if err != nil {
		return 0, fmt.Errorf("read server version: %w", err)
	}
	// Outside of a transaction the settings have ended with their statement.
	if s.Path != "" && s.Path != `""` {
		return 0, errors.New("not in a transaction")
	}
	if s.Version/10000 < oldest {
		return 0, fmt.Errorf("server version %d is older than %d", s.Version/10000, oldest)
	}
	return s.Version, nil
}
