package spec_test

import (
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/spec"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"main", "main", true},
		{"main", "maintain", false},
		{"main", "Main", false},
		{"*", "main", true},
		{"*", "release/1", false},
		{"**", "release/1", true},
		{"release/*", "release/1", true},
		{"release/*", "release/1/2", false},
		{"release/*", "release/", true},
		{"release/**", "release/1/2", true},
		{"v?", "v1", true},
		{"v?", "v", false},
		{"v?", "v/", false},
		{"db/migrations/**", "db/migrations/1.sql", true},
		{"db/migrations/**", "db/migrations/2026/1.sql", true},
		{"db/migrations/**", "db/migrations", false},
		{"db/migrations/**", "xdb/migrations/1.sql", false},
		{"**/*.sql", "1.sql", true},
		{"**/*.sql", "a/b/1.sql", true},
		{"**/*.sql", "a/b/1.sq", false},
		{"**.sql", "a/b/1.sql", true},
		{"a/**/b", "a/b", true},
		{"a/**/b", "a/x/y/b", true},
		{"a/**/b", "a/xb", false},
		{"a**/b", "axy/z/b", true},
		{"a**/b", "ab", false},
		{"**/docs/**", "docs/x.md", true},
		{"a+(b).[c]", "a+(b).[c]", true},
		{"über/*", "über/größe", true},
		{"?", "ß", true},
		{"\xff", "\xff", true},
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
	} {
		if got := spec.Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

// TestMatchTime holds that no pattern takes exponential time.
func TestMatchTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	if spec.Match(strings.Repeat("**/*a", 50), strings.Repeat("a/", 2000)) {
		t.Error("matched")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// FuzzMatch holds that nothing panics, that text without wildcards matches
// itself alone, and that "**" added on either side keeps a match.
func FuzzMatch(f *testing.F) {
	f.Add("a/**/b*?", "a/x/bcd")
	f.Add("**/", "a/")
	f.Add("***", "\xff")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 256 || len(name) > 1024 {
			t.Skip("longer than the file allows")
		}
		got := spec.Match(pattern, name)
		if !strings.ContainsAny(pattern, "*?") && got != (string([]rune(pattern)) == string([]rune(name))) {
			t.Errorf("Match(%q, %q) = %v", pattern, name, got)
		}
		if got && !spec.Match("**"+name, name) && !strings.ContainsAny(name, "*?/") {
			t.Errorf("** before %q does not match it", name)
		}
		if got && strings.HasSuffix(pattern, "*") && !spec.Match(pattern, name+"x") {
			t.Errorf("Match(%q, %q), but not with x after it", pattern, name)
		}
	})
}
