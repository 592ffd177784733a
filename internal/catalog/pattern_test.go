package catalog

import "testing"

func TestNames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Name{
		"public.orders":            {Schema: "public", Name: "orders"},
		"Public.Orders":            {Schema: "public", Name: "orders"},
		` public."Orders" `:        {Schema: "public", Name: "Orders"},
		`"a.b"."c""d"`:             {Schema: "a.b", Name: `c"d`},
		`"Odd Schema"."Ünïcode *"`: {Schema: "Odd Schema", Name: "Ünïcode *"},
	} {
		if got, err := ParseTable(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "orders", "a.b.c", "a.", ".b", `"a`, `"a".`, `"".b`, `a"b".c`, `"a"b.c`, `a."b"c`} {
		if got, err := ParseTable(text); err == nil {
			t.Errorf("%s is %v", text, got)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]bool{
		"public.orders": true, "public.*": true, "*.orders": true, "PUBLIC.o*s": true, "*.*": true, "public.order": false, "public.o.*": false,
		`public."o*"`: false, "pub.orders": false, "public.rders": false,
	} {
		p, err := ParsePattern(pattern, 2)
		if err != nil {
			if want {
				t.Error(err)
			}
			continue
		}
		if p.Match("public", "orders") != want {
			t.Errorf("%s: %v", pattern, !want)
		}
	}
	p, err := ParsePattern(`public."o*"`, 2)
	if err != nil || !p.Match("public", "o*") || !p.Exact() {
		t.Error("a star in quotes is a star")
	}
	p, err = ParsePattern("public.*.note", 3)
	if err != nil || !p.Match("public", "orders", "note") || p.Match("public", "note") || p.Exact() {
		t.Error("a pattern of a column has three parts")
	}
}
