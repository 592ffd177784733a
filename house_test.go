// Package neontwin_test holds the rules of the house: which package may import
// which, what must be documented, what may not be said.
package neontwin_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/neontwin/neontwin/"

// layers says which of our packages each package may import. A package without
// a line fails: draw its place first. Features meet only in the commands.
var layers = map[string][]string{
	// L0: the words, and what adapts one thing each.
	"internal/twin":    {},
	"internal/config":  {"internal/twin"},
	"internal/github":  {"internal/twin"},
	"internal/neon":    {"internal/twin"},
	"internal/catalog": {"internal/twin"},
	"internal/pgtools": {"internal/twin"},
	"migrations":       {},

	// L1: one thing done with them.
	"internal/spec":   {"internal/twin", "internal/mask"}, // the names of classes
	"internal/pgcopy": {"internal/twin", "internal/catalog"},
	"internal/subset": {"internal/twin", "internal/catalog"},
	"internal/checks": {"internal/twin", "internal/github"},
	"internal/store":  {"internal/twin"},
	"internal/mask":   {"internal/twin", "internal/catalog"},
	"internal/detect": {"internal/twin", "internal/catalog", "internal/mask"},

	"internal/privacy": {"internal/twin", "internal/catalog", "internal/mask", "internal/detect"},

	// L2: a plan and its executor; a webhook and its meaning.
	"internal/clone":   {"internal/twin", "internal/catalog", "internal/pgtools", "internal/pgcopy", "internal/subset", "internal/mask", "internal/privacy"},
	"internal/webhook": {"internal/twin", "internal/github", "internal/spec"},

	// L3: the use case, the queue, the pages.
	"internal/refresh": {"internal/twin", "internal/neon", "internal/catalog", "internal/pgtools", "internal/pgcopy", "internal/subset", "internal/detect", "internal/mask", "internal/privacy", "internal/clone"},
	"internal/jobs":    {"internal/twin", "internal/store", "migrations"},
	"internal/web":     {"internal/twin", "internal/store"},

	// Test support. It imports none of the clients that it judges.
	"internal/pglocal":    {},
	"internal/pgtest":     {"internal/pglocal"},
	"internal/githubtest": {},
	"internal/neontest":   {"internal/pglocal"},

	// The commands know everything.
	"cmd/server":  {everything},
	"cmd/twin":    {everything},
	"cmd/sandbox": {everything},

	// What measures a command from outside.
	"bench":          {"internal/twin", "internal/detect", "internal/mask", "bench/columns"},
	"bench/columns":  {},
	"bench/webhooks": {},

	// The tests of this folder.
	".": {},
}

const everything = "*"

// support is for tests and the sandbox; the packages named may use it too.
var support = map[string][]string{
	"internal/pglocal":    {"internal/pgtest", "internal/neontest", "cmd/sandbox", "cmd/server", "bench", "bench/webhooks"}, // the server's own database
	"internal/pgtest":     {"cmd/sandbox", "bench"},
	"internal/githubtest": {"cmd/sandbox"},
	"internal/neontest":   {"cmd/sandbox"},
}

// owners are the only packages that may import a dependency, so that a change
// of it stays in one place.
var owners = []struct {
	prefix   string
	packages []string
	tests    bool // whether any test may import it too
}{
	{"github.com/riverqueue/", []string{"internal/jobs", "bench/webhooks"}, true},
	{"github.com/google/go-github/", []string{"internal/github"}, false},
	{"github.com/bradleyfalzon/ghinstallation/", []string{"internal/github"}, false},
	{"github.com/pressly/goose/", []string{"internal/jobs", "migrations"}, true},
	{"github.com/RoaringBitmap/roaring/", []string{"internal/subset"}, true},
	{"github.com/goccy/go-yaml", []string{"internal/config", "internal/spec"}, true},
	{"github.com/alecthomas/kong", []string{"cmd/server", "cmd/twin", "cmd/sandbox"}, false},
	{"github.com/dchest/siphash", []string{"internal/mask"}, false},
	{"golang.org/x/text/", []string{"internal/mask", "internal/detect"}, false},
	{"github.com/getkin/kin-openapi/", nil, true},
	{"github.com/santhosh-tekuri/jsonschema/", nil, true},
	{"github.com/pelletier/go-toml/", nil, true},
	{"github.com/google/go-cmp/", nil, true},
	{"golang.org/x/tools/", nil, true},
	{"testing", []string{"internal/pgtest", "internal/githubtest", "internal/neontest"}, true},
	{"os/exec", []string{"internal/pgtools", "internal/pglocal", "internal/pgtest", "internal/neontest", "cmd/sandbox", "bench", "bench/webhooks"}, true},
}

// source is one Go file of the tree.
type source struct {
	path string // from the root, with slashes
	pkg  string // its folder
	test bool
	file *ast.File
}

func (s source) imports() []string {
	var out []string
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			out = append(out, p)
		}
	}
	return out
}

// ours strips the module from an import path of ours.
func ours(importPath string) (string, bool) { return strings.CutPrefix(importPath, module) }

// tree gives the files of the project by name: no other module's, nothing that
// is hidden or test data.
func tree(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			_, statErr := os.Stat(filepath.Join(p, "go.mod"))
			if statErr == nil || name == "testdata" || name == "bin" || name != ".ci" && strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		files = append(files, filepath.ToSlash(p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sources parses the Go files itself. Asking the go command would leave this
// test cached and green over a new violation.
func sources(t *testing.T, mode parser.Mode) []source {
	t.Helper()
	var out []source
	fset := token.NewFileSet()
	for _, p := range tree(t) {
		if !strings.HasSuffix(p, ".go") {
			continue
		}
		f, err := parser.ParseFile(fset, p, nil, mode)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		out = append(out, source{path: p, pkg: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), file: f})
	}
	if len(out) < 10 {
		t.Fatalf("found only %d Go files: this test looks in the wrong place", len(out))
	}
	return out
}

func TestLayers(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t, parser.ImportsOnly) {
		allowed, known := layers[s.pkg]
		if !known {
			t.Errorf("%s: package %s has no line in the table of layers", s.path, s.pkg)
			continue
		}
		for _, imported := range s.imports() {
			p, own := ours(imported)
			switch {
			case !own:
				foreign(t, s, imported)
			case s.test: // a test may look at its package from any side
			case support[p] != nil:
				if !slices.Contains(support[p], s.pkg) {
					t.Errorf("%s: imports %s, which is for tests", s.path, p)
				}
			case p != s.pkg && !slices.Contains(allowed, everything) && !slices.Contains(allowed, p):
				t.Errorf("%s: %s must not import %s", s.path, s.pkg, p)
			}
		}
	}
}

// foreign checks an import that is not ours.
func foreign(t *testing.T, s source, imported string) {
	t.Helper()
	if s.pkg == "internal/twin" && !s.test && strings.Contains(imported, ".") {
		t.Errorf("%s: twin imports the standard library only, not %s", s.path, imported)
	}
	for _, o := range owners {
		if imported != o.prefix && !strings.HasPrefix(imported, strings.TrimSuffix(o.prefix, "/")+"/") {
			continue
		}
		if !slices.Contains(o.packages, s.pkg) && !(s.test && o.tests) {
			t.Errorf("%s: %s must not import %s", s.path, s.pkg, imported)
		}
	}
}

func TestEveryPackageHasItsSentence(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, s := range sources(t, parser.ParseComments|parser.PackageClauseOnly) {
		if s.test {
			continue
		}
		documented[s.pkg] = documented[s.pkg] || s.file.Doc != nil
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no comment", pkg)
		}
	}
}

func TestEveryExportedNameHasItsSentence(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t, parser.ParseComments|parser.SkipObjectResolution) {
		if s.test {
			continue
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil {
					t.Errorf("%s: %s has no comment", s.path, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, name := range undocumented(d) {
					t.Errorf("%s: %s has no comment", s.path, name)
				}
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return true
		}
	}
}

// undocumented names what a declaration exports without a word. A comment on a
// group speaks for all of it.
func undocumented(d *ast.GenDecl) []string {
	if d.Doc != nil {
		return nil
	}
	var out []string
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && spec.Doc == nil && spec.Comment == nil {
				out = append(out, spec.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() && spec.Doc == nil && spec.Comment == nil {
					out = append(out, name.Name)
				}
			}
		}
	}
	return out
}

// unsaid are words that promise work instead of doing it, and names that mean
// nothing outside one workshop. They are put together here so that this file
// does not hold them.
var unsaid = []struct {
	pattern *regexp.Regexp
	tests   bool // whether tests may say it
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`), false},
	{regexp.MustCompile(`(^|[^a-z])shared` + `/`), true},
	{regexp.MustCompile(`\b(DESIGN|GITHUB|RIVER|NEON|ENGINE|STYLE)` + `\.md\b`), false},
}

func TestNothingUnsaidIsSaid(t *testing.T) {
	t.Parallel()
	kinds := []string{".go", ".md", ".sql", ".sh", ".yml", ".yaml", ".toml", ".html", ".css", ""}
	for _, p := range tree(t) {
		if !slices.Contains(kinds, path.Ext(p)) && path.Base(p) != ".golangci.yml" {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			t.Error(err)
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, u := range unsaid {
				if u.tests && strings.HasSuffix(p, "_test.go") {
					continue
				}
				if word := u.pattern.FindString(line); word != "" {
					t.Errorf("%s:%d: says %q", p, i+1, strings.TrimSpace(word))
				}
			}
		}
	}
}

// Every feature of the map is there, and the table names nothing that is gone.
func TestLayersAreNotStale(t *testing.T) {
	t.Parallel()
	there := map[string]bool{".": true}
	for _, s := range sources(t, parser.PackageClauseOnly) {
		there[s.pkg] = true
	}
	for pkg := range layers {
		if !there[pkg] {
			t.Errorf("the table of layers names %s, which does not exist", pkg)
		}
	}
}
