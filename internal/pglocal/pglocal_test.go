package pglocal_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestStartStopStart(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, map[string]string{"max_connections": "17"})
	one(t, c.URL("postgres"), "create table kept (id int); insert into kept values (7)")

	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := pglocal.Start(t.Context(), pglocal.Options{Dir: c.Dir(), Volatile: true})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop(context.Background())
	if again.Port() != c.Port() {
		t.Errorf("port %d after a restart, was %d", again.Port(), c.Port())
	}
	if got := one(t, again.URL("postgres"), "select id::text from kept"); got != "7" {
		t.Errorf("kept = %q, want 7", got)
	}
}

func TestAdoptsTheServerOfAKilledProcess(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, nil)
	adopted, err := pglocal.Start(t.Context(), pglocal.Options{Dir: c.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	if adopted.URL("postgres") != c.URL("postgres") {
		t.Errorf("adopted %s, want the server at %s", adopted.Host(), c.Host())
	}
	if err := adopted.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Exited():
	case <-time.After(10 * time.Second):
		t.Error("the adopted server did not stop")
	}
}

func TestStopGivesUpAtTheDeadline(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, nil)
	var pid int
	conn := pgtest.Connect(t, c.URL("postgres"))
	if err := conn.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	// A backend that is stopped can't answer the postmaster's signal.
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Stop(ctx); err == nil {
		t.Error("Stop reported success while a backend could not end")
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	if _, err := pglocal.Find(t.TempDir()); err == nil {
		t.Error("an empty folder was taken for PostgreSQL's")
	}
}

// one runs sql and gives the last value of the last result.
func one(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	last := results[len(results)-1]
	if len(last.Rows) == 0 {
		return ""
	}
	return string(last.Rows[0][0])
}
