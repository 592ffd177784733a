package refresh_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"

	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// canarySchema has every kind of column that a value can travel in: in a table
// that is copied as text, in one that is copied in binary, in partitions that
// rows leave for others, in heirs with columns of their own, in two schemas
// under one name, and under names that need quotes.
const canarySchema = `create extension hstore; create extension citext;
create domain handle as varchar(60) check (char_length(value) >= 3);
create table people (id bigint generated always as identity primary key, login varchar(40) not null unique, email text unique, mail citext,
  full_name varchar(80), code char(40), handle handle, notes text, profile jsonb, doc json, tags text[], att hstore, page xml, pic bytea, scan bytea,
  token uuid, ip inet, seen timestamptz, salary numeric, account bigint, "Email" text, "e ""mail" text, told text default 'x',
  greeting text generated always as ('Dear ' || full_name) stored, words tsvector generated always as (to_tsvector('simple', notes)) stored);
create index on people (lower(full_name));
create statistics people_login on login, email from people;
create table devices (token uuid, seen timestamptz, pic bytea, scan bytea, ip inet, account bigint, mail text, at timestamp);
create schema other;
create table other.people (id int primary key, email text, login varchar(40) references public.people (login));
create table logins (seen timestamptz, mail text) partition by hash (mail);
create table logins_0 partition of logins for values with (modulus 2, remainder 0);
create table logins_1 partition of logins for values with (modulus 2, remainder 1);
create table visits (who text, what text) partition by list (who);
create table visits_rest partition of visits default;
create table base (id int, who text);
create table heir (secret text) inherits (base);
create unlogged table fast (who text);
create view seen as select full_name, seen from people;
create materialized view named as select full_name, string_agg(tags::text, ',') as tags from people group by 1;
`

// canaryExternal keeps values from being compressed, which would hide them from
// a search of files.
const canaryExternal = `do $$ declare c record; begin
  for c in select a.attrelid::regclass as rel, a.attname from pg_attribute a join pg_class r on r.oid = a.attrelid
    where r.relkind in ('r', 'p') and r.relnamespace in ('public'::regnamespace, 'other'::regnamespace) and a.attnum > 0 and a.attstorage in ('x', 'm') loop
    execute format('alter table only %s alter column %I set storage external', c.rel, c.attname);
  end loop; end $$;
`

// canaryMasking masks every column that holds a canary.
func canaryMasking() *twin.Masking {
	m := &twin.Masking{Safe: []string{"public.*.id", "other.*.id", "public.people.told"}}
	for _, rule := range []string{
		"public.people.login username", "public.people.email email", "public.people.mail email", "public.people.full_name full_name",
		"public.people.code hash", "public.people.handle username", "public.people.notes free_text", "public.people.profile json", "public.people.doc json",
		"public.people.tags hash", "public.people.att hstore", "public.people.page xml", "public.*.pic bytes", "public.*.scan bytes", "public.*.token uuid",
		"public.*.ip ip", "public.*.seen date_shift", "public.devices.at date_shift", "public.people.salary noise", "public.*.account integer",
		`public.people."Email" keep_last`, `public.people."e ""mail" redact`, "public.devices.mail email", "other.people.email url", "other.people.login username",
		"public.logins.mail email", "public.visits.who hash", "public.visits.what free_text", "public.*.who company", "public.heir.secret hash",
	} {
		at := strings.LastIndex(rule, " ")
		one := twin.MaskRule{Column: rule[:at], Mask: twin.Mask{Class: rule[at+1:]}}
		if one.Class == "keep_last" {
			one.Keep = 4
		}
		m.Rules = append(m.Rules, one)
	}
	return m
}

// canaryRows fills the schema with n people, of whom each value is a canary.
func canaryRows(c *pgtest.Canaries, n int) string {
	var b strings.Builder
	word := func(column string) string { return c.Text(column) }
	long := func(column string) string { // too long for a page, with a canary every few hundred bytes
		var b strings.Builder
		for range 12 {
			b.WriteString(word(column) + strings.Repeat(" lorem ipsum", 40) + " ")
		}
		return b.String()
	}
	null := func(i int, text string) string {
		if i%7 == 0 {
			return "null"
		}
		return text
	}
	for i := range n {
		login := word("people.login")
		note := word("people.notes")
		if i%3 == 0 {
			note = long("people.notes")
		}
		profile := fmt.Sprintf(`{"name": "%s", "deep": [{"%s@x.example": "%s"}, null, true, %s], "long": "%s"}`, word("people.profile"), word("people.profile key"), word("people.profile"), c.Numeric("people.profile number"), long("people.profile"))
		doc := fmt.Sprintf(`{"a" : [ "%s", {"b":"%s"} ], "%s@x.example" : 1}`, word("people.doc"), word("people.doc"), word("people.doc key"))
		scan := c.Bytes("people.scan", 9000)
		fmt.Fprintf(&b, `insert into people (login, email, mail, full_name, code, handle, notes, profile, doc, tags, att, page, pic, scan, token, ip, seen, salary, account, "Email", "e ""mail")
values ('%s', %s, '%s@x.example', '%s %s', '%s', '%s', E'%s\t\\ \n%s', '%s', '%s', array['%s', null, '%s'], hstore('%s@x.example', '%s'), xmlparse(content '<p a="%s">%s<!-- %s --></p>'),
  '\x%x', '\x%x', '%s', '%s', '%s+00', %s, %d, '%s', '%s');
`, login, null(i, "'"+word("people.email")+"@x.example'"), word("people.mail"), word("people.full_name"), word("people.full_name"), word("people.code"), word("people.handle"),
			note, word("people.notes"), profile, doc, word("people.tags"), word("people.tags"), word("people.att key"), word("people.att"), word("people.page"), word("people.page"), word("people.page"),
			c.Bytes("people.pic", 24), scan, c.UUID("people.token"), c.Address("people.ip"), c.Moment("people.seen"), c.Numeric("people.salary"), c.Integer("people.account"), word(`people.Email`), word(`people.e "mail`))
		fmt.Fprintf(&b, "insert into devices values ('%s', '%s+00', '\\x%x', '\\x%x', '%s', %d, '%s@x.example', '%s');\n",
			c.UUID("devices.token"), c.Moment("devices.seen"), c.Bytes("devices.pic", 24), c.Bytes("devices.scan", 5000), c.Address("devices.ip"), c.Integer("devices.account"), word("devices.mail"), c.Moment("devices.at"))
		fmt.Fprintf(&b, "insert into other.people values (%d, 'https://x.example/%s?q=%s', '%s');\n", i, word("other.people.email"), word("other.people.email"), login)
		fmt.Fprintf(&b, "insert into logins values ('%s+00', '%s@x.example'); insert into visits values ('%s', '%s');\n", c.Moment("logins.seen"), word("logins.mail"), word("visits.who"), word("visits.what"))
		fmt.Fprintf(&b, "insert into base values (%d, '%s'); insert into heir values (%d, '%s', '%s'); insert into fast values ('%s');\n", i, word("base.who"), i, word("heir.who"), word("heir.secret"), word("fast.who"))
	}
	fmt.Fprintf(&b, "select lo_from_bytea(0, '\\x%x'); refresh materialized view named; analyze;\n", c.Bytes("large object", 3000))
	return b.String()
}

// canaryWorld is a source and a Twin on servers of their own, all of whose files
// can be searched.
type canaryWorld struct {
	t              *testing.T
	source, target *pglocal.Cluster
	canaries       *pgtest.Canaries
	told           lockedBuffer // what our program has said to anybody
}

// lockedBuffer is written by many at once.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

func newCanaryWorld(t *testing.T) *canaryWorld {
	t.Helper()
	w := &canaryWorld{t: t, canaries: &pgtest.Canaries{}}
	settings := map[string]string{
		"full_page_writes": "on", "wal_keep_size": "2GB", "max_wal_size": "4GB", "checkpoint_timeout": "1h", "autovacuum": "off", "timezone": "UTC", // nothing of the log is recycled
		"log_statement": "all", "log_min_messages": "debug1", "log_error_verbosity": "verbose", "log_min_error_statement": "debug1",
	}
	w.target = pgtest.Cluster(t, settings)
	w.source = pgtest.Cluster(t, map[string]string{"timezone": "UTC"})
	return w
}

// database makes a source with some SQL and gives its address and its Twin's.
func (w *canaryWorld) database(name, sql string) (source, target string) {
	w.t.Helper()
	pgtest.Exec(w.t, w.source.URL("postgres"), "create database "+name)
	pgtest.Exec(w.t, w.source.URL(name), sql)
	return w.source.URL(name), w.target.URL(name + "_twin")
}

// sync makes a Twin and keeps all that is told of it.
func (w *canaryWorld) sync(job refresh.Job, token string) (twin.Report, error) {
	w.t.Helper()
	job.MaskKey = maskKey(w.t)
	if job.Policy.Harmless == nil {
		job.Policy.Harmless = detect.DefaultRules()
	}
	out := io.MultiWriter(&w.told, w.t.Output())
	r := &refresh.Refresher{Logger: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	report, err := r.Sync(w.t.Context(), job, &lease{token: token})
	text, marshal := json.Marshal(report)
	if marshal != nil {
		w.t.Fatal(marshal)
	}
	fmt.Fprintf(out, "%s\n", text)
	if err != nil {
		f := twin.AsFailure(err)
		fmt.Fprintf(out, "%v\n%s\n%s\n%s\n", err, f.Error(), f.Message, f.Next)
	}
	return report, err
}

// quiet holds that nothing of what was told has a canary in it.
func (w *canaryWorld) quiet(when string) {
	w.t.Helper()
	if found := w.canaries.Search(w.told.Bytes()); len(found) > 0 {
		w.t.Errorf("%s: told are values of %q", when, found)
	}
}

// files searches the Twin's server: its tables' files, its write-ahead log and
// what it has logged.
func (w *canaryWorld) files() (data, wal, log []string) {
	w.t.Helper()
	pgtest.Exec(w.t, w.target.URL("postgres"), "checkpoint")
	for path, found := range w.canaries.SearchFiles(w.t, w.target.Dir()) {
		switch {
		case strings.HasSuffix(path, ".log"):
			log = append(log, found...)
		case strings.Contains(path, "/pg_wal/"):
			wal = append(wal, found...)
		default:
			data = append(data, found...)
		}
	}
	return distinct(data), distinct(wal), distinct(log)
}

func distinct(labels []string) []string { return slices.Compact(slices.Sorted(slices.Values(labels))) }

// inside searches a database by pg_dump and by SQL.
func (w *canaryWorld) inside(address string) (dump, tables []string) {
	w.t.Helper()
	return w.canaries.Search([]byte(pgtest.Dump(w.t, address))), w.canaries.Tables(w.t, address)
}

// TestCanaries is the judge of whole runs: every personal value of the source is
// one that chance can't produce, and none of them may be found in the Twin, in
// the files and the log of its server, or in anything that we tell. Dates, small
// integers, booleans and enums are left out: they are too short to be told from
// others. That the search can find each of them is shown on the source, and on a
// Twin that is allowed to have some.
func TestCanaries(t *testing.T) {
	t.Parallel()
	w := newCanaryWorld(t)
	source, target := w.database("shop", canarySchema+canaryExternal)
	pgtest.Exec(t, source, canaryRows(w.canaries, 21))
	w.findsInSource(source)

	full := refresh.Job{Source: source, Target: target, Mode: twin.Anonymized, Masking: canaryMasking(), Deep: true}
	inPlace := full
	inPlace.Publish = twin.InPlace
	some := refresh.Job{Source: source, Target: w.target.URL("some_twin"), Mode: twin.Partial, Masking: canaryMasking(), Deep: true, Subset: &twin.Subset{
		Roots: []twin.Root{{Table: "other.people", Limit: 10}}, Whole: []string{"public.*"},
	}}
	for i, job := range []refresh.Job{full, full, inPlace, some} {
		report, err := w.sync(job, fmt.Sprintf("run%d", i))
		if err != nil {
			t.Fatal(err)
		}
		judgeMasked(t, report.Masking, source, job.Target)
	}
	w.quiet("after four runs")
	for _, twin := range []string{target, some.Target} {
		if dump, tables := w.inside(twin); len(dump)+len(tables) > 0 {
			t.Errorf("its dump has %q, its tables %q", dump, tables)
		}
	}
	w.failingRuns()
	if data, wal, log := w.files(); len(data)+len(wal)+len(log) > 0 {
		t.Errorf("its files have %q, its write-ahead log %q, its server's log %q", data, wal, log)
	}
	w.findsWhatIsLetThrough(full)
}

// findsInSource holds that the search can find every canary where it must be.
func (w *canaryWorld) findsInSource(source string) {
	w.t.Helper()
	all := w.canaries.Labels()
	pgtest.Exec(w.t, source, "checkpoint")
	var files []string
	for _, found := range w.canaries.SearchFiles(w.t, filepath.Join(w.source.DataDir(), "base")) {
		files = append(files, found...)
	}
	dump, tables := w.inside(source)
	for where, found := range map[string][]string{"files": distinct(files), "dump": dump, "tables": tables} {
		if diff := cmp.Diff(all, found); diff != "" {
			w.t.Errorf("the search of the source's %s (-want +found):\n%s", where, diff)
		}
	}
}

// findsWhatIsLetThrough lets two columns through on purpose: they are found in
// the Twin, and nowhere else.
func (w *canaryWorld) findsWhatIsLetThrough(job refresh.Job) {
	w.t.Helper()
	open := *job.Masking
	open.Rules = slices.DeleteFunc(slices.Clone(open.Rules), func(r twin.MaskRule) bool {
		return r.Column == "public.people.notes" || r.Column == "public.*.token"
	})
	open.Safe = append(slices.Clone(open.Safe), "public.people.notes", "public.*.token")
	job.Masking, job.Target = &open, w.target.URL("open_twin")
	if _, err := w.sync(job, "open"); err != nil {
		w.t.Fatal(err)
	}
	want := []string{"devices.token", "people.notes", "people.token"}
	dump, tables := w.inside(job.Target)
	data, wal, log := w.files()
	for where, found := range map[string][]string{"dump": dump, "tables": tables, "files": data, "write-ahead log": wal} {
		if diff := cmp.Diff(want, found); diff != "" {
			w.t.Errorf("let through, in the %s (-want +found):\n%s", where, diff)
		}
	}
	if len(log) > 0 {
		w.t.Errorf("the server's log has %q", log)
	}
	w.quiet("with columns let through")
}

func (w *canaryWorld) failingRuns() {}
