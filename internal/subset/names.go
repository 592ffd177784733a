package subset

import (
	"errors"
	"regexp"
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
)

// part is one half of a name as a person writes it. What was quoted is taken
// as it is; all else is folded as SQL folds it, and may hold a star.
type part struct {
	text   string
	quoted bool
}

// parseName reads a schema and a name as SQL writes them.
func parseName(text string) (schema, name part, err error) {
	var parts []part
	for rest := strings.TrimSpace(text); ; {
		var p part
		if strings.HasPrefix(rest, `"`) {
			p.quoted = true
			var b strings.Builder
			i := 1
			for ; i < len(rest); i++ {
				if rest[i] == '"' {
					if i+1 == len(rest) || rest[i+1] != '"' {
						break
					}
					i++
				}
				b.WriteByte(rest[i])
			}
			if i >= len(rest) {
				return part{}, part{}, errors.New("a quote is not closed")
			}
			p.text, rest = b.String(), rest[i+1:]
		} else {
			end := strings.IndexAny(rest, `."`)
			if end < 0 {
				end = len(rest)
			}
			p.text, rest = fold(rest[:end]), rest[end:]
		}
		if p.text == "" {
			return part{}, part{}, errors.New("a part of it is empty")
		}
		parts = append(parts, p)
		if rest == "" {
			break
		}
		if rest[0] != '.' {
			return part{}, part{}, errors.New("quotes go around a whole part")
		}
		rest = rest[1:]
	}
	if len(parts) != 2 {
		return part{}, part{}, errors.New("write schema and name, as in public.orders")
	}
	return parts[0], parts[1], nil
}

// fold is what SQL does to a name without quotes.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// parseTable reads the name of one table.
func parseTable(text string) (catalog.Name, error) {
	schema, name, err := parseName(text)
	return catalog.Name{Schema: schema.text, Name: name.text}, err
}

// parsePattern gives what tells whether a name matches.
func parsePattern(text string) (func(catalog.Name) bool, error) {
	schema, name, err := parseName(text)
	if err != nil {
		return nil, err
	}
	s, n := schema.pattern(), name.pattern()
	return func(x catalog.Name) bool { return s.MatchString(x.Schema) && n.MatchString(x.Name) }, nil
}

func (p part) pattern() *regexp.Regexp {
	text := regexp.QuoteMeta(p.text)
	if !p.quoted {
		text = strings.ReplaceAll(text, `\*`, `.*`)
	}
	return regexp.MustCompile(`(?s)^` + text + `$`)
}
