package mask_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/neontwin/neontwin/internal/mask"
)

func TestDistinctValuesAreCounted(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 300, 640, 641, 700, 1000, 5000, 20_000, 60_000, 300_000} {
		for _, parts := range []int{1, 3} {
			got := mask.Distinct(n, parts)
			if off := math.Abs(float64(got - int64(n))); n <= 640 && off > 0 || off > 0.04*float64(n) {
				t.Errorf("%d values in %d parts are counted as %d", n, parts, got)
			}
		}
	}
}

func TestTailOfBinomial(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, k int64
		p    float64
		want float64
	}{
		{10, 0, 0.5, 1},
		{10, 10, 0.5, 1.0 / 1024},
		{10, 9, 0.5, 11.0 / 1024},
		{10, 1, 0, 0},
		{10, 11, 0.1, 0},
		{1_000_000, 1, 1e-9, 1e-3},
		{5, 5, 1, 1},
		{100, 1, 0.5, 1},
		{1000, 5, 0.001, 0.00363688},
	} {
		if got := mask.Tail(c.n, c.k, c.p); math.Abs(got-c.want) > 1e-3*c.want {
			t.Errorf("%d of %d at %v: %v, want %v", c.k, c.n, c.p, got, c.want)
		}
	}
}

// tally sends values through a Rewriter, in as many parts as are asked for.
func tally(t *testing.T, c mask.Column, m *mask.Masker, n, parts int, value func(int) string) *mask.Tally {
	t.Helper()
	var whole mask.Tally
	for p := range parts {
		r, err := mask.NewRewriter(io.Discard, mask.TextFormat, []mask.Field{{Column: c, Masker: m}})
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if i%parts != p {
				continue
			}
			if _, err := r.Write(stream(mask.TextFormat, []byte(value(i)))); err != nil {
				t.Fatal(err)
			}
		}
		whole.Merge(r.Tallies()[0])
	}
	return &whole
}

func TestLeaks(t *testing.T) {
	t.Parallel()
	first := func(i int) string {
		lists, _ := mask.Words("en")
		return lists["first"][i%len(lists["first"])]
	}
	digits := func(width int) func(i int) string {
		return func(i int) string { return fmt.Sprintf("%0*d", width, i) }
	}
	int4, int2 := column(mask.Int, oidInt4), column(mask.Int, oidInt2)
	ids := mask.Rule{Class: mask.NationalID}
	for _, c := range []struct {
		name   string
		rule   mask.Rule
		column mask.Column
		n      int
		value  func(i int) string
		faulty []string // values that come through by a fault
		same   int64
		leaks  bool
	}{
		{"names", mask.Rule{Class: mask.FirstName}, text(0), 100, first, nil, 0, false},
		{"one name", mask.Rule{Class: mask.FirstName}, text(0), 100, first, []string{first(7)}, 1, true},
		{"one name, many times", mask.Rule{Class: mask.FirstName}, text(0), 5000, first, []string{first(7)}, 1, true},
		{"one hash", mask.Rule{Class: mask.Hash}, text(0), 100, first, []string{first(1)}, 1, true},
		{"small integers", mask.Rule{Class: mask.Integer, Max: 200}, int2, 200, number, nil, 0, false},
		{"some small integers", mask.Rule{Class: mask.Integer, Max: 200}, int2, 200, number, []string{"1", "2", "3"}, 3, false},
		{"many small integers", mask.Rule{Class: mask.Integer, Max: 200}, int2, 200, number, slices.Collect(func(yield func(string) bool) {
			for i := 1; i < 20 && yield(strconv.Itoa(i)); i++ {
			}
		}), 19, true},
		{"integers", mask.Rule{Class: mask.Integer}, int4, 5000, number, nil, 0, false},
		{"two integers", mask.Rule{Class: mask.Integer}, int4, 5000, number, []string{"5", "6"}, 2, true},
		{"short ids", ids, text(0), 1000, digits(3), nil, 0, false},
		{"a short id among long ones", ids, text(0), 1000, func(i int) string { return digits(12 - 11*(i/999))(i % 999) }, []string{"0"}, 1, false},
		{"a long id among short ones", ids, text(0), 1001, func(i int) string { return digits(3 + 10*(i/1000))(i) }, []string{"0000000001000"}, 1, true},
		{"stars", mask.Rule{Class: mask.KeepFirst, Keep: 2}, text(0), 10, func(i int) string { return "Ad******"[:3+i%5] }, nil, 0, false},
		{"no stars", mask.Rule{Class: mask.KeepFirst, Keep: 2}, text(0), 10, first, []string{first(3)}, 1, true},
		{"booleans", mask.Rule{Class: mask.Boolean}, column(mask.Bool, oidBool), 10, func(int) string { return "f" }, nil, 0, false},
		{"empty documents", mask.Rule{Class: mask.JSONClass}, column(mask.JSON, oidJSON), 10, func(i int) string {
			return `{"gone":null,"flags":[false,false,false],"n":0,"to":["","--",{}]}`
		}, nil, 0, false},
		{"a document", mask.Rule{Class: mask.JSONClass}, column(mask.JSON, oidJSON), 1, func(int) string { return `{"name":"Ada Lovelace"}` }, []string{`{"name":"Ada Lovelace"}`}, 1, true},
		{"a kept document", mask.Rule{Class: mask.JSONClass, Rest: &mask.Rule{Class: mask.Keep}}, column(mask.JSON, oidJSON), 1, func(int) string { return `{"name":"Ada Lovelace","n":17}` }, nil, 0, false},
		{"null", mask.Rule{Class: mask.Null}, text(0), 40, first, nil, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, err := mask.New(c.rule, c.column, secret(t))
			if err != nil {
				t.Fatal(err)
			}
			if len(c.faulty) > 0 {
				m = mask.Leaky(m, func(v []byte) bool { return slices.Contains(c.faulty, string(v)) })
			}
			for _, parts := range []int{1, 2} {
				got := tally(t, c.column, m, c.n, parts, c.value)
				count := got.Count()
				if count.DistinctSame < c.same || c.same == 0 && count.DistinctSame > 5 || got.Leaks() != c.leaks {
					t.Errorf("it leaks: %v; %+v", got.Leaks(), count)
				}
				if count.Values != int64(c.n) || count.DistinctIn == 0 || (count.DistinctOut == 0) != m.Null() || count.Column != "c" {
					t.Errorf("counts are %+v", count)
				}
			}
		})
	}
}

// A fault in one part is found in the whole, and many unchanged values take no
// more room than a thousand.
func TestLeaksOfManyParts(t *testing.T) {
	t.Parallel()
	m, err := mask.New(mask.Rule{Class: mask.Email}, text(0), secret(t))
	if err != nil {
		t.Fatal(err)
	}
	email := func(i int) string { return fmt.Sprintf("ada%d@example.net", i) }
	good := tally(t, text(0), m, 3000, 1, email)
	bad := tally(t, text(0), mask.Leaky(m, func(v []byte) bool { return !bytes.Contains(v, []byte("ada1")) }), 3000, 1, email)
	if good.Leaks() || !bad.Leaks() {
		t.Fatalf("good: %v, bad: %v", good.Leaks(), bad.Leaks())
	}
	good.Merge(bad)
	if c := good.Count(); !good.Leaks() || c.DistinctSame != 1000 || c.Same != 1889 || c.Values != 6000 {
		t.Errorf("merged: %+v", c)
	}
}

func BenchmarkTally(b *testing.B) {
	c := text(0)
	m, err := mask.New(mask.Rule{Class: mask.Redact}, c, secret(b))
	if err != nil {
		b.Fatal(err)
	}
	var rows [][]byte
	for i := range 4096 {
		rows = append(rows, fmt.Appendf(nil, "ada%d@example.net", i))
	}
	in := stream(mask.TextFormat, rows...)
	r, err := mask.NewRewriter(io.Discard, mask.TextFormat, []mask.Field{{Column: c, Masker: m}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Write(in); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/value")
}
