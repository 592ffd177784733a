package mask

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// buildJSON masks the values of a document (RFC 8259), each by the rule for its
// path, or that of an object or array around it, or the rest's. Objects,
// arrays, nulls and keys that look like words are kept. What is no JSON, as a
// column of text may hold, is masked as text; in a json column nothing is, and
// it would become null.
func buildJSON(m *maker) (*Masker, error) {
	if m.col.Kind == Text && (m.col.MaxLen > 0 || m.col.MinLen > 1) {
		return nil, errDocumentLength
	}
	d, err := m.document()
	if err != nil {
		return nil, err
	}
	text := m.col.Kind == Text
	mask := func(dst, v, entity []byte, chance *float64) []byte {
		start := len(dst)
		w := jsonWalk{src: v, dst: dst, d: d, entity: entity, chance: chance}
		w.space()
		if w.value(0, &d.rest) && w.end() {
			return w.dst
		}
		if text {
			return d.rest.mask(w.dst[:start], v, entity, chance)
		}
		return append(w.dst[:start], "null"...)
	}
	return &Masker{
		traits: Traits{Charset: "a document"},
		chance: chanceOf(mask),
		mask:   func(dst, v, entity []byte) []byte { return mask(dst, v, entity, nil) },
	}, nil
}

// chanceOf is the chance that nothing in a document changes: that of all its
// values together.
func chanceOf(mask func(dst, v, entity []byte, chance *float64) []byte) func(v []byte) float64 {
	return func(v []byte) float64 {
		chance := 1.0
		mask(nil, v, nil, &chance)
		return chance
	}
}

// jsonWalk copies one document.
type jsonWalk struct {
	src, dst []byte
	i        int
	d        *document
	entity   []byte
	chance   *float64 // nil: nobody asks
	path     [maxDepth][]byte
}

// space skips white space and keeps it out of the copy.
func (w *jsonWalk) space() {
	for w.i < len(w.src) && (w.src[w.i] == ' ' || w.src[w.i] == '\t' || w.src[w.i] == '\n' || w.src[w.i] == '\r') {
		w.i++
	}
}

func (w *jsonWalk) end() bool {
	w.space()
	return w.i == len(w.src)
}

// take goes on past b if it is next.
func (w *jsonWalk) take(b byte) bool {
	if w.i < len(w.src) && w.src[w.i] == b {
		w.i++
		return true
	}
	return false
}

// value copies the value at the position; false says that it is no JSON.
func (w *jsonWalk) value(depth int, rule *leaf) bool {
	if len(w.d.places) > 0 {
		rule = w.d.at(w.path[:depth], rule)
	}
	if rule.null {
		start := len(w.dst)
		if !w.inner(depth, &w.d.rest) {
			return false
		}
		w.dst = append(w.dst[:start], "null"...)
		return true
	}
	return w.inner(depth, rule)
}

func (w *jsonWalk) inner(depth int, rule *leaf) bool {
	if w.i >= len(w.src) || depth >= maxDepth {
		return false
	}
	switch b := w.src[w.i]; {
	case b == '{':
		return w.object(depth, rule)
	case b == '[':
		return w.array(depth, rule)
	case b == '"':
		return w.text(rule)
	case b == '-' || digit(b):
		return w.number(rule)
	case b == 'n':
		return w.word("null") && w.put("null")
	case b == 't':
		return w.word("true") && w.flag(rule, true)
	case b == 'f':
		return w.word("false") && w.flag(rule, false)
	}
	return false
}

func (w *jsonWalk) word(s string) bool {
	if !bytes.HasPrefix(w.src[w.i:], []byte(s)) {
		return false
	}
	w.i += len(s)
	return true
}

func (w *jsonWalk) put(s string) bool {
	w.dst = append(w.dst, s...)
	return true
}

func (w *jsonWalk) flag(rule *leaf, v bool) bool {
	in := "f"
	if v {
		in = "t"
	}
	start := len(w.dst)
	switch {
	case rule.keep:
		w.dst = append(w.dst, in...)
	case rule.flag != nil:
		w.dst = rule.flag.Mask(w.dst, []byte(in), w.entity)
	default:
		w.dst = append(w.dst, 'f')
	}
	yes := len(w.dst) > start && w.dst[start] == 't'
	w.dst = strconv.AppendBool(w.dst[:start], yes)
	return true
}

func (w *jsonWalk) object(depth int, rule *leaf) bool {
	w.i++
	w.dst = append(w.dst, '{')
	w.space()
	if w.take('}') {
		return w.put("}")
	}
	for {
		raw, ok := w.quoted()
		if !ok {
			return false
		}
		start := len(w.dst)
		w.dst = unquoteJSON(w.dst, raw)
		middle := len(w.dst)
		w.dst = w.d.appendKey(w.dst, w.dst[start:middle:middle])
		w.requote(start, middle)
		w.space()
		if !w.take(':') {
			return false
		}
		w.dst = append(w.dst, ':')
		w.space()
		w.path[depth] = raw
		if !w.value(depth+1, rule) {
			return false
		}
		w.space()
		switch {
		case w.take(','):
			w.dst = append(w.dst, ',')
			w.space()
		case w.take('}'):
			return w.put("}")
		default:
			return false
		}
	}
}

func (w *jsonWalk) array(depth int, rule *leaf) bool {
	w.i++
	w.dst = append(w.dst, '[')
	w.space()
	if w.take(']') {
		return w.put("]")
	}
	for n := 0; ; n++ {
		w.path[depth] = nil
		if len(w.d.places) > 0 {
			w.path[depth] = strconv.AppendInt(nil, int64(n), 10)
		}
		if !w.value(depth+1, rule) {
			return false
		}
		w.space()
		switch {
		case w.take(','):
			w.dst = append(w.dst, ',')
			w.space()
		case w.take(']'):
			return w.put("]")
		default:
			return false
		}
	}
}

func (w *jsonWalk) number(rule *leaf) bool {
	from := w.i
	whole := true
	for w.i < len(w.src) {
		b := w.src[w.i]
		if !digit(b) && b != '-' && b != '+' && b != '.' && b != 'e' && b != 'E' {
			break
		}
		whole = whole && (digit(b) || b == '-')
		w.i++
	}
	v := w.src[from:w.i]
	if rule.keep {
		w.dst = append(w.dst, v...)
		return true
	}
	masker := rule.number
	if whole && rule.integer != nil && len(v) < 19 {
		masker = rule.integer
	}
	if w.chance != nil {
		*w.chance *= masker.Chance(v)
	}
	if decimal(v) {
		w.dst = masker.Mask(w.dst, v, w.entity)
		return true
	}
	f, err := strconv.ParseFloat(string(v), 64) // it has an exponent
	if err != nil {
		return false
	}
	start := len(w.dst)
	w.dst = strconv.AppendFloat(w.dst, f, 'f', -1, 64)
	middle := len(w.dst)
	w.dst = rule.number.Mask(w.dst, w.dst[start:middle:middle], w.entity)
	w.dst = append(w.dst[:start], w.dst[middle:]...)
	return true
}

func (w *jsonWalk) text(rule *leaf) bool {
	raw, ok := w.quoted()
	if !ok {
		return false
	}
	if rule.keep {
		w.dst = append(append(append(w.dst, '"'), raw...), '"')
		return true
	}
	start := len(w.dst)
	w.dst = unquoteJSON(w.dst, raw)
	middle := len(w.dst)
	w.dst = rule.mask(w.dst, w.dst[start:middle:middle], w.entity, w.chance)
	w.requote(start, middle)
	return true
}

// requote replaces what stands from start on by what stands from middle on, as
// a string.
func (w *jsonWalk) requote(start, middle int) {
	end := len(w.dst)
	w.dst = appendJSONString(w.dst, w.dst[middle:end:end])
	w.dst = append(w.dst[:start], w.dst[end:]...)
}

// quoted gives what stands between the quotes at the position.
func (w *jsonWalk) quoted() ([]byte, bool) {
	if !w.take('"') {
		return nil, false
	}
	from := w.i
	for w.i < len(w.src) {
		switch w.src[w.i] {
		case '"':
			w.i++
			return w.src[from : w.i-1], true
		case '\\':
			w.i++
		}
		w.i++
	}
	return nil, false
}

// unquoteJSON appends a string without its escapes.
func unquoteJSON(dst, raw []byte) []byte {
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 || i+1 >= len(raw) {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:i]...)
		escape := raw[i+1]
		raw = raw[i+2:]
		switch escape {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			var r rune
			r, raw = hexRune(raw)
			if utf16.IsSurrogate(r) && bytes.HasPrefix(raw, []byte(`\u`)) {
				low, rest := hexRune(raw[2:])
				r, raw = utf16.DecodeRune(r, low), rest
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, escape)
		}
	}
	return dst
}

func hexRune(raw []byte) (rune, []byte) {
	if len(raw) < 4 {
		return utf8.RuneError, nil
	}
	var r rune
	for _, b := range raw[:4] {
		d, _ := hexDigit(b)
		r = r<<4 | rune(d)
	}
	return r, raw[4:]
}

// appendJSONString appends v in quotes, with what must be escaped escaped.
func appendJSONString(dst, v []byte) []byte {
	dst = append(dst, '"')
	for _, b := range v {
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b < ' ':
			const digits = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '"')
}
