package mask

import "strconv"

// PermuteBits is permuteBits, for tests.
func (k Key) PermuteBits(hi, lo uint64, width uint) (newHi, newLo uint64) {
	return k.permuteBits(7, hi, lo, width)
}

// PermuteText is permuteText, for tests.
func (k Key) PermuteText(text []byte) { k.permuteText(7, text) }

// PermuteBelow is the permutation of the numbers below size, for tests.
func (k Key) PermuteBelow(size, v uint64) uint64 { return newNumbers(k, size).at(7, v) }

// Decode and Encode are the codecs, for tests.
func (c *Column) Decode(field []byte, format Format) ([]byte, error) {
	return c.decode(nil, field, format)
}

// Encode gives the field of a canonical value.
func (c *Column) Encode(v []byte, format Format) ([]byte, error) { return c.encode(nil, v, format) }

// Luhn and IBANCheck are what the checksums must be.
func Luhn(v []byte) int { return luhn(v) }

// IBANCheck is ibanCheck.
func IBANCheck(v []byte) int { return ibanCheck(v) }

// Words are all words of a language.
func Words(locale string) (lists map[string][]string, lorem [][]string) {
	w, err := wordsOf(locale)
	if err != nil {
		panic(err)
	}
	for n, list := range w.lorem {
		lorem = append(lorem, nil)
		for _, word := range list {
			lorem[n] = append(lorem[n], string(letters(word)[:n]))
		}
	}
	return map[string][]string{"first": w.first, "last": w.last, "city": w.city, "street": w.street, "company": w.company}, lorem
}

// Leaky is a masker with a fault: it passes on what leaks says.
func Leaky(m *Masker, leaks func(v []byte) bool) *Masker {
	faulty := *m
	faulty.mask = func(dst, v, entity []byte) []byte {
		if leaks(v) {
			return append(dst, v...)
		}
		return m.mask(dst, v, entity)
	}
	return &faulty
}

// Distinct is the estimate of a sketch that was given numbers from 0 to n, a
// few times each, in so many parts that overlap.
func Distinct(n, parts int) int64 {
	var whole sketch
	for p := range parts {
		var s sketch
		for i := range n {
			if i%parts == p || i%7 == 0 {
				v := strconv.AppendInt(nil, int64(i), 10)
				s.add(fingerprint(v))
				s.add(fingerprint(v))
			}
		}
		whole.merge(&s)
	}
	return whole.estimate()
}

// Tail is tail.
func Tail(n, k int64, p float64) float64 { return tail(n, k, p) }

// Fits is an error if the column does not take a value in canonical form.
func (c *Column) Fits(v []byte) error { return c.value().fits(v) }

// CompareDecimals is compareDecimals.
func CompareDecimals(a, b string) int { return compareDecimals([]byte(a), []byte(b)) }

// NationalScheme names the scheme that a number is valid in, if any.
func NationalScheme(locale, id string) string {
	n := newNationalID(Key{}, locale)
	at := n.scheme([]byte(id))
	if at < 0 {
		return ""
	}
	return [...]string{"nif", "bsn", "ssn", "dni", "steuerID", "cpf", "nir", "codiceFiscale"}[n.schemes[at]]
}

// SteuerIDs is how many there are that have one digit m times.
func SteuerIDs(m int) uint64 { return 10 * uint64(len(repeatPlaces()[m])) * arrangements[m] }

// SteuerRank gives the n-th of them, and what number that one has.
func SteuerRank(m int, n uint64) (id string, back uint64) {
	b := make([]byte, 10)
	steuerUnrank(b, n, m, repeatPlaces()[m])
	d, got, ok := steuerRepeat(b)
	if !ok || got != m {
		return string(b), 1<<64 - 1
	}
	return string(b), steuerRank(b, d, repeatPlaces()[m])
}

// PermuteTextSlowly is permuteText without its short cut.
func (k Key) PermuteTextSlowly(text []byte) { k.permuteLong(7, text) }

// KindsOf are the kinds that a class takes.
func KindsOf(name Class) Kind {
	c, _ := classOf(name)
	return c.kinds
}
