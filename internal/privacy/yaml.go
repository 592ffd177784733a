package privacy

import (
	"fmt"
	"strings"

	"github.com/neontwin/neontwin/internal/mask"
)

// RuleYAML is a rule as a Twin's file has it, on one line.
func RuleYAML(r mask.Rule) string {
	options := []string{"class: " + string(r.Class)}
	if r.Class == mask.Constant {
		options = append(options, fmt.Sprintf("value: %q", r.Value))
	}
	if r.Locale != "" {
		options = append(options, "locale: "+r.Locale)
	}
	if len(r.Paths) > 0 {
		var places []string
		for _, p := range r.Paths {
			places = append(places, QuoteYAML(p.Path)+": "+RuleYAML(p.Rule))
		}
		options = append(options, "paths: {"+strings.Join(places, ", ")+"}")
	}
	if len(options) == 1 {
		return string(r.Class)
	}
	return "{" + strings.Join(options, ", ") + "}"
}

// QuoteYAML writes a key or a value of a list so that YAML reads it as it is.
func QuoteYAML(s string) string {
	plain := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == "" && strings.ContainsAny(s[:1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") && strings.Contains(s, ".")
	switch {
	case plain:
		return s
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 }):
		return fmt.Sprintf("%q", s)
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
