package refresh

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/twin"
)

// identity tells a database apart from every other one.
type identity struct {
	System   string // the cluster's identifier; shared by its physical copies
	Database string
}

// target is the Twin's server, held for one sync: a session in the maintenance
// database with an advisory lock that every sync of the Twin takes.
type target struct {
	url  string // of the Twin's database
	name string // the Twin's database
	app  string
	conn *pgx.Conn

	system string
	server int // its version, such as 170006
	before facts
}

// facts are what stood at the Twin's name when the sync began.
type facts struct {
	Exists bool
	// Mark and Marked are the database's comment.
	Mark   mark
	Marked bool
	// Generation is set where the database itself holds our mark, made for
	// this server and name: a restored copy of a Twin elsewhere is not ours.
	Generation bool
	// Relations is how many tables, views and sequences of others it holds.
	Relations int
}

// ours reports whether a sync may replace the database.
func (f facts) ours() bool { return !f.Exists || f.Relations == 0 || f.Generation || f.Marked }

// openTarget connects, takes the lock and looks. exclusive is set where the
// caller knows that no other run of the service holds the target: a session
// of one that lost its lease is then ended.
func openTarget(ctx context.Context, address, app string, exclusive bool) (*target, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the target's URL can't be read") // its text may hold the password
	}
	t := &target{url: address, name: strings.TrimPrefix(u.Path, "/"), app: app}
	if t.name == "" {
		return nil, twin.Refuse("the target's URL names no database", "write postgres://user@host/DATABASE")
	}
	if err := t.connect(ctx); err != nil {
		return nil, err
	}
	if err := t.look(ctx, exclusive); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// maintenance are databases to connect to while the Twin's own is renamed.
var maintenance = []string{"postgres", "template1"}

func (t *target) connect(ctx context.Context) error {
	var err error
	for _, name := range maintenance {
		if name == t.name {
			continue
		}
		t.conn, err = pgcopy.Connect(ctx, t.in(name), t.app, firstConnect)
		if err == nil {
			return nil
		}
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "3D000" && pg.Code != "42501" && pg.Code != "28000" {
			break
		}
	}
	return &targetError{"connect to the target", err}
}

// in is the address of another database of the same server.
func (t *target) in(database string) string { return inDatabase(t.url, database) }

func inDatabase(address, database string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // checked when it was opened
	}
	u.Path, u.RawPath = "/"+database, ""
	return u.String()
}

func (t *target) close() { closeConn(t.conn) }

func (t *target) look(ctx context.Context, exclusive bool) error {
	if err := t.lock(ctx, exclusive); err != nil {
		return err
	}
	err := t.conn.QueryRow(ctx, `SELECT system_identifier::text, current_setting('server_version_num')::int FROM pg_control_system()`).Scan(&t.system, &t.server)
	if err != nil {
		return &targetError{"identify the target's server", err}
	}
	var comment *string
	err = t.conn.QueryRow(ctx, `SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database WHERE datname = $1`, t.name).Scan(&comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return &targetError{"look at the target", err}
	}
	t.before.Exists = true
	if comment != nil {
		t.before.Mark, t.before.Marked = parseMark(*comment)
		t.before.Marked = t.before.Marked && t.before.Mark.Twin == t.name
	}
	return t.lookInside(ctx)
}

// lookInside says what the Twin's database holds.
func (t *target) lookInside(ctx context.Context) error {
	conn, err := pgcopy.Connect(ctx, t.url, t.app, 15*time.Second)
	if err != nil {
		return &targetError{"connect to the Twin's database", err}
	}
	defer closeConn(conn)
	err = conn.QueryRow(ctx, `SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', $1)
		AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`,
		markSchema).Scan(&t.before.Relations)
	if err != nil {
		return &targetError{"look at the Twin's database", err}
	}
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM neontwin.generation WHERE system_identifier = $1 AND database = $2)`,
		t.system, t.name).Scan(&t.before.Generation)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000" || pg.Code == "42501" || pg.Code == "42703") {
		return nil // no mark, or not one of ours
	}
	if err != nil {
		return &targetError{"look for the Twin's mark", err}
	}
	return nil
}

// lock takes the advisory lock that keeps two syncs of one Twin apart, those
// of the command line included.
func (t *target) lock(ctx context.Context, exclusive bool) error {
	h := fnv.New64a()
	_, _ = h.Write([]byte("neontwin:" + t.name))
	key := int64(h.Sum64()) //nolint:gosec // the bits matter, not the sign
	deadline := time.Now().Add(10 * time.Second)
	for {
		var got bool
		if err := t.conn.QueryRow(ctx, "SELECT pg_catalog.pg_try_advisory_lock($1)", key).Scan(&got); err != nil {
			return &targetError{"lock the Twin", err}
		}
		if got {
			return nil
		}
		if exclusive {
			// Only sessions of the service, named so: a person's sync goes on.
			_, err := t.conn.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(l.pid) FROM pg_catalog.pg_locks l
				JOIN pg_catalog.pg_stat_activity a USING (pid)
				WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.application_name LIKE $2
				AND (l.classid::bigint << 32) | l.objid::bigint = $1 AND l.pid <> pg_catalog.pg_backend_pid()`, key, servicePrefix+"%")
			if err != nil {
				return &targetError{"end a sync that lost its lease", err}
			}
		}
		if time.Now().After(deadline) {
			return &twin.Failure{
				Code: twin.CodeConflict, Phase: twin.Preflight, Retry: true,
				Message: fmt.Sprintf("another sync of the database %s is running", catalog.Ident(t.name)),
				Next:    "wait until it has ended, then sync again",
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// sweep drops what earlier syncs of this Twin left: half-loaded generations,
// and the one before the last publish. A database of ours is known by its
// mark; one that was killed before it could be marked, by its name and by
// never having let anybody in.
func (t *target) sweep(ctx context.Context) error {
	rows, err := t.conn.Query(ctx, `SELECT datname, coalesce(pg_catalog.shobj_description(oid, 'pg_database'), ''), datallowconn
		FROM pg_catalog.pg_database WHERE datname <> $1 AND NOT datistemplate`, t.name)
	if err != nil {
		return &targetError{"look for stray databases", err}
	}
	var stray []string
	var name, comment string
	var letsIn bool
	_, err = pgx.ForEachRow(rows, []any{&name, &comment, &letsIn}, func() error {
		m, marked := parseMark(comment)
		if marked && m.Twin == t.name && (m.State == loading || m.State == previous) ||
			comment == "" && !letsIn && isGeneration(name, t.name) {
			stray = append(stray, name)
		}
		return nil
	})
	if err != nil {
		return &targetError{"look for stray databases", err}
	}
	for _, name := range stray {
		if err := t.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) drop(ctx context.Context, name string) error {
	if _, err := t.conn.Exec(ctx, "DROP DATABASE IF EXISTS "+catalog.Ident(name)+" WITH (FORCE)"); err != nil {
		return &targetError{"drop the database " + name, err}
	}
	return nil
}

// create makes the database that is going to be loaded, alike the source's in
// what can't be changed later. Where the server lacks the source's locale, its
// own is taken and a hazard says so.
func (t *target) create(ctx context.Context, token string, like catalog.Database) (name string, hazards []twin.Hazard, err error) {
	name = generationName(t.name, token)
	// Nobody gets in before it is marked: see sweep.
	create := "CREATE DATABASE " + catalog.Ident(name) + " TEMPLATE template0 ALLOW_CONNECTIONS false ENCODING " + pgcopy.Literal(like.Encoding)
	_, err = t.conn.Exec(ctx, create+localeOf(like, t.server))
	var pg *pgconn.PgError
	// 22023 and 42809: no such locale or provider; 0A000: built without it.
	if errors.As(err, &pg) && (pg.Code == "22023" || pg.Code == "42809" || pg.Code == "0A000" || pg.Code == "42601") {
		if _, err = t.conn.Exec(ctx, create); err == nil {
			hazards = append(hazards, twin.Hazard{
				ID: "locale", Object: like.Collate,
				Message: fmt.Sprintf("the target's server has no locale %s: the Twin sorts text as that server does", like.Collate),
			})
		}
	}
	if err != nil {
		return "", nil, &targetError{"create a database beside the Twin", err}
	}
	err = t.comment(ctx, t.conn, name, mark{State: loading, Token: token, Twin: t.name})
	if err == nil {
		if _, err = t.conn.Exec(ctx, "ALTER DATABASE "+catalog.Ident(name)+" ALLOW_CONNECTIONS true"); err != nil {
			err = &targetError{"open the new database", err}
		}
	}
	if err != nil {
		return "", nil, errors.Join(err, t.drop(context.WithoutCancel(ctx), name))
	}
	return name, hazards, nil
}

func localeOf(like catalog.Database, server int) string {
	s := " LC_COLLATE " + pgcopy.Literal(like.Collate) + " LC_CTYPE " + pgcopy.Literal(like.CType)
	if server < 150000 {
		return s
	}
	switch like.Provider {
	case "i":
		s += " LOCALE_PROVIDER icu ICU_LOCALE " + pgcopy.Literal(like.Locale)
	case "b":
		s += " LOCALE_PROVIDER builtin BUILTIN_LOCALE " + pgcopy.Literal(like.Locale)
	default:
		s += " LOCALE_PROVIDER libc"
	}
	return s
}

// extensions lists what can be installed on the target's server.
func (t *target) extensions(ctx context.Context) (map[string]string, error) {
	rows, err := t.conn.Query(ctx, "SELECT name, default_version FROM pg_catalog.pg_available_extensions")
	if err != nil {
		return nil, &targetError{"list the target's extensions", err}
	}
	out := make(map[string]string)
	var name, version string
	_, err = pgx.ForEachRow(rows, []any{&name, &version}, func() error {
		out[name] = version
		return nil
	})
	if err != nil {
		return nil, &targetError{"list the target's extensions", err}
	}
	return out, nil
}

// execer is a connection or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func (t *target) comment(ctx context.Context, on execer, database string, m mark) error {
	if _, err := on.Exec(ctx, "COMMENT ON DATABASE "+catalog.Ident(database)+" IS "+pgcopy.Literal(m.String())); err != nil {
		return &targetError{"mark the database " + database, err}
	}
	return nil
}

// targetError is an error of the target's server, and what was being done.
type targetError struct {
	doing string
	err   error
}

func (e *targetError) Error() string { return e.doing + ": " + e.err.Error() }
func (e *targetError) Unwrap() error { return e.err }

func closeConn(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
