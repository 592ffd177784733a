package refresh

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
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
	// check is the lease's.
	check func(context.Context) error

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
// caller knows that no other run of the service holds the target, for as long
// as check says so: a session of one that lost its lease is then ended, never
// that of a person's sync.
func openTarget(ctx context.Context, address, app string, exclusive bool, check func(context.Context) error) (*target, error) {
	dead := ""
	if exclusive {
		dead = servicePrefix + "%"
	}
	// To connect takes several round trips. The Twin's own database is asked
	// only once the lock is had: what is connected to it then, is to the one
	// that stands there, for a rename waits until nobody is.
	connecting, stop := context.WithCancel(ctx)
	early := make(chan *pgx.Conn, 1)
	go func() {
		conn, _ := pgcopy.Connect(connecting, address, app, 0) // if it fails, the next try tells why
		early <- conn
		close(early)
	}()
	var inside *pgx.Conn
	defer func() {
		stop()
		pgcopy.Close(inside)
		pgcopy.Close(<-early) // where nobody asked for it
	}()
	t, err := reachTarget(ctx, address, app, check)
	if err != nil {
		return nil, err
	}
	if err = t.lock(ctx, dead); err == nil {
		inside = <-early
		err = t.look(ctx, inside)
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// reachTarget connects, and does not take the lock.
func reachTarget(ctx context.Context, address, app string, check func(context.Context) error) (*target, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the target's URL can't be read") // its text may hold the password
	}
	t := &target{url: address, name: strings.TrimPrefix(u.Path, "/"), app: app, check: check}
	if t.name == "" {
		return nil, twin.Refuse("the target's URL names no database", "write postgres://user@host/DATABASE")
	}
	return t, t.connect(ctx)
}

// maintenance are databases to connect to while the Twin's own is renamed.
var maintenance = []string{"postgres", "template1"}

func (t *target) connect(ctx context.Context) error {
	var err error
	for _, name := range maintenance {
		if name == t.name {
			continue
		}
		var conn *pgx.Conn
		if conn, err = pgcopy.Connect(ctx, t.in(name), t.app, firstConnect); err == nil {
			t.conn = conn
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

func (t *target) close() { pgcopy.Close(t.conn) }

// regain connects anew after the session was lost, and takes the lock again.
// Whoever else has taken it meanwhile keeps it.
func (t *target) regain(ctx context.Context) error {
	t.close()
	if err := t.connect(ctx); err != nil {
		return err
	}
	return t.lock(ctx, t.app)
}

// look says what stands at the Twin's name. The lock is held, and conn is
// connected to it; nil if that has failed.
func (t *target) look(ctx context.Context, conn *pgx.Conn) error {
	var comment *string
	err := t.conn.QueryRow(ctx, `SELECT system_identifier::text, current_setting('server_version_num')::int,
		(SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_database'), '') FROM pg_catalog.pg_database WHERE datname = $1) FROM pg_control_system()`, t.name).
		Scan(&t.system, &t.server, &comment)
	if err != nil {
		return &targetError{"identify the target's server", err}
	}
	if comment == nil {
		return nil
	}
	var marked bool
	t.before.Mark, marked = parseMark(*comment)
	t.before.Exists, t.before.Marked = true, marked && t.before.Mark.Twin == t.name
	if conn != nil {
		if err = t.lookInside(ctx, conn); err == nil || !conn.IsClosed() || ctx.Err() != nil {
			return err
		}
	}
	if conn, err = pgcopy.Connect(ctx, t.url, t.app, 15*time.Second); err != nil {
		return &targetError{"connect to the Twin's database", err}
	}
	defer pgcopy.Close(conn)
	return t.lookInside(ctx, conn)
}

// markOf reads a database's comment. A database that does not exist is
// pgx.ErrNoRows.
func (t *target) markOf(ctx context.Context, database string) (m mark, marked bool, err error) {
	var comment string
	err = t.conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_database'), '') FROM pg_catalog.pg_database WHERE datname = $1`, database).Scan(&comment)
	if err != nil {
		return mark{}, false, &targetError{"look at the database " + database, err}
	}
	m, marked = parseMark(comment)
	return m, marked, nil
}

// lookInside says what the Twin's database holds.
func (t *target) lookInside(ctx context.Context, conn *pgx.Conn) error {
	var both pgx.Batch
	both.Queue(`SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', $1)
		AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`,
		markSchema)
	both.Queue(`SELECT EXISTS (SELECT 1 FROM neontwin.generation WHERE system_identifier = $1 AND database = $2)`, t.system, t.name)
	answers := conn.SendBatch(ctx, &both)
	defer func() { _ = answers.Close() }() // its error is the one that was read
	if err := answers.QueryRow().Scan(&t.before.Relations); err != nil {
		return &targetError{"look at the Twin's database", err}
	}
	err := answers.QueryRow().Scan(&t.before.Generation)
	switch stateOf(err) {
	case "42P01", "3F000", "42501", "42703":
		return nil // no mark, or not one of ours
	}
	if err != nil {
		return &targetError{"look for the Twin's mark", err}
	}
	return nil
}

// lock takes the advisory lock that keeps two syncs of one Twin apart, those
// of the command line included. A server may go on for long with the session of
// a client that is gone: sessions that hold the lock and have one of our names
// like dead are ended. An empty one ends nobody's.
func (t *target) lock(ctx context.Context, dead string) error {
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
		// A worker that wakes up late must not end its successor.
		if err := t.check(ctx); err != nil {
			return err
		}
		_, err := t.conn.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(l.pid) FROM pg_catalog.pg_locks l
			JOIN pg_catalog.pg_stat_activity a USING (pid)
			WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.application_name LIKE $2
			AND (l.classid::bigint << 32) | l.objid::bigint = $1 AND l.pid <> pg_catalog.pg_backend_pid()`, key, dead)
		if err != nil {
			return &targetError{"end a sync that lost its lease", err}
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

// unmarkedLimit is the connection limit of a database of ours from its making
// until it is marked and opened. A comment can't be given in the same moment; a
// limit can, and nobody else chooses this one.
const unmarkedLimit = 734291

// HazardStray names a database of ours that could not be dropped.
const HazardStray = "stray_database"

// sweep drops what earlier syncs of this Twin left in one of the states:
// half-loaded generations, and the one before the last publish. A database of
// ours is known by its mark; one that was killed before it could be marked, by its name, its limit
// and by never having let anybody in. What can't be dropped is a hazard: it
// takes room, and does no other harm.
func (t *target) sweep(ctx context.Context, states ...markState) ([]twin.Hazard, error) {
	rows, err := t.conn.Query(ctx, `SELECT datname, coalesce(pg_catalog.shobj_description(oid, 'pg_database'), ''), datallowconn OR datconnlimit <> $2, datistemplate
		FROM pg_catalog.pg_database WHERE datname <> $1`, t.name, unmarkedLimit)
	if err != nil {
		return nil, &targetError{"look for stray databases", err}
	}
	var stray, templates []string
	var name, comment string
	var opened, template bool
	_, err = pgx.ForEachRow(rows, []any{&name, &comment, &opened, &template}, func() error {
		m, marked := parseMark(comment)
		if marked && m.Twin == t.name && slices.Contains(states, m.State) ||
			comment == "" && !opened && isGeneration(name, t.name) {
			stray = append(stray, name)
			if template { // a developer made it one while it was the Twin
				templates = append(templates, name)
			}
		}
		return nil
	})
	if err != nil {
		return nil, &targetError{"look for stray databases", err}
	}
	for _, name := range templates {
		if _, err := t.conn.Exec(ctx, "ALTER DATABASE "+catalog.Ident(name)+" IS_TEMPLATE false"); err != nil {
			return nil, &targetError{"drop the database " + name, err}
		}
	}
	var hazards []twin.Hazard
	for _, name := range stray {
		err := t.drop(ctx, name)
		if err != nil && (ctx.Err() != nil || t.conn.IsClosed()) {
			return nil, err
		}
		if err != nil {
			hazards = append(hazards, twin.Hazard{
				ID: HazardStray, Object: name,
				Message: fmt.Sprintf("the database %s, left by an earlier sync, can't be dropped; look for a subscription, a replication slot or a prepared transaction in it", catalog.Ident(name)),
			})
		}
	}
	return hazards, nil
}

func (t *target) drop(ctx context.Context, name string) error {
	if _, err := t.conn.Exec(ctx, "DROP DATABASE IF EXISTS "+catalog.Ident(name)+" WITH (FORCE)"); err != nil {
		return &targetError{"drop the database " + name, err}
	}
	return nil
}

// remove is drop for a run that has ended: interrupted or not, and also where
// the session was lost.
func (t *target) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	err := t.drop(ctx, name)
	if err != nil && t.conn.IsClosed() {
		// What the former session was about, making the database perhaps, has
		// come to its end once the lock is had.
		if err = t.regain(ctx); err == nil {
			err = t.drop(ctx, name)
		}
	}
	return err
}

// create makes the database that is going to be loaded, alike the source's in
// what can't be changed later. Where the server lacks the source's locale, its
// own is taken and a hazard says so. With an error the name says what may have
// been made all the same.
func (t *target) create(ctx context.Context, token string, like catalog.Database) (name string, hazards []twin.Hazard, err error) {
	name = generationName(t.name, token)
	// Nobody gets in before it is marked: see sweep.
	create := fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 ALLOW_CONNECTIONS false CONNECTION LIMIT %d ENCODING %s",
		catalog.Ident(name), unmarkedLimit, pgcopy.Literal(like.Encoding))
	_, err = t.conn.Exec(ctx, create+localeOf(like, t.server))
	// 22023 and 42809: no such locale or provider; 0A000: built without it.
	switch stateOf(err) {
	case "22023", "42809", "0A000", "42601":
		if _, err = t.conn.Exec(ctx, create); err == nil {
			hazards = append(hazards, twin.Hazard{
				ID: hazardLocale, Object: like.Collate,
				Message: fmt.Sprintf("the target's server has no locale %s: the Twin sorts text as that server does", like.Collate),
			})
		}
	}
	if err != nil {
		if stateOf(err) == "42P04" {
			name = "" // it is somebody else's
		}
		return name, nil, &targetError{"create a database beside the Twin", err}
	}
	open := comment(name, mark{State: loading, Token: token, Twin: t.name}) +
		"ALTER DATABASE " + catalog.Ident(name) + " ALLOW_CONNECTIONS true CONNECTION LIMIT -1"
	if _, err = t.conn.PgConn().Exec(ctx, open).ReadAll(); err != nil {
		return name, nil, &targetError{"mark and open the new database", err}
	}
	return name, hazards, nil
}

// stateOf is the server's error code, empty if err isn't a server's.
func stateOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
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

// comment is the statement that gives a database its mark.
func comment(database string, m mark) string {
	return "COMMENT ON DATABASE " + catalog.Ident(database) + " IS " + pgcopy.Literal(m.String()) + ";"
}

// targetError is an error of the target's server, and what was being done.
type targetError struct {
	doing string
	err   error
}

func (e *targetError) Error() string { return e.doing + ": " + e.err.Error() }
func (e *targetError) Unwrap() error { return e.err }
