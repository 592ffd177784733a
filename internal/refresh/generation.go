package refresh

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/twin"
)

// markSchema is the schema of our mark in every generation. Whoever compares
// a Twin with its source leaves it out.
const markSchema = "neontwin"

// generation is the row that a generation carries: where it comes from.
type generation struct {
	// Run is the service's number of the run, Token the attempt's; on the
	// command line they are the same.
	Run, Token  string
	Commit      string
	Mode        twin.Mode
	Snapshot    pgcopy.Snapshot
	PublishedAt time.Time
	// Target is what the generation is published as: a copy of it elsewhere
	// is no Twin of ours.
	Target identity
}

// generationMode gives the mode of a generation, full where it has no mark.
func generationMode(ctx context.Context, conn *pgx.Conn) (twin.Mode, error) {
	var there bool
	if err := conn.QueryRow(ctx, `SELECT pg_catalog.to_regclass('neontwin.generation') IS NOT NULL`).Scan(&there); err != nil || !there {
		return twin.Full, err
	}
	mode := twin.Full
	err := conn.QueryRow(ctx, `SELECT mode FROM neontwin.generation LIMIT 1`).Scan(&mode)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return mode, err
}

// writeMark puts the row into a loaded database. It may be done twice.
func writeMark(ctx context.Context, conn *pgx.Conn, g generation) error {
	const ddl = `DROP SCHEMA IF EXISTS neontwin CASCADE;
		CREATE SCHEMA neontwin;
		COMMENT ON SCHEMA neontwin IS 'Where this Twin comes from; written by neontwin.';
		CREATE TABLE neontwin.generation (
			run text NOT NULL, token text NOT NULL, commit_sha text NOT NULL, mode text NOT NULL,
			snapshot_at timestamptz NOT NULL, snapshot_lsn pg_lsn NOT NULL, published_at timestamptz NOT NULL,
			system_identifier text NOT NULL, database text NOT NULL);
		GRANT USAGE ON SCHEMA neontwin TO PUBLIC;
		GRANT SELECT ON neontwin.generation TO PUBLIC;`
	values := []string{
		g.Run, g.Token, g.Commit, string(g.Mode), g.Snapshot.At.Format(time.RFC3339Nano), g.Snapshot.LSN, g.PublishedAt.Format(time.RFC3339Nano),
		g.Target.System, g.Target.Database,
	}
	for i, v := range values {
		values[i] = pgcopy.Literal(v)
	}
	if _, err := conn.PgConn().Exec(ctx, ddl+"INSERT INTO neontwin.generation VALUES ("+strings.Join(values, ", ")+")").ReadAll(); err != nil {
		return &targetError{"mark the new generation", err}
	}
	return nil
}
