package mask

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// buildXML masks the text between tags and the values of attributes (XML 1.0).
// Names and namespaces are kept; comments, processing instructions and document
// types are left out, as anything may stand there.
func buildXML(m *maker) (*Masker, error) {
	if len(m.rule.Paths) > 0 {
		return nil, errPaths
	}
	if m.col.Kind == Text && (m.col.MaxLen > 0 || m.col.MinLen > 1) {
		return nil, errDocumentLength
	}
	d, err := m.document()
	if err != nil {
		return nil, err
	}
	mask := func(dst, v, entity []byte, chance *float64) []byte {
		w := xmlWalk{dst: dst, rule: &d.rest, entity: entity, chance: chance}
		w.content(v)
		return w.dst
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
	rule        *leaf
	chance      *float64 // nil: nobody asks
}

func (w *xmlWalk) content(v []byte) {
	for len(v) > 0 {
		open := bytes.IndexByte(v, '<')
		if open < 0 {
			w.text(v, false)
			return
		}
		w.text(v[:open], false)
		v = v[open:]
		switch {
		case bytes.HasPrefix(v, []byte("<!--")):
			_, v, _ = bytes.Cut(v, []byte("-->"))
		case bytes.HasPrefix(v, []byte("<![CDATA[")):
			text, rest, _ := bytes.Cut(v[len("<![CDATA["):], []byte("]]>"))
			w.text(text, true)
			v = rest
		case bytes.HasPrefix(v, []byte("<?xml ")):
			head, rest, _ := bytes.Cut(v, []byte("?>"))
			w.dst = append(append(w.dst, head...), "?>"...)
			v = rest
		case bytes.HasPrefix(v, []byte("<?")):
			_, v, _ = bytes.Cut(v, []byte("?>"))
		case bytes.HasPrefix(v, []byte("<!")):
			v = afterDocType(v)
		default:
			v = w.tag(v)
		}
	}
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

// tag copies a tag with its attributes masked, and gives what follows it.
func (w *xmlWalk) tag(v []byte) []byte {
	name := 1
	for name < len(v) && strings.IndexByte(" \t\r\n>", v[name]) < 0 {
		name++
	}
	w.dst = append(w.dst, v[:name]...)
	v = v[name:]
	for len(v) > 0 {
		quote := bytes.IndexAny(v, `"'>`)
		if quote < 0 {
			return nil
		}
		w.dst = append(w.dst, v[:quote+1]...)
		if v[quote] == '>' {
			return v[quote+1:]
		}
		attribute := bytes.TrimRight(bytes.TrimSpace(v[:quote]), "= \t\r\n")
		mark := v[quote]
		value, rest, _ := bytes.Cut(v[quote+1:], []byte{mark})
		if bytes.HasPrefix(attribute, []byte("xml")) {
			w.dst = append(w.dst, value...)
		} else {
			w.text(value, false)
		}
		w.dst = append(w.dst, mark)
		v = rest
	}
	return nil
}

// text masks text; literal says that it has no entities.
func (w *xmlWalk) text(v []byte, literal bool) {
	if len(bytes.TrimSpace(v)) == 0 || w.rule.keep {
		if literal {
			w.dst = appendXMLText(w.dst, v)
		} else {
			w.dst = append(w.dst, v...)
		}
		return
	}
	if w.rule.null {
		return
	}
	start := len(w.dst)
	if literal {
		w.dst = append(w.dst, v...)
	} else {
		w.dst = appendXMLPlain(w.dst, v)
	}
	middle := len(w.dst)
	w.dst = w.rule.mask(w.dst, w.dst[start:middle:middle], w.entity, w.chance)
	end := len(w.dst)
	w.dst = appendXMLText(w.dst, w.dst[middle:end:end])
	w.dst = append(w.dst[:start], w.dst[end:]...)
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
