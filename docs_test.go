package neontwin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/config"
	"github.com/neontwin/neontwin/internal/spec"
)

// Every variable that the server reads is documented, and nothing else is.
func TestEveryVariableIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z][A-Z0-9_]*)` \\| ([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		if _, twice := documented[row[1]]; twice {
			t.Errorf("%s is documented twice", row[1])
		}
		documented[row[1]] = row[2]
	}
	for _, v := range config.Variables() {
		row, ok := documented[v.Name]
		if !ok {
			t.Errorf("%s is not documented", v.Name)
		}
		if plain := regexp.MustCompile(`^[^ ]+$`).MatchString(v.Default); plain && !strings.Contains(row, "`"+v.Default+"`") {
			t.Errorf("%s: the default is %s, its row says %q", v.Name, v.Default, row)
		}
		delete(documented, v.Name)
	}
	for name := range documented {
		t.Errorf("%s is documented, but nobody reads it", name)
	}
}

// Every direct dependency has its line of why, and nothing else has.
func TestEveryDependencyHasItsWhy(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("docs/adr/0011-dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		explained[row[1]] = true
	}
	required := regexp.MustCompile(`(?m)^(?:require )?\s*([a-z0-9.]+\.[a-z]+/\S+) v\S+( // indirect)?$`)
	for _, m := range required.FindAllStringSubmatch(string(mod), -1) {
		if direct := m[2] == ""; direct && !explained[m[1]] {
			t.Errorf("%s has no line in docs/adr/0011-dependencies.md", m[1])
		}
		delete(explained, m[1])
	}
	for name := range explained {
		t.Errorf("%s is explained, but go.mod does not require it", name)
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// Links between our documents lead somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, p := range tree(t) {
		if filepath.Ext(p) != ".md" {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), m[1])); err != nil {
				t.Errorf("%s: a link leads nowhere: %s", p, m[1])
			}
		}
	}
}

// example finds the YAML in a document that begins with a word.
func example(t *testing.T, begin string) []byte {
	t.Helper()
	text, err := os.ReadFile("docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```yaml\n(" + begin + ".*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatalf("no example that begins with %s", begin)
	}
	return found[1]
}

// The example of the repository's file is one that is accepted.
func TestRepositorysExampleIsAccepted(t *testing.T) {
	t.Parallel()
	file, err := spec.Parse(spec.Path, example(t, "version:"))
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Twins) != 1 {
		t.Errorf("read %d Twins", len(file.Twins))
	}
}

// The example of the operator's file is one that is accepted.
func TestOperatorsExampleIsAccepted(t *testing.T) {
	t.Parallel()
	text := example(t, "sources:")
	env := map[string]string{
		"DATABASE_URL": "postgres://u@h/d", "NEONTWIN_CONFIG": "neontwin.yml",
		"PROD_DATABASE_URL": "postgres://u@prod/shop", "NEON_API_KEY": "k", "API_TWIN_PASSWORD": "p",
	}
	c, err := config.Load(config.RoleMigrate, func(name string) string { return env[name] },
		func(string) ([]byte, error) { return text, nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sources) != 1 || len(c.Targets) != 2 {
		t.Errorf("read %d sources and %d targets", len(c.Sources), len(c.Targets))
	}
}
