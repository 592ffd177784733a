package clone

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
func (p *Plan) copyLargeObjects(ctx context.Context, env Env) error {
	if p.LargeObjects == 0 {
		return nil
	}
	const what = "large objects"
	source, err := pgcopy.Reader(ctx, env.Source, env.App, env.Snapshot)
	if err != nil {
		return &Error{Object: "connection to the source", Source: true, Err: err}
	}
	defer closeConn(source)
	target, err := pgcopy.Writer(ctx, env.Target, env.App)
	if err != nil {
		return &Error{Object: "connection to the target", Err: err}
	}
	defer closeConn(target)
	if err := exec(ctx, target, "CREATE TEMP TABLE neontwin_objects (oid oid, data bytea)"); err != nil {
		return &Error{Object: what, Err: err}
	}
	m := objectMover{source: source.PgConn(), target: target, tracker: env.Tracker}
	for last, limit := uint32(0), 100; ; {
		b, err := m.first(ctx, last, limit)
		if err != nil {
			return &Error{Object: what, Source: fromSource(err), Err: err}
		}
		if b.count == 0 {
			break
		}
		for offset := int64(slice); len(b.full) > 0; offset += slice {
			if b.full, err = m.next(ctx, b.full, offset); err != nil {
				return &Error{Object: what, Source: fromSource(err), Err: err}
			}
		}
		last = b.last
		if b.bytes < batchBytes/2 {
			limit = min(2*limit, maxObjects)
		} else if b.bytes > batchBytes {
			limit = max(limit/2, 8)
		}
	}
	if err := commentObjects(ctx, source, target); err != nil {
		return &Error{Object: what, Source: fromSource(err), Err: err}
	}
	return nil
}

// objectMover moves slices of large objects.
type objectMover struct {
	source  *pgconn.PgConn
	target  *pgx.Conn
	tracker *Tracker
}

// objectBatch is what the first slices of some objects said.
type objectBatch struct {
	count, bytes int64
	last         uint32
	full         []uint32 // those whose slice was full: there may be more
}

// first makes objects out of their first slices.
func (m *objectMover) first(ctx context.Context, after uint32, limit int) (objectBatch, error) {
	from := fmt.Sprintf(`SELECT l.oid, pg_catalog.lo_get(l.oid, 0, %d) FROM pg_catalog.pg_largeobject_metadata l WHERE l.oid > %d AND %s ORDER BY l.oid LIMIT %d`,
		slice, after, readableObjects, limit)
	return m.move(ctx, from, "pg_catalog.lo_from_bytea(oid, data)")
}

// next adds the slices at an offset to objects that are there already.
func (m *objectMover) next(ctx context.Context, objects []uint32, offset int64) ([]uint32, error) {
	list := strings.Trim(strings.ReplaceAll(fmt.Sprint(objects), " ", ","), "[]")
	from := fmt.Sprintf(`SELECT l.oid, pg_catalog.lo_get(l.oid, %d, %d) FROM pg_catalog.unnest('{%s}'::oid[]) l (oid)`, offset, slice, list)
	b, err := m.move(ctx, from, fmt.Sprintf("pg_catalog.lo_put(oid, %d, data)", offset))
	return b.full, err
}

func (m *objectMover) move(ctx context.Context, from, put string) (objectBatch, error) {
	var b objectBatch
	_, err := pgcopy.Copy(ctx, m.source, m.target.PgConn(), pgcopy.Stream{
		From: "COPY (" + from + ") TO STDOUT (FORMAT binary)",
		To:   "TRUNCATE pg_temp.neontwin_objects; COPY pg_temp.neontwin_objects FROM STDIN (FORMAT binary)",
		Moved: func(n int) {
			m.tracker.update(false, func(now *twin.Progress) {
				now.BytesDone += int64(n)
				now.BytesTotal += int64(n)
			})
		},
	})
	if err != nil {
		return b, err
	}
	// OFFSET 0 keeps the function from being left out.
	err = m.target.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), coalesce(sum(n), 0)::bigint, coalesce(max(oid::bigint), 0)::oid,
		coalesce(array_agg(oid) FILTER (WHERE n = %d), '{}') FROM (SELECT oid, pg_catalog.octet_length(data) AS n, %s FROM pg_temp.neontwin_objects OFFSET 0) o`, slice, put)).
		Scan(&b.count, &b.bytes, &b.last, &b.full)
	return b, err
}

// commentObjects carries the comments over.
func commentObjects(ctx context.Context, source, target *pgx.Conn) error {
	rows, err := source.Query(ctx, `SELECT d.objoid, d.description FROM pg_catalog.pg_description d
		JOIN pg_catalog.pg_largeobject_metadata l ON l.oid = d.objoid WHERE d.classoid = 'pg_catalog.pg_largeobject'::regclass AND `+readableObjects)
	if err != nil {
		return &pgcopy.SourceError{Err: err}
	}
	var comments []string
	var oid uint32
	var text string
	_, err = pgx.ForEachRow(rows, []any{&oid, &text}, func() error {
		comments = append(comments, fmt.Sprintf("COMMENT ON LARGE OBJECT %d IS %s", oid, pgcopy.Literal(text)))
		return nil
	})
	if err != nil {
		return &pgcopy.SourceError{Err: err}
	}
	// Each one takes a lock until its transaction ends.
	for batch := range slices.Chunk(comments, maxBatch) {
		if err := exec(ctx, target, strings.Join(batch, ";")); err != nil {
			return err
		}
	}
	return nil
}

// verifyLargeObjects counts them on both sides and, if deep, compares what is
// in them.
func (p *Plan) verifyLargeObjects(ctx context.Context, env Env, deep bool) (diffs []string, err error) {
	if p.LargeObjects == 0 && !deep {
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
	type side struct {
		count int64
		hash  string
	}
	ask := func(url, snapshot string) (s side, err error) {
		conn, err := pgcopy.Reader(ctx, url, env.App, snapshot)
		if err != nil {
			return s, err
		}
		defer closeConn(conn)
		err = conn.QueryRow(ctx, query).Scan(&s.count, &s.hash)
		return s, err
	}
	source, err := ask(env.Source, env.Snapshot)
	if err != nil {
		return nil, &Error{Object: "large objects", Source: true, Err: err}
	}
	target, err := ask(env.Target, "")
	if err != nil {
		return nil, &Error{Object: "large objects", Err: err}
	}
	switch {
	case source.count != target.count:
		diffs = append(diffs, fmt.Sprintf("there are %d large objects in the snapshot and %d in the copy", source.count, target.count))
	case source.hash != target.hash:
		diffs = append(diffs, "large objects differ in content")
	}
	return diffs, nil
}
