package pgcopy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrGaveWay is why a holder ended itself: somebody on the source waited for a
// lock of ours, and production comes first.
var ErrGaveWay = errors.New("gave way to a session that waited for a table lock held by the copy")

// ErrSnapshotLost is why a holder ended when its connection did.
var ErrSnapshotLost = errors.New("the snapshot was lost")

// Patience is for how long a session of the application may wait for us.
const Patience = 2 * time.Second

// lockWait is for how long we ask for a lock. We wait in the queue like
// everybody else, and whoever comes behind waits for us: so it is short.
const lockWait = 3 * time.Second

// silence is for how long the holder and the source may hear nothing of each
// other. A process that is stopped must not keep production locked, and a
// source that does not answer any more holds no snapshot.
const silence = time.Minute

// Snapshot is one state of the source that several sessions can see.
type Snapshot struct {
	ID  string    // for SET TRANSACTION SNAPSHOT and pg_dump --snapshot
	At  time.Time // by the source's clock
	LSN string    // where the source's log stood; on a standby what was replayed
}

// Holder keeps a snapshot of the source alive, and ACCESS SHARE locks on all
// tables that will be read, taken before the snapshot was. Without the locks a
// TRUNCATE, a rewriting ALTER TABLE or a VACUUM FULL would make the snapshot
// see empty tables, with row counts that agree.
type Holder struct {
	Snapshot Snapshot

	conn   *pgx.Conn
	app    string
	cancel context.CancelCauseFunc
	ask    sync.Once
	enough chan struct{} // asks watch to end
	done   chan struct{} // closed when it has
	err    error         // why it ended, once done is closed
	close  sync.Once
}

// Tables names the tables to lock, as quoted SQL names. It is asked once before
// the locks are taken and once more under the snapshot; they must agree, or a
// table that was made in between would be read without a lock.
type Tables func(ctx context.Context, conn *pgx.Conn) ([]string, error)

// Hold locks the tables, exports a snapshot and keeps both. All sessions of
// this copy on the source must carry the name app, so that the holder knows
// which locks are ours. Lock time-outs are tried again for up to patience.
//
// All reading must happen under the context it gives: that ends when the
// snapshot does, by Close, by giving way (its cause is then ErrGaveWay) or
// because the connection was lost. Whoever sees it end closes his sessions:
// they hold locks too.
func Hold(ctx context.Context, url, app string, tables Tables, patience time.Duration) (*Holder, context.Context, error) {
	conn, err := Connect(ctx, url, app, 15*time.Second)
	if err != nil {
		return nil, nil, err
	}
	settings := fmt.Sprintf("SET row_security = off; SET lock_timeout = %d; SET idle_in_transaction_session_timeout = %d; %s",
		lockWait.Milliseconds(), silence.Milliseconds(), textual)
	if _, err := conn.PgConn().Exec(ctx, settings).ReadAll(); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, nil, fmt.Errorf("prepare a session on the source: %w", err)
	}
	h := &Holder{conn: conn, app: app, enough: make(chan struct{}), done: make(chan struct{})}
	deadline := time.Now().Add(patience)
	for {
		err := h.begin(ctx, tables)
		if err == nil {
			break
		}
		if _, rollback := conn.Exec(ctx, "ROLLBACK"); rollback != nil || !again(err) || time.Now().After(deadline) {
			_ = conn.Close(context.WithoutCancel(ctx))
			return nil, nil, err
		}
		select {
		case <-ctx.Done():
			_ = conn.Close(context.WithoutCancel(ctx))
			return nil, nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	reading, cancel := context.WithCancelCause(ctx)
	h.cancel = cancel
	go func() {
		defer close(h.done)
		if h.err = h.watch(reading); h.err != nil {
			cancel(h.err)
		}
		if errors.Is(h.err, ErrGaveWay) {
			// The lock is released by ending the session, not by waiting for
			// the readers to notice.
			Close(conn)
		}
	}()
	return h, reading, nil
}

// errTablesChanged says that a table was made or dropped while locks were taken.
var errTablesChanged = errors.New("tables were created or dropped while the copy began")

func again(err error) bool {
	return errors.Is(err, errTablesChanged) || sqlState(err) == "55P03" || sqlState(err) == "42P01"
}

func (h *Holder) begin(ctx context.Context, tables Tables) error {
	// Before BEGIN: a query inside would fix the snapshot before the locks.
	before, err := tables(ctx, h.conn)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;")
	for _, t := range before {
		fmt.Fprintf(&b, "LOCK TABLE ONLY %s IN ACCESS SHARE MODE;", t)
	}
	if _, err := h.conn.PgConn().Exec(ctx, b.String()).ReadAll(); err != nil {
		return fmt.Errorf("lock the source's tables: %w", err)
	}
	err = h.conn.QueryRow(ctx, `SELECT pg_catalog.pg_export_snapshot(), pg_catalog.clock_timestamp(),
		CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END::text`).
		Scan(&h.Snapshot.ID, &h.Snapshot.At, &h.Snapshot.LSN)
	if err != nil {
		return fmt.Errorf("export a snapshot: %w", err)
	}
	after, err := tables(ctx, h.conn)
	if err != nil {
		return err
	}
	locked := make(map[string]bool, len(before))
	for _, t := range before {
		locked[t] = true
	}
	for _, t := range after {
		if !locked[t] {
			return errTablesChanged
		}
	}
	return nil
}

// watch keeps the connection busy and looks whether somebody waits for us. Who
// waits for longer than Patience gets the lock: the copy ends itself. It
// returns nil when it was asked to end.
func (h *Holder) watch(ctx context.Context) error {
	const every = 500 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	var since time.Time
	for {
		select {
		case <-h.enough:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		n, err := h.waiting(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", ErrSnapshotLost, err)
		case n == 0:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= Patience:
			return ErrGaveWay
		}
	}
}

// waiting counts the sessions that wait for one of ours.
func (h *Holder) waiting(ctx context.Context) (n int, err error) {
	// The list of sessions is cached within a transaction unless it is cleared.
	const waiting = `SELECT count(*) FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE NOT granted) w
		WHERE EXISTS (SELECT 1 FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) b(pid)
			JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid WHERE a.application_name = $1)
		AND w.pid NOT IN (SELECT pid FROM pg_catalog.pg_stat_activity WHERE application_name = $1)`
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	if _, err := h.conn.Exec(ctx, "SELECT pg_catalog.pg_stat_clear_snapshot()"); err != nil {
		return 0, err
	}
	err = h.conn.QueryRow(ctx, waiting, h.app).Scan(&n)
	return n, err
}

// Release lets go of snapshot and locks, and says whether they were held to
// this moment. Only then can what was read be trusted: readers that outlive
// the locks see tables empty that somebody truncated.
func (h *Holder) Release(ctx context.Context) error {
	h.ask.Do(func() { close(h.enough) })
	<-h.done
	err := h.err
	if err == nil {
		if _, err = h.waiting(ctx); err != nil {
			err = fmt.Errorf("%w: %w", ErrSnapshotLost, err)
		}
	}
	h.Close()
	return err
}

// Close lets go of snapshot and locks at once. It may be called twice, and
// after Release.
func (h *Holder) Close() {
	h.close.Do(func() {
		h.cancel(errors.New("the snapshot was released"))
		<-h.done
		Close(h.conn)
	})
}
