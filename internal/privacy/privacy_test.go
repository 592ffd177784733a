package privacy_test

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
	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/twin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { pgtest.Main(m) }

// request is what a case asks for.
type request struct {
	twin.Masking
	References []twin.Reference `json:"references"`
	Policy     struct {
		Must      bool     `json:"must"`
		Safe      []string `json:"safe"`
		SafeTypes []string `json:"safe_types"`
	} `json:"policy"`
	Empty []string `json:"empty"` // tables
	// Find says what is found, by column: a class, or "harmless" and a rule.
	Find map[string]string `json:"find"`
}

// TestPlan runs every case of testdata: a schema, what is said of its columns,
// and what is decided of them.
func TestPlan(t *testing.T) {
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
			var r request
			if err := json.Unmarshal(a.Files[1].Data, &r); err != nil {
				t.Fatal(err)
			}
			got := describe(plan(t, string(a.Files[0].Data), r))
			if *update {
				a.Files = []txtar.File{a.Files[0], a.Files[1], {Name: "want", Data: []byte(got)}}
				if err := os.WriteFile(path, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(a.Files[2].Data), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func secret(t *testing.T) mask.Secret {
	t.Helper()
	s, err := mask.ParseSecret("8f1d0c6f5b7a4e2d9c3b1a0f7e6d5c4b3a29181716253443526170f8e9dacbbd")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plan decides about a database that is made by sql.
func plan(t *testing.T, sql string, r request) *privacy.Plan {
	t.Helper()
	url := pgtest.URL(t)
	pgtest.Exec(t, url, sql)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	schema, err := catalog.Read(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := catalog.ReadFacts(t.Context(), tx, schema)
	if err != nil {
		t.Fatal(err)
	}
	names := map[uint32]string{}
	for _, table := range slices.Concat(schema.Tables, schema.Parents) {
		names[table.OID] = table.Name.String()
	}
	p, err := privacy.New(privacy.Input{
		Schema: schema, Facts: facts, Masking: r.Masking, References: r.References, Secret: secret(t),
		Policy: privacy.Policy{Must: r.Policy.Must, Safe: r.Policy.Safe, SafeTypes: r.Policy.SafeTypes, Harmless: detect.DefaultRules()},
		Empty:  func(table uint32) bool { return slices.Contains(r.Empty, names[table]) },
		Find: func(table uint32, column string) detect.Finding {
			said, ok := r.Find[names[table]+"."+column]
			if rule, harmless := strings.CutPrefix(said, "harmless "); harmless {
				return detect.Finding{Harmless: detect.Harmless(rule), Reason: "so the case says"}
			}
			return detect.Finding{Personal: ok, Class: mask.Class(said), Reason: "its name says " + said}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range schema.Tables {
		if m := p.Table(table.OID); m != nil && m.Root != (catalog.Name{}) {
			p.Hazards = append(p.Hazards, twin.Hazard{ID: "(rerouted)", Object: table.Name.String(), Message: "through " + m.Root.String()})
		}
	}
	return p
}

func describe(p *privacy.Plan) string {
	var b strings.Builder
	for _, m := range p.Masked {
		fmt.Fprintf(&b, "masked %s: %s in %s, %s\n", m.Column, m.Class, m.Domain, m.Why)
	}
	for _, c := range p.Passed {
		fmt.Fprintf(&b, "passed %s (%s): %s\n", c.Label, c.Table, c.Why)
	}
	for _, h := range p.Hazards {
		word := "hazard"
		if h.Refuses {
			word = "refused"
		}
		fmt.Fprintf(&b, "%s %s %s: %s\n", word, h.ID, h.Object, h.Message)
	}
	return b.String()
}
