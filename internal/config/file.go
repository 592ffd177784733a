package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/neontwin/neontwin/internal/twin"
)

// maxFile is far more than a file of names and addresses needs.
const maxFile = 256 << 10

// file reads the operator's file, if one is named.
func (l *loader) file(c *Config) {
	path := strings.TrimSpace(l.getenv("NEONTWIN_CONFIG"))
	if path == "" {
		return
	}
	text, err := l.readFile(path)
	if err != nil {
		l.wrong("NEONTWIN_CONFIG", unreadable(err))
		return
	}
	f := &file{path: path, getenv: l.getenv}
	f.read(text, c)
	l.problems = append(l.problems, f.problems...)
}

// file decodes the operator's file by hand rather than into tagged structs:
// so each mistake is reported with its place, not only the first, and whether
// a secret was written out or came from the environment is still known.
type file struct {
	path     string
	getenv   func(string) string
	problems []Problem
}

// field reads the value of one key. The path leads to it: targets.shop.url.
type field func(n ast.Node, path string)

func (f *file) wrong(n ast.Node, path, what, example string) {
	from := f.path
	if n != nil && n.GetToken() != nil {
		pos := n.GetToken().Position
		from = fmt.Sprintf("%s:%d:%d", f.path, pos.Line, pos.Column)
	}
	f.problems = append(f.problems, Problem{Name: path, From: from, What: what, Example: example})
}

func (f *file) read(text []byte, c *Config) {
	if len(text) > maxFile {
		f.wrong(nil, "operator's file", "is longer than 256 KiB", "")
		return
	}
	hidden, ok := hideBraces(string(text))
	if !ok {
		f.wrong(nil, "operator's file", "holds characters of Unicode's private use", "")
		return
	}
	tree, err := parser.ParseBytes([]byte(hidden), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.syntax(err)
		return
	}
	if len(tree.Docs) > 1 {
		f.wrong(tree.Docs[1].Body, "operator's file", "has more than one document", "")
		return
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return
	}
	f.mapping(tree.Docs[0].Body, "", map[string]field{
		"sources": func(n ast.Node, path string) {
			f.named(n, path, func(n ast.Node, path, name string) { c.Sources[name] = f.source(n, path) })
		},
		"targets": func(n ast.Node, path string) {
			f.named(n, path, func(n ast.Node, path, name string) { c.Targets[name] = f.target(n, path) })
		},
	})
}

// syntax reports where the file stops being YAML. The parser's error quotes the
// file; its bare message does so only in quotation marks.
func (f *file) syntax(err error) {
	p := Problem{Name: "operator's file", From: f.path, What: "is no valid YAML"}
	var at yaml.Error
	if errors.As(err, &at) {
		if tk := at.GetToken(); tk != nil && tk.Position != nil {
			p.From = fmt.Sprintf("%s:%d:%d", f.path, tk.Position.Line, tk.Position.Column)
		}
		if m := at.GetMessage(); !strings.ContainsAny(m, "\"`") && !strings.Contains(m, "character '") {
			p.What += ": " + m
		}
	}
	f.problems = append(f.problems, p)
}

func (f *file) source(n ast.Node, path string) Source {
	var s Source
	var sql bool
	f.mapping(n, path, map[string]field{
		"url":          func(n ast.Node, path string) { s.URL = f.url(n, path) },
		"repositories": func(n ast.Node, path string) { s.Repositories = f.repositories(n, path) },
		"must_mask":    func(n ast.Node, path string) { s.MustMask = f.boolean(n, path) },
		"allow_sql":    func(n ast.Node, path string) { sql, s.AllowSQL = true, f.boolean(n, path) },
		"max_rate":     func(n ast.Node, path string) { s.MaxRate = f.rate(n, path) },
		"safe": func(n ast.Node, path string) {
			f.mapping(n, path, map[string]field{
				"columns": func(n ast.Node, path string) { s.Safe = f.list(n, path, checkColumns, `["public.products.*"]`) },
				"types":   func(n ast.Node, path string) { s.SafeTypes = f.list(n, path, checkNotLong, "[boolean, date]") },
			})
		},
		"harmless": func(n ast.Node, path string) {
			s.Harmless = f.list(n, path, checkHazard, "[surrogate_key, boolean]")
			if s.Harmless == nil {
				s.Harmless = []string{} // none at all
			}
		},
	}, "url", "repositories")
	if !sql {
		s.AllowSQL = !s.MustMask
	}
	return s
}

func (f *file) target(n ast.Node, path string) Target {
	t := Target{Publish: twin.Swap}
	var url, neon bool
	f.mapping(n, path, map[string]field{
		"url":          func(n ast.Node, path string) { url, t.URL = true, f.url(n, path) },
		"neon":         func(n ast.Node, path string) { neon, t.Neon = true, f.neon(n, path) },
		"mask_key":     func(n ast.Node, path string) { t.MaskKey = f.maskKey(n, path) },
		"publish":      func(n ast.Node, path string) { t.Publish = f.publish(n, path) },
		"repositories": func(n ast.Node, path string) { t.Repositories = f.repositories(n, path) },
		"adopt":        func(n ast.Node, path string) { t.Adopt = f.boolean(n, path) },
		"accept":       func(n ast.Node, path string) { t.Accept = f.list(n, path, checkHazard, "[too_little_room]") },
		"grants":       func(n ast.Node, path string) { t.SourceGrants = f.oneOf(n, path, "none", "source") == "source" },
		"verify":       func(n ast.Node, path string) { t.VerifyHash = f.oneOf(n, path, "counts", "hash") == "hash" },
		"jobs":         func(n ast.Node, path string) { t.Jobs = f.jobs(n, path) },
	}, "repositories")
	if url == neon && isMapping(n) {
		f.wrong(n, path, "must have either url or neon", path+".url: ${TWIN_DATABASE_URL}")
	}
	return t
}

func (f *file) neon(n ast.Node, path string) *Neon {
	var d Neon
	f.mapping(n, path, map[string]field{
		"api_key":  func(n ast.Node, path string) { d.APIKey = f.key(n, path) },
		"project":  func(n ast.Node, path string) { d.Project = f.text(n, path, checkNeonProject, "late-frost-123456") },
		"branch":   func(n ast.Node, path string) { d.Branch = f.text(n, path, checkNotLong, "twin") },
		"database": func(n ast.Node, path string) { d.Database = f.text(n, path, checkNotLong, "shop") },
		"role":     func(n ast.Node, path string) { d.Role = f.text(n, path, checkNotLong, "shop_owner") },
	}, "api_key", "project", "branch", "database")
	return &d
}

// mapping calls the field of each key, and reports unknown, doubled and
// missing ones.
func (f *file) mapping(n ast.Node, path string, fields map[string]field, required ...string) {
	known := make([]string, 0, len(fields))
	for k := range fields {
		known = append(known, k)
	}
	slices.Sort(known)
	if !isMapping(n) {
		f.wrong(n, orFile(path), "must be a mapping with the keys "+strings.Join(known, ", "), "")
		return
	}
	seen := map[string]bool{}
	for _, pair := range pairs(n) {
		key, ok := f.plainKey(pair, path, seen)
		if !ok {
			continue
		}
		if fields[key] == nil {
			f.wrong(pair.Key, join(path, shown(key)), "is not a key that is known here; known are "+strings.Join(known, ", "), "")
			continue
		}
		fields[key](pair.Value, join(path, key))
	}
	for _, k := range required {
		if !seen[k] {
			f.wrong(n, join(path, k), "is missing", "")
		}
	}
}

// named calls each for every entry of a mapping from the operator's own names.
func (f *file) named(n ast.Node, path string, each func(n ast.Node, path, name string)) {
	if isNull(n) {
		return
	}
	if !isMapping(n) {
		f.wrong(n, path, "must be a mapping from names", "")
		return
	}
	seen := map[string]bool{}
	for _, pair := range pairs(n) {
		name, ok := f.plainKey(pair, path, seen)
		if !ok {
			continue
		}
		if what := checkName(name); what != "" {
			f.wrong(pair.Key, path, "has a name that "+what, "")
			continue
		}
		each(pair.Value, join(path, name), name)
	}
}

// plainKey is the text of a key that stands there once.
func (f *file) plainKey(pair *ast.MappingValueNode, path string, seen map[string]bool) (string, bool) {
	key, ok := scalar(pair.Key)
	if !ok || key == "" || strings.ContainsAny(key, hiddenBraces) {
		f.wrong(pair.Key, orFile(path), "has a key that is no plain word", "")
		return "", false
	}
	if seen[key] {
		f.wrong(pair.Key, join(path, shown(key)), "stands there twice", "")
		return "", false
	}
	seen[key] = true
	return key, true
}

// harmless is a key that can't be a secret in the wrong place.
var harmless = regexp.MustCompile(`^[a-z_]{1,24}$`)

func shown(key string) string {
	if harmless.MatchString(key) {
		return key
	}
	return "?"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func orFile(path string) string {
	if path == "" {
		return "operator's file"
	}
	return path
}
