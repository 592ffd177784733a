package columns_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/bench/columns"
	"github.com/neontwin/neontwin/internal/mask"
)

// least is how many columns a language has in both halves together.
var least = map[string]int{"en": 150, "de": 60, "fr": 60, "es": 60, "pt": 60, "nl": 60, "it": 60}

func halves(t *testing.T) (dev, held []columns.Column) {
	t.Helper()
	dev, err := columns.Dev()
	if err != nil {
		t.Fatal(err)
	}
	held, err = columns.Held()
	if err != nil {
		t.Fatal(err)
	}
	return dev, held
}

func TestCounts(t *testing.T) {
	t.Parallel()
	dev, held := halves(t)
	all := slices.Concat(dev, held)
	if len(all) < 600 {
		t.Errorf("%d columns, want at least 600", len(all))
	}
	count := map[string]int{}
	for _, c := range all {
		count[c.Language]++
	}
	for language, want := range least {
		if count[language] < want {
			t.Errorf("%s: %d columns, want at least %d", language, count[language], want)
		}
	}
	if len(count) != len(least) {
		t.Errorf("languages %v, want %d", count, len(least))
	}
	for name, half := range map[string][]columns.Column{"dev": dev, "held": held} {
		if n := len(half); 100*n < 45*len(all) {
			t.Errorf("%s: %d of %d columns, want about half", name, n, len(all))
		}
		if share := 100 * personal(half) / len(half); share < 40 || share > 50 {
			t.Errorf("%s: %d %% are personal, want 40 to 50", name, share)
		}
		for language := range least {
			part := slices.DeleteFunc(slices.Clone(half), func(c columns.Column) bool { return c.Language != language })
			if p := personal(part); p < 10 || len(part)-p < 10 {
				t.Errorf("%s: %s has %d personal columns of %d, want at least ten of each label", name, language, p, len(part))
			}
		}
	}
}

func personal(cols []columns.Column) int {
	n := 0
	for _, c := range cols {
		if c.Label == columns.Personal {
			n++
		}
	}
	return n
}

func TestNoTableIsInBothHalves(t *testing.T) {
	t.Parallel()
	dev, held := halves(t)
	tables := map[string]bool{}
	for _, c := range dev {
		tables[c.TableKey()] = true
	}
	for _, c := range held {
		if tables[c.TableKey()] {
			t.Errorf("%s is in both halves", c.TableKey())
		}
	}
}

func TestClassesAreOfTheVocabulary(t *testing.T) {
	t.Parallel()
	dev, held := halves(t)
	for _, c := range slices.Concat(dev, held) {
		for _, class := range c.Classes {
			if !slices.Contains(mask.Classes(), mask.Class(class)) {
				t.Errorf("%s: there is no class %q", c.Key(), class)
			}
		}
	}
}

func TestColumnsAreWellFormed(t *testing.T) {
	t.Parallel()
	flags := []string{"pk", "unique", "notnull", "identity", "fk"}
	dev, held := halves(t)
	comments := map[string]string{}
	for _, c := range slices.Concat(dev, held) {
		for _, f := range c.Flags {
			if !slices.Contains(flags, f) {
				t.Errorf("%s: there is no flag %q", c.Key(), f)
			}
		}
		if slices.Contains(c.Flags, "fk") != (c.References != "") {
			t.Errorf("%s: a foreign key names what it references, and nothing else does", c.Key())
		}
		if slices.Contains(c.Flags, "pk") && !slices.Contains(c.Flags, "notnull") {
			t.Errorf("%s: a primary key takes no NULL", c.Key())
		}
		for _, v := range c.Values {
			if c.Labels != nil && !slices.Contains(c.Labels, v) {
				t.Errorf("%s: %q is no label of the enum", c.Key(), v)
			}
		}
		if was, ok := comments[c.TableKey()]; ok && was != c.TableComment {
			t.Errorf("%s: its table has two comments", c.Key())
		}
		comments[c.TableKey()] = c.TableComment
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	const head = `{"set":"dev","language":"en","model":"m","schema":"public","table":"t","column":"c","type":"text"`
	good := head + `,"label":"harmless"}`
	if got, err := columns.Read(strings.NewReader(good), columns.DevSet); err != nil || len(got) != 1 {
		t.Fatalf("read %d columns, %v", len(got), err)
	}
	for name, text := range map[string]string{
		"an unknown field":             head + `,"label":"harmless","labell":1}`,
		"another label":                head + `,"label":"unknown"}`,
		"personal without a class":     head + `,"label":"personal"}`,
		"harmless with a class":        head + `,"label":"harmless","classes":["email"]}`,
		"too many values":              head + `,"label":"harmless","values":["1","2","3","4","5","6","7","8","9"]}`,
		"a column that is there twice": good + good,
		"the other half":               strings.Replace(good, `"dev"`, `"held"`, 1),
		"no type":                      strings.Replace(good, `"type":"text"`, `"type":""`, 1),
		"no JSON":                      good + "x",
	} {
		if _, err := columns.Read(strings.NewReader(text), columns.DevSet); err == nil {
			t.Errorf("%s: read without an error", name)
		}
	}
}
