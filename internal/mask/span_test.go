package mask_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/neontwin/neontwin/internal/mask"
)

// A date that a span holds moves within it, however narrow it is.
func TestDatesStayInTheirSpan(t *testing.T) {
	t.Parallel()
	const day = 86_400_000_000
	r := rand.New(rand.NewPCG(3, 4))
	moved, all := 0, 0
	for range 3000 {
		least := r.Int64N(20_000*day) - 10_000*day
		span := mask.Span{Least: least, Most: least + r.Int64N(500*day), NoLater: r.IntN(4) == 0, NoEarlier: r.IntN(4) == 0}
		if r.IntN(10) == 0 {
			span = mask.AnyTime()
		}
		col := column(mask.Moment, oidTimestamptz)
		col.Span = &span
		m, err := mask.New(mask.Rule{Class: mask.DateShift, Days: 1 + r.IntN(400)}, col, secret(t))
		if span.NoLater && span.NoEarlier {
			if err == nil {
				t.Fatalf("nothing may move in %+v, and yet there is a masker", span)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		at := span.Least
		switch r.IntN(3) {
		case 0:
			at = span.Most
		case 1:
			at += int64(r.Uint64N(uint64(span.Most) - uint64(span.Least) + 1))
		}
		in := binary.BigEndian.AppendUint64(nil, uint64(at))
		to := int64(binary.BigEndian.Uint64(m.Mask(nil, in, nil)))
		if to < span.Least || to > span.Most || span.NoLater && to > at || span.NoEarlier && to < at {
			t.Errorf("%d moves to %d, out of %+v", at, to, span)
		}
		all++
		if to != at {
			moved++
		} else if m.Chance(in) == 0 {
			t.Errorf("%d stays, and that should be impossible, in %+v", at, span)
		}
	}
	if moved < all*4/5 { // some stand at the end that they may not leave
		t.Errorf("%d of %d dates moved", moved, all)
	}
}

func TestSpansOfComparisons(t *testing.T) {
	t.Parallel()
	const day = 86_400_000_000
	for _, tt := range []struct {
		oid           uint32
		sign, literal string
		least, most   int64 // days, where they are bounded
	}{
		{oidDate, ">=", "2000-01-02", 1, 0},
		{oidDate, ">", "2000-01-02", 2, 0},
		{oidDate, "<", "2000-01-02", 0, 0},
		{oidDate, "<=", "2000-01-02", 0, 1},
		{oidTimestamptz, ">=", "2000-01-02 02:00:00+02", 1, 0},
	} {
		got, ok := column(mask.Moment, tt.oid).SpanOf(tt.sign, tt.literal)
		want := mask.AnyTime()
		if tt.sign[0] == '>' {
			want.Least = tt.least * day
		} else {
			want.Most = tt.most * day
		}
		if !ok || got != want {
			t.Errorf("%s %s is %+v, %v; want %+v", tt.sign, tt.literal, got, ok, want)
		}
	}
	for _, literal := range []string{"infinity", "yesterday", ""} {
		if _, ok := column(mask.Moment, oidDate).SpanOf("<", literal); ok {
			t.Errorf("%q is a bound", literal)
		}
	}
}
