package spec

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// maxName is how long PostgreSQL lets a name be, in bytes.
const maxName = 63

// A part of a name as SQL writes it, and one that needs no quotes. In a
// pattern, "*" without quotes stands for any run of characters of its part.
const sqlPart = `"(?:[^"\x00]|"")+"|[^".\s]+`

var (
	sqlName     = regexp.MustCompile(`^(?:` + sqlPart + `)(?:\.(?:` + sqlPart + `))*$`)
	namePart    = regexp.MustCompile(sqlPart)
	plainPart   = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	patternPart = regexp.MustCompile(`^[a-z_*][a-z0-9_*]*$`)
)

// items gives the mappings of a list. Each is an entry whose place is where
// the mapping begins.
func (p *parser) items(e entry, most int, example string) []entry {
	var out []entry
	for _, v := range p.list(e, most, "["+example+"]") {
		if _, ok := v.(ast.MapNode); !ok {
			p.fail(v.GetToken(), "each of %s must be a mapping, such as %s", e.key, example)
			continue
		}
		out = append(out, entry{key: e.key, at: begins(v), value: v})
	}
	return out
}

// begins is the first word of a mapping: its brace or its first key.
func begins(n ast.Node) *token.Token {
	first := n.GetToken()
	m, ok := n.(ast.MapNode)
	if !ok {
		return first
	}
	if it := m.MapRange(); it.Next() {
		key := it.Key().GetToken()
		if key.Position.Offset < first.Position.Offset {
			return key
		}
	}
	return first
}

// list gives the elements of a list that must have some.
func (p *parser) list(e entry, most int, example string) []ast.Node {
	seq, ok := e.value.(*ast.SequenceNode)
	switch {
	case e.value == nil, ok && len(seq.Values) == 0:
		p.fail(e.at, "%s is empty; write %s: %s", e.key, e.key, example)
	case !ok:
		p.fail(e.value.GetToken(), "%s must be a list; write %s: %s", e.key, e.key, example)
	case len(seq.Values) > most:
		p.fail(e.at, "%s has %d entries, at most %d are allowed", e.key, len(seq.Values), most)
	default:
		return seq.Values
	}
	return nil
}

// each hands the keys of an item to read, which says whether it knows them,
// and gives the place of each. It gives nil where the item holds nothing.
func (p *parser) each(item entry, read func(entry) bool, known ...string) map[string]*token.Token {
	m, ok := item.value.(ast.MapNode)
	if !ok {
		return nil
	}
	seen := map[string]*token.Token{}
	for _, f := range p.entries(m) {
		seen[f.key] = f.at
		if !read(f) {
			p.unknown(f, known...)
		}
	}
	return seen
}

// tableName reads the name of one table.
func (p *parser) tableName(e entry) string {
	v, ok := p.text(e, "public.customers")
	if !ok {
		return ""
	}
	return p.name(e.value.GetToken(), v, plainPart, table)
}

// tablePatterns reads a list of patterns of tables.
func (p *parser) tablePatterns(e entry) []string {
	var out []string
	for _, v := range p.list(e, maxPatterns, `[public.countries, "public.*_types"]`) {
		s, ok := v.(*ast.StringNode)
		if !ok {
			p.fail(v.GetToken(), "each of %s must be the name of a table, such as public.countries", e.key)
			continue
		}
		name := p.name(v.GetToken(), s.Value, patternPart, table)
		switch {
		case name == "":
		case slices.Contains(out, name):
			p.fail(v.GetToken(), "%s stands twice in %s; keep one", quoted(s.Value), e.key)
		default:
			out = append(out, name)
		}
	}
	return out
}

// columnPattern reads the name of a column with its table's, or a pattern.
func (p *parser) columnPattern(at *token.Token, v string) string {
	return p.name(at, v, patternPart, column)
}

// thing is what a name of several parts names.
type thing struct{ what, parts, example, odd string }

var (
	table  = thing{"table", "schema and name", "public.customers", `public."Legacy Notes"`}
	column = thing{"column", "schema, table and column", "public.customers.email", `public.customers."E-Mail"`}
)

// name reads the name of a table or column, schema and all, as SQL writes it,
// and gives it as reports do: quoted only where its letters ask for it. What SQL
// would read in lower case, though it is not written so, is an error: it may be
// either.
func (p *parser) name(at *token.Token, v string, plain *regexp.Regexp, of thing) string {
	parts := namePart.FindAllString(v, -1)
	want := 2
	if of == column {
		want = 3
	}
	switch {
	case !sqlName.MatchString(v) || !utf8.ValidString(v) || strings.Contains(v, "://"):
		p.fail(at, `%s is not how SQL writes the name of a %s; write %s, such as %s or '%s'`, quoted(v), of.what, of.parts, of.example, of.odd)
		return ""
	case len(parts) < want:
		p.fail(at, "%s names no schema; write %s if that is the %s's", quoted(v), quoted("public."+v), of.what)
		return ""
	case len(parts) > want:
		p.fail(at, "%s has more parts than %s", quoted(v), of.parts)
		return ""
	}
	for i, part := range parts {
		bare, isQuoted := strings.CutPrefix(part, `"`)
		if isQuoted {
			bare = strings.ReplaceAll(strings.TrimSuffix(bare, `"`), `""`, `"`)
		}
		switch {
		case len(bare) > maxName:
			p.fail(at, "%s is longer than a name can be, which is %d bytes", quoted(bare), maxName)
			return ""
		case plainPart.MatchString(bare):
			parts[i] = bare
		case !isQuoted && !plain.MatchString(bare):
			p.fail(at, `%s has letters that SQL reads as they stand only in its quotes; write it like '%s', or in lower case`, quoted(v), of.odd)
			return ""
		}
	}
	return strings.Join(parts, ".")
}

// columns reads the columns of a key, by their names without SQL's quotes.
func (p *parser) columns(e entry) []string {
	var out []string
	for _, v := range p.list(e, maxColumns, "[customer_id]") {
		s, ok := v.(*ast.StringNode)
		switch {
		case !ok:
			p.fail(v.GetToken(), "each of %s must be the name of a column; put it in quotes", e.key)
		case s.Value == "" || len(s.Value) > maxName:
			p.fail(v.GetToken(), "the name of a column has 1 to %d bytes", maxName)
		case strings.ContainsAny(s.Value, "\"\x00") || !utf8.ValidString(s.Value):
			p.fail(v.GetToken(), "%s can't be a column; write its name without SQL's quotes", quoted(s.Value))
		case slices.Contains(out, s.Value):
			p.fail(v.GetToken(), "%s stands twice in %s; keep one", quoted(s.Value), e.key)
		default:
			out = append(out, s.Value)
		}
	}
	return out
}

// sql reads an expression, be it over several lines. What it says is for the
// database to judge.
func (p *parser) sql(e entry, example string) string {
	if block, ok := e.value.(*ast.LiteralNode); ok {
		e.value = block.Value
	}
	v, ok := p.text(e, example)
	switch {
	case !ok:
		return ""
	case strings.TrimSpace(v) == "":
		p.fail(e.value.GetToken(), "%s is empty; write %s: %s, or leave it out", e.key, e.key, example)
		return ""
	case utf8.RuneCountInString(v) > maxSQL:
		p.fail(e.value.GetToken(), "%s has more than %d characters; shorten it", e.key, maxSQL)
		return ""
	case strings.ContainsRune(v, 0) || !utf8.ValidString(v):
		p.fail(e.value.GetToken(), "%s holds what is no text", e.key)
		return ""
	}
	return v
}

// count reads a number of rows.
func (p *parser) count(e entry) int64 {
	if n, ok := e.value.(*ast.IntegerNode); ok {
		if v, ok := n.Value.(uint64); ok && v >= 1 && v <= maxCount {
			return int64(v)
		}
	}
	p.fail(at(e), "%s must be a number of rows, 1 or more, such as %s: 1000", e.key, e.key)
	return 0
}

// minPercent is the finest share of rows that is told apart.
const minPercent = 0.01

// percent reads a share of rows.
func (p *parser) percent(e entry) float64 {
	v := math.NaN()
	switch n := e.value.(type) {
	case *ast.IntegerNode:
		if u, ok := n.Value.(uint64); ok {
			v = float64(u)
		}
	case *ast.FloatNode:
		v = n.Value
	}
	if !(v >= minPercent && v <= 100) { // NaN is neither
		p.fail(at(e), "%s must be a number from %v to 100, such as percent: 1 or percent: 0.5", e.key, minPercent)
		return 0
	}
	return v
}

// boolean reads true or false.
func (p *parser) boolean(e entry) *bool {
	b, ok := e.value.(*ast.BoolNode)
	if !ok {
		p.fail(at(e), "%s must be true or false", e.key)
		return nil
	}
	return &b.Value
}

// at is the place of a value, or of its key where there is none.
func at(e entry) *token.Token {
	if e.value == nil {
		return e.at
	}
	return e.value.GetToken()
}
