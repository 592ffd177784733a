package clone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgcopy"
)

// position is where a sequence stands: the value, and whether it was given out.
type position struct {
	value  int64
	called bool
}

// perQuery is how many sequences are read or set with one statement.
const perQuery = 200

// setSequences moves each sequence to where the source's stands, or past the
// largest value of its column where that is farther: sequences are not part
// of the snapshot, and a role may be allowed to read a table but not the
// sequence behind it.
func (r *run) setSequences(ctx context.Context, s *session) error {
	if len(r.Sequences) == 0 {
		return nil
	}
	var at map[catalog.Name]position
	err := r.again(ctx, "sequences", func(int) (err error) {
		if r.Restart {
			return nil
		}
		if at, err = positionsAt(ctx, r.env.Source, r.env.App, r.Sequences); err != nil {
			err = &Error{Object: "sequences", Source: true, Err: err}
		}
		return err
	})
	if err != nil {
		return err
	}
	far, err := r.columnPositions(ctx, s)
	if err != nil {
		return err
	}
	var sets []string
	for _, q := range r.Sequences {
		pos, known := at[q.Name]
		if value, filled := far[q.OID]; filled && (!known || behind(pos, value, q.Increment)) {
			pos, known = position{value, true}, true
		}
		if known {
			sets = append(sets, fmt.Sprintf("pg_catalog.setval(%s, %d, %t)", pgcopy.Literal(q.Name.SQL()), pos.value, pos.called))
		}
	}
	for i, batch := range slices.Collect(slices.Chunk(sets, perQuery)) {
		if err := r.once(ctx, s, fmt.Sprintf("sequences%d", i), "sequences", "SELECT "+strings.Join(batch, ", ")); err != nil {
			return err
		}
	}
	return nil
}

// behind reports whether the next value of a sequence at pos could be one that
// is in the column already, far being the farthest of those.
func behind(pos position, far, increment int64) bool {
	if increment < 0 {
		return pos.value > far || pos.value == far && !pos.called
	}
	return pos.value < far || pos.value == far && !pos.called
}

// positionsAt reads where those sequences stand, on a server, that its role may
// read.
func positionsAt(ctx context.Context, url, app string, sequences []catalog.Sequence) (map[catalog.Name]position, error) {
	readable := slices.DeleteFunc(slices.Clone(sequences), func(q catalog.Sequence) bool { return !q.Readable })
	if len(readable) == 0 {
		return nil, nil
	}
	conn, err := pgcopy.Reader(ctx, url, app, "")
	if err != nil {
		return nil, err
	}
	defer pgcopy.Close(conn)
	return positions(ctx, conn, readable)
}

// positions asks the sequences themselves: functions answer NULL for more than
// one reason.
func positions(ctx context.Context, conn *pgx.Conn, sequences []catalog.Sequence) (map[catalog.Name]position, error) {
	at := make(map[catalog.Name]position, len(sequences))
	for batch := range slices.Chunk(sequences, perQuery) {
		queries := make([]string, len(batch))
		for i, q := range batch {
			queries[i] = fmt.Sprintf("SELECT %d, last_value, is_called FROM %s", i, q.Name.SQL())
		}
		rows, err := conn.Query(ctx, strings.Join(queries, " UNION ALL "))
		if err != nil {
			return nil, err
		}
		var i int
		var pos position
		_, err = pgx.ForEachRow(rows, []any{&i, &pos.value, &pos.called}, func() error {
			at[batch[i].Name] = pos
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return at, nil
}

// columnPositions gives, for each sequence with a column that has values, the
// last of them on the target, in the sequence's own direction.
func (r *run) columnPositions(ctx context.Context, s *session) (map[uint32]int64, error) {
	far := make(map[uint32]int64)
	for batch := range slices.Chunk(r.owned(), perQuery) {
		err := r.again(ctx, "sequences", func(int) error {
			conn, err := s.get(ctx)
			if err != nil {
				return err
			}
			return farthestOfMany(ctx, conn, batch, far)
		})
		if err != nil {
			return nil, &Error{Object: "sequences", Err: err}
		}
	}
	return far, nil
}

// owned are the sequences that belong to a column.
func (p *Plan) owned() []catalog.Sequence {
	all := make([]catalog.Sequence, 0, len(p.Sequences))
	for _, q := range p.Sequences {
		if q.OwnerColumn != "" {
			all = append(all, q)
		}
	}
	return all
}

// farthestOfMany is farthest for several sequences, with one statement if all
// of their columns can be compared with numbers.
func farthestOfMany(ctx context.Context, conn *pgx.Conn, sequences []catalog.Sequence, far map[uint32]int64) error {
	queries := make([]string, len(sequences))
	for i, q := range sequences {
		queries[i] = fmt.Sprintf("SELECT %d::oid, (%s)", q.OID, farthestQuery(q))
	}
	rows, err := conn.Query(ctx, strings.Join(queries, " UNION ALL "))
	if err == nil {
		var oid uint32
		var text *string
		_, err = pgx.ForEachRow(rows, []any{&oid, &text}, func() error {
			if value, ok := number(text); ok {
				far[oid] = value
			}
			return nil
		})
	}
	if err == nil || !isUndefined(err) {
		return err
	}
	for _, q := range sequences {
		value, filled, err := farthest(ctx, conn, q)
		if err != nil {
			return &Error{Object: "SEQUENCE " + q.Name.String(), Err: err}
		}
		if filled {
			far[q.OID] = value
		}
	}
	return nil
}

// farthest is the last value of the sequence's column in its own direction,
// on the target. filled is false where it has no column, the column has no
// value, or the value is none that the sequence could be set to.
func farthest(ctx context.Context, conn *pgx.Conn, q catalog.Sequence) (value int64, filled bool, err error) {
	if q.OwnerColumn == "" {
		return 0, false, nil
	}
	var text *string
	if err := conn.QueryRow(ctx, farthestQuery(q)).Scan(&text); err != nil {
		if isUndefined(err) {
			return 0, false, nil
		}
		return 0, false, err
	}
	value, filled = number(text)
	return value, filled, nil
}

// farthestQuery gives one text. The bound keeps a value out that setval would
// refuse, and a cast that would overflow. An OWNED BY column may have any type.
func farthestQuery(q catalog.Sequence) string {
	function := "max"
	if q.Increment < 0 {
		function = "min"
	}
	column := catalog.Ident(q.OwnerColumn)
	return fmt.Sprintf(`SELECT (%s(%s))::text FROM %s WHERE %s BETWEEN %d AND %d`, function, column, q.OwnerTable.SQL(), column, q.Min, q.Max)
}

// number reads a whole number. A column of another type has none: its sequence
// is not behind.
func number(text *string) (int64, bool) {
	if text == nil {
		return 0, false
	}
	value, err := strconv.ParseInt(*text, 10, 64)
	return value, err == nil
}

// isUndefined reports whether a comparison or max does not exist for a type.
func isUndefined(err error) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && slices.Contains([]string{"42883", "42846", "22P02"}, state.SQLState())
}

func fromSource(err error) bool {
	var s *pgcopy.SourceError
	return errors.As(err, &s)
}
