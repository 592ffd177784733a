package mask

// buildIBAN permutes the account of an IBAN (ISO 13616): country and shape are
// kept, the check digits are computed anew (ISO 7064, MOD 97-10). Checks that a
// country has inside the account number are not kept. What was not valid stays
// off by as much, so that the whole is a permutation. A stand-in may be
// somebody's account: nobody should be paid by what stands in a Twin.
func buildIBAN(m *maker) (*Masker, error) {
	key := m.key
	return &Masker{
		traits: Traits{Unique: Preserved, Charset: "as the value"},
		chance: func(v []byte) float64 {
			if ibanShaped(v) {
				v = v[4:]
			}
			return textChance(v)
		},
		mask: func(dst, v, _ []byte) []byte {
			start := len(dst)
			dst = append(dst, v...)
			out := dst[start:]
			if !ibanShaped(out) {
				key.permuteText(1, out)
				return dst
			}
			given := int(out[2]-'0')*10 + int(out[3]-'0')
			off := (given - ibanCheck(out) + 100) % 100
			key.permuteText(0, out[4:])
			check := (ibanCheck(out) + off) % 100
			out[2], out[3] = byte('0'+check/10), byte('0'+check%10)
			return dst
		},
	}, nil
}

// ibanShaped reports whether v has a country, two digits and letters, digits
// and spaces after them.
func ibanShaped(v []byte) bool {
	if len(v) < 8 || !letter(v[0]) || !letter(v[1]) || !digit(v[2]) || !digit(v[3]) {
		return false
	}
	for _, b := range v[4:] {
		if !letter(b) && !digit(b) && b != ' ' {
			return false
		}
	}
	return true
}

func letter(b byte) bool { return 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' }
func digit(b byte) bool  { return '0' <= b && b <= '9' }

// ibanCheck is what the check digits must be.
func ibanCheck(v []byte) int {
	rest := 0
	feed := func(b byte) {
		switch {
		case digit(b):
			rest = (rest*10 + int(b-'0')) % 97
		case letter(b):
			rest = (rest*100 + int(b|0x20-'a') + 10) % 97
		}
	}
	for _, b := range v[4:] {
		feed(b)
	}
	feed(v[0])
	feed(v[1])
	feed('0')
	feed('0')
	return 98 - rest
}

// cardKept is how many digits of a card number name its issuer (ISO/IEC 7812).
const cardKept = 6

// buildCard permutes a card number between the issuer's digits and the last,
// which is its check digit (Luhn, ISO/IEC 7812-1) and is computed anew; what
// was not valid stays off by as much. Separators are kept. Text with other
// characters is permuted whole.
func buildCard(m *maker) (*Masker, error) {
	key, keep := m.key, cardKept
	if m.rule.Keep > 0 {
		keep = min(m.rule.Keep, 8)
	}
	// The digits that are permuted lie between these.
	shape := func(v []byte) (from, last int, ok bool) {
		digits := 0
		for i, b := range v {
			switch {
			case digit(b):
				digits, last = digits+1, i
			case b != ' ' && b != '-':
				return 0, 0, false
			}
		}
		return afterDigits(v, keep), last, digits >= keep+4
	}
	return m.digits(&Masker{
		traits: Traits{Unique: Preserved, Charset: "as the value"},
		chance: func(v []byte) float64 {
			if from, last, ok := shape(v); ok {
				v = v[from:last]
			}
			return textChance(v)
		},
		mask: func(dst, v, _ []byte) []byte {
			start := len(dst)
			dst = append(dst, v...)
			out := dst[start:]
			from, last, ok := shape(out)
			if !ok {
				key.permuteText(1, out)
				return dst
			}
			off := (int(out[last]-'0') - luhn(out[:last]) + 10) % 10
			key.permuteText(0, out[from:last])
			out[last] = byte('0' + (luhn(out[:last])+off)%10)
			return dst
		},
	})
}

// afterDigits is where the text goes on after its first n digits.
func afterDigits(v []byte, n int) int {
	for i, b := range v {
		if n == 0 {
			return i
		}
		if digit(b) {
			n--
		}
	}
	return len(v)
}

// luhn is the check digit that follows the digits of v.
func luhn(v []byte) int {
	sum, double := 0, true
	for i := len(v) - 1; i >= 0; i-- {
		if !digit(v[i]) {
			continue
		}
		d := int(v[i] - '0')
		if double {
			d = d*2/10 + d*2%10
		}
		sum += d
		double = !double
	}
	return (10 - sum%10) % 10
}
