package spec

import (
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/twin"
)

// What the masking of a Twin may hold at most.
const (
	maxRules  = 2000
	maxSafe   = 2000
	maxPaths  = 200
	maxValues = 200
)

const (
	maskExample = `{public.customers.email: email}`
	ruleExample = `{class: email, domain: crm}`
	safeExample = `{columns: ["public.products.*"]}`
)

// takes says which classes an option is for. What every class takes is not
// listed.
var takes = map[string][]mask.Class{
	"value":       {mask.Constant, mask.Template},
	"values":      {mask.Choice},
	"keep":        {mask.KeepFirst, mask.KeepLast, mask.IPClass, mask.Card},
	"keep_domain": {mask.Email},
	"locale": {
		mask.FirstName, mask.LastName, mask.FullName, mask.Username, mask.Email, mask.Street, mask.City, mask.PostalCode,
		mask.Company, mask.FreeText, mask.Template, mask.URL,
	},
	"days":    {mask.DateShift},
	"percent": {mask.Noise},
	"unit":    {mask.DateGeneralise},
	"max":     {mask.Integer},
	"paths":   {mask.JSONClass, mask.XMLClass},
	"rest":    {mask.JSONClass, mask.XMLClass, mask.HStoreClass},
}

// options are those of a rule, in the order in which they are told.
var options = []string{"class", "domain", "by", "value", "values", "keep", "keep_domain", "locale", "days", "percent", "unit", "max", "paths", "rest"}

// mask reads the rules by which columns are masked, into m.
func (p *parser) mask(e entry, m *twin.Masking) {
	list := p.mapping(e, maskExample)
	if n, ok := e.value.(ast.MapNode); e.value == nil || ok && !n.MapRange().Next() {
		p.fail(e.at, "mask is empty; write mask: %s, or leave it out", maskExample)
	}
	if len(list) > maxRules {
		p.fail(e.at, "mask has %d rules, at most %d are allowed; a pattern such as public.*.email serves many columns", len(list), maxRules)
		return
	}
	lines := map[string]int{}
	for _, f := range list {
		name := p.columnPattern(f.at, f.key)
		if line, dup := lines[name]; dup && name != "" {
			p.fail(f.at, "%s has a rule on line %d already; keep one", quoted(f.key), line)
			continue
		}
		lines[name] = f.at.Position.Line
		rule := p.maskRule(f)
		if rule.Class == string(mask.Keep) {
			p.fail(at(f), "keep is for places in a document; what may pass as a whole is named under safe: {columns: [%s]}", f.key)
		}
		m.Rules = append(m.Rules, twin.MaskRule{Column: name, Mask: rule})
	}
}

// maskRule reads how values are masked: a class, or a class with its options.
// Nothing at all, which YAML reads as null, is the class null.
func (p *parser) maskRule(e entry) (m twin.Mask) {
	switch e.value.(type) {
	case nil:
		return twin.Mask{Class: string(mask.Null)}
	case *ast.StringNode:
		m.Class = p.class(e)
		return m
	case ast.MapNode:
	default:
		p.fail(e.value.GetToken(), "%s takes a class, such as email, or a mapping, such as %s", quoted(e.key), ruleExample)
		return m
	}
	inner := p.within(e)
	for _, f := range inner {
		p.maskOption(f, &m)
	}
	if !slices.ContainsFunc(inner, func(f entry) bool { return f.key == "class" }) {
		p.fail(begins(e.value), "the rule has no class; write %s", ruleExample)
		return m
	}
	for _, f := range inner {
		if classes := takes[f.key]; m.Class != "" && classes != nil && !slices.Contains(classes, mask.Class(m.Class)) {
			p.fail(f.at, "%s is not for the class %s, but for %s", f.key, m.Class, words(classes))
		}
	}
	switch mask.Class(m.Class) { //nolint:exhaustive // the others need nothing
	case mask.Template:
		if m.Value == "" {
			p.fail(begins(e.value), `the class template needs its text; add value: "user-{hash:8}"`)
		}
	case mask.Choice:
		if len(m.Values) == 0 {
			p.fail(begins(e.value), "the class choice needs what to choose from; add values: [red, green]")
		}
	}
	return m
}

// maskOption reads one option of a rule.
func (p *parser) maskOption(f entry, m *twin.Mask) {
	switch f.key {
	case "class":
		if f.value == nil {
			m.Class = string(mask.Null)
			return
		}
		m.Class = p.class(f)
	case "domain":
		m.Domain = p.short(f, "crm")
	case "by":
		m.By = p.short(f, "customer_id")
	case "value":
		m.Value, _ = p.scalar(f)
	case "values":
		for _, v := range p.list(f, maxValues, "[red, green]") {
			if s, ok := p.scalar(entry{key: f.key, at: f.at, value: v}); ok {
				m.Values = append(m.Values, s)
			}
		}
	case "keep":
		m.Keep = p.number(f, 0, 128)
	case "keep_domain":
		if b := p.boolean(f); b != nil {
			m.KeepDomain = *b
		}
	case "locale":
		m.Locale = p.short(f, "de")
		if m.Locale != "" && !slices.Contains(mask.Locales(), m.Locale) {
			p.fail(f.value.GetToken(), "%s is no locale that is known; write one of %s", quoted(m.Locale), strings.Join(mask.Locales(), ", "))
		}
	case "days":
		m.Days = p.number(f, 1, 36500)
	case "percent":
		m.Percent = p.number(f, 1, 100)
	case "unit":
		units := []string{"day", "month", "quarter", "year", "decade"}
		if m.Unit = p.short(f, "year"); m.Unit != "" && !slices.Contains(units, m.Unit) {
			p.fail(f.value.GetToken(), "%s is no unit; write one of %s", quoted(m.Unit), strings.Join(units, ", "))
		}
	case "max":
		m.Max = p.count(f)
	case "paths":
		m.Paths = p.maskPaths(f)
	case "rest":
		rest := p.maskRule(f)
		m.Rest = &rest
	default:
		p.unknown(f, options...)
	}
}

// maskPaths reads the rules for the places of a document.
func (p *parser) maskPaths(e entry) []twin.MaskPath {
	list := p.mapping(e, `{contact.email: email, "items.*.sku": keep}`)
	if e.value == nil || len(list) > maxPaths {
		p.fail(e.at, "paths takes 1 to %d places, such as {contact.email: email}", maxPaths)
		return nil
	}
	var out []twin.MaskPath
	for _, f := range list {
		if f.key == "" || len(f.key) > maxPattern {
			p.fail(f.at, "a path has 1 to %d bytes", maxPattern)
			continue
		}
		out = append(out, twin.MaskPath{Path: f.key, Mask: p.maskRule(f)})
	}
	return out
}

// class reads the name of a class.
func (p *parser) class(e entry) string {
	v, ok := p.text(e, "email")
	if ok && !slices.Contains(mask.Classes(), mask.Class(v)) {
		p.fail(e.value.GetToken(), "%s is no class; the classes are %s", quoted(v), words(mask.Classes()))
		return ""
	}
	return v
}

func words(classes []mask.Class) string {
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = string(c)
	}
	return strings.Join(names, ", ")
}

// safe reads what may pass as it is, into m.
func (p *parser) safe(e entry, m *twin.Masking) {
	list := p.mapping(e, safeExample)
	if n, ok := e.value.(ast.MapNode); e.value == nil || ok && !n.MapRange().Next() {
		p.fail(e.at, "safe is empty; write safe: %s, or leave it out", safeExample)
	}
	for _, f := range list {
		switch f.key {
		case "columns":
			for _, v := range p.list(f, maxSafe, `["public.products.*"]`) {
				s, ok := v.(*ast.StringNode)
				if !ok {
					p.fail(v.GetToken(), "each of columns must name columns, such as public.products.*; put it in quotes")
					continue
				}
				if name := p.columnPattern(v.GetToken(), s.Value); name != "" {
					m.Safe = append(m.Safe, name)
				}
			}
		case "types":
			for _, v := range p.list(f, maxPatterns, "[boolean, date]") {
				s, ok := v.(*ast.StringNode)
				if !ok || strings.TrimSpace(s.Value) == "" || len(s.Value) > maxPattern {
					p.fail(v.GetToken(), "each of types must be a type as SQL writes it, such as boolean")
					continue
				}
				m.SafeTypes = append(m.SafeTypes, s.Value)
			}
		default:
			p.unknown(f, "columns", "types")
		}
	}
}

// short reads a short text.
func (p *parser) short(e entry, example string) string {
	v, ok := p.text(e, example)
	if ok && (v == "" || len(v) > maxName) {
		p.fail(e.value.GetToken(), "%s has 1 to %d bytes", e.key, maxName)
		return ""
	}
	return v
}

// scalar reads a value of a column, as it is written.
func (p *parser) scalar(e entry) (string, bool) {
	switch n := e.value.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	p.fail(at(e), "%s must be text or a number", e.key)
	return "", false
}

// number reads a small number.
func (p *parser) number(e entry, least, most int) int {
	if n, ok := e.value.(*ast.IntegerNode); ok {
		if v, err := strconv.Atoi(n.GetToken().Value); err == nil && v >= least && v <= most {
			return v
		}
	}
	p.fail(at(e), "%s must be a number from %d to %d", e.key, least, most)
	return 0
}
