package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	yamlparser "github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// parser collects what is wrong while it reads one file.
type parser struct {
	file string
	errs Errors
}

// fail notes an error at a token; without one, at the beginning of the file.
func (p *parser) fail(at *token.Token, format string, args ...any) {
	e := Error{File: p.file, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}
	if at != nil && at.Position != nil {
		e.Line, e.Column = max(at.Position.Line, 1), max(at.Position.Column, 1)
	}
	p.errs = append(p.errs, e)
}

// tree parses data into one mapping, or notes why it can't and returns nil.
func (p *parser) tree(data []byte) ast.MapNode {
	switch {
	case len(data) > MaxSize:
		p.fail(nil, "the file has more than %d KiB; shorten it", MaxSize>>10)
		return nil
	case !utf8.Valid(data):
		p.fail(nil, "the file is not UTF-8 text; save it as UTF-8")
		return nil
	}
	f := p.parse(string(data))
	if f == nil {
		return nil
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc == nil || doc.Body == nil {
			continue
		}
		if body != nil {
			p.fail(doc.Body.GetToken(), "a second document begins here; keep one document in the file")
			return nil
		}
		body = doc.Body
	}
	switch n := body.(type) {
	case nil:
		p.fail(nil, "the file is empty; write version: 1 and twins:")
	case ast.MapNode:
		return n
	default:
		p.fail(n.GetToken(), "the file must be a mapping; begin it with version: 1")
	}
	return nil
}

// parse turns text into YAML nodes. What could make the parser slow or hungry
// (aliases, deep nesting) is refused on the tokens, before nodes are made. The
// text comes from strangers and the library was not written for that, so a
// panic inside of it is a syntax error here.
func (p *parser) parse(text string) (f *ast.File) {
	defer func() {
		if recover() != nil {
			f = nil
			p.fail(nil, "the file is no YAML that can be read")
		}
	}()
	tokens := lexer.Tokenize(text)
	if !p.admit(tokens) {
		return nil
	}
	f, err := yamlparser.Parse(tokens, 0, yamlparser.AllowDuplicateMapKey())
	if err != nil {
		var at *token.Token
		msg := "the file is no YAML that can be read"
		var ye yaml.Error
		if errors.As(err, &ye) {
			at, msg = ye.GetToken(), ye.GetMessage()
		}
		p.fail(at, "%s; mend the YAML syntax", oneLine(msg))
		return nil
	}
	return f
}

// admit refuses the parts of YAML that this file has no use for.
func (p *parser) admit(tokens token.Tokens) bool {
	flow, entries, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, entries = t.Position.Line, 0
		}
		switch t.Type { //nolint:exhaustive // every other token is plain YAML
		case token.AnchorType, token.MergeKeyType:
			p.fail(t, "anchors and merge keys are not supported; write the values out")
		case token.AliasType:
			p.fail(t, `aliases are not supported; a pattern that begins with * needs quotes: "**/*.sql"`)
		case token.TagType:
			p.fail(t, "tags are not supported; leave the tag out, or put the text in quotes")
		case token.DirectiveType:
			p.fail(t, "directives are not supported; leave the line out")
		case token.MappingKeyType:
			p.fail(t, "complex keys are not supported; write key: value")
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType:
			entries++
		}
		if flow > maxDepth || entries > maxDepth || t.Position.IndentNum > 40*maxDepth {
			p.fail(t, "the nesting is too deep")
		}
		if len(p.errs) > 0 {
			return false
		}
	}
	return true
}

// entry is one key of a mapping with its value.
type entry struct {
	key   string
	at    *token.Token // the key
	value ast.Node     // nil where nothing is written
}

// entries gives the keys of a mapping; a key that is no text or that comes
// twice is noted and left out.
func (p *parser) entries(m ast.MapNode) []entry {
	var out []entry
	seen := map[string]int{}
	for it := m.MapRange(); it.Next(); {
		at := it.Key().GetToken()
		k, ok := it.Key().(*ast.StringNode)
		if !ok {
			p.fail(at, "a key must be text; put it in quotes")
			continue
		}
		if line, dup := seen[k.Value]; dup {
			p.fail(at, "%s stands twice, first on line %d; keep one", quoted(k.Value), line)
			continue
		}
		seen[k.Value] = at.Position.Line
		e := entry{key: k.Value, at: at, value: it.Value()}
		if _, null := e.value.(*ast.NullNode); null {
			e.value = nil
		}
		out = append(out, e)
	}
	return out
}

// mapping gives the keys of a value that must be a mapping. What an empty
// value means is the caller's to say.
func (p *parser) mapping(e entry, example string) []entry {
	if e.value == nil {
		return nil
	}
	m, ok := e.value.(ast.MapNode)
	if !ok {
		p.fail(e.value.GetToken(), "%s must be a mapping, such as %s", quoted(e.key), example)
		return nil
	}
	return p.entries(m)
}

// text gives a value that must be text.
func (p *parser) text(e entry, example string) (string, bool) {
	s, ok := e.value.(*ast.StringNode)
	switch {
	case e.value == nil:
		p.fail(e.at, "%s has no value; write %s: %s", quoted(e.key), e.key, example)
	case !ok:
		p.fail(e.value.GetToken(), "%s must be text, such as %s; put it in quotes if it is a number or a word like true",
			quoted(e.key), example)
	default:
		return s.Value, true
	}
	return "", false
}

// unknown notes a key that does not exist, with those that do.
func (p *parser) unknown(e entry, known ...string) {
	p.fail(e.at, "%s is not known here; known are %s", quoted(e.key), strings.Join(known, ", "))
}

// oneLine makes control characters visible.
func oneLine(s string) string {
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// quoted makes a key or another word of the file fit to be shown: short, on
// one line, and without what may be an address with a password.
func quoted(s string) string {
	const most = 40
	if strings.Contains(s, "://") || strings.Contains(s, "@") {
		return "what looks like an address"
	}
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return strconv.Quote(s)
}
