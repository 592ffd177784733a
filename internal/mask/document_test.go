package mask_test

import (
	"bytes"
	"encoding/xml"
	"regexp"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/mask"
)

const order = `<?xml version="1.0"?>
<order xmlns="urn:x" id="7" by='Ada &amp; Co'>
  <!-- Bob --><?php Joe ?>
  <customer><email> ada@example.net </email><age>41</age><ok>true</ok></customer>
  <item sku="AB-1" note="for Eve"/><item sku="AB-2" note="x"><![CDATA[<Zoe>]]></item>
  <status>paid</status><secret code="Q"><deep>Kim</deep></secret>
</order>`

// The parts of a document follow the rules for their paths.
func TestXMLByPath(t *testing.T) {
	t.Parallel()
	c := column(mask.XML, oidXML)
	m, err := mask.New(mask.Rule{Class: mask.XMLClass, Paths: []mask.PathRule{
		{Path: "order.customer.email", Rule: mask.Rule{Class: mask.Email}},
		{Path: "**.age", Rule: mask.Rule{Class: mask.Integer, Max: 99}},
		{Path: "**.ok", Rule: mask.Rule{Class: mask.Boolean}},
		{Path: "order.item.@sku", Rule: mask.Rule{Class: mask.Keep}},
		{Path: "*.status", Rule: mask.Rule{Class: mask.Keep}},
		{Path: "order.@id", Rule: mask.Rule{Class: mask.Hash}},
		{Path: "order.secret", Rule: mask.Rule{Class: mask.Null}},
	}}, c, secret(t))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^<\?xml version="1.0"\?>
<order xmlns="urn:x" id="[a-z2-7]{24}" by='[A-Z][a-z]{2} &amp; [A-Z][a-z]'>
  
  <customer><email> [a-z2-7.]+@example.com </email><age>\d{1,2}</age><ok>false</ok></customer>
  <item sku="AB-1" note="[a-z]{3} [A-Z][a-z]{2}"/><item sku="AB-2" note="[a-z]">&lt;[A-Z][a-z]{2}&gt;</item>
  <status>paid</status><secret code=""><deep></deep></secret>
</order>$`)
	out := m.Mask(nil, []byte(order), nil)
	if !want.Match(out) {
		t.Errorf("it is %s", out)
	}
	for _, name := range []string{"Ada", "Bob", "Joe", "Eve", "Zoe", "Kim", ">41<", "\"7\""} {
		if bytes.Contains(out, []byte(name)) {
			t.Errorf("%s is left", name)
		}
	}
	if err := xml.Unmarshal(out, new(struct{})); err != nil {
		t.Error(err)
	}
}

// What is no XML is masked whole: nothing of it is left in a document, and in
// text it is text.
func TestNoXML(t *testing.T) {
	t.Parallel()
	rule := mask.Rule{Class: mask.XMLClass, Paths: []mask.PathRule{{Path: "**", Rule: mask.Rule{Class: mask.Keep}}}}
	deep := strings.Repeat("<a>", 70) + "Canary" + strings.Repeat("</a>", 70)
	for _, in := range []string{"<a>Canary", "Canary</a>", "<a>Canary</b>", "<a b=Canary>x</a>", "<a 'Canary'/>", "<a b='Canary/>", "<a><!-- Canary</a>", "<a><![CDATA[Canary</a>", "<a Canary>x</a>", "< Canary>", deep} {
		for kind, c := range map[string]mask.Column{"xml": column(mask.XML, oidXML), "text": text(0)} {
			m, err := mask.New(rule, c, secret(t))
			if err != nil {
				t.Fatal(err)
			}
			out := m.Mask(nil, []byte(in), nil)
			if bytes.Contains(out, []byte("Canary")) || (len(out) == 0) != (kind == "xml") {
				t.Errorf("%s: %q goes to %q", kind, in, out)
			}
		}
	}
}

// A document stays one, and nothing that was not kept is left.
func FuzzXML(f *testing.F) {
	for _, s := range []string{order, "<a/>", "text &#65; &unknown;", "<a b='1' c=\"2\"/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a><b>canary</b></a>", "<"} {
		f.Add(s)
	}
	c := column(mask.XML, oidXML)
	m, err := mask.New(mask.Rule{Class: mask.XMLClass, Paths: []mask.PathRule{{Path: "**.status", Rule: mask.Rule{Class: mask.Username}}}}, c, secret(f))
	if err != nil {
		f.Fatal(err)
	}
	valid := func(b []byte) bool { return xml.Unmarshal(b, new(struct{})) == nil }
	f.Fuzz(func(t *testing.T, in string) {
		out := m.Mask(nil, []byte(in), nil)
		if valid([]byte(in)) && len(out) > 0 && !valid(out) {
			t.Errorf("%q goes to %q", in, out)
		}
		if strings.Contains(in, ">canary<") && bytes.Contains(out, []byte(">canary<")) {
			t.Errorf("%q goes to %q", in, out)
		}
	})
}

// Rows about one person have one city, and the postal codes of one city begin
// alike.
func TestPlacesOfARowAgree(t *testing.T) {
	t.Parallel()
	var masks [2]*mask.Masker
	for i, class := range []mask.Class{mask.City, mask.PostalCode} {
		m, err := mask.New(mask.Rule{Class: class, Locale: "de"}, text(0), secret(t))
		if err != nil {
			t.Fatal(err)
		}
		masks[i] = m
	}
	areas := map[string]string{}
	codes := map[string]bool{}
	for i := range 2000 {
		who := []byte(number(i / 2))
		city := string(masks[0].Mask(nil, []byte(number(i)), who))
		code := string(masks[1].Mask(nil, []byte("10115"), who))
		if again := string(masks[0].Mask(nil, []byte("Bonn"), who)); again != city {
			t.Fatalf("one person lives in %s and %s", city, again)
		}
		if area, known := areas[city]; known && area != code[:2] || len(code) != 5 {
			t.Fatalf("%s has %s and %s", city, area, code)
		}
		areas[city] = code[:2]
		codes[string(masks[1].Mask(nil, []byte(number(10000+i)), who))] = true
	}
	if len(areas) < 30 || len(codes) < 1500 {
		t.Errorf("%d cities and %d codes", len(areas), len(codes))
	}
	id, code := text(0), text(0)
	id.Name, code.Name, code.Unique = "id", "code", true
	_, err := mask.NewRewriter(new(bytes.Buffer), mask.TextFormat, []mask.Field{{Column: id}, {Column: code, Masker: masks[1], By: "id"}})
	if err == nil || !strings.Contains(err.Error(), "may make two values equal") {
		t.Errorf("a unique column: %v", err)
	}
}
