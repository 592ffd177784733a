package detect

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/mask"
)

// Bounds of what is taken of one value. Documents need more: what is personal
// may stand deep in them.
const (
	longestValue    = 1000
	longestDocument = 8000
)

// smallPages is up to how many pages a table is read from its beginning; of
// larger ones a few pages are drawn.
const smallPages = 256

// judged are the kinds whose values tell something.
const judged = mask.Text | mask.JSON | mask.XML | mask.HStore | mask.Int | mask.Numeric | mask.IP

// want is a column that is read.
type want struct {
	name, expression string
	array            bool
}

// sample adds values of a table to those that are there. A table that can't be
// read adds none.
func (l *looker) sample(ctx context.Context, t catalog.Table, values map[string][]string) error {
	var wanted []want
	for _, c := range t.Columns {
		m := mask.ColumnOf(l.s, c)
		array := m.Elem != nil
		if array {
			m = *m.Elem
		}
		f := l.facts[spot{t.OID, c.Name}]
		if m.Kind&judged == 0 || m.Kind&(mask.Int|mask.Numeric) != 0 && (c.Identity != "" || f.refers && !array) {
			continue
		}
		wanted = append(wanted, want{c.Name, expression(c.Name, m.Kind, array), array})
	}
	if len(wanted) == 0 {
		return nil
	}
	if !t.Readable || t.Filtered {
		l.out.Unread = append(l.out.Unread, t.Name)
		return nil
	}
	expressions := make([]string, len(wanted))
	for i, w := range wanted {
		expressions[i] = w.expression
	}
	queries := []string{""}
	if share := sampled(t, l.o.Rows); share > 0 {
		queries = []string{fmt.Sprintf(" TABLESAMPLE SYSTEM (%.6f)", share), ""}
	}
	for _, part := range queries {
		sql := fmt.Sprintf("SELECT %s FROM ONLY %s%s LIMIT %d", strings.Join(expressions, ", "), t.SQL(), part, l.o.Rows)
		n, err := l.attempt(ctx, sql, wanted, values)
		if err != nil {
			return fmt.Errorf("read a sample of table %s: %w", t.Name, err)
		}
		if n < 0 {
			l.out.Unread = append(l.out.Unread, t.Name)
			return nil
		}
		if n > 0 {
			break
		}
	}
	return nil
}

// sampled is how many percent of a large table's pages hold enough rows; 0 for
// a table that is read from its beginning.
func sampled(t catalog.Table, rows int) float64 {
	if t.Pages <= smallPages {
		return 0
	}
	perPage := max(t.Rows/float64(t.Pages), 1)
	pages := max(float64(rows)/perPage*1.5, 16) // pages differ, and few of them have much in common
	return math.Min(100, 100*pages/float64(t.Pages))
}

// expression cuts a value on the server. Elements of an array come on lines of
// their own.
func expression(name string, kind mask.Kind, array bool) string {
	column := catalog.Ident(name)
	if array {
		return fmt.Sprintf(`pg_catalog."left"(pg_catalog.array_to_string(%s, E'\n'), %d)`, column, longestValue)
	}
	longest := longestValue
	if kind&opaque != 0 {
		longest = longestDocument
	}
	return fmt.Sprintf(`pg_catalog."left"(%s::pg_catalog.text, %d)`, column, longest)
}

// attempt reads rows within a savepoint, and -1 if the server refuses: for
// want of a privilege, or of time. Only a lost connection is an error.
func (l *looker) attempt(ctx context.Context, sql string, wanted []want, values map[string][]string) (int, error) {
	if err := l.exec(ctx, "SAVEPOINT neontwin_sample"); err != nil {
		return 0, err
	}
	n, err := l.read(ctx, sql, wanted, values)
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return n, l.exec(ctx, "RELEASE SAVEPOINT neontwin_sample")
	case ctx.Err() == nil && errors.As(err, &refused):
		return -1, l.exec(ctx, "ROLLBACK TO SAVEPOINT neontwin_sample")
	}
	return 0, err
}

func (l *looker) read(ctx context.Context, sql string, wanted []want, values map[string][]string) (int, error) {
	rows, err := l.q.Query(ctx, sql, pgx.QueryExecModeExec)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	fields, into := make([]*string, len(wanted)), make([]any, len(wanted))
	for i := range fields {
		into[i] = &fields[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return 0, err
		}
		n++
		for i, v := range fields {
			if v == nil {
				continue
			}
			name := wanted[i].name
			if wanted[i].array {
				values[name] = append(values[name], strings.Split(*v, "\n")...)
			} else {
				values[name] = append(values[name], *v)
			}
		}
	}
	return n, rows.Err()
}
