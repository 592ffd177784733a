package mask

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
)

// The families of an address as it is sent in binary (network.c).
const (
	familyV4 = 2
	familyV6 = 3
)

// decodeIP appends an address as netip writes it, with the width of its mask
// unless that is the whole.
func decodeIP(dst, field []byte, format Format) ([]byte, error) {
	if format == TextFormat {
		p, ok := parseIP(field)
		if !ok {
			return dst, errValue
		}
		return appendIP(dst, p), nil
	}
	if len(field) < 4 || len(field) != 4+int(field[3]) {
		return dst, errValue
	}
	addr, ok := netip.AddrFromSlice(field[4:])
	p := netip.PrefixFrom(addr, int(field[1]))
	if !ok || !p.IsValid() {
		return dst, errValue
	}
	return appendIP(dst, p), nil
}

// parseIP reads an address with or without a mask; host bits are kept.
func parseIP(text []byte) (netip.Prefix, bool) {
	if addr, ok := parseIPv4(text); ok {
		return netip.PrefixFrom(addr, 32), true
	}
	if before, width, ok := bytes.Cut(text, []byte("/")); ok {
		if addr, ok := parseIPv4(before); ok {
			n, ok := digits(width)
			return netip.PrefixFrom(addr, n), ok && n <= 32 && (len(width) == 1 || width[0] != '0')
		}
	}
	if addr, err := netip.ParseAddr(string(text)); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	p, err := netip.ParsePrefix(string(text))
	return p, err == nil
}

// parseIPv4 reads the commonest addresses, which netip would take an
// allocation for: from bytes it makes a string.
func parseIPv4(text []byte) (netip.Addr, bool) {
	var parts [4]byte
	for i := range parts {
		part, rest, more := bytes.Cut(text, []byte("."))
		n, ok := digits(part)
		if !ok || n > 255 || len(part) > 1 && part[0] == '0' || more != (i < 3) {
			return netip.Addr{}, false
		}
		parts[i], text = byte(n), rest //nolint:gosec // at most 255
	}
	return netip.AddrFrom4(parts), true
}

func appendIP(dst []byte, p netip.Prefix) []byte {
	dst = p.Addr().AppendTo(dst)
	if p.Bits() < p.Addr().BitLen() {
		dst = strconv.AppendInt(append(dst, '/'), int64(p.Bits()), 10)
	}
	return dst
}

func (c *Column) encodeIP(dst, v []byte, format Format) ([]byte, error) {
	if format == TextFormat {
		return append(dst, v...), nil
	}
	p, ok := parseIP(v)
	if !ok {
		return dst, errors.New("a stand-in is no address")
	}
	family := byte(familyV4)
	if p.Addr().BitLen() == 128 {
		family = familyV6
	}
	addr := p.Addr().AsSlice()
	dst = append(dst, family, byte(p.Bits()), b2b(c.OID == oidCIDR), byte(len(addr))) //nolint:gosec // at most 128
	return append(dst, addr...), nil
}

// decodeMAC appends an address in lower-case hexadecimal digits with colons.
func decodeMAC(dst, field []byte, format Format) ([]byte, error) {
	if format == TextFormat {
		n, size, ok := parseMAC(field)
		if !ok {
			return dst, errValue
		}
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], n)
		return appendMAC(dst, b[8-size:]), nil
	}
	if len(field) != 6 && len(field) != 8 {
		return dst, errValue
	}
	return appendMAC(dst, field), nil
}

func appendMAC(dst, raw []byte) []byte {
	for i, b := range raw {
		if i > 0 {
			dst = append(dst, ':')
		}
		const digits = "0123456789abcdef"
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

// parseMAC reads pairs of hexadecimal digits with one separator between them.
// Its bytes lie at the low end of the number.
func parseMAC(text []byte) (v uint64, size int, ok bool) {
	if len(text)%3 != 2 || len(text) > 23 {
		return 0, 0, false
	}
	for i := 0; i < len(text); i += 3 {
		hi, ok1 := hexDigit(text[i])
		lo, ok2 := hexDigit(text[i+1])
		if !ok1 || !ok2 || i > 0 && text[i-1] != ':' && text[i-1] != '-' {
			return 0, 0, false
		}
		v = v<<8 | uint64(hi<<4|lo)
		size++
	}
	return v, size, size == 6 || size == 8
}

func encodeMAC(dst, v []byte, format Format) ([]byte, error) {
	if format == TextFormat {
		return append(dst, v...), nil
	}
	n, size, ok := parseMAC(v)
	if !ok {
		return dst, errors.New("a stand-in is no mac address")
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return append(dst, b[8-size:]...), nil
}
