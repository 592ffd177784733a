package spec

import (
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/neontwin/neontwin/internal/twin"
)

var (
	twinName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}$`)
	// operatorName is what a source or a target is called in the operator's file.
	operatorName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
)

// document reads the whole file.
func (p *parser) document(root ast.MapNode) File {
	var f File
	var version, twins bool
	for _, e := range p.entries(root) {
		switch e.key {
		case "version":
			version = true
			p.version(e)
		case "twins":
			twins = true
			f.Twins = p.twins(e)
		default:
			p.unknown(e, "version", "twins")
		}
	}
	if !version {
		p.fail(nil, "version is missing; write version: 1 on the first line")
	}
	if !twins {
		p.fail(nil, "twins is missing; write twins: and below it one name for each Twin")
	}
	return f
}

// version checks that the file is of the one version there is.
func (p *parser) version(e entry) {
	if n, ok := e.value.(*ast.IntegerNode); ok {
		if v, ok := n.Value.(uint64); ok && v == 1 {
			return
		}
	}
	at := e.at
	if e.value != nil {
		at = e.value.GetToken()
	}
	p.fail(at, "this version of neontwin reads version 1 of the file; write version: 1")
}

// twins reads the Twins, in the order of the file.
func (p *parser) twins(e entry) []twin.Spec {
	const example = `{staging: {source: prod, target: shop-twin, ...}}`
	var specs []twin.Spec
	targets := map[string]string{} // target -> Twin
	list := p.mapping(e, example)
	if m, ok := e.value.(ast.MapNode); e.value == nil || ok && !m.MapRange().Next() {
		p.fail(e.at, "twins is empty; name at least one Twin")
	}
	if len(list) > maxTwins {
		p.fail(e.at, "the file has %d Twins, at most %d are allowed", len(list), maxTwins)
		return nil
	}
	for _, t := range list {
		if !twinName.MatchString(t.key) {
			p.fail(t.at, "%s can't be the name of a Twin; use 1 to 39 of a-z, 0-9 and -, not beginning with -", quoted(t.key))
		}
		if t.key == ReservedName {
			p.fail(t.at, "%s is reserved; give the Twin another name", quoted(t.key))
		}
		s, target := p.twin(t)
		if other, taken := targets[s.Target]; taken && s.Target != "" {
			p.fail(target, "the Twin %s already has this target; two Twins can't share one", quoted(other))
		}
		targets[s.Target] = t.key
		specs = append(specs, s)
	}
	return specs
}

// twin reads one Twin, and says where its target stands.
func (p *parser) twin(e entry) (s twin.Spec, target *token.Token) {
	s.Name = e.key
	var seen []string
	var rows, columns entry
	masking := func(f entry) *twin.Masking {
		if s.Masking == nil {
			columns, s.Masking = f, &twin.Masking{}
		}
		return s.Masking
	}
	for _, f := range p.mapping(e, `{source: prod, target: shop-twin, on: {...}, mode: full}`) {
		seen = append(seen, f.key)
		switch f.key {
		case "source":
			s.Source = p.operatorName(f, "prod")
		case "target":
			s.Target = p.operatorName(f, "shop-twin")
			target = f.at
		case "on":
			s.On = p.triggers(f)
		case "mode":
			s.Mode = p.mode(f)
		case "on_newer":
			s.OnNewer = p.onNewer(f)
		case "subset":
			rows, s.Subset = f, p.subset(f)
		case "mask":
			p.mask(f, masking(f))
		case "safe":
			p.safe(f, masking(f))
		case "branches":
			p.unsupported(f, "leave it out")
		default:
			p.unknown(f, "source", "target", "on", "mode", "subset", "mask", "safe", "on_newer")
		}
	}
	if e.value != nil {
		if _, ok := e.value.(ast.MapNode); !ok {
			return s, target // said already
		}
	}
	for _, need := range [][2]string{
		{"source", "source: prod, a name from the operator's file"},
		{"target", "target: shop-twin, a name from the operator's file"},
		{"on", "on: {pull_request: {branches: [main]}}"},
		{"mode", "mode: full"},
	} {
		if !slices.Contains(seen, need[0]) {
			p.fail(e.at, "the Twin %s has no %s; write %s", quoted(e.key), need[0], need[1])
		}
	}
	p.fits(e.at, s, rows, columns)
	return s, target
}

// operatorName reads the name of a source or target. The value is never
// repeated in an error: who mistakes it for an address may have pasted one.
func (p *parser) operatorName(e entry, example string) string {
	v, ok := p.text(e, example)
	switch {
	case !ok:
		return ""
	case operatorName.MatchString(v):
		return v
	case strings.ContainsAny(v, ":/@="):
		p.fail(e.value.GetToken(), "%s takes a name such as %s; the address behind it stands in the operator's file, never here",
			e.key, example)
	default:
		p.fail(e.value.GetToken(), "%s takes a name such as %s: letters, digits, '.', '_' and '-'", e.key, example)
	}
	return ""
}

// mode reads what the Twin holds.
func (p *parser) mode(e entry) twin.Mode {
	v, ok := p.text(e, "full")
	if !ok {
		return ""
	}
	switch m := twin.Mode(v); m {
	case twin.Full, twin.Partial, twin.Anonymized, twin.SchemaOnly:
		return m
	case twin.Synthetic:
		p.fail(e.value.GetToken(), "this version of neontwin can't carry out mode: %s yet; it does full, partial, anonymized and schema_only", m)
	default:
		p.fail(e.value.GetToken(), "%s is no mode; write mode: full, partial, anonymized or schema_only", quoted(v))
	}
	return ""
}

// unsupported notes a key of the format that this version can't carry out. To
// go on without it would copy what was meant to be masked or left out.
func (p *parser) unsupported(e entry, advice string) {
	p.fail(e.at, "this version of neontwin can't carry out %s yet; %s", e.key, advice)
}

// triggers reads what starts a run.
func (p *parser) triggers(e entry) (on twin.Triggers) {
	const example = `{pull_request: {branches: [main]}}`
	list := p.mapping(e, example)
	if m, ok := e.value.(ast.MapNode); e.value == nil || ok && !m.MapRange().Next() {
		p.fail(e.at, "on is empty, so that nothing would start a run; write on: %s", example)
	}
	for _, t := range list {
		switch t.key {
		case "pull_request":
			on.PullRequest = p.branchTrigger(t)
		case "push":
			on.Push = p.branchTrigger(t)
		case "schedule":
			on.Schedule = p.schedule(t)
		default:
			p.unknown(t, "pull_request", "push", "schedule")
		}
	}
	return on
}

// branchTrigger reads one trigger. Written without a value it is any change of
// the default branch.
func (p *parser) branchTrigger(e entry) *twin.BranchTrigger {
	t := &twin.BranchTrigger{}
	for _, f := range p.mapping(e, `{branches: [main], paths: ["db/migrations/**"]}`) {
		switch f.key {
		case "branches":
			t.Branches = p.patterns(f, "the default branch", `[main, "release/*"]`)
		case "paths":
			t.Paths = p.patterns(f, "any change", `["db/migrations/**"]`)
		default:
			p.unknown(f, "branches", "paths")
		}
	}
	return t
}

// patterns reads a list of glob patterns. An empty list is an error: it could
// mean all as well as none.
func (p *parser) patterns(e entry, without, example string) []string {
	seq, ok := e.value.(*ast.SequenceNode)
	switch {
	case e.value == nil, ok && len(seq.Values) == 0:
		p.fail(e.at, "%s is empty; leave it out for %s, or write %s: %s", e.key, without, e.key, example)
		return nil
	case !ok:
		p.fail(e.value.GetToken(), "%s must be a list; write %s: %s", e.key, e.key, example)
		return nil
	case len(seq.Values) > maxPatterns:
		p.fail(e.at, "%s has %d patterns, at most %d are allowed", e.key, len(seq.Values), maxPatterns)
		return nil
	}
	var out []string
	for _, v := range seq.Values {
		s, ok := v.(*ast.StringNode)
		switch {
		case !ok:
			p.fail(v.GetToken(), "each of %s must be text; put it in quotes", e.key)
		case s.Value == "" || len(s.Value) > maxPattern:
			p.fail(v.GetToken(), "a pattern has 1 to %d characters", maxPattern)
		case strings.HasPrefix(s.Value, "/") || strings.HasPrefix(s.Value, "./"):
			p.fail(v.GetToken(), "%s never matches; write it without the leading / or ./", quoted(s.Value))
		case strings.HasPrefix(s.Value, "refs/heads/"):
			p.fail(v.GetToken(), "%s never matches; write the branch without refs/heads/", quoted(s.Value))
		case strings.HasPrefix(s.Value, "!") || strings.ContainsAny(s.Value, `[]{}\`):
			p.fail(v.GetToken(), "%s uses more than *, ** and ?, which are the only wildcards here", quoted(s.Value))
		default:
			out = append(out, s.Value)
		}
	}
	return out
}
