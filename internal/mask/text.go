package mask

import (
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// buildFreeText replaces each run of letters by words of as many characters,
// each digit by a digit, and keeps the rest: length and shape of a text stay,
// nothing of what it says.
func buildFreeText(m *maker) (*Masker, error) {
	key, lorem := m.key, m.words.lorem
	return &Masker{
		traits: Traits{Charset: "words, digits, and the value's punctuation"},
		chance: func(v []byte) float64 { return loremChance(v, lorem) },
		mask:   func(dst, v, _ []byte) []byte { return appendText(dst, v, key.stream(v), lorem) },
	}, nil
}

func appendText(dst, v []byte, s stream, lorem [][]string) []byte {
	d := randomDigits{stream: &s}
	for len(v) > 0 {
		if b := v[0]; b < utf8.RuneSelf && !letter(b) {
			if digit(b) {
				b = d.next()
			}
			dst = append(dst, b)
			v = v[1:]
			continue
		}
		letters, size := letterRun(v)
		if letters > 0 {
			first, _ := utf8.DecodeRune(v)
			start := len(dst)
			dst = appendWords(dst, letters, &s, lorem)
			if unicode.IsUpper(first) {
				toUpper(dst[start : start+1])
			}
			v = v[size:]
			continue
		}
		r, width := utf8.DecodeRune(v)
		if unicode.IsDigit(r) || unicode.IsNumber(r) {
			dst = append(dst, d.next())
		} else {
			dst = append(dst, v[:width]...)
		}
		v = v[width:]
	}
	return dst
}

// randomDigits are random digits, several from each number of a stream.
type randomDigits struct {
	stream *stream
	rest   uint64
	left   int
}

// perNumber is how many digits a number of 64 bits gives, at 2^-23 or less from
// even odds.
const perNumber = 12

func (d *randomDigits) next() byte {
	if d.left == 0 {
		d.rest, d.left = d.stream.next(), perNumber
	}
	d.left--
	hi, lo := bits.Mul64(d.rest, 10)
	d.rest = lo
	return byte('0' + hi) //nolint:gosec // below ten
}

// loremChance is that of appendText giving v itself: none, unless all its words
// happen to be lorem's.
func loremChance(v []byte, lorem [][]string) float64 {
	chance := 1.0
	for len(v) > 0 {
		letters, size := letterRun(v)
		if letters > 0 {
			chance *= wordsChance(v[:size], letters, lorem)
		} else {
			var r rune
			if r, size = utf8.DecodeRune(v); unicode.IsDigit(r) || unicode.IsNumber(r) {
				chance /= 10
			}
		}
		v = v[size:]
	}
	return chance
}

func wordsChance(word []byte, letters int, lorem [][]string) float64 {
	if len(word) != letters {
		return 0 // lorem is ASCII
	}
	chance := 1.0
	for len(word) > 0 {
		size := min(len(word), len(lorem)-1)
		list := lorem[size]
		if !slices.ContainsFunc(list, func(w string) bool { return strings.EqualFold(w, string(word[:size])) }) {
			return 0
		}
		chance /= float64(len(list))
		word = word[size:]
	}
	return chance
}

// letterRun measures the letters that v begins with, marks on them included.
// What is not UTF-8 counts as a letter.
func letterRun(v []byte) (letters, size int) {
	for size < len(v) {
		r, width := rune(v[size]), 1
		if r >= utf8.RuneSelf {
			r, width = utf8.DecodeRune(v[size:])
			if !unicode.IsLetter(r) && !unicode.IsMark(r) && (r != utf8.RuneError || width > 1) {
				break
			}
		} else if !letter(byte(r)) {
			break
		}
		letters++
		size += width
	}
	return letters, size
}

// appendWords appends one word of n letters, made of several if it is long.
func appendWords(dst []byte, n int, s *stream, lorem [][]string) []byte {
	for n > 0 {
		size := min(n, len(lorem)-1)
		list := lorem[size]
		dst = append(dst, list[s.pick(len(list))]...)
		n -= size
	}
	return dst
}
