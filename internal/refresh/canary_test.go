package refresh_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// birdcage is a source whose every personal value is one that chance can't
// make. Columns are stored as they are: what is compressed hides from a search
// of files. Keys, short numbers and booleans hold nothing to search for.
const birdcage = `
	create extension hstore; create extension citext;
	create domain tax_id as char(20) check (length(value) > 3);
	create table people (id int primary key, login text not null unique, mail varchar(60), note text, long text, doc jsonb, tags text[], page xml,
		token uuid, host inet, raw bytea, born timestamp, account bigint, amount numeric(30,0), tax tax_id, upper_name text generated always as (upper(login)) stored);
	create table mails (at timestamp not null, token uuid, account bigint);
	create table posts (id int primary key, author text references people (login) on update cascade, body text) partition by range (id);
	create table posts_1 partition of posts for values from (0) to (50);
	create table posts_2 partition of posts default;
	create table "Odd ""name""" ("E-Mail" text, id int) ;
	create schema other;
	create table other.people (id int primary key, handle citext unique, extra hstore, keyed jsonb, list citext[]);
	create table family (id int, story text);
	create table heirs (secret text) inherits (family);
	create unlogged table fleeting (id int primary key, said text);
	create view authors as select author, count(*) from posts group by author;
	create materialized view known as select login, mail from people;
	create index on people (lower(mail));
	create index on people using gin (doc);`

// birdRules masks all of it; what is left is stated safe.
var birdRules = []twin.MaskRule{
	rule("public.people.login", "username"), rule("public.people.mail", "email"), rule("public.people.note", "free_text"), rule("public.people.long", "free_text"),
	rule("public.people.doc", "json"), rule("public.people.tags", "hash"), rule("public.people.page", "xml"), rule("public.*.token", "uuid"),
	rule("public.people.host", "ip"), rule("public.people.raw", "bytes"), rule("public.people.born", "date_shift"), rule("public.mails.at", "date_shift"),
	rule("public.*.account", "integer"), rule("public.people.amount", "noise"), rule("public.people.tax", "national_id"), rule("public.posts.body", "free_text"),
	rule(`public."Odd ""name"""."E-Mail"`, "email"), rule("other.people.handle", "username"), rule("other.people.extra", "hstore"), rule("other.people.keyed", "json"),
	rule("other.people.list", "hash"), rule("public.family.story", "free_text"), rule("public.heirs.secret", "free_text"), rule("public.fleeting.said", "free_text"),
}

func rule(column, class string) twin.MaskRule {
	return twin.MaskRule{Column: column, Mask: twin.Mask{Class: class}}
}

// birds fills the source and gives what was put into it.
func birds(t *testing.T, source string) *pgtest.Canaries {
	t.Helper()
	c := &pgtest.Canaries{}
	conn := pgtest.Connect(t, source)
	if _, err := conn.Exec(t.Context(), birdcage); err != nil {
		t.Fatal(err)
	}
	const external = `do $$ declare c record; begin
		for c in select attrelid::regclass t, attname from pg_attribute a join pg_class k on k.oid = attrelid join pg_namespace n on n.oid = relnamespace
			where nspname in ('public', 'other') and relkind in ('r', 'p') and attnum > 0 and attstorage = 'x' and attgenerated = '' loop
			execute format('alter table %s alter %I set storage external', c.t, c.attname); end loop; end $$`
	if _, err := conn.Exec(t.Context(), external); err != nil {
		t.Fatal(err)
	}
	batch := &pgx.Batch{}
	var logins []string
	for i := range 60 {
		login := c.Text("login")
		logins = append(logins, login)
		long := strings.Repeat("lorem "+c.Text("long")+" ", 200)
		doc := fmt.Sprintf(`{"name": %q, "deep": {"list": ["%s"]}, "n": %d}`, c.Text("doc"), c.Text("doc"), i)
		batch.Queue("insert into people values ($1, $2, $3, $4, $5, $6, $7, $8::text::xml, $9, $10, $11, $12::text::timestamp, $13, $14::text::numeric, $15)",
			i, login, c.Text("mail")+"@example.net", "call "+c.Text("note"), long, doc, []string{c.Text("tags"), "x"}, "<a b='"+c.Text("page")+"'>"+c.Text("page")+"</a>",
			c.UUID("token"), c.Address("host"), c.Bytes("raw", 300), c.Moment("born"), c.Integer("account"), c.Numeric("amount"), c.Text("tax"))
		batch.Queue("insert into mails values ($1::text::timestamp, $2, $3)", c.Moment("at"), c.UUID("mails.token"), c.Integer("mails.account"))
		batch.Queue("insert into posts values ($1, $2, $3)", 2*i, logins[i/2], "said "+c.Text("body"))
		batch.Queue("insert into other.people values ($1, $2::text, hstore($3::text, $4), jsonb_build_object($5::text, $6::text, 'k', $7::text), array[$8::text]::citext[])",
			i, c.Text("handle"), "key", c.Text("extra"), c.Text("key")+"@example.net", c.Text("keyed"), c.Text("keyed"), c.Text("list"))
		batch.Queue("insert into family values ($1, $2)", i, c.Text("story"))
		batch.Queue("insert into heirs values ($1, $2, $3)", i, c.Text("inherited story"), c.Text("secret"))
		batch.Queue("insert into fleeting values ($1, $2)", i, c.Text("said"))
		batch.Queue(`insert into "Odd ""name""" values ($1, $2)`, c.Text("E-Mail")+"@example.net", i)
	}
	if err := conn.SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
	// What stands beside rows.
	beside := fmt.Sprintf(`alter database postgres set app.admin_password = '%s';
		create foreign data wrapper away; create server far foreign data wrapper away;
		create user mapping for current_user server far options (password '%s');
		create publication told for table people; create subscription heard connection 'host=192.0.2.1 password=%s' publication p with (connect = false);`,
		c.Text("setting"), c.Text("mapping"), c.Text("subscription"))
	if _, err := conn.Exec(t.Context(), beside+"refresh materialized view known; analyze; checkpoint"); err != nil {
		t.Fatal(err)
	}
	return c
}

// diary is a log that is kept.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

func (d *diary) bytes() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Clone(d.text.Bytes())
}

// cages are a source and a Twin's server of their own.
type cages struct {
	source, target string
	from, to       *pglocal.Cluster
	canaries       *pgtest.Canaries
	log            diary
}

func newCages(t *testing.T) *cages {
	t.Helper()
	// The target's server writes down every statement and keeps its log of changes.
	c := &cages{from: pgtest.Cluster(t, nil), to: pgtest.Cluster(t, map[string]string{"log_statement": "all", "wal_keep_size": "1GB", "log_min_messages": "info"})}
	c.source, c.target = c.from.URL("postgres"), c.to.URL("twin")
	c.canaries = birds(t, c.source)
	return c
}

// job masks everything but what is named.
func (c *cages) job(t *testing.T, but string) refresh.Job {
	t.Helper()
	job := refresh.Job{Source: c.source, Target: c.target, Mode: twin.Anonymized, MaskKey: maskKey(t)}
	job.Policy.Harmless = detect.DefaultRules()
	rules := slices.DeleteFunc(slices.Clone(birdRules), func(r twin.MaskRule) bool { return r.Column == but })
	job.Masking = &twin.Masking{Rules: rules, Safe: []string{"*.*.id"}}
	if but != "" {
		job.Masking.Safe = append(job.Masking.Safe, but)
	}
	return job
}

// sync runs a job and gives what it told.
func (c *cages) sync(t *testing.T, job refresh.Job) (told []byte, err error) {
	t.Helper()
	r := refresh.Refresher{Logger: slog.New(slog.NewJSONHandler(&c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	l := &lease{token: "one"}
	report, err := r.Sync(t.Context(), job, l)
	if err != nil {
		f := twin.AsFailure(err)
		r.Logger.ErrorContext(t.Context(), "failed", slog.Any("err", err), slog.Any("failure", f))
		told = fmt.Appendf(nil, "%v\n%s\n%s\n%v", err, f.Message, f.Next, f.Cause)
	}
	text, jsonErr := json.Marshal(map[string]any{"report": report, "progress": l.last})
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	return append(told, text...), err
}

// found searches everything that a run has left behind, by place.
func (c *cages) found(t *testing.T, told []byte) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	note := func(place string, labels []string) {
		if len(labels) > 0 {
			out[place] = labels
		}
	}
	note("log", c.canaries.Search(c.log.bytes()))
	note("told", c.canaries.Search(told))
	if slices.Contains(databases(t, c.to.URL("postgres"), "twin"), "twin") {
		note("dump", c.canaries.Search([]byte(pgtest.Dump(t, c.target))))
		note("tables", c.canaries.Tables(t, c.target))
	}
	pgtest.Exec(t, c.to.URL("postgres"), "checkpoint")
	for path, labels := range c.canaries.SearchFiles(t, c.to.Dir()) {
		place := "files"
		switch {
		case strings.Contains(path, "/pg_wal/"):
			place = "wal"
		case strings.HasSuffix(path, "log"):
			place = "server log"
		}
		all := append(out[place], labels...)
		slices.Sort(all)
		out[place] = slices.Compact(all)
	}
	return out
}

// TestNoOriginalArrives searches the Twin, its server's files and log, and all
// that the run told, for every original value.
func TestNoOriginalArrives(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*refresh.Job){
		"whole":    func(*refresh.Job) {},
		"in place": func(job *refresh.Job) { job.Publish = twin.InPlace },
		"partial": func(job *refresh.Job) {
			job.Mode, job.Subset = twin.Partial, &twin.Subset{Roots: []twin.Root{{Table: "public.people", Where: "note like 'call %'", Limit: 25}}, Whole: []string{"other.*"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCages(t)
			job := c.job(t, "")
			change(&job)
			told, err := c.sync(t, job)
			if err != nil {
				t.Fatal(err)
			}
			if found := c.found(t, told); len(found) > 0 {
				t.Errorf("originals are found: %v", found)
			}
			if !bytes.Contains(told, []byte(`setting app.admin_password`)) {
				t.Error("the report does not say that the application's setting was left out")
			}
			// The search finds what is there: all of them in the source's files.
			var seen []string
			for _, labels := range c.canaries.SearchFiles(t, c.from.DataDir()) {
				seen = append(seen, labels...)
			}
			slices.Sort(seen)
			if diff := cmp.Diff(c.canaries.Labels(), slices.Compact(seen)); diff != "" {
				t.Errorf("in the source's files (-made +found):\n%s", diff)
			}
		})
	}
}

// TestWhatIsNotMaskedIsFound leaves columns unmasked: the search must find them
// in the Twin, in its files and its log of changes, and nowhere else.
func TestWhatIsNotMaskedIsFound(t *testing.T) {
	t.Parallel()
	for column, label := range map[string]string{"public.people.note": "note", "public.people.raw": "raw"} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			c := newCages(t)
			told, err := c.sync(t, c.job(t, column))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string][]string{"dump": {label}, "tables": {label}, "files": {label}, "wal": {label}}
			if diff := cmp.Diff(want, c.found(t, told)); diff != "" {
				t.Errorf("-want +found:\n%s", diff)
			}
		})
	}
}

// TestFailuresTellNoValue makes runs fail where servers quote rows.
func TestFailuresTellNoValue(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*testing.T, *cages, *refresh.Job){
		"a CHECK that a stand-in violates": func(t *testing.T, c *cages, _ *refresh.Job) {
			t.Helper()
			pgtest.Exec(t, c.source, "alter table people add check (note like 'call %')")
		},
		"a condition that does not fit": func(_ *testing.T, _ *cages, job *refresh.Job) {
			job.Subset = &twin.Subset{Roots: []twin.Root{{Table: "public.people", Where: "note::int > 0"}}}
		},
		"a condition whose function quotes the row and claims a missing privilege": func(t *testing.T, c *cages, job *refresh.Job) {
			t.Helper()
			pgtest.Exec(t, c.source, `create function spill(text) returns boolean language plpgsql as $$ begin raise insufficient_privilege using message = 'permission denied for ' || $1, detail = $1, hint = $1; end $$`)
			job.Mode, job.Subset = twin.Partial, &twin.Subset{Roots: []twin.Root{{Table: "public.people", Where: "public.spill(note)"}}}
		},
		"a role that sees some rows only": func(t *testing.T, c *cages, job *refresh.Job) {
			t.Helper()
			u, err := url.Parse(c.source)
			if err != nil {
				t.Fatal(err)
			}
			password, _ := u.User.Password()
			pgtest.Exec(t, c.source, "create role weak login password '"+password+"'; grant pg_read_all_data to weak; alter table public.people enable row level security")
			u.User = url.UserPassword("weak", password)
			job.Source = u.String()
		},
		"a view that fails on stand-ins": func(t *testing.T, c *cages, _ *refresh.Job) {
			t.Helper()
			pgtest.Exec(t, c.source, "create materialized view numbers as select substr(note, 6, 3)::int n from people with no data; create function f(text) returns int language sql immutable as $$ select case when $1 like 'call %' then 1 else $1::int end $$; create index on people (f(note))")
		},
		"a setting of the database with an e-mail address": func(t *testing.T, c *cages, _ *refresh.Job) {
			t.Helper()
			pgtest.Exec(t, c.source, "alter database postgres set application_name = '"+c.canaries.Text("name")+"@example.net'")
		},
		"rows that are lost": func(_ *testing.T, _ *cages, job *refresh.Job) { job.Between = loseNotes("people") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCages(t)
			job := c.job(t, "")
			fail(t, c, &job)
			told, err := c.sync(t, job)
			if err == nil {
				t.Fatal("the run succeeded")
			}
			t.Logf("%s", twin.AsFailure(err).Message)
			if found := c.found(t, told); len(found) > 0 {
				t.Errorf("originals are found: %v\n%s", found, told)
			}
		})
	}
}

// TestMaskingSurvivesLostConnections ends backends on both sides while rows are
// copied: what is copied again is masked again, and counted once.
func TestMaskingSurvivesLostConnections(t *testing.T) {
	t.Parallel()
	c := newCages(t)
	pgtest.Exec(t, c.source, "insert into mails select '2020-01-01'::timestamp + i * interval '1 second', gen_random_uuid(), (1::bigint << 61) + i from generate_series(1, 200000) i; analyze mails")
	job := c.job(t, "")
	for _, on := range []string{c.from.URL("postgres"), c.to.URL("postgres")} {
		job.Between = alsoKill(t, job.Between, on)
	}
	told, err := c.sync(t, job)
	if err != nil {
		t.Fatal(err)
	}
	if found := c.found(t, told); len(found) > 0 {
		t.Errorf("originals are found: %v", found)
	}
	var report struct{ Report twin.Report }
	if err := json.Unmarshal(told, &report); err != nil {
		t.Fatal(err)
	}
	for _, m := range report.Report.Masking.Masked {
		if m.Column == "public.mails.token" && m.Values != 200_060 {
			t.Errorf("%s: %d values were counted, not 200060", m.Column, m.Values)
		}
	}
}

// alsoKill ends the backends on a server that copy the mails, once.
func alsoKill(t *testing.T, before func(catalog.Name, io.Writer) io.WriteCloser, server string) func(catalog.Name, io.Writer) io.WriteCloser {
	t.Helper()
	var once sync.Once
	return func(name catalog.Name, w io.Writer) io.WriteCloser {
		if before != nil {
			w = before(name, w)
		}
		k := killer{WriteCloser: w.(io.WriteCloser), kill: func() {}}
		if name.Name == "mails" {
			k.kill = func() {
				once.Do(func() {
					pgtest.Exec(t, server, "select pg_terminate_backend(pid, 10000) from pg_stat_activity where query like '%COPY%mails%' and pid <> pg_backend_pid()")
				})
			}
		}
		return k
	}
}

// killer does something before what is written.
type killer struct {
	io.WriteCloser
	kill func()
}

func (k killer) Write(b []byte) (int, error) {
	k.kill()
	return k.WriteCloser.Write(b)
}
