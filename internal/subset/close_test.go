package subset_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/subset"
	"github.com/neontwin/neontwin/internal/twin"
)

// plan makes a plan that must be accepted.
func plan(t *testing.T, s *catalog.Schema, spec twin.Subset) *subset.Plan {
	t.Helper()
	p, err := subset.New(s, spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func roots(tables ...string) twin.Subset {
	var s twin.Subset
	for _, table := range tables {
		s.Roots = append(s.Roots, twin.Root{Table: table})
	}
	return s
}

// TestExtensionTypes follows a key of a type that an extension brings: with an
// empty search_path a bare = would compare it as text, and find nothing.
func TestExtensionTypes(t *testing.T) {
	t.Parallel()
	db := pgtest.URL(t)
	conn := pgtest.Connect(t, db)
	if _, err := conn.Exec(t.Context(), "CREATE EXTENSION citext"); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no citext here: %v", err)
	}
	pgtest.Exec(t, db, `CREATE TABLE a (e citext PRIMARY KEY); INSERT INTO a VALUES ('One'), ('Two');
		CREATE TABLE b (id int PRIMARY KEY, e citext REFERENCES a, d text); INSERT INTO b VALUES (1, 'ONE'), (2, NULL);
		CREATE DOMAIN mail AS citext; CREATE TABLE c (id int PRIMARY KEY, e mail); INSERT INTO c VALUES (1, 'oNE')`)
	s := readSchema(t, db)
	spec := roots("public.b")
	spec.References = []twin.Reference{{Table: "public.c", Columns: []string{"e"}, To: "public.a"}}
	spec.Roots = append(spec.Roots, twin.Root{Table: "public.c"})
	r, err := plan(t, s, spec).Close(t.Context(), opener(db), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := kept(t, db, s, r); !slices.Equal(got["public.a"], []string{"(One)"}) {
		t.Errorf("kept %v", got)
	}
	// The other way round too, and only over the undeclared reference.
	spec.Roots = []twin.Root{{Table: "public.a", Where: "e OPERATOR(public.=) 'one'"}}
	if r, err = plan(t, s, spec).Close(t.Context(), opener(db), 1, nil); err != nil {
		t.Fatal(err)
	}
	if got := kept(t, db, s, r); len(got["public.c"]) != 1 || len(got["public.b"]) != 1 {
		t.Errorf("kept %v", got)
	}
}

// chain is large enough that queries take their rows in several parts.
const chain = `CREATE TABLE one (id int PRIMARY KEY, half int REFERENCES one);
	INSERT INTO one SELECT n, NULLIF(n / 2, 0) FROM generate_series(1, 120000) n;
	CREATE TABLE two (id int PRIMARY KEY, one int REFERENCES one); INSERT INTO two SELECT n, 1 + n % 120000 FROM generate_series(1, 130000) n;
	CREATE TABLE three (two int REFERENCES two); INSERT INTO three SELECT n FROM generate_series(1, 130000, 3) n; CREATE INDEX ON two (one);
	ANALYZE`

func TestManyRows(t *testing.T) {
	t.Parallel()
	db := pgtest.URL(t)
	pgtest.Exec(t, db, chain)
	s := readSchema(t, db)
	spec := twin.Subset{Roots: []twin.Root{{Table: "public.one", Where: "id > 15000"}}}
	p := plan(t, s, spec)
	scans := p.Hazards()
	if len(scans) != 1 || scans[0].ID != subset.HazardScan || scans[0].Object != "public.three (two)" || scans[0].Refuses || !strings.Contains(scans[0].Message, "MB") {
		t.Errorf("hazards %+v", scans)
	}
	// A scan of many gigabytes is for the operator to allow.
	large := *s
	large.Tables = slices.Clone(s.Tables)
	for i := range large.Tables {
		large.Tables[i].Pages = 2 << 20
	}
	if h := plan(t, &large, spec).Hazards(); len(h) != 1 || !h[0].Refuses || !strings.Contains(h[0].Message, "accept "+subset.HazardScan) {
		t.Errorf("hazards of large tables %+v", h)
	}
	var told []int64
	r, err := p.Close(t.Context(), opener(db), 2, func(rows int64) { told = append(told, rows) })
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]int64)
	conn := pgtest.Connect(t, db)
	for table, query := range map[string]string{
		"public.one":   "SELECT 120000", // every second one leads to all
		"public.two":   "SELECT count(*) FROM two WHERE one > 15000",
		"public.three": "SELECT count(*) FROM three JOIN two ON two = id WHERE one > 15000",
	} {
		var n int64
		if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		want[table] = n
	}
	got := make(map[string]int64)
	for _, x := range r.Selections {
		got[x.Table] = x.Rows
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !slices.IsSorted(told) || len(told) == 0 || told[len(told)-1] != r.Rows() {
		t.Errorf("progress %v of %d", told, r.Rows())
	}

	spec.MaxRows = 150_000
	_, err = plan(t, s, spec).Close(t.Context(), opener(db), 2, nil)
	if f := twin.AsFailure(err); !errors.Is(err, twin.ErrRefused) || !strings.Contains(f.Message, "public.one 105000 (asked for)") {
		t.Errorf("too many rows: %v", err)
	}
}

// TestReadOnlyRole searches as a role that may only read, and only one table
// of two.
func TestReadOnlyRole(t *testing.T) {
	t.Parallel()
	db := pgtest.URL(t)
	u, err := url.Parse(db)
	if err != nil {
		t.Fatal(err)
	}
	role := "subset_" + strings.TrimPrefix(u.Path, "/")
	pgtest.Exec(t, db, fmt.Sprintf(`CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1), (2); CREATE TABLE b (a int REFERENCES a); INSERT INTO b VALUES (1);
		CREATE SCHEMA private; CREATE TABLE private.c (id int PRIMARY KEY);
		CREATE FUNCTION wipe() RETURNS bool LANGUAGE sql AS 'DELETE FROM public.b; SELECT true';
		CREATE FUNCTION tell() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a secret'; END $$;
		CREATE FUNCTION lie() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a secret' USING ERRCODE = '42501'; END $$;
		CREATE ROLE %[1]s LOGIN PASSWORD 'secret'; GRANT SELECT ON a, b TO %[1]s`, role))
	t.Cleanup(func() { pgtest.Exec(t, db, "DROP OWNED BY "+role+"; DROP ROLE "+role) })
	u.User = url.UserPassword(role, "secret")
	s := readSchema(t, u.String())
	_, err = plan(t, s, roots("public.b")).Close(t.Context(), opener(u.String()), 2, nil)
	if err == nil || !strings.Contains(err.Error(), "private") {
		t.Errorf("a table that may not be read is copied whole: %v", err)
	}
	spec := roots("public.b")
	spec.Empty = []string{"private.*"}
	r, err := plan(t, s, spec).Close(t.Context(), opener(u.String()), 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := kept(t, db, s, r); len(got["public.a"]) != 1 || len(got["public.b"]) != 1 {
		t.Errorf("kept %v", got)
	}
	for where, want := range map[string]string{
		"EXISTS (SELECT FROM private.c)": "42501",
		"public.wipe()":                  "SQLSTATE 25006",
		"public.tell()":                  "SQLSTATE P0001",
		"public.lie()":                   "SQLSTATE 42501",
		"'x'::int = 1":                   "SQLSTATE 22P02",
		"public.nothing()":               "public.nothing() does not exist",
		"a":                              "must be type boolean",
		"true ORDER BY 1":                "syntax error",
		"(SELECT true":                   "not closed",
	} {
		spec.Roots[0].Where = where
		p, err := subset.New(s, spec)
		if err == nil {
			_, err = p.Close(t.Context(), opener(u.String()), 2, nil)
		}
		f := twin.AsFailure(err)
		if !errors.Is(err, twin.ErrRefused) || !strings.Contains(f.Message, want) && !(want == "42501" && strings.Contains(f.Message, "permission denied")) ||
			strings.Contains(f.Message, "secret") || !strings.Contains(f.Message, "where of public.b") {
			t.Errorf("%s: %v", where, err)
		}
	}
}

// TestLost holds that a search ends with its context and with its sessions.
func TestLost(t *testing.T) {
	t.Parallel()
	db := pgtest.URL(t)
	pgtest.Exec(t, db, `CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)`)
	s := readSchema(t, db)
	spec := twin.Subset{Roots: []twin.Root{{Table: "public.a", Where: "pg_sleep(600) IS NULL"}}}
	ctx, cancel := context.WithCancel(t.Context())
	opened := 0
	open := func(ctx context.Context) (*pgx.Conn, error) {
		opened++
		conn, err := opener(db)(ctx)
		go func() {
			// The search is under way once its session is busy.
			watch, err := pgx.Connect(context.WithoutCancel(ctx), db)
			for n := 0; err == nil && n == 0 && ctx.Err() == nil; {
				err = watch.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'").Scan(&n)
			}
			cancel()
			if watch != nil {
				_ = watch.Close(context.WithoutCancel(ctx))
			}
		}()
		return conn, err
	}
	if _, err := plan(t, s, spec).Close(ctx, open, 1, nil); !errors.Is(err, context.Canceled) || errors.Is(err, twin.ErrRefused) || opened != 1 {
		t.Errorf("cancelled: %v, %d sessions", err, opened)
	}
	lost := errors.New("no route")
	if _, err := plan(t, s, roots("public.a")).Close(t.Context(), func(context.Context) (*pgx.Conn, error) { return nil, lost }, 3, nil); !errors.Is(err, lost) {
		t.Errorf("no session: %v", err)
	}
}

// TestConfigurationTables belong to an extension, and are whole.
func TestConfigurationTables(t *testing.T) {
	t.Parallel()
	s := &catalog.Schema{BlockSize: 8192, Tables: []catalog.Table{
		{Relation: catalog.Relation{OID: 1, Name: catalog.Name{Schema: "public", Name: "a"}}, Rows: 7},
		{Relation: catalog.Relation{OID: 2, Name: catalog.Name{Schema: "public", Name: "spatial"}}, Extension: "postgis", Rows: -1},
	}}
	if text := plan(t, s, roots("public.a")).String(); !strings.Contains(text, "public.spatial whole: it belongs to the extension postgis") {
		t.Error(text)
	}
	spec := roots("public.a")
	spec.Empty = []string{"public.spatial"}
	if _, err := subset.New(s, spec); !errors.Is(err, twin.ErrRefused) || !strings.Contains(err.Error(), "always whole") {
		t.Error(err)
	}
}

// TestLargeTables are no lookups, and neither are partitions that are large
// together.
func TestLargeTables(t *testing.T) {
	t.Parallel()
	s := &catalog.Schema{BlockSize: 8192}
	s.Parents = []catalog.Table{{Relation: catalog.Relation{OID: 10, Name: catalog.Name{Schema: "public", Name: "parts"}}}}
	for i, x := range []struct {
		name   string
		bytes  int64
		parent uint32
	}{{"root", 1 << 30, 0}, {"small", 9 << 20, 0}, {"large", 10 << 20, 0}, {"part_1", 6 << 20, 10}, {"part_2", 6 << 20, 10}} {
		table := catalog.Table{Relation: catalog.Relation{OID: uint32(1 + i), Name: catalog.Name{Schema: "public", Name: x.name}}, Bytes: x.bytes, Parent: x.parent, Partition: x.parent > 0}
		if x.parent > 0 {
			table.Inherits = []uint32{x.parent}
		}
		s.Tables = append(s.Tables, table)
	}
	got := make(map[string]twin.Rule)
	for _, x := range plan(t, s, roots("public.root")).Tables {
		got[x.Name.Name] = x.Rule
	}
	want := map[string]twin.Rule{"root": twin.KeptRoot, "small": twin.KeptWhole, "large": twin.KeptNothing, "part_1": twin.KeptNothing, "part_2": twin.KeptNothing}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSamples takes a part of each sample database and sets up its foreign keys
// over what was kept.
func TestSamples(t *testing.T) {
	t.Parallel()
	own := regexp.MustCompile(`(?m)^((DROP|CREATE) DATABASE|\\c ).*$`)
	for file, spec := range map[string]twin.Subset{
		"pagila-neon/pagila.sql":                   {Roots: []twin.Root{{Table: "public.customer", Limit: 20}}},
		"northwind/northwind.sql":                  {Roots: []twin.Root{{Table: "public.orders", Percent: 5}}, References: []twin.Reference{{Table: "public.employees", Columns: []string{"reports_to"}, Nullify: true}}},
		"chinook/Chinook_PostgreSql_SerialPKs.sql": {Roots: []twin.Root{{Table: "public.artist", Where: "name LIKE 'A%'"}}},
	} {
		t.Run(filepath.Dir(file), func(t *testing.T) {
			t.Parallel()
			sql, err := os.ReadFile(filepath.Join("../../../shared/samples", file))
			if err != nil {
				t.Skipf("SKIPPED, NOT TESTED: no sample: %v", err)
			}
			db := pgtest.URL(t)
			cmd := exec.CommandContext(t.Context(), "psql", "-qXv", "ON_ERROR_STOP=1", db)
			cmd.Stdin = strings.NewReader(own.ReplaceAllString(string(sql), ""))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("SKIPPED, NOT TESTED: the sample does not load: %v %.300s", err, out)
			}
			s := readSchema(t, db)
			r, err := plan(t, s, spec).Close(t.Context(), opener(db), 2, nil)
			if err != nil {
				t.Fatal(err)
			}
			var some, whole int64
			for _, x := range r.Selections {
				if x.Rows > 0 && x.Rule != twin.KeptWhole {
					some++
				}
				whole = max(whole, x.Of)
			}
			if some < 4 {
				t.Errorf("only %d tables have rows: %+v", some, r.Selections)
			}
			noOrphans(t, db, s, r)
		})
	}
}

// noOrphans deletes what is not kept, with no constraint in the way, and has
// the server validate all foreign keys again.
func noOrphans(t *testing.T, db string, s *catalog.Schema, r *subset.Result) {
	t.Helper()
	sql := "SET session_replication_role = replica;\n"
	for _, table := range s.Tables {
		pick, whole := r.Pick(table.OID)
		if whole {
			continue
		}
		// A row that is changed moves, so that the two are one statement each.
		sql += fmt.Sprintf("DELETE FROM ONLY %s WHERE NOT ctid = ANY ('%s'::tid[]);\n", table.SQL(), pick.Rows.AppendLiteral(nil, 0, 0))
		set, or := "", ""
		for _, n := range pick.Null {
			in := fmt.Sprintf("ctid = ANY ('%s'::tid[])", n.Rows.AppendLiteral(nil, 0, 0))
			c := catalog.Ident(n.Column)
			set += fmt.Sprintf(", %s = CASE WHEN %s THEN NULL ELSE %s END", c, in, c)
			or += " OR " + in
		}
		if set != "" {
			sql += "UPDATE ONLY " + table.SQL() + " SET " + set[2:] + " WHERE " + or[4:] + ";\n"
		}
	}
	sql += "SET session_replication_role = origin;\n"
	for i, k := range s.ForeignKeys {
		sql += fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT again_%d %s;\n", k.Table.SQL(), i, k.Definition)
	}
	pgtest.Exec(t, db, sql)
}

// TestStandby searches on a server that can't even keep a temporary table.
func TestStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.Cluster(t, map[string]string{"wal_level": "replica", "max_wal_senders": "5"})
	pgtest.Exec(t, primary.URL("postgres"), chain)
	dir, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	base := exec.CommandContext(t.Context(), filepath.Join(primary.Bin(), "pg_basebackup"), "--dbname", primary.URL("postgres"),
		"--pgdata", filepath.Join(dir, "data"), "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	if err := errors.Join(pglocal.Unprivileged(base), pglocal.GiveAway(dir)); err != nil {
		t.Fatal(err)
	}
	if out, err := base.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(primary.Password()), 0o600); err != nil {
		t.Fatal(err)
	}
	standby, err := pglocal.Start(t.Context(), pglocal.Options{Dir: dir, Volatile: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Remove(context.WithoutCancel(t.Context())) })
	db := standby.URL("postgres")
	s := readSchema(t, db)
	spec := twin.Subset{Roots: []twin.Root{{Table: "public.three", Limit: 100}}, References: []twin.Reference{{Table: "public.three", Columns: []string{"two"}, Where: "two > 0"}}}
	r, err := plan(t, s, spec).Close(t.Context(), opener(db), 2, nil)
	if err != nil || r.Rows() < 300 {
		t.Errorf("%d rows, %v", r.Rows(), err)
	}
}
