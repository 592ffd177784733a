package refresh

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/twin"
)

// clear empties the Twin's own database for a rebuild where it stands. From
// here until the run has published, the Twin is broken; its comment says so.
func (t *target) clear(ctx context.Context, token string) error {
	m := mark{State: rebuilding, Token: token, Twin: t.name, Comment: t.before.Mark.Comment}
	if err := t.comment(ctx, t.conn, t.name, m); err != nil {
		return err
	}
	// Whoever uses the Twin holds locks, a worker that lost its lease in the
	// middle of a load too. Who may not be ended is waited for.
	_ = endSessionsOf(ctx, t.conn, t.name, t.name)
	conn, err := pgcopy.Connect(ctx, t.url, t.app, 15*time.Second)
	if err != nil {
		return &targetError{"connect to the Twin's database", err}
	}
	defer closeConn(conn)
	var schemas, wrappers []string
	err = conn.QueryRow(ctx, `SELECT
		array(SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'),
		array(SELECT pg_catalog.quote_ident(fdwname) FROM pg_catalog.pg_foreign_data_wrapper)`).Scan(&schemas, &wrappers)
	if err != nil {
		return &targetError{"look at the Twin's database", err}
	}
	var b strings.Builder
	for _, s := range schemas {
		fmt.Fprintf(&b, "DROP SCHEMA IF EXISTS %s CASCADE;", s)
	}
	for _, w := range wrappers {
		fmt.Fprintf(&b, "DROP FOREIGN DATA WRAPPER IF EXISTS %s CASCADE;", w)
	}
	b.WriteString("SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata; CREATE SCHEMA public;")
	// As a new database has it.
	if t.server >= 150000 {
		b.WriteString("ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC;")
	} else {
		b.WriteString("GRANT ALL ON SCHEMA public TO PUBLIC;")
	}
	b.WriteString("COMMENT ON SCHEMA public IS 'standard public schema'")
	if _, err := conn.PgConn().Exec(ctx, b.String()).ReadAll(); err != nil {
		return &targetError{"empty the Twin's database", err}
	}
	return nil
}

// settle ends a rebuild: the comment says live again.
func (t *target) settle(ctx context.Context, token string) error {
	return pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) error {
		m, marked, err := t.markOf(ctx, t.name)
		if err != nil {
			return err
		}
		if !marked || m.Token != token {
			return fmt.Errorf("the database %s is no longer this run's: %w", catalog.Ident(t.name), twin.ErrLeaseLost)
		}
		return t.comment(ctx, tx, t.name, mark{State: live, Token: token, Twin: t.name, Comment: t.before.Mark.Comment})
	})
}
