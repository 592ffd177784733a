package mask

import (
	"bytes"
	"errors"
	"strconv"
)

// noiseDigits are how many leading digits of a number the noise works on; the
// rest are replaced.
const noiseDigits = 15

// buildNoise changes a number by at least one unit of its last digit and at
// most the rule's share. Sign, scale and the number of digits are kept, so
// that it fits where the value did. Zero, NaN and infinity stay.
func buildNoise(m *maker) (*Masker, error) {
	percent := m.rule.Percent
	if percent == 0 {
		percent = 10
	}
	if percent < 1 || percent > 90 {
		return nil, errors.New("percent must lie between 1 and 90")
	}
	key, share := m.key, uint64(percent)
	_, most := m.col.intRange()
	limit := func(v []byte) bool { return true }
	if m.col.Kind == Int {
		limit = func(v []byte) bool {
			n, err := strconv.ParseInt(string(v), 10, 64)
			return err == nil && n <= most
		}
	}
	return &Masker{
		traits: Traits{Charset: "a number"},
		mask: func(dst, v, _ []byte) []byte {
			start := len(dst)
			dst = append(dst, v...)
			out := bytes.TrimPrefix(dst[start:], []byte("-"))
			if special(v) || !decimal(v) || len(bytes.Trim(out, "0.")) == 0 {
				return dst
			}
			s := key.stream(v)
			random := s.next()
			nudge(out, random, share, random&1 == 0, &s)
			if !limit(out) {
				copy(out, bytes.TrimPrefix(v, []byte("-")))
				nudge(out, random, share, false, &s)
			}
			zeros := 0
			for zeros+1 < len(out) && out[zeros] == '0' && digit(out[zeros+1]) {
				zeros++
			}
			return append(dst[:len(dst)-len(out)], out[zeros:]...)
		},
	}, nil
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
