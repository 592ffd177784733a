package mask

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Class names a masker. Names stand in configuration files and are never
// renamed.
type Class string

// The classes.
const (
	Null           Class = "null"            // NULL
	Constant       Class = "constant"        // one value for all
	Redact         Class = "redact"          // [redacted]
	KeepFirst      Class = "keep_first"      // the first characters, then stars
	KeepLast       Class = "keep_last"       // stars, then the last characters
	Hash           Class = "hash"            // letters and digits that say nothing
	UUIDClass      Class = "uuid"            // another uuid of the same version
	Integer        Class = "integer"         // another integer of the range
	Noise          Class = "noise"           // a number not far off
	DateShift      Class = "date_shift"      // moved by some days, the same for one person
	DateGeneralise Class = "date_generalise" // the first day of the month, year, ..
	Boolean        Class = "boolean"         // a coin, the same for one person
	EnumClass      Class = "enum"            // another label
	Choice         Class = "choice"          // one of the values that the rule lists
	FirstName      Class = "first_name"
	LastName       Class = "last_name"
	FullName       Class = "full_name"
	Username       Class = "username"
	Email          Class = "email"
	Phone          Class = "phone" // country, area and length kept
	Street         Class = "street"
	City           Class = "city"
	PostalCode     Class = "postal_code"
	Company        Class = "company"
	URL            Class = "url"
	IPClass        Class = "ip"
	MACClass       Class = "mac"
	IBAN           Class = "iban"        // valid, country kept
	Card           Class = "card"        // valid, issuer kept
	NationalID     Class = "national_id" // digits for digits, letters for letters
	FreeText       Class = "free_text"
	JSONClass      Class = "json"
	XMLClass       Class = "xml"
	HStoreClass    Class = "hstore"
	BytesClass     Class = "bytes"
	Template       Class = "template"
	// Keep passes values on. It stands for what was stated safe inside a
	// document; a column that is safe has no rule at all.
	Keep Class = "keep"
)

// Uniqueness is what a class does to different values.
type Uniqueness uint8

// What a class can do to different values.
const (
	// Lossy may make them one.
	Lossy Uniqueness = iota
	// Probable keeps them apart but for a chance that Traits.Bits tells.
	Probable
	// Preserved keeps them apart: the class is a permutation.
	Preserved
)

// String is the word for it.
func (u Uniqueness) String() string {
	return [...]string{"lossy", "probable", "preserved"}[u]
}

// Traits are what a masker promises.
type Traits struct {
	Unique Uniqueness
	// Bits are those of a Probable one's random part.
	Bits int
	// MaxLen and MinLen are the most and the fewest characters of a stand-in; if
	// both are 0, it has as many as the value. So has one of a value that is not
	// of the class's form.
	MaxLen, MinLen int
	// Charset says in words what a stand-in is made of.
	Charset string
	// Kinds are the kinds of values that it takes.
	Kinds Kind
	// Same is set where a stand-in may by design be the value itself, so that
	// finding it unchanged proves nothing.
	Same bool
	// Chance is that of a value's stand-in being the value itself by accident;
	// what is below 10^-12 is 0. Where it depends on the value, as permutations
	// of text do on its length, this is that of a long one, and Masker.Chance
	// tells it for each.
	Chance float64
	// Entity is set if a stand-in depends on whom the row is about, where a
	// Field says it.
	Entity bool
}

// Enough reports whether n different values stay apart: the chance of any two
// meeting, n^2/2^(bits+1), must be below 1e-9.
func (t Traits) Enough(n int64) bool {
	switch t.Unique {
	case Preserved:
		return true
	case Probable:
		return bitsFor(n) <= t.Bits
	case Lossy:
	}
	return false
}

// unknownValues is how many values a column is taken to have if nobody knows.
const unknownValues = 10_000_000

// bitsFor is how many random bits keep n values apart.
func bitsFor(n int64) int {
	if n <= 0 {
		n = unknownValues
	}
	return int(math.Ceil(2*math.Log2(float64(n)) - 1 + 9*math.Log2(10)))
}

// Rule is what a configuration says of a column.
type Rule struct {
	Class Class
	// Domain is what the values mean; empty is the class's own domain. Equal
	// values of one domain have equal stand-ins wherever they stand. A domain
	// that no other column has breaks the correlation.
	Domain string
	// Value is what a Constant gives, as COPY's text format writes it, or the
	// text of a Template, in which {hash:8}, {digits:4}, {first}, {last} and
	// {city} are filled in.
	Value string
	// Values are what a Choice picks from.
	Values []string
	// Keep is how many characters KeepFirst and KeepLast show, how many bits of
	// its prefix IPClass keeps, how many digits Card does.
	Keep int
	// KeepDomain keeps what follows the @ of an Email.
	KeepDomain bool
	// Locale is the language of words: en, de, es, fr, it, nl or pt; empty is en.
	Locale string
	// Days is the most that a DateShift moves; 0 is 180.
	Days int
	// Percent is the most that Noise changes; 0 is 10.
	Percent int
	// Unit is what DateGeneralise keeps: day, month, quarter, year or decade;
	// empty is month.
	Unit string
	// Max is the largest value of an Integer's range, which begins at 1; 0 is
	// the type's.
	Max int64
	// Paths are rules for parts of a document, the first that matches counts.
	Paths []PathRule
	// Rest is the rule for all other values of a document; nil is free text for
	// text, noise for numbers, and false.
	Rest *Rule
}

// PathRule is a rule for one place in a document. A path is keys with dots
// between them, such as customer.emails.*: a star is any key or index, two are
// any number of them.
type PathRule struct {
	Path string
	Rule Rule
}

// Masker makes stand-ins. It never changes, and any number of goroutines may
// use it at once.
type Masker struct {
	class  Class
	traits Traits
	null   bool
	blank  bool // an empty value has a stand-in too
	mask   func(dst, v, entity []byte) []byte
	chance func(v []byte) float64 // nil: as the traits say
	ways   uint64                 // how many stand-ins there are, if few
	kind   Kind                   // what it was made for
	// With an entity, two values may become one; and the chance may be another.
	entityLossy  bool
	entityChance float64
}

// Class is what the masker was made of.
func (m *Masker) Class() Class { return m.class }

// Traits are what the masker promises for the column that it was made for.
func (m *Masker) Traits() Traits { return m.traits }

// Null reports whether every value becomes NULL.
func (m *Masker) Null() bool { return m.null }

// Chance is that of v's stand-in being v itself by accident: 1 where v has
// nothing that could be masked, or is a stand-in already.
func (m *Masker) Chance(v []byte) float64 {
	switch {
	case m.traits.Same || bare(m.kind, v):
		return 1
	case m.chance != nil:
		return m.chance(v)
	}
	return m.traits.Chance
}

// Mask appends the stand-in of v to dst. Both are in the canonical form of the
// column's kind; v must not lie in dst's unused room. Entity is whom the row is
// about, in canonical form, and nil for most maskers. The stand-in is a
// function of the key, v and entity alone. Empty text stays empty.
func (m *Masker) Mask(dst, v, entity []byte) []byte {
	if m.null || len(v) == 0 && !m.blank {
		return dst
	}
	return m.mask(dst, v, entity)
}

// impossible is a chance that counts as none.
const impossible = 1e-12

// maker builds the masker of one rule.
type maker struct {
	rule   Rule
	col    Column
	secret Secret
	key    Key
	words  *words
	bounds bounds
}

// class is how one class is built.
type class struct {
	kinds  Kind
	domain string // empty: the class's name
	build  func(*maker) (*Masker, error)
	words  string
}

// classes are all of them.
func classes() map[Class]class {
	return map[Class]class{
		Null:           {^Kind(0), "", buildNull, "NULL; nothing is kept"},
		Keep:           {^Kind(0), "", buildKeep, "the value itself"},
		Constant:       {^Kind(0), "", buildConstant, "one value for all; nothing is kept"},
		Redact:         {Text, "", buildRedact, "[redacted]; nothing is kept"},
		KeepFirst:      {Text, "", buildKeepPart, "the first characters, then stars; the length is kept"},
		KeepLast:       {Text, "", buildKeepPart, "stars, then the last characters; the length is kept"},
		Hash:           {Text, "", buildHash, "up to 24 letters and digits that follow from the value"},
		UUIDClass:      {UUID | Text, "", buildUUID, "another uuid; version and variant are kept"},
		Integer:        {Int, "", buildInteger, "another integer of the range; the sign and zero are kept"},
		Noise:          {Int | Numeric | Float, "", buildNoise, "a number at most so many percent off; sign, digits and bounds are kept"},
		DateShift:      {Moment, "", buildDateShift, "a date some days off, by as many for all dates of one person; the time of day is kept"},
		DateGeneralise: {Moment, "", buildGeneralise, "the first day of the month, quarter, year or decade"},
		Boolean:        {Bool, "", buildBoolean, "a coin for each person, or false"},
		EnumClass:      {Enum | Text | Int | Numeric, "", buildEnum, "another label; how often each occurs is kept"},
		Choice:         {Text | Enum | Int | Numeric | Float | Bool | Moment | IP | MAC, "", buildChoice, "one of the values that the rule lists"},
		FirstName:      {Text, "person.first", buildName, "a first name from a list"},
		LastName:       {Text, "person.last", buildName, "a last name from a list"},
		FullName:       {Text, "person", buildFullName, "a first and a last name, the same as in columns of their own; the order is kept"},
		Username:       {Text, "", buildUsername, "a made-up name; upper case counts as it did"},
		Email:          {Text, "", buildEmail, "a made-up address at example.com; the domain is kept on request"},
		Phone:          {Text | Int | Numeric, "", buildPhone, "another number; country, area, length and separators are kept"},
		Street:         {Text, "", buildStreet, "a street from a list and a number"},
		City:           {Text, "", buildCity, "a city from a list, one for all rows of a person"},
		PostalCode:     {Text, "", buildPostalCode, "another code; digits, letters and separators are kept"},
		Company:        {Text, "", buildCompany, "a last name, a trade and a legal form"},
		URL:            {Text, "", buildURL, "a made-up path at example.com; the scheme is kept"},
		IPClass:        {IP | Text, "", buildIP, "another address of the same family; its first bits are kept on request"},
		MACClass:       {MAC | Text, "", buildMAC, "another address; the group bit and the local bit are kept"},
		IBAN:           {Text, "", buildIBAN, "another account with valid check digits; country and length are kept"},
		Card:           {Text | Int | Numeric, "", buildCard, "another number with a valid check digit; issuer and length are kept"},
		NationalID:     {Text | Int | Numeric, "", buildNationalID, "another number of the same form; it stays valid in the countries that are known"},
		FreeText:       {Text, "", buildFreeText, "words of lorem ipsum; length, digits as digits, and punctuation are kept"},
		JSONClass:      {JSON | Text, "", buildJSON, "each value by the rule for its path; structure and keys are kept"},
		XMLClass:       {XML | Text, "", buildXML, "each text and attribute by the rule for its path; structure and names are kept"},
		HStoreClass:    {HStore, "", buildHStore, "each value by the rule for its key; keys are kept"},
		BytesClass:     {Bytes, "", buildBytes, "random bytes; the length is kept"},
		Template:       {Text, "", buildTemplate, "the rule's text with random letters, digits and names filled in"},
	}
}

func classOf(name Class) (class, bool) {
	c, ok := classes()[name]
	return c, ok
}

// Describe says in words what a stand-in looks like and what is kept of the
// value; nothing for a class that there is not.
func (c Class) Describe() string { return classes()[c].words }

// Meaning is the domain of the rule's values: its own, or that of its class.
func (r Rule) Meaning() string {
	if r.Domain != "" {
		return r.Domain
	}
	if c, ok := classOf(r.Class); ok && c.domain != "" {
		return c.domain
	}
	return string(r.Class)
}

// New makes the masker that rule asks for, for a column. It refuses what could
// not hold: a class that does not take the column's kind, one that may make two
// values of a unique column equal, one that does not fit.
func New(rule Rule, col Column, secret Secret) (*Masker, error) {
	v := col.value()
	if secret.IsZero() {
		return nil, v.errorf("there is no masking key")
	}
	c, ok := classOf(rule.Class)
	if !ok {
		return nil, v.errorf("there is no class %q", rule.Class)
	}
	if c.kinds&v.Kind == 0 {
		return nil, v.errorf("class %s takes %s, not %s", rule.Class, c.kinds, v.Kind)
	}
	m := &maker{rule: rule, col: v, secret: secret}
	m.key = secret.Domain(rule.Meaning())
	var err error
	if m.bounds, err = v.bounds(); err != nil {
		return nil, v.errorf("%w", err)
	}
	if m.words, err = wordsOf(rule.Locale); err != nil {
		return nil, v.errorf("%w", err)
	}
	out, err := c.build(m)
	if err != nil {
		return nil, v.errorf("class %s: %w", rule.Class, err)
	}
	out.class, out.kind, out.traits.Kinds = rule.Class, v.Kind, c.kinds
	if out.traits.Chance < impossible {
		out.traits.Chance = 0
	}
	if err := out.check(v); err != nil {
		return nil, err
	}
	return out, nil
}

// Classes lists all classes by name.
func Classes() []Class { return slices.Sorted(maps.Keys(classes())) }

// room is how many characters of text fit, up to most.
func (m *maker) room(most int) int {
	if m.col.MaxLen > 0 {
		return min(m.col.MaxLen, most)
	}
	return most
}

// width is how many characters of base 32 keep the column's values apart: at
// least least, more in a unique column.
func (m *maker) width(least int) int {
	if !m.col.Unique {
		return least
	}
	return min(max(least, 13, (bitsFor(m.col.Values)+4)/5), maxBase32)
}

// values decodes the values that a rule lists into canonical form.
func (m *maker) values(list []string) ([][]byte, error) {
	if len(list) == 0 {
		return nil, errors.New("the rule lists no values")
	}
	var out [][]byte
	for i, text := range list {
		v, err := m.col.decode(nil, []byte(text), TextFormat)
		if err != nil {
			return nil, fmt.Errorf("value %d of the rule is no %s", i+1, m.col.Kind)
		}
		if err := m.col.fits(v); err != nil {
			return nil, fmt.Errorf("value %d of the rule: %w", i+1, err)
		}
		out = append(out, v)
	}
	return out, nil
}
