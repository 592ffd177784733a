package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Pattern matches names of several parts, such as those of tables or columns. It
// is written as SQL writes a name. A part in quotes stands for itself; in others
// letters are folded as SQL folds them and "*" matches any run of characters.
type Pattern struct{ parts []part }

type part struct {
	text  string
	regex *regexp.Regexp // nil for one that stands for itself
}

// ParsePattern reads a pattern of n parts: 2 for a table, 3 for a column.
func ParsePattern(text string, n int) (Pattern, error) {
	var p Pattern
	for rest := strings.TrimSpace(text); ; {
		word, isQuoted, after, err := word(rest)
		if err != nil {
			return Pattern{}, err
		}
		one := part{text: word}
		if !isQuoted && strings.Contains(word, "*") {
			one.regex = regexp.MustCompile(`(?s)^` + strings.ReplaceAll(regexp.QuoteMeta(word), `\*`, `.*`) + `$`)
		}
		p.parts = append(p.parts, one)
		if after == "" {
			break
		}
		if after[0] != '.' {
			return Pattern{}, errors.New("quotes go around a whole part")
		}
		rest = after[1:]
	}
	if len(p.parts) != n {
		parts := []string{"a name", "schema and name, as in public.orders", "schema, table and column, as in public.orders.note"}
		return Pattern{}, fmt.Errorf("write %s", parts[min(n, len(parts))-1])
	}
	return p, nil
}

// word reads the first part of a name.
func word(text string) (word string, isQuoted bool, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, `."`)
		if end < 0 {
			end = len(text)
		}
		word, rest = Fold(text[:end]), text[end:]
	} else {
		isQuoted = true
		var b strings.Builder
		i := 1
		for ; i < len(text); i++ {
			if text[i] == '"' {
				if i+1 == len(text) || text[i+1] != '"' {
					break
				}
				i++
			}
			b.WriteByte(text[i])
		}
		if i >= len(text) {
			return "", true, "", errors.New("a quote is not closed")
		}
		word, rest = b.String(), text[i+1:]
	}
	if word == "" {
		return "", isQuoted, "", errors.New("a part of it is empty")
	}
	return word, isQuoted, rest, nil
}

// Fold is what SQL does to a name without quotes.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// Match reports whether a name of as many parts matches.
func (p Pattern) Match(name ...string) bool {
	if len(name) != len(p.parts) {
		return false
	}
	for i, one := range p.parts {
		if one.regex == nil && one.text != name[i] || one.regex != nil && !one.regex.MatchString(name[i]) {
			return false
		}
	}
	return true
}

// Exact reports whether the pattern is one name.
func (p Pattern) Exact() bool {
	for _, one := range p.parts {
		if one.regex != nil {
			return false
		}
	}
	return true
}

// ParseTable reads the name of one table. A star in it stands for itself.
func ParseTable(text string) (Name, error) {
	p, err := ParsePattern(text, 2)
	if err != nil {
		return Name{}, err
	}
	return Name{Schema: p.parts[0].text, Name: p.parts[1].text}, nil
}
