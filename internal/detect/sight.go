package detect

import (
	_ "embed" // the names
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/neontwin/neontwin/internal/mask"
)

// sight is what the values of a column look like. It holds no value.
type sight struct {
	n int // values that are not empty
	// in counts the values of each form, chance those that are in one by chance.
	in, chance map[topic]int
	class      map[topic]mask.Class
	roles      int // e-mail addresses of offices
	// Names of people, by their words: one that is a first or a last name, or
	// several of which one is.
	first, last, full int
	streets           int // a street, or one with a number
	dates             int // days
	embedded          int // longer text with a strict form in it
	sentences         int // text of several words, long enough to be written by hand
	words             int // single words of small letters, as codes are
	short             int // at most four characters
	caps              int // begins with a capital letter
	digits            int // mostly digits
	keyed             int // digits that may be a phone number
	at                int // has an @
	distinct          int
	born              int // a day that a living person may be born on
	titled            int // a title and a name
	links             int // an address of a page
	spaced            int // several words
	lone              int // one word that begins with a capital, of letters alone
	snake             int // small words that are joined_so, as programs have them
	public            int // an address of a machine that a visitor may have
	proper            int // two to four words with a capital, as names are
	inverted          int // Name, First Name
	random            int // drawn by chance: a key or a hash
}

// share is a count as a part of all values.
func (s *sight) share(count int) float64 {
	if s.n == 0 {
		return 0
	}
	return float64(count) / float64(s.n)
}

// most is the form that most of the values are in.
func (s *sight) most() (topic, int) {
	best, most := topic(""), 0
	for _, f := range strict() {
		if n := s.in[f.topic]; n > most {
			best, most = f.topic, n
		}
	}
	for _, t := range []topic{"url", "device"} {
		if n := s.in[t]; n > most {
			best, most = t, n
		}
	}
	return best, most
}

var (
	sentence  = regexp.MustCompile(`\p{L}{2,}[^\n]* [^\n]*\p{L}{2,}`)
	streetish = regexp.MustCompile(`(?i)(?:^|[ ,])(?:` +
		`\p{L}+(?:stra(?:ß|ss)e|str\.|weg|gasse|allee|platz|damm|ufer|chaussee|straat|laan|gracht|plein|dijk|kade|singel|dreef)|\p{L}{3,}ring` +
		`|(?:[\p{L}.'-]+ ){1,3}(?:street|st\.?|road|rd\.?|avenue|ave\.?|lane|ln\.?|drive|dr\.?|boulevard|blvd\.?|court|ct\.?|close|way|terrace|square|crescent|place|highway)` +
		`|(?:rue|avenue|av\.|bd|boulevard|place|chemin|impasse|all[ée]e|quai|route|calle|c/|avda\.?|avenida|plaza|paseo|camino|carrer|rua|r\.|travessa|largo|pra[çc]a|estrada|alameda|via|viale|corso|piazza|piazzale|vicolo|strada|contrada)\.? [\p{L}'][\p{L}' .-]+` +
		`)(?:$|[ ,]|\d)`)
	titleForm    = regexp.MustCompile(`^(?i:mr|mrs|ms|miss|mx|dr|prof|herr|frau|hr|fr|m|mme|mlle|monsieur|madame|sr|sra|srta|don|do[nñ]a|dom|dona|dott|dott\.?ssa|sig|sig\.?ra|dhr|mevr|mw|de heer|ing|avv)\.? (?:\p{Lu}[\p{L}.'-]*[ ,]*){1,4}$`)
	properForm   = regexp.MustCompile(`^(?:\p{Lu}[\p{L}'.-]*)(?: (?:de|da|do|dos|das|del|della|di|la|van|der|den|ten|von|zu|le|du|e|y|af|bin|el)){0,3}(?: \p{Lu}[\p{L}'.-]*){1,3}$`)
	invertedForm = regexp.MustCompile(`^\p{Lu}[\p{L}' -]+, \p{Lu}[\p{L}.' -]+$`)
	yearForm     = regexp.MustCompile(`(?:^|\D)(19[2-9]\d|20[01]\d)(?:\D|$)`)
	houseNumber  = regexp.MustCompile(`(?:^|[ ,.º°])\d{1,5} ?[a-zA-Z]?(?:[ ,/-]|$)`)
	placeForm    = regexp.MustCompile(`^(?:[A-Z]{1,2}-)?\d{4,5} (?:[A-Z]{2} )?\p{Lu}[\p{L}' -]+$`)
)

// look looks at values. None is kept.
func look(values []string) *sight {
	s := &sight{in: map[topic]int{}, chance: map[topic]int{}, class: map[topic]mask.Class{}}
	seen := map[string]bool{}
	for _, v := range values {
		v = strings.TrimSpace(strings.ToValidUTF8(v, ""))
		if v == "" {
			continue
		}
		s.n++
		if !seen[v] {
			seen[v] = true
			s.distinct++
		}
		s.one(v)
	}
	return s
}

func (s *sight) one(v string) {
	if f, ok := formOf(forms(), v); ok {
		if f.chance {
			s.chance[f.topic]++
		} else {
			s.in[f.topic]++
			s.class[f.topic] = f.class
		}
		if f.topic == "email" && isRole(v) {
			s.roles++
		}
	}
	letters, capital := 0, false
	for i, r := range v {
		if unicode.IsLetter(r) {
			letters++
		}
		if i == 0 {
			capital = unicode.IsUpper(r)
		}
	}
	length := utf8.RuneCountInString(v)
	fields := strings.Fields(v)
	s.add(&s.at, strings.Contains(v, "@"))
	s.add(&s.digits, count(v)*2 > length)
	s.add(&s.keyed, isKeyedPhone(v))
	s.add(&s.dates, dated.MatchString(v))
	s.add(&s.caps, capital)
	s.add(&s.short, length <= 4)
	s.add(&s.words, len(fields) == 1 && length <= 32 && !strings.Contains(v, "@") && (strings.ToLower(v) == v || strings.ToUpper(v) == v) && letters > 0)
	s.add(&s.streets, length <= 120 && (len(fields) > 1 || strings.ToUpper(v) != v) && (streetish.MatchString(v) && (houseNumber.MatchString(v) || length < 50) || placeForm.MatchString(v)))
	s.add(&s.public, public(v))
	s.add(&s.proper, length <= 60 && properForm.MatchString(v))
	s.add(&s.inverted, length <= 60 && invertedForm.MatchString(v))
	s.add(&s.born, dated.MatchString(v) && birthYear(v))
	s.add(&s.titled, length <= 80 && titleForm.MatchString(v))
	s.add(&s.links, strings.HasPrefix(v, "http://") || strings.HasPrefix(v, "https://"))
	s.add(&s.random, length >= 16 && len(fields) == 1 && count(v) > 1 && count(v) < length && !strings.ContainsAny(v, "./ "))
	s.add(&s.lone, len(fields) == 1 && capital && letters == length && length > 2 && strings.ToUpper(v) != v)
	s.add(&s.snake, strings.Contains(v, "_") && len(fields) == 1 && strings.ToLower(v) == v && !strings.ContainsAny(v, "@./"))
	s.add(&s.spaced, len(fields) > 1 && letters*2 > length)
	written := len(fields) >= 3 && length >= 15 && sentence.MatchString(v)
	s.add(&s.sentences, written)
	if len(fields) > 2 {
		s.add(&s.embedded, len(within(v)) > 0)
	}
	s.name(fields, length)
}

// birthYear reports whether a date lies where most people's birth does.
func birthYear(v string) bool {
	m := yearForm.FindStringSubmatch(v)
	return m != nil && m[1] < "2013"
}

func (s *sight) add(to *int, when bool) {
	if when {
		*to++
	}
}

// name notes a value that may be somebody's name.
func (s *sight) name(fields []string, length int) {
	if length > 60 || len(fields) == 0 || len(fields) > 5 {
		return
	}
	first, last, proper := 0, 0, 0
	for _, f := range fields {
		w := strings.Trim(f, ".,()")
		if w == "" || strings.ContainsAny(w, "0123456789@/_:&") {
			return
		}
		r, _ := utf8.DecodeRuneInString(w)
		if unicode.IsUpper(r) {
			proper++
		}
		for _, part := range strings.Split(w, "-") {
			switch isFirst, isLast := people2().first[folded(part)], people2().last[folded(part)]; {
			case isFirst:
				first++
			case isLast:
				last++
			}
		}
	}
	switch {
	case len(fields) == 1:
		s.add(&s.first, first > 0)
		s.add(&s.last, last > 0)
	case first+last > 0 && proper >= 2:
		s.full++
	}
}

func folded(w string) string { return strings.ToLower(fold(w)) }

// knownNames are common names of people, folded.
type knownNames struct{ first, last map[string]bool }

var people2 = sync.OnceValue(func() knownNames {
	k := knownNames{first: map[string]bool{}, last: map[string]bool{}}
	first, last := mask.Names()
	for _, w := range append(first, more("first")...) {
		k.first[folded(w)] = true
	}
	for _, w := range append(last, more("last")...) {
		k.last[folded(w)] = true
	}
	return k
})

// More common names than stand-ins are made of.
//
//go:embed names.txt
var namesText string

// more are the words of the lines that begin with a list's name.
func more(list string) (out []string) {
	for line := range strings.Lines(namesText) {
		if names, ok := strings.CutPrefix(line, list+": "); ok {
			out = append(out, strings.Fields(names)...)
		}
	}
	return out
}
