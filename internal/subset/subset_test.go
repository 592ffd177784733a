package subset_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/tools/txtar"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/subset"
	"github.com/neontwin/neontwin/internal/twin"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) { pgtest.Main(m) }

// opener gives sessions like those that read a source.
func opener(url string) func(context.Context) (*pgx.Conn, error) {
	return func(ctx context.Context) (*pgx.Conn, error) {
		cfg, err := pgx.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err != nil {
			return nil, err
		}
		_, err = conn.PgConn().Exec(ctx, "SET search_path = ''; SET row_security = off; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").ReadAll()
		return conn, err
	}
}

func readSchema(t testing.TB, url string) *catalog.Schema {
	t.Helper()
	conn, err := opener(url)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	s, err := catalog.Read(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kept lists the rows that a result keeps, as text, by table. Columns that
// become NULL are told behind the row.
func kept(t testing.TB, url string, s *catalog.Schema, r *subset.Result) map[string][]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	out := make(map[string][]string)
	for _, table := range s.Tables {
		pick, whole := r.Pick(table.OID)
		where := ""
		if !whole {
			where = " WHERE ctid = ANY ('" + string(pick.Rows.AppendLiteral(nil, 0, 0)) + "'::tid[])"
		}
		null := "''"
		for _, n := range pick.Null {
			null += fmt.Sprintf(" || CASE WHEN ctid = ANY ('%s'::tid[]) THEN ' null %s' ELSE '' END", n.Rows.AppendLiteral(nil, 0, 0), n.Column)
		}
		rows, err := conn.Query(t.Context(), "SELECT (x.*)::text || "+null+" FROM ONLY "+table.SQL()+" x"+where+` ORDER BY (x.*)::text COLLATE "C"`)
		if err != nil {
			t.Fatal(err)
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if !whole && int64(len(list)) != pick.Rows.Len() {
			t.Errorf("%s: %d rows are there, %d were picked", table.Name, len(list), pick.Rows.Len())
		}
		out[table.Name.String()] = list
	}
	return out
}

// section finds a file of an archive.
func section(a *txtar.Archive, name string) (string, bool) {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

// cases are the files under testdata: a schema with rows and subsets of it,
// each with its plan and what is kept, or why not.
func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	return files
}

func TestCases(t *testing.T) {
	t.Parallel()
	for _, file := range cases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := perform(t, pgtest.URL(t), want)
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// TestVersions holds that all servers that a source may have agree, to the
// percent of rows that are kept.
func TestVersions(t *testing.T) {
	t.Parallel()
	for _, major := range pgtest.Majors() {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			t.Parallel()
			if major != 13 && major != 18 {
				pgtest.Long(t)
			}
			server := pgtest.Server(t, major)
			for i, file := range cases(t) {
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("subset_%d", i)
				pgtest.Exec(t, server.URL("postgres"), "CREATE DATABASE "+name)
				if diff := cmp.Diff(string(want), string(perform(t, server.URL(name), want))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", file, diff)
				}
			}
		})
	}
}

// perform runs a case in an empty database and gives its file as it should be.
func perform(t *testing.T, url string, text []byte) []byte {
	t.Helper()
	a := txtar.Parse(text)
	sql, _ := section(a, "schema.sql")
	pgtest.Exec(t, url, sql)
	s := readSchema(t, url)
	var out []txtar.File
	for _, f := range a.Files {
		name, is := strings.CutPrefix(f.Name, "subset")
		switch {
		case strings.HasPrefix(f.Name, "kept"): // made anew
		case is:
			out = append(out, f, txtar.File{Name: "kept" + name, Data: []byte(tell(t, url, s, f.Data))})
		default:
			out = append(out, f)
		}
	}
	return txtar.Format(&txtar.Archive{Comment: a.Comment, Files: out})
}

// tell is all that there is to say of one subset. It is found twice, by one
// session and by three.
func tell(t *testing.T, url string, s *catalog.Schema, spec []byte) string {
	t.Helper()
	var sub twin.Subset
	if err := json.Unmarshal(spec, &sub); err != nil {
		t.Fatal(err)
	}
	refused := func(err error) string {
		f := twin.AsFailure(err)
		if f.Code != twin.CodeRefused {
			t.Fatal(err)
		}
		return "refused: " + strings.ReplaceAll(f.Message, "; ", "\n  ") + "\n"
	}
	plan, err := subset.New(s, sub)
	if err != nil {
		return refused(err)
	}
	var texts []string
	for _, workers := range []int{1, 3} {
		text := plan.String() + "\n"
		r, err := plan.Close(t.Context(), opener(url), workers, nil)
		if err != nil {
			texts = append(texts, text+refused(err))
			continue
		}
		rows := kept(t, url, s, r)
		for _, x := range r.Selections {
			text += fmt.Sprintf("%s %s %d rows", x.Table, x.Rule, x.Rows)
			if len(x.Path) > 1 {
				text += " by way of " + strings.Join(x.Path, " > ")
			}
			text += "\n"
			for _, why := range x.Why {
				text += fmt.Sprintf("  %d %s\n", why.Rows, why.Words)
			}
			if int64(len(rows[x.Table])) != x.Rows {
				t.Errorf("%s: %d rows are said, %d kept", x.Table, x.Rows, len(rows[x.Table]))
			}
			for _, row := range rows[x.Table] {
				text += "  " + row + "\n"
			}
		}
		for _, h := range r.Hazards {
			text += fmt.Sprintf("hazard %s %s: %s\n", h.ID, h.Object, h.Message)
		}
		texts = append(texts, text)
	}
	if diff := cmp.Diff(texts[0], texts[1]); diff != "" {
		t.Errorf("one session and three differ:\n%s", diff)
	}
	return texts[0]
}
