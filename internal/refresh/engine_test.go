package refresh_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/tools/txtar"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// engineCase is one case for the whole engine: a source, a specification, and
// what the Twin must be. It is a txtar archive under testdata/engine; in all
// of its parts {{db}} stands for the source's name, for what a server's
// databases share, such as roles.
type engineCase struct {
	title string
	// source makes the source, in one message; each part that follows, named
	// source-2.sql and so on, is sent after it on the same connection.
	source []string
	spec   engineSpec
	// stripped is SQL that takes from the source, after the sync, what a Twin
	// lacks on purpose; then both must be equal.
	stripped string
	// same are queries whose answer must be equal on both sides.
	same []string
	// holds are queries on the Twin that must answer true.
	holds []string
	// hazards are all that must be reported, as "id object".
	hazards []string
	// refused is what a refusal must say; empty: the sync must succeed.
	refused string
	// after is SQL for the Twin once it has been judged; it must succeed.
	after string
	// masking is what the run has told of it; nil where nothing was masked.
	masking *twin.MaskReport
}

// engineSpec is what is asked for.
type engineSpec struct {
	job refresh.Job
	// role, if set, is the role that reads the source; the source makes it,
	// with the password pw.
	role string
	// roles are dropped when the case ends.
	roles []string
	// publish by both strategies, not by swap alone.
	inPlace bool
	// aheadSequences is set where sequences may stand farther than the source's.
	aheadSequences bool
	// reordered is set where inheritance children have their columns in
	// another order, so that a dump's lines are the same but not their order.
	reordered bool
}

func readEngineCase(t *testing.T, path, db string) engineCase {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse([]byte(strings.ReplaceAll(string(text), "{{db}}", db)))
	c := engineCase{title: string(archive.Comment)}
	for _, f := range archive.Files {
		data := string(f.Data)
		switch {
		case strings.HasPrefix(f.Name, "source"):
			c.source = append(c.source, data)
		case f.Name == "spec":
			c.spec = readEngineSpec(t, data)
		case f.Name == "stripped.sql":
			c.stripped = data
		case f.Name == "same.sql":
			c.same = queries(data)
		case f.Name == "holds.sql":
			c.holds = queries(data)
		case f.Name == "hazards":
			c.hazards = lines(data)
		case f.Name == "refused":
			c.refused = strings.TrimSpace(data)
		case f.Name == "after.sql":
			c.after = data
		default:
			t.Fatalf("%s: unknown part %s", path, f.Name)
		}
	}
	if len(c.source) == 0 {
		t.Fatalf("%s has no source", path)
	}
	return c
}

func readEngineSpec(t *testing.T, text string) engineSpec {
	t.Helper()
	var s engineSpec
	for _, line := range lines(text) {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "role":
			s.role = value
		case "dropped_role":
			s.roles = append(s.roles, value)
		case "accept":
			s.job.Accept = append(s.job.Accept, value)
		case "grants":
			s.job.Grants = refresh.Grants(value)
		case "mode":
			s.job.Mode = twin.Mode(value)
		case "subset":
			s.job.Subset = &twin.Subset{}
			if err := json.Unmarshal([]byte(value), s.job.Subset); err != nil {
				t.Fatal(err)
			}
		case "masking":
			s.job.Masking = &twin.Masking{}
			if err := json.Unmarshal([]byte(value), s.job.Masking); err != nil {
				t.Fatal(err)
			}
		case "must":
			s.job.Policy.Must = true
		case "deep":
			s.job.Deep = true
		case "jobs":
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			s.job.Jobs = n
		case "in_place":
			s.inPlace = true
		case "reordered":
			s.reordered = true
		case "sequences_ahead":
			s.aheadSequences = true
		default:
			t.Fatalf("unknown key of a specification: %s", key)
		}
	}
	return s
}

func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// queries are separated by blank lines.
func queries(text string) []string {
	var out []string
	for q := range strings.SplitSeq(text, "\n\n") {
		if q = strings.TrimSpace(q); q != "" {
			out = append(out, q)
		}
	}
	return out
}

// TestEngine runs every case under testdata/engine.
func TestEngine(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/engine/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			source := pgtest.URL(t)
			runEngineCase(t, readEngineCase(t, path, name(t, source)), source, twinOf(t, source))
		})
	}
}

func runEngineCase(t *testing.T, c engineCase, source, target string) {
	t.Helper()
	dropRoles(t, source, target, c.spec.roles)
	conn := pgtest.Connect(t, source)
	for _, sql := range c.source {
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("make the source: %v", err)
		}
	}
	job := c.spec.job
	job.Source, job.Target = source, target
	if job.Mode == twin.Anonymized || job.Masking != nil {
		job.MaskKey, job.Policy.Harmless = maskKey(t), detect.DefaultRules()
	}
	if c.spec.role != "" {
		job.Source = withUser(t, source, c.spec.role, "pw")
	}
	report, err := refresher(t).Sync(t.Context(), job, &lease{token: "one"})
	if c.refused != "" {
		if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeRefused || !strings.Contains(f.Message, c.refused) {
			t.Errorf("got %+v, want a refusal that says %q", f, c.refused)
		}
		return
	}
	if err != nil {
		t.Fatalf("sync: %v\n%+v", err, twin.AsFailure(err))
	}
	if diff := cmp.Diff(c.hazards, hazardLines(report.Hazards)); diff != "" {
		t.Errorf("hazards (-want +got):\n%s", diff)
	}
	if job.Mode == twin.Partial || job.Mode == twin.SchemaOnly {
		// What such a Twin has in common with its source can be compared at any time.
		compared, err := refresher(t).Verify(t.Context(), job, true)
		if err != nil || !compared.Equal || len(compared.Skipped) == 0 {
			t.Errorf("compared: %+v, %v", compared, err)
		}
		if len(report.Selections) != len(report.Tables) {
			t.Errorf("%d selections of %d tables", len(report.Selections), len(report.Tables))
		}
	}
	if c.stripped != "" {
		pgtest.Exec(t, source, c.stripped)
	}
	c.masking = report.Masking
	judgeCase(t, c, source, target)
	if c.spec.inPlace {
		job.Publish = twin.InPlace
		syncTwin(t, job, "two")
		judgeCase(t, c, source, target)
	}
	if c.after != "" {
		pgtest.Exec(t, target, c.after)
	}
}

func judgeCase(t *testing.T, c engineCase, source, target string) {
	t.Helper()
	switch {
	case c.masking != nil:
		judgeMasked(t, c.masking, source, target)
	case c.spec.reordered:
		if diff := cmp.Diff(sortedLines(pgtest.Schema(t, source)), sortedLines(pgtest.Schema(t, target))); diff != "" {
			t.Errorf("the schemas differ (-source +twin):\n%s", diff)
		}
		if diff := cmp.Diff(contentOf(t, source), contentOf(t, target)); diff != "" {
			t.Errorf("the rows differ (-source +twin):\n%s", diff)
		}
	default:
		judge(t, source, target)
	}
	want, got := answers(t, source, c.same), answers(t, target, c.same)
	for i, sql := range c.same {
		if diff := cmp.Diff(want[i], got[i]); diff != "" {
			t.Errorf("%s\ngives (-source +twin):\n%s", sql, diff)
		}
	}
	for i, got := range answers(t, target, c.holds) {
		if !slices.Equal(got, []string{"true"}) {
			t.Errorf("%s\ngives %q on the Twin", c.holds[i], got)
		}
	}
	judgeSequences(t, source, target, !c.spec.aheadSequences)
}

func sortedLines(text string) []string {
	all := strings.Split(text, "\n")
	for i := range all {
		all[i] = strings.TrimSuffix(all[i], ",")
	}
	slices.Sort(all)
	return all
}

func hazardLines(hazards []twin.Hazard) []string {
	var out []string
	for _, h := range hazards {
		out = append(out, strings.TrimSpace(h.ID+" "+h.Object))
	}
	slices.Sort(out)
	return out
}

// answer gives the rows of a query as text.
func answer(t *testing.T, address, sql string) []string {
	t.Helper()
	return answers(t, address, []string{sql})[0]
}

// answers gives the rows of several queries, asked on one connection.
func answers(t *testing.T, address string, queries []string) [][]string {
	t.Helper()
	if len(queries) == 0 {
		return nil
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	all := make([][]string, len(queries))
	for i, sql := range queries {
		rows, err := conn.Query(t.Context(), sql)
		if err != nil {
			t.Fatalf("%v\nin %s", err, sql)
		}
		all[i], err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			v, err := row.Values()
			parts := make([]string, len(v))
			for i := range v {
				parts[i] = fmt.Sprint(v[i])
			}
			return strings.Join(parts, "|"), err
		})
		if err != nil {
			t.Fatalf("%v\nin %s", err, sql)
		}
	}
	return all
}

// judgeSequences takes the next value of every sequence of the Twin: it may
// not be in the sequence's column yet. Where exact is set, the sequences must
// stand where the source's do.
func judgeSequences(t *testing.T, source, target string, exact bool) {
	t.Helper()
	const list = `select format('%I.%I', n.nspname, c.relname) || chr(10) || case when o.oid is null then '' else format('%I.%I', tn.nspname, o.relname) end || chr(10) || coalesce(quote_ident(a.attname), '')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refobjsubid > 0 and d.deptype in ('a', 'i')
		left join pg_class o on o.oid = d.refobjid left join pg_namespace tn on tn.oid = o.relnamespace
		left join pg_attribute a on a.attrelid = o.oid and a.attnum = d.refobjsubid
		where c.relkind = 'S' and n.nspname !~ '^pg_' order by 1`
	var names, stands, taken []string
	for _, row := range answer(t, target, list) {
		part := strings.Split(row, "\n")
		names = append(names, part[0])
		stands = append(stands, "select last_value, is_called from "+part[0])
		used := "select 0"
		if part[1] != "" {
			used = fmt.Sprintf("with next as materialized (select nextval('%s')::text v) select count(*) from %s t, next where t.%s::text = next.v",
				strings.ReplaceAll(part[0], "'", "''"), part[1], part[2])
		}
		taken = append(taken, used)
	}
	if exact {
		if diff := cmp.Diff(answers(t, source, stands), answers(t, target, stands)); diff != "" {
			t.Errorf("the sequences %v stand at (-source +twin):\n%s", names, diff)
		}
	}
	for i, n := range answers(t, target, taken) {
		if n[0] != "0" {
			t.Errorf("the next value of %s is in its column already", names[i])
		}
	}
}

// dropRoles removes a case's roles, after its databases.
func dropRoles(t *testing.T, source, target string, roles []string) {
	t.Helper()
	t.Cleanup(func() {
		for _, db := range databases(t, source, name(t, target)) {
			pgtest.Exec(t, source, "drop database "+pgx.Identifier{db}.Sanitize()+" with (force)")
		}
		for _, role := range roles {
			role = pgx.Identifier{role}.Sanitize()
			pgtest.Exec(t, source, "drop owned by "+role+" cascade; drop role "+role)
		}
	})
}

// withUser is the address for another role.
func withUser(t *testing.T, address, role, password string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, password)
	return u.String()
}

// loseNotes loses the first write of one table's stream.
func loseNotes(table string) func(catalog.Name, io.Writer) io.WriteCloser {
	return func(name catalog.Name, w io.Writer) io.WriteCloser {
		l := &loseRow{w: w.(io.WriteCloser), table: "notes", done: name.Name != table}
		return l
	}
}
