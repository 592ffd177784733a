package detect

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	ssnForm  = regexp.MustCompile(`^(\d{3})-(\d{2})-(\d{4})$`)
	ninoForm = regexp.MustCompile(`^[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]$`)
	dniForm  = regexp.MustCompile(`^[XYZ]?\d{7,8}[A-Z]$`)
	cfForm   = regexp.MustCompile(`^[A-Z]{6}[0-9LMNPQRSTUV]{2}[A-EHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]$`)
	nirForm  = regexp.MustCompile(`^[1-478]\d\d(?:0[1-9]|1[0-2]|[2-9]\d)(?:\d\d|2[AB])\d{8}$`)
	svForm   = regexp.MustCompile(`^\d{2}(?:0[1-9]|[12]\d|3[01]|[5-7]\d|8[01])(?:0[1-9]|1[0-2])\d\d[A-Z]\d{3}$`)
	cpfForm  = regexp.MustCompile(`^\d{3}\.\d{3}\.\d{3}-\d{2}$`)
	ahvForm  = regexp.MustCompile(`^756\.\d{4}\.\d{4}\.\d{2}$`)
)

// isNationalID takes numbers of persons that can hardly be anything else:
// their shape or their check digits say so.
func isNationalID(s string) bool {
	if len(s) < 9 || len(s) > 24 {
		return false
	}
	if m := ssnForm.FindStringSubmatch(s); m != nil {
		return m[1] != "000" && m[1] != "666" && m[1] < "900" && m[2] != "00" && m[3] != "0000"
	}
	if ninoForm.MatchString(s) || ahvForm.MatchString(s) {
		return true
	}
	v, ok := bare(s, " .-/")
	switch {
	case !ok:
	case dniForm.MatchString(v):
		return dni(v)
	case cfForm.MatchString(v):
		return codiceFiscale(v)
	case svForm.MatchString(v):
		return pensionNumber(v)
	case nirForm.MatchString(v):
		return nir(v)
	case cpfForm.MatchString(s):
		return cpf(v)
	}
	return false
}

// isNumberByChance takes numbers whose check digits are right, as every tenth
// or hundredth number's are.
func isNumberByChance(s string) bool {
	v, ok := bare(s, " .-/")
	if !ok || !allDigits(v) || strings.Trim(v, v[:1]) == "" {
		return false
	}
	switch len(v) {
	case 9:
		return bsn(v) || nif(v)
	case 10:
		return nhs(v)
	case 11:
		return cpf(v) || steuerID(v)
	}
	return false
}

// weighed is the sum of the digits by their weights.
func weighed(s string, weights ...int) (sum int) {
	for i, w := range weights {
		sum += int(s[i]-'0') * w
	}
	return sum
}

// dni is Spain's: the letter is the number modulo 23.
func dni(v string) bool {
	body := strings.NewReplacer("X", "0", "Y", "1", "Z", "2").Replace(v[:1]) + v[1:len(v)-1]
	n, err := strconv.Atoi(body)
	return err == nil && "TRWAGMYFPDXBNJZSQVHLCKE"[n%23] == v[len(v)-1]
}

// nir is France's, with its key: 97 less the number modulo 97.
func nir(v string) bool {
	body := strings.NewReplacer("2A", "19", "2B", "18").Replace(v[5:7])
	n, err := strconv.ParseInt(v[:5]+body+v[7:13], 10, 64)
	key, err2 := strconv.ParseInt(v[13:], 10, 64)
	return err == nil && err2 == nil && 97-n%97 == key
}

// cpf is Brazil's: two check digits modulo 11.
func cpf(v string) bool {
	if len(v) != 11 || !allDigits(v) {
		return false
	}
	digit := func(sum int) int { return sum * 10 % 11 % 10 }
	return digit(weighed(v, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == int(v[9]-'0') && digit(weighed(v, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == int(v[10]-'0')
}

// nif is Portugal's number of a person.
func nif(v string) bool {
	if v[0] != '1' && v[0] != '2' && v[0] != '3' {
		return false
	}
	check := 11 - weighed(v, 9, 8, 7, 6, 5, 4, 3, 2)%11
	return check%11%10 == int(v[8]-'0')
}

// bsn is the Netherlands'.
func bsn(v string) bool { return weighed(v, 9, 8, 7, 6, 5, 4, 3, 2, -1)%11 == 0 }

// nhs is the number of Britain's health service.
func nhs(v string) bool {
	check := 11 - weighed(v, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11
	return check%11 == int(v[9]-'0') && check != 10
}

// steuerID is Germany's tax id (ISO 7064, modulo 11, 10): one digit of the
// first ten comes twice or thrice.
func steuerID(v string) bool {
	if v[0] == '0' {
		return false
	}
	product, seen, repeated := 10, [10]int{}, 0
	for i := range 10 {
		d := int(v[i] - '0')
		if seen[d]++; seen[d] == 2 {
			repeated++
		}
		sum := (d + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = 2 * sum % 11
	}
	return repeated == 1 && (11-product)%10 == int(v[10]-'0')
}

// pensionNumber is that of Germany's pension insurance.
func pensionNumber(v string) bool {
	letter := v[8] - 'A' + 1
	digits := v[:8] + string([]byte{letter/10 + '0', letter%10 + '0'}) + v[9:11]
	sum := 0
	for i, w := range []int{2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1} {
		p := int(digits[i]-'0') * w
		sum += p/10 + p%10
	}
	return sum%10 == int(v[11]-'0')
}

// codiceFiscale is Italy's: its last letter checks the others.
func codiceFiscale(v string) bool {
	odd := [...]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i := range 15 {
		n := int(v[i] - '0')
		if v[i] >= 'A' {
			n = int(v[i] - 'A')
		}
		if i%2 == 0 {
			n = odd[n]
		}
		sum += n
	}
	return byte(sum%26)+'A' == v[15]
}
