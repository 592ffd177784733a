package detect

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxName is how much of a name is looked at: more than PostgreSQL allows.
const maxName = 256

// unfolded are letters that are no letter with an accent.
var unfolded = strings.NewReplacer("ß", "ss", "ẞ", "ss", "ø", "o", "Ø", "O", "æ", "ae", "Æ", "AE", "œ", "oe", "Œ", "OE", "ı", "i")

// fold takes the accents off.
func fold(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(unfolded.Replace(s)) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// tokens are the words of a name: lower case, without accents and digits, in
// the singular where the dictionary knows it. Words that are written together
// are taken apart if the dictionary knows all of them.
func tokens(name string) []string {
	if len(name) > maxName {
		name = name[:maxName]
	}
	var out []string
	for _, raw := range split(fold(strings.ToValidUTF8(name, "_"))) {
		out = append(out, known(raw)...)
	}
	return out
}

// split cuts at what is no letter and where a capital begins a word.
func split(name string) []string {
	var out []string
	runes := []rune(name)
	start := -1
	end := func(i int) {
		if start >= 0 {
			out = append(out, strings.ToLower(string(runes[start:i])))
		}
		start = -1
	}
	for i, r := range runes {
		if !unicode.IsLetter(r) {
			end(i)
			continue
		}
		if start >= 0 && unicode.IsUpper(r) {
			before := runes[i-1]
			after := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if unicode.IsLower(before) || unicode.IsUpper(before) && after {
				end(i)
			}
		}
		if start < 0 {
			start = i
		}
	}
	end(len(runes))
	return out
}

// known is the word as the dictionary has it, or the words it is made of, or
// the word itself.
func known(word string) []string {
	d := dictionary()
	if w, ok := d.singular(word); ok {
		return []string{w}
	}
	if parts := d.apart(word); parts != nil {
		return parts
	}
	if rest := d.marked(word); rest != nil {
		return rest
	}
	if w, ok := d.whole(word); ok {
		return []string{w}
	}
	return []string{word}
}

// singular finds a word that may stand in the plural.
func (d *dict) singular(word string) (string, bool) {
	if w, ok := d.canonical[word]; ok {
		return w, true
	}
	if d.vocabulary[word] {
		return word, true
	}
	if w, ok := d.stem(word, endings); ok {
		return w, true
	}
	return d.stem(word, loose)
}

// endings turn a plural of one of the languages into a singular.
var endings = [][2]string{
	{"s", ""},
	{"es", ""},
	{"ies", "y"},
	{"n", ""},
	{"en", ""},
	{"sen", ""},
	{"x", ""},
	{"i", "o"},
	{"i", "e"},
	{"e", "a"},
	{"oes", "ao"},
	{"aes", "ao"},
	{"ais", "al"},
	{"eis", "el"},
	{"ns", "m"},
	{"aux", "al"},
	{"innen", "in"},
}

// loose are endings that only words lose which are not known with them: those
// of words for women, and plurals that look like many other words.
var loose = [][2]string{
	{"e", ""},
	{"er", ""},
	{"innen", ""},
	{"in", ""},
	{"a", "o"},
	{"as", "o"},
	{"trice", "teur"},
	{"trice", "tore"},
	{"euse", "eur"},
	{"ora", "or"},
	{"oras", "or"},
}

// stem takes an ending off if that leaves a word.
func (d *dict) stem(word string, endings [][2]string) (string, bool) {
	for _, e := range endings {
		if stem, ok := strings.CutSuffix(word, e[0]); ok && len(stem) > 3 && d.vocabulary[stem+e[1]] {
			return stem + e[1], true
		}
	}
	return "", false
}

// whole completes a word that was cut off, as short names of older systems are:
// if all words that begin so are about one topic.
func (d *dict) whole(word string) (string, bool) {
	if len(word) < 4 {
		return "", false
	}
	best := ""
	at, _ := slices.BinarySearch(d.sorted, word)
	for _, w := range d.sorted[at:] {
		if !strings.HasPrefix(w, word) {
			break
		}
		if short, ok := d.canonical[w]; ok {
			w = short
		}
		t, ok := d.topicOf[w]
		if !ok && len(word) > 4 { // it is only a part of phrases
			continue
		}
		if !ok || best != "" && d.topicOf[best] != t {
			return "", false
		}
		if best == "" || len(w) < len(best) {
			best = w
		}
	}
	return best, best != ""
}

// marked takes off the letter for a type that some put before a name, if what
// follows says something: cVorname, tKunde.
func (d *dict) marked(word string) []string {
	const letters = "bcdfiklnstv"
	if len(word) < 5 || !strings.ContainsRune(letters, rune(word[0])) {
		return nil
	}
	if w, ok := d.singular(word[1:]); ok {
		if _, about := topics[d.topicOf[w]]; about || d.topicOf[w] == "people" {
			return []string{w}
		}
		return nil
	}
	return d.apart(word[1:])
}

// brief are short words that others are written together with.
const brief = " nr no num tel fax plz dob zip pat nom cod nm geb dat ddn cpf nif dni ssn bsn url mdp kvk nac cel tlf mob dir adr typ "

// apart takes a word to pieces of at least four letters, as few as possible.
// An s or n may stand between two.
func (d *dict) apart(word string) []string {
	const shortest = 4 // but for what everybody abbreviates
	if len(word) < 5 || len(word) > 48 {
		return nil
	}
	best := make([][]string, len(word)+1)
	best[0] = []string{}
	for to := 2; to <= len(word); to++ {
		for from := 0; from+2 <= to; from++ {
			if best[from] == nil || to-from < shortest && !strings.Contains(brief, " "+word[from:to]+" ") {
				continue
			}
			piece, ok := word[from:to], false
			switch {
			case d.vocabulary[piece]:
				piece, ok = d.singular(piece)
			case to == len(word):
				piece, ok = d.singular(piece)
			case len(piece) > shortest && (piece[len(piece)-1] == 's' || piece[len(piece)-1] == 'n'):
				piece = piece[:len(piece)-1]
				ok = d.vocabulary[piece]
			}
			if ok && (best[to] == nil || len(best[from])+1 < len(best[to])) {
				best[to] = append(append([]string{}, best[from]...), piece)
			}
		}
	}
	return best[len(word)]
}
