package catalog_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtest"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) { pgtest.Main(m) }

func rich(t *testing.T) string {
	t.Helper()
	sql, err := os.ReadFile("testdata/rich.sql")
	if err != nil {
		t.Fatal(err)
	}
	url := pgtest.URL(t)
	pgtest.Exec(t, url, string(sql))
	return url
}

// inTx reads in a transaction like the one that reads a source, and ends it.
func inTx[T any](t *testing.T, url string, read func(context.Context, catalog.Querier) (T, error)) T {
	t.Helper()
	tx, err := pgtest.Connect(t, url).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	return got
}

func read(t *testing.T, url string) *catalog.Schema {
	t.Helper()
	return inTx(t, url, catalog.Read)
}

func inventory(t *testing.T, url string) *catalog.Inventory {
	t.Helper()
	return inTx(t, url, catalog.Objects)
}

// golden compares text with a file under testdata, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestReadGolden reads the rich schema. OIDs, sizes and what belongs to the
// server are left out of the file.
func TestReadGolden(t *testing.T) {
	t.Parallel()
	s := read(t, rich(t))
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, x := range s.Tables {
		line("table %s%s", x.SQL(), flags(map[string]bool{
			"unlogged": x.Unlogged, "partition": x.Partition, "child": x.Parent != 0, "children": x.HasChildren,
			"rls": x.RowSecurity, "forced": x.ForceRowSecurity, "readable": x.Readable, "filtered": x.Filtered, "pk": x.HasPrimaryKey,
		}))
		for _, c := range x.Columns {
			if x.Partition {
				c.Identity = "" // from 17 on, a partition has its parent's
			}
			line("  %d %q %s%s %s%s default=%q is %s", c.Num, c.Name, c.Type, flags(map[string]bool{"notnull": c.NotNull}),
				c.Generated, c.Identity, c.Default, made(s, c.TypeOID))
		}
	}
	for _, x := range s.Parents {
		line("parent %s", x)
	}
	for _, x := range s.Foreign {
		line("foreign %s", x)
	}
	for _, k := range s.ForeignKeys {
		line("fk %q of %s%v to %s%v by %v match=%s%s %s", k.Name, k.Table, k.Columns, k.Parent, k.ParentColumns, k.Operators, k.Match,
			flags(map[string]bool{"deferrable": k.Deferrable, "deferred": k.Deferred, "validated": k.Validated, "enforced": k.Enforced}), k.Definition)
	}
	for _, q := range s.Sequences {
		line("sequence %s of %s.%s %s start=%d by=%d %d..%d%s", q.Relation, q.OwnerTable, q.OwnerColumn, q.Type, q.Start, q.Increment, q.Min, q.Max,
			flags(map[string]bool{"identity": q.Identity, "cycle": q.Cycle, "readable": q.Readable}))
	}
	for _, v := range s.MatViews {
		line("matview %s populated=%v", v.Relation, v.Populated)
	}
	for _, e := range s.Extensions {
		line("extension %s in %s", e.Name, e.Schema)
	}
	line("large objects %d", s.LargeObjects)
	golden(t, "rich.golden", b.String())

	d := s.Database
	if s.ServerVersion < 130000 || d.Encoding != "UTF8" || d.CType != "C.UTF-8" || d.Provider != "c" || !strings.HasPrefix(d.Name, "test_") {
		t.Errorf("database %+v, server %d", d, s.ServerVersion)
	}
}

// flags lists the names that are set.
func flags(set map[string]bool) string {
	out := ""
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if set[name] {
			out += " " + name
		}
	}
	return out
}

// made tells what a type is made of.
func made(s *catalog.Schema, oid uint32) string {
	t, ok := s.Types[oid]
	if !ok {
		return "UNKNOWN"
	}
	out := string(t.Kind) + ":" + t.String()
	if t.Extension != "" {
		out += "@" + t.Extension
	}
	if !t.HasSend {
		out += "!"
	}
	for i, part := range t.Of {
		if i == 0 {
			out += "("
		} else {
			out += ","
		}
		out += made(s, part)
	}
	if len(t.Of) > 0 {
		out += ")"
	}
	return out
}

func TestSizesAndEstimates(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pgtest.Exec(t, url, `CREATE TABLE never (id int); CREATE TABLE analyzed (id int, big text);
		ALTER TABLE analyzed ALTER big SET STORAGE EXTERNAL;
		INSERT INTO analyzed SELECT n, repeat('x', 10000) FROM generate_series(1, 100) n; ANALYZE analyzed`)
	s := read(t, url)
	if len(s.Tables) != 2 {
		t.Fatalf("%d tables", len(s.Tables))
	}
	analyzed, never := s.Tables[0], s.Tables[1]
	if analyzed.Rows != 100 || analyzed.Pages != 1 || analyzed.Bytes < 1_000_000 {
		t.Errorf("analyzed: %v rows, %d pages, %d bytes", analyzed.Rows, analyzed.Pages, analyzed.Bytes)
	}
	if never.Rows != -1 || never.Pages != 0 || never.Bytes != 0 {
		t.Errorf("never analyzed: %v rows, %d pages, %d bytes", never.Rows, never.Pages, never.Bytes)
	}
}

// TestReadOnlyRole reads as a role that may see a part of the database only,
// and locks what it is told to lock.
func TestReadOnlyRole(t *testing.T) {
	t.Parallel()
	base := rich(t)
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	role := "reader_" + strings.TrimPrefix(u.Path, "/")
	pgtest.Exec(t, base, fmt.Sprintf(`CREATE ROLE %[1]s LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA shop TO %[1]s;
		GRANT SELECT ON ALL TABLES IN SCHEMA shop TO %[1]s; GRANT SELECT ON ALL TABLES IN SCHEMA "Ünicode Schema.x" TO %[1]s;
		REVOKE SELECT ON shop.cache FROM %[1]s; GRANT SELECT ON SEQUENCE shop.users_id_seq TO %[1]s`, role))
	t.Cleanup(func() { dropRole(t, base, role) }) // after the transactions below have ended
	u.User = url.UserPassword(role, "secret")

	s := read(t, u.String())
	readable := map[string]bool{}
	for _, x := range s.Tables {
		readable[x.String()] = x.Readable
		if want := x.Name.Name == "users" || x.Name.Name == "tenants"; x.Filtered != want {
			t.Errorf("%s: filtered is %v", x, x.Filtered)
		}
	}
	for name, want := range map[string]bool{
		"shop.users": true, "shop.events_old": true, "shop.cache": false, "public.no_key": false,
		`"Ünicode Schema.x"."Tàble ""quoted"". x"`: false, // the schema is not ours to use
	} {
		if got, ok := readable[name]; !ok || got != want {
			t.Errorf("%s: readable is %v, want %v", name, got, want)
		}
	}
	for _, q := range s.Sequences {
		if want := q.Name.Name == "users_id_seq"; q.Readable != want {
			t.Errorf("%s: readable is %v", q.Relation, q.Readable)
		}
	}

	conn := pgtest.Connect(t, u.String())
	names, err := catalog.Lockable(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, x := range s.Tables {
		if x.Readable {
			want = append(want, x.SQL())
		}
	}
	for _, p := range s.Parents {
		want = append(want, p.SQL())
	}
	var got []string
	for _, n := range names {
		got = append(got, n.SQL())
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lockable (-want +got):\n%s", diff)
	}
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE ONLY "+strings.Join(got, ", ONLY ")+" IN ACCESS SHARE MODE"); err != nil {
		t.Error(err)
	}

	// What a role may not read, it sees all the same.
	if diffs := catalog.Compare(inventory(t, base), inventory(t, u.String())); len(diffs) > 0 {
		t.Errorf("the inventory depends on the role: %v", diffs)
	}
}

// dropRole is for cleanups, when the test's context has ended.
func dropRole(t *testing.T, base, role string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, base)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "SET lock_timeout = '5s'; DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
		t.Error(err)
	}
}

// TestMatViewsInOrder makes names and creation order of no help.
func TestMatViewsInOrder(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pgtest.Exec(t, url, `CREATE MATERIALIZED VIEW d AS SELECT 1 AS n; CREATE VIEW v AS SELECT * FROM d; CREATE VIEW w AS SELECT * FROM v;
		CREATE MATERIALIZED VIEW c AS SELECT * FROM w; CREATE MATERIALIZED VIEW e AS SELECT c.n FROM c, d;
		CREATE MATERIALIZED VIEW a AS SELECT * FROM e; CREATE MATERIALIZED VIEW b AS SELECT 2`)
	var got []string
	for _, v := range read(t, url).MatViews {
		got = append(got, v.Name.Name)
	}
	if want := []string{"b", "d", "c", "e", "a"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

// TestConfigurationTables makes an extension whose table holds user rows.
func TestConfigurationTables(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	// citext has no tables; the catalog is told that it does.
	pgtest.Exec(t, url, `CREATE EXTENSION citext; CREATE TABLE conf (id int, own bool); CREATE TABLE fixed (id int); CREATE TABLE free (id int);
		ALTER EXTENSION citext ADD TABLE conf; ALTER EXTENSION citext ADD TABLE fixed;
		UPDATE pg_extension SET extconfig = ARRAY['conf'::regclass::oid], extcondition = ARRAY['WHERE NOT own'] WHERE extname = 'citext'`)
	var got []string
	for _, x := range read(t, url).Tables {
		got = append(got, x.Name.Name+"/"+x.Extension+"/"+x.Condition)
	}
	if want := []string{"conf/citext/WHERE NOT own", "free//"}; !slices.Equal(got, want) {
		t.Errorf("tables %v, want %v", got, want)
	}
	for _, o := range inventory(t, url).Objects {
		if o.Kind != "extension" && strings.Contains(o.Identity, "conf") {
			t.Errorf("a member of an extension is in the inventory: %v", o)
		}
	}
}

func TestNeedsATransaction(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.URL(t))
	if _, err := catalog.Read(t.Context(), conn); err == nil {
		t.Error("Read outside of a transaction gave no error")
	}
	if _, err := catalog.Objects(t.Context(), conn); err == nil {
		t.Error("Objects outside of a transaction gave no error")
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     catalog.Name
		str, sql string
	}{
		{catalog.Name{Schema: "public", Name: "users"}, "public.users", `"public"."users"`},
		{catalog.Name{Schema: "a.b", Name: `q"x`}, `"a.b"."q""x"`, `"a.b"."q""x"`},
		{catalog.Name{Schema: "ü", Name: "A1"}, `"ü"."A1"`, `"ü"."A1"`},
		{catalog.Name{}, ``, `""`},
	} {
		if c.name.String() != c.str {
			t.Errorf("String %s, want %s", c.name, c.str)
		}
		if c.name != (catalog.Name{}) && c.name.SQL() != c.sql {
			t.Errorf("SQL %s, want %s", c.name.SQL(), c.sql)
		}
	}
}
