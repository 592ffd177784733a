package mask

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
)

// The words are our own lists and not a library's: a list that changes with an
// upgrade changes every stand-in, and with it what developers know of a Twin.
// Words may be added only together with a new version in the keys' derivation.
//
//go:embed words.txt
var wordsText string

// words are the lists of one language.
type words struct {
	first, last, city, street, company []string
	// numberFirst is set where the number of a house comes before its street.
	numberFirst bool
	lorem       lorem
	// ascii are names for machines, of all languages.
	ascii struct{ first, last []string }
}

// languages reads the lists once.
var languages = sync.OnceValue(readWords)

func wordsOf(locale string) (*words, error) {
	if locale == "" {
		locale = "en"
	}
	w, ok := languages()[locale]
	if !ok {
		return nil, fmt.Errorf("there are no words of locale %q, only de, en, es, fr, it, nl and pt", locale)
	}
	return w, nil
}

// Locales are the languages that there are words of.
func Locales() []string { return []string{"de", "en", "es", "fr", "it", "nl", "pt"} }

// Names lists the first and the last names of all languages, for telling that
// a value may be somebody's.
func Names() (first, last []string) {
	for _, locale := range Locales() {
		w := languages()[locale]
		first, last = append(first, w.first...), append(last, w.last...)
	}
	return first, last
}

// readWords reads lines such as "de.first Anna Ben", with _ for a space.
func readWords() map[string]*words {
	lists := map[string][]string{}
	for line := range strings.Lines(wordsText) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		for _, w := range fields[1:] {
			lists[fields[0]] = append(lists[fields[0]], strings.ReplaceAll(w, "_", " "))
		}
	}
	all := map[string]*words{}
	var first, last []string
	for _, locale := range []string{"de", "en", "es", "fr", "it", "nl", "pt"} {
		w := &words{
			first: lists[locale+".first"], last: lists[locale+".last"], city: lists[locale+".city"],
			street: lists[locale+".street"], company: lists[locale+".company"],
			numberFirst: locale == "en" || locale == "fr",
			lorem:       byLength(lists["lorem"]),
		}
		first, last = append(first, plain(w.first)...), append(last, plain(w.last)...)
		all[locale] = w
	}
	for _, w := range all {
		w.ascii.first, w.ascii.last = first, last
	}
	return all
}

// plain keeps the words of ASCII letters alone, in lower case.
func plain(list []string) []string {
	var out []string
	for _, w := range list {
		w = strings.ToLower(w)
		if strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") == "" {
			out = append(out, w)
		}
	}
	return out
}

func byLength(list []string) lorem {
	out := lorem{{{}}} // no word has no letters
	for _, w := range list {
		for len(out) <= len(w) {
			out = append(out, nil)
		}
		room := append([]byte(w), make([]byte, wordRoom)...)
		out[len(w)] = append(out[len(w)], [wordRoom / 8]uint64{binary.LittleEndian.Uint64(room), binary.LittleEndian.Uint64(room[8:])})
	}
	return out
}
