package privacy_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/mask"
)

// TestDocs holds the table of classes in the documentation to what there is.
func TestDocs(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../docs/anonymized.md", "<!-- classes -->\n", "<!-- /classes -->"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), begin)
	now, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the classes", path)
	}
	var want strings.Builder
	want.WriteString("| class | stand-ins |\n| --- | --- |\n")
	classes := mask.Classes()
	slices.Sort(classes)
	for _, class := range classes {
		fmt.Fprintf(&want, "| `%s` | %s |\n", class, class.Describe())
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want.String()+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), now); diff != "" {
		t.Errorf("%s (-want +got), -update mends it:\n%s", path, diff)
	}
}
