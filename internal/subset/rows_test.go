package subset

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// place is a row as the server sends it.
func place(page uint32, at uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(nil, page), at)
}

func TestRows(t *testing.T) {
	t.Parallel()
	for _, blockSize := range []int{8192, 32768} {
		r := newRows(places(blockSize))
		last := uint16(291)
		if blockSize > 8192 {
			last = 1165
		}
		for _, p := range []uint32{7, 0, 4294967294, 8, 7} {
			r.addNew(place(p, 1))
			r.addNew(place(p, last))
		}
		if r.addNew(place(7, 1)) || r.Len() != 8 || !r.contains(place(8, last)) || r.contains(place(8, 2)) {
			t.Errorf("%d rows", r.Len())
		}
		r.pack()
		want := []Range{{0, 8, 4}, {8, 4294967295, 4}}
		if diff := cmp.Diff(want, r.Ranges(4)); diff != "" {
			t.Errorf("ranges (-want +got):\n%s", diff)
		}
		if got := r.Ranges(1); len(got) != 4 || got[1].Rows != 2 {
			t.Errorf("a page was cut: %v", got)
		}
		if got := string(r.AppendLiteral([]byte("x"), 7, 8)); got != map[bool]string{true: `x{"(7,1)","(7,291)"}`, false: `x{"(7,1)","(7,1165)"}`}[blockSize == 8192] {
			t.Errorf("literal %s", got)
		}
		if got := string(r.AppendLiteral(nil, 1<<31, 0)); got != map[bool]string{true: `{"(4294967294,1)","(4294967294,291)"}`, false: `{"(4294967294,1)","(4294967294,1165)"}`}[blockSize == 8192] {
			t.Errorf("literal to the end %s", got)
		}
	}
}

func TestNoRows(t *testing.T) {
	t.Parallel()
	for _, r := range []*Rows{nil, {}, newRows(9)} {
		if r.Len() != 0 || r.Ranges(10) != nil || string(r.AppendLiteral(nil, 0, 0)) != "{}" || r.contains(place(1, 1)) {
			t.Errorf("%+v is not empty", r)
		}
	}
	var r Result
	if pick, whole := r.Pick(1); whole || pick.Rows == nil || pick.Rows.Len() != 0 {
		t.Error("an unknown table is not empty")
	}
}

// TestRowsInOrder cuts a random set in all ways and puts it together again.
func TestRowsInOrder(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	r := newRows(9)
	var all []uint64
	for range 20_000 {
		p, at := rnd.Uint32N(3000), uint16(1+rnd.Uint32N(60))
		if r.addNew(place(p, at)) {
			all = append(all, uint64(p)<<9|uint64(at))
		}
	}
	slices.Sort(all)
	var rows, end int64
	for _, x := range r.Ranges(700) {
		if x.First < end || x.Limit <= x.First || x.Rows > 700 {
			t.Errorf("range %+v after page %d", x, end)
		}
		var n int64
		for range r.between(x.First, x.Limit) {
			n++
		}
		if n != x.Rows {
			t.Errorf("%d rows in %+v", n, x)
		}
		rows, end = rows+x.Rows, x.Limit
	}
	if rows != int64(len(all)) || r.Len() != rows {
		t.Errorf("%d rows in ranges, %d in all, %d were added", rows, r.Len(), len(all))
	}
	var got []uint64
	for _, part := range [][2]int64{{0, 1}, {1, 9999}, {9999, rows}} {
		buf, err := r.appendArray(nil, part[0], part[1])
		if err != nil {
			t.Fatal(err)
		}
		if n := int64(binary.BigEndian.Uint32(buf[12:])); n != part[1]-part[0] || int64(len(buf)) != 20+10*n {
			t.Errorf("%d rows in %d bytes, wanted %v", n, len(buf), part)
		}
		for b := buf[20:]; len(b) > 0; b = b[10:] {
			got = append(got, r.value(b[4:]))
		}
	}
	if !slices.Equal(all, got) {
		t.Error("parameters hold other rows")
	}
	if _, err := r.appendArray(nil, rows, rows+1); err == nil {
		t.Error("there is no such row")
	}
}

// TestMemory holds sets of half a million rows against the promise of less than
// four bytes a row: scattered over a large table, and close together.
func TestMemory(t *testing.T) {
	// Not parallel: it looks at the heap.
	rnd := rand.New(rand.NewPCG(3, 4))
	for name, next := range map[string]func(i int) (uint32, uint16){
		"one of twenty":   func(i int) (uint32, uint16) { return uint32(i / 4), uint16(1 + i%4*20 + rnd.IntN(20)) },
		"one on a page":   func(i int) (uint32, uint16) { return uint32(i), uint16(1 + rnd.IntN(80)) },
		"close together":  func(i int) (uint32, uint16) { return uint32(i / 100), uint16(1 + i%100) },
		"in random order": func(int) (uint32, uint16) { return uint32(rnd.IntN(40_000)), uint16(1 + rnd.IntN(80)) },
	} {
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		r := newRows(9)
		for i := range 500_000 {
			r.addNew(place(next(i)))
		}
		r.pack()
		after := heap()
		perRow := float64(int64(after)-int64(before)) / float64(r.Len())
		t.Logf("%s: %.2f bytes a row, %.2f written down", name, perRow, float64(r.bits.GetSizeInBytes())/float64(r.Len()))
		if perRow > 4 {
			t.Errorf("%s: %.2f bytes a row", name, perRow)
		}
		runtime.KeepAlive(r)
	}
}
