package pgcopy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtest"
)

func each(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgcopy.Connect(t.Context(), pgtest.URL(t), "test", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// More statements than are under way at once, some of which fail: each of the
// others stands, also the earlier part of a statement of several does not.
func TestExecEach(t *testing.T) {
	t.Parallel()
	conn := each(t)
	statements := []string{"CREATE TABLE t (n int PRIMARY KEY)"}
	for i := range 250 {
		switch i % 50 {
		case 7:
			statements = append(statements, fmt.Sprintf("INSERT INTO t VALUES (%d); SELECT 1/0", i))
		case 8:
			statements = append(statements, "SELEC")
		default:
			statements = append(statements, fmt.Sprintf("INSERT INTO t VALUES (%d); SELECT n FROM t", i))
		}
	}
	failed, err := pgcopy.ExecEach(t.Context(), conn.PgConn(), statements)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range failed {
		if want := i > 0 && ((i-1)%50 == 7 || (i-1)%50 == 8); (err != nil) != want {
			t.Errorf("statement %d: %v", i, err)
		}
	}
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM t WHERE n % 50 NOT IN (7, 8)").Scan(&n); err != nil || n != 240 {
		t.Errorf("%d rows, %v", n, err)
	}
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 240 {
		t.Errorf("%d rows in all, %v: something of a failed statement stayed", n, err)
	}
}

func TestExecEachLost(t *testing.T) {
	t.Parallel()
	conn := each(t)
	_, err := pgcopy.ExecEach(t.Context(), conn.PgConn(), []string{"SELECT 1", "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 2"})
	if err == nil || !pgcopy.Transient(err) || !conn.IsClosed() {
		t.Errorf("%v, closed: %t", err, conn.IsClosed())
	}
	conn = each(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := pgcopy.ExecEach(ctx, conn.PgConn(), []string{"SELECT pg_sleep(60)"}); err == nil || !conn.IsClosed() {
		t.Errorf("%v, closed: %t", err, conn.IsClosed())
	}
}
