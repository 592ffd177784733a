package clone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/pgcopy"
)

// ErrForgotten says that the target lost something that it had committed: it
// crashed while commits did not wait for its disk. What was loaded is of no use.
var ErrForgotten = errors.New("the target lost what it had committed: it crashed and came back")

// tries is how often something is attempted whose error may go away by itself.
const tries = 8

// session is a session on one of the servers. It outlives its connections: one
// that was lost is replaced when it is next asked for.
type session struct {
	app  string
	open func(context.Context) (*pgx.Conn, error)
	conn *pgx.Conn
}

// get gives the connection.
func (s *session) get(ctx context.Context) (*pgx.Conn, error) {
	if s.conn != nil && !s.conn.IsClosed() {
		if s.conn.PgConn().TxStatus() != 'E' {
			return s.conn, nil
		}
		pgcopy.Close(s.conn) // a transaction that has failed reads nothing more
	}
	conn, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	if s.conn != nil {
		// The server may not know yet that the connection is lost. What it was
		// doing for it must be over, one way or the other, before we look.
		if err := s.end(ctx, conn, s.conn.PgConn().PID()); err != nil {
			pgcopy.Close(conn)
			return nil, err
		}
	}
	s.conn = conn
	return conn, nil
}

// end ends a session of ours that lost its connection, and waits until it has.
func (s *session) end(ctx context.Context, conn *pgx.Conn, pid uint32) error {
	const query = `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
		WHERE pid = $1 AND application_name = $2 AND datname = pg_catalog.current_database()`
	for range 100 {
		// A reader is in a transaction, in which the list of sessions is read once
		// unless it is cleared.
		if err := exec(ctx, conn, "SELECT pg_catalog.pg_stat_clear_snapshot()"); err != nil {
			return err
		}
		tag, err := conn.PgConn().ExecParams(ctx, query,
			[][]byte{fmt.Append(nil, pid), []byte(s.app)}, nil, nil, nil).Close()
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("a session that lost its connection does not end")
}

// pool keeps the target's sessions, all of them alike, between two uses.
type pool struct {
	open func() *session
	mu   sync.Mutex
	idle []*session
	all  []*session
}

func (p *pool) take() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		s := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return s
	}
	s := p.open()
	p.all = append(p.all, s)
	return s
}

// warm opens n sessions, side by side. The function it gives waits until they
// are. One that can't be opened is asked for again by whoever takes it, and
// tells him why.
func (p *pool) warm(ctx context.Context, n int) (opened func()) {
	var wg sync.WaitGroup
	for range n {
		s := p.take()
		wg.Go(func() {
			_, _ = s.get(ctx)
			p.put(s)
		})
	}
	return wg.Wait
}

func (p *pool) put(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, s)
}

func (p *pool) close() {
	var wg sync.WaitGroup
	for _, s := range p.all {
		wg.Go(func() { pgcopy.Close(s.conn) })
	}
	wg.Wait()
}

func (r *run) again(ctx context.Context, object string, try func(n int) error) error {
	return again(ctx, r.env.Logger, object, try)
}

// again repeats try while its error may go away by itself. n counts the tries
// from 1.
func again(ctx context.Context, log *slog.Logger, object string, try func(n int) error) error {
	for n := 1; ; n++ {
		err := try(n)
		if err == nil || ctx.Err() != nil || n == tries || !pgcopy.Transient(err) {
			return err
		}
		wait := min(30*time.Second, 250*time.Millisecond<<n)
		wait = wait/2 + rand.N(wait/2) //nolint:gosec // spreads the load, keeps no secret
		log.WarnContext(ctx, "trying again", slog.String("object", object), slog.Int("try", n), slog.Duration("in", wait), slog.Any("err", err))
		if pause(ctx, wait) != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// The ledger is a table in the generation that is loaded. Whatever a run does
// there it notes in the same transaction, under a key of its own: when a
// connection is lost in a commit, the note says whether it was done. The note
// comes first, so that two attempts at the same thing can't both succeed. And
// it takes the notes of one run only: where a Twin is rebuilt in place, one
// that was replaced without knowing it does nothing more to its successor's.
const dropLedger = `DROP SCHEMA IF EXISTS neontwin CASCADE;`

func (r *run) openLedger() string {
	return "CREATE SCHEMA IF NOT EXISTS neontwin; CREATE TABLE IF NOT EXISTS neontwin.ledger (done text PRIMARY KEY, run text NOT NULL CHECK (run = " + pgcopy.Literal(r.env.App) + "));"
}

func (r *run) note(key string) string {
	return r.ledger + "INSERT INTO neontwin.ledger VALUES (" + pgcopy.Literal(key) + ", " + pgcopy.Literal(r.env.App) + ");\n"
}

// noted reports whether a note was refused because it stands already.
func noted(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505" && pg.SchemaName == "neontwin" && pg.TableName == "ledger"
}

// once runs SQL on the target, one transaction, exactly once.
func (r *run) once(ctx context.Context, s *session, key, what, sql string) error {
	err := r.again(ctx, what, func(n int) error {
		conn, err := s.get(ctx)
		if err != nil {
			return err
		}
		err = exec(ctx, conn, r.note(key)+sql)
		if n > 1 && noted(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return &Error{Object: what, Err: err}
	}
	r.notes.Add(1)
	return nil
}

// maxBatch is how many definitions go into one message. A message is one
// transaction and locks all that it makes: a larger one overflows the lock
// table of a server with default settings.
const maxBatch = 1000

// define makes definitions, many to a message. A message that fails has left
// nothing behind and is sent again in halves: in the end the definition at
// fault has a name, and what only failed for the size of its message is made.
func (r *run) define(ctx context.Context, s *session, key string, statements []Statement) error {
	if len(statements) > maxBatch {
		for i, batch := range slices.Collect(slices.Chunk(statements, maxBatch)) {
			if err := r.define(ctx, s, fmt.Sprintf("%s.%d", key, i), batch); err != nil {
				return err
			}
		}
		return nil
	}
	if len(statements) == 0 {
		return nil
	}
	var b strings.Builder
	for _, st := range statements {
		b.WriteString(st.SQL)
		b.WriteString("\n")
	}
	err := r.once(ctx, s, key, statements[0].What, b.String())
	if err == nil || len(statements) == 1 || ctx.Err() != nil || pgcopy.Transient(err) {
		return err
	}
	half := len(statements) / 2
	if err := r.define(ctx, s, key+"a", statements[:half]); err != nil {
		return err
	}
	return r.define(ctx, s, key+"b", statements[half:])
}
