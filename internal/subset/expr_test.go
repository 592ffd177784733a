package subset

import (
	"strings"
	"testing"
)

func TestExpression(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"a = 1", "(a = 1) AND b[1] IN (2, 3)", "name = 'it''s; -- no comment (' ", `"odd;)--" = 1`, `"a""b" = 1`, `n = E'\'; --'`, `n = e'a''\\'`,
		"n = $$ ; ' ( $$", "n = $tag$ $$ ; $tag$", "a$b = 1", "a - -1 > 0", "x::text ~ '/*'", "a / 2 * 3 = 1", "naïve = 'é'", "U&'\\0041' = a", "a = 1e5", "typE = 'x'", `somE'x' = 1`,
	} {
		if err := checkExpression(sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for sql, want := range map[string]string{
		"":                         "empty",
		"  ":                       "empty",
		"a = 1;":                   "semicolon",
		"true) OR (true":           "not open",
		"(a = 1":                   "not closed",
		"(a]":                      "not open",
		"a = 'x":                   "does not end",
		`"a = 1`:                   "name does not end",
		"a = 1 -- x":               "comment",
		"a /* x */ = 1":            "comment",
		"a = $1":                   "parameters",
		"a = $$ x":                 "does not end",
		"a = $x$ $y$":              "does not end",
		"a = 'x\\'; DROP":          "semicolon",
		"E'a'\n'b\\' AND '; bad '": "a string follows",
		"a = 'x' 'y'":              "a string follows",
		"a = E'x\\'":               "does not end",
		"a = 1\x00":                "NUL",
		"a = 'x\x00'":              "NUL",
		"a = $$\x00$$":             "NUL",
		"x = 'a' ; --'":            "semicolon",
		`somE'x\' = 1; --'`:        "semicolon",
		"a = ANY($2)":              "parameters",
	} {
		if err := checkExpression(sql); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, wanted %q", sql, err, want)
		}
	}
}

// FuzzExpression holds what is accepted against what must never be: nothing of
// it may stand outside of the parentheses that it is put into.
func FuzzExpression(f *testing.F) {
	for _, s := range []string{"a = 1", "(a)", "'x''y'", `"x"`, "$$x$$", "$a$ $a$", `E'\''`, "e1$x", "a--b", "1;2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if checkExpression(sql) != nil {
			return
		}
		if err := checkExpression("(" + sql + ")"); err != nil {
			t.Errorf("%q is accepted alone, and in parentheses: %v", sql, err)
		}
		if checkExpression(sql+")") == nil || checkExpression(sql+";") == nil || checkExpression(sql+" --") == nil {
			t.Errorf("%q hides what comes after it", sql)
		}
	})
}
