package refresh_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// someCases are those that make test runs between major versions; make
// test/long runs all.
var someCases = []string{"columns", "constraints", "inheritance", "nullable_children", "partitions", "reactions", "views"}

// TestEngineBetweenVersions runs the cases of TestEngine from the machine's
// version to every newer one that is installed, and from every older one.
// Where no pg_dump can read both servers, the comparison of the run itself, the
// rows and the case's own questions are the judges.
func TestEngineBetweenVersions(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/engine/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	ours := majorOf(t, pgtest.URL(t))
	for _, major := range pgtest.Majors() {
		if major == ours || major != 18 && !pgtest.Everything() {
			continue
		}
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			server := pgtest.Server(t, major)
			for _, path := range files {
				title := strings.TrimSuffix(filepath.Base(path), ".txtar")
				if !pgtest.Everything() && !slices.Contains(someCases, title) {
					continue
				}
				t.Run(title, func(t *testing.T) {
					t.Parallel()
					source := pgtest.URL(t)
					db := name(t, source)
					if major < ours {
						pgtest.Exec(t, server.URL("postgres"), "create database "+db)
						source = server.URL(db)
						runApart(t, readEngineCase(t, path, db), source, withDatabase(t, pgtest.URL(t), db+"_twin"))
						return
					}
					runApart(t, readEngineCase(t, path, db), source, server.URL(db+"_twin"))
				})
			}
		})
	}
}

// A target of a newer version need not be a superuser's: on Neon it never is.
func TestNewerServerAsItsOwner(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, 18)
	pgtest.Exec(t, server.URL("postgres"), "create role twin_owner login password 'pw' createdb createrole bypassrls; grant pg_signal_backend to twin_owner")
	t.Cleanup(func() { pgtest.Exec(t, server.URL("postgres"), "drop role twin_owner") })
	t.Run("cases", func(t *testing.T) {
		t.Parallel()
		t.Run("roles are made and dropped", func(t *testing.T) {
			t.Parallel()
			source, _ := smallSource(t)
			role := "policy_" + name(t, source)
			dropRoles(t, source, twinOf(t, source), []string{role})
			target := server.URLFor("twin_owner", "pw", name(t, source)+"_roles")
			t.Cleanup(func() { clearAway(t, withDatabase(t, target, "postgres"), name(t, target), nil) })
			pgtest.Exec(t, source, "create role "+role+"; alter table people enable row level security; create policy p on people to "+role+" using (id > 5)")
			there := func() int {
				return scan[int](t, server.URL("postgres"), "select count(*) from pg_roles where rolname = $1", role)
			}
			_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Between: loseNotes("notes")}, &lease{token: "fails"})
			if err == nil || there() != 0 {
				t.Fatalf("a run that loses a row: %v, and %d roles are left", err, there())
			}
			report := syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
			if got := hazardLines(report.Hazards); !slices.Contains(got, "role_made "+role) || there() != 1 {
				t.Errorf("%d roles, hazards: %v", there(), got)
			}
			if diff := cmp.Diff(contentOf(t, source), contentOf(t, target)); diff != "" {
				t.Errorf("the rows differ (-source +twin):\n%s", diff)
			}
			pgtest.Exec(t, withDatabase(t, target, "postgres"), "drop database "+pgx.Identifier{name(t, target)}.Sanitize()+" with (force)")
			pgtest.Exec(t, withDatabase(t, target, "postgres"), "drop role "+role)
		})
		for _, title := range []string{"columns", "large_objects", "names", "partitions", "views"} {
			if !pgtest.Everything() && title != "partitions" {
				continue
			}
			t.Run(title, func(t *testing.T) {
				t.Parallel()
				source := pgtest.URL(t)
				db := name(t, source)
				runApart(t, readEngineCase(t, "testdata/engine/"+title+".txtar", db), source, server.URLFor("twin_owner", "pw", db+"_owned"))
			})
		}
	})
}

func majorOf(t *testing.T, address string) int {
	t.Helper()
	return scan[int](t, address, "select current_setting('server_version_num')::int / 10000")
}

// runApart is runEngineCase with a target on another server.
func runApart(t *testing.T, c engineCase, source, target string) {
	t.Helper()
	on := withDatabase(t, target, "postgres")
	for _, role := range c.spec.roles {
		pgtest.Exec(t, on, "create role "+pgx.Identifier{role}.Sanitize())
	}
	t.Cleanup(func() { clearAway(t, withDatabase(t, source, "postgres"), name(t, source), c.spec.roles) })
	t.Cleanup(func() { clearAway(t, on, name(t, target), c.spec.roles) })
	conn := pgtest.Connect(t, source)
	for _, sql := range c.source {
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Skipf("this version can't hold the source: %v", err)
		}
	}
	job := c.spec.job
	job.Source, job.Target = source, target
	if c.spec.role != "" {
		job.Source = withUser(t, source, c.spec.role, "pw")
	}
	if c.refused != "" {
		return // the server that is read refuses, whatever the target
	}
	if majorOf(t, on) >= 18 && strings.HasPrefix(c.title, "Heirs that take NULL") {
		_, err := refresher(t).Sync(t.Context(), job, &lease{token: "one"})
		if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeRefused || !strings.Contains(f.Message, `public."G g".v takes NULL`) {
			t.Errorf("got %+v, want a refusal", f)
		}
		return
	}
	report := syncTwin(t, job, "one")
	got := slices.DeleteFunc(hazardLines(report.Hazards), func(h string) bool {
		return strings.HasPrefix(h, "extension_version ") || strings.HasPrefix(h, "locale ") || strings.HasPrefix(h, refresh.HazardClient)
	})
	if diff := cmp.Diff(c.hazards, got); len(c.hazards)+len(got) > 0 && diff != "" {
		t.Errorf("hazards (-want +got):\n%s", diff)
	}
	if c.stripped != "" {
		pgtest.Exec(t, source, c.stripped)
	}
	if diff := cmp.Diff(contentOf(t, source), contentOf(t, target)); diff != "" {
		t.Errorf("the rows differ (-source +twin):\n%s", diff)
	}
	for _, sql := range c.same {
		if diff := cmp.Diff(answer(t, source, sql), answer(t, target, sql)); diff != "" {
			t.Errorf("%s\ngives (-source +twin):\n%s", sql, diff)
		}
	}
	for _, sql := range c.holds {
		if got := answer(t, target, sql); !slices.Equal(got, []string{"true"}) {
			t.Errorf("%s\ngives %q on the Twin", sql, got)
		}
	}
	judgeSequences(t, source, target, !c.spec.aheadSequences)
	if _, err := pgtools.Find(t.Context(), majorOf(t, on), ""); err == nil && c.spec.inPlace {
		job.Publish = twin.InPlace
		syncTwin(t, job, "two")
	}
	if c.after != "" {
		pgtest.Exec(t, target, c.after)
	}
}

// clearAway drops the databases whose names begin with prefix, and the roles.
func clearAway(t *testing.T, server, prefix string, roles []string) {
	t.Helper()
	for _, db := range databases(t, server, prefix) {
		pgtest.Exec(t, server, "drop database "+pgx.Identifier{db}.Sanitize()+" with (force)")
	}
	for _, role := range roles {
		role = pgx.Identifier{role}.Sanitize()
		pgtest.Exec(t, server, "drop owned by "+role+" cascade; drop role "+role)
	}
}
