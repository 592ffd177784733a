package refresh_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// A Twin that is rebuilt in place keeps its owners, grants and settings, also
// when runs end after it was emptied, whatever strategy the next one has.
func TestRebuildingKeepsTheHeritage(t *testing.T) {
	t.Parallel()
	for _, last := range []twin.Strategy{twin.InPlace, twin.Swap} {
		t.Run(string(last), func(t *testing.T) {
			t.Parallel()
			source, target := smallSource(t)
			owner, reader := "owner_"+name(t, source), "reader_"+name(t, source)
			dropRoles(t, source, target, []string{owner, reader})
			syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
			pgtest.Exec(t, target, fmt.Sprintf(`create role %[1]s; create role %[2]s; alter table people owner to %[1]s; grant select on notes to %[2]s with grant option;
				grant usage on schema public to %[2]s; alter default privileges in schema public grant select on tables to %[2]s;
				alter database %[3]s set work_mem to '7MB'; alter database %[3]s owner to %[1]s; comment on database %[3]s is '{"neontwin": 1, "state": "live", "token": "one", "twin": "%[3]s", "comment": "ours"}'`,
				owner, reader, name(t, target)))
			state := func() []string {
				return slices.Concat(
					answer(t, target, "select relname, relowner::regrole::text, relacl::text from pg_class where relname in ('people', 'notes') order by 1"),
					answer(t, target, "select nspacl::text from pg_namespace where nspname = 'public'"),
					answer(t, target, "select defaclacl::text from pg_default_acl"),
					answer(t, target, "select datdba::regrole::text, s.setconfig::text from pg_database d join pg_db_role_setting s on s.setdatabase = d.oid where datname = current_database()"))
			}
			before := state()

			// The table is the last one, then the first: what is there differs.
			for i, table := range []string{"notes", "people"} {
				_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Publish: twin.InPlace, Between: loseNotes(table)}, &lease{token: fmt.Sprint("fails", i)})
				if f := twin.AsFailure(err); err == nil || !f.Changed {
					t.Fatalf("the rebuilding was to fail, and says %+v", f)
				}
			}
			if got := state(); slices.Equal(got, before) {
				t.Fatal("the Twin was not emptied: nothing is tested")
			}
			report := syncTwin(t, refresh.Job{Source: source, Target: target, Publish: last}, "last")
			if got := hazardLines(report.Hazards); len(got) != 0 {
				t.Errorf("hazards: %v", got)
			}
			if diff := cmp.Diff(before, state()); diff != "" {
				t.Errorf("owners, grants and settings (-before +after):\n%s", diff)
			}
			judge(t, source, target)
			if got := scan[string](t, target, "select shobj_description(oid, 'pg_database') from pg_database where datname = current_database()"); got != fmt.Sprintf(`{"neontwin":1,"state":"live","token":"last","twin":"%s","comment":"ours"}`, name(t, target)) {
				t.Errorf("the mark is %s", got)
			}
		})
	}
}
