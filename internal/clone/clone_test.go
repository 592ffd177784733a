package clone_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/tools/txtar"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/twin"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var update = flag.Bool("update", false, "write the golden files anew")

// Each case is a source and the plan that is made for it. The plan is then run,
// and what it made is dumped and compared with the source's dump.
func TestPlans(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/plans/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sections := map[string][]byte{}
			for _, f := range a.Files {
				sections[f.Name] = f.Data
			}
			source := pgtest.URL(t)
			pgtest.Exec(t, source, string(sections["source.sql"]))
			plan := newPlan(t, source)
			got := printed(plan)
			if *update {
				a.Files = []txtar.File{{Name: "source.sql", Data: sections["source.sql"]}, {Name: "plan", Data: []byte(got)}}
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(sections["plan"]), got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			target := pgtest.URL(t)
			if _, err := plan.Run(t.Context(), env(source, target)); err != nil {
				t.Fatal(err)
			}
			same(t, source, target)
		})
	}
}

// newPlan plans a copy of the whole database at url.
func newPlan(t *testing.T, url string) *clone.Plan {
	t.Helper()
	conn, err := pgcopy.Reader(t.Context(), url, "neontwin/test", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	schema, err := catalog.Read(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := clone.New(schema, dump(t, url), clone.Target{ServerVersion: schema.ServerVersion}, clone.Options{Mode: twin.Full, Jobs: 2})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func env(source, target string) clone.Env {
	return clone.Env{Source: source, Target: target, App: "neontwin/test", Jobs: 2, Tracker: clone.NewTracker(func(twin.Progress) {})}
}

func dump(t *testing.T, url string) *pgtools.Archive {
	t.Helper()
	tools, err := pgtools.Find(t.Context(), 15, "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := tools.Dump(t.Context(), url, pgtools.DumpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// same holds a copy to its source: what pg_dump says, and whether constraints
// are valid, which it says of those alone that are not.
func same(t *testing.T, source, target string) {
	t.Helper()
	texts := func(url string) (out []string) {
		for _, e := range dump(t, url).Entries {
			if e.Desc != "DATABASE" {
				out = append(out, e.Desc+" "+e.Namespace+" "+e.Tag+"\n"+e.Defn)
			}
		}
		conn := pgtest.Connect(t, url)
		rows, err := conn.Query(t.Context(), `select conrelid::regclass||' '||conname||' '||convalidated||' '||pg_get_constraintdef(oid) from pg_constraint
			where connamespace = 'public'::regnamespace order by 1`)
		if err != nil {
			t.Fatal(err)
		}
		constraints, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return append(out, constraints...)
	}
	if diff := cmp.Diff(texts(source), texts(target)); diff != "" {
		t.Errorf("the copy differs (-source +copy):\n%s", diff)
	}
}

// printed is a plan as text, without what changes from run to run.
func printed(p *clone.Plan) string {
	var b strings.Builder
	list := func(title string, statements []clone.Statement) {
		if len(statements) > 0 {
			fmt.Fprintf(&b, "%s\n", title)
		}
		for _, s := range statements {
			fmt.Fprintf(&b, "  [%s] %s\n", s.What, strings.Join(strings.Fields(s.SQL), " "))
		}
	}
	// By name: sizes depend on the server.
	steps := slices.SortedFunc(slices.Values(p.Steps), func(a, b clone.Step) int { return strings.Compare(a.Table.SQL(), b.Table.SQL()) })
	for _, s := range steps {
		fmt.Fprintf(&b, "table %s (%s) %s, %d parts\n", s.Table, strings.Join(s.Columns, ", "), s.Format, len(s.Parts))
		list(" indexes", s.Indexes)
		list(" keys", s.Keys)
	}
	list("parents", p.Parents)
	var add, validate []clone.Statement
	for _, k := range p.ForeignKeys {
		if add = append(add, k.Add); k.Validate.SQL != "" {
			validate = append(validate, k.Validate)
		}
	}
	list("foreign keys", add)
	list("validate", validate)
	list("attach", p.Attach)
	list("after", p.After)
	list("refresh", p.Refresh)
	return b.String()
}
