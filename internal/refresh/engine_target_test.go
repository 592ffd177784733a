package refresh_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// farTarget is a Twin's address on a server of its own, for a role that is no
// superuser and has the attributes.
func farTarget(t *testing.T, settings map[string]string, attributes string) (address, super string) {
	t.Helper()
	c := pgtest.Cluster(t, settings)
	pgtest.Exec(t, c.URL("postgres"), "create role twin_owner login password 'pw' createdb "+attributes+"; grant pg_signal_backend to twin_owner")
	return c.URLFor("twin_owner", "pw", "twin"), c.URL("twin")
}

// A target on another server, where roles, limits and rights differ.
func TestAnotherServer(t *testing.T) {
	t.Parallel()
	target, super := farTarget(t, nil, "createrole bypassrls")
	poor := withUser(t, target, "poor_owner", "pw")
	pgtest.Exec(t, withDatabase(t, super, "postgres"), "create role poor_owner login password 'pw' createdb bypassrls; grant pg_signal_backend to poor_owner")

	t.Run("roles of policies are made", func(t *testing.T) {
		t.Parallel()
		source := pgtest.URL(t)
		role := "policy " + name(t, source)
		pgtest.Exec(t, source, fmt.Sprintf(`create role %[1]s; create table t (id int primary key, v text); insert into t select i, 'v' from generate_series(1, 100) i;
			alter table t enable row level security; create policy p on t to %[1]s using (id > 5); create extension pgcrypto; create extension hstore;
			comment on schema public is 'ours'; select lo_from_bytea(77, 'x'); comment on large object 77 is 'lo';
			create materialized view m as select count(*) from t; create function f() returns int security definer language plpgsql as 'begin return 1; end'`, pgx.Identifier{role}.Sanitize()))
		t.Cleanup(func() {
			q := pgx.Identifier{role}.Sanitize()
			pgtest.Exec(t, source, "drop owned by "+q+" cascade; drop role "+q)
		})

		_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: poor}, &lease{token: "poor"})
		if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeRefused || !strings.Contains(f.Message, role) {
			t.Fatalf("a role that may not create roles got %+v", f)
		}
		// A run that fails takes the roles back that it made.
		_, err = refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Between: loseNotes("t")}, &lease{token: "fails"})
		if err == nil {
			t.Fatal("a lost row went unseen")
		}
		if n := scan[int](t, withDatabase(t, super, "postgres"), "select count(*) from pg_roles where rolname like 'policy%'"); n != 0 {
			t.Error("the role of a run that failed was left behind")
		}
		report := syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
		if got := hazardLines(report.Hazards); !slices.Contains(got, "role_made "+role) {
			t.Errorf("hazards: %v", got)
		}
		judge(t, source, target)
		if got := answer(t, super, "select rolcanlogin, lo_get(77) = 'x', obj_description(77, 'pg_largeobject') from pg_roles where rolname like 'policy%'"); !slices.Equal(got, []string{"false|true|lo"}) {
			t.Errorf("the role and the object: %v", got)
		}
		report = syncTwin(t, refresh.Job{Source: source, Target: target}, "two")
		if got := hazardLines(report.Hazards); len(got) != 0 {
			t.Errorf("hazards of the second run: %v", got)
		}
		if diff := cmp.Diff(answer(t, target, "select obj_description(77, 'pg_largeobject')"), []string{"lo"}); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("a missing extension can't be accepted", func(t *testing.T) {
		t.Parallel()
		source, _ := smallSource(t)
		pgtest.Exec(t, source, "create extension citext; set allow_system_table_mods = on; update pg_extension set extname = 'no_such_extension' where extname = 'citext'")
		_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: withDatabase(t, target, "ext")}, &lease{token: "ext"})
		if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeRefused || !strings.Contains(f.Message, "no_such_extension") {
			t.Errorf("got %+v", f)
		}
		for _, id := range []string{"extension_missing", "no such hazard"} {
			_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: withDatabase(t, target, "ext"), Accept: []string{id}}, &lease{token: "ext"})
			if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeConfig {
				t.Errorf("accepting %s: %+v", id, f)
			}
		}
	})

	t.Run("grants for roles that are not there", func(t *testing.T) {
		t.Parallel()
		source, _ := smallSource(t)
		role := "absent_" + name(t, source)
		pgtest.Exec(t, source, fmt.Sprintf("create role %[1]s; grant select on people to %[1]s; grant select on notes to public, %[1]s", role))
		t.Cleanup(func() { pgtest.Exec(t, source, "drop owned by "+role+"; drop role "+role) })
		report := syncTwin(t, refresh.Job{Source: source, Target: withDatabase(t, target, "granted"), Grants: refresh.GrantsSource}, "grants")
		if got := hazardLines(report.Hazards); !slices.Contains(got, `not_carried_over role "`+role+`"`) {
			t.Errorf("hazards: %v", got)
		}
		if got := answer(t, withDatabase(t, super, "granted"), "select has_table_privilege('pg_monitor', 'notes', 'select'), has_table_privilege('pg_monitor', 'people', 'select')"); !slices.Equal(got, []string{"true|false"}) {
			t.Errorf("the grant to public: %v", got)
		}
	})
}

func TestTooLittleRoom(t *testing.T) {
	t.Parallel()
	target, _ := farTarget(t, map[string]string{"neon.max_cluster_size": "100"}, "bypassrls")
	source := pgtest.URL(t)
	pgtest.Exec(t, source, `create table big (v text); alter table big alter v set storage external;
		insert into big select repeat('x', 1000000) from generate_series(1, 90)`)
	job := refresh.Job{Source: source, Target: target}
	_, err := refresher(t).Sync(t.Context(), job, &lease{token: "room"})
	if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeRefused || !strings.Contains(f.Message, "room") {
		t.Fatalf("got %+v", f)
	}
	job.Accept = []string{"too_little_room"}
	report := syncTwin(t, job, "accepted")
	if len(report.Hazards) != 1 || !report.Hazards[0].Accepted || report.Hazards[0].Refuses {
		t.Errorf("hazards: %+v", report.Hazards)
	}
}

// What a database is made with and can't be changed afterwards.
func TestEncodingsAndLocales(t *testing.T) {
	t.Parallel()
	pgtest.Long(t)
	for title, c := range map[string]struct{ with, sql string }{
		"SQL_ASCII": {"encoding 'SQL_ASCII' locale 'C'", `set client_encoding to sql_ascii; create table t (v text, c char(3), n name); insert into t values (E'\xe9\xff', E'\xe9', E'n\xfc'), (E'\xc3\xa9', 'x', 'y');
			create table b (v text, u uuid, at timestamptz); insert into b values (E'\xe9\xff', gen_random_uuid(), now())`},
		"LATIN1":      {"encoding 'LATIN1' locale 'C'", `create table "täble" ("ü" text default 'é', e char(4)); insert into "täble" values ('éàü', 'ß'), (E'\\', ''); comment on table "täble" is 'größer'`},
		"ICU":         {"encoding 'UTF8' locale_provider icu icu_locale 'de-u-co-phonebk' locale 'C'", `create table t (v text primary key); insert into t values ('Ä'), ('ae'), ('z'), ('日本')`},
		"C in EUC_JP": {"encoding 'EUC_JP' locale 'C'", `create table t (v text, u uuid); insert into t values ('日本', gen_random_uuid()), ('ｶﾀｶﾅ', null)`},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			base := pgtest.URL(t)
			source := withDatabase(t, base, name(t, base)+"_src")
			pgtest.Exec(t, base, "create database "+name(t, source)+" template template0 "+c.with)
			t.Cleanup(func() { pgtest.Exec(t, base, "drop database "+name(t, source)+" with (force)") })
			u, err := url.Parse(source)
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			if title != "SQL_ASCII" {
				q.Set("client_encoding", "UTF8")
			}
			u.RawQuery = q.Encode()
			pgtest.Exec(t, u.String(), c.sql)
			target := twinOf(t, source)
			report := syncTwin(t, refresh.Job{Source: source, Target: target, Deep: true}, "one")
			if len(report.Hazards) != 0 {
				t.Errorf("hazards: %v", report.Hazards)
			}
			const made = `select pg_encoding_to_char(encoding), datcollate, datctype, coalesce(daticulocale, ''), datlocprovider::text from pg_database where datname = current_database()`
			if diff := cmp.Diff(answer(t, source, made), answer(t, target, made)); diff != "" {
				t.Errorf("the databases differ (-source +twin):\n%s", diff)
			}
			if diff := cmp.Diff(pgtest.Schema(t, source), pgtest.Schema(t, target)); diff != "" {
				t.Errorf("the schemas differ (-source +twin):\n%s", diff)
			}
			if diff := cmp.Diff(contentOf(t, source), contentOf(t, target)); diff != "" {
				t.Errorf("the rows differ (-source +twin):\n%s", diff)
			}
		})
	}
}

func withDatabase(t *testing.T, address, database string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	return u.String()
}

// One field of a hundred megabytes, in text and in binary.
func TestHugeField(t *testing.T) {
	t.Parallel()
	pgtest.Long(t)
	source := pgtest.URL(t)
	pgtest.Exec(t, source, `create table huge (t text, b bytea);
		alter table huge alter t set storage external, alter b set storage external;
		insert into huge values (repeat(E'0123456789abcd\t\n', 6250000), null);
		create table huge_binary (b bytea, id uuid, at timestamptz); alter table huge_binary alter b set storage external;
		insert into huge_binary values (decode(repeat('00ff5c0a', 25000000), 'hex'), gen_random_uuid(), now())`)
	target := twinOf(t, source)
	syncTwin(t, refresh.Job{Source: source, Target: target, Jobs: 1}, "one")
	const digests = `select length(t) as n, md5(t) from huge union all select length(b), md5(b) from huge_binary order by 1`
	if diff := cmp.Diff(answer(t, source, digests), answer(t, target, digests)); diff != "" {
		t.Errorf("the fields differ (-source +twin):\n%s", diff)
	}
}
