package mask

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
	return map[string][]string{"first": w.first, "last": w.last, "city": w.city, "street": w.street, "company": w.company}, w.lorem
}
