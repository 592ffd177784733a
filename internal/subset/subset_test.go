package subset_test

import (
	"context"
	"encoding/json"
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
	conn := pgtest.Connect(t, url)
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

// TestCases runs what is under testdata: a schema with rows and a subset of it,
// then the plan and what is kept, or why not.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
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
			sql, _ := section(a, "schema.sql")
			url := pgtest.URL(t)
			pgtest.Exec(t, url, sql)
			s := readSchema(t, url)
			got := slices.Clone(a.Files)
			for i, f := range a.Files {
				name, ok := strings.CutPrefix(f.Name, "subset")
				if !ok {
					continue
				}
				text := tell(t, url, s, f.Data)
				at := slices.IndexFunc(got, func(x txtar.File) bool { return x.Name == "kept"+name })
				if at < 0 {
					at = slices.IndexFunc(got, func(x txtar.File) bool { return x.Name == a.Files[i].Name }) + 1
					got = slices.Insert(got, at, txtar.File{Name: "kept" + name})
				}
				got[at].Data = []byte(text)
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out := txtar.Format(&txtar.Archive{Comment: a.Comment, Files: got})
			if *update {
				if err := os.WriteFile(file, out, 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), string(out)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
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
