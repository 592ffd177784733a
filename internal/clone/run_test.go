package clone_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/twin"
)

// manyTables makes tables with a sequence, a key, an index, rows and a foreign
// key each.
func manyTables(n int) string {
	return fmt.Sprintf(`do $$ begin for i in 1..%d loop
		execute format('create table t%%s (id serial primary key, a text unique, up int references t%%s, b bytea)', i, greatest(1, i - 1));
		execute format('create index on t%%s (a, id)', i);
		execute format('insert into t%%s (a, up, b) select ''tab%%s '' || g, 1, decode(repeat(''00ff'', g), ''hex'') from generate_series(1, 20) g', i, e'\t');
	end loop; end $$`, n)
}

// content is what tables hold, in no order.
func content(t *testing.T, url string) map[string]string {
	t.Helper()
	conn := pgtest.Connect(t, url)
	names, err := conn.Query(t.Context(), `select oid::regclass::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(names, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, table := range tables {
		var digest string
		if err := conn.QueryRow(t.Context(), "select count(*)||' '||md5(coalesce(string_agg(r::text, '|' order by r::text), '')) from "+table+" r").Scan(&digest); err != nil {
			t.Fatal(err)
		}
		out[table] = digest
	}
	return out
}

func sameContent(t *testing.T, source, target string) {
	t.Helper()
	want, got := content(t, source), content(t, target)
	for table := range want {
		if want[table] != got[table] {
			t.Errorf("table %s is %q in the source and %q in the copy", table, want[table], got[table])
		}
	}
}

func TestFewRoundTrips(t *testing.T) {
	t.Parallel()
	source, target := pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, source, manyTables(100))
	plan := newPlan(t, source)
	r, far := pgtest.Through(t, target, 20*time.Millisecond)
	e := env(source, far)
	began := time.Now()
	if _, err := plan.Run(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d turns in %s", r.Turns(), time.Since(began))
	// Connecting takes some turns each; then a few messages for each phase. One
	// for each table, index, key, sequence and statistics would be 600.
	if n := r.Turns(); n > 60 {
		t.Errorf("the client spoke %d times to the target for 100 tables", n)
	}
	same(t, source, target)
	sameContent(t, source, target)
}

// Whatever was under way on a connection that is lost is done once in the end,
// also where it had been committed already.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	const schema = `create table big (id int primary key, note text);
		insert into big select i, repeat('x', 100) from generate_series(1, 30000) i;
		create index on big (note, id);
		create table child (id int references big);
		insert into child select i from generate_series(1, 9000) i;
		create materialized view v as select count(*) from big;`
	// What the client has sent when it is cut off. "c\0\0\0\4" ends the rows.
	for name, loses := range map[string]func([]byte) bool{
		"definitions":        first("CREATE TABLE public.big"),
		"the end of rows":    first("c\x00\x00\x00\x04"),
		"many small tables":  first("COPY \"public\".\"t1\""),
		"an index":           first("CREATE INDEX"),
		"foreign keys":       first("NOT VALID"),
		"a validation":       first("VALIDATE CONSTRAINT"),
		"a refresh":          first("REFRESH"),
		"positions":          first("setval"),
		"the end":            first("DROP SCHEMA IF EXISTS neontwin"),
		"rows in the middle": first(strings.Repeat("x", 100) + "\n2000"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, target := pgtest.URL(t), pgtest.URL(t)
			pgtest.Exec(t, source, schema)
			pgtest.Exec(t, source, manyTables(5))
			pgtest.Exec(t, source, "analyze")
			plan := newPlan(t, source)
			var lost atomic.Bool
			r, relayed := pgtest.Through(t, target, 0)
			r.Watch(func(b []byte) pgtest.Fate {
				if !loses(b) {
					return pgtest.Pass
				}
				lost.Store(true)
				return pgtest.Lose
			})
			tables, err := plan.Run(t.Context(), env(source, relayed))
			if err != nil {
				t.Fatal(err)
			}
			if !lost.Load() && name != "rows in the middle" {
				t.Error("no connection was lost: the case tests nothing")
			}
			for _, table := range tables {
				if table.Table == "public.big" && table.Rows != 30000 {
					t.Errorf("the report says %d rows of big", table.Rows)
				}
			}
			same(t, source, target)
			sameContent(t, source, target)
		})
	}
}

// first says yes once, to the first message that holds one of the texts.
func first(texts ...string) func([]byte) bool {
	var said atomic.Bool
	return func(b []byte) bool {
		for _, text := range texts {
			if bytes.Contains(b, []byte(text)) && said.CompareAndSwap(false, true) {
				return true
			}
		}
		return false
	}
}

func TestLostReader(t *testing.T) {
	t.Parallel()
	source, target := pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, source, `create table big (id int primary key, note text);
		insert into big select i, repeat('x', 100) from generate_series(1, 100000) i; analyze`)
	holder, reading, err := pgcopy.Hold(t.Context(), source, "neontwin/lost", func(context.Context, *pgx.Conn) ([]string, error) {
		return []string{"public.big"}, nil
	}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	plan := newPlan(t, source)
	e := env(source, target)
	e.Snapshot = holder.Snapshot.ID
	var once sync.Once
	e.Between = func(_ catalog.Name, w io.Writer) io.WriteCloser {
		return &probe{w: w.(io.WriteCloser), see: func() {
			once.Do(func() {
				// Rows that the snapshot does not have must not come with the second try.
				pgtest.Exec(t, source, `insert into big select -i from generate_series(1, 10) i;
					select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'neontwin/test' and query like 'COPY%'`)
			})
		}}
	}
	tables, err := plan.Run(reading, e)
	if err != nil {
		t.Fatal(err)
	}
	if tables[0].Rows != 100000 {
		t.Errorf("%d rows came, want the snapshot's 100000", tables[0].Rows)
	}
}

// probe passes all on and calls see at each row.
type probe struct {
	w   io.WriteCloser
	see func()
}

func (p *probe) Write(b []byte) (int, error) { p.see(); return p.w.Write(b) }
func (p *probe) Close() error                { return p.w.Close() }

func TestForgetfulTarget(t *testing.T) {
	t.Parallel()
	source, target := pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, source, manyTables(3))
	e := env(source, target)
	var once sync.Once
	e.Between = func(_ catalog.Name, w io.Writer) io.WriteCloser {
		return &probe{w: w.(io.WriteCloser), see: func() { once.Do(func() { pgtest.Exec(t, target, "delete from neontwin.ledger") }) }}
	}
	_, err := newPlan(t, source).Run(t.Context(), e)
	if !errors.Is(err, clone.ErrForgotten) {
		t.Errorf("got %v, want ErrForgotten", err)
	}
}

// A source can hold rows that break a constraint which it calls valid.
func TestOrphans(t *testing.T) {
	t.Parallel()
	source, target := pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, source, `create table parent (id int primary key); create table child (id int constraint to_parent references parent);
		set session_replication_role = replica; insert into child values (1)`)
	_, err := newPlan(t, source).Run(t.Context(), env(source, target))
	var at *clone.Error
	var pg *pgconn.PgError
	if !errors.As(err, &at) || at.Object != "FK CONSTRAINT public.child to_parent" || at.Source || !errors.As(err, &pg) || pg.Code != "23503" {
		t.Errorf("got %v, want an error that names the constraint", err)
	}
}

func TestFailingSmallTableHasAName(t *testing.T) {
	t.Parallel()
	source, target := pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, source, manyTables(4)+`; create table bad (n int); insert into bad values (1), (-1); alter table bad add check (n > 0) not valid`)
	plan := newPlan(t, source)
	// As if the check were one that the rows must pass while they are loaded.
	plan.Before = append(plan.Before, clone.Statement{What: "check", SQL: "ALTER TABLE public.bad ADD CHECK (n > 0);"})
	_, err := plan.Run(t.Context(), env(source, target))
	var at *clone.Error
	if !errors.As(err, &at) || at.Object != "public.bad" {
		t.Errorf("got %v, want an error at public.bad", err)
	}
}

func TestLostRowOfSmallTableHasAName(t *testing.T) {
	t.Parallel()
	source, target := pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, source, manyTables(4))
	e := env(source, target)
	e.Between = func(table catalog.Name, w io.Writer) io.WriteCloser {
		if table.Name == "t3" {
			return &loseOne{w: w.(io.WriteCloser)}
		}
		return w.(io.WriteCloser)
	}
	_, err := newPlan(t, source).Run(t.Context(), e)
	var at *clone.Error
	if !errors.As(err, &at) || at.Object != "public.t3" || !errors.Is(err, pgcopy.ErrRowsLost) {
		t.Errorf("got %v, want ErrRowsLost at public.t3", err)
	}
}

// loseOne loses a row in the middle.
type loseOne struct {
	w    io.WriteCloser
	seen int
}

func (l *loseOne) Write(b []byte) (int, error) {
	if l.seen++; l.seen == 5 {
		return len(b), nil
	}
	return l.w.Write(b)
}
func (l *loseOne) Close() error { return l.w.Close() }

func TestMaxRate(t *testing.T) {
	t.Parallel()
	pgtest.Long(t)
	source, target := pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, source, "create table t as select repeat('x', 1000) from generate_series(1, 2000); analyze")
	e := env(source, target)
	e.MaxRate = 2 << 20
	e.Tracker = clone.NewTracker(func(twin.Progress) {})
	began := time.Now()
	if _, err := newPlan(t, source).Run(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("2 MB at 2 MB a second took %s", took)
	}
}
