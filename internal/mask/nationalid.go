package mask

import (
	"bytes"
	"slices"
)

// idScheme is a country's number for a person. All of its numbers that are
// valid are permuted among themselves.
type idScheme uint8

const (
	nif           idScheme = iota // Portugal
	bsn                           // the Netherlands
	ssn                           // the United States
	dni                           // Spain, NIE too
	steuerID                      // Germany
	cpf                           // Brazil
	nir                           // France
	codiceFiscale                 // Italy
)

// idSchemes are looked for in this order. Where a number is of digits alone, the
// locale says whose it is; no locale is all.
var idSchemes = [...]struct {
	size    int // letters and digits, without what separates them
	locales []string
}{
	nif:           {9, []string{"pt"}},
	bsn:           {9, []string{"nl"}},
	ssn:           {9, []string{"en", "de", "es", "fr", "it"}},
	dni:           {9, nil},
	steuerID:      {11, []string{"en", "de", "es", "fr", "it", "nl"}},
	cpf:           {11, []string{"en", "es", "fr", "it", "nl", "pt"}},
	nir:           {15, nil},
	codiceFiscale: {16, nil},
}

// valid checks form and check digits, as the country's authority publishes
// them.
func (s idScheme) valid(id []byte) bool {
	if len(id) != idSchemes[s].size {
		return false
	}
	switch s {
	case nif:
		return validNIF(id)
	case bsn:
		return validBSN(id)
	case ssn:
		return validSSN(id)
	case dni:
		return validDNI(id)
	case steuerID:
		return validSteuerID(id)
	case cpf:
		return validCPF(id)
	case nir:
		return validNIR(id)
	case codiceFiscale:
		return validCodiceFiscale(id)
	}
	return false
}

// permute permutes what is free, and computes the check digits anew. What it
// gives may break a rule of the country: then it is permuted again.
func (s idScheme) permute(k Key, id []byte) {
	switch s {
	case nif:
		k.permuteText(2, id[1:8])
		id[8] = checkNIF(id)
	case bsn:
		k.permuteText(3, id[:8])
		id[8] = checkBSN(id)
	case ssn:
		k.permuteText(4, id)
	case dni:
		permuteDNI(k, id)
	case steuerID:
		permuteSteuerID(k, id)
	case cpf:
		k.permuteText(5, id[:9])
		checkCPF(id)
	case nir:
		permuteNIR(k, id)
	case codiceFiscale:
		permuteCodiceFiscale(k, id)
	}
}

// idMost is the most letters and digits of a scheme.
const idMost = 16

// nationalID permutes the numbers of each scheme among themselves, and all that
// is none character by character.
type nationalID struct {
	key     Key
	schemes []idScheme
}

func newNationalID(key Key, locale string) nationalID {
	if locale == "" {
		locale = "en"
	}
	n := nationalID{key: key}
	for i, s := range idSchemes {
		if s.locales == nil || slices.Contains(s.locales, locale) {
			n.schemes = append(n.schemes, idScheme(i))
		}
	}
	return n
}

// compactID takes the letters and digits out of a number; ok is false if
// something else stands there but separators.
func compactID(dst *[idMost]byte, v []byte) (id []byte, ok bool) {
	n := 0
	for _, b := range v {
		switch {
		case digit(b), 'A' <= b && b <= 'Z':
			if n == idMost {
				return nil, false
			}
			dst[n] = b
			n++
		case b != ' ' && b != '-' && b != '.' && b != '/':
			return nil, false
		}
	}
	return dst[:n], true
}

// scheme finds the first scheme that v is valid in, or -1.
func (n nationalID) scheme(v []byte) int {
	var room [idMost]byte
	id, ok := compactID(&room, v)
	if !ok {
		return -1
	}
	for i, s := range n.schemes {
		if s.valid(id) {
			return i
		}
	}
	return -1
}

// permute permutes v in place. What is valid in a scheme stays so, and nothing
// becomes valid in another one: so that all is one permutation, it is done
// until the scheme is the same again (cycle walking).
func (n nationalID) permute(v []byte) {
	scheme := n.scheme(v)
	for {
		if scheme < 0 {
			n.key.permuteText(0, v)
		} else {
			var room [idMost]byte
			id, _ := compactID(&room, v)
			n.schemes[scheme].permute(n.key, id)
			for i := range v {
				if letter(v[i]) || digit(v[i]) {
					v[i], id = id[0], id[1:]
				}
			}
		}
		if n.scheme(v) == scheme {
			return
		}
	}
}

// chance is that of a number's stand-in being the number; up to a thousand
// numbers share what is not check digits.
func (n nationalID) chance(v []byte) float64 {
	if n.scheme(v) < 0 {
		return textChance(v)
	}
	return min(1, 1000*textChance(v))
}

func allDigits(v []byte) bool {
	for _, b := range v {
		if !digit(b) {
			return false
		}
	}
	return true
}

// weighted adds digits, each times a weight that begins at first and falls by
// one.
func weighted(v []byte, first int) int {
	sum := 0
	for i, b := range v {
		sum += int(b-'0') * (first - i)
	}
	return sum
}

// toDigits writes n with leading zeros.
func toDigits(dst []byte, n uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
}

func fromDigits(v []byte) uint64 {
	n := uint64(0)
	for _, b := range v {
		n = n*10 + uint64(b-'0')
	}
	return n
}

// validSSN is the form of a number of the United States; it has no check digit.
func validSSN(id []byte) bool {
	return allDigits(id) && id[0] != '9' && string(id[:3]) != "000" && string(id[:3]) != "666" &&
		string(id[3:5]) != "00" && string(id[5:]) != "0000"
}

// validNIF checks a Portuguese tax number; its first digit says what it is of.
func validNIF(id []byte) bool {
	return allDigits(id) && id[0] != '0' && id[0] != '4' && id[0] != '7' && id[8] == checkNIF(id)
}

func checkNIF(id []byte) byte {
	if rest := weighted(id[:8], 9) % 11; rest > 1 {
		return byte('0' + 11 - rest)
	}
	return '0'
}

// validBSN checks a Dutch number: the eleven test.
func validBSN(id []byte) bool {
	return allDigits(id) && len(bytes.Trim(id, "0")) > 0 && weighted(id[:8], 9)%11 == int(id[8]-'0')
}

// checkBSN gives any digit where the rest is ten: then there is no number.
func checkBSN(id []byte) byte { return byte('0' + weighted(id[:8], 9)%11%10) }

// validDNI checks a Spanish DNI, or a NIE, which has X, Y or Z in front.
func validDNI(id []byte) bool {
	first := digit(id[0]) || 'X' <= id[0] && id[0] <= 'Z'
	return first && allDigits(id[1:8]) && id[8] == checkDNI(id)
}

func checkDNI(id []byte) byte {
	n := fromDigits(id[1:8])
	if digit(id[0]) {
		n += uint64(id[0]-'0') * 1e7
	} else {
		n += uint64(id[0]-'X') * 1e7
	}
	return "TRWAGMYFPDXBNJZSQVHLCKE"[n%23]
}

func permuteDNI(k Key, id []byte) {
	if digit(id[0]) {
		k.permuteText(6, id[:8])
	} else {
		n := newNumbers(k, 3e7).at(7, uint64(id[0]-'X')*1e7+fromDigits(id[1:8]))
		id[0] = byte('X' + n/1e7) //nolint:gosec // below 3
		toDigits(id[1:8], n%1e7)
	}
	id[8] = checkDNI(id)
}

// validCPF checks a Brazilian number; those of one digit repeated are not
// given out.
func validCPF(id []byte) bool {
	if !allDigits(id) || len(bytes.Trim(id, string(id[:1]))) == 0 {
		return false
	}
	var want [11]byte
	copy(want[:], id)
	checkCPF(want[:])
	return bytes.Equal(want[:], id)
}

func checkCPF(id []byte) {
	id[9] = byte('0' + weighted(id[:9], 10)*10%11%10)
	id[10] = byte('0' + weighted(id[:10], 11)*10%11%10)
}

// validNIR checks a French number: sex, year, month, place, order and key.
func validNIR(id []byte) bool {
	if !allDigits(id) || id[0] != '1' && id[0] != '2' {
		return false
	}
	month := fromDigits(id[3:5])
	return month >= 1 && month <= 12 && fromDigits(id[13:]) == 97-fromDigits(id[:13])%97
}

func permuteNIR(k Key, id []byte) {
	n := ((uint64(id[0]-'1')*100+fromDigits(id[1:3]))*12+fromDigits(id[3:5])-1)*1e8 + fromDigits(id[5:13])
	n = newNumbers(k, 2*100*12*1e8).at(8, n)
	toDigits(id[5:13], n%1e8)
	n /= 1e8
	toDigits(id[3:5], n%12+1)
	n /= 12
	toDigits(id[1:3], n%100)
	id[0] = byte('1' + n/100) //nolint:gosec // below 2
	toDigits(id[13:], 97-fromDigits(id[:13])%97)
}

// The months of an Italian codice fiscale.
const fiscalMonths = "ABCDEHLMPRST"

// validCodiceFiscale checks the form and the last letter; those where letters
// stand for digits are none.
func validCodiceFiscale(id []byte) bool {
	for _, b := range id[:6] {
		if !letter(b) {
			return false
		}
	}
	if !allDigits(id[6:8]) || bytes.IndexByte([]byte(fiscalMonths), id[8]) < 0 || !allDigits(id[9:11]) || !letter(id[11]) || !allDigits(id[12:15]) {
		return false
	}
	day := fromDigits(id[9:11]) // a woman's is 40 more
	return (day >= 1 && day <= 31 || day >= 41 && day <= 71) && id[15] == checkCodiceFiscale(id)
}

func checkCodiceFiscale(id []byte) byte {
	odd := [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i, b := range id[:15] {
		value := int(b - '0')
		if letter(b) {
			value = int(b - 'A')
		}
		if i%2 == 0 {
			value = odd[value]
		}
		sum += value
	}
	return byte('A' + sum%26)
}

// permuteCodiceFiscale permutes month and day as one, and the rest as text,
// each in a way that depends on the other.
func permuteCodiceFiscale(k Key, id []byte) {
	month, day := bytes.IndexByte([]byte(fiscalMonths), id[8]), fromDigits(id[9:11])
	if day > 40 {
		day -= 9 // 32 to 62
	}
	date := uint64(month)*62 + day - 1 //nolint:gosec // not negative
	var rest [12]byte
	copy(rest[:], id[:8])
	copy(rest[8:], id[11:15])
	k.permuteText(16+date, rest[:])
	date = newNumbers(k, 12*62).at(k.sum64(rest[:]), date)
	copy(id[:8], rest[:8])
	copy(id[11:15], rest[8:])
	if day = date%62 + 1; day > 31 {
		day += 9
	}
	id[8] = fiscalMonths[date/62]
	toDigits(id[9:11], day)
	id[15] = checkCodiceFiscale(id)
}

// buildNationalID permutes numbers for persons. Those of the countries whose
// rules are known stay valid. In all others digits are permuted among digits,
// letters among letters, and what separates them is kept; check digits come out
// as they fall.
func buildNationalID(m *maker) (*Masker, error) {
	n := newNationalID(m.key, m.rule.Locale)
	return m.digits(&Masker{
		traits: Traits{Unique: Preserved, Charset: "digits for digits, letters for letters"},
		chance: n.chance,
		mask: func(dst, v, _ []byte) []byte {
			start := len(dst)
			dst = append(dst, v...)
			n.permute(dst[start:])
			return dst
		},
	})
}
