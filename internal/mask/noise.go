package mask

import (
	"bytes"
	"errors"
)

// noiseDigits are how many leading digits of a number the noise works on; the
// rest are replaced.
const noiseDigits = 15

// buildNoise changes a number by at least one unit of its last digit and at
// most the rule's share. Sign, scale and the number of digits are kept, so
// that it fits where the value did; it stays within the column's bounds. Zero,
// NaN and infinity stay.
func buildNoise(m *maker) (*Masker, error) {
	percent := m.rule.Percent
	if percent == 0 {
		percent = 10
	}
	if percent < 1 || percent > 90 {
		return nil, errors.New("percent must lie between 1 and 90")
	}
	n := noise{key: m.key, percent: uint64(percent), bounds: m.bounds}
	if m.col.Kind == Numeric && m.col.Scale < 0 {
		n.zeros = -m.col.Scale
	}
	return &Masker{
		traits: Traits{Charset: "a number"},
		// Only a value that is a bound may have nowhere to go.
		chance: func(v []byte) float64 {
			return certain(bytes.Equal(v, n.bounds.least) || bytes.Equal(v, n.bounds.most))
		},
		mask: func(dst, v, _ []byte) []byte { return n.append(dst, v) },
	}, nil
}

type noise struct {
	key     Key
	percent uint64
	bounds  bounds
	zeros   int // digits before the point that a negative scale takes
}

func (n noise) append(dst, v []byte) []byte {
	start := len(dst)
	dst = append(dst, v...)
	out := bytes.TrimPrefix(dst[start:], []byte("-"))
	if special(v) || !decimal(v) || len(bytes.Trim(out, "0.")) == 0 {
		return dst
	}
	sign := len(v) - len(out)
	head := out[:max(len(out)-n.zeros, 1)]
	if len(bytes.Trim(head, "0.")) == 0 {
		return dst // it has digits that the column does not hold
	}
	s := n.key.stream(v)
	random := s.next()
	up := random&1 == 0
	for range 2 {
		tail := s
		nudge(head, random, n.percent, up, &tail)
		if n.bounds.hold(dst[start:]) {
			return trimHead(dst, start+sign)
		}
		copy(out, v[sign:])
		up = !up
	}
	// Neither way stays within bounds: the nearer end is as good as any, but
	// for the value itself.
	for _, end := range [][]byte{n.bounds.least, n.bounds.most} {
		if end != nil && compareDecimals(end, v) != 0 {
			return append(dst[:start], end...)
		}
	}
	return dst
}

// trimHead drops zeros that a number begins with.
func trimHead(dst []byte, start int) []byte {
	out := dst[start:]
	zeros := 0
	for zeros+1 < len(out) && out[zeros] == '0' && digit(out[zeros+1]) {
		zeros++
	}
	return append(dst[:start], out[zeros:]...)
}

// nudge changes the digits of a positive number in place, up or down. It goes
// down where up would need one more digit, and up where down would give zero.
func nudge(out []byte, random, percent uint64, up bool, s *stream) {
	first := bytes.IndexAny(out, "123456789")
	head := uint64(0)
	var at [noiseDigits]int
	n := 0
	for i := first; i < len(out); i++ {
		switch {
		case out[i] == '.':
		case n < noiseDigits:
			head = head*10 + uint64(out[i]-'0')
			at[n] = i
			n++
		default:
			out[i] = byte('0' + s.pick(10)) //nolint:gosec // a digit
		}
	}
	delta := 1 + below(random, max(head*percent/100, 1))
	top := uint64(1)
	for range n {
		top *= 10
	}
	switch {
	case up && head+delta < top, delta >= head && head+delta < top:
		head += delta
	case delta < head:
		head -= delta
	default: // 1 of one digit, where up was refused, does not come here; 9 may
		head--
	}
	for i := n - 1; i >= 0; i-- {
		out[at[i]] = byte('0' + head%10)
		head /= 10
	}
}
