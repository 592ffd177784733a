package clone

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/twin"
)

// Large objects travel through a temporary table of the target, as no role but
// a superuser may touch the catalog that holds them. Their numbers are kept:
// columns refer to them. They belong to the target's role afterwards.

const (
	// slice is how much of a large object is moved at once.
	slice = 4 << 20
	// batchBytes is how much of the temporary table is aimed at.
	batchBytes = 64 << 20
	maxObjects = 20000
)

// readableObjects restricts pg_largeobject_metadata l to what we may read: of
// the others a hazard has told.
const readableObjects = `(pg_catalog.current_setting('is_superuser') = 'on' OR pg_catalog.current_setting('lo_compat_privileges') = 'on'
	OR pg_catalog.pg_has_role(l.lomowner, 'USAGE') OR EXISTS (SELECT FROM pg_catalog.aclexplode(l.lomacl) a
	WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE'))))`

// copyLargeObjects moves all large objects that may be read, and their comments.
func (r *run) copyLargeObjects(ctx context.Context) error {
	if r.LargeObjects == 0 {
		return nil
	}
	m := objectMover{run: r, source: reader(r.env, true), target: &session{app: r.env.App, open: r.openObjects}}
	defer func() { pgcopy.Close(m.source.conn); pgcopy.Close(m.target.conn) }()
	for last, limit := uint32(0), 100; ; {
		key := fmt.Sprintf("objects%d", last)
		b, err := m.first(ctx, key, last, limit)
		if err != nil {
			return err
		}
		if b.count == 0 {
			break
		}
		for offset := int64(slice); len(b.full) > 0; offset += slice {
			if b.full, err = m.next(ctx, fmt.Sprintf("%s.%d", key, offset), b.full, offset); err != nil {
				return err
			}
		}
		last = b.last
		if b.bytes < batchBytes/2 {
			limit = min(2*limit, maxObjects)
		} else if b.bytes > batchBytes {
			limit = max(limit/2, 8)
		}
	}
	return m.comment(ctx)
}

// openObjects opens a session on the target with a table to land in.
func (r *run) openObjects(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgcopy.Writer(ctx, r.env.Target, r.env.App)
	if err != nil {
		return nil, err
	}
	if err := exec(ctx, conn, "CREATE TEMP TABLE neontwin_objects (oid oid, data bytea)"); err != nil {
		pgcopy.Close(conn)
		return nil, err
	}
	return conn, nil
}

const largeObjects = "large objects"

// objectMover moves slices of large objects.
type objectMover struct {
	*run
	source, target *session
}

// objectBatch is what the first slices of some objects said.
type objectBatch struct {
	count, bytes int64
	last         uint32
	full         []uint32 // those whose slice was full: there may be more
}

// first makes objects out of their first slices.
func (m *objectMover) first(ctx context.Context, key string, after uint32, limit int) (objectBatch, error) {
	from := fmt.Sprintf(`SELECT l.oid, pg_catalog.lo_get(l.oid, 0, %d) FROM pg_catalog.pg_largeobject_metadata l WHERE l.oid > %d AND %s ORDER BY l.oid LIMIT %d`,
		slice, after, readableObjects, limit)
	return m.move(ctx, key, from, "pg_catalog.lo_from_bytea(oid, data)")
}

// next adds the slices at an offset to objects that are there already.
func (m *objectMover) next(ctx context.Context, key string, objects []uint32, offset int64) ([]uint32, error) {
	list := strings.Trim(strings.ReplaceAll(fmt.Sprint(objects), " ", ","), "[]")
	from := fmt.Sprintf(`SELECT l.oid, pg_catalog.lo_get(l.oid, %d, %d) FROM pg_catalog.unnest('{%s}'::oid[]) l (oid)`, offset, slice, list)
	b, err := m.move(ctx, key, from, fmt.Sprintf("pg_catalog.lo_put(oid, %d, data)", offset))
	return b.full, err
}

// move carries some slices and puts them where they belong, exactly once.
func (m *objectMover) move(ctx context.Context, key, from, put string) (b objectBatch, err error) {
	count := func(n int64) {
		m.env.Tracker.update(false, func(now *twin.Progress) { now.BytesDone += n; now.BytesTotal += n })
	}
	err = m.transfer(ctx, largeObjects, m.source, m.target, func(source, target *pgx.Conn, n int) (int64, error) {
		sent, err := pgcopy.Copy(ctx, source.PgConn(), target.PgConn(), pgcopy.Stream{
			From:  "COPY (" + from + ") TO STDOUT (FORMAT binary)",
			To:    "TRUNCATE pg_temp.neontwin_objects; COPY pg_temp.neontwin_objects FROM STDIN (FORMAT binary)",
			Moved: func(n int) { count(int64(n)); m.rate.Wait(ctx, n) },
		})
		if err == nil {
			if b, err = m.put(ctx, target, key, put, n); err != nil {
				err = &pgcopy.TargetError{Err: err}
			}
		}
		if err != nil {
			m.env.Tracker.update(false, func(now *twin.Progress) { now.BytesTotal -= sent.Bytes })
		}
		return sent.Bytes, err
	})
	if err == nil {
		m.notes.Add(1)
	}
	return b, err
}

// put calls a function for each slice that has landed, and notes it. A try
// before this one may have come so far that nothing is left to do but to look.
func (m *objectMover) put(ctx context.Context, target *pgx.Conn, key, function string, n int) (objectBatch, error) {
	// OFFSET 0 keeps the function from being left out.
	look := func(with, function, where string) (b objectBatch, err error) {
		err = target.QueryRow(ctx, with+fmt.Sprintf(`SELECT count(*), coalesce(sum(n), 0)::bigint, coalesce(max(oid::bigint), 0)::oid, coalesce(array_agg(oid) FILTER (WHERE n = %d), '{}')
			FROM (SELECT oid, pg_catalog.octet_length(data) AS n, %s FROM pg_temp.neontwin_objects %s OFFSET 0) o`, slice, function, where)).
			Scan(&b.count, &b.bytes, &b.last, &b.full)
		return b, err
	}
	// The condition makes the note come first, which refuses a second try.
	note := strings.TrimSuffix(strings.TrimSpace(m.note(key)), ";")
	b, err := look("WITH noted AS ("+note+" RETURNING 1) ", function, "WHERE (SELECT count(*) FROM noted) = 1")
	if n > 1 && noted(err) {
		return look("", "NULL", "")
	}
	return b, err
}

// comment carries the comments over.
func (m *objectMover) comment(ctx context.Context) error {
	var comments []string
	err := inquire(ctx, m.env, m.source, true, largeObjects, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT d.objoid, d.description FROM pg_catalog.pg_description d
			JOIN pg_catalog.pg_largeobject_metadata l ON l.oid = d.objoid WHERE d.classoid = 'pg_catalog.pg_largeobject'::regclass AND `+readableObjects)
		if err != nil {
			return err
		}
		comments = nil
		var oid uint32
		var text string
		_, err = pgx.ForEachRow(rows, []any{&oid, &text}, func() error {
			comments = append(comments, fmt.Sprintf("COMMENT ON LARGE OBJECT %d IS %s", oid, pgcopy.Literal(text)))
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	// Each one takes a lock until its transaction ends.
	for i, batch := range slices.Collect(slices.Chunk(comments, maxBatch)) {
		if err := m.once(ctx, m.target, fmt.Sprintf("objects.comments%d", i), largeObjects, strings.Join(batch, ";")); err != nil {
			return err
		}
	}
	return nil
}

// verifyLargeObjects counts them on both sides and, if deep, compares what is
// in them.
func (p *Plan) verifyLargeObjects(ctx context.Context, env Env, deep bool) (diffs []string, err error) {
	if p.bare || p.LargeObjects == 0 && !deep {
		return nil, nil
	}
	content := "0"
	if deep {
		// Slice by slice: a whole object may be larger than a value can be. The
		// handle is closed at once, there may be millions.
		content = fmt.Sprintf(`coalesce(sum((SELECT sum(pg_catalog.hashtextextended(pg_catalog.md5(pg_catalog.lo_get(l.oid, i * %[1]d, %[1]d)), i))
			FROM pg_catalog.generate_series(0, (SELECT pg_catalog.lo_lseek64(f, 0, 2) + 0 * pg_catalog.lo_close(f) FROM pg_catalog.lo_open(l.oid, 262144) f) / %[1]d) i)), 0)`, slice)
	}
	query := "SELECT count(*), (" + content + ")::text FROM pg_catalog.pg_largeobject_metadata l WHERE " + readableObjects
	var there [2]struct {
		count int64
		hash  string
	}
	for i := range there {
		source := i == 0
		server := reader(env, source)
		err := inquire(ctx, env, server, source, largeObjects, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, query).Scan(&there[i].count, &there[i].hash)
		})
		pgcopy.Close(server.conn)
		if err != nil {
			return nil, err
		}
	}
	switch source, target := there[0], there[1]; {
	case source.count != target.count:
		diffs = append(diffs, fmt.Sprintf("there are %d large objects in the snapshot and %d in the copy", source.count, target.count))
	case source.hash != target.hash:
		diffs = append(diffs, "large objects differ in content")
	}
	return diffs, nil
}
