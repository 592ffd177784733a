package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// small is a source that is copied in no time.
const small = `create table people (id int generated always as identity primary key, name text);
	insert into people (name) select 'person ' || i from generate_series(1, 500) i;
	create table notes (person int references people, note text);
	insert into notes select i, 'note' from generate_series(1, 500) i;`

func smallSource(t *testing.T) (source, target string) {
	t.Helper()
	source = pgtest.URL(t)
	pgtest.Exec(t, source, small)
	return source, twinOf(t, source)
}

func name(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func TestSecondSyncReplacesTheFirst(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
	pgtest.Exec(t, target, "insert into people (name) values ('a developer was here')")
	pgtest.Exec(t, source, "alter table people add age int; delete from notes where person > 100")
	stale := pgtest.Connect(t, target)

	syncTwin(t, refresh.Job{Source: source, Target: target}, "two")
	judge(t, source, target)
	if got := databases(t, source, name(t, target)); len(got) != 1 {
		t.Errorf("there are the databases %v, want the Twin alone", got)
	}
	if _, err := stale.Exec(t.Context(), "select 1"); err == nil {
		t.Error("a session of the generation before is still connected")
	}
}

func TestGenerationInheritsOwnerGrantsAndSettings(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
	db := pgx.Identifier{name(t, target)}.Sanitize()
	role := "reader_" + name(t, target)
	pgtest.Exec(t, source, "create role "+role)
	t.Cleanup(func() {
		pgtest.Exec(t, source, "drop database "+db+" with (force)")
		pgtest.Exec(t, source, "drop role "+role)
	})
	pgtest.Exec(t, target, fmt.Sprintf(`
		grant select on people to %[1]s; grant select (note) on notes to %[1]s; grant usage on schema public to %[1]s;
		create table mine (); grant select on mine to %[1]s;
		alter table notes owner to %[1]s;
		alter default privileges grant select on tables to %[1]s;
		alter database %[2]s set search_path to public, "odd name";
		alter database %[2]s set application_name to 'it''s ours';
		alter role %[1]s in database %[2]s set statement_timeout to '7s';
		alter database %[2]s connection limit 50;
		revoke connect on database %[2]s from public; grant connect on database %[2]s to %[1]s with grant option`, role, db))
	const state = `select concat_ws(E'\n',
		(select relacl::text || pg_get_userbyid(relowner) from pg_class where relname = 'people'),
		(select attacl::text from pg_attribute where attrelid = 'notes'::regclass and attname = 'note'),
		(select pg_get_userbyid(relowner) from pg_class where relname = 'notes'),
		(select defaclacl::text from pg_default_acl),
		(select datconnlimit || pg_get_userbyid(datdba) || (select string_agg(a::text, ' ' order by a::text) from unnest(datacl) a) from pg_database where datname = current_database()),
		(select string_agg(setrole::regrole || s, ' ' order by setrole, s) from pg_db_role_setting, unnest(setconfig) s where setdatabase = (select oid from pg_database where datname = current_database())))`
	before := scan[string](t, target, state)

	report := syncTwin(t, refresh.Job{Source: source, Target: target}, "two")
	if diff := cmp.Diff(before, scan[string](t, target, state)); diff != "" {
		t.Errorf("owner, grants and settings (-before +after):\n%s", diff)
	}
	if len(report.Hazards) != 0 {
		t.Errorf("hazards: %+v", report.Hazards)
	}
}

func TestFirstGenerationTakesTheSourcesSettings(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	pgtest.Exec(t, source, "alter database "+pgx.Identifier{name(t, source)}.Sanitize()+" set timezone to 'Asia/Kolkata'")
	syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
	if got := scan[string](t, target, "show timezone"); got != "Asia/Kolkata" {
		t.Errorf("timezone %s", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		arrange func(t *testing.T, source, target string) refresh.Job
		want    string
		code    twin.Code
	}{
		"target is the source": {
			func(_ *testing.T, source, _ string) refresh.Job {
				return refresh.Job{Source: source, Target: source, Adopt: true}
			},
			"the target is the source itself", twin.CodeRefused,
		},
		"somebody else's tables": {
			func(t *testing.T, source, target string) refresh.Job {
				pgtest.Exec(t, source, "create database "+name(t, target))
				pgtest.Exec(t, target, "create table precious ()")
				return refresh.Job{Source: source, Target: target}
			},
			"was not made by neontwin", twin.CodeRefused,
		},
		"a restored copy of another Twin": {
			func(t *testing.T, source, target string) refresh.Job {
				pgtest.Exec(t, source, "create database "+name(t, target))
				pgtest.Exec(t, target, `create table precious (); create schema neontwin;
					create table neontwin.generation as select 'x' system_identifier, 'y' database`)
				return refresh.Job{Source: source, Target: target}
			},
			"was not made by neontwin", twin.CodeRefused,
		},
		"a table that may not be read": {
			func(t *testing.T, source, target string) refresh.Job {
				return refresh.Job{Source: asRole(t, source, "grant select on people to %[1]s"), Target: target}
			},
			"may not read public.notes", twin.CodeRefused,
		},
		"row-level security": {
			func(t *testing.T, source, target string) refresh.Job {
				pgtest.Exec(t, source, "alter table notes enable row level security")
				return refresh.Job{Source: asRole(t, source, "grant select on all tables in schema public to %[1]s"), Target: target}
			},
			"row-level security hides rows of public.notes", twin.CodeRefused,
		},
		"a pooler": {
			func(_ *testing.T, source, _ string) refresh.Job {
				return refresh.Job{Source: source, Target: "postgres://u:secret@ep-1-pooler.eu.neon.tech/db"}
			},
			"connection pooler", twin.CodeConfig,
		},
		"no database": {
			func(_ *testing.T, source, _ string) refresh.Job {
				return refresh.Job{Source: source, Target: "postgres://u:secret@h"}
			},
			"names no database", twin.CodeConfig,
		},
		"a mode to come": {
			func(_ *testing.T, source, target string) refresh.Job {
				return refresh.Job{Source: source, Target: target, Mode: twin.Synthetic}
			},
			"full, partial, anonymized and schema_only", twin.CodeRefused,
		},
	}
	for title, c := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			source, target := smallSource(t)
			before := databases(t, source, "")
			job := c.arrange(t, source, target)
			_, err := refresher(t).Sync(t.Context(), job, &lease{token: "refused"})
			f := twin.AsFailure(err)
			if err == nil || f.Code != c.code || !strings.Contains(f.Message, c.want) || f.Next == "" || f.Retry {
				t.Errorf("got %+v", f)
			}
			if errors.Is(err, twin.ErrRefused) != (c.code == twin.CodeRefused) {
				t.Errorf("errors.Is(err, ErrRefused) is %t", errors.Is(err, twin.ErrRefused))
			}
			if strings.Contains(f.Error()+f.Next, "secret") {
				t.Error("a password is in the message")
			}
			for _, db := range databases(t, source, name(t, target)) {
				if strings.Contains(db, "__") {
					t.Errorf("the database %s was left behind; before there were %v", db, before)
				}
			}
		})
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	pgtest.Exec(t, source, "create database "+name(t, target))
	pgtest.Exec(t, target, "create table precious (); comment on database "+name(t, target)+" is 'do not lose me'")
	syncTwin(t, refresh.Job{Source: source, Target: target, Adopt: true}, "one")
	judge(t, source, target)
	syncTwin(t, refresh.Job{Source: source, Target: target}, "two")
	if c := scan[string](t, target, "select shobj_description(oid, 'pg_database') from pg_database where datname = current_database()"); !strings.Contains(c, "do not lose me") {
		t.Errorf("the operator's comment is gone: %s", c)
	}
}

// asRole gives the source's address for a role that may do only what grants say.
func asRole(t *testing.T, source, grants string) string {
	t.Helper()
	role := "limited_" + name(t, source)
	pgtest.Exec(t, source, fmt.Sprintf("create role %[1]s login password 'limited'; "+grants, role))
	t.Cleanup(func() { pgtest.Exec(t, source, "drop owned by "+role+"; drop role "+role) })
	u, err := url.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "limited")
	return u.String()
}

// A sync that fails or is stopped leaves the Twin as it was and nothing beside it.
func TestFailureLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	lost := func(ctx context.Context) error { return fmt.Errorf("another worker came: %w", twin.ErrLeaseLost) }
	cases := map[string]struct {
		between func(catalog.Name, io.Writer) io.WriteCloser
		check   func(context.Context) error
		want    func(error) bool
	}{
		"a row was lost": {
			between: func(table catalog.Name, w io.Writer) io.WriteCloser {
				return &loseRow{w: w.(io.WriteCloser), table: table.Name}
			},
			want: func(err error) bool { return twin.AsFailure(err).Code == twin.CodeData },
		},
		"the lease was lost": {
			check: lost,
			want:  func(err error) bool { return errors.Is(err, twin.ErrLeaseLost) },
		},
	}
	for title, c := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			source, target := smallSource(t)
			syncTwin(t, refresh.Job{Source: source, Target: target}, "good")
			before := contentOf(t, target)
			pgtest.Exec(t, source, "delete from notes where person > 10")
			_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Between: c.between}, &lease{token: "bad", check: c.check})
			if err == nil || !c.want(err) {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(before, contentOf(t, target)); diff != "" {
				t.Errorf("the Twin has changed:\n%s", diff)
			}
			if got := databases(t, source, name(t, target)); len(got) != 1 {
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

// loseRow drops the first write of notes: one row.
type loseRow struct {
	w     io.WriteCloser
	table string
	done  bool
}

func (l *loseRow) Write(b []byte) (int, error) {
	if l.table == "notes" && !l.done {
		l.done = true
		return len(b), nil
	}
	return l.w.Write(b)
}

func (l *loseRow) Close() error { return l.w.Close() }

// hold is a stream that waits until it is released.
type hold struct {
	io.WriteCloser
	reached chan<- struct{}
	release <-chan struct{}
	once    bool
}

func (h *hold) Write(b []byte) (int, error) {
	if !h.once {
		h.once = true
		h.reached <- struct{}{}
		<-h.release
	}
	return h.WriteCloser.Write(b)
}

func TestTwoSyncsOfOneTwin(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	reached, release := make(chan struct{}, 10), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Between: func(_ catalog.Name, w io.Writer) io.WriteCloser {
			return &hold{WriteCloser: w.(io.WriteCloser), reached: reached, release: release}
		}}, &lease{token: "first"})
		first <- err
	}()
	<-reached
	_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target}, &lease{token: "second"})
	if f := twin.AsFailure(err); f.Code != twin.CodeConflict || !f.Retry {
		t.Errorf("the second sync gave %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the first sync gave %v", err)
	}
	judge(t, source, target)
}

// A worker that was stopped and wakes up after another one took its run over
// can't do any harm, and doesn't keep the other one from working.
func TestLateWorkerIsFenced(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	reached, release := make(chan struct{}, 10), make(chan struct{})
	late := make(chan error, 1)
	go func() {
		_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Exclusive: true, Between: func(_ catalog.Name, w io.Writer) io.WriteCloser {
			return &hold{WriteCloser: w.(io.WriteCloser), reached: reached, release: release}
		}}, &lease{token: "late"})
		late <- err
	}()
	<-reached
	syncTwin(t, refresh.Job{Source: source, Target: target, Exclusive: true}, "successor")
	close(release)
	select {
	case err := <-late:
		if err == nil {
			t.Error("the late worker published")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the late worker hangs")
	}
	if token := scan[string](t, target, "select token from neontwin.generation"); token != "successor" {
		t.Errorf("the Twin is of run %s", token)
	}
	if got := databases(t, source, name(t, target)); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

func TestInPlace(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	syncTwin(t, refresh.Job{Source: source, Target: target, Publish: twin.InPlace}, "one")
	pgtest.Exec(t, target, "create schema extra; create table extra.t (); create view v as select * from people")
	pgtest.Exec(t, source, "alter table people add born date")
	oid := scan[uint32](t, target, "select oid from pg_database where datname = current_database()")
	syncTwin(t, refresh.Job{Source: source, Target: target, Publish: twin.InPlace}, "two")
	judge(t, source, target)
	if now := scan[uint32](t, target, "select oid from pg_database where datname = current_database()"); now != oid {
		t.Error("the database was replaced, not rebuilt")
	}
	_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Publish: twin.InPlace, Between: func(table catalog.Name, w io.Writer) io.WriteCloser {
		return &loseRow{w: w.(io.WriteCloser), table: table.Name}
	}}, &lease{token: "three"})
	if f := twin.AsFailure(err); !f.Changed {
		t.Errorf("a rebuild that failed does not say that the Twin has changed: %+v", f)
	}
	syncTwin(t, refresh.Job{Source: source, Target: target}, "four")
	judge(t, source, target)
}

func TestPlanChangesNothing(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	plan, err := refresher(t).Plan(t.Context(), refresh.Job{Source: source, Target: target})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Steps) != 2 || len(plan.ForeignKeys) != 1 || plan.Builds() != 1 {
		t.Errorf("the plan has %d steps, %d foreign keys, %d builds", len(plan.Steps), len(plan.ForeignKeys), plan.Builds())
	}
	if got := databases(t, source, name(t, target)); len(got) != 0 {
		t.Errorf("the plan made %v", got)
	}
}

// A target's role on Neon is no superuser.
func TestTargetRoleIsNoSuperuser(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	role := "owner_" + name(t, target)
	pgtest.Exec(t, source, fmt.Sprintf("create role %[1]s login password 'pw' createdb createrole bypassrls; grant pg_signal_backend to %[1]s", role))
	t.Cleanup(func() {
		for _, db := range databases(t, source, name(t, target)) {
			pgtest.Exec(t, source, "drop database "+db+" with (force)")
		}
		pgtest.Exec(t, source, "drop role "+role)
	})
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "pw")
	for _, token := range []string{"one", "two"} {
		report := syncTwin(t, refresh.Job{Source: source, Target: u.String()}, token)
		if len(report.Hazards) != 0 {
			t.Errorf("hazards: %+v", report.Hazards)
		}
	}
	judge(t, source, target)
}
