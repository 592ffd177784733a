package config_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/neontwin/neontwin/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fileEnv is what the golden files may refer to.
var fileEnv = map[string]string{
	"PROD_DATABASE_URL": "postgres://reader:sw0rdfish@prod.example.com/shop",
	"TWIN_DATABASE_URL": "postgres://owner:sw0rdfish@twin.example.com/shop",
	"PGPASS":            "sw0rdfish",
	"NEON_API_KEY":      "napi_sw0rdfish",
	"POOLED":            "postgres://u:sw0rdfish@ep-cool-pooler.eu.neon.tech/shop",
	"BRACES":            "${NEON_API_KEY}",
	"SHOP_MASK_KEY":     "8f1d0c6f5b7a4e2d9c3b1a0f7e6d5c4b3a29181716253443526170f8e9dacbbd",
}

func loadFile(text string) (config.Config, error) {
	env := with(base(), "NEONTWIN_CONFIG", "neontwin.yml")
	for k, v := range fileEnv {
		env[k] = v
	}
	return load(config.RoleWorker, env, map[string]string{"neontwin.yml": text})
}

// Each archive holds a file and what Load makes of it: the sources and targets
// as JSON, secrets redacted, or the problems.
func TestFile(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(loadFile(string(archive.Files[0].Data)))
			if strings.Contains(got, "sw0rd") || strings.Contains(got, "8f1d0c6f") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			if *update {
				archive.Files = append(archive.Files[:1], txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func describe(c config.Config, err error) string {
	if err != nil {
		return err.Error() + "\n"
	}
	b, err := json.MarshalIndent(map[string]any{"sources": c.Sources, "targets": c.Targets}, "", "  ")
	return fmt.Sprintf("%s\n%v\n", b, err)
}

func TestFileValuesArrive(t *testing.T) {
	t.Parallel()
	c, err := loadFile(`
sources: {prod: {url: "${PROD_DATABASE_URL}", repositories: [acme/shop]}}
targets:
  a: {neon: {api_key: ${NEON_API_KEY}, project: late-frost-1, branch: b, database: d}, repositories: [acme/shop]}
  b: {url: postgres://owner:${PGPASS}@twin.example.com/other, repositories: [acme/shop]}
`)
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		c.Sources["prod"].URL.Reveal():                 fileEnv["PROD_DATABASE_URL"],
		c.Targets["a"].Neon.APIKey.Reveal():            fileEnv["NEON_API_KEY"],
		c.Targets["b"].URL.Reveal():                    "postgres://owner:sw0rdfish@twin.example.com/other",
		c.Targets["a"].Neon.Project:                    "late-frost-1",
		fmt.Sprint(c.Targets["a"].URL, len(c.Targets)): "[not set] 2",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestFileTooLong(t *testing.T) {
	t.Parallel()
	_, err := loadFile(strings.Repeat("#\n", 200<<10))
	expect(t, err, "operator's file is longer than 256 KiB")
}

// Whatever the file holds, Load returns, and gives a whole Config or an *Error
// that tells nothing of the environment's values.
func FuzzFile(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(archive.Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "sw0rd") {
			t.Skip("the secret is in the file itself")
		}
		c, err := loadFile(text)
		var e *config.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T: %v", err, err)
		}
		if shown := describe(c, err); strings.Contains(shown, "sw0rd") {
			t.Errorf("a secret is shown:\n%s", shown)
		}
		if err != nil {
			return
		}
		for name, target := range c.Targets {
			if target.URL.IsZero() == (target.Neon == nil) || !target.Publish.Valid() || len(target.Repositories) == 0 {
				t.Errorf("target %q is half: %+v", name, target)
			}
		}
		for name, source := range c.Sources {
			if source.URL.IsZero() || len(source.Repositories) == 0 {
				t.Errorf("source %q is half: %+v", name, source)
			}
		}
	})
}
