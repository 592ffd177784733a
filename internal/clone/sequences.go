package clone

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
func (p *Plan) setSequences(ctx context.Context, env Env) error {
	if len(p.Sequences) == 0 {
		return nil
	}
	at, err := p.sourcePositions(ctx, env)
	if err != nil {
		return err
	}
	conn, err := pgcopy.Writer(ctx, env.Target, env.App)
	if err != nil {
		return &Error{Object: "connection to the target", Err: err}
	}
	defer closeConn(conn)
	var sets []string
	for _, q := range p.Sequences {
		pos, known := at[q.OID]
		far, filled, err := farthest(ctx, conn, q)
		if err != nil {
			return &Error{Object: "SEQUENCE " + q.Name.String(), Err: err}
		}
		if filled && (!known || behind(pos, far, q.Increment)) {
			pos, known = position{far, true}, true
		}
		if known {
			sets = append(sets, fmt.Sprintf("pg_catalog.setval(%s, %d, %t)", pgcopy.Literal(q.Name.SQL()), pos.value, pos.called))
		}
	}
	for batch := range slices.Chunk(sets, perQuery) {
		if err := exec(ctx, conn, "SELECT "+strings.Join(batch, ", ")); err != nil {
			return &Error{Object: "sequences", Err: err}
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

// sourcePositions reads the sequences that the role may read. It asks the
// sequences themselves: functions answer NULL for more than one reason.
func (p *Plan) sourcePositions(ctx context.Context, env Env) (map[uint32]position, error) {
	var queries []string
	for _, q := range p.Sequences {
		if q.Readable {
			queries = append(queries, fmt.Sprintf("SELECT %d::oid, last_value, is_called FROM %s", q.OID, q.Name.SQL()))
		}
	}
	at := make(map[uint32]position, len(queries))
	if len(queries) == 0 {
		return at, nil
	}
	conn, err := pgcopy.Reader(ctx, env.Source, env.App, "")
	if err != nil {
		return nil, &Error{Object: "connection to the source", Source: true, Err: err}
	}
	defer closeConn(conn)
	for batch := range slices.Chunk(queries, perQuery) {
		rows, err := conn.Query(ctx, strings.Join(batch, " UNION ALL "))
		if err != nil {
			return nil, &Error{Object: "sequences", Source: true, Err: err}
		}
		var oid uint32
		var pos position
		_, err = pgx.ForEachRow(rows, []any{&oid, &pos.value, &pos.called}, func() error {
			at[oid] = pos
			return nil
		})
		if err != nil {
			return nil, &Error{Object: "sequences", Source: true, Err: err}
		}
	}
	return at, nil
}

// farthest is the last value of the sequence's column in its own direction,
// on the target. filled is false where it has no column, the column has no
// value, or the value is none that the sequence could be set to.
func farthest(ctx context.Context, conn *pgx.Conn, q catalog.Sequence) (value int64, filled bool, err error) {
	if q.OwnerColumn == "" {
		return 0, false, nil
	}
	function := "max"
	if q.Increment < 0 {
		function = "min"
	}
	column := catalog.Ident(q.OwnerColumn)
	// The bound keeps a value out that setval would refuse, and a cast that
	// would overflow. An OWNED BY column may have any type.
	sql := fmt.Sprintf(`SELECT (%s(%s))::text FROM %s WHERE %s BETWEEN %d AND %d`, function, column, q.OwnerTable.SQL(), column, q.Min, q.Max)
	var text *string
	if err := conn.QueryRow(ctx, sql).Scan(&text); err != nil {
		if isUndefined(err) {
			return 0, false, nil
		}
		return 0, false, err
	}
	if text == nil {
		return 0, false, nil
	}
	if _, err := fmt.Sscan(*text, &value); err != nil {
		return 0, false, nil //nolint:nilerr // a column of another type: its sequence is not behind
	}
	return value, true, nil
}

// isUndefined reports whether a comparison or max does not exist for a type.
func isUndefined(err error) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && (state.SQLState() == "42883" || state.SQLState() == "42846" || state.SQLState() == "22P02")
}

func fromSource(err error) bool {
	var s *pgcopy.SourceError
	return errors.As(err, &s)
}
