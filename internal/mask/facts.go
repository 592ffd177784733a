package mask

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// bounds are what a CHECK says of numbers, in canonical form; nil is none.
type bounds struct{ least, most []byte }

func (b bounds) hold(v []byte) bool {
	return (b.least == nil || compareDecimals(v, b.least) >= 0) && (b.most == nil || compareDecimals(v, b.most) <= 0)
}

// bounds reads the column's bounds, those of its type included.
func (c Column) bounds() (bounds, error) {
	var b bounds
	for _, end := range []struct {
		text string
		to   *[]byte
	}{{c.Least, &b.least}, {c.Most, &b.most}} {
		if end.text == "" {
			continue
		}
		v := trimZeros([]byte(end.text))
		if !decimal(v) || c.Kind == Int && bytes.IndexByte(v, '.') >= 0 {
			return b, fmt.Errorf("bound %s is no %s", end.text, c.Kind)
		}
		*end.to = v
	}
	if c.Kind == Int {
		least, most := c.intRange()
		for _, end := range []struct {
			to    *[]byte
			limit int64
			sign  int
		}{{&b.least, least, -1}, {&b.most, most, 1}} {
			if limit := strconv.AppendInt(nil, end.limit, 10); *end.to == nil || compareDecimals(*end.to, limit) == end.sign {
				*end.to = limit
			}
		}
	}
	if b.least != nil && b.most != nil && compareDecimals(b.least, b.most) > 0 {
		return b, fmt.Errorf("no %s lies between %s and %s", c.Kind, b.least, b.most)
	}
	return b, nil
}

// compareDecimals compares two numbers as their canonical forms are written.
func compareDecimals(a, b []byte) int {
	negative := len(a) > 0 && a[0] == '-'
	if other := len(b) > 0 && b[0] == '-'; negative != other {
		if len(bytes.Trim(a, "-0.")) == 0 && len(bytes.Trim(b, "-0.")) == 0 {
			return 0
		}
		if negative {
			return -1
		}
		return 1
	}
	if negative {
		return compareDecimals(b[1:], a[1:])
	}
	wholeA, restA, _ := bytes.Cut(a, []byte("."))
	wholeB, restB, _ := bytes.Cut(b, []byte("."))
	wholeA, wholeB = bytes.TrimLeft(wholeA, "0"), bytes.TrimLeft(wholeB, "0")
	if len(wholeA) != len(wholeB) {
		return compareInts(len(wholeA), len(wholeB))
	}
	if c := bytes.Compare(wholeA, wholeB); c != 0 {
		return c
	}
	return bytes.Compare(bytes.TrimRight(restA, "0"), bytes.TrimRight(restB, "0"))
}

func compareInts(a, b int) int {
	if a < b {
		return -1
	}
	return 1
}

// fits is an error if the column does not take v, a value in canonical form.
func (c Column) fits(v []byte) error {
	n := utf8.RuneCount(bytes.TrimRight(v, " "))
	switch {
	case c.Kind == Enum && len(c.Labels) > 0 && !slices.Contains(c.Labels, string(v)):
		return errors.New("it is no label of the enum")
	case !c.allows(v):
		return errors.New("the column takes only " + strings.Join(c.Allowed, ", "))
	case c.Kind == Text && c.MaxLen > 0 && n > c.MaxLen:
		return fmt.Errorf("it has %d characters, and the column takes %d", n, c.MaxLen)
	case c.Kind == Text && n < c.MinLen:
		return fmt.Errorf("it has %d characters, and the column takes no fewer than %d", n, c.MinLen)
	case c.Kind&(Int|Numeric|Float) == 0 || special(v):
		return nil
	}
	b, err := c.bounds()
	if err != nil {
		return err
	}
	if !b.hold(v) {
		return errors.New("it lies outside what the column takes")
	}
	whole, fraction, _ := bytes.Cut(bytes.TrimLeft(v, "-0"), []byte("."))
	if c.Kind == Numeric && c.Precision > 0 && (len(whole) > c.Precision-c.Scale || len(fraction) > max(c.Scale, 0)) {
		return fmt.Errorf("it does not fit into numeric(%d,%d)", c.Precision, c.Scale)
	}
	return nil
}

// allows reports whether v is one of the values that the column takes, if it
// takes only some.
func (c Column) allows(v []byte) bool {
	return len(c.Allowed) == 0 || slices.ContainsFunc(c.Allowed, func(text string) bool {
		a, err := c.decode(nil, []byte(text), TextFormat)
		return err == nil && bytes.Equal(a, v)
	})
}

// listed are the classes that give no value of their own making.
var listed = []Class{Null, Keep, Constant, EnumClass, Choice}

// check holds a masker against its column.
func (m *Masker) check(col Column) error {
	t := m.traits
	switch {
	case m.null && col.NotNull:
		return col.errorf("class %s gives NULL, and the column takes none", m.class)
	case len(col.Allowed) > 0 && !slices.Contains(listed, m.class):
		return col.errorf("class %s makes values of its own, and the column takes only %s: enum permutes these", m.class, strings.Join(col.Allowed, ", "))
	case col.Unique && (m.class == Keep || m.null):
	case col.Unique && t.Unique == Lossy:
		return col.errorf("class %s may make two values equal, and the column is unique", m.class)
	case col.Unique && !t.Enough(col.Values):
		return col.errorf("class %s has %d random bits here, and that many values need %d", m.class, t.Bits, bitsFor(col.Values))
	case col.Unique && m.ways > 0 && uint64(max(col.Values, 0)) > m.ways:
		return col.errorf("class %s has %d stand-ins here, and the column is unique and has about %d values", m.class, m.ways, col.Values)
	}
	switch {
	case col.Kind != Text:
	case col.MaxLen > 0 && t.MaxLen > col.MaxLen:
		return col.errorf("class %s gives up to %d characters, and the column takes %d", m.class, t.MaxLen, col.MaxLen)
	case (t.MaxLen > 0 || t.MinLen > 0) && t.MinLen < col.MinLen:
		return col.errorf("class %s gives %d characters or more, and the column takes no fewer than %d", m.class, t.MinLen, col.MinLen)
	}
	return nil
}
