package refresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/twin"
)

// swap makes the loaded database next the Twin, in one transaction of the
// server: whoever connects meets the old generation or the new one, whole.
// The sessions of the old one are ended, which the rename asks for. The old
// database's new name is returned, empty if there was none.
func (t *target) swap(ctx context.Context, next, token string) (old string, err error) {
	if t.before.Exists {
		old = generationName(t.name, token) + "_old"
	}
	// A rename waits for up to five seconds until nobody is connected, and
	// nobody new gets in meanwhile. Ending the sessions that are there is done
	// from beside, until it is through.
	ending, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- t.endSessions(ending, t.name, next) }()
	defer func() {
		stop()
		// Why sessions could not be ended matters only where the rename failed.
		if endErr := <-ended; err != nil && endErr != nil && !errors.Is(endErr, context.Canceled) {
			err = errors.Join(err, endErr)
		}
	}()
	err = pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) error {
		if err := t.fence(ctx, tx, next, token); err != nil {
			return err
		}
		// One message: while it is under way, nobody can connect to the Twin.
		moves := ""
		if old != "" {
			moves = rename(t.name, old) + comment(old, mark{State: previous, Token: t.before.Mark.Token, Twin: t.name, Comment: t.before.Mark.Comment})
		}
		moves += rename(next, t.name) + comment(t.name, mark{State: live, Token: token, Twin: t.name, Comment: t.before.Mark.Comment})
		_, err := tx.Conn().PgConn().Exec(ctx, moves).ReadAll()
		if stateOf(err) == "55006" {
			return &twin.Failure{
				Code: twin.CodeConflict, Retry: true, Cause: err,
				Message: "a session that could not be ended stays connected to the Twin",
				Next:    "end it (a superuser's session, a replication slot or a prepared transaction), then sync again",
			}
		}
		return err
	})
	if err != nil {
		err = &targetError{"publish the new generation", err}
	}
	return old, err
}

// fence looks, inside the publishing transaction, whether the loaded database
// is still ours and the Twin is still the one that was there at the start. A
// worker that woke up late fails here.
func (t *target) fence(ctx context.Context, tx pgx.Tx, next, token string) error {
	comments := make(map[string]string)
	rows, err := tx.Query(ctx, `SELECT datname, coalesce(pg_catalog.shobj_description(oid, 'pg_database'), '')
		FROM pg_catalog.pg_database WHERE datname IN ($1, $2)`, t.name, next)
	if err != nil {
		return &targetError{"check the generations", err}
	}
	var name, comment string
	if _, err := pgx.ForEachRow(rows, []any{&name, &comment}, func() error {
		comments[name] = comment
		return nil
	}); err != nil {
		return &targetError{"check the generations", err}
	}
	if m, ok := parseMark(comments[next]); !ok || m.State != loading || m.Token != token {
		return fmt.Errorf("the database %s is no longer this run's: %w", next, twin.ErrLeaseLost)
	}
	now, exists := comments[t.name]
	if m, _ := parseMark(now); exists != t.before.Exists || m.Token != t.before.Mark.Token {
		return fmt.Errorf("the Twin was replaced while this run was loading: %w", twin.ErrLeaseLost)
	}
	return nil
}

func rename(from, to string) string {
	return "ALTER DATABASE " + catalog.Ident(from) + " RENAME TO " + catalog.Ident(to) + ";"
}

// endSessions ends all sessions of two databases, again and again until ctx
// ends. It needs a connection of its own: the other one waits in the rename.
func (t *target) endSessions(ctx context.Context, a, b string) error {
	conn, err := pgcopy.Connect(ctx, t.in(t.conn.Config().Database), t.app, 15*time.Second)
	if err != nil {
		return err
	}
	defer pgcopy.Close(conn)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := endSessionsOf(ctx, conn, a, b)
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
		if conn.IsClosed() {
			return err
		}
	}
}

// endSessionsOf ends once all other sessions of two databases. Each has a
// statement of its own: one that may not be ended must not save the others.
func endSessionsOf(ctx context.Context, conn *pgx.Conn, a, b string) error {
	rows, err := conn.Query(ctx, `SELECT pid FROM pg_catalog.pg_stat_activity WHERE datname IN ($1, $2) AND pid <> pg_catalog.pg_backend_pid()`, a, b)
	if err != nil {
		return err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return err
	}
	for _, pid := range pids {
		_, err = conn.Exec(ctx, "SELECT pg_catalog.pg_terminate_backend($1)", pid)
	}
	return err
}

// inheritBeside reads what the generation before has, while the new one is
// being verified: over a slow link that takes seconds.
func (s *sync) inheritBeside(ctx context.Context) error {
	if s.Publish == twin.InPlace || !s.target.before.Exists {
		return nil
	}
	return s.inherit(ctx)
}

// inherit reads what the generation before has. A session that locks a table of
// the Twin for long is ended: the publishing would end it a moment later.
func (s *sync) inherit(ctx context.Context) error {
	// The target's own session may be in somebody else's hands.
	conn, err := pgcopy.Connect(ctx, s.target.url, s.app, 15*time.Second)
	if err != nil {
		return &targetError{"connect to the Twin's database", err}
	}
	defer pgcopy.Close(conn)
	s.heritage, err = s.target.inherit(ctx, conn, s.tools, s.archive)
	var dump *pgtools.DumpError
	if !errors.As(err, &dump) || dump.Kind != pgtools.KindLock {
		return err
	}
	if err := s.lease.Check(ctx); err != nil {
		return err
	}
	_ = endSessionsOf(ctx, conn, s.target.name, s.target.name) // the next try tells
	s.heritage, err = s.target.inherit(ctx, conn, s.tools, s.archive)
	return err
}
