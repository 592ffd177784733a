package refresh

import (
	"testing"

	"github.com/neontwin/neontwin/internal/pgtest"
)

// Whatever a dump would tell of owners and grants must be noticed: what isn't
// is lost with the next generation.
func TestBequeaths(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	const role = "bequeaths_other"
	pgtest.Exec(t, url, "create role "+role)
	t.Cleanup(func() { pgtest.Exec(t, url, "drop owned by "+role+"; drop role "+role) })
	conn := pgtest.Connect(t, url)
	ask := func() bool {
		t.Helper()
		some, err := bequeaths(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		return some
	}
	const objects = `create schema s; create table s.t (a int primary key, b text); create sequence s.q; create view s.v as select 1 as one;
		create function s.f() returns int language sql as 'select 1'; create type s.e as enum ('x'); create domain s.d as int; create type s.c as (a int);
		create operator s.&& (leftarg = int, rightarg = int, function = int4pl); create collation s.co (locale = 'C');
		create text search configuration s.ts (copy = simple); create text search dictionary s.td (template = simple);
		create statistics s.st on a, b from s.t; create conversion s.cv for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
		create foreign data wrapper w; create server srv foreign data wrapper w; create operator family s.of using btree;
		create operator class s.oc for type int using btree as operator 1 <, function 1 btint4cmp(int, int); select lo_create(7);
		create schema neontwin; create table neontwin.generation (run text); grant usage on schema neontwin to public; grant select on neontwin.generation to public;`
	if ask() {
		t.Error("an empty database has something to hand over")
	}
	pgtest.Exec(t, url, objects)
	if ask() {
		t.Error("a database whose objects are ours has something to hand over")
	}
	for _, change := range []string{
		"alter table s.t owner to " + role,
		"alter sequence s.q owner to " + role,
		"alter view s.v owner to " + role,
		"alter function s.f() owner to " + role,
		"alter type s.e owner to " + role,
		"alter domain s.d owner to " + role,
		"alter type s.c owner to " + role,
		"alter schema s owner to " + role,
		"alter schema public owner to " + role,
		"alter operator s.&& (int, int) owner to " + role,
		"alter operator family s.of using btree owner to " + role,
		"alter operator class s.oc using btree owner to " + role,
		"alter collation s.co owner to " + role,
		"alter conversion s.cv owner to " + role,
		"alter text search configuration s.ts owner to " + role,
		"alter text search dictionary s.td owner to " + role,
		"alter statistics s.st owner to " + role,
		"alter server srv owner to " + role,
		"alter large object 7 owner to " + role,
		"grant select on s.t to " + role,
		"grant select (b) on s.t to " + role,
		"grant select on s.t to public",
		"grant usage on sequence s.q to pg_read_all_data",
		"revoke execute on function s.f() from public",
		"revoke usage on type s.e from public",
		"grant usage on schema s to " + role,
		"grant create on schema public to " + role,
		"revoke usage on language plpgsql from public",
		"grant usage on foreign data wrapper w to " + role,
		"grant usage on foreign server srv to " + role,
		"grant select on large object 7 to " + role,
		"alter default privileges in schema s grant select on tables to " + role,
		"grant execute on function pg_catalog.pg_read_file(text) to " + role,
	} {
		if _, err := conn.Exec(t.Context(), "begin"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), change); err != nil {
			t.Fatalf("%s: %v", change, err)
		}
		if !ask() {
			t.Errorf("nobody notices: %s", change)
		}
		if _, err := conn.Exec(t.Context(), "rollback"); err != nil {
			t.Fatal(err)
		}
	}
}
