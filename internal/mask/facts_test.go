package mask_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/mask"
)

func TestDecimalsAreCompared(t *testing.T) {
	t.Parallel()
	order := []string{"-100", "-99.5", "-9", "-0.001", "0", "0.00009", "0.5", "0.51", "9", "10", "10.01", "99999999999999999999"}
	for i, a := range order {
		for j, b := range order {
			if got := mask.CompareDecimals(a, b); got != min(max(i-j, -1), 1) {
				t.Errorf("%s to %s is %d", a, b, got)
			}
		}
	}
	if mask.CompareDecimals("-0", "0.0") != 0 || mask.CompareDecimals("007.50", "7.5") != 0 {
		t.Error("equal numbers differ")
	}
}

// rulesFor are rules of every class, such as a person would write.
func rulesFor(class mask.Class, r *rand.Rand) mask.Rule {
	rule := mask.Rule{Class: class, Locale: []string{"", "de", "en", "es", "fr", "it", "nl", "pt"}[r.IntN(8)]}
	switch class { //nolint:exhaustive // the others need nothing
	case mask.KeepFirst, mask.KeepLast:
		rule.Keep = 1 + r.IntN(4)
	case mask.Constant:
		rule.Value = strings.Repeat("7", 1+r.IntN(4))
	case mask.Choice, mask.EnumClass:
		if r.IntN(2) == 0 || class == mask.Choice {
			rule.Values = []string{"1", "22", "333"}[r.IntN(2):]
		}
	case mask.Template:
		rule.Value = []string{"u{hash:12}", "{first} {last}", "{digits:3}", "x-{city}"}[r.IntN(4)]
	case mask.Integer:
		rule.Max = int64(r.IntN(2)) * 20_000
	case mask.Noise:
		rule.Percent = r.IntN(91)
	case mask.Email:
		rule.KeepDomain = r.IntN(4) == 0
	default:
	}
	return rule
}

// columnFor is a column with facts of all sorts.
func columnFor(r *rand.Rand) mask.Column {
	chance := func(n int) bool { return r.IntN(n) == 0 }
	number := func(n int) string { return strconv.Itoa(r.IntN(2*n) - n) }
	bounded := func(c mask.Column, n int) mask.Column {
		if chance(2) {
			c.Least = number(n)
		}
		if chance(2) {
			c.Most = number(n)
		}
		if chance(6) {
			c.Allowed = []string{"1", "22", "333"}
		}
		return c
	}
	switch r.IntN(4) {
	case 0:
		return bounded(column(mask.Int, []uint32{oidInt2, oidInt4, oidInt8}[r.IntN(3)]), 30_000)
	case 1:
		c := bounded(column(mask.Numeric, oidNumeric), 500)
		if chance(2) {
			c.Precision = 1 + r.IntN(6)
			c.Scale = r.IntN(c.Precision+3) - 2
		}
		return c
	case 2:
		return bounded(column(mask.Float, oidFloat8), 500)
	}
	c := text(r.IntN(3) * r.IntN(30))
	if chance(2) {
		c.MinLen = r.IntN(14)
	}
	if chance(6) {
		c.Allowed = []string{"1", "22", "333"}
	}
	if chance(4) {
		c.OID = oidBPChar
	}
	return c
}

// valueFor is a value of any form, for the column of its kind.
func valueFor(c mask.Column, r *rand.Rand) string {
	if len(c.Allowed) > 0 {
		return c.Allowed[r.IntN(len(c.Allowed))]
	}
	sign := []string{"", "", "-"}[r.IntN(3)]
	switch c.Kind { //nolint:exhaustive // all others are text
	case mask.Int:
		for _, bound := range []string{c.Least, c.Most} {
			if bound != "" && r.IntN(6) == 0 {
				return bound
			}
		}
		return sign + strconv.Itoa(r.IntN([]int{10, 100, 33_000, 1 << 31}[r.IntN(4)]))
	case mask.Numeric, mask.Float:
		for _, bound := range []string{c.Least, c.Most} {
			if bound != "" && r.IntN(6) == 0 {
				return bound
			}
		}
		return sign + strconv.FormatFloat(float64(r.IntN(1_000_000)), 'f', -1, 64) + []string{"", "", ".5", ".125"}[r.IntN(4)]
	default:
	}
	switch r.IntN(9) {
	case 0:
		return "Ada Lovelace"[:1+r.IntN(12)]
	case 1:
		return fmt.Sprintf("ada%d@example.net", r.IntN(100))
	case 2:
		return fmt.Sprintf("+49 30 %d", r.IntN(1e9))
	case 3:
		return fmt.Sprintf("10.%d.%d.1", r.IntN(256), r.IntN(256))
	case 4:
		return "DE89370400440532013000"
	case 5:
		return fmt.Sprintf("2001:db8::%x", r.IntN(1<<16))
	case 6:
		return "Zoë Weiß, 田中 12"
	case 7:
		return fmt.Sprintf("https://example.net/%d", r.IntN(1000))
	}
	return strconv.Itoa(r.IntN(1e9))
}

// Whatever a column demands, a masker either holds it for every value that
// holds it too, or is refused.
func TestStandInsFit(t *testing.T) {
	t.Parallel()
	made := map[mask.Class]int{}
	r := rand.New(rand.NewPCG(7, 11))
	for range 20_000 {
		classes := mask.Classes()
		c := columnFor(r)
		rule := rulesFor(classes[r.IntN(len(classes))], r)
		m, err := mask.New(rule, c, secret(t))
		if err != nil {
			continue
		}
		for range 20 {
			v, err := c.Decode([]byte(valueFor(c, r)), mask.TextFormat)
			if err != nil || c.Fits(v) != nil || len(v) == 0 {
				continue
			}
			made[rule.Class]++
			out := m.Mask(nil, v, nil)
			if err := c.Fits(out); err != nil && !m.Null() {
				t.Fatalf("%+v for %+v: %q goes to %q: %v", rule, c, v, out, err)
			}
			if string(out) == string(v) && m.Chance(v) == 0 {
				t.Errorf("%+v for %+v: %q stays, which has no chance", rule, c, v)
			}
		}
	}
	for _, class := range mask.Classes() {
		m, err := mask.New(mask.Rule{Class: class, Keep: 2, Value: "x{hash}", Values: []string{"a", "b"}}, text(0), secret(t))
		if err == nil && m != nil && made[class] < 20 {
			t.Errorf("class %s: %d stand-ins are too few", class, made[class])
		}
	}
}

// What can't be held is refused, and the error says why.
func TestColumnsThatRefuse(t *testing.T) {
	t.Parallel()
	with := func(c mask.Column, change func(*mask.Column)) mask.Column {
		change(&c)
		return c
	}
	listed := with(text(0), func(c *mask.Column) { c.Allowed = []string{"a", "b"} })
	int4 := column(mask.Int, oidInt4)
	price := with(column(mask.Numeric, oidNumeric), func(c *mask.Column) { c.Precision, c.Scale = 5, 2 })
	unique := func(c mask.Column, n int64) mask.Column { c.Unique, c.Values = true, n; return c }
	for _, c := range []struct {
		rule   mask.Rule
		column mask.Column
		why    string // empty: it is made
	}{
		{mask.Rule{Class: mask.Hash}, listed, "takes only a, b"},
		{mask.Rule{Class: mask.EnumClass}, listed, ""},
		{mask.Rule{Class: mask.EnumClass}, unique(listed, 2), ""},
		{mask.Rule{Class: mask.EnumClass}, unique(listed, 3), "2 stand-ins"},
		{mask.Rule{Class: mask.EnumClass, Values: []string{"a", "b"}}, unique(text(0), 2), "may make two values equal"},
		{mask.Rule{Class: mask.EnumClass, Values: []string{"a", "c"}}, listed, "value 2 of the rule: the column takes only a, b"},
		{mask.Rule{Class: mask.Choice, Values: []string{"a", "c"}}, listed, "takes only a, b"},
		{mask.Rule{Class: mask.Constant, Value: "b"}, listed, ""},
		{mask.Rule{Class: mask.Constant, Value: "123.45"}, price, ""},
		{mask.Rule{Class: mask.Constant, Value: "1234.5"}, price, "numeric(5,2)"},
		{mask.Rule{Class: mask.Constant, Value: "1.234"}, price, "numeric(5,2)"},
		{mask.Rule{Class: mask.Constant, Value: "5"}, with(int4, func(c *mask.Column) { c.Least = "6" }), "outside"},
		{mask.Rule{Class: mask.Integer}, with(int4, func(c *mask.Column) { c.Least, c.Most = "6", "5" }), "no integer lies between"},
		{mask.Rule{Class: mask.Integer}, with(int4, func(c *mask.Column) { c.Least = "x" }), "bound x is no integer"},
		{mask.Rule{Class: mask.Integer}, unique(with(int4, func(c *mask.Column) { c.Least, c.Most = "10000", "99999" }), 90_000), ""},
		{mask.Rule{Class: mask.Integer}, unique(with(int4, func(c *mask.Column) { c.Least, c.Most = "10000", "99999" }), 90_001), "90000 stand-ins"},
		{mask.Rule{Class: mask.Integer, Max: 1000}, unique(int4, 1000), ""},
		{mask.Rule{Class: mask.Integer, Max: 1000}, unique(int4, 1001), "1000 stand-ins"},
		{mask.Rule{Class: mask.Integer}, unique(column(mask.Int, oidInt2), 70_000), "stand-ins"},
		{mask.Rule{Class: mask.Hash}, unique(text(8), 1000), "random bits"},
		{mask.Rule{Class: mask.Hash}, with(text(0), func(c *mask.Column) { c.MinLen = 30 }), "no fewer than 30"},
		{mask.Rule{Class: mask.FirstName}, with(text(0), func(c *mask.Column) { c.MinLen = 6 }), ""},
		{mask.Rule{Class: mask.FirstName}, with(text(0), func(c *mask.Column) { c.MinLen = 60 }), "no fewer than 60"},
		{mask.Rule{Class: mask.JSONClass}, text(100), "longer or shorter"},
	} {
		_, err := mask.New(c.rule, c.column, secret(t))
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%+v for %+v: %v, want %q", c.rule, c.column, err, c.why)
		}
	}
}
