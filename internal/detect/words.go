package detect

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// The words are data that is read by people: words.txt says how.
//
//go:embed words.txt
var wordsText string

// scope is in which tables a phrase means what it says.
type scope uint8

const (
	anywhere scope = iota
	about          // not among places and things
	person         // among people, or beside a word for one
	written        // where people write
)

var scopes = map[string]scope{"any": anywhere, "about": about, "person": person, "written": written}

// phrase is one line's entry of a topic.
type phrase struct {
	words  []string
	topic  topic
	scope  scope
	locale string
	order  int // of its topic in the file
}

// dict is what words.txt holds.
type dict struct {
	vocabulary map[string]bool
	// canonical is the one form that words have that the file has in two, the
	// singular and the plural.
	canonical map[string]string
	// phrases by their first word.
	phrases map[string][]phrase
	lists   map[string]map[string]string // people, things, ..: word to locale
	turning map[string][][]string        // by the first word
	// topicOf are the topics and lists of phrases of one word.
	topicOf map[string]topic
	// sorted is the vocabulary in order.
	sorted []string
}

// dictionary reads the words once.
var dictionary = sync.OnceValue(readWords)

func readWords() *dict {
	d := &dict{vocabulary: map[string]bool{}, canonical: map[string]string{}, phrases: map[string][]phrase{}, lists: map[string]map[string]string{}, turning: map[string][][]string{}, topicOf: map[string]topic{}}
	for line := range strings.Lines(wordsText) {
		if _, entries, ok := strings.Cut(line, ": "); ok && line[0] != '#' {
			for word := range strings.FieldsFuncSeq(entries, func(r rune) bool { return !unicode.IsLetter(r) }) {
				d.vocabulary[word] = true
			}
		}
	}
	for word := range d.vocabulary {
		if w, ok := d.stem(word, endings); ok {
			d.canonical[word] = w
		}
	}
	head, in, order := "", anywhere, 0
	for line := range strings.Lines(wordsText) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			fields := strings.Fields(strings.Trim(line, "[]"))
			head, in, order = fields[0], anywhere, order+1
			if len(fields) > 1 {
				in = scopes[fields[1]]
			}
		default:
			locale, entries, _ := strings.Cut(line, ":")
			for entry := range strings.SplitSeq(entries, ",") {
				if words := strings.Fields(entry); len(words) > 0 {
					d.add(words, phrase{topic: topic(head), scope: in, locale: locale, order: order})
				}
			}
		}
	}
	d.sorted = slices.Sorted(maps.Keys(d.vocabulary))
	return d
}

func (d *dict) add(words []string, p phrase) {
	for i, w := range words {
		if short, ok := d.canonical[w]; ok {
			words[i] = short
		}
	}
	p.words = words
	if len(words) == 1 {
		if _, ok := d.topicOf[words[0]]; !ok {
			d.topicOf[words[0]] = p.topic
		}
	}
	if _, ok := topics[p.topic]; ok {
		d.phrases[words[0]] = append(d.phrases[words[0]], p)
		if len(words) == 2 { // the other way about, as other languages or habits have it
			p.words, p.order = []string{words[1], words[0]}, p.order+1000
			d.phrases[words[1]] = append(d.phrases[words[1]], p)
		}
		return
	}
	if p.topic == "turning" {
		d.turning[words[0]] = append(d.turning[words[0]], words)
		return
	}
	list := string(p.topic)
	if d.lists[list] == nil {
		d.lists[list] = map[string]string{}
	}
	key := strings.Join(words, " ")
	if _, ok := d.lists[list][key]; !ok {
		d.lists[list][key] = p.locale
	}
}

// starts reports whether words begin with these.
func starts(words, with []string) bool {
	if len(words) < len(with) {
		return false
	}
	for i, w := range with {
		if words[i] != w {
			return false
		}
	}
	return true
}

// in reports whether a list has the word, or the words from it on, and how
// many of them it takes.
func (d *dict) in(list string, words []string) int {
	for n := min(3, len(words)); n > 0; n-- {
		if _, ok := d.lists[list][strings.Join(words[:n], " ")]; ok {
			return n
		}
	}
	return 0
}
