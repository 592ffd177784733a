package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Format is one of the two formats of COPY that values come in.
type Format uint8

// The formats of COPY.
const (
	// TextFormat is COPY's default.
	TextFormat Format = iota
	// BinaryFormat is FORMAT binary.
	BinaryFormat
)

// errValue says that a field does not hold what its type says. It never
// repeats the field.
var errValue = errors.New("a value does not have the form of its type")

// decode appends the canonical form of a field to dst. In the text format the
// field is unescaped.
func (c *Column) decode(dst, field []byte, format Format) ([]byte, error) {
	switch c.Kind {
	case Text, Enum:
		return c.appendText(dst, field), nil
	case Int:
		return decodeInt(dst, field, format)
	case Numeric:
		return decodeNumeric(dst, field, format)
	case Float:
		return decodeFloat(dst, field, format)
	case Bool:
		return decodeBool(dst, field, format)
	case UUID:
		return decodeUUID(dst, field, format)
	case Moment:
		return c.decodeMoment(dst, field, format)
	case Bytes:
		return decodeBytes(dst, field, format)
	case IP:
		return decodeIP(dst, field, format)
	case MAC:
		return decodeMAC(dst, field, format)
	case HStore:
		return decodeHStore(dst, field, format)
	case JSON:
		if format == BinaryFormat && c.OID == oidJSONB {
			if len(field) == 0 || field[0] != 1 {
				return dst, errValue
			}
			field = field[1:]
		}
	case XML, Other:
	}
	return append(dst, field...), nil
}

// encode appends the field that holds a canonical value.
func (c *Column) encode(dst, v []byte, format Format) ([]byte, error) {
	switch c.Kind {
	case Int:
		return c.encodeInt(dst, v, format)
	case Numeric:
		return encodeNumeric(dst, v, format)
	case Float:
		return c.encodeFloat(dst, v, format)
	case Bool:
		if format == BinaryFormat {
			return append(dst, b2b(len(v) == 1 && v[0] == 't')), nil
		}
	case UUID:
		return encodeUUID(dst, v, format)
	case Moment:
		return c.encodeMoment(dst, v, format)
	case Bytes:
		if format == TextFormat {
			return hex.AppendEncode(append(dst, `\x`...), v), nil
		}
	case IP:
		return c.encodeIP(dst, v, format)
	case MAC:
		return encodeMAC(dst, v, format)
	case HStore:
		return encodeHStore(dst, v, format)
	case JSON:
		if format == BinaryFormat && c.OID == oidJSONB {
			dst = append(dst, 1)
		}
	case Text, Enum, XML, Other:
	}
	return append(dst, v...), nil
}

func b2b(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// appendText appends text in its canonical form: NFC (Unicode Annex 15), what
// char(n) is padded with removed, citext in lower case.
func (c *Column) appendText(dst, v []byte) []byte {
	if c.OID == oidBPChar {
		v = bytes.TrimRight(v, " ")
	}
	if c.Fold {
		return appendLower(dst, v)
	}
	if ascii(v) || norm.NFC.IsNormal(v) {
		return append(dst, v...)
	}
	return norm.NFC.Append(dst, v...)
}

func ascii(v []byte) bool {
	for ; len(v) >= 8; v = v[8:] {
		if binary.LittleEndian.Uint64(v)&0x8080808080808080 != 0 {
			return false
		}
	}
	for _, b := range v {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendLower appends v in NFC and lower case.
func appendLower(dst, v []byte) []byte {
	start := len(dst)
	dst = append(dst, v...)
	for i, b := range dst[start:] {
		switch {
		case b >= utf8.RuneSelf:
			return appendLowerForeign(dst[:start], v)
		case 'A' <= b && b <= 'Z':
			dst[start+i] = b + 'a' - 'A'
		}
	}
	return dst
}

func appendLowerForeign(dst, v []byte) []byte {
	if !norm.NFC.IsNormal(v) {
		v = norm.NFC.Bytes(v)
	}
	for i := 0; i < len(v); {
		r, width := utf8.DecodeRune(v[i:])
		if r == utf8.RuneError && width == 1 {
			dst = append(dst, v[i]) // not UTF-8: kept byte by byte
		} else {
			dst = utf8.AppendRune(dst, unicode.ToLower(r))
		}
		i += width
	}
	return dst
}

func decodeInt(dst, field []byte, format Format) ([]byte, error) {
	if format == TextFormat {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return dst, errValue
		}
		return strconv.AppendInt(dst, n, 10), nil
	}
	var n int64
	switch len(field) {
	case 2:
		n = int64(int16(binary.BigEndian.Uint16(field))) //nolint:gosec // its bits
	case 4:
		n = int64(int32(binary.BigEndian.Uint32(field))) //nolint:gosec // its bits
	case 8:
		n = int64(binary.BigEndian.Uint64(field)) //nolint:gosec // its bits
	default:
		return dst, errValue
	}
	return strconv.AppendInt(dst, n, 10), nil
}

func (c *Column) encodeInt(dst, v []byte, format Format) ([]byte, error) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	least, most := c.intRange()
	if err != nil || n < least || n > most {
		return dst, errors.New("a stand-in is no integer of the column's range")
	}
	if format == TextFormat {
		return append(dst, v...), nil
	}
	switch c.OID {
	case oidInt2:
		return binary.BigEndian.AppendUint16(dst, uint16(n)), nil //nolint:gosec // in range
	case oidInt4:
		return binary.BigEndian.AppendUint32(dst, uint32(n)), nil //nolint:gosec // in range
	}
	return binary.BigEndian.AppendUint64(dst, uint64(n)), nil //nolint:gosec // its bits
}

func decodeFloat(dst, field []byte, format Format) ([]byte, error) {
	var f float64
	width := 64
	switch {
	case format == TextFormat:
		// PostgreSQL writes the shortest text that reads back; at 64 bits it is
		// the same text again, whichever width it came from.
		parsed, err := strconv.ParseFloat(string(field), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return dst, errValue
		}
		f = parsed
	case len(field) == 4:
		f, width = float64(math.Float32frombits(binary.BigEndian.Uint32(field))), 32
	case len(field) == 8:
		f = math.Float64frombits(binary.BigEndian.Uint64(field))
	default:
		return dst, errValue
	}
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...), nil
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...), nil
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...), nil
	case f == 0:
		return append(dst, '0'), nil // -0 = 0
	}
	return strconv.AppendFloat(dst, f, 'f', -1, width), nil
}

func (c *Column) encodeFloat(dst, v []byte, format Format) ([]byte, error) {
	if format == TextFormat {
		return append(dst, v...), nil
	}
	width := 64
	if c.OID == oidFloat4 {
		width = 32
	}
	f, err := strconv.ParseFloat(string(v), width)
	if err != nil {
		return dst, errors.New("a stand-in is no number")
	}
	if width == 32 {
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(f))), nil
	}
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(f)), nil
}

func decodeBool(dst, field []byte, format Format) ([]byte, error) {
	if len(field) != 1 {
		return dst, errValue
	}
	yes := field[0] == 't'
	if format == BinaryFormat {
		yes = field[0] != 0
	}
	if yes {
		return append(dst, 't'), nil
	}
	return append(dst, 'f'), nil
}

func decodeUUID(dst, field []byte, format Format) ([]byte, error) {
	if format == BinaryFormat {
		if len(field) != 16 {
			return dst, errValue
		}
		return append(dst, field...), nil
	}
	return parseUUID(dst, field)
}

// parseUUID appends the 16 bytes of a UUID that is written as RFC 9562 does.
func parseUUID(dst, text []byte) ([]byte, error) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return dst, errValue
	}
	start := len(dst)
	for i := 0; i < len(text); i += 2 {
		if text[i] == '-' {
			i++
		}
		hi, ok1 := hexDigit(text[i])
		lo, ok2 := hexDigit(text[i+1])
		if !ok1 || !ok2 {
			return dst[:start], errValue
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst, nil
}

func hexDigit(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}

func encodeUUID(dst, v []byte, format Format) ([]byte, error) {
	if len(v) != 16 {
		return dst, errors.New("a stand-in is no uuid")
	}
	if format == BinaryFormat {
		return append(dst, v...), nil
	}
	return appendUUID(dst, v), nil
}

func appendUUID(dst, v []byte) []byte {
	for i, b := range v {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		const digits = "0123456789abcdef"
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

func decodeBytes(dst, field []byte, format Format) ([]byte, error) {
	if format == BinaryFormat {
		return append(dst, field...), nil
	}
	digits, ok := bytes.CutPrefix(field, []byte(`\x`))
	if !ok {
		return dst, errValue // bytea_output is hex in our sessions
	}
	out, err := hex.AppendDecode(dst, digits)
	if err != nil {
		return dst, errValue
	}
	return out, nil
}
