package mask

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// leaf masks the values of a document, by what they are there.
type leaf struct {
	text, integer, number *Masker // nil integer: as any number
	flag                  *Masker // nil: false
	null, keep            bool
	typed                 bool // the rule takes no text, but numbers or booleans
}

// place is a rule for one path of a document.
type place struct {
	path []string
	leaf leaf
}

// errDocumentLength refuses documents in text of bounded length.
var errDocumentLength = errors.New("a document may get longer or shorter than the column takes")

// document is what the rules of a json, xml or hstore column come to.
type document struct {
	key    Key
	places []place
	rest   leaf
}

func (m *maker) document() (*document, error) {
	rest, err := m.leaf(m.rule.Rest)
	if err != nil {
		return nil, err
	}
	d := &document{key: m.key.sub("keys"), rest: rest}
	for _, p := range m.rule.Paths {
		l, err := m.leaf(&p.Rule)
		if err != nil {
			return nil, err
		}
		path := strings.Split(strings.TrimPrefix(p.Path, "$."), ".")
		if p.Path == "" || len(path) > maxDepth {
			return nil, errors.New("a path is empty or too deep")
		}
		d.places = append(d.places, place{path, l})
	}
	return d, nil
}

// leaf makes the maskers of one rule. Numbers and booleans that its class does
// not take are masked all the same, by noise and as false.
func (m *maker) leaf(rule *Rule) (leaf, error) {
	if rule == nil {
		rule = &Rule{Class: FreeText}
	}
	l := leaf{null: rule.Class == Null, keep: rule.Class == Keep}
	c, ok := classOf(rule.Class)
	l.typed = c.kinds&Text == 0
	if !ok {
		return l, errors.New("there is no class " + string(rule.Class))
	}
	as := func(kind Kind, rule Rule) (*Masker, error) {
		return New(rule, Column{Name: m.col.Name, Kind: kind, OID: map[Kind]uint32{Int: oidInt8}[kind]}, m.secret)
	}
	plain := Rule{Class: FreeText, Locale: m.rule.Locale}
	if c.kinds&Text != 0 {
		plain = *rule
	}
	var err error
	if l.text, err = as(Text, plain); err != nil {
		return l, err
	}
	if l.number, err = as(Numeric, Rule{Class: Noise}); err != nil {
		return l, err
	}
	if c.kinds&(Text|Int|Numeric|Bool) == 0 {
		return l, errors.New("class " + string(rule.Class) + " takes no value of a document")
	}
	// A choice of words has no numbers: then noise stays.
	for kind, to := range map[Kind]**Masker{Int: &l.integer, Numeric: &l.number, Bool: &l.flag} {
		if c.kinds&kind == 0 {
			continue
		}
		if made, err := as(kind, *rule); err == nil {
			*to = made
		} else if c.kinds&Text == 0 {
			return l, err
		}
	}
	return l, nil
}

// maxDepth bounds how deep a document may be nested.
const maxDepth = 64

// at gives the rule for a path, or the one that holds already.
func (d *document) at(path [][]byte, now *leaf) *leaf {
	for i := range d.places {
		if matches(d.places[i].path, path) {
			return &d.places[i].leaf
		}
	}
	return now
}

// matches compares a path with a pattern.
func matches(pattern []string, path [][]byte) bool {
	for i, p := range pattern {
		if p == "**" {
			for skip := 0; skip <= len(path)-i; skip++ {
				if matches(pattern[i+1:], path[i+skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(path) || p != "*" && p != string(path[i]) {
			return false
		}
	}
	return len(pattern) == len(path)
}

// appendKey appends the key of an object. Keys are the application's words,
// but some applications use values as keys: what does not look like a word is
// replaced.
func (d *document) appendKey(dst, key []byte) []byte {
	if wordlike(key) {
		return append(dst, key...)
	}
	hi, lo := d.key.sum128(key)
	return appendBase32(append(dst, "k_"...), hi, lo, 13)
}

// wordlike reports whether a key is an identifier: it begins with a letter, has
// none but letters, digits and . _ - : $ and no four digits in a row.
func wordlike(key []byte) bool {
	if len(key) == 0 || len(key) > 63 || !letter(key[0]) && key[0] != '_' && key[0] != '$' {
		return len(key) == 0
	}
	run := 0
	for _, b := range key {
		switch {
		case digit(b):
			if run++; run == 4 {
				return false
			}
			continue
		case letter(b), strings.IndexByte("._-:$", b) >= 0:
		default:
			return false
		}
		run = 0
	}
	return true
}

// mask appends the stand-in of text, in canonical form before. What it is
// told to multiply, it multiplies by the chance of the stand-in being the text.
func (l *leaf) mask(dst, text, entity []byte, chance *float64) []byte {
	if chance != nil {
		*chance *= l.text.Chance(text)
	}
	start := len(dst)
	plain := Column{Kind: Text}
	dst = plain.appendText(dst, text)
	middle := len(dst)
	dst = l.text.Mask(dst, dst[start:middle:middle], entity)
	return append(dst[:start], dst[middle:]...)
}

// maskTyped appends the stand-in of a value where documents know no types: a
// rule for numbers or booleans holds for what looks like one.
func (l *leaf) maskTyped(dst, v, entity []byte, chance *float64) []byte {
	masker := l.text
	switch {
	case !l.typed:
	case l.integer != nil && len(v) < 19 && decimal(v) && bytes.IndexByte(v, '.') < 0:
		masker = l.integer
	case decimal(v):
		masker = l.number
	case l.flag != nil && (string(v) == "true" || string(v) == "false"):
		yes := l.flag.Mask(nil, v[:1], entity)
		return strconv.AppendBool(dst, string(yes) == "t")
	}
	if masker == l.text {
		return l.mask(dst, v, entity, chance)
	}
	if chance != nil {
		*chance *= masker.Chance(v)
	}
	return masker.Mask(dst, v, entity)
}
