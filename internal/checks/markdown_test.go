package checks

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCode(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"public.orders":  "`public.orders`",
		`public."Order"`: "`public.\"Order\"`",
		"@octocat":       "`@octocat`",
		"a\nb":           "`a b`",
		"a|b":            "<code>a&#124;b</code>",
		"a`b":            "<code>a&#96;b</code>",
		`a\`:             "<code>a&#92;</code>",
		" a":             "<code> a</code>",
		"_a|b_":          "<code>&#95;a&#124;b&#95;</code>",
		"":               "<code></code>",
		"a\u202eb\x00":   "`a\ufffdb\ufffd`",
	} {
		if got := code(in); got != want {
			t.Errorf("code(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain, ordinary text.": "plain, ordinary text.",
		"a_b*c":                 `a\_b\*c`,
		"a\r\n# b":              `a  \# b`,
		"[x](y)":                `\[x\](y)`,
		"<b>&amp;":              "&lt;b&gt;&amp;amp;",
		"@octocat":              "@\u200boctocat",
		"https://a.b":           "https:\u200b//a.b",
		"www.a.b":               "www\u200b.a.b",
		"a\u2028b":              "a b",
	} {
		if got := text(in); got != want {
			t.Errorf("text(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöüß", 3, "äö…"}, {"ab, cd", 5, "ab…"}} {
		if got := cut(tt.in, tt.limit); got != tt.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

func FuzzMarkdown(f *testing.F) {
	f.Add("a|b`c\\|@x\n<y>", 100)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		for _, got := range []string{code(s), text(s)} {
			if strings.ContainsAny(got, "\n\r") || !utf8.ValidString(got) {
				t.Errorf("%q became %q", s, got)
			}
		}
		if got := code(s); strings.Count(got, "`") != 0 && (strings.Count(got, "`") != 2 || strings.Contains(got, "|")) {
			t.Errorf("code(%q) = %q", s, got)
		}
		if got := code(s); strings.HasPrefix(got, "<code>") && strings.ContainsAny(got[6:len(got)-7], "<>|`\\*@") {
			t.Errorf("code(%q) = %q", s, got)
		}
		limit = len(cutNote) + max(0, min(limit, 1000))
		if got := cutSummary(strings.ToValidUTF8(s, "?"), limit); len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("cutSummary(%q, %d) = %q", s, limit, got)
		}
	})
}
