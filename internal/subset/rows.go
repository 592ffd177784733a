package subset

import (
	"encoding/binary"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// Rows is a set of rows of one table, by where they lie: each is a page and a
// place in it. It means something under one snapshot only. A nil set is empty.
type Rows struct {
	bits  roaring64.Bitmap
	shift uint
}

// Range are pages First up to Limit, which is not included, and how many rows
// of a set lie there.
type Range struct{ First, Limit, Rows int64 }

// places is how many bits tell the places of a page apart. A page of 8 KB has
// no more than 291 places; pages are at most four times that size.
func places(blockSize int) uint {
	if blockSize > 8192 {
		return 11
	}
	return 9
}

func newRows(shift uint) *Rows { return &Rows{shift: shift} }

// addNew puts in a row as the server sends it, four bytes of page and two of
// place, and says whether it is new.
func (r *Rows) addNew(tid []byte) bool { return r.bits.CheckedAdd(r.value(tid)) }

func (r *Rows) value(tid []byte) uint64 {
	return uint64(binary.BigEndian.Uint32(tid))<<r.shift | uint64(binary.BigEndian.Uint16(tid[4:]))
}

func (r *Rows) contains(tid []byte) bool { return r != nil && r.bits.Contains(r.value(tid)) }

// merge puts in all rows of another set and says how many are new.
func (r *Rows) merge(more *Rows) int64 {
	before := r.Len()
	r.bits.Or(&more.bits)
	return r.Len() - before
}

// minus are the rows that are not in the other set.
func (r *Rows) minus(other *Rows) *Rows {
	out := &Rows{shift: r.shift}
	out.bits.Or(&r.bits)
	out.bits.AndNot(&other.bits)
	return out
}

// pack makes the set as small as it can be. It is for sets that stay.
func (r *Rows) pack() { r.bits.RunOptimize() }

// Len is how many rows there are.
func (r *Rows) Len() int64 {
	if r == nil {
		return 0
	}
	return int64(r.bits.GetCardinality()) //nolint:gosec // rows of a table number less than 2^43
}

// Ranges cuts the set into ranges of pages with about so many rows each. A page
// is never cut, so that a range has more rows only where a single page does.
func (r *Rows) Ranges(most int64) []Range {
	if r.Len() == 0 {
		return nil
	}
	var out []Range
	var now Range
	page, inPage := int64(-1), int64(0)
	flush := func() { // the page is complete
		if now.Rows > 0 && now.Rows+inPage > most {
			out = append(out, now)
			now = Range{}
		}
		if now.Rows == 0 {
			now.First = page
		}
		now.Rows, now.Limit = now.Rows+inPage, page+1
	}
	buf := make([]uint64, 4096)
	it := r.bits.ManyIterator()
	for n := it.NextMany(buf); n > 0; n = it.NextMany(buf) {
		for _, v := range buf[:n] {
			if p := int64(v >> r.shift); p != page { //nolint:gosec // a page's number has 32 bits
				if page >= 0 {
					flush()
				}
				page, inPage = p, 0
			}
			inPage++
		}
	}
	flush()
	return append(out, now)
}

// AppendLiteral appends the rows of pages first up to limit, which is not
// included, as the content of an SQL literal of the type tid[]. A limit of 0
// means to the end.
func (r *Rows) AppendLiteral(dst []byte, first, limit int64) []byte {
	dst = append(dst, '{')
	sep := ""
	for v := range r.between(first, limit) {
		dst = append(dst, sep...)
		dst = append(dst, `"(`...)
		dst = strconv.AppendUint(dst, v>>r.shift, 10)
		dst = append(dst, ',')
		dst = strconv.AppendUint(dst, v&(1<<r.shift-1), 10)
		dst = append(dst, `)"`...)
		sep = ","
	}
	return append(dst, '}')
}

func (r *Rows) between(first, limit int64) func(yield func(uint64) bool) {
	return func(yield func(uint64) bool) {
		if r == nil {
			return
		}
		it := r.bits.Iterator()
		it.AdvanceIfNeeded(uint64(first) << r.shift) //nolint:gosec // a page's number is not negative
		for it.HasNext() {
			v := it.Next()
			if limit > 0 && v>>r.shift >= uint64(limit) {
				return
			}
			if !yield(v) {
				return
			}
		}
	}
}

// The types of the parameter that a query takes rows by.
const (
	tidOID      = 27
	tidArrayOID = 1010
	// tidArrayHeader is how long an array is before its first element, which is
	// a length and the element proper.
	tidArrayHeader = 20
)

// appendArray appends rows number first up to limit, in their order, as a
// tid[] in the server's binary form, which ends in the last of them. There must
// be so many.
func (r *Rows) appendArray(dst []byte, first, limit int64) ([]byte, error) {
	start, err := r.bits.Select(uint64(first)) //nolint:gosec // not negative
	if err != nil {
		return nil, err
	}
	for _, n := range []uint32{1, 0, tidOID, uint32(limit - first), 1} { //nolint:gosec // at most rowsPerScan
		dst = binary.BigEndian.AppendUint32(dst, n)
	}
	it := r.bits.Iterator()
	it.AdvanceIfNeeded(start)
	for range limit - first {
		v := it.Next()
		dst = binary.BigEndian.AppendUint32(dst, 6)
		dst = binary.BigEndian.AppendUint32(dst, uint32(v>>r.shift))       //nolint:gosec // a page's number has 32 bits
		dst = binary.BigEndian.AppendUint16(dst, uint16(v&(1<<r.shift-1))) //nolint:gosec // a place has 11
	}
	return dst, nil
}
