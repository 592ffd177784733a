package detect

import (
	"strings"

	"github.com/neontwin/neontwin/internal/mask"
)

// Look judges one column by its name, its type and some of its values. NULLs
// are left out of them, and long ones may be cut.
func Look(c Column, values []string) Finding {
	return within1(c, tableOf(c.Schema, c.Table), values, look(values))
}

// Table judges the columns of one table together: what stands beside a column
// tells whether the table is one of people. Values has those of each column.
func Table(columns []Column, values [][]string) []Finding {
	out := make([]Finding, len(columns))
	if len(columns) == 0 {
		return out
	}
	in := tableOf(columns[0].Schema, columns[0].Table)
	in.prefix = prefixOf(columns)
	sights := make([]*sight, len(columns))
	about := map[topic]int{}
	for i, c := range columns {
		sights[i] = look(values[i])
		out[i] = within1(c, in, values[i], sights[i])
		if out[i].Personal {
			about[topicFor(c, in, out[i].Class)]++
		}
	}
	in = in.with(about)
	text := false
	for i, c := range columns {
		out[i] = within1(c, in, values[i], sights[i])
		text = text || out[i].Personal && c.Kind == mask.Text
	}
	for i, c := range columns {
		if text && c.Type == "tsvector" {
			out[i] = Finding{Personal: true, Class: mask.Null, Confidence: 0.6, Reason: "words for searching, in a table with personal text"}
		}
	}
	return out
}

// topicFor is what a personal column is about: by its name, or else by the class.
func topicFor(c Column, in place, class mask.Class) topic {
	if has([]mask.Class{mask.FirstName, mask.LastName, mask.FullName, mask.NationalID, mask.Email, mask.Phone}, class) {
		return topic(class)
	}
	return named(in.words(c.Name), in, c.Kind).topic
}

// with is what is known of a table when its columns were looked at: people are
// who have names, birthdays, families. What has only an address is a place.
func (p place) with(about map[topic]int) place {
	p.first, p.last = about["first_name"] > 0, about["last_name"] > 0
	p.someone = p.someone || len(about) > 0
	identity, facts, places, all := 0, 0, 0, 0
	for t, n := range about {
		all += n
		switch t {
		case "first_name", "last_name", "full_name", "national_id", "email", "phone", "birth", "username":
			identity++
		case "attribute", "life", "money", "age", "health", "birth_place":
			facts += n
		case "city", "postal_code", "location", "street":
			places += n
		}
	}
	switch {
	case p.sort == unclear && places > 0 && places == all:
		p.sort = things
	case p.sort == things, p.sort == people:
	case identity >= 2, facts >= 3:
		p.plain = p.sort == unclear && (p.first && p.last || about["birth"]+about["national_id"]+facts > 0)
		p.sort = people
	}
	return p
}

// within1 judges a column within its table.
func within1(c Column, in place, values []string, s *sight) Finding {
	if c.Kind&opaque == 0 {
		return one(c, in, s)
	}
	inside := in
	if in.sort == things { // a document in it may be about anybody
		inside = place{prefix: in.prefix}
	}
	if f := inDocuments(c, inside, values); f.Personal {
		return f
	}
	said := named(in.words(c.Name), in, c.Kind)
	if said.topic != "" && !said.turned {
		return byName(c, said)
	}
	return Finding{}
}

// one judges a column that is no document.
func one(c Column, in place, s *sight) Finding {
	words := in.words(c.Name)
	said := named(words, in, c.Kind)
	if said.topic == "life" && strings.HasPrefix(c.Type, "timestamp") && says(words, "noted") {
		said = saying{} // when an account was made, to the second
	}
	if said.topic == "attribute" && in.sort == people && !in.plain && !in.care && c.Kind&(mask.Int|number) != 0 && says(words, "counter") {
		said = saying{} // what a parcel weighs
	}
	if said.topic == "" && c.Comment != "" && !neutral(words, c.Kind) {
		said = remarked(c, in)
	}
	if said.topic == "full_name" && len(words) == 1 {
		switch { // one of two columns that make up a name
		case in.first && !in.last:
			said.topic = "last_name"
		case in.last && !in.first:
			said.topic = "first_name"
		}
	}
	if f := byForm(c, in, words, said, s); f.Personal {
		return f
	}
	if said.topic != "" && !said.turned && !denied(said.topic, c.Kind, in, s) {
		if f := byName(c, said); f.Personal {
			return s.adjust(f, said)
		}
	}
	if f := byLook(c, in, words, said, s); f.Personal {
		return f
	}
	if f := moment(c, in, words); f.Personal {
		return f
	}
	if f := harmless(c, in, words, said, s); f.Harmless != "" {
		return f
	}
	return unknown(c, in, words, said, s)
}

// remarked is what somebody wrote about a column, if it is short: a longer text
// names more than what is in it.
func remarked(c Column, in place) saying {
	comment := c.Comment
	if end := strings.IndexAny(comment, ".,;:(\n"); end >= 0 {
		comment = comment[:end]
	}
	words := tokens(comment)
	if len(words) == 0 || len(words) > 5 {
		return saying{}
	}
	said := named(words, in, c.Kind)
	said.confidence *= 0.9
	return said
}

// adjust chooses another class where values are not what a name leads to expect.
func (s *sight) adjust(f Finding, said saying) Finding {
	switch {
	case f.Class == mask.FreeText && said.topic == "health" && s.n > 0 && s.share(s.sentences) < usual:
		f.Class = mask.Redact
	case f.Class == mask.Email && s.n > 0 && s.share(s.sentences) >= usual && s.in["email"] == 0:
		f.Class = mask.FreeText
	}
	return f
}

// moment is when something happened in a table of care: that tells of whoever
// was treated. What the system notes by itself does not.
func moment(c Column, in place, words []string) Finding {
	if c.Kind != mask.Moment || !in.care || in.noted(words) {
		return Finding{}
	}
	return Finding{Personal: true, Class: mask.DateShift, Confidence: 0.6, Reason: "when somebody was treated, by its table's name"}
}

// byName is what a name says, if the kind agrees.
func byName(c Column, s saying) Finding {
	class, ok := classFor(s.topic, c.Kind)
	if !ok {
		return Finding{}
	}
	return Finding{Personal: true, Class: class, Confidence: s.confidence, Reason: "its name says " + topics[s.topic].words, Locale: s.locale}
}

// usual is the part of the values that must be in a form.
const usual = 0.5

// byForm is what the form of most values says. Addresses and numbers of offices
// and machines are nobody's: where the table is of things, the name must say so.
func byForm(c Column, in place, words []string, said saying, s *sight) Finding {
	t, n := s.most()
	if s.share(n) < usual {
		t, n = "", 0
	}
	agrees := said.topic != "" && !said.turned
	if t == "" {
		for _, weak := range []topic{"national_id"} {
			if c := s.chance[weak]; c > 0 && (s.share(c) == 1 && (s.n >= 5 || s.n > 1 && in.sort == people) || agrees && said.topic == weak && s.share(c) > usual) {
				t, n = weak, c
			}
		}
	}
	if t == "" || c.Kind&(mask.Text|mask.Int|mask.Numeric) == 0 {
		return Finding{}
	}
	things := in.sort == things && !dictionary().someone(words)
	switch {
	case t == "ip" && !agrees && s.public == 0 && in.sort != people,
		t == "email" && s.roles == n,
		things && !agrees && (t == "phone" || t == "ip" || t == "mac" || t == "iban" || t == "url"):
		return Finding{}
	}
	class, ok := classFor(t, c.Kind)
	if !ok {
		return Finding{}
	}
	f := Finding{Personal: true, Class: class, Confidence: 0.9 + 0.09*(2*s.share(n)-1), Reason: "its values have the form of " + topics[t].words, Locale: said.locale}
	if said.topic == t {
		f.Reason += ", and its name says so"
	}
	return f
}

// enough is how many values it takes to doubt a name.
const enough = 3

// denied reports whether the values can't be what the name says.
func denied(t topic, kind mask.Kind, in place, s *sight) bool {
	if t == "secret" && in.sort == things && s.n > 0 && s.random == 0 && s.in[t] == 0 {
		return true
	}
	if kind == mask.Text && s.share(s.snake) >= usual && has([]topic{"free_text", "full_name", "city", "company"}, t) {
		return true
	}
	if s.n < enough || kind != mask.Text {
		return false
	}
	codes := s.share(s.words) == 1 && s.share(s.caps) < usual && s.digits == 0 && s.first+s.last == 0
	switch t {
	case "email":
		return s.at == 0
	case "phone", "iban", "card", "bank", "ip", "mac", "postal_code", "national_id", "birth", "card_part":
		return s.digits == 0 && s.in[t] == 0 && codes
	case "full_name", "first_name", "last_name", "city", "street", "company", "free_text", "health":
		return codes && s.distinct <= s.n/2
	}
	return false
}

// byLook is what values look like that are in no strict form.
func byLook(c Column, in place, words []string, said saying, s *sight) Finding {
	if c.Kind != mask.Text || s.n == 0 {
		return Finding{}
	}
	found := func(t topic, confidence float64, reason string) Finding {
		class, _ := classFor(t, c.Kind)
		return Finding{Personal: true, Class: class, Confidence: confidence, Reason: reason, Locale: said.locale}
	}
	d := dictionary()
	thing := (in.sort == things || d.thing(words)) && !d.someone(words)
	switch {
	case s.embedded > 0 && s.sentences > 0 && !thing:
		return found("free_text", 0.75, "its values are text, and some hold e-mail addresses, phone numbers or the like")
	case s.share(s.full) >= usual && !thing,
		s.share(s.proper) >= usual && (said.weak == "full_name" || in.sort == people) && in.sort != things && !d.thing(words) && s.full > 0,
		s.share(s.inverted) >= 0.8 && s.full > 0 && s.n >= enough:
		return found("full_name", 0.7, "many of its values look like names of people")
	case s.share(s.proper+s.inverted) >= 0.8 && (in.sort == near || in.sort == people) && s.distinct > s.n/2 && !thing && !neutral(words, c.Kind):
		return found("full_name", 0.55, "its values are written as names of people are")
	case s.share(s.full) >= 0.8 && s.n >= enough:
		return found("full_name", 0.6, "nearly all of its values look like names of people")
	case s.share(s.first+s.last) >= 0.6 && s.n >= enough && s.share(s.first) >= s.share(s.last) && !thing:
		return found("first_name", 0.7, "many of its values are first names")
	case s.share(s.first+s.last) >= 0.6 && s.n >= enough && !thing:
		return found("last_name", 0.65, "many of its values are last names")
	case in.plain && s.n > 1 && s.share(s.lone) == 1 && s.distinct == s.n && s.first+s.last > 0 && !thing && !neutral(words, c.Kind):
		return found("last_name", 0.5, "its values are single words as names are, in a table of people")
	case s.share(s.streets) >= usual && !thing:
		return found("street", 0.7, "many of its values look like addresses")
	case s.share(s.born) >= 0.8 && s.n >= enough && !thing:
		return found("birth", 0.6, "its values are dates of long ago and of some decades")
	case s.share(s.keyed) == 1 && (said.weak == "phone" || s.in["phone"] > 0 && s.in["phone"] < s.n) && !thing:
		return found("phone", 0.6, "its values look like phone numbers")
	case s.share(s.titled) >= usual:
		return found("full_name", 0.75, "many of its values are names with a title")
	case s.share(s.links) >= usual && in.sort == people && !d.thing(words):
		return found("url", 0.6, "its values are links, in a table of people")
	case s.share(s.sentences) >= usual && in.sort != things && s.distinct > s.n/2 && !d.thing(words):
		return found("free_text", 0.6, "its values are text, as people write it")
	case s.share(s.spaced) >= usual && meant(words) && (in.sort == people || in.sort == near) && s.distinct > s.n/2 && !neutral(words, c.Kind):
		return found("free_text", 0.5, "its values are of several words, in a table about people")
	}
	return Finding{}
}

// thing reports whether one of the words is for a thing.
func (d *dict) thing(words []string) bool {
	for i := range words {
		if k, _ := d.sortOf(words[i:]); k == things {
			return true
		}
	}
	return false
}

// someone reports whether one of the words is for a person.
func (d *dict) someone(words []string) bool {
	for i := range words {
		if k, _ := d.sortOf(words[i:]); k == people {
			return true
		}
	}
	return false
}
