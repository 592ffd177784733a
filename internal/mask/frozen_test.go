package mask_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/mask"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The stand-ins of a key never change: developers know their Twin by them, and
// a Twin's next generation must be masked as this one.
func TestStandInsAreFrozen(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, c := range classCases() {
		m, err := mask.New(c.rule, c.column, secret(t))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			fmt.Fprintf(&got, "%s %q %q\n", c.name(), c.value(i), row(t, c.column, m, mask.TextFormat, []byte(c.value(i))))
		}
	}
	const golden = "testdata/frozen.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(want), "\n") {
		if now := strings.Split(got.String(), "\n"); i >= len(now) || now[i] != line {
			t.Fatalf("line %d was %s", i+1, line)
		}
	}
}

// Whatever comes, a masker gives the same twice, stays within its length, and
// does not hand the value on.
func FuzzTextMaskers(f *testing.F) {
	for _, s := range []string{"", " ", "Ada", "ada@example.net", "+49 30 1234", "DE89370400440532013000", "4111111111111111", "<a>", `{"a":1}`, "x\xffy", "Lovelace, ", "12:34"} {
		f.Add(s)
	}
	var maskers []*mask.Masker
	for _, c := range classCases() {
		if c.column.Kind == mask.Text && c.column.Elem == nil && c.rule.Class != mask.Keep {
			m, err := mask.New(c.rule, c.column, secret(f))
			if err != nil {
				f.Fatal(err)
			}
			maskers = append(maskers, m)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, m := range maskers {
			a, b := m.Mask([]byte("before"), []byte(in), nil), m.Mask(nil, []byte(in), nil)
			if string(a) != "before"+string(b) {
				t.Errorf("%s: %q goes to %q and %q", m.Class(), in, a, b)
			}
			if most := max(m.Traits().MaxLen, len([]rune(in))); m.Traits().MaxLen > 0 && len([]rune(string(b))) > most {
				t.Errorf("%s: %q goes to %q, longer than %d", m.Class(), in, b, most)
			}
		}
	})
}

// A document stays one, and none of its texts is left.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{}`, `[1, 2.50, -3e5, "canary", {"canary@": null}]`, `"canary\u0000\ud83d\ude00"`, `{"a": {"b": [true, false]}}`, `tru`, `[[[[`} {
		f.Add(s)
	}
	c := column(mask.JSON, oidJSON)
	m, err := mask.New(mask.Rule{Class: mask.JSONClass, Paths: []mask.PathRule{{Path: "a.**", Rule: mask.Rule{Class: mask.Email}}}}, c, secret(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := m.Mask(nil, []byte(in), nil)
		if json.Valid([]byte(in)) && !json.Valid(out) {
			t.Errorf("%q goes to %q", in, out)
		}
		if bytes.Contains(out, []byte("canary")) && !json.Valid([]byte(in)) {
			t.Errorf("%q goes to %q", in, out)
		}
	})
}

// What a field decodes to encodes to a field that decodes to the same.
func FuzzCodecs(f *testing.F) {
	columns := []mask.Column{
		column(mask.Int, oidInt8), column(mask.Numeric, oidNumeric), column(mask.Float, oidFloat8), column(mask.Bool, oidBool),
		column(mask.UUID, oidUUID), column(mask.Moment, oidDate), column(mask.Moment, oidTimestamptz), column(mask.Bytes, oidBytea),
		column(mask.IP, oidINET), column(mask.MAC, oidMAC), column(mask.HStore, 88888),
	}
	for i, s := range []string{"-12", "-10230.0450", "-0", "t", "00000000-0000-4000-8000-000000000001", "0044-03-15 BC", "2024-02-29 12:34:56.789+05:30", `\x00ff`, "::1/64", "aa:bb:cc:dd:ee:ff", `"a"=>"b", "c"=>NULL`} {
		f.Add(byte(i), []byte(s), false)
	}
	f.Fuzz(func(t *testing.T, which byte, in []byte, isBinary bool) {
		c := columns[int(which)%len(columns)]
		format := mask.TextFormat
		if isBinary {
			format = mask.BinaryFormat
		}
		canon, err := c.Decode(in, format)
		if err != nil {
			return
		}
		for _, f := range []mask.Format{mask.TextFormat, mask.BinaryFormat} {
			field, err := c.Encode(canon, f)
			if err != nil {
				continue
			}
			if again, err := c.Decode(field, f); err == nil && !bytes.Equal(canon, again) && c.Kind != mask.Moment && c.Kind != mask.Numeric {
				t.Errorf("%s %q is %q, and %q again", c.Kind, in, canon, again)
			}
		}
	})
}
