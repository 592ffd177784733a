package clone_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// A connection that is lost while large objects are copied or the copy is
// compared costs what was under way on it, on either side.
func TestLostObjectsAndComparisons(t *testing.T) {
	t.Parallel()
	const schema = `create table t (id serial primary key, v text); insert into t (v) select 'v' from generate_series(1, 1000);
		select lo_from_bytea(1001, decode(repeat('ab', 4194304), 'hex')), lo_from_bytea(1002, decode(repeat('cd', 9000000), 'hex')), lo_from_bytea(1003, 'small'), lo_create(1004);
		comment on large object 1003 is 'small'`
	for _, c := range []struct {
		source bool
		at     string // what the client has sent when it is cut off
		long   bool   // in make test/long alone
	}{
		{false, "CREATE TEMP TABLE neontwin_objects", true},
		{false, "COPY pg_temp.neontwin_objects", true},
		{false, "pg_catalog.lo_from_bytea(oid", false},
		{false, "pg_catalog.lo_put(oid, 4194304", false},
		{false, "COMMENT ON LARGE OBJECT", true},
		{true, "lo_get(l.oid, 0,", true},
		{true, "lo_get(l.oid, 4194304", false},
		{true, "JOIN pg_catalog.pg_largeobject_metadata", true},
		{true, "SELECT count(*), coalesce(sum(", false},
		{false, "SELECT count(*), coalesce(sum(", true},
		{true, "SELECT count(*), (coalesce", true},
		{false, "SELECT count(*), (coalesce", false},
		{true, "pg_get_viewdef", true},
		{false, "pg_get_viewdef", false},
		{false, "SELECT (max(", true},
		{false, "last_value, is_called", false},
	} {
		t.Run(map[bool]string{true: "source ", false: "target "}[c.source]+c.at, func(t *testing.T) {
			t.Parallel()
			if c.long {
				pgtest.Long(t)
			}
			source, target := pgtest.URL(t), pgtest.URL(t)
			pgtest.Exec(t, source, schema)
			plan := newPlan(t, source)
			loses := first(c.at)
			var lost atomic.Bool
			server := target
			if c.source {
				server = source
			}
			r, relayed := pgtest.Through(t, server, 0)
			r.Watch(func(b []byte) pgtest.Fate {
				if !loses(b) {
					return pgtest.Pass
				}
				lost.Store(true)
				return pgtest.Lose
			})
			e := env(source, relayed)
			if c.source {
				e = env(relayed, target)
			}
			if _, err := plan.Run(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			if _, err := plan.Verify(t.Context(), e, true); err != nil {
				t.Fatal(err)
			}
			if !lost.Load() {
				t.Error("no connection was lost: the case tests nothing")
			}
			for _, sql := range []string{
				"select string_agg(oid || ' ' || md5(lo_get(oid)), ',' order by oid) from pg_largeobject_metadata",
				"select string_agg(objoid || ' ' || description, ',') from pg_description where classoid = 'pg_largeobject'::regclass",
			} {
				if s, c := one(t, source, sql), one(t, target, sql); s != c {
					t.Errorf("%s\ngives %s in the source and %s in the copy", sql, s, c)
				}
			}
		})
	}
}

// Nothing is asked again of a source whose snapshot is gone, nor for an error
// that would come again.
func TestComparisonEndsWithTheSnapshot(t *testing.T) {
	t.Parallel()
	source, target := pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, source, "create table t (id int); insert into t values (1)")
	plan := newPlan(t, source)
	e := env(source, target)
	if _, err := plan.Run(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	holder, _, err := pgcopy.Hold(t.Context(), source, "neontwin/gone", func(context.Context, *pgx.Conn) ([]string, error) { return nil, nil }, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	e.Snapshot = holder.Snapshot.ID
	holder.Close()
	// The server needs a moment to notice.
	for one(t, source, "select count(*)::text from pg_stat_activity where application_name = 'neontwin/gone'") != "0" {
		if t.Context().Err() != nil {
			t.Fatal("the holder's session does not end")
		}
	}
	began := time.Now()
	_, err = plan.Verify(t.Context(), e, false)
	var at *clone.Error
	if !errors.As(err, &at) || !at.Source {
		t.Errorf("got %v, want an error of the source", err)
	}
	if took := time.Since(began); took > 14*time.Second {
		t.Errorf("it took %v to say so", took)
	}
}

func one(t *testing.T, url, sql string) (value string) {
	t.Helper()
	if err := pgtest.Connect(t, url).QueryRow(t.Context(), "select coalesce(("+sql+"), '')").Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
