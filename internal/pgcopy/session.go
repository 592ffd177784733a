package pgcopy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// lasting lifts every limit that would end a long session, and lets the server
// find out within a minute or two that a client is gone: a session that nobody
// uses any more holds locks. It compiles no queries: for those of a catalog,
// whose cost is overestimated, that takes most of their time. A setting that a
// server does not have is not asked for.
const lasting = `SELECT set_config(name, CASE name WHEN 'tcp_keepalives_idle' THEN '20' WHEN 'tcp_keepalives_interval' THEN '10'
	WHEN 'tcp_keepalives_count' THEN '5' WHEN 'client_connection_check_interval' THEN '10s' WHEN 'jit' THEN 'off' ELSE '0' END, false) FROM pg_settings WHERE name IN
	('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout',
	'tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count', 'jit')
	OR name = 'client_connection_check_interval' AND version() ~ 'linux';`

// textual makes text output and input mean the same on both sides. Everything
// is qualified, so an empty search_path can't resolve a name to the wrong thing.
// Bytes of an unknown encoding pass as they are.
const textual = `SET search_path = ''; SET standard_conforming_strings = on; SET extra_float_digits = 3; SET datestyle = 'ISO, YMD';
	SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET bytea_output = 'hex';
	SET xmloption = 'content'; SELECT pg_catalog.set_config('lc_monetary', 'C', false);
	SELECT pg_catalog.set_config('client_encoding', CASE pg_catalog.current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, false);`

// Connect opens a session without time limits, named app on the server. A
// connection that can't be made is tried again for up to wait: a suspended
// compute takes some seconds to wake.
func Connect(ctx context.Context, url, app string, wait time.Duration) (*pgx.Conn, error) {
	return connect(ctx, url, app, wait, lasting)
}

// connect opens a session and sends its settings, all in one message: over a
// slow link a connection costs what its round trips do.
func connect(ctx context.Context, url, app string, wait time.Duration, settings string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = app
	cfg.RuntimeParams["client_encoding"] = "UTF8"
	cfg.ConnectTimeout = 15 * time.Second
	cfg.BuildFrontend = shortMessages
	// Nearly every query is asked once: to prepare it would be a round trip more.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	deadline := time.Now().Add(wait)
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 4*time.Second) {
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err == nil {
			if _, err = conn.PgConn().Exec(ctx, settings).ReadAll(); err == nil {
				return conn, nil
			}
			_ = conn.Close(context.WithoutCancel(ctx))
		}
		if ctx.Err() != nil || !Transient(err) || time.Now().Add(pause).After(deadline) {
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// bounds say for how long a server keeps a session of a reader, and the locks
// with it, that hears nothing of its client. Who is stopped can't give way, and
// its kernel goes on answering: only the server can end it.
type bounds struct {
	// idle is for a transaction in which nothing is asked.
	idle time.Duration
	// stuck is for rows that nobody takes. A target that is busy for a while
	// takes none either, so it is longer.
	stuck time.Duration
}

func readerBounds() bounds { return bounds{idle: silence, stuck: 2 * silence} }

// Reader opens a session on the source that sees what the snapshot saw. It can
// only read. A server ends it that hears nothing of it for minutes, which is an
// error that is Transient: whoever is alive opens another.
func Reader(ctx context.Context, url, app, snapshot string) (*pgx.Conn, error) {
	return reader(ctx, url, app, snapshot, readerBounds())
}

func reader(ctx context.Context, url, app, snapshot string, b bounds) (*pgx.Conn, error) {
	// No query may come before the snapshot in its transaction, so that the
	// settings have one of their own. Should row-level security apply, the
	// server refuses rather than filters silently.
	settings := "BEGIN;" + lasting + "SET row_security = off;" + textual +
		fmt.Sprintf(";SET idle_in_transaction_session_timeout = %d; SET tcp_user_timeout = %d", b.idle.Milliseconds(), b.stuck.Milliseconds()) +
		";COMMIT;BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
	if snapshot != "" {
		settings += "SET TRANSACTION SNAPSHOT " + Literal(snapshot) + ";"
	}
	conn, err := connect(ctx, url, app, 15*time.Second, settings)
	if err != nil {
		return nil, fmt.Errorf("open a session for reading: %w", err)
	}
	return conn, nil
}

// Writer opens a session on the target for loading. Commits don't wait for the
// disk: a generation is published only after a commit that does. The settings,
// if any, are further statements.
func Writer(ctx context.Context, url, app string, settings ...string) (*pgx.Conn, error) {
	all := lasting + textual + `SET synchronous_commit = off; SET check_function_bodies = off; SET row_security = off;
		SELECT pg_catalog.set_config(name, 'lz4', false) FROM pg_catalog.pg_settings
		WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals);` + strings.Join(settings, ";")
	conn, err := connect(ctx, url, app, 15*time.Second, all)
	if err != nil {
		return nil, fmt.Errorf("open a session for loading: %w", err)
	}
	return conn, nil
}

// Close closes a session, also one that was never opened, without waiting for
// long. A server notices a closed session at its next message or never sends
// one again; either way nothing more is committed.
func Close(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
