package mask

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode"
	"unicode/utf8"
)

// buildFreeText replaces each run of letters by words of as many characters,
// each digit by a digit, and keeps the rest: length and shape of a text stay,
// nothing of what it says.
func buildFreeText(m *maker) (*Masker, error) {
	key, words := m.key, m.words.lorem
	return &Masker{
		traits: Traits{Charset: "words, digits, and the value's punctuation"},
		chance: func(v []byte) float64 { return loremChance(v, words) },
		mask:   func(dst, v, _ []byte) []byte { return appendText(dst, v, key.stream(v), words) },
	}, nil
}

// appendText appends a stand-in that is never longer than v. Each step takes
// one number of the stream, and with it some digits, a run of letters, and one
// character of another kind. It decides as little as it can by branches: what
// comes next in a text is hard for a processor to foretell.
func appendText(dst, v []byte, s stream, words lorem) []byte {
	// Digits and words are written with what lies behind them, which is overwritten
	// by what comes next.
	dst = slices.Grow(dst, len(v)+wordRoom)
	at := len(dst)
	out := dst[:at+len(v)+wordRoom]
	for i := 0; i < len(v); {
		next, z := eight(v, i), s.next()
		binary.LittleEndian.PutUint64(out[at:], eightDigits(z))
		n := leading(within(next, '0', '9'))
		at, i, next = at+n, i+n, next>>(8*n)

		letters := leading(within(next|0x2020202020202020, 'a', 'z'))
		if letters+n == 8 {
			for i+letters < len(v) && letter(v[i+letters]) {
				letters++
			}
		}
		if i+letters < len(v) && v[i+letters] >= utf8.RuneSelf {
			at, i = appendRunes(out, at, v, i, &s, words)
			continue
		}
		at = putWords(out, at, letters, ^next&0x20, z, &s, words)
		i += letters

		if i < len(v) && !digit(v[i]) && !letter(v[i]) {
			out[at] = v[i]
			at++
			i++
		}
	}
	return out[:at]
}

// putWords writes words of so many letters in all, one if it can be: the first
// is chosen by the lower half of z, others by the stream. Capital is 0x20 for a
// capital letter at the beginning, else 0.
func putWords(out []byte, at, letters int, capital, z uint64, s *stream, words lorem) int {
	for longest := len(words) - 1; letters > longest; z = s.next() {
		at = putWords(out, at, longest, capital, z, s, words)
		letters -= longest
		capital = 0
	}
	list := words[letters]
	word := &list[uint64(uint32(z))*uint64(len(list))>>32] //nolint:gosec // its lower half
	binary.LittleEndian.PutUint64(out[at:], word[0]&^capital)
	binary.LittleEndian.PutUint64(out[at+8:], word[1])
	return at + letters
}

// appendRunes is appendText for one run of letters that are not all ASCII, or
// one other character that is not. It gives the places behind what it wrote and
// read.
func appendRunes(out []byte, at int, v []byte, i int, s *stream, words lorem) (wrote, read int) {
	letters, size := letterRun(v[i:])
	first, width := utf8.DecodeRune(v[i:])
	if letters > 0 {
		capital := uint64(0)
		if unicode.IsUpper(first) {
			capital = 0x20
		}
		return putWords(out, at, letters, capital, s.next(), s, words), i + size
	}
	if unicode.IsDigit(first) || unicode.IsNumber(first) {
		out[at] = byte(eightDigits(s.next())) //nolint:gosec // the lowest
		return at + 1, i + width
	}
	return at + copy(out[at:], v[i:i+width]), i + width
}

// wordRoom is more than any word of lorem ipsum takes.
const wordRoom = 16

// lorem are words by length: lorem[3] have three letters. They are of ASCII, in
// lower case, and written as numbers, the first letter lowest.
type lorem [][][wordRoom / 8]uint64

// letters are those of a word, and zeros behind them.
func letters(word [wordRoom / 8]uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, word[0]), word[1])
}

// eight are the next bytes of v, the first lowest; 0 where there are none.
func eight(v []byte, i int) (next uint64) {
	if len(v)-i >= 8 {
		return binary.LittleEndian.Uint64(v[i:])
	}
	for k, b := range v[i:] {
		next |= uint64(b) << (8 * k)
	}
	return next
}

// within marks by their highest bit the bytes that lie between two of ASCII.
func within(eight, least, most uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	low := eight &^ high
	return (low + ones*(0x80-least)) &^ (low + ones*(0x7f-most)) &^ eight & high
}

// leading counts the bytes that are marked from the lowest on.
func leading(marked uint64) int { return bits.TrailingZeros64(^marked&0x8080808080808080) / 8 }

// eightDigits makes a digit of each byte of z.
func eightDigits(z uint64) uint64 {
	const even, zeros = 0x00ff00ff00ff00ff, 0x3030303030303030
	return (z&even*10>>8&even | z>>8&even*10&^even) + zeros
}

// digitChance is that of a digit of eightDigits, at most: 25 or 26 of 256 bytes
// give the same one.
const digitChance = 26.0 / 256

// loremChance is that of appendText giving v itself: none, unless all its words
// happen to be lorem's.
func loremChance(v []byte, words lorem) float64 {
	chance := 1.0
	for len(v) > 0 {
		letters, size := letterRun(v)
		if letters > 0 {
			chance *= wordsChance(v[:size], letters, words)
		} else {
			var r rune
			if r, size = utf8.DecodeRune(v); unicode.IsDigit(r) || unicode.IsNumber(r) {
				chance *= digitChance
			}
		}
		v = v[size:]
	}
	return chance
}

func wordsChance(word []byte, runes int, words lorem) float64 {
	if len(word) != runes {
		return 0 // lorem is ASCII
	}
	chance := 1.0
	for len(word) > 0 {
		size := min(len(word), len(words)-1)
		list := words[size]
		if !slices.ContainsFunc(list, func(w [wordRoom / 8]uint64) bool { return bytes.EqualFold(letters(w)[:size], word[:size]) }) {
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
