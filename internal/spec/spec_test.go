package spec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/spec"
	"github.com/neontwin/neontwin/internal/twin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestParse runs every case of testdata: a file, and the Twins or the errors
// that come of it.
func TestParse(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("find cases: %v, %d found", err, len(cases))
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := outcome(t, a.Files[0].Data)
			if *update {
				a.Files = []txtar.File{a.Files[0], {Name: "want", Data: []byte(got)}}
				if err := os.WriteFile(path, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(a.Files) != 2 {
				t.Fatalf("%s has %d files, want file and want", path, len(a.Files))
			}
			if diff := cmp.Diff(string(a.Files[1].Data), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// outcome is what Parse makes of a file, as text.
func outcome(t *testing.T, data []byte) string {
	t.Helper()
	f, err := spec.Parse(spec.Path, data)
	if err != nil {
		return err.Error() + "\n"
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(f.Twins); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestParseTooLarge(t *testing.T) {
	t.Parallel()
	_, err := spec.Parse(spec.Path, bytes.Repeat([]byte("#"), spec.MaxSize+1))
	var es spec.Errors
	if !errors.As(err, &es) || len(es) != 1 || !strings.Contains(err.Error(), "64 KiB") {
		t.Fatalf("got %v, want one error that names the limit", err)
	}
}

// TestParseHostile feeds what makes parsers slow, hungry or overflow: each is
// refused, and quickly.
func TestParseHostile(t *testing.T) {
	t.Parallel()
	const n = spec.MaxSize
	fill := func(s string) string { return strings.Repeat(s, n/len(s)) }
	for name, text := range map[string]string{
		"brackets":      fill("["),
		"braces":        fill("{"),
		"entries":       fill("- "),
		"keys in keys":  fill("? "),
		"colons":        fill("a: "),
		"quotes":        fill(`"`),
		"anchors":       "a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n",
		"tags":          fill("!a "),
		"documents":     fill("---\n"),
		"literal":       "a: |\n" + fill(" \n"),
		"stairs":        stairs(n),
		"commas":        "a: [" + strings.Repeat(",", n-10) + "]",
		"nul":           fill("\x00"),
		"many keys":     manyKeys(n),
		"closing":       fill("]"),
		"percent":       fill("%a\n"),
		"carriage":      fill("\r"),
		"tabs":          fill("\t"),
		"comment lines": fill("#\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			if _, err := spec.Parse(spec.Path, []byte(text)); err == nil {
				t.Error("got no error")
			}
			if took := time.Since(began); took > time.Minute { // seconds on a slow machine, hours if something grows faster than the square
				t.Errorf("took %v", took)
			} else {
				t.Logf("took %v", took)
			}
		})
	}
}

func stairs(n int) string {
	var b strings.Builder
	for i := 0; b.Len()+i+3 < n; i++ {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := 0; b.Len()+12 < n; i++ {
		b.WriteString("k" + strings.Repeat("x", i%7) + ":\n")
	}
	return b.String()
}

// FuzzParse holds that nothing panics, that a failure has a place, and that
// what is accepted is valid.
func FuzzParse(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range cases {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := spec.Parse(spec.Path, data)
		if err != nil {
			var es spec.Errors
			if !errors.As(err, &es) || len(es) == 0 {
				t.Fatalf("got %T, want spec.Errors", err)
			}
			for _, e := range es {
				if e.Line < 1 || e.Column < 1 || e.Message == "" || strings.ContainsAny(e.Error(), "\r\n") {
					t.Fatalf("bad error %+v", e)
				}
			}
			return
		}
		if len(file.Twins) == 0 {
			t.Fatal("accepted without a Twin")
		}
		targets := map[string]bool{}
		for _, s := range file.Twins {
			if s.Name == "" || s.Source == "" || s.Target == "" || s.On == (twin.Triggers{}) || targets[s.Target] || !fit(s) {
				t.Fatalf("accepted %+v", s)
			}
			targets[s.Target] = true
		}
	})
}

// fit reports whether a Twin's mode and subset mean one thing.
func fit(s twin.Spec) bool {
	rows := s.Subset
	if s.Masking != nil {
		for _, r := range s.Masking.Rules {
			if strings.Count(r.Column, ".") < 2 || !slices.Contains(mask.Classes(), mask.Class(r.Class)) || r.Class == string(mask.Keep) {
				return false
			}
		}
	}
	switch s.Mode {
	case twin.Full:
		return rows == nil && s.Masking == nil
	case twin.SchemaOnly:
		return rows == nil || len(rows.Whole) > 0 && len(rows.Roots)+len(rows.References)+len(rows.Empty) == 0 && rows.MaxRows == 0
	case twin.Partial, twin.Anonymized:
		if s.Mode == twin.Anonymized && rows == nil {
			return true
		}
		if rows == nil || len(rows.Roots) == 0 || rows.MaxRows < 0 {
			return false
		}
		for _, r := range rows.Roots {
			if !strings.Contains(r.Table, ".") || r.Limit < 0 || r.Percent < 0 || r.Percent > 100 || r.OrderBy != "" && r.Limit == 0 {
				return false
			}
		}
		for _, r := range rows.References {
			if !strings.Contains(r.Table, ".") || len(r.Columns) == 0 || (r.To == "") != (len(r.ToColumns) == 0) ||
				r.To == "" && r.When != "" || r.Follow != nil && !*r.Follow && (r.Limit > 0 || r.Where != "") {
				return false
			}
		}
		return true
	case twin.Synthetic:
		return false
	}
	return false
}

// TestExamples holds the examples of the documents to what the parser takes:
// whole files, and parts of a Twin.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"../../docs/partial.md", "../../docs/configuration.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range strings.Split(string(text), "```yaml\n")[1:] {
			block, _, _ = strings.Cut(block, "```")
			switch first, _, _ := strings.Cut(block, ":"); first {
			case "version":
			case "mode", "subset", "schedule":
				block = twinWith(block)
			default: // of the operator's file
				continue
			}
			if _, err := spec.Parse("example", []byte(block)); err != nil {
				t.Errorf("example %d of %s: %v in\n%s", i+1, path, err, block)
			}
		}
	}
}

// twinWith makes a file of a part of a Twin.
func twinWith(part string) string {
	const head = "version: 1\ntwins:\n  staging:\n    source: prod\n    target: shop-twin\n"
	rest := "    on: {push: }\n"
	switch {
	case strings.HasPrefix(part, "schedule"):
		return head + "    mode: full\n    on:\n" + indented(part, 6)
	case !strings.HasPrefix(part, "mode"):
		rest += "    mode: partial\n"
	}
	return head + rest + indented(part, 4)
}

func indented(text string, n int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Repeat(" ", n) + line)
	}
	return b.String()
}
