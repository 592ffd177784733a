package mask

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// buildXML masks the text between tags and the values of attributes (XML 1.0),
// each by the rule for its path, or that of an element around it, or the rest's.
// A path is the names of elements from the outermost one on, as they are
// written; an attribute's ends with its name after an @. Names, namespaces and
// white space about text are kept; comments, processing instructions and
// document types are left out, as anything may stand there. What is no XML, as
// a column of text may hold, is masked as text; in a column of xml nothing is
// left of it.
func buildXML(m *maker) (*Masker, error) {
	if m.col.Kind == Text && (m.col.MaxLen > 0 || m.col.MinLen > 0) {
		return nil, errDocumentLength
	}
	d, err := m.document()
	if err != nil {
		return nil, err
	}
	text := m.col.Kind == Text
	mask := func(dst, v, entity []byte, chance *float64) []byte {
		start := len(dst)
		w := xmlWalk{dst: dst, d: d, entity: entity, chance: chance}
		w.rules[0] = &d.rest
		switch {
		case w.content(v):
			return w.dst
		case text:
			return d.rest.mask(w.dst[:start], v, entity, chance)
		}
		return w.dst[:start]
	}
	return &Masker{
		traits: Traits{Charset: "a document"},
		chance: chanceOf(mask),
		mask:   func(dst, v, entity []byte) []byte { return mask(dst, v, entity, nil) },
	}, nil
}

// xmlWalk copies one document.
type xmlWalk struct {
	dst, entity []byte
	d           *document
	chance      *float64 // nil: nobody asks
	depth       int
	path        [maxDepth][]byte
	rules       [maxDepth + 1]*leaf // that of each element, from outside
	attribute   []byte
}

// content copies what stands between tags, and all of them; false says that it
// is no XML.
func (w *xmlWalk) content(v []byte) bool {
	ok := true
	for len(v) > 0 && ok {
		open := bytes.IndexByte(v, '<')
		if open < 0 {
			w.text(w.rules[w.depth], v, false)
			break
		}
		w.text(w.rules[w.depth], v[:open], false)
		v = v[open:]
		switch {
		case bytes.HasPrefix(v, []byte("<!--")):
			_, v, ok = bytes.Cut(v[len("<!--"):], []byte("-->"))
		case bytes.HasPrefix(v, []byte("<![CDATA[")):
			var text []byte
			text, v, ok = bytes.Cut(v[len("<![CDATA["):], []byte("]]>"))
			w.text(w.rules[w.depth], text, true)
		case bytes.HasPrefix(v, []byte("<?xml ")):
			var head []byte
			head, v, ok = bytes.Cut(v, []byte("?>"))
			w.dst = append(append(w.dst, head...), "?>"...)
		case bytes.HasPrefix(v, []byte("<?")):
			_, v, ok = bytes.Cut(v, []byte("?>"))
		case bytes.HasPrefix(v, []byte("<!")):
			v = afterDocType(v)
		case bytes.HasPrefix(v, []byte("</")):
			v, ok = w.end(v)
		default:
			v, ok = w.tag(v)
		}
	}
	return ok && w.depth == 0
}

func afterDocType(v []byte) []byte {
	depth := 0
	for i, b := range v {
		switch b {
		case '[':
			depth++
		case ']':
			depth--
		case '>':
			if depth <= 0 {
				return v[i+1:]
			}
		}
	}
	return nil
}

const xmlSpace = " \t\r\n"

// end copies the end of the innermost element.
func (w *xmlWalk) end(v []byte) (rest []byte, ok bool) {
	name, rest, ok := bytes.Cut(v[len("</"):], []byte(">"))
	name = bytes.TrimRight(name, xmlSpace)
	if !ok || w.depth == 0 || !bytes.Equal(name, w.path[w.depth-1]) {
		return nil, false
	}
	w.depth--
	w.dst = append(append(append(w.dst, "</"...), name...), '>')
	return rest, true
}

// tag copies the beginning of an element with its attributes masked, and gives
// what follows it.
func (w *xmlWalk) tag(v []byte) (rest []byte, ok bool) {
	size := bytes.IndexAny(v, xmlSpace+"/>")
	if size < 2 || w.depth == maxDepth {
		return nil, false
	}
	name := v[1:size]
	w.path[w.depth] = name
	rule := w.rules[w.depth]
	w.depth++
	rule = w.d.at(w.path[:w.depth], rule)
	w.rules[w.depth] = rule
	w.dst = append(w.dst, v[:size]...)
	v = v[size:]
	for {
		next := bytes.IndexAny(v, `"'>`)
		if next < 0 {
			return nil, false
		}
		if v[next] == '>' {
			closed := bytes.HasSuffix(v[:next], []byte("/"))
			if closed {
				w.depth--
			}
			if len(bytes.Trim(v[:next], xmlSpace+"/")) > 0 {
				return nil, false
			}
			w.dst = append(w.dst, v[:next+1]...)
			return v[next+1:], true
		}
		attribute, equals := bytes.CutSuffix(bytes.TrimRight(v[:next], xmlSpace), []byte("="))
		attribute = bytes.Trim(attribute, xmlSpace)
		mark := v[next]
		value, after, closed := bytes.Cut(v[next+1:], []byte{mark})
		if !equals || !closed || len(attribute) == 0 {
			return nil, false
		}
		w.dst = append(w.dst, v[:next+1]...)
		if bytes.HasPrefix(attribute, []byte("xml")) {
			w.dst = append(w.dst, value...)
		} else {
			w.text(w.attributeRule(attribute, rule), value, false)
		}
		w.dst = append(w.dst, mark)
		v = after
	}
}

// attributeRule is the rule of an attribute of the innermost element.
func (w *xmlWalk) attributeRule(name []byte, rule *leaf) *leaf {
	if len(w.d.places) == 0 || w.depth == maxDepth {
		return rule
	}
	w.attribute = append(append(w.attribute[:0], '@'), name...)
	w.path[w.depth] = w.attribute
	return w.d.at(w.path[:w.depth+1], rule)
}

// text masks text; literal says that it has no entities.
func (w *xmlWalk) text(rule *leaf, v []byte, literal bool) {
	inner := bytes.Trim(v, xmlSpace)
	if len(inner) == 0 || rule.keep {
		if literal {
			w.dst = appendXMLText(w.dst, v)
		} else {
			w.dst = append(w.dst, v...)
		}
		return
	}
	if rule.null {
		return
	}
	before := bytes.Index(v, inner)
	w.dst = append(w.dst, v[:before]...)
	start := len(w.dst)
	if literal {
		w.dst = append(w.dst, inner...)
	} else {
		w.dst = appendXMLPlain(w.dst, inner)
	}
	middle := len(w.dst)
	w.dst = rule.maskTyped(w.dst, w.dst[start:middle:middle], w.entity, w.chance)
	end := len(w.dst)
	w.dst = appendXMLText(w.dst, w.dst[middle:end:end])
	w.dst = append(w.dst[:start], w.dst[end:]...)
	w.dst = append(w.dst, v[before+len(inner):]...)
}

var entities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": `"`, "apos": "'"}

// appendXMLPlain appends text with its entities resolved; those that nobody
// knows are left out.
func appendXMLPlain(dst, v []byte) []byte {
	for len(v) > 0 {
		amp := bytes.IndexByte(v, '&')
		if amp < 0 {
			return append(dst, v...)
		}
		dst = append(dst, v[:amp]...)
		name, rest, ok := bytes.Cut(v[amp+1:], []byte(";"))
		if !ok {
			return append(dst, v[amp+1:]...)
		}
		if number, isNumber := bytes.CutPrefix(name, []byte("#")); isNumber {
			text, base := string(number), 10
			if strings.HasPrefix(text, "x") {
				text, base = text[1:], 16
			}
			if r, err := strconv.ParseInt(text, base, 32); err == nil {
				dst = utf8.AppendRune(dst, rune(r))
			}
		} else {
			dst = append(dst, entities[string(name)]...)
		}
		v = rest
	}
	return dst
}

func appendXMLText(dst, v []byte) []byte {
	for _, b := range v {
		switch b {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		case '"':
			dst = append(dst, "&quot;"...)
		case '\'':
			dst = append(dst, "&apos;"...)
		default:
			dst = append(dst, b)
		}
	}
	return dst
}
