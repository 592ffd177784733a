package detect

import (
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/mask"
)

// topic is what a column is about, as words.txt names it.
type topic string

// fit is how values of some kinds are masked.
type fit struct {
	kinds mask.Kind
	class mask.Class
}

// subject is what follows from a topic.
type subject struct {
	// words describe it to a reviewer.
	words string
	// fits are tried in order; a column of another kind is not about it.
	fits []fit
	// sure is how far a name alone is believed.
	sure float64
	// intimate is set where a kind or a code of it tells as much.
	intimate bool
}

const (
	number = mask.Numeric | mask.Float
	opaque = mask.JSON | mask.HStore | mask.XML
)

// documents are the fits of a topic whose values may lie in a document.
var documents = []fit{{mask.JSON, mask.JSONClass}, {mask.HStore, mask.HStoreClass}, {mask.XML, mask.XMLClass}}

// digits are the fits of a topic whose values may be kept as numbers.
func digits(class mask.Class) []fit {
	return []fit{{mask.Text, class}, {mask.Int, mask.Integer}, {number, mask.Noise}}
}

// topics are all that words.txt may name.
var topics = map[topic]subject{
	"secret":      {"a password, key or token", []fit{{mask.Text, mask.Hash}, {mask.UUID, mask.UUIDClass}, {mask.Bytes, mask.BytesClass}}, 0.9, false},
	"email":       {"an e-mail address", []fit{{mask.Text, mask.Email}}, 0.95, false},
	"phone":       {"a phone number", digits(mask.Phone), 0.9, false},
	"birth":       {"a date of birth or death", []fit{{mask.Moment, mask.DateShift}, {mask.Text, mask.Redact}, {mask.Int | number, mask.Noise}}, 0.95, true},
	"age":         {"an age", []fit{{mask.Int | number, mask.Noise}, {mask.Text, mask.NationalID}}, 0.8, true},
	"national_id": {"a number that a state or an insurer gave a person", digits(mask.NationalID), 0.9, false},
	"iban":        {"a bank account", []fit{{mask.Text, mask.IBAN}}, 0.95, false},
	"bank":        {"a bank account", digits(mask.NationalID), 0.9, false},
	"card":        {"a payment card", []fit{{mask.Text, mask.Card}, {mask.Int, mask.Integer}, {number, mask.Noise}}, 0.9, false},
	"card_part":   {"a part of a payment card", []fit{{mask.Text, mask.NationalID}, {mask.Int, mask.Integer}, {mask.Moment, mask.DateShift}}, 0.85, false},
	"ip":          {"an IP address", []fit{{mask.IP | mask.Text, mask.IPClass}, {mask.Int, mask.Integer}}, 0.9, false},
	"mac":         {"a hardware address", []fit{{mask.MAC | mask.Text, mask.MACClass}}, 0.9, false},
	"device":      {"somebody's device", []fit{{mask.Text, mask.Hash}, {mask.UUID, mask.UUIDClass}, {mask.Bytes, mask.BytesClass}}, 0.8, false},
	"first_name":  {"a first name", []fit{{mask.Text, mask.FirstName}}, 0.95, false},
	"last_name":   {"a last name", []fit{{mask.Text, mask.LastName}}, 0.95, false},
	"full_name":   {"somebody's name", []fit{{mask.Text, mask.FullName}}, 0.85, false},
	"username":    {"a user name", []fit{{mask.Text, mask.Username}}, 0.85, false},
	"street":      {"an address", append([]fit{{mask.Text, mask.Street}, {mask.Int, mask.Integer}}, documents...), 0.8, false},
	"city":        {"somebody's town", []fit{{mask.Text, mask.City}}, 0.75, true},
	"birth_place": {"a place of birth", []fit{{mask.Text, mask.City}}, 0.9, true},
	"postal_code": {"a postal code", []fit{{mask.Text, mask.PostalCode}, {mask.Int, mask.Integer}}, 0.8, false},
	"location":    {"a place on the map", append([]fit{{mask.Float | mask.Numeric, mask.Noise}, {mask.Text, mask.FreeText}, {mask.Other, mask.Null}}, documents...), 0.7, false},
	"company":     {"an employer or firm", []fit{{mask.Text, mask.Company}}, 0.6, false},
	"url":         {"a page or picture of somebody", []fit{{mask.Text, mask.URL}, {mask.Bytes, mask.BytesClass}}, 0.7, false},
	"biometric":   {"a mark of somebody's body or hand", []fit{{mask.Bytes, mask.BytesClass}, {mask.Text, mask.FreeText}, {opaque, mask.JSONClass}}, 0.8, false},
	"money":       {"what somebody earns or owns", []fit{{mask.Int | number, mask.Noise}, {mask.Text, mask.NationalID}, {mask.Other, mask.Null}}, 0.8, true},
	"attribute":   {"something intimate about a person", []fit{{mask.Enum, mask.EnumClass}, {mask.Bool, mask.Boolean}, {mask.Text, mask.Redact}, {mask.Int | number, mask.Noise}}, 0.8, true},
	"health":      {"somebody's health", append([]fit{{mask.Text, mask.FreeText}, {mask.Enum, mask.EnumClass}, {mask.Bool, mask.Boolean}, {mask.Int | number, mask.Noise}, {mask.Bytes, mask.BytesClass}}, documents...), 0.85, true},
	"free_text":   {"text that people write", []fit{{mask.Text, mask.FreeText}, {mask.XML, mask.XMLClass}}, 0.7, false},
	"document":    {"data about a person", documents, 0.8, false},
	"issued":      {"a number that was given to a person", append(digits(mask.NationalID), fit{mask.UUID, mask.UUIDClass}), 0.8, false},
	"life":        {"a fact of somebody's life", []fit{{mask.Moment, mask.DateShift}, {mask.Text, mask.Redact}, {mask.Int | number, mask.Noise}, {mask.Enum, mask.EnumClass}, {mask.Bool, mask.Boolean}}, 0.75, true},
	"grade":       {"a grade", []fit{{mask.Int | number, mask.Noise}}, 0.7, true},
	"file":        {"a file that somebody sent", append([]fit{{mask.Text, mask.FreeText}, {mask.Bytes, mask.BytesClass}}, documents...), 0.7, false},
	"trace":       {"what somebody visited", append([]fit{{mask.Text, mask.URL}}, documents...), 0.65, false},
	"consumption": {"what somebody uses, gives or owes", []fit{{mask.Int | number, mask.Noise}, {mask.Text, mask.NationalID}}, 0.7, true},
}

// classFor is the masker that a topic has for a kind.
func classFor(t topic, kind mask.Kind) (mask.Class, bool) {
	for _, f := range topics[t].fits {
		if f.kinds&kind != 0 {
			return f.class, true
		}
	}
	return "", false
}

// about tells what a table is of.
type sort uint8

const (
	unclear sort = iota
	people
	near // what people do
	things
)

// place is what a table's name says.
type place struct {
	sort    sort
	written bool // people write in it
	care    bool // somebody is treated in it
	treats  bool // the same, or it is of things by which somebody is
	// plain is set if it holds people, each with a row of his own, so that what
	// else stands in the row is about one of them.
	plain bool
	// addresses is set if each row is an address.
	addresses bool
	// someone is set if it has to do with people, whatever it is: its name has a
	// word for them, or a column of it holds something of theirs.
	someone bool
	// prefix is a word that most of the columns begin with.
	prefix string
	// first and last are set if it has such names in columns of their own.
	first, last bool
}

// tableOf reads a table's name. In most languages the last word says what it
// is, in the Romance ones the first: both are looked at, and of a person and
// a thing the last counts, unless the first is a thing in one of those.
func tableOf(schema, table string) place {
	d := dictionary()
	words := tokens(table)
	schemaWords := tokens(schema)
	var p place
	var sorts []sort
	for i := 0; i < len(words); {
		s, n := d.sortOf(words[i:])
		p.written = p.written || d.in("written", words[i:]) > 0
		p.care = p.care || d.in("care", words[i:]) > 0
		p.addresses = p.addresses || d.topicOf[words[i]] == "street"
		if s != unclear {
			sorts = append(sorts, s)
		}
		p.someone = p.someone || s == people
		i += max(n, 1)
	}
	for i := range schemaWords {
		p.care = p.care || d.in("care", schemaWords[i:]) > 0
		if d.in("reference", schemaWords[i:]) > 0 {
			return place{sort: things}
		}
	}
	p.treats = p.care
	if len(sorts) == 0 {
		for _, w := range schemaWords {
			if s, _ := d.sortOf([]string{w}); s == people {
				p.sort = near
			}
		}
		return p
	}
	first, last := sorts[0], sorts[len(sorts)-1]
	switch {
	case last == things, first == things && last != people:
		p.sort = things
	default:
		p.sort = last
		if first == people {
			p.sort = people
		}
	}
	p.plain = first == people && last == people
	p.written = p.written && p.sort != things
	p.care = p.care && p.sort != things
	return p
}

// words are those of a column's name, without what most names of the table
// begin with.
func (p place) words(name string) []string {
	if p.prefix != "" {
		if parts := split(fold(name)); len(parts) > 1 && parts[0] == p.prefix {
			return tokens(strings.Join(parts[1:], "_"))
		}
	}
	return tokens(name)
}

// prefixOf is the word that most of the columns begin with, if it is none for a
// person or a thing, which it would be about.
func prefixOf(columns []Column) string {
	counts := map[string]int{}
	for _, c := range columns {
		if parts := split(fold(c.Name)); len(parts) > 1 && parts[0] != "id" {
			counts[parts[0]]++
		}
	}
	for p, n := range counts {
		if n >= 3 && n*3 >= len(columns)*2 {
			if s, _ := dictionary().sortOf(tokens(p)); s == unclear {
				return p
			}
		}
	}
	return ""
}

// sortOf is what the first of words is, and of how many words that is made.
func (d *dict) sortOf(words []string) (sort, int) {
	best, most := unclear, 0
	for _, l := range []struct {
		name string
		sort sort
	}{{"people", people}, {"adjacent", near}, {"things", things}} {
		if n := d.in(l.name, words); n > most {
			best, most = l.sort, n
		}
	}
	return best, most
}

// saying is what a column's name says.
type saying struct {
	topic      topic
	confidence float64
	locale     string
	// turned is set if a word beside it makes it something else, such as a
	// count or a state of it.
	turned bool
	// fits is set if a column of the kind can hold it.
	fits bool
	// weak is the topic that the name would say in another table.
	weak topic
}

// named reads a column's name, and if that says nothing, the name without the
// small words in it.
func named(words []string, in place, kind mask.Kind) saying {
	s := dictionary().read(words, in, kind)
	if s.topic != "" && s.fits {
		return s
	}
	short := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return has(joints, w) })
	if len(short) < len(words) && len(short) > 0 {
		if again := dictionary().read(short, in, kind); again.topic != "" && (again.fits || s.topic == "") {
			return again
		}
	}
	return s
}

// joints are articles and prepositions.
var joints = strings.Fields("de du des d di del della dello da do dos das la le les el los las l of the der die das dem den van het een y e et and und en von vom zum zur a al alla")

// match is a phrase in a name.
type match struct {
	phrase
	at int
}

func (m match) end() int { return m.at + len(m.words) }

// matches are the phrases in a name that mean here what they say, and the topic
// of one that does not. What is part of a longer phrase that means something
// else here is left out: what is in "school name" is nobody's name.
func (d *dict) matches(words []string, in place) (out []match, weak topic) {
	var others []match
	for i := range words {
		for _, p := range d.phrases[words[i]] {
			switch m := (match{p, i}); {
			case !starts(words[i:], p.words):
			case d.holds(p.scope, in, beside(words, i, len(p.words))):
				out = append(out, m)
			default:
				others = append(others, m)
			}
		}
	}
	if len(others) > 0 {
		weak = others[0].topic
	}
	return slices.DeleteFunc(out, func(m match) bool {
		return slices.ContainsFunc(others, func(o match) bool {
			return len(o.words) > len(m.words) && o.at <= m.at && m.end() <= o.end()
		})
	}), weak
}

// read is what the words of a name say of a column of a kind. What can't be of
// that kind is said only if nothing else is.
func (d *dict) read(words []string, in place, kind mask.Kind) saying {
	all, weak := d.matches(words, in)
	var best match
	fits := false
	for _, m := range all {
		_, fit := classFor(m.topic, kind)
		switch {
		case len(best.words) == 0, fit && !fits:
			best, fits = m, fit
		case fits && !fit:
		case len(m.words) > len(best.words), len(m.words) == len(best.words) && m.order < best.order:
			best = m
		}
	}
	if !fits {
		if t := d.someones(words, in); t != "" {
			if _, fit := classFor(t, kind); fit || len(best.words) == 0 {
				return saying{topic: t, confidence: 0.65, fits: fit}
			}
		}
	}
	if len(best.words) == 0 {
		return saying{weak: weak}
	}
	rest := beside(words, best.at, len(best.words))
	return saying{topic: best.topic, confidence: topics[best.topic].sure, locale: d.localeOf(best.phrase), turned: d.turns(rest, best.topic), fits: fits}
}

// someones is what a name says that is a word for a person: alone, among words
// that say nothing, it is that person's name; with a word for a number, the
// number that he was given. So is the number of a contract and of what else is
// made out to a person.
func (d *dict) someones(words []string, in place) topic {
	someone, numbered, issuing := false, false, false
	for i := 0; i < len(words); {
		w := words[i]
		switch k, n := d.sortOf(words[i:]); {
		case k == people:
			someone, i = true, i+n
			continue
		case d.in("number", words[i:i+1]) > 0:
			numbered = true
		case d.in("issuing", words[i:i+1]) > 0:
			issuing = true
		case d.in("filler", words[i:]) == 0 && len(w) > 2 && w != "by" && w != "por" && w != "par" && w != "von" && w != "door":
			return ""
		}
		i++
	}
	switch {
	case numbered && !someone && !issuing && in.addresses:
		return "street" // the house's
	case numbered && (someone || in.sort != things && issuing || in.plain && len(words) == 1):
		return "issued"
	case someone && !issuing:
		return "full_name"
	}
	return ""
}

// beside are the words but for n of them.
func beside(words []string, from, n int) []string {
	out := append([]string{}, words[:from]...)
	return append(out, words[from+n:]...)
}

// holds reports whether a phrase means what it says here.
func (d *dict) holds(s scope, in place, rest []string) bool {
	thing, someone := false, false
	for i := range rest {
		switch k, _ := d.sortOf(rest[i:]); k {
		case people:
			someone = true
		case things:
			thing = thing || !has(kinds, rest[i])
		case near, unclear:
		}
	}
	switch s {
	case anywhere:
		return true
	case about:
		return someone || in.sort == people || in.sort != things && !thing
	case person:
		return someone || (in.sort == people || in.care) && !thing
	case written:
		return in.written && !thing
	}
	return false
}

// turns reports whether one of the words makes a name say something else. A
// kind or code of something intimate is as intimate.
func (d *dict) turns(rest []string, t topic) bool {
	for i, w := range rest {
		for _, words := range d.turning[w] {
			if starts(rest[i:], words) && !(topics[t].intimate && has(kinds, w)) {
				return true
			}
		}
	}
	return false
}

// kinds are words for a kind or code of something, or for whether it is so.
var kinds = []string{"is", "has", "flag", "ind", "est", "es", "heeft", "tipologia", "stand", "grad", "grado", "grau", "niveau", "nivel", "stufe", "klasse", "class", "clase", "code", "type", "typ", "art", "tipo", "soort", "status", "statut", "estado", "stato", "kind", "category", "kategorie", "categorie", "categoria", "level", "score", "amount", "value", "date", "datum", "data", "fecha"}

// localeOf is the language of a phrase, if it is of one alone.
func (d *dict) localeOf(p phrase) string {
	for _, other := range d.phrases[p.words[0]] {
		if other.locale != p.locale && strings.Join(other.words, " ") == strings.Join(p.words, " ") {
			return ""
		}
	}
	return p.locale
}
