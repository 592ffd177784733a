package mask

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unicode/utf8"
)

// alphabet is a run of characters that stand in for each other. All of them
// take the same number of bytes in UTF-8, so that text is permuted in place.
type alphabet struct {
	first rune
	size  uint32
}

// alphabets are closed: the stand-in of a character lies in the same one.
var alphabets = [...]alphabet{
	{'0', 10},
	{'A', 26},
	{'a', 26},
	{0xc0, 23}, // À to Ö
	{0xd8, 7},  // Ø to Þ
	{0xdf, 24}, // ß to ö
	{0xf8, 8},  // ø to ÿ
	{0x100, 128},
	{0x391, 17},
	{0x3a3, 7},
	{0x3ac, 4},
	{0x3b1, 25}, // Greek
	{0x400, 16},
	{0x410, 32},
	{0x430, 32},
	{0x450, 16}, // Cyrillic
	{0x5d0, 27}, // Hebrew
	{0x620, 32},
	{0x641, 10}, // Arabic
	{0x660, 10},
	{0x6f0, 10}, // digits of Arabic and Persian
	{0x904, 54},
	{0x966, 10}, // Devanagari
	{0xe01, 46}, // Thai
	{0x3041, 86},
	{0x30a1, 90},    // Hiragana, Katakana
	{0x4e00, 20992}, // Han
	{0xac00, 11172}, // Hangul
	{0xff10, 10},    // wide digits
	{0xff21, 26},
	{0xff41, 26},
}

// block is the size of an alphabet of which no table tells: any character
// beyond the tables' blocks stands in for another one of its 64.
const block = 64

// alphabetOf finds a character's alphabet; size 0 says that it is kept, as
// separators are.
func alphabetOf(r rune) alphabet {
	switch {
	case r >= '0' && r <= '9':
		return alphabets[0]
	case r >= 'A' && r <= 'Z':
		return alphabets[1]
	case r >= 'a' && r <= 'z':
		return alphabets[2]
	case r < 0xc0 || r == utf8.RuneError:
		return alphabet{}
	}
	return foreignAlphabet(r)
}

func foreignAlphabet(r rune) alphabet {
	start := r &^ (block - 1)
	free := start >= 0x500 && (start < 0x2000 || start >= 0x2100) // no general punctuation
	for _, a := range alphabets[3:] {
		end := a.first + rune(a.size) //nolint:gosec // at most 20992
		if r >= a.first && r < end {
			return a
		}
		if start < end && start+block > a.first {
			free = false
		}
	}
	if !free || start <= utf8.RuneError && start+block > utf8.RuneError {
		return alphabet{}
	}
	return alphabet{start, block}
}

// span is how many characters are permuted together. What follows is permuted
// under a tweak that depends on all before it, so that the whole stays a
// permutation; texts with the same first span have the same stand-ins there.
const span = 48

// spot is a character that is permuted.
type spot struct {
	at    int
	first rune
	size  uint32
	value uint32
}

// permuteText permutes text in place, each character within its alphabet: a
// Feistel network on the characters as digits of mixed radix. Short texts are
// two numbers, as in FF1; the digits of long ones are added position by
// position. Characters of no alphabet are kept and don't count:
// 12-34 and 1234 have the same digits afterwards.
func (k Key) permuteText(tweak uint64, text []byte) {
	if !k.permuteShort(tweak, text) {
		k.permuteLong(tweak, text)
	}
}

func (k Key) permuteLong(tweak uint64, text []byte) {
	var spots [span]spot
	n := 0
	for i := 0; i < len(text); {
		r, width := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, width = utf8.DecodeRune(text[i:])
		}
		if a := alphabetOf(r); a.size != 0 {
			if n == span {
				next := k.digest(tweak, rounds, spots[:n])
				k.permuteSpots(tweak, text, spots[:n])
				tweak, n = next[0], 0
			}
			spots[n] = spot{i, a.first, a.size, uint32(r - a.first)} //nolint:gosec // not negative
			n++
		}
		i += width
	}
	k.permuteSpots(tweak, text, spots[:n])
}

// shortLeast and shortMost are how many characters permuteShort takes: 26^10 is less
// than 2^48.
const (
	shortLeast = 2
	shortMost  = 20
)

// permuteShort does the same for the commonest texts, quicker; false says that
// it has not.
func (k Key) permuteShort(tweak uint64, text []byte) bool {
	var at [shortMost]uint8
	n := 0
	for i, b := range text {
		switch {
		case digit(b) || letter(b):
			if n == shortMost || i > math.MaxUint8 {
				return false
			}
			at[n] = uint8(i)
			n++
		case b >= utf8.RuneSelf:
			return false
		}
	}
	if n < shortLeast {
		return false
	}
	var halves, sizes [2]uint64
	for h, spots := range [2][]uint8{at[:n/2], at[n/2 : n]} {
		value, size := uint64(0), uint64(1)
		for _, i := range spots {
			switch b := text[i]; {
			case digit(b):
				value, size = value*10+uint64(b-'0'), size*10
			case b < 'a':
				value, size = value*26+uint64(b-'A'), size*26
			default:
				value, size = value*26+uint64(b-'a'), size*26
			}
		}
		halves[h], sizes[h] = value, size
	}
	halves[0], halves[1] = k.feistel(tweak, halves[0], halves[1], sizes[0], sizes[1])
	for h, spots := range [2][]uint8{at[:n/2], at[n/2 : n]} {
		value := halves[h]
		for j := len(spots) - 1; j >= 0; j-- {
			switch b := &text[spots[j]]; {
			case digit(*b):
				*b, value = byte('0'+value%10), value/10
			case *b < 'a':
				*b, value = byte('A'+value%26), value/26
			default:
				*b, value = byte('a'+value%26), value/26
			}
		}
	}
	return true
}

// textChance is that of a permutation of text giving the text itself.
func textChance(text []byte) float64 {
	chance := 1.0
	for len(text) > 0 {
		r, width := utf8.DecodeRune(text)
		if a := alphabetOf(r); a.size != 0 {
			chance /= float64(a.size)
		}
		text = text[width:]
	}
	return chance
}

func (k Key) permuteSpots(tweak uint64, text []byte, spots []spot) {
	switch len(spots) {
	case 0:
		return
	case 1:
		s := &spots[0]
		s.value = uint32(newNumbers(k, uint64(s.size)).at(tweak, uint64(s.value))) //nolint:gosec // below size
	default:
		left, right := spots[:len(spots)/2], spots[len(spots)/2:]
		if a, b := radix(left), radix(right); a != 0 && b != 0 {
			l, r := k.feistel(tweak, pack(left), pack(right), a, b)
			unpack(left, l)
			unpack(right, r)
			break
		}
		for n := byte(0); n < rounds; n++ {
			k.add(tweak, n, left, right)
			left, right = right, left
		}
	}
	for i := range spots {
		s := &spots[i]
		utf8.EncodeRune(text[s.at:], s.first+rune(s.value)) //nolint:gosec // below size
	}
}

// radix is how many texts the spots can hold; 0 if they are too many for
// arithmetic in 64 bits with some to spare, so that all are about as likely.
func radix(spots []spot) uint64 {
	n := uint64(1)
	for i := range spots {
		if n *= uint64(spots[i].size); n >= 1<<(64-spare) {
			return 0
		}
	}
	return n
}

// pack makes one number of the spots' values, unpack the other way round.
func pack(spots []spot) uint64 {
	n := uint64(0)
	for i := range spots {
		n = n*uint64(spots[i].size) + uint64(spots[i].value)
	}
	return n
}

func unpack(spots []spot, n uint64) {
	for i := len(spots) - 1; i >= 0; i-- {
		s := &spots[i]
		next := n / uint64(s.size)
		s.value = uint32(n - next*uint64(s.size)) //nolint:gosec // below size
		n = next
	}
}

// spare is how many bits of a hash are not used up by the digits drawn from it,
// so that all digits of an alphabet are about as likely.
const spare = 16

// add adds to each digit of left one that follows from right. Digits are drawn
// from 64 bits as from a fraction: times the size of the alphabet, the whole
// part is the digit, and the rest is the fraction for the next one.
func (k Key) add(tweak uint64, n byte, left, right []spot) {
	digest := k.digest(tweak, n, right)
	fraction, second, left64 := digest[0], digest[1], 64
	fresh := true
	for i := range left {
		s := &left[i]
		size := uint64(s.size)
		width := bits.Len64(size)
		if left64 < width+spare {
			if !fresh {
				digest = k.next(digest, byte(i))
				second = digest[0]
			}
			fraction, left64, fresh = second, 64, false
		}
		left64 -= width
		var digit uint64
		digit, fraction = bits.Mul64(fraction, size)
		if s.value += uint32(digit); s.value >= s.size { //nolint:gosec // below size
			s.value -= s.size
		}
	}
}

// digest is a pseudorandom function of the digits of spots.
func (k Key) digest(tweak uint64, n byte, spots []spot) [2]uint64 {
	var b [9 + 2*span]byte
	binary.LittleEndian.PutUint64(b[:], tweak)
	b[8] = n
	size := 9
	for i := range spots {
		b[size] = byte(spots[i].value) //nolint:gosec // its low bits
		size++
		if spots[i].size > 256 {
			b[size] = byte(spots[i].value >> 8) //nolint:gosec // below 65536
			size++
		}
	}
	hi, lo := k.sum128(b[:size])
	return [2]uint64{hi, lo}
}

// next goes on where 128 bits were not enough.
func (k Key) next(digest [2]uint64, n byte) [2]uint64 {
	var b [18]byte
	binary.LittleEndian.PutUint64(b[:], digest[0])
	binary.LittleEndian.PutUint64(b[8:], digest[1])
	b[16], b[17] = n, 'n'
	hi, lo := k.sum128(b[:])
	return [2]uint64{hi, lo}
}
