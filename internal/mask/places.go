package mask

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
)

// houses are how many numbers a street has.
const houses = 199

// uncut is the chance of one of so many stand-ins. Where there is no room for
// all of one, what is left of them is far less different.
func uncut(most, room, ways int) float64 {
	if most > room {
		return 0.1
	}
	return 1 / float64(ways)
}

// buildStreet makes a street and a number, in the order of the language.
func buildStreet(m *maker) (*Masker, error) {
	d := newDictionary(m.key, m.words.street, m.col.MinLen-2, unbounded)
	numbers, before, room := m.key.sub("number"), m.words.numberFirst, m.room(unbounded)
	return &Masker{
		traits: Traits{MaxLen: min(d.most+4, room), MinLen: min(d.least+2, room), Charset: "a street and a number", Chance: uncut(d.most+4, room, houses*len(d.list))},
		mask: func(dst, v, _ []byte) []byte {
			start := len(dst)
			n := 1 + below(numbers.sum64(v), houses)
			if before {
				dst = append(strconv.AppendUint(dst, n, 10), ' ')
				return cut(d.pick(dst, v), start, room)
			}
			dst = append(d.pick(dst, v), ' ')
			return cut(strconv.AppendUint(dst, n, 10), start, room)
		},
	}, nil
}

// buildCity gives all rows of one entity one city, if they say whom they are
// about.
func buildCity(m *maker) (*Masker, error) {
	d := m.city()
	out := m.fromList(m.words.city, "a city")
	out.traits.Entity = true
	out.mask = func(dst, v, entity []byte) []byte {
		if len(entity) > 0 {
			return append(dst, d.of(entity)...)
		}
		return d.pick(dst, v)
	}
	// It may be the value's own city, as it does not depend on the value.
	out.entityChance = 1 / float64(len(d.list))
	return out, nil
}

// postalArea is how many characters of a postal code follow from the city.
const postalArea = 2

// buildPostalCode permutes digits among digits and letters among letters, and
// keeps what separates them. Where a row says whom it is about, its first two
// characters follow from the city that the row gets instead: rows of one city
// have codes of one area.
func buildPostalCode(m *maker) (*Masker, error) {
	key, city := m.key, m.city()
	return &Masker{
		traits:      Traits{Unique: Preserved, Charset: "digits for digits, letters for letters", Entity: true},
		chance:      textChance,
		entityLossy: true,
		mask: func(dst, v, entity []byte) []byte {
			start := len(dst)
			dst = append(dst, v...)
			out := dst[start:]
			key.permuteText(0, out)
			if len(entity) > 0 {
				area := stream{key.sum64([]byte(city.of(entity)))}
				for i, done := 0, 0; i < len(out) && done < postalArea; i++ {
					if a := alphabetOf(rune(out[i])); a.size > 0 && out[i] < utf8.RuneSelf {
						out[i] = byte(a.first) + byte(area.pick(int(a.size))) //nolint:gosec // below 128
						done++
					}
				}
			}
			return dst
		},
	}, nil
}

// city is the dictionary of the class city in the rule's domain.
func (m *maker) city() dictionary {
	domain := m.rule.Domain
	if domain == "" {
		domain = string(City)
	}
	return m.dictionary(m.secret.Domain(domain), m.words.city)
}

// buildCompany joins a last name, a trade and the language's legal form.
func buildCompany(m *maker) (*Masker, error) {
	name := newDictionary(m.key, m.words.last, 0, unbounded)
	forms := newDictionary(m.key.sub("form"), m.words.company, 0, unbounded)
	room := m.room(unbounded)
	return &Masker{
		traits: Traits{MaxLen: min(name.most+1+forms.most, room), MinLen: min(name.least+1+forms.least, room), Charset: "a company", Chance: uncut(name.most+1+forms.most, room, len(name.list)*len(forms.list))},
		mask: func(dst, v, _ []byte) []byte {
			start := len(dst)
			dst = append(name.pick(dst, v), ' ')
			return cut(forms.pick(dst, v), start, room)
		},
	}, nil
}

// urlRandom are the random characters of a URL's path.
const urlRandom = 13

// buildURL makes an address of nobody's host (RFC 2606) with a path that
// follows from the whole URL. The scheme is kept if it is one of the usual.
func buildURL(m *maker) (*Masker, error) {
	const host = "example.com/"
	n := m.width(urlRandom)
	most := len("https://") + len(host) + n
	if m.col.MaxLen > 0 && most > m.col.MaxLen {
		return nil, errors.New("there is no room for a URL")
	}
	key := m.key
	return &Masker{
		traits: Traits{Unique: Probable, Bits: 5 * n, MaxLen: most, MinLen: len("ftp://") + len(host) + n, Charset: "a URL", Chance: math.Ldexp(1, -5*n)},
		mask: func(dst, v, _ []byte) []byte {
			hi, lo := key.sum128(v)
			scheme := "https://"
			for _, s := range []string{"http://", "ftp://"} {
				if bytes.HasPrefix(v, []byte(s)) {
					scheme = s
				}
			}
			return appendBase32(append(append(dst, scheme...), host...), hi, lo, n)
		},
	}, nil
}

// callingCodes are the countries' codes of two digits, and of one (ITU-T
// E.164, in its list of assigned codes); all others have three.
const (
	oneDigitCodes = "17"
	twoDigitCodes = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 " +
		"60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 "
)

// buildPhone permutes the digits of a number behind the country's code and two
// digits of the area, or behind two digits where there is no country. Length
// and separators are kept. Most stand-ins have no subscriber, some do: nobody
// should be called or written to by what stands in a Twin.
func buildPhone(m *maker) (*Masker, error) {
	key := m.key
	return m.digits(&Masker{
		traits: Traits{Unique: Preserved, Charset: "as the value"},
		chance: func(v []byte) float64 { return textChance(v[afterDigits(v, phonePrefix(v)):]) },
		mask: func(dst, v, _ []byte) []byte {
			start := len(dst)
			dst = append(dst, v...)
			out := dst[start:]
			key.permuteText(0, out[afterDigits(out, phonePrefix(out)):])
			return dst
		},
	})
}

// phonePrefix is how many digits of a number are kept: of a short one few, of
// what is no number none.
func phonePrefix(v []byte) int {
	var number [20]byte
	n := 0
	for _, b := range v {
		switch {
		case digit(b):
			if n < len(number) {
				number[n] = b
			}
			n++
		case letter(b) || b >= utf8.RuneSelf:
			return 0
		}
	}
	prefix := 2
	rest := bytes.TrimLeft(v, " (")
	switch {
	case len(rest) > 0 && rest[0] == '+':
		prefix = codeLength(number[:]) + 2
	case n > 4 && number[0] == '0' && number[1] == '0':
		prefix = 2 + codeLength(number[2:]) + 2
	}
	// At least five digits are permuted, or all.
	if prefix > n-5 {
		return max(min(prefix-2, n-5), 0)
	}
	return prefix
}

func codeLength(number []byte) int {
	if bytes.IndexByte([]byte(oneDigitCodes), number[0]) >= 0 {
		return 1
	}
	for i := 0; i < len(twoDigitCodes); i += 3 {
		if twoDigitCodes[i] == number[0] && twoDigitCodes[i+1] == number[1] {
			return 2
		}
	}
	return 3
}
