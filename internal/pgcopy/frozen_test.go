package pgcopy

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgtest"
)

// A reader whose process is stopped holds locks on the source and can't give
// way. The server ends it, whatever it was doing, so that the application goes
// on.
func TestFrozenReaderLetsGo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// freeze leaves the session at something and never comes back to it.
		freeze func(ctx context.Context, conn *pgx.Conn, reached chan<- struct{})
	}{
		{"asking nothing", func(ctx context.Context, conn *pgx.Conn, reached chan<- struct{}) {
			_, _ = conn.Exec(ctx, "SELECT count(*) FROM public.t")
			close(reached)
		}},
		{"taking no rows", func(ctx context.Context, conn *pgx.Conn, reached chan<- struct{}) {
			_, _ = conn.PgConn().CopyTo(ctx, &never{ctx: ctx, reached: reached}, "COPY public.t TO STDOUT")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.name == "taking no rows" && runtime.GOOS != "linux" {
				t.Skip("SKIPPED, NOT TESTED: only Linux ends a connection that takes nothing")
			}
			url := pgtest.URL(t)
			pgtest.Exec(t, url, "create table t (v text); alter table t alter v set storage external; insert into t select repeat('x', 1000000) from generate_series(1, 40)")
			conn, err := reader(t.Context(), url, "neontwin/frozen", "", bounds{idle: time.Second, stuck: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			reached, ended := make(chan struct{}), make(chan struct{})
			go func() { defer close(ended); c.freeze(ctx, conn, reached) }()
			defer func() { cancel(); <-ended; Close(conn) }()
			<-reached
			began := time.Now()
			pgtest.Exec(t, url, "set lock_timeout = '30s'; alter table t add added int")
			took := time.Since(began)
			t.Logf("the application waited for %v", took)
			if took < 500*time.Millisecond || took > 20*time.Second {
				t.Errorf("the application waited for %v", took)
			}
		})
	}
}

// never takes a first row, and no more.
type never struct {
	ctx     context.Context //nolint:containedctx // ends a test's writer
	reached chan<- struct{}
}

func (n *never) Write(b []byte) (int, error) {
	close(n.reached)
	<-n.ctx.Done()
	return len(b), n.ctx.Err()
}

// What a server says to a session that it has ended so is worth another try.
func TestEndedReaderIsTransient(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	conn, err := reader(t.Context(), url, "neontwin/idle", "", bounds{idle: 50 * time.Millisecond, stuck: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer Close(conn)
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	admin := pgtest.Connect(t, url)
	for n := 1; n > 0; {
		if err := admin.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = 'neontwin/idle'").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), "SELECT 1"); !Transient(err) {
		t.Errorf("%v is not transient", err)
	}
}
