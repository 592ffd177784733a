package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/neontwin/neontwin/internal/twin"
)

// Braces mean a mapping to YAML inside {...}, so ${NAME} would end it there.
// The parser is therefore shown private characters in their place: as many as
// before, so that lines and columns stay true.
const (
	hiddenOpen   = "\ue000\ue001"
	hiddenClose  = "\ue002"
	hiddenBraces = hiddenOpen + hiddenClose
)

var (
	reference       = regexp.MustCompile(`\$\{([^{}\[\]"',\r\n]*)\}`)
	hiddenReference = regexp.MustCompile(hiddenOpen + `([^\x{e000}-\x{e002}]*)` + hiddenClose)
	variableName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// hideBraces is false for a text that holds the private characters itself.
func hideBraces(text string) (string, bool) {
	if strings.ContainsAny(text, hiddenBraces) {
		return "", false
	}
	return reference.ReplaceAllString(text, hiddenOpen+"${1}"+hiddenClose), true
}

// expand replaces each ${NAME} by its value, which is not looked at again.
func (f *file) expand(n ast.Node, path, raw string) (string, bool) {
	ok := true
	value := hiddenReference.ReplaceAllStringFunc(raw, func(match string) string {
		name := strings.Trim(match, hiddenBraces)
		if !variableName.MatchString(name) {
			f.wrong(n, path, "has a ${...} that is not the name of a variable", "${SHOP_DATABASE_URL}")
			ok = false
			return ""
		}
		v := f.getenv(name)
		if v == "" {
			f.wrong(n, path, "needs the variable "+name+", which is not set", "")
			ok = false
		}
		return v
	})
	return strings.TrimSpace(value), ok
}

// raw is a scalar as it was written, its references still hidden.
func (f *file) raw(n ast.Node, path, example string) (string, bool) {
	value, ok := scalar(n)
	if !ok {
		f.wrong(n, path, "must be a plain value", example)
		return "", false
	}
	if value == "" {
		f.wrong(n, path, "is empty", example)
		return "", false
	}
	if strings.Contains(value, "${") {
		f.wrong(n, path, "has a ${ without its }", example)
		return "", false
	}
	return value, true
}

// text reads a value that is no secret.
func (f *file) text(n ast.Node, path string, check func(string) string, example string) string {
	raw, ok := f.raw(n, path, example)
	if !ok {
		return ""
	}
	value, ok := f.expand(n, path, raw)
	if !ok {
		return ""
	}
	if what := check(value); what != "" {
		f.wrong(n, path, what, example)
		return ""
	}
	return value
}

// url reads a Postgres address whose password comes from the environment.
func (f *file) url(n ast.Node, path string) Secret {
	const example = "${SHOP_DATABASE_URL}"
	raw, ok := f.raw(n, path, example)
	if !ok {
		return Secret{}
	}
	if holdsPassword(raw) {
		f.wrong(n, path, "holds a password; take it, or the whole address, from the environment", example)
		return Secret{}
	}
	value, ok := f.expand(n, path, raw)
	if !ok {
		return Secret{}
	}
	if what := checkPostgresURL(value); what != "" {
		f.wrong(n, path, what, example)
		return Secret{}
	}
	return NewSecret(value)
}

// passwords are where an address can hold one: between user and host, as a
// parameter, or in a key=value string.
var passwords = []*regexp.Regexp{
	regexp.MustCompile(`://[^:@/]*:(.*)@`),
	regexp.MustCompile(`(?i)(?:^|[?&\s])(?:ssl)?password\s*=\s*([^&\s]*)`),
}

// holdsPassword reports whether a part of a password is written out.
func holdsPassword(raw string) bool {
	for _, re := range passwords {
		for _, m := range re.FindAllStringSubmatch(raw, -1) {
			if hiddenReference.ReplaceAllString(m[1], "") != "" {
				return true
			}
		}
	}
	return false
}

// key reads a secret that must come from the environment whole.
func (f *file) key(n ast.Node, path string) Secret { return f.hidden(n, path, "${NEON_API_KEY}") }

// maskKey is a key that stand-ins depend on.
func (f *file) maskKey(n ast.Node, path string) Secret {
	const example = "${SHOP_MASK_KEY}"
	key := f.hidden(n, path, example)
	if what := checkMaskKey(key.Reveal()); !key.IsZero() && what != "" {
		f.wrong(n, path, what, example)
	}
	return key
}

// hidden is a secret, which must come from the environment.
func (f *file) hidden(n ast.Node, path, example string) Secret {
	raw, ok := f.raw(n, path, example)
	if !ok {
		return Secret{}
	}
	if hiddenReference.ReplaceAllString(raw, "") != "" {
		f.wrong(n, path, "is written out; take it from the environment", example)
		return Secret{}
	}
	value, _ := f.expand(n, path, raw)
	return NewSecret(value)
}

func (f *file) boolean(n ast.Node, path string) bool {
	value := f.text(n, path, func(v string) string {
		if v != "true" && v != "false" {
			return "must be true or false"
		}
		return ""
	}, "")
	return value == "true"
}

// rate reads bytes a second.
func (f *file) rate(n ast.Node, path string) (rate int64) {
	f.text(n, path, func(v string) string {
		var err error
		if rate, err = twin.ParseRate(v); err != nil {
			return err.Error()
		}
		return ""
	}, "")
	return rate
}

// maxJobs is the most tables that may be copied at once.
const maxJobs = 64

// jobs reads how many tables are copied at once.
func (f *file) jobs(n ast.Node, path string) (jobs int) {
	f.text(n, path, func(v string) string {
		var err error
		if jobs, err = strconv.Atoi(v); err != nil || jobs < 1 || jobs > maxJobs {
			jobs = 0
			return fmt.Sprintf("must be a number from 1 to %d", maxJobs)
		}
		return ""
	}, "4")
	return jobs
}

func (f *file) publish(n ast.Node, path string) twin.Strategy {
	value := f.text(n, path, func(v string) string {
		switch twin.Strategy(v) {
		case twin.Swap, twin.InPlace:
			return ""
		case twin.Branch:
			return "is branch, which is not supported by this version; use swap"
		}
		return "must be swap or in_place"
	}, "swap")
	return twin.Strategy(value)
}

func (f *file) repositories(n ast.Node, path string) []string {
	const example = "[acme/shop]"
	list, ok := n.(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 {
		f.wrong(n, path, "must be a list of at least one repository", example)
		return nil
	}
	return f.list(n, path, checkRepository, example)
}

// list reads a list of values that are no secrets.
func (f *file) list(n ast.Node, path string, check func(string) string, example string) []string {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		f.wrong(n, path, "must be a list", example)
		return nil
	}
	var out []string
	for _, item := range list.Values {
		if name := f.text(item, path, check, example); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// oneOf reads one of a few words; the first is the default.
func (f *file) oneOf(n ast.Node, path string, words ...string) string {
	return f.text(n, path, func(v string) string {
		if !slices.Contains(words, v) {
			return "must be " + strings.Join(words, " or ")
		}
		return ""
	}, words[0])
}

// scalar is the text of a plain value, "" for null. Anchors, aliases and tags
// are not plain: nothing here is long enough to need them.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.NullNode:
		return "", true
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func isNull(n ast.Node) bool {
	_, ok := n.(*ast.NullNode)
	return n == nil || ok
}

func isMapping(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// pairs are the entries of a mapping; the parser gives a lone one bare.
func pairs(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}
