package mask

import (
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
		mask:   func(dst, v, _ []byte) []byte { return appendText(dst, v, key.stream(v), lorem) },
	}, nil
}

func appendText(dst, v []byte, s stream, lorem [][]string) []byte {
	for len(v) > 0 {
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
			dst = append(dst, byte('0'+s.pick(10))) //nolint:gosec // a digit
		} else {
			dst = append(dst, v[:width]...)
		}
		v = v[width:]
	}
	return dst
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
