package detect

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/mask"
)

// Bounds of a look into documents.
const (
	maxPaths = 200 // different places
	maxDepth = 16
)

// places gathers the values of documents by where they stand.
type places struct {
	order  []string // of paths, as first seen
	values map[string][]string
}

// add notes a value. Indexes of lists, and keys that look like data, are stars.
func (p *places) add(path []string, v string) {
	if len(path) == 0 {
		return
	}
	key := strings.Join(path, ".")
	if _, ok := p.values[key]; !ok {
		if len(p.order) >= maxPaths {
			return
		}
		p.order = append(p.order, key)
	}
	p.values[key] = append(p.values[key], v)
}

// step is a key as a path has it.
func step(key string) string {
	if key == "" || strings.ContainsAny(key, ". *@\"\\") || count(key) > 2 || len(key) > 48 {
		return "*"
	}
	return key
}

// read notes the values of a document of a kind.
func (p *places) read(kind mask.Kind, doc string) {
	if kind == mask.XML { //nolint:staticcheck // a switch would have to list all kinds
		p.readXML(doc)
	} else if kind == mask.HStore {
		p.readHStore(doc)
	} else {
		p.readJSON(doc)
	}
}

// readJSON notes the values of a document, as far as it goes: it may be cut.
func (p *places) readJSON(doc string) {
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	p.value(d, nil)
}

// value reads one value; false says that the document has ended.
func (p *places) value(d *json.Decoder, path []string) bool {
	t, err := d.Token()
	if err != nil || len(path) > maxDepth {
		return false
	}
	switch t := t.(type) {
	case json.Delim:
		for d.More() {
			next := "*"
			if t == '{' {
				key, err := d.Token()
				name, ok := key.(string)
				if err != nil || !ok {
					return false
				}
				next = step(name)
			}
			if !p.value(d, append(slices.Clone(path), next)) {
				return false
			}
		}
		_, err := d.Token()
		return err == nil
	case string:
		p.add(path, t)
	case json.Number:
		p.add(path, t.String())
	case bool, nil:
		p.add(path, "")
	}
	return true
}

// readXML notes the text of elements and attributes. A path is the names of
// the elements from the outermost on, and @ with that of the attribute.
func (p *places) readXML(doc string) {
	d := xml.NewDecoder(strings.NewReader(doc))
	d.Strict = false
	var path []string
	for range 4000 {
		t, err := d.Token()
		if errors.Is(err, io.EOF) || err != nil || len(path) > maxDepth {
			return
		}
		switch t := t.(type) {
		case xml.StartElement:
			path = append(path, step(t.Name.Local))
			for _, a := range t.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					p.add(append(slices.Clone(path), "@"+step(a.Name.Local)), a.Value)
				}
			}
		case xml.EndElement:
			path = path[:max(len(path)-1, 0)]
		case xml.CharData:
			if text := strings.TrimSpace(string(t)); text != "" {
				p.add(path, text)
			}
		}
	}
}

// readHStore notes the pairs of what hstore writes: "k"=>"v", "k2"=>NULL.
func (p *places) readHStore(doc string) {
	for doc != "" {
		key, rest, ok := hstoreWord(doc)
		rest, arrow := strings.CutPrefix(strings.TrimLeft(rest, " "), "=>")
		if !ok || !arrow {
			return
		}
		value, rest, _ := hstoreWord(rest)
		p.add([]string{step(key)}, value)
		doc = strings.TrimLeft(rest, ", ")
	}
}

func hstoreWord(s string) (word, rest string, ok bool) {
	s, quoted := strings.CutPrefix(strings.TrimLeft(s, " "), `"`)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
		case quoted && s[i] == '"':
			return b.String(), s[i+1:], true
		case !quoted && (s[i] == ',' || s[i] == '=' || s[i] == ' '):
			return b.String(), s[i:], true
		}
		b.WriteByte(s[i])
	}
	return b.String(), "", b.Len() > 0
}

// inDocuments judges a column of documents by the parts of them.
func inDocuments(c Column, in place, values []string) Finding {
	p := places{values: map[string][]string{}}
	for _, v := range values {
		p.read(c.Kind, v)
	}
	slices.Sort(p.order)
	out := Finding{}
	var words []string
	for _, path := range p.order {
		part := Column{Schema: c.Schema, Table: c.Table, Name: path, Kind: mask.Text}
		if numbers(p.values[path]) {
			part.Kind = mask.Numeric
		}
		f := lookInside(part, in, c.Name, p.values[path])
		if !f.Personal {
			continue
		}
		out.Personal, out.Confidence = true, max(out.Confidence, f.Confidence)
		if c.Kind != mask.HStore { // whose pairs are masked alike
			rule := mask.Rule{Class: f.Class}
			if Worded(f.Class) {
				rule.Locale = f.Locale
			}
			out.Paths = append(out.Paths, mask.PathRule{Path: path, Rule: rule})
		}
		words = append(words, f.Reason)
	}
	if out.Personal {
		slices.Sort(words)
		words = slices.Compact(words)
		out.Class, _ = classFor("document", c.Kind)
		out.Reason = "parts of the document: " + strings.Join(words[:min(len(words), 4)], "; ")
	}
	return out
}

// numbers reports whether all values are numbers.
func numbers(values []string) bool {
	for _, v := range values {
		if !json.Valid([]byte(v)) || strings.ContainsAny(v, `"{[tfn`) {
			return false
		}
	}
	return len(values) > 0
}

// lookInside judges a part of a document by its key, by those around it, and by
// the column's name.
func lookInside(part Column, in place, column string, values []string) Finding {
	keys := strings.FieldsFunc(part.Name, func(r rune) bool { return r == '.' || r == '*' || r == '@' })
	around := append([]string{column}, keys[:max(len(keys)-1, 0)]...)
	part.Name = column
	if len(keys) > 0 {
		part.Name = keys[len(keys)-1]
	}
	for _, key := range slices.Backward(around) {
		if near := tableOf("", key); near.sort != unclear {
			in = near
			break
		}
	}
	return one(part, in, look(values))
}
