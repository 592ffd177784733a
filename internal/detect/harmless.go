package detect

import (
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/mask"
)

// harmless looks for a rule by which a column can be nobody's. A name that says
// something about a person, in this table or in another, is trusted to no rule.
func harmless(c Column, in place, words []string, said saying, s *sight) Finding {
	is := func(rule Harmless, confidence float64, reason string) Finding {
		return Finding{Harmless: rule, Confidence: confidence, Reason: reason}
	}
	clean := said.topic == "" && said.weak == "" || said.turned
	switch {
	case c.Kind&mask.Bool != 0:
		if clean && (in.sort == things && !in.someone || flagged(words)) {
			return is(Boolean, 0.9, "yes or no")
		}
	case c.Kind == mask.UUID:
		if clean && (c.Primary || c.Refers || keyed1(words)) {
			return is(SurrogateKey, 0.9, "a random key")
		}
	case c.Kind == mask.Int:
		switch {
		case c.Primary && (c.Identity || strings.HasPrefix(c.Default, "nextval(") || keyed1(words)), c.Refers && keyed1(words):
			return is(SurrogateKey, 0.9, "a key that the database made up")
		case !clean:
		case keyed1(words):
			return is(SurrogateKey, 0.7, "a key, by its name")
		case c.Primary && in.sort != people && in.sort != unclear && len(words) == 1 && says(words, "number"):
			return is(SurrogateKey, 0.7, "the number of a thing, by its name")
		case says(words, "version"):
			return is(Version, 0.8, "a version, by its name")
		case says(words, "counter") && !intimate(in, words):
			return is(Counter, 0.8, "a measure of a thing, by its name")
		}
	case c.Kind == mask.Numeric, c.Kind == mask.Float:
		if clean && says(words, "counter") && !intimate(in, words) {
			return is(Counter, 0.8, "a measure of a thing, by its name")
		}
	case c.Kind == mask.Moment:
		if in.sort == people && c.Type == "date" && says(words, "expiry") {
			break // of what somebody holds
		}
		if clean && (in.noted(words) || says(words, "moment") && (in.sort == things && !in.treats || in.sort != things && in.sort != people && !in.care && c.Type != "date")) {
			return is(RowTimestamp, 0.8, "when something happened to the row, by its name")
		}
	case c.Kind == mask.Enum:
		if clean && (in.sort != people || neutral(words, c.Kind)) {
			return is(Enum, 0.85, "one of the labels that the schema lists")
		}
	case c.Kind == mask.Text:
		return textRule(c, words, clean, s, is)
	}
	return Finding{}
}

func textRule(c Column, words []string, clean bool, s *sight, is func(Harmless, float64, string) Finding) Finding {
	switch {
	case !clean || c.Unique || c.Primary:
	case says(words, "version") && s.sentences == 0 && s.at == 0 && s.full == 0:
		return is(Version, 0.7, "a version or checksum, by its name")
	case s.n >= enough && says(words, "code") && s.sentences == 0 && s.at == 0 && s.full+s.first+s.last == 0 &&
		(s.distinct <= 2+s.n/2 || s.share(s.words) == 1):
		return is(Code, 0.7, "one of a few codes, by its name and its values")
	}
	return Finding{}
}

// flagged reports whether a name says that a row or an account is in some state,
// and nothing else: a word beside it that nobody knows may be a fact of a life.
func flagged(words []string) bool {
	flag := false
	for i := range words {
		switch d := dictionary(); {
		case d.in("flag", words[i:]) > 0:
			flag = true
		case len(words[i]) > 2 && !slices.ContainsFunc([]string{"filler", "things", "code", "turning", "version", "moment", "noted", "counter", "number"}, func(list string) bool { return d.in(list, words[i:]) > 0 }):
			return false
		}
	}
	return flag
}

// noted reports whether a name says that a system notes a time by itself. Where
// people are treated, what ends in _at may be when.
func (p place) noted(words []string) bool {
	if p.treats {
		words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "at" })
	}
	return says(words, "noted")
}

// neutral reports whether one of the words says that a column is about the row, a
// thing, or how an account is kept.
func neutral(words []string, kind mask.Kind) bool {
	for _, list := range []string{"things", "code", "turning", "version", "flag", "moment", "noted"} {
		if says(words, list) {
			return true
		}
	}
	return keyed1(words) || kind != mask.Text && (says(words, "counter") || says(words, "number"))
}

// unknown is what a column of a table of people is taken for that nothing says
// anything about: something of a person's. Short codes, numbers and what is yes
// or no are as often about the account: they stay undecided.
func unknown(c Column, in place, words []string, said saying, s *sight) Finding {
	if !in.plain || said.topic != "" || c.Primary || c.Refers || !meant(words) {
		return Finding{}
	}
	if c.Type == "date" && (says(words, "noted") || says(words, "things")) || c.Type != "date" && neutral(words, c.Kind) {
		return Finding{}
	}
	var class mask.Class
	switch {
	case c.Kind == mask.Text && (s.n == 0 || s.links > 0 || s.share(s.short) >= usual):
	case c.Kind == mask.Text && s.share(s.sentences) >= usual:
		class = mask.FreeText
	case c.Kind == mask.Text && s.share(s.digits) >= usual:
		class = mask.NationalID
	case c.Kind == mask.Text:
		class = mask.Redact
	case c.Type == "date":
		class = mask.DateShift
	case c.Kind == mask.Enum:
		class = mask.EnumClass
	case c.Kind == mask.Bytes:
		class = mask.BytesClass
	}
	if class == "" {
		return Finding{}
	}
	return Finding{Personal: true, Class: class, Confidence: 0.5, Reason: "its table is one of people, and nothing says that it is about something else"}
}

// meant reports whether a name was given to say something: col_7 was not.
func meant(words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool {
		return len(w) > 2 && dictionary().in("filler", []string{w}) == 0
	})
}

// intimate reports whether a measure may tell how a person lives or does.
func intimate(in place, words []string) bool {
	return in.sort != things && says(words, "intimate")
}

// keyed1 reports whether a name ends, or begins, as those of keys do.
func keyed1(words []string) bool {
	if len(words) == 0 {
		return false
	}
	isKey := func(w string) bool {
		return w == "id" || w == "uuid" || w == "guid" || w == "key" || w == "pk" || w == "fk"
	}
	return isKey(words[len(words)-1]) || isKey(words[0])
}

// says reports whether one of the words is in a list.
func says(words []string, list string) bool {
	d := dictionary()
	for i := range words {
		if d.in(list, words[i:]) > 0 {
			return true
		}
	}
	return false
}
