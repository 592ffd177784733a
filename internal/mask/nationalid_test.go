package mask_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/mask"
)

// Numbers that the authorities, or common references, give as examples.
func TestNationalIDsAreKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		locale, scheme string
		valid, not     []string
	}{
		{"en", "ssn", []string{"078-05-1120", "219099999"}, []string{"000-12-3456", "666-12-3456", "912-70-1234", "123-00-4567", "123-45-0000", "123-45-678", "A23-45-6789"}},
		{"de", "steuerID", []string{"86095742719", "47036892816", "65 929 970 489", "57549285017"}, []string{"86095742718", "06095742719", "12345678903", "11145678901"}},
		{"fr", "nir", []string{"255081416802538", "2 55 08 14 168 025 38"}, []string{"255081416802539", "255131416802538", "955081416802538"}},
		{"es", "dni", []string{"12345678Z", "12345678-Z", "X1234567L", "00000000T"}, []string{"12345678A", "X1234567Z", "W1234567L"}},
		{"pt", "nif", []string{"123456789", "501964843"}, []string{"123456788", "023456789"}},
		{"nl", "bsn", []string{"111222333", "123456782"}, []string{"111222334", "000000000"}},
		{"it", "codiceFiscale", []string{"RSSMRA85T10A562S"}, []string{"RSSMRA85T10A562T", "RSSMRA85F10A562S", "RSSMRA85T35A562S"}},
		{"pt", "cpf", []string{"529.982.247-25", "11144477735"}, []string{"529.982.247-24", "11111111111"}},
	} {
		for _, v := range c.valid {
			if got := mask.NationalScheme(c.locale, v); got != c.scheme {
				t.Errorf("%s is %q, want %s", v, got, c.scheme)
			}
		}
		for _, v := range c.not {
			if got := mask.NationalScheme(c.locale, v); got == c.scheme {
				t.Errorf("%s is taken for %s", v, got)
			}
		}
	}
}

// From one valid number follow thousands: each stand-in is valid in the same
// scheme, and all of them differ.
func TestNationalIDsStayValid(t *testing.T) {
	t.Parallel()
	n := 3000
	if long() {
		n = 300_000
	}
	for locale, first := range map[string]string{
		"en": "078-05-1120", "de": "86095742719", "fr": "2 55 08 14 168 025 38", "es": "12345678Z", "pt": "123456789", "nl": "111222333",
		"it": "RSSMRA85T10A562S", "pt cpf": "529.982.247-25", "es nie": "X1234567L", "en none": "AB-123 456 C",
	} {
		locale, _, _ = strings.Cut(locale, " ")
		scheme := mask.NationalScheme(locale, first)
		m, err := mask.New(mask.Rule{Class: mask.NationalID, Locale: locale}, text(0), secret(t))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{first: true}
		v := []byte(first)
		for i := range n {
			v = m.Mask(nil, v, nil)
			if got := mask.NationalScheme(locale, string(v)); got != scheme || len(v) != len(first) {
				t.Fatalf("%s: %s is %q", scheme, v, got)
			}
			if seen[string(v)] {
				if string(v) != first { // a permutation comes round to where it began
					t.Fatalf("%s: %s comes twice", scheme, v)
				}
				t.Logf("%s: a cycle of %d", scheme, i)
				break
			}
			seen[string(v)] = true
		}
	}
}

// All Steuer-IDs of one shape are permuted: rank and its inverse agree.
func TestSteuerIDsAreCounted(t *testing.T) {
	t.Parallel()
	for _, m := range []int{2, 3} {
		size := mask.SteuerIDs(m)
		for n := uint64(0); n < size; n += size/1009 + 1 {
			if id, back := mask.SteuerRank(m, n); back != n {
				t.Fatalf("%d is %s, which is %d", n, id, back)
			}
		}
	}
}

// Digits in columns of numbers stay numbers of as many digits.
func TestDigitsAsNumbers(t *testing.T) {
	t.Parallel()
	int8, int4, numeric := column(mask.Int, oidInt8), column(mask.Int, oidInt4), column(mask.Numeric, oidNumeric)
	bounded := int4
	bounded.Least, bounded.Most = "1000", "2000000"
	for _, class := range []mask.Class{mask.Phone, mask.Card, mask.NationalID} {
		for _, c := range []mask.Column{int8, int4, numeric, bounded} {
			m, err := mask.New(mask.Rule{Class: class}, c, secret(t))
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for i := range 4000 {
				in := fmt.Sprint(1000 + i*499)
				if c.OID == oidInt8 {
					in = fmt.Sprint(4_111_110_000_000_000 + i)
				}
				if i%2 == 1 && c.Least == "" {
					in = "-" + in
				}
				out := string(m.Mask(nil, []byte(in), nil))
				if len(out) != len(in) || out[0] == '0' || (out[0] == '-') != (in[0] == '-') || c.Fits([]byte(out)) != nil || seen[out] {
					t.Fatalf("%s, %s: %s goes to %s", class, c.Kind, in, out)
				}
				seen[out] = true
			}
		}
	}
	narrow := int8
	narrow.Least, narrow.Most = "9999999990", "9999999999"
	if _, err := mask.New(mask.Rule{Class: mask.Phone}, narrow, secret(t)); err == nil || !strings.Contains(err.Error(), "too few numbers") {
		t.Errorf("narrow bounds: %v", err)
	}
}
