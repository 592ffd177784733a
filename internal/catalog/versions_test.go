package catalog_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// One schema, made on servers of different versions, compares as equal, and is
// read alike.
func TestVersionsCompareAsEqual(t *testing.T) {
	t.Parallel()
	sql, err := os.ReadFile("testdata/rich.sql")
	if err != nil {
		t.Fatal(err)
	}
	ours := rich(t)
	want := inventory(t, ours)
	for _, major := range pgtest.Majors() {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			if major < 15 {
				t.Skip("the schema holds what it does not have")
			}
			if major != 18 {
				pgtest.Long(t)
			}
			url := on(t, major, "rich")
			pgtest.Exec(t, url, string(sql))
			got := inventory(t, url)
			if major == want.ServerVersion/10000 && len(got.Objects) != len(want.Objects) {
				t.Errorf("%d objects, want %d", len(got.Objects), len(want.Objects))
			}
			var diffs []string
			for _, d := range catalog.Compare(want, got) {
				diffs = append(diffs, d.String()+"\n"+d.Source+"\n"+d.Target)
			}
			if len(diffs) != 0 {
				t.Errorf("%d differences:\n%s", len(diffs), strings.Join(diffs, "\n"))
			}
			there := read(t, url)
			if diff := cmp.Diff(names(read(t, ours)), names(there)); diff != "" {
				t.Errorf("what is read differs (-ours +%d):\n%s", major, diff)
			}
		})
	}
}

func names(s *catalog.Schema) (out []string) {
	for _, t := range s.Tables {
		out = append(out, fmt.Sprintf("%s %d columns, reordered %t", t.Name, len(t.Columns), t.Reordered))
	}
	for _, k := range s.ForeignKeys {
		out = append(out, fmt.Sprintf("%s.%s %t %t", k.Table, k.Name, k.Validated, k.Enforced))
	}
	for _, q := range s.Sequences {
		out = append(out, q.Name.String())
	}
	return append(out, s.ValidChecks...)
}

// What is new in 18 is seen, each thing for itself.
func TestCompareSeesWhatIsNewIn18(t *testing.T) {
	t.Parallel()
	url := on(t, 18, "new")
	pgtest.Exec(t, url, `create extension btree_gist; create table p (id int primary key, v int, w int not null, g int generated always as (v * 2) virtual);
		create table c (p int references p not enforced, n int check (n > 0) not enforced);
		create table b (room int, at daterange, primary key (room, at without overlaps));
		create table r (room int, at daterange, foreign key (room, period at) references b (room, period at))`)
	before := inventory(t, url)
	if diffs := catalog.Compare(before, inventory(t, url)); len(diffs) != 0 {
		t.Fatalf("a database differs from itself: %v", diffs)
	}
	s := read(t, url)
	for _, table := range s.Tables {
		for _, c := range table.Columns {
			if c.Name == "g" && c.Generated != "v" {
				t.Errorf("a virtual column is %q", c.Generated)
			}
		}
	}
	conn := pgtest.Connect(t, url)
	for change, want := range map[string]string{
		"alter table p alter column g set expression as (v * 3)":                "column public.p.g differs",
		"alter table c alter constraint c_p_fkey enforced":                      "constraint public.c.c_p_fkey differs",
		"alter table p add constraint later not null v not valid":               "column public.p.v differs",
		"alter table p alter constraint p_w_not_null no inherit":                "column public.p.w differs",
		"alter table r drop constraint r_room_at_fkey":                          "constraint public.r.r_room_at_fkey is missing",
		"alter table c drop constraint c_n_check, add check (n > 0)":            "constraint public.c.c_n_check differs",
		"alter table p rename constraint p_w_not_null to another_name":          "", // no name of a NOT NULL is compared
		"alter table b drop constraint b_pkey cascade, add primary key(room)":   "constraint public.b.b_pkey differs; constraint public.r.r_room_at_fkey is missing; index public.b_pkey differs",
		"alter table p add column h int generated always as (v + 1) virtual":    "column public.p.h is not in the source",
		"alter table p drop column g, add column g int generated always as (v)": "column public.p.g differs",
	} {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), change); err != nil {
			t.Fatalf("%s: %v", change, err)
		}
		after, err := catalog.Objects(t.Context(), tx)
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range catalog.Compare(before, after) {
			got = append(got, d.String())
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s\ngives %q, want %q", change, strings.Join(got, "; "), want)
		}
	}
}

// on is an empty database on a server of that version.
func on(t *testing.T, major int, database string) string {
	t.Helper()
	server := pgtest.Server(t, major)
	pgtest.Exec(t, server.URL("postgres"), "create database "+database)
	t.Cleanup(func() { pgtest.Exec(t, server.URL("postgres"), "drop database "+database+" with (force)") })
	return server.URL(database)
}
