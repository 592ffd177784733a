package pgtools_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/pgtools"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// rich makes a database with one of everything.
func rich(t *testing.T) string {
	t.Helper()
	sql, err := os.ReadFile("../catalog/testdata/rich.sql")
	if err != nil {
		t.Fatal(err)
	}
	url := pgtest.URL(t)
	pgtest.Exec(t, url, string(sql))
	return url
}

func tools(t *testing.T) pgtools.Tools {
	t.Helper()
	found, err := pgtools.Find(t.Context(), 13, "")
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	return found
}

// listed is a line of pg_restore -l -v: number, catalog, OID, then kind,
// schema, tag and owner, which are not told apart.
var listed = regexp.MustCompile(`^(\d+); (\d+) (\d+) (.*)$`)

func TestReadsWhatPgRestoreReads(t *testing.T) {
	t.Parallel()
	found, url := tools(t), rich(t)
	file := filepath.Join(t.TempDir(), "dump")
	run(t, found.PgDump, "-Fc", "--schema-only", "-f", file, "-d", url)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := pgtools.ReadArchive(f)
	if err != nil {
		t.Fatal(err)
	}
	restore := filepath.Join(filepath.Dir(found.PgDump), "pg_restore")

	oneLine := strings.NewReplacer("\n", " ", "\r", " ")
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	var got, want []string
	var deps []string
	for _, e := range a.Entries {
		got = append(got, fmt.Sprintf("%d %d %d %s %s %s %s", e.DumpID, e.TableOID, e.OID,
			e.Desc, dash(oneLine.Replace(e.Namespace)), oneLine.Replace(e.Tag), oneLine.Replace(e.Owner)))
		if len(e.Dependencies) > 0 {
			line := ";\tdepends on:"
			for _, id := range e.Dependencies {
				line += " " + strconv.Itoa(id)
			}
			deps = append(deps, line)
		}
	}
	var wantDeps []string
	for line := range strings.Lines(run(t, restore, "-l", "-v", file)) {
		line = strings.TrimRight(line, "\n")
		if m := listed.FindStringSubmatch(line); m != nil {
			want = append(want, strings.Join(m[1:], " "))
		}
		if strings.HasPrefix(line, ";\tdepends on:") {
			wantDeps = append(wantDeps, line)
		}
	}
	if len(want) < 100 {
		t.Fatalf("pg_restore lists %d entries only", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries differ from pg_restore -l (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantDeps, deps); diff != "" {
		t.Errorf("dependencies differ from pg_restore -l (-want +got):\n%s", diff)
	}
	script := run(t, restore, "-f", "-", file)
	for _, e := range a.Entries {
		if e.Namespace != "" && !strings.Contains(script, e.Defn) {
			t.Errorf("%s %s: its definition is not in pg_restore's script:\n%s", e.Desc, e.Tag, e.Defn)
		}
	}
	if a.ToolVersion == "" || a.ServerVersion == "" || !strings.Contains(url, "/"+a.Database) {
		t.Errorf("head: %q %q %q", a.Database, a.ServerVersion, a.ToolVersion)
	}
}

// writer makes archives by the book, in any version of the format.
type writer struct {
	bytes.Buffer
	minor, intSize, offSize int
}

func (w *writer) int(n int) {
	if n < 0 {
		w.WriteByte(1)
		n = -n
	} else {
		w.WriteByte(0)
	}
	for range w.intSize {
		w.WriteByte(byte(n))
		n >>= 8
	}
}

func (w *writer) str(s string) { w.int(len(s)); w.WriteString(s) }
func (w *writer) null()        { w.int(-1) }

func (w *writer) head(entries int) {
	w.WriteString("PGDMP")
	w.Write([]byte{1, byte(w.minor), 0, byte(w.intSize), byte(w.offSize), 1})
	if w.minor >= 15 {
		w.WriteByte(3)
	} else {
		w.int(-1)
	}
	for _, n := range []int{59, 58, 23, 31, 11, 126, -1} {
		w.int(n)
	}
	w.str("shop")
	w.str("17.6 (Debian 17.6-1)")
	w.str("18.1")
	w.int(entries)
}

func (w *writer) entry(e pgtools.Entry) {
	w.int(e.DumpID)
	w.int(0)
	w.str(strconv.Itoa(int(e.TableOID)))
	w.str(strconv.Itoa(int(e.OID)))
	w.str(e.Tag)
	w.str(e.Desc)
	w.int(int(e.Section))
	w.str(e.Defn)
	w.str(e.DropStmt)
	w.null() // COPY statement
	if e.Namespace == "" {
		w.null()
	} else {
		w.str(e.Namespace)
	}
	w.str("") // tablespace
	if w.minor >= 14 {
		w.str("heap")
	}
	if w.minor >= 16 {
		w.int('r')
	}
	w.str(e.Owner)
	w.str("false")
	for _, id := range e.Dependencies {
		w.str(strconv.Itoa(id))
	}
	w.null()
	w.WriteByte(3)
	for range w.offSize {
		w.WriteByte(0xff)
	}
}

func sample() []pgtools.Entry {
	return []pgtools.Entry{
		{DumpID: 1, Tag: "ENCODING", Desc: "ENCODING", Section: pgtools.SectionPre, Defn: "SET client_encoding = 'UTF8';\n"},
		{
			DumpID: 70000, TableOID: 1259, OID: math.MaxUint32, Tag: "Tàble", Desc: "TABLE", Section: pgtools.SectionPre,
			Defn: "CREATE TABLE ...;\n", DropStmt: "DROP TABLE x;\n", Namespace: "public", Owner: "o", Dependencies: []int{1, 69999},
		},
		{DumpID: 70001, Tag: "t fk", Desc: "FK CONSTRAINT", Section: pgtools.SectionPost, Defn: "ALTER", Namespace: "public", Dependencies: []int{70000}},
	}
}

func TestFormatVersions(t *testing.T) {
	t.Parallel()
	for _, w := range []*writer{
		{minor: 13, intSize: 4, offSize: 8},
		{minor: 14, intSize: 4, offSize: 8},
		{minor: 15, intSize: 4, offSize: 8},
		{minor: 16, intSize: 4, offSize: 8},
		{minor: 16, intSize: 8, offSize: 4},
	} {
		w.head(len(sample()))
		for _, e := range sample() {
			w.entry(e)
		}
		w.WriteString("what follows is not read")
		a, err := pgtools.ReadArchive(bytes.NewReader(w.Bytes()))
		if err != nil {
			t.Errorf("1.%d: %v", w.minor, err)
			continue
		}
		want := &pgtools.Archive{Database: "shop", ServerVersion: "17.6 (Debian 17.6-1)", ToolVersion: "18.1", Entries: sample()}
		if diff := cmp.Diff(want, a); diff != "" {
			t.Errorf("1.%d (-want +got):\n%s", w.minor, diff)
		}
	}
}

func TestReadArchiveRefuses(t *testing.T) {
	t.Parallel()
	head := func(change func(b []byte)) []byte {
		w := &writer{minor: 16, intSize: 4, offSize: 8}
		w.head(1)
		change(w.Bytes())
		return w.Bytes()
	}
	huge := &writer{minor: 16, intSize: 4, offSize: 8}
	huge.head(1)
	for range 2 {
		huge.int(1)
	}
	huge.int(math.MaxInt32) // a string of 2 GB that never comes
	for _, c := range []struct {
		name, want string
		in         []byte
	}{
		{"nothing", "unexpected EOF", nil},
		{"text", "not a pg_dump archive", []byte("-- PostgreSQL database dump")},
		{"newer", "unknown format version 1.17", head(func(b []byte) { b[6] = 17 })},
		{"older", "unknown format version 1.12", head(func(b []byte) { b[6] = 12 })},
		{"sizes", "sizes of 200 and 8", head(func(b []byte) { b[8] = 200 })},
		{"tar", "format 3", head(func(b []byte) { b[10] = 3 })},
		{"cut", "unexpected EOF", head(func([]byte) {})},
		{"long string", "256 MB", huge.Bytes()},
	} {
		a, err := pgtools.ReadArchive(bytes.NewReader(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want an error with %q", c.name, a, err, c.want)
		}
	}
}

func TestReadArchiveTruncatedAnywhere(t *testing.T) {
	t.Parallel()
	w := &writer{minor: 16, intSize: 4, offSize: 8}
	w.head(len(sample()))
	for _, e := range sample() {
		w.entry(e)
	}
	for n := range w.Len() {
		if _, err := pgtools.ReadArchive(bytes.NewReader(w.Bytes()[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut after %d of %d bytes: %v", n, w.Len(), err)
		}
	}
}

func FuzzReadArchive(f *testing.F) {
	for _, minor := range []int{13, 14, 15, 16} {
		w := &writer{minor: minor, intSize: 4, offSize: 8}
		w.head(len(sample()))
		for _, e := range sample() {
			w.entry(e)
		}
		f.Add(w.Bytes())
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := pgtools.ReadArchive(bytes.NewReader(in))
		if (a == nil) == (err == nil) {
			t.Fatalf("archive %v with error %v", a, err)
		}
		if err != nil {
			return
		}
		var n int
		for _, e := range a.Entries {
			n += len(e.Tag) + len(e.Defn)
			pgtools.Identity(e)
			pgtools.Class(e)
		}
		if n > len(in) {
			t.Fatalf("%d bytes of text out of %d", n, len(in))
		}
	})
}

// run runs a program of PostgreSQL's and gives its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s: %v\n%s", filepath.Base(name), err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}
