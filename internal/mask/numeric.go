package mask

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
)

// The signs of a numeric as it is sent in binary (numeric.c).
const (
	numericNegative = 0x4000
	numericNaN      = 0xc000
	numericPosInf   = 0xd000
	numericNegInf   = 0xf000
)

// decodeNumeric appends a number in decimal, without exponent or trailing
// zeros after the point: 1.0 = 1.00.
func decodeNumeric(dst, field []byte, format Format) ([]byte, error) {
	if format == TextFormat {
		if !decimal(field) && !special(field) {
			return dst, errValue
		}
		return append(dst, trimZeros(field)...), nil
	}
	if len(field) < 8 {
		return dst, errValue
	}
	count := int(binary.BigEndian.Uint16(field))
	weight := int(int16(binary.BigEndian.Uint16(field[2:]))) //nolint:gosec // its bits
	sign := binary.BigEndian.Uint16(field[4:])
	digits := field[8:]
	if len(digits) != 2*count {
		return dst, errValue
	}
	switch sign {
	case numericNaN:
		return append(dst, "NaN"...), nil
	case numericPosInf:
		return append(dst, "Infinity"...), nil
	case numericNegInf:
		return append(dst, "-Infinity"...), nil
	}
	if count == 0 {
		return append(dst, '0'), nil
	}
	start := len(dst)
	if sign == numericNegative {
		dst = append(dst, '-')
	}
	digit := func(i int) int { // the i-th of base 10000, counted from the first
		if i < 0 || i >= count {
			return 0
		}
		return int(binary.BigEndian.Uint16(digits[2*i:]))
	}
	if weight < 0 {
		dst = append(dst, '0')
	} else {
		dst = strconv.AppendInt(dst, int64(digit(0)), 10)
		for i := 1; i <= weight; i++ {
			dst = appendFour(dst, digit(i))
		}
	}
	if count > weight+1 {
		dst = append(dst, '.')
		for i := weight + 1; i < count; i++ {
			dst = appendFour(dst, digit(i))
		}
		dst = dst[:start+len(trimZeros(dst[start:]))]
	}
	return dst, nil
}

func appendFour(dst []byte, d int) []byte {
	return append(dst, byte('0'+d/1000%10), byte('0'+d/100%10), byte('0'+d/10%10), byte('0'+d%10))
}

// decimal reports whether v is digits with at most one sign and one point.
func decimal(v []byte) bool {
	if len(v) > 0 && v[0] == '-' {
		v = v[1:]
	}
	digits, points := 0, 0
	for _, b := range v {
		switch {
		case '0' <= b && b <= '9':
			digits++
		case b == '.':
			points++
		default:
			return false
		}
	}
	return digits > 0 && points <= 1
}

// special reports whether v is one of the numbers that have no digits.
func special(v []byte) bool {
	switch string(v) {
	case "NaN", "Infinity", "-Infinity":
		return true
	}
	return false
}

func trimZeros(v []byte) []byte {
	if bytes.IndexByte(v, '.') < 0 {
		return v
	}
	return bytes.TrimRight(bytes.TrimRight(v, "0"), ".")
}

// encodeNumeric appends a number; in binary as numeric_recv reads it, with as
// many digits after the point as are written. The column's scale does the rest.
func encodeNumeric(dst, v []byte, format Format) ([]byte, error) {
	if !decimal(v) && !special(v) {
		return dst, errors.New("a stand-in is no number")
	}
	if format == TextFormat {
		return append(dst, v...), nil
	}
	switch string(v) {
	case "NaN":
		return appendNumericHead(dst, 0, 0, numericNaN, 0), nil
	case "Infinity":
		return appendNumericHead(dst, 0, 0, numericPosInf, 0), nil
	case "-Infinity":
		return appendNumericHead(dst, 0, 0, numericNegInf, 0), nil
	}
	var sign uint16
	if v[0] == '-' {
		sign, v = numericNegative, v[1:]
	}
	whole, fraction, _ := bytes.Cut(v, []byte("."))
	groups := (len(whole)+3)/4 + (len(fraction)+3)/4
	if groups > 1<<15-1 {
		return dst, errors.New("a stand-in has too many digits")
	}
	weight := (len(whole)+3)/4 - 1
	dst = appendNumericHead(dst, uint16(groups), uint16(weight), sign, uint16(len(fraction))) //nolint:gosec // bounded above; -1 is its bits
	// The first group of the whole part may be short, the last of the fraction.
	for end := len(whole) - 4*weight; weight >= 0 && end <= len(whole); end += 4 {
		dst = appendGroup(dst, whole[max(end-4, 0):end])
	}
	for i := 0; i < len(fraction); i += 4 {
		var group [4]byte
		for j := range group {
			group[j] = '0'
			if i+j < len(fraction) {
				group[j] = fraction[i+j]
			}
		}
		dst = appendGroup(dst, group[:])
	}
	return dst, nil
}

func appendNumericHead(dst []byte, count, weight, sign, scale uint16) []byte {
	dst = binary.BigEndian.AppendUint16(dst, count)
	dst = binary.BigEndian.AppendUint16(dst, weight)
	dst = binary.BigEndian.AppendUint16(dst, sign)
	return binary.BigEndian.AppendUint16(dst, scale)
}

func appendGroup(dst, digits []byte) []byte {
	var d uint16
	for _, b := range digits {
		d = d*10 + uint16(b-'0')
	}
	return binary.BigEndian.AppendUint16(dst, d)
}
