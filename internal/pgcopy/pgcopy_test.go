package pgcopy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestCopyBothFormats(t *testing.T) {
	t.Parallel()
	source, target := pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, target, "create table t (id int, note text, doc jsonb)")
	pgtest.Exec(t, source, `create table t (id int, note text, doc jsonb);
		insert into t select i, case i % 3 when 0 then null when 1 then E'tab\t back\\ line\n' else '' end, '{"a": [1, null]}' from generate_series(1, 20000) i`)
	for _, format := range []string{"text", "binary"} {
		from, to := pgtest.Connect(t, source), pgtest.Connect(t, target)
		var seen int64
		moved, err := pgcopy.Copy(t.Context(), from.PgConn(), to.PgConn(), pgcopy.Stream{
			From:  "copy t to stdout (format " + format + ")",
			To:    "truncate t; copy t from stdin (format " + format + ", freeze)",
			Moved: func(n int) { seen += int64(n) },
		})
		if err != nil {
			t.Fatal(err)
		}
		if moved.Rows != 20000 || moved.Bytes != seen || seen == 0 {
			t.Errorf("%s: moved %+v and told of %d bytes, want 20000 rows", format, moved, seen)
		}
		const digest = "select md5(string_agg(t::text, '|' order by id)) from t"
		if a, b := scan[string](t, from, digest), scan[string](t, to, digest); a != b {
			t.Errorf("%s: the rows differ", format)
		}
	}
}

// Whatever ends a copy in the middle, the target keeps nothing of it.
func TestCopyInterrupted(t *testing.T) {
	t.Parallel()
	const rows = 200000
	cases := map[string]struct {
		hit  func(t *testing.T, cancel func(), from, to uint32, admin *pgx.Conn)
		want func(error) bool
	}{
		"source's backend dies": {
			func(t *testing.T, _ func(), from, _ uint32, admin *pgx.Conn) { terminate(t, admin, from) },
			func(err error) bool { var s *pgcopy.SourceError; return errors.As(err, &s) && pgcopy.Transient(err) },
		},
		"target's backend dies": {
			func(t *testing.T, _ func(), _, to uint32, admin *pgx.Conn) { terminate(t, admin, to) },
			func(err error) bool { var s *pgcopy.TargetError; return errors.As(err, &s) && pgcopy.Transient(err) },
		},
		"cancelled": {
			func(_ *testing.T, cancel func(), _, _ uint32, _ *pgx.Conn) { cancel() },
			func(err error) bool { return errors.Is(err, context.Canceled) },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, target := pgtest.URL(t), pgtest.URL(t)
			pgtest.Exec(t, target, "create table t (id int, note text)")
			pgtest.Exec(t, source, fmt.Sprintf("create table t as select i id, repeat('x', 100) note from generate_series(1, %d) i", rows))
			from, to, admin := pgtest.Connect(t, source), pgtest.Connect(t, target), pgtest.Connect(t, target)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			bytes, hit := 0, false
			_, err := pgcopy.Copy(ctx, from.PgConn(), to.PgConn(), pgcopy.Stream{
				From: "copy t to stdout", To: "copy t from stdin",
				Moved: func(n int) {
					if bytes += n; bytes > 4<<20 && !hit {
						hit = true
						c.hit(t, cancel, from.PgConn().PID(), to.PgConn().PID(), admin)
					}
				},
			})
			if !c.want(err) {
				t.Errorf("got the error %v", err)
			}
			if n := scan[int](t, admin, "select count(*) from t"); n != 0 {
				t.Errorf("%d rows were committed by a copy that failed", n)
			}
		})
	}
}

func TestCopyNoticesLostRows(t *testing.T) {
	t.Parallel()
	source, target := pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, target, "create table t (id int)")
	pgtest.Exec(t, source, "create table t as select generate_series(1, 100) id")
	_, err := pgcopy.Copy(t.Context(), pgtest.Connect(t, source).PgConn(), pgtest.Connect(t, target).PgConn(), pgcopy.Stream{
		From: "copy t to stdout", To: "copy t from stdin",
		Between: func(w io.Writer) io.WriteCloser { return &dropOne{w: w.(io.WriteCloser)} },
	})
	if !errors.Is(err, pgcopy.ErrRowsLost) {
		t.Errorf("got %v, want ErrRowsLost", err)
	}
}

// dropOne loses the row "42".
type dropOne struct{ w io.WriteCloser }

func (d *dropOne) Write(b []byte) (int, error) {
	if string(b) == "42\n" {
		return len(b), nil
	}
	return d.w.Write(b)
}
func (d *dropOne) Close() error { return d.w.Close() }

func TestHoldLocksBeforeItLooks(t *testing.T) {
	t.Parallel()
	// Each of these rewrites or empties a table: an old snapshot would see it
	// empty afterwards.
	for _, act := range []string{"truncate t", "alter table t alter id type bigint", "vacuum full t"} {
		t.Run(act, func(t *testing.T) {
			t.Parallel()
			source := pgtest.URL(t)
			pgtest.Exec(t, source, "create table t as select generate_series(1, 1000) id")
			app := "neontwin/" + act
			h, reading, err := pgcopy.Hold(t.Context(), source, app, tables("public.t"), 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			reader, err := pgcopy.Reader(reading, source, app, h.Snapshot.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close(context.Background())

			done := make(chan error, 1)
			go func() {
				conn, err := pgx.Connect(context.Background(), source)
				if err == nil {
					_, err = conn.Exec(context.Background(), act)
					_ = conn.Close(context.Background())
				}
				done <- err
			}()
			// While it waits, the snapshot is whole.
			// What is read after the context has ended counts for nothing.
			if n := scan[int](t, reader, "select count(*) from public.t"); n != 1000 && reading.Err() == nil {
				t.Errorf("the snapshot sees %d rows, want 1000", n)
			}
			select {
			case <-reading.Done():
			case <-time.After(20 * time.Second):
				t.Fatal("nobody gave way")
			}
			if err := context.Cause(reading); !errors.Is(err, pgcopy.ErrGaveWay) {
				t.Errorf("ended by %v, want ErrGaveWay", err)
			}
			_ = reader.Close(context.Background()) // as every user of the context does
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestHoldWaitsForALockAndThenSeesTheNewState(t *testing.T) {
	t.Parallel()
	source := pgtest.URL(t)
	pgtest.Exec(t, source, "create table t as select generate_series(1, 10) id")
	other := pgtest.Connect(t, source)
	if _, err := other.Exec(t.Context(), "begin; lock table t in access exclusive mode; delete from t where id > 4"); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(500*time.Millisecond, func() { _, _ = other.Exec(context.Background(), "commit") })
	defer timer.Stop()
	h, reading, err := pgcopy.Hold(t.Context(), source, "neontwin/test", tables("public.t"), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	reader, err := pgcopy.Reader(reading, source, "neontwin/test", h.Snapshot.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close(context.Background())
	if n := scan[int](t, reader, "select count(*) from public.t"); n != 4 {
		t.Errorf("the snapshot sees %d rows, want 4: it was taken before the lock", n)
	}
	if h.Snapshot.LSN == "" || time.Since(h.Snapshot.At).Abs() > time.Minute {
		t.Errorf("snapshot %+v has no place or time", h.Snapshot)
	}
}

func TestHoldGivesUpOnALockedTable(t *testing.T) {
	t.Parallel()
	source := pgtest.URL(t)
	pgtest.Exec(t, source, "create table t ()")
	other := pgtest.Connect(t, source)
	if _, err := other.Exec(t.Context(), "begin; lock table t in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	_, _, err := pgcopy.Hold(t.Context(), source, "neontwin/test", tables("public.t"), time.Second)
	if err == nil || !pgcopy.Transient(err) || !strings.Contains(err.Error(), "lock the source's tables") {
		t.Errorf("got %v, want a transient error about the lock", err)
	}
}

func TestLostSnapshotEndsTheContext(t *testing.T) {
	t.Parallel()
	source := pgtest.URL(t)
	h, reading, err := pgcopy.Hold(t.Context(), source, "neontwin/lost", tables(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	admin := pgtest.Connect(t, source)
	terminate(t, admin, scan[uint32](t, admin, "select pid from pg_stat_activity where application_name = 'neontwin/lost'"))
	select {
	case <-reading.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the holder did not notice that its session is gone")
	}
	if !pgcopy.Transient(context.Cause(reading)) {
		t.Errorf("%v isn't transient", context.Cause(reading))
	}
}

func TestReaderCannotWrite(t *testing.T) {
	t.Parallel()
	source := pgtest.URL(t)
	reader, err := pgcopy.Reader(t.Context(), source, "neontwin/test", "")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close(context.Background())
	if _, err := reader.Exec(t.Context(), "create table public.t ()"); err == nil {
		t.Error("a reader created a table on the source")
	}
}

func TestLiteral(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.URL(t))
	for _, s := range []string{"", "plain", "it's", `back\slash`, `both \' of`, "line\nbreak", "日本"} {
		for _, standard := range []string{"on", "off"} {
			if _, err := conn.Exec(t.Context(), "set standard_conforming_strings = "+standard); err != nil {
				t.Fatal(err)
			}
			results, err := conn.PgConn().Exec(t.Context(), "select "+pgcopy.Literal(s)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if got := string(results[0].Rows[0][0]); got != s {
				t.Errorf("%q came back as %q", s, got)
			}
		}
	}
}

func tables(names ...string) pgcopy.Tables {
	return func(context.Context, *pgx.Conn) ([]string, error) { return names, nil }
}

func terminate(t *testing.T, admin *pgx.Conn, pid uint32) {
	t.Helper()
	if _, err := admin.Exec(context.Background(), "select pg_terminate_backend($1)", int32(pid)); err != nil {
		t.Error(err)
	}
}

func scan[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// A field of any size passes in pieces: no connection holds a row whole.
func TestCopyOfALargeFieldIsFlat(t *testing.T) {
	t.Parallel()
	source, target := pgtest.URL(t), pgtest.URL(t)
	const size = 30_000_000
	pgtest.Exec(t, source, fmt.Sprintf("create table t as select repeat('x', %d) v", size))
	pgtest.Exec(t, target, "create table t (v text)")
	from, err := pgcopy.Reader(t.Context(), source, "neontwin/test", "")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close(context.Background())
	largest := 0
	moved, err := pgcopy.Copy(t.Context(), from.PgConn(), pgtest.Connect(t, target).PgConn(), pgcopy.Stream{
		From: "copy public.t to stdout", To: "copy t from stdin",
		Moved: func(n int) { largest = max(largest, n) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if moved.Rows != 1 || moved.Bytes != size+1 || largest > 64<<10 {
		t.Errorf("moved %+v in pieces of up to %d bytes", moved, largest)
	}
}
