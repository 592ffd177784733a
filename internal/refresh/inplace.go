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
// here until the run has published, the Twin is broken; its comment says so, and
// keeps the heritage for whoever comes after a run that ended in between.
func (t *target) clear(ctx context.Context, token string, heritage []string) error {
	m := mark{State: rebuilding, Token: token, Twin: t.name, Comment: t.before.Mark.Comment, Heritage: heritage}
	if _, err := t.conn.Exec(ctx, comment(t.name, m)); err != nil {
		return &targetError{"mark the database " + t.name, err}
	}
	// Whoever uses the Twin holds locks, a worker that lost its lease in the
	// middle of a load too. Who may not be ended is waited for.
	_ = endSessionsOf(ctx, t.conn, t.name, t.name)
	conn, err := pgcopy.Connect(ctx, t.url, t.app, 15*time.Second)
	if err != nil {
		return &targetError{"connect to the Twin's database", err}
	}
	defer pgcopy.Close(conn)
	var schemas, wrappers []string
	err = conn.QueryRow(ctx, `SELECT
		array(SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'),
		array(SELECT pg_catalog.quote_ident(fdwname) FROM pg_catalog.pg_foreign_data_wrapper)`).Scan(&schemas, &wrappers)
	if err != nil {
		return &targetError{"look at the Twin's database", err}
	}
	if err := dropTables(ctx, conn); err != nil {
		return &targetError{"empty the Twin's database", err}
	}
	var b strings.Builder
	for _, s := range schemas {
		fmt.Fprintf(&b, "DROP SCHEMA IF EXISTS %s CASCADE;", s)
	}
	for _, w := range wrappers {
		fmt.Fprintf(&b, "DROP FOREIGN DATA WRAPPER IF EXISTS %s CASCADE;", w)
	}
	b.WriteString("CREATE SCHEMA public;")
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
	// A thousand at a time: each one is locked until its transaction ends.
	for n := 1; n > 0; {
		err := conn.QueryRow(ctx, `SELECT count(pg_catalog.lo_unlink(oid)) FROM (SELECT oid FROM pg_catalog.pg_largeobject_metadata LIMIT 1000) o`).Scan(&n)
		if err != nil {
			return &targetError{"remove the Twin's large objects", err}
		}
	}
	return nil
}

// dropTables drops all tables, some hundred to a transaction: what goes with a
// table is locked until it ends, and dropping a schema of some thousands at
// once overflows the server's lock table.
func dropTables(ctx context.Context, conn *pgx.Conn) error {
	for {
		var tables []string
		err := conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.array_agg(name), '{}') FROM (
			SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
			AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
			ORDER BY c.relispartition DESC LIMIT 300) t`).Scan(&tables)
		if err != nil || len(tables) == 0 {
			return err
		}
		if _, err := conn.Exec(ctx, "DROP TABLE "+strings.Join(tables, ", ")+" CASCADE"); err != nil {
			return err
		}
	}
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
		if _, err := tx.Exec(ctx, comment(t.name, mark{State: live, Token: token, Twin: t.name, Comment: t.before.Mark.Comment})); err != nil {
			return &targetError{"mark the database " + t.name, err}
		}
		return nil
	})
}
