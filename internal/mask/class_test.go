package mask_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// OIDs of types, as pg_type.dat has them.
const (
	oidInt8, oidInt2, oidInt4, oidText, oidFloat8 = 20, 21, 23, 25, 701
	oidBool, oidBytea, oidJSON, oidXML            = 16, 17, 114, 142
	oidCIDR, oidMAC8, oidMAC, oidINET             = 650, 774, 829, 869
	oidBPChar, oidVarchar, oidDate                = 1042, 1043, 1082
	oidTimestamp, oidTimestamptz                  = 1114, 1184
	oidNumeric, oidUUID, oidJSONB                 = 1700, 2950, 3802
)

func text(n int) mask.Column {
	return mask.Column{Name: "c", Kind: mask.Text, OID: oidVarchar, MaxLen: n}
}

func column(kind mask.Kind, oid uint32) mask.Column {
	return mask.Column{Name: "c", Kind: kind, OID: oid}
}

// classCase is one masker on one column: what goes in, and what must hold of
// what comes out.
type classCase struct {
	rule   mask.Rule
	column mask.Column
	unique mask.Uniqueness
	// value is the i-th of the values, all different, as COPY writes it.
	value func(i int) string
	// valid says what is wrong with a stand-in, as COPY writes it.
	valid func(in, out string) error
	// same is the share of values that may come out as they went in.
	same float64
	// free is set where no value may cost an allocation.
	free bool
}

func matching(pattern string) func(in, out string) error {
	re := regexp.MustCompile("^(?s:" + pattern + ")$")
	return func(_, out string) error {
		if !re.MatchString(out) {
			return fmt.Errorf("it is not %s", pattern)
		}
		return nil
	}
}

func sameLength(in, out string) error {
	if utf8.RuneCountInString(in) != utf8.RuneCountInString(out) {
		return errors.New("its length differs")
	}
	return nil
}

func both(a, b func(in, out string) error) func(in, out string) error {
	return func(in, out string) error { return errors.Join(a(in, out), b(in, out)) }
}

func spread(i int) uint64 { return uint64(i+1) * 0x9e3779b97f4a7c15 }

func uuidText(i int) string {
	h := fmt.Sprintf("%016x%016x", spread(i), spread(i+7))
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
}

func validUUID(in, out string) error {
	if in[14] != out[14] {
		return errors.New("its version differs")
	}
	return matching(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)(in, out)
}

func iban(i int) string {
	b := []byte(fmt.Sprintf("DE00%018d", spread(i)%1e18))
	copy(b[2:], fmt.Sprintf("%02d", mask.IBANCheck(b)))
	return string(b)
}

func validIBAN(in, out string) error {
	b := []byte(out)
	if out[:2] != in[:2] || len(in) != len(out) || out[2:4] != fmt.Sprintf("%02d", mask.IBANCheck(b)) {
		return errors.New("it is no IBAN of the country")
	}
	// And by the other way to compute it (ISO 7064).
	rest := 0
	for _, c := range out[4:] + out[:4] {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	if rest != 1 {
		return fmt.Errorf("it is %d modulo 97", rest)
	}
	return nil
}

func card(i int) string {
	b := fmt.Sprintf("411111%09d", spread(i)%1e9)
	return b + strconv.Itoa(mask.Luhn([]byte(b)))
}

func validCard(in, out string) error {
	sum := 0
	for i, c := range out {
		d := int(c - '0')
		if i%2 == len(out)%2 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	if sum%10 != 0 || out[:6] != in[:6] || len(out) != len(in) {
		return errors.New("it is no card number of the issuer")
	}
	return nil
}

func noisy(in, out string) error {
	a, err1 := strconv.ParseFloat(in, 64)
	b, err2 := strconv.ParseFloat(out, 64)
	if err1 != nil || err2 != nil || a*b < 0 || b > a*1.1+1 || b < a*0.9-1 {
		return errors.New("it is too far off")
	}
	return nil
}

func day(i int) string {
	return fmt.Sprintf("%04d-%02d-%02d", 1900+i/336%1000, 1+i/28%12, 1+i%28)
}

func person(i int) string { return fmt.Sprintf("Ada%d van Lovelace%d", i, i) }

// number is one value of int4 and the like.
func number(i int) string { return strconv.Itoa(i + 1) }

var emailPattern = `[a-z2-7.]+@(example\.com|x\.test)`

// classCases are all classes, on every kind of column that they take.
func classCases() []classCase {
	word := func(i int) string { return "Wort " + strconv.Itoa(i) }
	return slices.Concat(simpleCases(word), identityCases(), peopleCases(word), numberCases(), documentCases())
}

func simpleCases(word func(int) string) []classCase {
	labels := mask.Column{Name: "c", Kind: mask.Enum, OID: 99999, Labels: []string{"new", "paid", "sent", "gone"}}
	return []classCase{
		{rule: mask.Rule{Class: mask.Null}, column: text(0), value: word},
		{rule: mask.Rule{Class: mask.Null}, column: column(mask.Int, oidInt4), value: number},
		{rule: mask.Rule{Class: mask.Keep}, column: text(0), unique: mask.Preserved, value: word, same: 1, free: true},
		{rule: mask.Rule{Class: mask.Constant, Value: "x"}, column: text(1), value: word, valid: matching("x"), free: true},
		{rule: mask.Rule{Class: mask.Constant, Value: "7"}, column: column(mask.Int, oidInt2), value: number, valid: matching("7"), same: 1},
		{rule: mask.Rule{Class: mask.Constant, Value: "2000-01-01"}, column: column(mask.Moment, oidDate), value: day, valid: matching("2000-01-01"), same: 1},
		{rule: mask.Rule{Class: mask.Redact}, column: text(0), value: word, valid: matching(`\[redacted\]`), free: true},
		{rule: mask.Rule{Class: mask.Redact}, column: text(4), value: number, valid: matching(`\[red`)},
		{rule: mask.Rule{Class: mask.KeepFirst, Keep: 2}, column: text(0), value: word, valid: both(matching(`Wo\*+`), sameLength), free: true},
		{rule: mask.Rule{Class: mask.KeepLast, Keep: 2}, column: text(30), value: func(i int) string { return "Größe" + strconv.Itoa(100+i) }, valid: both(matching(`\*+..`), sameLength)},
		{rule: mask.Rule{Class: mask.KeepFirst, Keep: 9}, column: text(0), value: number, valid: sameLength},
		{rule: mask.Rule{Class: mask.Hash}, column: text(0), unique: mask.Probable, value: word, valid: matching(`[a-z2-7]{24}`), free: true},
		{rule: mask.Rule{Class: mask.Hash}, column: text(10), unique: mask.Probable, value: word, valid: matching(`[a-z2-7]{10}`)},
		{rule: mask.Rule{Class: mask.Hash}, column: column(mask.Text, oidBPChar), unique: mask.Probable, value: func(i int) string { return word(i) + "  " }, valid: matching(`[a-z2-7]{24}`)},
		{rule: mask.Rule{Class: mask.Boolean}, column: column(mask.Bool, oidBool), value: func(i int) string { return "tf"[i%2 : i%2+1] }, valid: matching("f"), same: 1},
		{rule: mask.Rule{Class: mask.EnumClass}, column: labels, unique: mask.Preserved, value: func(i int) string { return labels.Labels[i%4] }, valid: matching("new|paid|sent|gone"), same: 1, free: true},
		{rule: mask.Rule{Class: mask.EnumClass, Values: []string{"a", "b"}}, column: text(1), value: func(i int) string { return "ab"[i%2 : i%2+1] }, valid: matching("a|b"), same: 1},
		{rule: mask.Rule{Class: mask.EnumClass}, column: mask.Column{Name: "c", Kind: mask.Text, OID: oidBPChar, MaxLen: 1, Allowed: []string{"m", "f", "x"}}, unique: mask.Preserved, value: func(i int) string { return "mfx"[i%3 : i%3+1] }, valid: matching("m|f|x"), same: 1},
		{rule: mask.Rule{Class: mask.EnumClass}, column: mask.Column{Name: "c", Kind: mask.Int, OID: oidInt2, Allowed: []string{"10", "20", "30", "40"}}, unique: mask.Preserved, value: func(i int) string { return strconv.Itoa(i%4*10 + 10) }, valid: matching("[1-4]0"), same: 1},
		{rule: mask.Rule{Class: mask.Choice, Values: []string{"red", "blue"}}, column: text(4), value: number, valid: matching("red|blue"), free: true},
		{rule: mask.Rule{Class: mask.Choice, Values: []string{"new", "sent"}}, column: labels, value: func(i int) string { return labels.Labels[i%4] }, valid: matching("new|sent"), same: 1},
		{rule: mask.Rule{Class: mask.Choice, Values: []string{"1.5", "2"}}, column: column(mask.Numeric, oidNumeric), value: number, valid: matching(`1\.5|2`), same: 1},
		{rule: mask.Rule{Class: mask.Choice, Values: []string{"1", "22"}}, column: column(mask.Int, oidInt4), value: number, valid: matching(`1|22`), same: 1},
		{rule: mask.Rule{Class: mask.Choice, Values: []string{"1.5", "-2"}}, column: column(mask.Float, oidFloat8), value: number, valid: matching(`1\.5|-2`), same: 1},
		{rule: mask.Rule{Class: mask.Choice, Values: []string{"t"}}, column: column(mask.Bool, oidBool), value: func(i int) string { return "tf"[i%2 : i%2+1] }, valid: matching("t"), same: 1},
		{rule: mask.Rule{Class: mask.Choice, Values: []string{"2000-01-01", "infinity"}}, column: column(mask.Moment, oidDate), value: day, valid: matching("2000-01-01|infinity"), same: 1},
		{rule: mask.Rule{Class: mask.Choice, Values: []string{"10.0.0.1", "::1"}}, column: column(mask.IP, oidINET), value: func(i int) string { return fmt.Sprintf("10.1.%d.%d", i/250%250, i%250) }, valid: matching(`10\.0\.0\.1|::1`), same: 1},
		{rule: mask.Rule{Class: mask.Choice, Values: []string{"00:00:5e:00:53:01"}}, column: column(mask.MAC, oidMAC), value: func(i int) string { return fmt.Sprintf("aa:bb:cc:dd:%02x:%02x", i/250%250, i%250) }, valid: matching("00:00:5e:00:53:01"), same: 1},
		{rule: mask.Rule{Class: mask.EnumClass}, column: mask.Column{Name: "c", Kind: mask.Numeric, OID: oidNumeric, Allowed: []string{"0.50", "1", "2"}}, unique: mask.Preserved, value: func(i int) string { return []string{"0.50", "1", "2"}[i%3] }, valid: matching(`0\.5|1|2`), same: 1},
		{rule: mask.Rule{Class: mask.BytesClass}, column: column(mask.Bytes, oidBytea), value: func(i int) string { return fmt.Sprintf(`\x%016x%04x`, spread(i), i%65536) }, valid: both(matching(`\\x[0-9a-f]+`), sameLength), free: true},
		{rule: mask.Rule{Class: mask.Template, Value: "u-{hash:12}@x.test"}, column: text(30), unique: mask.Probable, value: word, valid: matching(`u-[a-z2-7]{12}@x\.test`), free: true},
		{rule: mask.Rule{Class: mask.Template, Value: "{first} {last}, {city} {digits:4}", Locale: "it"}, column: text(0), unique: mask.Probable, value: word, valid: matching(`.+ .+, .+ \d{4}`)},
	}
}

func identityCases() []classCase {
	mac := func(i int) string {
		h := fmt.Sprintf("%012x", spread(i)>>16)
		return h[:2] + ":" + h[2:4] + ":" + h[4:6] + ":" + h[6:8] + ":" + h[8:10] + ":" + h[10:]
	}
	v4 := func(i int) string {
		return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()
	}
	v6 := func(i int) string {
		s := spread(i)
		return netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 1, 2, 3, 4, byte(s >> 56), byte(s >> 48), byte(s >> 40), byte(s >> 32), 9, byte(s >> 16), byte(s >> 8), byte(s)}).String()
	}
	address := func(_, out string) error {
		_, err := netip.ParseAddr(out)
		return err
	}
	phone := func(i int) string { return fmt.Sprintf("+49 30 %03d-%05d", i/100000, i%100000) }
	pattern := func(i int) string { return fmt.Sprintf("%c%c %08d%c", 'A'+i%26, 'K', i, 'a'+i/7%26) }
	return []classCase{
		{rule: mask.Rule{Class: mask.UUIDClass}, column: column(mask.UUID, oidUUID), unique: mask.Preserved, value: uuidText, valid: validUUID, free: true},
		{rule: mask.Rule{Class: mask.UUIDClass}, column: text(36), unique: mask.Preserved, value: uuidText, valid: validUUID, free: true},
		{rule: mask.Rule{Class: mask.Integer}, column: column(mask.Int, oidInt4), unique: mask.Preserved, value: number, valid: matching(`\d+`), free: true},
		{rule: mask.Rule{Class: mask.Integer}, column: column(mask.Int, oidInt8), unique: mask.Preserved, value: func(i int) string { return strconv.FormatInt(int64(spread(i)), 10) }, valid: matching(`-?\d+`)},
		{rule: mask.Rule{Class: mask.Integer}, column: column(mask.Int, oidInt2), unique: mask.Preserved, value: func(i int) string { return strconv.Itoa(i%32767 + 1) }, valid: matching(`\d{1,5}`), same: 0.002},
		{rule: mask.Rule{Class: mask.Integer, Max: 50_000_000}, column: column(mask.Int, oidInt4), unique: mask.Preserved, value: number, valid: matching(`\d{1,8}`)},
		{rule: mask.Rule{Class: mask.IPClass}, column: column(mask.IP, oidINET), unique: mask.Preserved, value: v4, valid: address, free: true},
		{rule: mask.Rule{Class: mask.IPClass, Keep: 8}, column: column(mask.IP, oidINET), unique: mask.Preserved, value: v4, valid: both(address, matching(`10\..*`))},
		{rule: mask.Rule{Class: mask.IPClass, Keep: 32}, column: column(mask.IP, oidINET), unique: mask.Preserved, value: v6, valid: both(address, matching(`2001:db8:.*`))},
		{rule: mask.Rule{Class: mask.IPClass}, column: column(mask.IP, oidCIDR), unique: mask.Preserved, value: func(i int) string {
			return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 0}), 24).String()
		}, valid: matching(`.*\.0/24`)},
		{rule: mask.Rule{Class: mask.IPClass}, column: text(0), value: v4, valid: address},
		{rule: mask.Rule{Class: mask.MACClass}, column: column(mask.MAC, oidMAC), unique: mask.Preserved, value: mac, valid: matching(`([0-9a-f]{2}:){5}[0-9a-f]{2}`), free: true},
		{rule: mask.Rule{Class: mask.MACClass}, column: column(mask.MAC, oidMAC8), unique: mask.Preserved, value: func(i int) string { return mac(i) + ":0a:0b" }, valid: matching(`([0-9a-f]{2}:){7}[0-9a-f]{2}`)},
		{rule: mask.Rule{Class: mask.MACClass}, column: text(17), value: func(i int) string { return strings.ToUpper(mac(i)) }, valid: matching(`([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}`)},
		{rule: mask.Rule{Class: mask.IBAN}, column: text(34), unique: mask.Preserved, value: iban, valid: validIBAN, free: true},
		{rule: mask.Rule{Class: mask.Card}, column: text(19), unique: mask.Preserved, value: card, valid: validCard, free: true},
		{rule: mask.Rule{Class: mask.Card, Keep: 4}, column: text(0), unique: mask.Preserved, value: func(i int) string { return fmt.Sprintf("4111 %04d %04d %04d", i/1e8, i/1e4%1e4, i%1e4) }, valid: matching(`4111 \d{4} \d{4} \d{4}`)},
		{rule: mask.Rule{Class: mask.Phone}, column: text(20), unique: mask.Preserved, value: phone, valid: both(matching(`\+49 30 \d{3}-\d{5}`), sameLength), free: true},
		{rule: mask.Rule{Class: mask.NationalID}, column: text(20), unique: mask.Preserved, value: pattern, valid: matching(`[A-Z]{2} \d{8}[a-z]`), free: true},
		{rule: mask.Rule{Class: mask.NationalID}, column: text(11), unique: mask.Preserved, value: func(i int) string { return fmt.Sprintf("%03d-%02d-%04d", 100+i/1000%500, 1+i%97, 1+i%9001) }, valid: matching(`[0-8]\d\d-\d\d-\d{4}`), free: true},
		{rule: mask.Rule{Class: mask.NationalID, Locale: "nl"}, column: column(mask.Int, oidInt8), unique: mask.Preserved, value: func(i int) string { return strconv.Itoa(100_000_000 + i*7) }, valid: matching(`[1-9]\d{8}`), free: true},
		{rule: mask.Rule{Class: mask.NationalID}, column: column(mask.Numeric, oidNumeric), unique: mask.Preserved, value: func(i int) string { return strconv.Itoa(i + 1_000_000) }, valid: matching(`[1-9]\d{6}`)},
		{rule: mask.Rule{Class: mask.NationalID, Locale: "de"}, column: text(0), unique: mask.Preserved, value: func(i int) string { id, _ := mask.SteuerRank(2, uint64(i)*16); return id + "0" }, valid: matching(`\d{11}`), free: true},
		{rule: mask.Rule{Class: mask.NationalID, Locale: "it"}, column: text(16), unique: mask.Preserved, value: func(i int) string { return fmt.Sprintf("RSSMRA85T10%c%03d", 'A'+i/1000%26, i%1000) + "S" }, valid: matching(`[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]`), free: true},
		{rule: mask.Rule{Class: mask.Phone}, column: column(mask.Int, oidInt8), unique: mask.Preserved, value: func(i int) string { return strconv.Itoa(491_700_000_000 + i) }, valid: matching(`49\d{10}`), free: true},
		{rule: mask.Rule{Class: mask.Phone}, column: column(mask.Numeric, oidNumeric), unique: mask.Preserved, value: func(i int) string { return strconv.Itoa(3_000_000 + i) }, valid: matching(`3\d{6}`), same: 0.001},
		{rule: mask.Rule{Class: mask.Card}, column: column(mask.Int, oidInt8), unique: mask.Preserved, value: card, valid: validCard, free: true},
		{rule: mask.Rule{Class: mask.Card}, column: column(mask.Numeric, oidNumeric), unique: mask.Preserved, value: card, valid: validCard},
		{rule: mask.Rule{Class: mask.PostalCode}, column: text(8), unique: mask.Preserved, value: func(i int) string {
			return fmt.Sprintf("%c%d %07d"[:5], 'A'+i%26, i%10) + fmt.Sprintf("%04d", i/26%10000)
		}, valid: sameLength, same: 0.01},
	}
}

func peopleCases(word func(int) string) []classCase {
	email := func(i int) string { return fmt.Sprintf("Jane.Doe+%d@Mail%d.example.net", i, i%100) }
	inList := func(list, locale string) func(in, out string) error {
		lists, _ := mask.Words(locale)
		return func(_, out string) error {
			if !slices.Contains(lists[list], out) {
				return errors.New("it is not in the list")
			}
			return nil
		}
	}
	unique := func(c mask.Column, n int64) mask.Column {
		c.Unique, c.Values = true, n
		return c
	}
	return []classCase{
		{rule: mask.Rule{Class: mask.FirstName}, column: text(0), value: word, valid: inList("first", "en"), free: true},
		{rule: mask.Rule{Class: mask.FirstName, Locale: "de"}, column: text(50), value: word, valid: inList("first", "de"), free: true},
		{rule: mask.Rule{Class: mask.LastName, Locale: "pt"}, column: text(0), value: word, valid: inList("last", "pt"), free: true},
		{rule: mask.Rule{Class: mask.LastName, Locale: "de"}, column: text(3), value: word, valid: matching(".{3}")},
		{rule: mask.Rule{Class: mask.FullName, Locale: "fr"}, column: text(0), value: person, valid: matching(".+ .+"), free: true},
		{rule: mask.Rule{Class: mask.FullName, Locale: "nl"}, column: text(12), value: func(i int) string { return "Lovelace, Ada" + strconv.Itoa(i) }, valid: matching(".{5,12}")},
		{rule: mask.Rule{Class: mask.Username}, column: text(0), unique: mask.Probable, value: word, valid: matching(`[A-Za-z2-7.]+`), free: true},
		{rule: mask.Rule{Class: mask.Username}, column: unique(text(20), 1000), unique: mask.Probable, value: word, valid: matching(`[A-Za-z2-7.]{13,20}`)},
		{rule: mask.Rule{Class: mask.Email}, column: text(0), unique: mask.Probable, value: func(i int) string { return strings.ToLower(email(i)) }, valid: matching(emailPattern), free: true},
		{rule: mask.Rule{Class: mask.Email}, column: unique(text(0), 10_000_000), unique: mask.Probable, value: email, valid: matching(`(?i:` + emailPattern + `)`)},
		{rule: mask.Rule{Class: mask.Email}, column: unique(text(24), 100_000), unique: mask.Probable, value: email, valid: matching(`(?i:` + emailPattern + `)`)},
		{rule: mask.Rule{Class: mask.Email}, column: unique(mask.Column{Name: "c", Kind: mask.Text, OID: 77777, Fold: true}, 0), unique: mask.Probable, value: email, valid: matching(emailPattern)},
		{rule: mask.Rule{Class: mask.Email, KeepDomain: true}, column: text(0), unique: mask.Probable, value: email, valid: matching(`[A-Za-z2-7.]+@Mail\d+\.example\.net`)},
		{rule: mask.Rule{Class: mask.Street}, column: text(0), value: word, valid: matching(`\d+ .+`), free: true},
		{rule: mask.Rule{Class: mask.Street, Locale: "de"}, column: text(25), value: word, valid: matching(`.+ \d+`)},
		{rule: mask.Rule{Class: mask.City, Locale: "es"}, column: text(0), value: word, valid: inList("city", "es"), free: true},
		{rule: mask.Rule{Class: mask.Company, Locale: "de"}, column: text(40), value: word, valid: matching(`.+ .+`), free: true},
		{rule: mask.Rule{Class: mask.URL}, column: text(60), unique: mask.Probable, value: func(i int) string { return "http://shop.example.net/u/" + strconv.Itoa(i) }, valid: matching(`http://example\.com/[a-z2-7]{13}`), free: true},
		{rule: mask.Rule{Class: mask.FreeText}, column: text(0), value: func(i int) string { return fmt.Sprintf("Herr Müller (Nr. %d) called,\ttwice: \"où?\"\n", i) }, valid: both(sameLength, matching(`[A-Z][a-z]{3} [A-Z][a-z]{5} \([A-Z][a-z]\. \d+\) [a-z]{6},\t[a-z]{5}: "[a-z]{2}\?"\n`)), free: true},
	}
}

func numberCases() []classCase {
	micros := func(i int) string { return day(i) + fmt.Sprintf(" 12:34:56.%06d", 1+i%999_999) }
	trimmed := func(i int) string { return strings.TrimRight(micros(i), "0") }
	return []classCase{
		{rule: mask.Rule{Class: mask.Noise}, column: column(mask.Int, oidInt4), value: number, valid: noisy, free: true},
		{rule: mask.Rule{Class: mask.Noise}, column: column(mask.Int, oidInt2), value: func(i int) string { return strconv.Itoa(32767 - i%3000) }, valid: noisy},
		{rule: mask.Rule{Class: mask.Noise}, column: column(mask.Numeric, oidNumeric), value: func(i int) string { return fmt.Sprintf("%d.%02d", i+1, i%99+1) }, valid: noisy, free: true},
		{rule: mask.Rule{Class: mask.Noise}, column: column(mask.Float, oidFloat8), value: func(i int) string { return strconv.FormatFloat(0.001*float64(i+1), 'f', -1, 64) }, valid: noisy},
		{rule: mask.Rule{Class: mask.DateShift}, column: column(mask.Moment, oidDate), value: day, valid: matching(`\d{4}-\d\d-\d\d`), free: true},
		{rule: mask.Rule{Class: mask.DateShift, Days: 10}, column: column(mask.Moment, oidTimestamp), value: trimmed, valid: matching(`\d{4}-\d\d-\d\d 12:34:56\.\d+`)},
		{rule: mask.Rule{Class: mask.DateShift}, column: column(mask.Moment, oidTimestamptz), value: func(i int) string { return trimmed(i) + "+00" }, valid: matching(`\d{4}-\d\d-\d\d 12:34:56\.\d+\+00`)},
		{rule: mask.Rule{Class: mask.DateGeneralise, Unit: "year"}, column: column(mask.Moment, oidDate), value: day, valid: matching(`\d{4}-01-01`), same: 0.01, free: true},
		{rule: mask.Rule{Class: mask.DateGeneralise}, column: column(mask.Moment, oidTimestamp), value: trimmed, valid: matching(`\d{4}-\d\d-01 00:00:00`)},
		{rule: mask.Rule{Class: mask.DateGeneralise, Unit: "decade"}, column: column(mask.Moment, oidTimestamptz), value: func(i int) string { return trimmed(i) + "+00" }, valid: matching(`\d{3}0-01-01 00:00:00\+00`)},
	}
}

func documentCases() []classCase {
	doc := func(i int) string {
		return fmt.Sprintf(`{"name": "Ada %d", "age": %d, "ok": true, "tags": ["a\n%d", null], "who": {"email": "ada%d@example.net", "status": "paid"}, "ada@x.net": 1}`, i, 20+i, i, i)
	}
	paths := []mask.PathRule{{Path: "who.email", Rule: mask.Rule{Class: mask.Email}}, {Path: "**.status", Rule: mask.Rule{Class: mask.Keep}}, {Path: "tags", Rule: mask.Rule{Class: mask.Null}}}
	masked := matching(`\{"name":"[A-Z][a-z]{2} \d+","age":\d+,"ok":false,"tags":null,"who":\{"email":"[a-z2-7.]+@example.com","status":"paid"\},"k_[a-z2-7]{13}":\d\}`)
	array := func(c mask.Column, oid uint32) mask.Column { return mask.Column{Name: "c", Elem: &c, ElemOID: oid} }
	return []classCase{
		{rule: mask.Rule{Class: mask.JSONClass, Paths: paths}, column: column(mask.JSON, oidJSONB), value: doc, valid: masked},
		{rule: mask.Rule{Class: mask.JSONClass, Paths: paths}, column: column(mask.JSON, oidJSON), value: doc, valid: masked},
		{rule: mask.Rule{Class: mask.JSONClass}, column: text(0), value: doc, valid: matching(`\{"name":"[A-Z][a-z]{2} \d+",.*\}`), free: true},
		{rule: mask.Rule{Class: mask.XMLClass}, column: column(mask.XML, oidXML), value: func(i int) string {
			return fmt.Sprintf(`<a xmlns="urn:x" b='Ada &amp; %d'><!-- Bob --><c>Eve%d</c><![CDATA[Joe]]></a>`, i, i)
		}, valid: matching(`<a xmlns="urn:x" b='[A-Z][a-z]{2} &amp; \d+'><c>[A-Z][a-z]{2}\d+</c>[A-Z][a-z]{2}</a>`)},
		{rule: mask.Rule{Class: mask.XMLClass}, column: text(0), value: func(i int) string { return fmt.Sprintf(`<a>Eve%d</a>`, i) }, valid: matching(`<a>[A-Z][a-z]{2}\d+</a>`)},
		{rule: mask.Rule{Class: mask.HStoreClass, Paths: []mask.PathRule{{Path: "mail", Rule: mask.Rule{Class: mask.Email}}}}, column: column(mask.HStore, 88888), value: func(i int) string {
			return fmt.Sprintf(`"b"=>NULL, "mail"=>"a%d@x.net", "note"=>"say \"%d\""`, i, i)
		}, valid: matching(`"b"=>NULL, "mail"=>"[a-z2-7.]+@example.com", "note"=>"[a-z]{3} \\"\d+\\""`)},
		{rule: mask.Rule{Class: mask.NationalID}, column: array(text(9), oidVarchar), unique: mask.Preserved, value: func(i int) string { return fmt.Sprintf(`{"%08d",NULL}`, i) }, valid: matching(`\{"\d{8}",NULL\}`)},
		{rule: mask.Rule{Class: mask.Integer}, column: array(column(mask.Int, oidInt4), oidInt4), unique: mask.Preserved, value: func(i int) string { return fmt.Sprintf(`[0:1]={"%d","%d"}`, i+1, i+2) }, valid: matching(`\[0:1\]=\{"\d+","\d+"\}`)},
	}
}

func (c classCase) name() string {
	kind := c.column.Kind.String()
	if c.column.Elem != nil {
		kind = c.column.Elem.Kind.String() + "[]"
	}
	return fmt.Sprintf("%s/%s/%d/%d", c.rule.Class, kind, c.column.OID, c.column.MaxLen)
}

// long runs the proof of uniqueness over ten million values instead of a
// hundred thousand.
func long() bool { return pgtest.Everything() }

// What a class promises is held by rows of one table: each class has one for
// each kind of values that it takes.
func TestEveryClass(t *testing.T) { //nolint:tparallel // ten million values of one class at a time are enough
	t.Parallel()
	covered := map[mask.Class]mask.Kind{}
	proofs := map[string]bool{}
	for _, c := range classCases() {
		kind := c.column.Kind
		if c.column.Elem == nil {
			covered[c.rule.Class] |= kind
		}
		m, err := mask.New(c.rule, c.column, secret(t))
		if err != nil {
			t.Fatalf("%s: %v", c.name(), err)
		}
		proof := fmt.Sprint(c.rule.Class, kind, c.rule.Locale)
		first := !proofs[proof]
		proofs[proof] = true
		t.Run(c.name(), func(t *testing.T) {
			if !long() {
				t.Parallel()
			}
			if m.Traits().Unique != c.unique {
				t.Errorf("the class is %s", m.Traits().Unique)
			}
			c.holds(t, m)
			c.comesNotThrough(t, m)
			c.staysUnique(t, first)
			c.refusesWhatItMust(t, m)
		})
	}
	for _, class := range mask.Classes() {
		if kinds := mask.KindsOf(class); covered[class]&kinds != kinds && (kinds != ^mask.Kind(0) || covered[class] == 0) {
			t.Errorf("class %s takes %s, and is tested with %s", class, kinds, covered[class])
		}
		if words := class.Describe(); words == "" || len(words) > 90 || strings.ContainsAny(words, "\n|") {
			t.Errorf("class %s is described as %q", class, words)
		}
	}
	if words := mask.Class("no such").Describe(); words != "" {
		t.Errorf("no class is described as %q", words)
	}
}

// row sends one value through a Rewriter.
func row(t *testing.T, c mask.Column, m *mask.Masker, format mask.Format, field []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	r, err := mask.NewRewriter(&out, format, []mask.Field{{Column: c, Masker: m}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = r.Write(stream(format, field)); err == nil {
		err = r.Close()
	}
	if err != nil {
		t.Fatalf("%q: %v", field, err)
	}
	return unstream(format, out.Bytes())
}

// holds sends a few thousand values through both formats.
func (c classCase) holds(t *testing.T, m *mask.Masker) {
	t.Helper()
	const n = 1000
	same := 0
	for i := range n {
		in := c.value(i)
		out := row(t, c.column, m, mask.TextFormat, []byte(in))
		if m.Null() {
			if out != nil {
				t.Fatalf("%q goes to %q", in, out)
			}
			continue
		}
		if c.valid != nil {
			if err := c.valid(in, string(out)); err != nil {
				t.Fatalf("%q goes to %q: %v", in, out, err)
			}
		}
		for _, most := range []int{m.Traits().MaxLen, c.column.MaxLen} {
			if c.column.Kind == mask.Text && most > 0 && utf8.RuneCount(out) > most {
				t.Fatalf("%q goes to %q, which is longer than %d", in, out, most)
			}
		}
		if string(out) == in {
			same++
		}
		if i < 200 {
			c.agrees(t, m, in, out)
		}
	}
	if float64(same) > c.same*n && !m.Null() {
		t.Errorf("%d of %d values came out as they went in", same, n)
	}
	if c.column.Kind == mask.Text && c.rule.Class != mask.Constant && c.rule.Class != mask.Null {
		if out := row(t, c.column, m, mask.TextFormat, []byte{}); out == nil || len(out) > 0 {
			t.Errorf("empty goes to %q", out)
		}
	}
	for _, format := range []mask.Format{mask.TextFormat, mask.BinaryFormat} {
		if out := row(t, c.column, m, format, nil); out != nil {
			t.Errorf("NULL goes to %q", out)
		}
	}
}

// agrees sends the same value through the binary format and compares.
func (c classCase) agrees(t *testing.T, m *mask.Masker, in string, out []byte) {
	t.Helper()
	value := c.column
	if value.Elem != nil {
		return // compared by a real server
	}
	canon, err := value.Decode([]byte(in), mask.TextFormat)
	if err != nil {
		t.Fatal(err)
	}
	field, err := value.Encode(canon, mask.BinaryFormat)
	if err != nil {
		t.Fatal(err)
	}
	other := row(t, c.column, m, mask.BinaryFormat, field)
	want, err := value.Decode(out, mask.TextFormat)
	if err != nil {
		t.Fatalf("%q is not %s", out, value.Kind)
	}
	got, err := value.Decode(other, mask.BinaryFormat)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%q goes to %q in text, and to %q in binary (%v)", in, want, got, err)
	}
	again, err := mask.New(c.rule, c.column, secret(t))
	if err != nil {
		t.Fatal(err)
	}
	twice, err := value.Encode(again.Mask(nil, canon, nil), mask.TextFormat)
	if err != nil || !bytes.Equal(twice, out) {
		t.Fatalf("%q goes to %q, and to %q by another masker (%v)", in, out, twice, err)
	}
}

// staysUnique counts the stand-ins of different values, for a column that is
// unique and has that many of them.
func (c classCase) staysUnique(t *testing.T, first bool) {
	t.Helper()
	n := 5000
	switch {
	case first && long():
		n = 10_000_000
	case first:
		n = 100_000
	}
	col := c.column
	if c.unique == mask.Lossy || col.Elem != nil {
		return
	}
	col.Unique, col.Values = true, int64(n)
	if len(col.Allowed)+len(col.Labels) > 0 || c.rule.Max > 0 || col.OID == oidInt2 {
		col.Values = 2 // not as many as go in
	}
	m, err := mask.New(c.rule, col, secret(t))
	if err != nil {
		if first && col.MaxLen == 0 && c.rule.Class != mask.Template {
			t.Errorf("for %d values: %v", n, err)
		}
		return // it promises nothing
	}
	in, out := make([]uint64, n), make([]uint64, n)
	var made []byte
	for i := range n {
		v, err := c.column.Decode([]byte(c.value(i)), mask.TextFormat)
		if err != nil {
			t.Fatal(err)
		}
		made = m.Mask(made[:0], v, nil)
		in[i], out[i] = fingerprint(v), fingerprint(made)
	}
	if in, out := distinct(in), distinct(out); in != out {
		t.Errorf("%d different values have %d different stand-ins", in, out)
	}
}

func distinct(list []uint64) int {
	slices.Sort(list)
	return len(slices.Compact(list))
}

// comesNotThrough sends values, and their stand-ins again, through a Rewriter,
// which finds that none comes out as it went in but by chance; and finds one
// that a fault lets through.
func (c classCase) comesNotThrough(t *testing.T, m *mask.Masker) {
	t.Helper()
	if c.column.Elem != nil || m.Null() {
		return
	}
	const n = 1000
	var fields [][]byte
	for i := range n {
		in := []byte(c.value(i))
		fields = append(fields, in, row(t, c.column, m, mask.TextFormat, in))
	}
	through := func(m *mask.Masker) *mask.Tally {
		r, err := mask.NewRewriter(io.Discard, mask.TextFormat, []mask.Field{{Column: c.column, Masker: m}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Write(stream(mask.TextFormat, fields...)); err != nil {
			t.Fatal(err)
		}
		return r.Tallies()[0]
	}
	if got := through(m); got.Leaks() || got.Count().Values != 2*n {
		t.Errorf("values come through: %+v", got.Count())
	}
	canary, err := c.column.Decode(fields[n], mask.TextFormat)
	if err != nil {
		t.Fatal(err)
	}
	faulty := through(mask.Leaky(m, func(v []byte) bool { return bytes.Equal(v, canary) }))
	if m.Chance(canary) == 0 && !faulty.Leaks() {
		t.Errorf("%q comes through, and nobody notices: %+v", canary, faulty.Count())
	}
}

// refusesWhatItMust asks for a masker where it could not hold.
func (c classCase) refusesWhatItMust(t *testing.T, m *mask.Masker) {
	t.Helper()
	col := c.column
	col.Unique, col.Values = true, 0
	_, err := mask.New(c.rule, col, secret(t))
	enough := m.Traits().Enough(0) || c.unique == mask.Probable && err == nil // widened
	if refused := err != nil; refused == enough && !m.Null() {
		t.Errorf("on a unique column: %v", err)
	}
	if _, err := mask.New(c.rule, c.column, mask.Secret{}); err == nil {
		t.Error("made without a key")
	}
	col = c.column
	col.NotNull = true
	if _, err := mask.New(c.rule, col, secret(t)); (err != nil) != m.Null() {
		t.Errorf("on a column that takes no NULL: %v", err)
	}
}

func TestNoAllocations(t *testing.T) { //nolint:paralleltest // it counts the allocations of the whole process
	for _, c := range classCases() {
		if !c.free {
			continue
		}
		m, err := mask.New(c.rule, c.column, secret(t))
		if err != nil {
			t.Fatal(err)
		}
		v, err := c.column.Decode([]byte(c.value(1234)), mask.TextFormat)
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(100, func() { dst = m.Mask(dst[:0], v, nil) }); n != 0 {
			t.Errorf("%s: %v allocations a value", c.name(), n)
		}
	}
}

func BenchmarkClass(b *testing.B) {
	for _, c := range classCases() {
		m, err := mask.New(c.rule, c.column, secret(b))
		if err != nil {
			b.Fatal(err)
		}
		if c.column.Elem != nil {
			continue
		}
		var values [64][]byte
		for i := range values {
			if values[i], err = c.column.Decode([]byte(c.value(1000+i)), mask.TextFormat); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(c.name(), func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]byte, 0, 4096)
			for i := 0; b.Loop(); i++ {
				dst = m.Mask(dst[:0], values[i%64], nil)
			}
		})
	}
}

// Nothing that a rule may ask for lets a whole value pass under the name of a
// class that masks.
func TestNothingIsKeptWhole(t *testing.T) {
	t.Parallel()
	m, err := mask.New(mask.Rule{Class: mask.IPClass, Keep: 128}, column(mask.IP, oidINET), secret(t))
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for i := range 200 {
		for _, address := range []string{fmt.Sprintf("10.1.2.%d", i), fmt.Sprintf("2001:db8::%x", i+1)} {
			if string(m.Mask(nil, []byte(address), nil)) == address {
				same++
			}
		}
	}
	if same > 20 { // two in 256 are expected by chance
		t.Errorf("%d of 400 addresses came through", same)
	}
	if _, err := mask.New(mask.Rule{Class: mask.DateGeneralise, Unit: "day"}, column(mask.Moment, oidDate), secret(t)); err == nil {
		t.Error("the day of a date is taken for something else than the date")
	}
}
