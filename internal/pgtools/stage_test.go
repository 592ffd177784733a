package pgtools_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/pgtools"
)

func TestClass(t *testing.T) {
	t.Parallel()
	pre, data, post, none := pgtools.SectionPre, pgtools.SectionData, pgtools.SectionPost, pgtools.SectionNone
	for _, c := range []struct {
		e    pgtools.Entry
		want pgtools.Stage
	}{
		{pgtools.Entry{Desc: "ENCODING", Section: pre}, pgtools.Skip},
		{pgtools.Entry{Desc: "STDSTRINGS", Section: pre}, pgtools.Skip},
		{pgtools.Entry{Desc: "SEARCHPATH", Section: pre}, pgtools.Skip},
		{pgtools.Entry{Desc: "DATABASE", Section: pre}, pgtools.Skip},
		{pgtools.Entry{Desc: "DATABASE PROPERTIES", Section: pre}, pgtools.Skip},
		{pgtools.Entry{Desc: "SCHEMA", Tag: "public", Section: pre, Defn: "-- *not* creating schema, since initdb creates it\n"}, pgtools.Skip},
		{pgtools.Entry{Desc: "SCHEMA", Tag: "public", Section: pre, Defn: "CREATE SCHEMA public;"}, pgtools.Pre},
		{pgtools.Entry{Desc: "SCHEMA", Tag: "shop", Section: pre}, pgtools.Pre},
		{pgtools.Entry{Desc: "TABLE", Section: pre}, pgtools.Pre},
		{pgtools.Entry{Desc: "TABLE ATTACH", Section: pre}, pgtools.Pre},
		{pgtools.Entry{Desc: "DEFAULT", Section: pre}, pgtools.Pre},
		{pgtools.Entry{Desc: "SEQUENCE OWNED BY", Section: pre}, pgtools.Pre},
		{pgtools.Entry{Desc: "EXTENSION", Section: pre}, pgtools.Pre},
		{pgtools.Entry{Desc: "MATERIALIZED VIEW", Section: pre}, pgtools.Pre},
		{pgtools.Entry{Desc: "MATERIALIZED VIEW", Section: post}, pgtools.Final},
		{pgtools.Entry{Desc: "FUNCTION", Section: post}, pgtools.Final},
		{pgtools.Entry{Desc: "SOMETHING OF 2031", Section: pre}, pgtools.Pre},
		{pgtools.Entry{Desc: "SOMETHING OF 2031", Section: post}, pgtools.Final},
		{pgtools.Entry{Desc: "INDEX", Section: post}, pgtools.Index},
		{pgtools.Entry{Desc: "CONSTRAINT", Section: post, Defn: "ALTER TABLE ONLY a.b\n    ADD CONSTRAINT c PRIMARY KEY (d);"}, pgtools.Index},
		{pgtools.Entry{Desc: "CONSTRAINT", Section: post, Defn: "ALTER TABLE a.b\n    ADD CONSTRAINT \"c \"\" d\" NOT NULL d NOT VALID;"}, pgtools.Final},
		{pgtools.Entry{Desc: "CONSTRAINT", Section: post, Defn: "ALTER TABLE a.b\n    ADD CONSTRAINT \"c NOT NULL \" UNIQUE (d);"}, pgtools.Index},
		{pgtools.Entry{Desc: "CHECK CONSTRAINT", Section: post}, pgtools.Final},
		{pgtools.Entry{Desc: "FK CONSTRAINT", Section: post}, pgtools.ForeignKey},
		{pgtools.Entry{Desc: "INDEX ATTACH", Section: post}, pgtools.Attach},
		{pgtools.Entry{Desc: "MATERIALIZED VIEW DATA", Section: post}, pgtools.Refresh},
		{pgtools.Entry{Desc: "TRIGGER", Section: post}, pgtools.Final},
		{pgtools.Entry{Desc: "RULE", Section: post}, pgtools.Final},
		{pgtools.Entry{Desc: "POLICY", Section: post}, pgtools.Final},
		{pgtools.Entry{Desc: "ROW SECURITY", Section: post}, pgtools.Final},
		{pgtools.Entry{Desc: "STATISTICS", Section: post}, pgtools.Final},
		{pgtools.Entry{Desc: "STATISTICS DATA", Section: data}, pgtools.Skip},
		{pgtools.Entry{Desc: "PUBLICATION", Section: post}, pgtools.Skip},
		{pgtools.Entry{Desc: "PUBLICATION TABLE", Section: post}, pgtools.Skip},
		{pgtools.Entry{Desc: "PUBLICATION TABLES IN SCHEMA", Section: post}, pgtools.Skip},
		{pgtools.Entry{Desc: "SUBSCRIPTION", Section: post}, pgtools.Skip},
		{pgtools.Entry{Desc: "EVENT TRIGGER", Section: post}, pgtools.Skip},
		{pgtools.Entry{Desc: "SECURITY LABEL", Section: none}, pgtools.Skip},
		{pgtools.Entry{Desc: "USER MAPPING", Section: pre}, pgtools.Skip},
		{pgtools.Entry{Desc: "ACL", Section: none}, pgtools.Skip},
		{pgtools.Entry{Desc: "DEFAULT ACL", Section: post}, pgtools.Skip},
		{pgtools.Entry{Desc: "TABLE DATA", Section: data}, pgtools.Skip},
		{pgtools.Entry{Desc: "SEQUENCE SET", Section: data}, pgtools.Skip},
		{pgtools.Entry{Desc: "BLOB", Section: pre}, pgtools.Skip},
		{pgtools.Entry{Desc: "BLOBS", Section: data}, pgtools.Skip},
		{pgtools.Entry{Desc: "BLOB METADATA", Section: pre}, pgtools.Skip},
		{pgtools.Entry{Desc: "COMMENT", Tag: "TABLE t", Section: none}, pgtools.Final},
		{pgtools.Entry{Desc: "COMMENT", Tag: "SCHEMA shop", Section: none}, pgtools.Final},
		{pgtools.Entry{Desc: "COMMENT", Tag: "SCHEMA public", Section: none}, pgtools.Skip},
		{pgtools.Entry{Desc: "COMMENT", Tag: "EXTENSION citext", Section: none}, pgtools.Skip},
		{pgtools.Entry{Desc: "COMMENT", Tag: "DATABASE shop", Section: none}, pgtools.Skip},
		{pgtools.Entry{Desc: "COMMENT", Tag: "EVENT TRIGGER e", Section: none}, pgtools.Skip},
		{pgtools.Entry{Desc: "COMMENT", Tag: "LARGE OBJECT 1", Section: none}, pgtools.Skip},
	} {
		if c.e.Defn == "" {
			c.e.Defn = "SELECT 1;"
		}
		got, reason := pgtools.Class(c.e)
		if got != c.want || (reason != "") != (got == pgtools.Skip) {
			t.Errorf("%s %s in section %d: stage %d (%q), want %d", c.e.Desc, c.e.Tag, c.e.Section, got, reason, c.want)
		}
	}
}

func TestStagesFollowDependencies(t *testing.T) {
	t.Parallel()
	a := &pgtools.Archive{Entries: []pgtools.Entry{
		{DumpID: 1, Desc: "CONSTRAINT", Section: pgtools.SectionPost, Defn: "x"},
		{DumpID: 2, Desc: "FUNCTION", Section: pgtools.SectionPost, Defn: "x", Dependencies: []int{1}},
		{DumpID: 3, Desc: "INDEX", Section: pgtools.SectionPost, Defn: "x", Dependencies: []int{2, 99}},
		{DumpID: 4, Desc: "INDEX", Section: pgtools.SectionPost, Defn: "x", Dependencies: []int{1}},
	}}
	stages, _ := a.Stages()
	if len(stages[pgtools.Index]) != 2 || len(stages[pgtools.Final]) != 2 || stages[pgtools.Final][1].DumpID != 3 {
		t.Errorf("stages %v", stages)
	}
}

// TestStagesMakeTheSchema makes the schema again, stage by stage, and lets
// pg_dump say whether it is the same.
func TestStagesMakeTheSchema(t *testing.T) {
	t.Parallel()
	found, source, target := tools(t), rich(t), pgtest.URL(t)
	a, err := found.Dump(t.Context(), source, pgtools.DumpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stages, skips := a.Stages()
	conn := pgtest.Connect(t, target)
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%v\nin: %.2000s", err, sql)
		}
	}
	exec(a.Session())
	for _, stage := range slices.Sorted(maps.Keys(stages)) {
		for _, e := range stages[stage] {
			exec(e.Defn)
		}
	}

	var reasons []string
	for _, s := range skips {
		reasons = append(reasons, s.Desc)
	}
	slices.Sort(reasons)
	if want := []string{"COMMENT", "COMMENT", "COMMENT", "DATABASE", "ENCODING", "EVENT TRIGGER", "SEARCHPATH", "STDSTRINGS", "USER MAPPING"}; !slices.Equal(reasons, want) {
		t.Errorf("skipped %v, want %v", reasons, want)
	}
	var late []string
	for _, e := range stages[pgtools.MatViewIndex] {
		late = append(late, e.Desc+" "+e.Tag)
	}
	slices.Sort(late)
	if want := []string{"COMMENT INDEX late_too_name", "INDEX late_too_name", "INDEX z_first_name"}; !slices.Equal(late, want) {
		t.Errorf("made after the refresh: %v, want %v", late, want)
	}
	// What a Twin does not have.
	pgtest.Exec(t, source, `DROP EVENT TRIGGER watch; DROP USER MAPPING FOR CURRENT_USER SERVER away;
		COMMENT ON EXTENSION citext IS 'data type for case-insensitive character strings'`)
	if diff := cmp.Diff(script(t, found, source), script(t, found, target)); diff != "" {
		t.Errorf("pg_dump of source and target differ (-source +target):\n%s", diff)
	}
}

// restrict matches lines that are different in every dump.
var restrict = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)

func script(t *testing.T, found pgtools.Tools, url string) []string {
	t.Helper()
	out := run(t, found.PgDump, "--schema-only", "--no-publications", "-d", url)
	return strings.Split(restrict.ReplaceAllString(out, ""), "\n")
}

func TestIdentityIsWhatAlterOwnerTakes(t *testing.T) {
	t.Parallel()
	found, url := tools(t), rich(t)
	role := fmt.Sprintf(`Owner "of" %s`, strings.TrimPrefix(url[strings.LastIndex(url, "/")+1:], "/"))
	role = strings.TrimSuffix(role, "?sslmode=disable")
	quoted := `"` + strings.ReplaceAll(role, `"`, `""`) + `"`
	pgtest.Exec(t, url, "CREATE ROLE "+quoted+" SUPERUSER")
	a, err := found.Dump(t.Context(), url, pgtools.DumpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conn := pgtest.Connect(t, url)
	owned := 0
	for _, e := range a.Entries {
		id := pgtools.Identity(e)
		if id == "" {
			continue
		}
		if _, err := conn.Exec(t.Context(), "ALTER "+id+" OWNER TO "+quoted); err != nil {
			t.Errorf("%s %s: %v", e.Desc, id, err)
		}
		owned++
	}
	if owned < 50 {
		t.Errorf("%d entries with an owner only", owned)
	}
	b, err := found.Dump(t.Context(), url, pgtools.DumpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range b.Entries {
		if pgtools.Identity(e) != "" && e.Owner != role {
			t.Errorf("%s %s still belongs to %s", e.Desc, e.Tag, e.Owner)
		}
	}
	keys := map[pgtools.Key]bool{}
	for _, e := range b.Entries {
		if keys[e.Key()] {
			t.Errorf("two entries with the key %v", e.Key())
		}
		keys[e.Key()] = true
	}
	pgtest.Exec(t, url, "REASSIGN OWNED BY "+quoted+" TO CURRENT_USER; DROP ROLE "+quoted)
}
