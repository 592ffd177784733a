package mask

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

// narrow is the least share of the numbers of one length that must lie within a
// column's bounds, so that one is soon found.
const narrow = 1.0 / 64

// digits makes a masker of texts of digits one of numbers: the stand-in has as
// many digits, the same sign, no zero in front, and lies within the column's
// bounds. It is masked again until that is so, which keeps a permutation one
// (cycle walking).
func (m *maker) digits(masker *Masker) (*Masker, error) {
	if m.col.Kind == Text {
		return masker, nil
	}
	b := m.bounds
	for length := 1; length <= 20; length++ {
		if share := b.share(length); share > 0 && share < narrow {
			return nil, errors.New("too few numbers lie within the column's bounds: integer permutes these")
		}
	}
	if m.col.Kind == Numeric && m.col.Scale < 0 {
		return nil, errors.New("the column holds no number exactly")
	}
	mask, chance := masker.mask, masker.chance
	masker.chance = func(v []byte) float64 { return min(1, 1.2*chance(bytes.TrimPrefix(v, []byte("-")))) }
	masker.mask = func(dst, v, entity []byte) []byte {
		if special(v) || !decimal(v) || bare(Numeric, v) {
			return append(dst, v...)
		}
		start := len(dst)
		number := bytes.TrimPrefix(v, []byte("-"))
		dst = append(dst, v[:len(v)-len(number)]...)
		middle := len(dst)
		inside, leading := b.hold(v), number[0] == '0'
		fraction := bytes.IndexByte(number, '.') >= 0
		dst = append(dst, number...)
		for {
			end := len(dst)
			dst = mask(dst, dst[middle:end:end], entity)
			n := copy(dst[middle:], dst[end:])
			dst = dst[:middle+n]
			ends := dst[len(dst)-1] == '0'
			if b.hold(dst[start:]) == inside && (dst[middle] == '0') == leading && !(fraction && ends) {
				return dst
			}
		}
	}
	return masker, nil
}

// share is how much of the numbers of so many digits lies within bounds, on
// the side of zero where most of them do.
func (b bounds) share(length int) float64 {
	least, most := math.Inf(-1), math.Inf(1)
	if b.least != nil {
		least = number(b.least)
	}
	if b.most != nil {
		most = number(b.most)
	}
	first, last := math.Pow10(length-1), math.Pow10(length)-1
	of := func(least, most float64) float64 {
		return max(0, min(most, last)-max(least, first)+1) / (last - first + 1)
	}
	up, down := of(least, most), of(-most, -least)
	if up > 0 && up < narrow || down == 0 {
		return up
	}
	return down
}

func number(v []byte) float64 {
	f, _ := strconv.ParseFloat(string(v), 64) // of digits, so that it is one
	return f
}
