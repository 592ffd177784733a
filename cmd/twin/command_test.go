package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/twin"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const people = `create table people (id int generated always as identity primary key, name text);
	insert into people (name) select 'person ' || i from generate_series(1, 500) i`

const maskKey = "8f1d0c6f5b7a4e2d9c3b1a0f7e6d5c4b3a29181716253443526170f8e9dacbbd"

// pair is a source and the address of a Twin that does not exist yet.
type pair struct {
	t              *testing.T
	source, target string
}

func newPair(t *testing.T, sql string) *pair {
	t.Helper()
	p := &pair{t: t, source: pgtest.URL(t)}
	pgtest.Exec(t, p.source, sql)
	p.target = strings.Replace(p.source, "?", "_twin?", 1)
	t.Cleanup(func() {
		for _, name := range p.databases() {
			pgtest.Exec(t, p.source, "drop database "+pgx.Identifier{name}.Sanitize()+" with (force)")
		}
	})
	return p
}

// databases lists the Twin's database and all that belong to it.
func (p *pair) databases() []string {
	p.t.Helper()
	u, err := url.Parse(p.target)
	if err != nil {
		p.t.Fatal(err)
	}
	conn, err := pgx.Connect(context.Background(), p.source)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(context.Background(), "select datname from pg_database where starts_with(datname, $1) order by 1", strings.TrimPrefix(u.Path, "/"))
	if err != nil {
		p.t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		p.t.Fatal(err)
	}
	return names
}

// count asks a database for one number.
func (p *pair) count(address, sql string) (n int) {
	p.t.Helper()
	conn, err := pgx.Connect(context.Background(), address)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

// command runs the program and holds it to what always holds: no password is
// printed. Source and target come by the environment, unless args name them.
func (p *pair) command(args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	var out, errs bytes.Buffer
	env := map[string]string{"NEONTWIN_SOURCE_URL": p.source, "NEONTWIN_TARGET_URL": p.target, "NEONTWIN_MASK_KEY": maskKey}
	code = run(p.t.Context(), args, func(name string) string { return env[name] }, &out, &errs)
	noPassword(p.t, out.String()+errs.String(), append(args, p.source, p.target)...)
	if strings.Contains(out.String()+errs.String(), maskKey) {
		p.t.Errorf("the masking key is printed:\n%s%s", &out, &errs)
	}
	return code, out.String(), errs.String()
}

// noPassword fails the test if a password of one of the addresses is in a text.
func noPassword(t *testing.T, text string, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		for _, part := range regexp.MustCompile(`://[^:@/]*:([^@]+)@`).FindAllStringSubmatch(a, -1) {
			if strings.Contains(text, part[1]) {
				t.Errorf("a password is in the output:\n%s", text)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	both := map[string]string{"NEONTWIN_SOURCE_URL": "postgres://a/b", "NEONTWIN_TARGET_URL": "postgres://a/c"}
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says []string // on standard error, or on standard output where code is 0
	}{
		"help":              {[]string{"--help"}, nil, 0, []string{"sync", "plan"}},
		"no command":        {nil, nil, 0, []string{"sync", "plan"}},
		"unknown command":   {[]string{"refresh"}, nil, 2, []string{"refresh", "--help"}},
		"unknown flag":      {[]string{"sync", "--fast"}, nil, 2, []string{"--fast", "--help"}},
		"all that is wrong": {[]string{"sync", "--jobs", "65"}, nil, 2, []string{"NEONTWIN_SOURCE_URL", "NEONTWIN_TARGET_URL", "--jobs"}},
		"plan as well":      {[]string{"plan"}, map[string]string{"NEONTWIN_SOURCE_URL": "postgres://a/b"}, 2, []string{"NEONTWIN_TARGET_URL"}},
		"unknown mode":      {[]string{"sync", "--mode", "half"}, nil, 2, []string{"half", "schema_only"}},
		"mode and file":     {[]string{"plan", "--mode", "full", "--file", "testdata/partial.yml"}, both, 2, []string{"--mode", "--file"}},
		"partial alone":     {[]string{"sync", "--mode", "partial"}, both, 2, []string{"--file", "--twin"}},
		"twin alone":        {[]string{"plan", "--twin", "small"}, both, 2, []string{"--file"}},
		"no such file":      {[]string{"plan", "--file", "testdata/none.yml"}, both, 2, []string{"testdata/none.yml"}},
		"which twin":        {[]string{"plan", "--file", "testdata/partial.yml"}, both, 2, []string{"--twin", "small, bare"}},
		"no such twin":      {[]string{"plan", "--file", "testdata/partial.yml", "--twin", "x"}, both, 2, []string{`no Twin "x"`, "small, bare"}},
		"wrong file":        {[]string{"plan", "--file", "testdata/wrong.yml"}, both, 2, []string{"testdata/wrong.yml:8:22:", "testdata/wrong.yml:9:5:"}},
		"unknown strategy":  {[]string{"sync", "--publish", "hope"}, nil, 2, []string{"hope", "in_place"}},
		"no address": {
			[]string{"sync", "--source", "postgres://u:hidden-word@[broken/db", "--target", "postgres://u:hidden-word@h/db"},
			nil, 2,
			[]string{"source"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			code := run(t.Context(), c.args, func(name string) string { return c.env[name] }, &out, &errs)
			text := errs.String()
			if c.code == 0 {
				text = out.String()
			} else if out.Len() > 0 {
				t.Errorf("standard output has:\n%s", out.String())
			}
			if code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, text)
			}
			for _, s := range c.says {
				if !strings.Contains(text, s) {
					t.Errorf("%q is not said in:\n%s", s, text)
				}
			}
			noPassword(t, out.String()+errs.String(), c.args...)
		})
	}
}

// TestSync follows a Twin from its first sync: as text, as JSON, and refused.
func TestSync(t *testing.T) {
	t.Parallel()
	p := newPair(t, people)
	code, out, errs := p.command("sync")
	if code != exitPublished || !strings.Contains(out, "1 tables, 500 rows") && !strings.Contains(out, "1 table, 500 rows") {
		t.Fatalf("exit code %d:\n%s%s", code, out, errs)
	}
	plainProgress(t, errs)
	if got := p.count(p.target, "select count(*) from people"); got != 500 {
		t.Errorf("the Twin holds %d people", got)
	}

	pgtest.Exec(t, p.source, "insert into people (name) values ('new')")
	code, out, errs = p.command("sync", "--json", "--jobs", "2")
	if code != exitPublished {
		t.Fatalf("exit code %d:\n%s", code, errs)
	}
	var report twin.Report
	decodeStrictly(t, out, &report)
	if report.Mode != twin.Full || report.Publish != twin.Swap || report.Rows() != 501 || report.SnapshotLSN == "" ||
		report.PublishedAt.Before(report.SnapshotAt) || report.Seconds <= 0 || len(report.Phases) == 0 || len(report.Verified) == 0 {
		t.Errorf("the report: %+v", report)
	}
	if len(report.Tables) != 1 || report.Tables[0].Table != "public.people" || report.Tables[0].Bytes == 0 {
		t.Errorf("the report's tables: %+v", report.Tables)
	}
	// What a machine reads has every field, be it empty.
	var fields map[string]any
	decodeStrictly(t, out, &fields)
	for _, name := range []string{
		"run", "mode", "publish", "database", "snapshot_at", "snapshot_lsn", "published_at", "tables", "phases", "hazards", "verified", "seconds",
	} {
		if _, ok := fields[name]; !ok {
			t.Errorf("the report has no %s", name)
		}
	}
	// Flags overrule the environment: the target is the source.
	code, _, errs = p.command("sync", "--target", p.source)
	if code != exitRefused || !strings.Contains(errs, "refused") || !strings.Contains(errs, "The Twin is as it was.") {
		t.Errorf("onto the source: exit code %d:\n%s", code, errs)
	}
	if got := p.count(p.target, "select count(*) from people"); got != 501 {
		t.Errorf("the Twin holds %d people", got)
	}
}

// plainProgress wants a line for each phase, and nothing that a terminal alone
// understands.
func plainProgress(t *testing.T, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\r\x1b") {
		t.Errorf("progress has control characters: %q", text)
	}
	line := regexp.MustCompile(`^(\w+) +\d+ %`)
	var phases []twin.Phase
	for l := range strings.SplitSeq(text, "\n") {
		if m := line.FindStringSubmatch(l); m != nil && !slices.Contains(phases, twin.Phase(m[1])) {
			phases = append(phases, twin.Phase(m[1]))
		}
	}
	if diff := cmp.Diff(twin.Spec{}.Phases(), phases); diff != "" {
		t.Errorf("phases that progress names (-want +got):\n%s\nof\n%s", diff, text)
	}
}

// decodeStrictly wants one JSON document without fields that v lacks.
func decodeStrictly(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	if d.More() {
		t.Errorf("more than one document:\n%s", text)
	}
}

func TestSyncRefusesWhatItDidNotMake(t *testing.T) {
	t.Parallel()
	p := newPair(t, people)
	u, err := url.Parse(p.target)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, p.source, "create database "+pgx.Identifier{strings.TrimPrefix(u.Path, "/")}.Sanitize())
	pgtest.Exec(t, p.target, "create table mine (id int); insert into mine values (1)")
	code, out, errs := p.command("sync")
	if code != exitRefused || !strings.Contains(errs, "adopt") || out != "" {
		t.Errorf("exit code %d:\n%s%s", code, out, errs)
	}
	if got := p.count(p.target, "select count(*) from mine"); got != 1 {
		t.Errorf("the table that was there has %d rows", got)
	}
	if code, _, errs := p.command("sync", "--adopt"); code != exitPublished {
		t.Errorf("with --adopt: exit code %d:\n%s", code, errs)
	}
}

func TestSyncFails(t *testing.T) {
	t.Parallel()
	p := newPair(t, people)
	nobody := "postgres://someone:hidden-word@127.0.0.1:1/shop?sslmode=disable&connect_timeout=5"
	code, out, errs := p.command("sync", "--json", "--source", nobody)
	if code != exitFailed || out != "" || !strings.Contains(errs, "failed in phase preflight") || !strings.Contains(errs, "next:") {
		t.Errorf("exit code %d:\n%s%s", code, out, errs)
	}
	if got := p.databases(); len(got) > 0 {
		t.Errorf("it left %v", got)
	}
}

func TestPlanChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPair(t, people)
	code, out, errs := p.command("plan")
	if code != exitPublished || !strings.Contains(out, "public.people") {
		t.Errorf("exit code %d:\n%s%s", code, out, errs)
	}
	code, out, errs = p.command("plan", "--json")
	var plan planJSON
	decodeStrictly(t, out, &plan)
	if code != exitPublished || plan.Mode != twin.Full || len(plan.Tables) != 1 || plan.Tables[0].Table != "public.people" || plan.Forbidden {
		t.Errorf("exit code %d, %+v:\n%s", code, plan, errs)
	}
	if got := p.databases(); len(got) > 0 {
		t.Errorf("a plan made %v", got)
	}
	if code, _, errs := p.command("sync"); code != exitPublished {
		t.Fatalf("exit code %d:\n%s", code, errs)
	}
	before := p.count(p.target, "select extract(epoch from published_at)::int from neontwin.generation")
	if code, _, errs := p.command("plan"); code != exitPublished {
		t.Errorf("of a Twin that exists: exit code %d:\n%s", code, errs)
	}
	if after := p.count(p.target, "select extract(epoch from published_at)::int from neontwin.generation"); after != before || len(p.databases()) != 1 {
		t.Errorf("a plan changed the Twin: %v", p.databases())
	}
}

// binary compiles the command once, as users get it.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := pgtest.Dir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "twin")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// slowly takes some seconds to copy: each row is checked with a pause.
const slowly = `create function unhurried(int) returns boolean language plpgsql as $$ begin perform pg_sleep(0.001); return true; end $$;
	create table people (id int generated always as identity primary key, name text);
	insert into people (name) select 'person ' || i from generate_series(1, 4000) i;
	alter table people add check (public.unhurried(id)) not valid;
	update pg_constraint set convalidated = true where conname = 'people_id_check'`

// TestInterrupted presses Ctrl-C while rows are being copied: the command ends
// soon and in order, and the Twin is as it was.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	p := newPair(t, people)
	if code, _, errs := p.command("sync"); code != exitPublished {
		t.Fatalf("exit code %d:\n%s", code, errs)
	}
	pgtest.Exec(t, p.source, "drop table people; "+slowly)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "sync")
	var out, errs bytes.Buffer
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NEONTWIN_SOURCE_URL=" + p.source, "NEONTWIN_TARGET_URL=" + p.target}
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for p.count(p.source, "select count(*) from pg_stat_activity where state = 'active' and query like '%COPY %people% FROM STDIN%' and starts_with(datname, '"+p.databases()[0]+"__')") == 0 {
		select {
		case <-ctx.Done():
			t.Fatalf("no row was copied:\n%s", errs.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_ = cmd.Wait() // the exit code says it
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s to end", took)
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signaled() || cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("ended with %v, want exit code %d", cmd.ProcessState, exitFailed)
	}
	if !strings.Contains(errs.String(), "interrupted") || !strings.Contains(errs.String(), "The Twin is as it was.") || out.Len() > 0 {
		t.Errorf("it says:\n%s%s", out.String(), errs.String())
	}
	noPassword(t, out.String()+errs.String(), p.source)
	if got := p.databases(); len(got) != 1 {
		t.Errorf("it left %v", got)
	}
	if got := p.count(p.target, "select count(*) from people"); got != 500 {
		t.Errorf("the Twin holds %d people, want the 500 of before", got)
	}
}
