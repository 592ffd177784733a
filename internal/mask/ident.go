package mask

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"slices"
	"strconv"
)

// uuidFree are the bits of a UUID that are neither version nor variant
// (RFC 9562), from the lowest: 62, then 12 below the version, then 48.
const uuidFree = 122

// buildUUID permutes all bits but those of the version and the variant. Text
// that is no UUID is permuted character by character.
func buildUUID(m *maker) (*Masker, error) {
	key := m.key
	permute := func(b []byte) {
		hi, lo := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
		// Pack: 48 bits, 12 bits, 62 bits.
		top := hi>>16<<12 | hi&0xfff
		h, l := top>>2, top<<62|lo&ones(62)
		h, l = key.permuteBits(0, h, l, uuidFree)
		top = h<<2 | l>>62
		hi = top>>12<<16 | hi&0xf000 | top&0xfff
		lo = lo&^ones(62) | l&ones(62)
		binary.BigEndian.PutUint64(b, hi)
		binary.BigEndian.PutUint64(b[8:], lo)
	}
	traits := Traits{Unique: Preserved, Charset: "a uuid"}
	whole := func(v []byte) float64 {
		if len(v) < 16 {
			return textChance(v)
		}
		return 0
	}
	if m.col.Kind == UUID {
		return &Masker{traits: traits, mask: func(dst, v, _ []byte) []byte {
			dst = append(dst, v...)
			if len(v) == 16 {
				permute(dst[len(dst)-16:])
			}
			return dst
		}}, nil
	}
	return &Masker{traits: traits, chance: whole, mask: func(dst, v, _ []byte) []byte {
		var b [16]byte
		start := len(dst)
		if raw, err := parseUUID(b[:0], v); err == nil && !(hasUpper(v) && hasLower(v)) {
			permute(raw)
			dst = appendUUID(dst, raw)
			if hasUpper(v) {
				toUpper(dst[start:])
			}
			return dst
		}
		dst = append(dst, v...)
		key.permuteText(1, dst[start:])
		return dst
	}}, nil
}

func hasUpper(v []byte) bool {
	for _, b := range v {
		if 'A' <= b && b <= 'Z' {
			return true
		}
	}
	return false
}

func hasLower(v []byte) bool {
	for _, b := range v {
		if 'a' <= b && b <= 'z' {
			return true
		}
	}
	return false
}

func toUpper(v []byte) {
	for i, b := range v {
		if 'a' <= b && b <= 'z' {
			v[i] = b - 'a' + 'A'
		}
	}
}

// segment is a run of integers that are permuted among themselves.
type segment struct {
	first, last int64
	numbers     numbers
}

// segments cut the integers where the type ends, the rule's range, the column's
// bounds, and at zero, which is in none.
func (m *maker) segments() ([]segment, error) {
	least, most := m.col.intRange()
	cuts := []int64{math.MinInt64, least, 0, 1}
	after := func(last int64) {
		if last < math.MaxInt64 {
			cuts = append(cuts, last+1)
		}
	}
	after(most)
	if end := m.rule.Max; end < 0 || end > most {
		return nil, errors.New("the range does not lie within the type's")
	} else if end > 0 {
		after(end)
	}
	if m.bounds.least != nil {
		n, _ := strconv.ParseInt(string(m.bounds.least), 10, 64)
		cuts = append(cuts, n)
		n, _ = strconv.ParseInt(string(m.bounds.most), 10, 64)
		after(n)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []segment
	for i, first := range cuts {
		last := int64(math.MaxInt64)
		if i+1 < len(cuts) {
			last = cuts[i+1] - 1
		}
		if first != 0 {
			size := uint64(last) - uint64(first) + 1 //nolint:gosec // wraps to the right size
			out = append(out, segment{first, last, newNumbers(m.key, size)})
		}
	}
	return out, nil
}

// buildInteger permutes the integers from 1 to the range's end among
// themselves, those beyond it, and the negative ones. Zero stays zero. What
// lies outside the type, as in a wider column that shares the domain, or
// outside the column's bounds, is permuted there.
func buildInteger(m *maker) (*Masker, error) {
	segments, err := m.segments()
	if err != nil {
		return nil, err
	}
	ways := uint64(0)
	for _, s := range segments {
		if m.bounds.hold(strconv.AppendInt(nil, s.first, 10)) && (m.rule.Max == 0 || s.first > 0 && s.last <= m.rule.Max) {
			ways += s.numbers.size
		}
	}
	if ways == 0 {
		return nil, errors.New("no integer but zero lies within the bounds")
	}
	return &Masker{
		ways:   ways,
		traits: Traits{Unique: Preserved, Charset: "an integer of the same sign", Chance: 1 / float64(ways)},
		chance: func(v []byte) float64 {
			n, err := strconv.ParseInt(string(v), 10, 64)
			for _, s := range segments {
				if err == nil && s.first <= n && n <= s.last {
					return 1 / float64(s.numbers.size)
				}
			}
			return 1 // zero
		},
		mask: func(dst, v, _ []byte) []byte {
			n, err := strconv.ParseInt(string(v), 10, 64)
			if err != nil {
				return append(dst, '0') // no integer type holds it
			}
			for i := range segments {
				if s := &segments[i]; s.first <= n && n <= s.last {
					at := s.numbers.at(uint64(s.first), uint64(n)-uint64(s.first)) //nolint:gosec // wraps to the right distance
					return strconv.AppendInt(dst, int64(at+uint64(s.first)), 10)   //nolint:gosec // wraps back
				}
			}
			return append(dst, '0')
		},
	}, nil
}

// buildIP permutes the bits of an address below the prefix that is kept. A
// network (cidr) has no bits below its own width, before or after.
func buildIP(m *maker) (*Masker, error) {
	keep := m.rule.Keep
	if keep < 0 || keep > 128 {
		return nil, errors.New("keep must lie between 0 and 128 bits")
	}
	key, cidr, text := m.key, m.col.OID == oidCIDR, m.col.Kind == Text
	least, room := m.col.MinLen, m.room(43)
	return &Masker{
		traits: m.apart(Traits{MaxLen: room, MinLen: least, Charset: "an address", Chance: math.Ldexp(1, -freeBits(32, keep))}),
		chance: func(v []byte) float64 {
			p, ok := parseIP(v)
			if !ok {
				return textChance(v)
			}
			used := p.Addr().BitLen()
			if cidr {
				used = p.Bits()
			}
			return math.Ldexp(1, -freeBits(used, keep))
		},
		mask: func(dst, v, _ []byte) []byte {
			start := len(dst)
			if p, ok := parseIP(v); ok {
				dst = appendIP(dst, key.permuteIP(p, keep, cidr))
				if n := len(dst) - start; !text || n >= least && n <= room {
					return dst
				}
			}
			dst = append(dst[:start], v...)
			key.permuteText(1, dst[start:])
			return dst
		},
	}, nil
}

// freeBits is how many of an address's bits are masked: never fewer than eight,
// however many are to be kept, or the address would pass as it is.
func freeBits(used, keep int) int { return max(used-keep, min(used, 8)) }

func (k Key) permuteIP(p netip.Prefix, keep int, cidr bool) netip.Prefix {
	all, used := p.Addr().BitLen(), p.Addr().BitLen()
	if cidr {
		used = p.Bits()
	}
	b := p.Addr().As16()
	hi, lo := binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])
	unused, free := uint(all-used), uint(freeBits(used, keep))
	hi, lo = shiftRight(hi, lo, unused)
	// The kept bits are the tweak: each prefix has a permutation of its own.
	prefixHi, prefixLo := shiftRight(hi, lo, free)
	tweak := prefixHi*0x9e3779b97f4a7c15 ^ prefixLo ^ uint64(free)<<56 ^ uint64(all)<<48 //nolint:gosec // small
	hi, lo = k.permuteBits(tweak, hi, lo, free)
	for range unused {
		hi, lo = hi<<1|lo>>63, lo<<1
	}
	binary.BigEndian.PutUint64(b[:], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	addr := netip.AddrFrom16(b)
	if all == 32 {
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.PrefixFrom(addr, p.Bits())
}

func shiftRight(hi, lo uint64, n uint) (uint64, uint64) {
	if n >= 64 {
		return 0, hi >> (n - 64)
	}
	return hi >> n, lo>>n | hi<<(64-n)
}

// buildMAC permutes an EUI-48 or EUI-64 and keeps the two bits that say
// whether it is a group's and whether it is administered locally (IEEE 802).
func buildMAC(m *maker) (*Masker, error) {
	key := m.key
	return &Masker{
		traits: m.apart(Traits{Charset: "a mac address"}),
		chance: func(v []byte) float64 {
			if len(v) < 17 {
				return textChance(v)
			}
			return 0
		},
		mask: func(dst, v, _ []byte) []byte {
			n, size, ok := parseMAC(v)
			start := len(dst)
			if !ok || hasUpper(v) && hasLower(v) {
				dst = append(dst, v...)
				key.permuteText(1, dst[start:])
				return dst
			}
			low := uint(8 * (size - 1))
			free := n>>(low+2)<<low | n&ones(low)
			_, free = key.permuteBits(uint64(low), 0, free, low+6)
			n = free>>low<<(low+2) | n&(3<<low) | free&ones(low)
			var b [8]byte
			binary.BigEndian.PutUint64(b[:], n)
			dst = appendMAC(dst, b[8-size:])
			for i := start + 2; i < len(dst); i += 3 {
				dst[i] = v[2]
			}
			if hasUpper(v) {
				toUpper(dst[start:])
			}
			return dst
		},
	}, nil
}

// apart says of a permutation of addresses that it is one. In a column of text
// it is not: what is no address there is permuted otherwise, and the two can
// meet.
func (m *maker) apart(t Traits) Traits {
	if m.col.Kind != Text {
		t.Unique = Preserved
	}
	return t
}
