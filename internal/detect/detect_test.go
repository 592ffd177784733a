package detect

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/mask"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"first_name": "first name", "firstName": "first name", "FIRSTNAME": "firstname", "IPAddress": "ip address", "userEmailID": "user email id",
		"address_line2": "address line", "Straße": "strasse", "prénom": "prenom", "telefonnummer": "telefonnummer", "Kundennachname": "kunden nachname",
		"customers": "customer", "Bestellungen": "bestellung", "transacoes": "transacoes", "dataDiNascita": "data di nascita", "": "", "123": "", "tbl_kd_nr": "tbl kd nr",
	} {
		got := strings.Join(tokens(name), " ")
		if name == "Kundennachname" {
			want = strings.Join([]string{tokens("Kunden")[0], "nachname"}, " ")
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		column Column
		values []string
		want   mask.Class
		rule   Harmless
	}{
		{"a name says it", Column{Table: "t", Name: "email_address", Kind: mask.Text}, nil, mask.Email, ""},
		{"values say it", Column{Table: "t", Name: "x", Kind: mask.Text}, []string{"a.b@post.example", "c@post.example"}, mask.Email, ""},
		{"values deny it", Column{Table: "t", Name: "email", Kind: mask.Text}, []string{"none", "newsletter", "all"}, "", ""},
		{"offices are nobody", Column{Table: "t", Name: "x", Kind: mask.Text}, []string{"info@post.example", "sales@post.example"}, "", ""},
		{"a flag about it", Column{Table: "users", Name: "email_verified", Kind: mask.Bool}, nil, "", Boolean},
		{"a key about it", Column{Table: "users", Name: "email_template_id", Kind: mask.Int}, nil, "", SurrogateKey},
		{"a count of it", Column{Table: "users", Name: "phone_count", Kind: mask.Int}, nil, "", Counter},
		{"a model of it", Column{Table: "users", Name: "phone_model", Kind: mask.Text}, nil, "", ""},
		{"a count of towns", Column{Table: "users", Name: "city_count", Kind: mask.Int}, nil, "", Counter},
		{"when", Column{Table: "users", Name: "email_confirmed_at", Kind: mask.Moment}, nil, "", RowTimestamp},
		{"a person's name", Column{Table: "customers", Name: "name", Kind: mask.Text}, nil, mask.FullName, ""},
		{"a thing's name", Column{Table: "products", Name: "name", Kind: mask.Text}, nil, "", ""},
		{"a name beside a person", Column{Table: "orders", Name: "customer_name", Kind: mask.Text}, nil, mask.FullName, ""},
		{"an address", Column{Table: "t", Name: "source", Kind: mask.IP}, nil, "", ""},
		{"an address by name", Column{Table: "logins", Name: "remote_addr", Kind: mask.IP}, nil, mask.IPClass, ""},
		{"a birth", Column{Table: "patienten", Name: "geburtsdatum", Kind: mask.Moment}, nil, mask.DateShift, ""},
		{"an enum", Column{Table: "orders", Name: "status", Kind: mask.Enum, Labels: []string{"a", "b"}}, nil, "", Enum},
		{"an intimate enum", Column{Table: "users", Name: "gender", Kind: mask.Enum, Labels: []string{"f", "m"}}, nil, mask.EnumClass, ""},
		{"a code", Column{Table: "orders", Name: "currency", Kind: mask.Text}, []string{"EUR", "USD", "EUR", "EUR"}, "", Code},
		{"a number of a person", Column{Table: "t", Name: "x", Kind: mask.Text}, []string{"12345678Z", "87654321X"}, mask.NationalID, ""},
		{"a card in a bigint", Column{Table: "t", Name: "x", Kind: mask.Int}, []string{"4242424242424242", "5555555555554444"}, mask.Integer, ""},
		{"a reference to a person is no number of his", Column{Table: "notes", Name: "person", Kind: mask.Int, Refers: true}, []string{"1", "2"}, "", ""},
		{"truncated", Column{Table: "PATIENT", Name: "COGNOM", Kind: mask.Text}, nil, mask.LastName, ""},
		{"a password", Column{Table: "x", Name: "passwort_hash", Kind: mask.Text}, nil, mask.Hash, ""},
		{"inside a document", Column{Table: "events", Name: "payload", Kind: mask.JSON}, []string{`{"user":{"email":"a@post.example"},"n":1}`}, mask.JSONClass, ""},
		{"inside a cut document", Column{Table: "events", Name: "payload", Kind: mask.JSON}, []string{`{"a":[{"mail":"a@post.example"},{"ma`}, mask.JSONClass, ""},
		{"inside xml", Column{Table: "events", Name: "payload", Kind: mask.XML}, []string{`<r><user email="a@post.example"/></r>`}, mask.XMLClass, ""},
		{"a document of things", Column{Table: "products", Name: "options", Kind: mask.JSON}, []string{`{"color":"red","sizes":[1,2]}`}, "", ""},
		{"another type", Column{Table: "t", Name: "x", Kind: mask.Other}, []string{"(1,2)"}, "", ""},
	} {
		got := Look(c.column, c.values)
		if got.Class != c.want || got.Harmless != c.rule || got.Personal != (c.want != "") {
			t.Errorf("%s: got %+v, want %q %q", c.name, got, c.want, c.rule)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]mask.Class{
		"jo@post.example": mask.Email, "%@post.example": "", "jo@post": "", "j@o@x.example": "",
		"DE89 3704 0044 0532 0130 00": mask.IBAN, "DE89 3704 0044 0532 0130 01": "",
		"4242 4242 4242 4242": mask.Card, "4242424242424241": "", "378282246310005": mask.Card,
		"+49 30 901820": mask.Phone, "030/901820": mask.Phone, "06 12 34 56 78": mask.Phone, "(406) 555-0123": mask.Phone, "+999 123456789": "", "2024-01-02": "", "12.5": "",
		"192.0.2.1": mask.IPClass, "2001:db8::1": mask.IPClass, "10:20": "", "192.0.2.0/24": mask.IPClass, "::": "",
		"02:00:5e:10:00:01": mask.MACClass, "02-00-5E-10-00-01": mask.MACClass,
		"123-45-6789": mask.NationalID, "000-45-6789": "", "12345678Z": mask.NationalID, "12345678A": "", "X1234567L": mask.NationalID,
		"RSSMRA85T10A562S": mask.NationalID, "RSSMRA85T10A562T": "", "111.444.777-35": mask.NationalID, "111.444.777-36": "", "AB 12 34 56 C": mask.NationalID,
		"2 69 05 49 588 157 80": mask.NationalID, "756.9217.0769.85": mask.NationalID,
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl": mask.Hash, "$2b$12$abcdefghijklmnopqrstuv": mask.Hash, "AKIAIOSFODNN7EXAMPLE": mask.Hash,
		"hello": "", "": "", " ": "", "1.2.3": "", "00000000000000": "",
	} {
		if got, _ := Values([]string{value}); got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
	if got, n := Values([]string{"jo@post.example", "x", "al@post.example", "192.0.2.1"}); got != mask.Email || n != 2 {
		t.Errorf("got %s, %d", got, n)
	}
	for value, want := range map[string]bool{"86095742719": true, "86095742718": false, "111222333": true, "12345678909": true, "9434765919": true, "1": false} {
		if isNumberByChance(value) != want {
			t.Errorf("%s: got %v", value, !want)
		}
	}
}

func TestLiterals(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][]mask.Class{
		`CHECK (email ~* '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$')`: nil,
		`'jo@post.example'::text`:                                   {mask.Email},
		`E'it''s \'jo@post.example\''`:                              {mask.Email},
		`status = ANY (ARRAY['open'::text, 'closed'::text])`:        nil,
		`FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')`:          nil,
		`nextval('public.users_id_seq'::regclass)`:                  nil,
		`(id = 4242424242424242)`:                                   nil,
		`card <> '4242 4242 4242 4242'`:                             {mask.Card},
		`-- jo@post.example` + "\nSELECT 1":                         nil,
		`SELECT "jo@post.example"`:                                  nil,
		`$body$ BEGIN -- ask jo@post.example` + "\n" + `END $body$`: {mask.Email},
		`$$SELECT 'call +49 30 901820 now'$$`:                       {mask.Phone},
		`'0.0.0.0'`:                                                 nil,
		`'255.255.255.0'`:                                           nil,
		`'192.0.2.77'`:                                              {mask.IPClass},
		`'info@post.example'`:                                       nil,
		`to_char(now(), 'YYYY-MM-DD HH24:MI:SS')`:                   nil,
		`'00000000-0000-0000-0000-000000000000'::uuid`:              nil,
		`'{"a": "jo@post.example", "b": "DE89370400440532013000"}'`: {mask.Email, mask.IBAN},
		`'unterminated jo@post.example`:                             {mask.Email},
		`$1 $2`:                                                     nil, ``: nil, `'`: nil, `$$`: nil, `E'\`: nil,
	} {
		if diff := cmp.Diff(want, Literals(sql)); diff != "" {
			t.Errorf("%s: %s", sql, diff)
		}
	}
}

// A table of people is known by what stands in it.
func TestTable(t *testing.T) {
	t.Parallel()
	text := func(names ...string) (out []Column) {
		for _, n := range names {
			out = append(out, Column{Schema: "s", Table: "T0017", Name: n, Kind: mask.Text})
		}
		return out
	}
	got := Table(text("nom", "prenom", "date_naissance", "titre"), make([][]string, 4))
	if got[0].Class != mask.LastName || got[1].Class != mask.FirstName || !got[2].Personal || !got[3].Personal {
		t.Errorf("got %+v", got)
	}
	if got := Table(text("nom", "titre"), make([][]string, 2)); got[0].Personal || got[1].Personal {
		t.Errorf("a table of unknown things: got %+v", got)
	}
	if got := Table(nil, nil); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// Every topic of the words has its masker, and every class takes the kind.
func TestWords(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(wordsText) {
		if line[0] != '[' {
			continue
		}
		head := strings.Fields(strings.Trim(line, "[]\n"))
		_, known := topics[topic(head[0])]
		if !known && !slices.Contains([]string{"people", "adjacent", "written", "things", "turning", "filler", "reference", "care", "number", "intimate", "version", "counter", "moment", "noted", "code", "issuing", "flag", "expiry"}, head[0]) {
			t.Errorf("there is no topic %s", head[0])
		}
		if _, ok := scopes[head[len(head)-1]]; known && (len(head) != 2 || !ok) {
			t.Errorf("topic %s has no scope", head[0])
		}
	}
	classes := mask.Classes()
	for name, s := range topics {
		for _, f := range s.fits {
			if !slices.Contains(classes, f.class) {
				t.Errorf("topic %s: there is no class %s", name, f.class)
			}
		}
	}
}

func FuzzLook(f *testing.F) {
	f.Add("kunden", "E-Mail", uint16(mask.Text), "jo@post.example", `{"a":["b"]}`)
	f.Add("t\xff", "ÄÖ𝒳", uint16(mask.JSON), `{"a":{"b":`, `<a b="c">`)
	f.Add("", "", uint16(mask.HStore), `"a"=>"b", c=>NULL`, `"\`)
	f.Fuzz(func(t *testing.T, table, name string, kind uint16, a, b string) {
		values := []string{a, b}
		for _, finding := range append(Table([]Column{{Schema: table, Table: table, Name: name, Kind: mask.Kind(kind)}}, [][]string{values}),
			Look(Column{Table: table, Name: name, Kind: 1 << (kind % 15), Primary: kind&1 == 0}, values)) {
			if finding.Personal != (finding.Class != "") || finding.Personal && finding.Harmless != "" || finding.Confidence < 0 || finding.Confidence > 1 {
				t.Errorf("%+v", finding)
			}
			if len(a) > 20 && strings.Contains(finding.Reason, a) {
				t.Errorf("a value is in the reason %q", finding.Reason)
			}
		}
		if class, n := Values(values); n > 2 || (n == 0) != (class == "") {
			t.Errorf("%s, %d", class, n)
		}
		_ = Literals(a)
		_ = Literals("'" + a + "' $x$" + b)
	})
}
