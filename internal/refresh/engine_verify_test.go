package refresh_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// spoil changes what one table's stream carried, as a whole.
func spoil(table string, change func([]byte) []byte) func(catalog.Name, io.Writer) io.WriteCloser {
	return func(name catalog.Name, w io.Writer) io.WriteCloser {
		if name.Name != table {
			return w.(io.WriteCloser)
		}
		return &spoiler{out: w.(io.WriteCloser), change: change}
	}
}

type spoiler struct {
	out    io.WriteCloser
	change func([]byte) []byte
	all    bytes.Buffer
}

func (s *spoiler) Write(b []byte) (int, error) { return s.all.Write(b) }

func (s *spoiler) Close() error {
	if _, err := s.out.Write(s.change(s.all.Bytes())); err != nil {
		return err
	}
	return s.out.Close()
}

// What happens between reader and writer does not go unseen.
func TestFaultInTheStream(t *testing.T) {
	t.Parallel()
	rows := func(b []byte) [][]byte { return bytes.SplitAfter(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) }
	for title, c := range map[string]struct {
		change func([]byte) []byte
		deep   bool // with --verify hash
		want   twin.Code
	}{
		"a row dropped":                     {func(b []byte) []byte { return b[bytes.IndexByte(b, '\n')+1:] }, false, twin.CodeData},
		"the last row dropped":              {func(b []byte) []byte { r := rows(b); return bytes.Join(r[:len(r)-1], nil) }, false, twin.CodeData},
		"a row twice":                       {func(b []byte) []byte { return append(slices.Clone(rows(b)[0]), b...) }, false, twin.CodeData},
		"a row in the place of another one": {func(b []byte) []byte { r := rows(b); r[3] = r[4]; return append(bytes.Join(r, nil), '\n') }, true, twin.CodeVerify},
		"a value changed":                   {func(b []byte) []byte { return bytes.Replace(b, []byte("note"), []byte("nope"), 1) }, true, twin.CodeVerify},
		"null for an empty string":          {func(b []byte) []byte { return bytes.Replace(b, []byte("1\tnote\n"), []byte("1\t\\N\n"), 1) }, true, twin.CodeVerify},
		"two rows that change places":       {func(b []byte) []byte { r := rows(b); r[3], r[4] = r[4], r[3]; return append(bytes.Join(r, nil), '\n') }, true, ""},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			source, target := smallSource(t)
			_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Deep: c.deep, Between: spoil("notes", c.change)}, &lease{token: "fault"})
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if f := twin.AsFailure(err); err == nil || f.Code != c.want || !strings.Contains(f.Error(), "public.notes") {
				t.Errorf("got %+v, want %s", f, c.want)
			}
			if got := databases(t, source, name(t, target)); len(got) != 0 {
				t.Errorf("published or left behind: %v", got)
			}
		})
	}
}

const compared = `create type mood as enum ('sad', 'ok');
	create table people (id int generated always as identity primary key, name text not null);
	insert into people (name) select 'p' || i from generate_series(1, 300) i;
	create table notes (id serial, person int references people, note text check (note <> 'x'));
	insert into notes (person, note) select i, 'note' from generate_series(1, 300) i;
	create index by_note on notes (note); create view v as select * from notes; create function f() returns int language sql as 'select 1';
	create sequence free; select nextval('free'), nextval('free');
	create table parent (a int); create table child (b int) inherits (parent); alter table parent add late text; insert into child values (1, 2, 'x');
	create table none (); insert into none select from generate_series(1, 3);
	create extension citext;
	create table moods as select 'ok'::mood v; create table prices as select 1.0 v; create table docs as select '{"a": 1}'::json v; create table names as select 'A'::citext v;
	create table floats as select '0'::float8 v; create table lists as select '{x}'::text[] v; create table empties as select ''::text v, 1 n; create table spans as select interval '1 day' v;
	create table untouched as select 'ok'::mood m, 1.5 n, '{"a": 1}'::jsonb j, 'a b'::tsvector t, B'101' b, xmlparse(content '<a/>') x, int4range(1, 2) r, null::text z;
	select lo_from_bytea(4711, 'object')`

// Verify names whatever differs between a Twin and its source.
func TestVerify(t *testing.T) {
	t.Parallel()
	source := pgtest.URL(t)
	pgtest.Exec(t, source, compared)
	target := twinOf(t, source)
	syncTwin(t, refresh.Job{Source: source, Target: target, Deep: true}, "one")
	contents := func(tables ...string) (out []string) {
		for _, table := range tables {
			out = append(out, "table public."+table+" has other contents in the copy")
		}
		return out
	}
	for _, c := range []struct {
		change, undo string // made on the Twin, and undone
		deep, byDump bool
		want         []string
	}{
		{"", "", true, true, []string{}},
		// The same change, hashed and only counted.
		{
			`update people set name = 'other' where id = 7; update moods set v = 'sad'; update prices set v = 1.00; update docs set v = '{"a":1}'; update names set v = 'a';
			update floats set v = '-0'; update lists set v = '{X}'; update empties set v = null; update spans set v = '24:00:00'; select lo_put(4711, 0, 'O')`, "",
			true, false, append(contents("docs", "empties", "floats", "lists", "moods", "names", "people", "prices", "spans"), "large objects differ in content"),
		},
		{"insert into none default values; select lo_create(4712)", "select lo_unlink(4712)", false, false, []string{
			"table public.none has 3 rows in the snapshot and 4 in the copy", "there are 1 large objects in the snapshot and 2 in the copy",
		}},
		{"select setval('free', 1), setval('notes_id_seq', 100); drop index by_note; create table extra (); comment on table extra is 'x'; alter table names add extra int;" +
			"alter table notes drop constraint notes_person_fkey; alter table notes add constraint notes_person_fkey foreign key (person) references people not valid;" +
			"create or replace function f() returns int language sql as 'select 2'; create schema neontwin_not; drop table moods", "", true, true, []string{
			"column public.moods.v is missing", "column public.names.extra is not in the source", "comment table public.extra is not in the source", "constraint public.notes.notes_person_fkey differs",
			"function public.f() differs", "index public.by_note is missing", "relation public.extra is not in the source", "relation public.moods is missing", "schema neontwin_not is not in the source",
			"table public.docs has other contents in the copy", "table public.empties has other contents in the copy", "table public.floats has other contents in the copy", "table public.lists has other contents in the copy",
			"table public.none has 3 rows in the snapshot and 4 in the copy", "table public.people has other contents in the copy", "table public.prices has other contents in the copy", "table public.spans has other contents in the copy",
			"large objects differ in content", "sequence public.notes_id_seq is behind its column", "sequence public.free is behind the source's", "sequence public.notes_id_seq is behind the source's",
			"pg_dump: comment public.TABLE extra is not in the source", "pg_dump: fk constraint public.notes notes_person_fkey differs", "pg_dump: function public.f() differs", "pg_dump: index public.by_note is missing",
			"pg_dump: schema neontwin_not is not in the source", "pg_dump: table public.extra is not in the source", "pg_dump: table public.moods is missing", "pg_dump: table public.names differs",
		}},
	} {
		if c.change != "" {
			pgtest.Exec(t, target, c.change)
		}
		got, err := refresher(t).Verify(t.Context(), refresh.Job{Source: source, Target: target, Deep: c.deep}, c.byDump)
		if err != nil {
			t.Fatalf("%s: %v", c.change, err)
		}
		if diff := cmp.Diff(c.want, got.Differences); diff != "" || got.Equal != (len(c.want) == 0) || got.Equal && len(got.Verified) < 4 {
			t.Errorf("after %q: equal %t, verified %v, differences (-want +got):\n%s", c.change, got.Equal, got.Verified, diff)
		}
		if c.undo != "" {
			pgtest.Exec(t, target, c.undo)
		}
	}
	t.Run("nobody can be asked", func(t *testing.T) {
		t.Parallel()
		_, err := refresher(t).Verify(t.Context(), refresh.Job{Source: source, Target: withDatabase(t, target, "no_such_database")}, true)
		if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeTarget {
			t.Errorf("got %+v", f)
		}
		limited := asRole(t, target, "grant select on people to %[1]s")
		_, err = refresher(t).Verify(t.Context(), refresh.Job{Source: source, Target: limited}, true)
		if f := twin.AsFailure(err); err == nil || f.Code != twin.CodePermission {
			t.Errorf("got %+v", f)
		}
	})
}

// An application that changes a table while it is copied waits for some
// seconds only: the sync gives way, and can be tried again.
func TestApplicationIsNotHeldUp(t *testing.T) {
	t.Parallel()
	for title, sql := range map[string]string{
		"ALTER TABLE": "alter table people add added int default 3",
		"TRUNCATE":    "truncate notes, people",
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			source, target := smallSource(t)
			pgtest.Exec(t, source, `create table wide (v text); alter table wide alter v set storage external;
				insert into wide select repeat('x', 20000) from generate_series(1, 500)`)
			syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
			before := contentOf(t, target)
			reached := make(chan struct{}, 10)
			ended := make(chan error, 1)
			go func() {
				_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Between: func(table catalog.Name, w io.Writer) io.WriteCloser {
					if table.Name != "wide" {
						return w.(io.WriteCloser)
					}
					return &slow{WriteCloser: w.(io.WriteCloser), reached: reached}
				}}, &lease{token: "two"})
				ended <- err
			}()
			<-reached
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			app, err := pgx.Connect(ctx, source)
			if err != nil {
				t.Fatal(err)
			}
			defer app.Close(context.Background())
			if _, err := app.Exec(ctx, sql); err != nil {
				t.Fatalf("the application failed: %v", err)
			}
			select {
			case err := <-ended:
				if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeYielded || !f.Retry {
					t.Errorf("the sync ended with %+v", f)
				}
			case <-time.After(time.Minute):
				t.Fatal("the sync hangs")
			}
			if diff := cmp.Diff(before, contentOf(t, target)); diff != "" {
				t.Errorf("the Twin has changed:\n%s", diff)
			}
			syncTwin(t, refresh.Job{Source: source, Target: target}, "three")
			judge(t, source, target)
		})
	}
}

// slow is a stream that takes its time for every write.
type slow struct {
	io.WriteCloser
	reached chan<- struct{}
	once    sync.Once
}

func (s *slow) Write(b []byte) (int, error) {
	s.once.Do(func() { s.reached <- struct{}{} })
	<-time.After(100 * time.Millisecond)
	return s.WriteCloser.Write(b)
}
