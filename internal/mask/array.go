package mask

import (
	"bytes"
	"encoding/binary"
)

// one replaces one value; it appends the new one to dst.
type one func(dst, value []byte) ([]byte, error)

// array replaces the elements of an array of any number of dimensions; its
// bounds and its NULLs are kept.
func array(dst, field []byte, format Format, f one) ([]byte, error) {
	if format == BinaryFormat {
		return arrayBinary(dst, field, f)
	}
	return arrayText(dst, field, f)
}

// arrayBinary reads what array_send writes: dimensions, whether there are
// NULLs, the element's type, a length and lower bound for each dimension, then
// the elements. The type's OID is kept: the server compares it with its own.
func arrayBinary(dst, field []byte, f one) ([]byte, error) {
	if len(field) < 12 {
		return dst, errValue
	}
	dims := binary.BigEndian.Uint32(field)
	if dims > 6 || len(field) < 12+8*int(dims) {
		return dst, errValue
	}
	head := 12 + 8*int(dims)
	dst = append(dst, field[:head]...)
	rest := field[head:]
	for len(rest) > 0 {
		if len(rest) < 4 {
			return dst, errValue
		}
		size := binary.BigEndian.Uint32(rest)
		if size == 1<<32-1 {
			dst, rest = append(dst, rest[:4]...), rest[4:]
			continue
		}
		if int64(len(rest)-4) < int64(size) {
			return dst, errValue
		}
		at := len(dst)
		var err error
		if dst, err = f(append(dst, 0, 0, 0, 0), rest[4:4+size]); err != nil {
			return dst, err
		}
		putSize(dst[at:])
		rest = rest[4+size:]
	}
	return dst, nil
}

// arrayText reads what array_out writes, such as [0:1]={a,"b c",NULL}.
func arrayText(dst, field []byte, f one) ([]byte, error) {
	open := bytes.IndexByte(field, '{')
	if open < 0 {
		return dst, errValue
	}
	dst = append(dst, field[:open]...)
	var plain, made []byte
	for i := open; i < len(field); {
		switch b := field[i]; b {
		case '{', '}', ',':
			dst = append(dst, b)
			i++
			continue
		case '"':
			var ok bool
			if plain, i, ok = arrayQuoted(plain[:0], field, i+1); !ok {
				return dst, errValue
			}
		default:
			size := bytes.IndexAny(field[i:], ",}")
			if size < 0 {
				return dst, errValue
			}
			plain = append(plain[:0], field[i:i+size]...)
			i += size
			if string(plain) == "NULL" {
				dst = append(dst, plain...)
				continue
			}
		}
		var err error
		if made, err = f(made[:0], plain); err != nil {
			return dst, err
		}
		dst = appendQuoted(dst, made)
	}
	return dst, nil
}

func arrayQuoted(plain, field []byte, i int) (text []byte, next int, ok bool) {
	for ; i < len(field); i++ {
		switch field[i] {
		case '"':
			return plain, i + 1, true
		case '\\':
			if i++; i == len(field) {
				return plain, i, false
			}
		}
		plain = append(plain, field[i])
	}
	return plain, i, false
}
