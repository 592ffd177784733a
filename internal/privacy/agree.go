package privacy

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/mask"
)

// agree gives columns that hold the same values the same rule. One that names
// a column counts before one with a pattern; of two of a kind the first in the
// file does, unless both name a column: then nobody knows what was meant.
func (p *planner) agree() {
	p.members = map[*column][]*column{}
	for _, c := range p.columns {
		p.members[c.speaker()] = append(p.members[c.speaker()], c)
	}
	for _, c := range p.columns {
		if c.speaker() == c && len(p.members[c]) > 1 {
			p.agreeAmong(p.members[c])
		}
	}
}

func (p *planner) agreeAmong(members []*column) {
	var chosen *column
	for _, c := range members {
		switch {
		case c.rule == nil || chosen != nil && c.rule == chosen.rule:
		case chosen == nil, p.before(c.rule, chosen.rule):
			chosen = c
		}
	}
	if chosen == nil {
		return
	}
	for _, c := range members {
		if c.rule != nil && c.rule != chosen.rule && c.rule.pattern.Exact() && !reflect.DeepEqual(c.rule.Mask, chosen.rule.Mask) {
			p.hazard(true, HazardImpossible, c.label, "it holds the same values as %s, which has another rule: write one rule for both", chosen.label)
		}
		if c.rule == chosen.rule {
			continue
		}
		c.rule, c.from = chosen.rule, "tied to "+chosen.label
	}
}

// before reports whether rule a counts before b.
func (p *planner) before(a, b *rule) bool {
	if a.pattern.Exact() != b.pattern.Exact() {
		return a.pattern.Exact()
	}
	return slices.Index(p.rules, a) < slices.Index(p.rules, b)
}

// classify says of each column that is not masked why it may pass, or refuses.
func (p *planner) classify() {
	refused := map[*column]bool{}
	for _, c := range p.columns {
		if c.rule != nil || p.parents[c.table.OID] || c.Generated != "" || p.Empty != nil && p.Empty(c.table.OID) {
			continue
		}
		kind, _ := p.kind(c)
		pass := Passed{Label: c.root().label, Table: c.table.Name, Name: c.Name, Kind: kind}
		if why, ok := p.stated(c, 0); ok {
			pass.Why, pass.Trusted = "stated safe by the operator, "+why, true
			p.plan.Passed = append(p.plan.Passed, pass)
			continue
		}
		finding := p.finding(c)
		if why, ok := p.stated(c, 1); ok {
			if finding.Personal && !refused[c.root()] {
				refused[c.root()] = p.statedSafe(c, finding)
			}
			pass.Why = "stated safe, " + why
			p.plan.Passed = append(p.plan.Passed, pass)
			continue
		}
		if finding.Harmless != "" && slices.Contains(p.Policy.Harmless, finding.Harmless) {
			pass.Why = fmt.Sprintf("harmless, %s: %s", finding.Harmless, finding.Reason)
			p.plan.Passed = append(p.plan.Passed, pass)
			continue
		}
		if !refused[c.root()] {
			refused[c.root()] = true
			p.unclassified(c, finding)
		}
	}
}

// finding is what a column probably holds. Of a table, its partitions and heirs
// it is one thing: what is found in any of them holds for all, and that it is
// personal before that it is harmless.
func (p *planner) finding(c *column) detect.Finding {
	f := p.Find(c.table.OID, c.Name)
	for _, m := range p.members[c.speaker()] {
		if f.Personal || m.root() != c.root() {
			continue
		}
		if other := p.Find(m.table.OID, m.Name); other.Personal || f.Harmless == "" {
			f = other
		}
	}
	return f
}

// stated finds where a column is stated safe: by the operator (0) or in the
// Twin's file (1).
func (p *planner) stated(c *column, by int) (why string, ok bool) {
	types := [][]string{p.Policy.SafeTypes, p.Masking.SafeTypes}[by]
	for i, pattern := range p.safe[by] {
		if c.names(func(s, t, n string) bool { return pattern.Match(s, t, n) }) {
			return "by " + [][]string{p.Policy.Safe, p.Masking.Safe}[by][i], true
		}
	}
	bare := modifier.ReplaceAllString(c.Type, "")
	for _, t := range types {
		if strings.EqualFold(t, c.Type) || strings.EqualFold(t, bare) || strings.EqualFold(t, aliases[strings.ToLower(bare)]) {
			return "by its type " + t, true
		}
	}
	return "", false
}

// modifier is the length or precision that a type is written with.
var modifier = regexp.MustCompile(`\([^)]*\)`)

// aliases are other names by which people know types.
var aliases = map[string]string{
	"integer": "int", "bigint": "int8", "smallint": "int2", "boolean": "bool", "double precision": "float8", "real": "float4",
	"timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp", "character varying": "varchar",
}

// statedSafe notes a column that was stated safe in the file and looks
// personal, and reports whether it is settled.
func (p *planner) statedSafe(c *column, f detect.Finding) bool {
	label := c.root().label
	if p.Policy.Must {
		p.hazard(true, HazardStatedSafe, label, "it was stated safe, but %s, and only the operator can call that safe: mask it with %s, or the operator adds it to safe of the source", f.Reason, p.line(c, f))
	} else {
		p.hazard(false, HazardStatedSafe, label, "it was stated safe, but %s: if that is so, mask it with %s", f.Reason, p.line(c, f))
	}
	return true
}

func (p *planner) unclassified(c *column, f detect.Finding) {
	label := c.root().label
	p.open = append(p.open, c)
	p.plan.Open = append(p.plan.Open, Open{Label: label, Table: c.root().table.Name.String(), Type: c.Type, Finding: f, Rule: p.propose(c, f)})
	switch {
	case f.Personal:
		p.hazard(true, HazardUnclassified, label, "%s, and nothing is said of it; add under mask: %s", f.Reason, p.line(c, f))
	case f.Harmless != "":
		p.hazard(true, HazardUnclassified, label, "it looks harmless (%s), which the policy does not take for granted; add under safe, columns: - %s", f.Reason, QuoteYAML(label))
	default:
		p.hazard(true, HazardUnclassified, label, "nothing tells what it holds; add under mask: %s or, if it is nobody's, under safe, columns: - %s", p.line(c, f), QuoteYAML(label))
	}
}

// lead names for each open column the one whose rule is its own too: of those
// that hold the same values, the one that others refer to.
func (p *planner) lead() {
	first := map[*column]*column{}
	for _, c := range p.open {
		if before := first[c.speaker()]; before == nil || c.rank() > before.rank() {
			first[c.speaker()] = c
		}
	}
	for i, c := range p.open {
		if lead := first[c.speaker()]; lead.root() != c.root() {
			p.plan.Open[i].Tied = lead.root().label
		}
	}
}

// rank is highest for what is referred to and refers to nothing itself.
func (c *column) rank() int {
	switch {
	case c.referred && !c.refers:
		return 2
	case c.referred:
		return 1
	}
	return 0
}

// line is the line of YAML that masks a column.
func (p *planner) line(c *column, f detect.Finding) string {
	return QuoteYAML(c.root().label) + ": " + RuleYAML(p.propose(c, f))
}

// propose chooses the rule that masks a column: the one that was found to fit,
// or what its kind suggests, as long as it holds for the column and for all
// that hold the same values.
func (p *planner) propose(c *column, f detect.Finding) mask.Rule {
	var facts []mask.Column
	for _, m := range p.members[c.speaker()] {
		facts = append(facts, p.fact(m))
	}
	fact := narrowest(facts)
	for _, class := range append([]mask.Class{f.Class}, byKind(fact)...) {
		rule := mask.Rule{Class: class}
		if class == f.Class {
			rule.Paths = f.Paths
		}
		if f.Locale != "en" && slices.Contains(mask.Locales(), f.Locale) && detect.Worded(class) {
			rule.Locale = f.Locale
		}
		if _, err := mask.New(rule, fact, p.Secret); err == nil {
			return rule
		}
	}
	// A vector of words that a trigger keeps takes no NULL, but no words.
	if empty := (mask.Rule{Class: mask.Constant}); fact.NotNull && c.Type == "tsvector" {
		return empty
	}
	return mask.Rule{Class: mask.Null}
}

// byKind are the classes that say least about values of a kind, those that keep
// more of their look first.
func byKind(fact mask.Column) []mask.Class {
	kind := fact.Kind
	if fact.Elem != nil {
		kind = fact.Elem.Kind
	}
	switch kind {
	case mask.Text:
		return []mask.Class{mask.FreeText, mask.Hash, mask.NationalID, mask.Redact}
	case mask.Int:
		return []mask.Class{mask.Noise, mask.Integer}
	case mask.Numeric, mask.Float:
		return []mask.Class{mask.Noise}
	case mask.Bool:
		return []mask.Class{mask.Boolean}
	case mask.UUID:
		return []mask.Class{mask.UUIDClass}
	case mask.Moment:
		return []mask.Class{mask.DateShift, mask.DateGeneralise}
	case mask.Bytes:
		return []mask.Class{mask.BytesClass}
	case mask.IP:
		return []mask.Class{mask.IPClass}
	case mask.MAC:
		return []mask.Class{mask.MACClass}
	case mask.JSON:
		return []mask.Class{mask.JSONClass}
	case mask.XML:
		return []mask.Class{mask.XMLClass}
	case mask.HStore:
		return []mask.Class{mask.HStoreClass}
	case mask.Enum:
		return []mask.Class{mask.EnumClass}
	case mask.Other:
	}
	return nil
}
