package mask

import (
	"bytes"
	"encoding/binary"
)

// buildHStore masks the values of an hstore, each by the rule for its key or
// by the rest's. Keys that look like words are kept.
func buildHStore(m *maker) (*Masker, error) {
	d, err := m.document()
	if err != nil {
		return nil, err
	}
	mask := func(dst, v, entity []byte, chance *float64) []byte {
		start := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		count := uint32(0)
		_ = eachPair(v, func(key, value []byte, null bool) {
			count++
			rule := d.at([][]byte{key}, &d.rest)
			from := len(dst)
			dst = d.appendKey(append(dst, 0, 0, 0, 0), key)
			putSize(dst[from:])
			from = len(dst)
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			switch {
			case null || rule.null:
				return
			case rule.keep:
				dst = append(dst, value...)
			default:
				dst = rule.mask(dst, value, entity, chance)
			}
			putSize(dst[from:])
		})
		binary.BigEndian.PutUint32(dst[start:], count)
		return dst
	}
	return &Masker{
		traits: Traits{Charset: "pairs"},
		chance: chanceOf(mask),
		mask:   func(dst, v, entity []byte) []byte { return mask(dst, v, entity, nil) },
	}, nil
}

// putSize writes the length of what follows the first four bytes into them.
func putSize(b []byte) {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4)) //nolint:gosec // a field has at most 1 GB
}

// eachPair calls f for each pair of an hstore as it is sent in binary.
func eachPair(v []byte, f func(key, value []byte, null bool)) error {
	if len(v) < 4 {
		return errValue
	}
	count := binary.BigEndian.Uint32(v)
	v = v[4:]
	piece := func() (b []byte, null, ok bool) {
		if len(v) < 4 {
			return nil, false, false
		}
		size := binary.BigEndian.Uint32(v)
		v = v[4:]
		if size == 1<<32-1 {
			return nil, true, true
		}
		if uint64(len(v)) < uint64(size) {
			return nil, false, false
		}
		b, v = v[:size], v[size:]
		return b, false, true
	}
	for range count {
		key, nullKey, ok1 := piece()
		value, null, ok2 := piece()
		if !ok1 || !ok2 || nullKey {
			return errValue
		}
		f(key, value, null)
	}
	if len(v) > 0 {
		return errValue
	}
	return nil
}

// decodeHStore appends the binary form: "a"=>"1", "b"=>NULL.
func decodeHStore(dst, field []byte, format Format) ([]byte, error) {
	if format == BinaryFormat {
		return append(dst, field...), eachPair(field, func(_, _ []byte, _ bool) {})
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	count := uint32(0)
	for rest := field; len(rest) > 0; count++ {
		var ok bool
		if dst, rest, ok = takeQuoted(dst, rest); !ok || !bytes.HasPrefix(rest, []byte("=>")) {
			return dst, errValue
		}
		rest = rest[2:]
		if after, null := bytes.CutPrefix(rest, []byte("NULL")); null {
			dst, rest = append(dst, 0xff, 0xff, 0xff, 0xff), after
		} else if dst, rest, ok = takeQuoted(dst, rest); !ok {
			return dst, errValue
		}
		if len(rest) > 0 {
			if rest, ok = bytes.CutPrefix(rest, []byte(", ")); !ok {
				return dst, errValue
			}
		}
	}
	binary.BigEndian.PutUint32(dst[start:], count)
	return dst, nil
}

// takeQuoted appends the quoted word that v begins with, after its length.
func takeQuoted(dst, v []byte) (out, rest []byte, ok bool) {
	if len(v) == 0 || v[0] != '"' {
		return dst, v, false
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '"':
			putSize(dst[start:])
			return dst, v[i+1:], true
		case '\\':
			if i++; i == len(v) {
				return dst, v, false
			}
		}
		dst = append(dst, v[i])
	}
	return dst, v, false
}

func encodeHStore(dst, v []byte, format Format) ([]byte, error) {
	if format == BinaryFormat {
		return append(dst, v...), nil
	}
	first := true
	err := eachPair(v, func(key, value []byte, null bool) {
		if !first {
			dst = append(dst, ", "...)
		}
		first = false
		dst = append(appendQuoted(dst, key), "=>"...)
		if null {
			dst = append(dst, "NULL"...)
		} else {
			dst = appendQuoted(dst, value)
		}
	})
	return dst, err
}

// appendQuoted appends v as arrays and hstore quote it.
func appendQuoted(dst, v []byte) []byte {
	dst = append(dst, '"')
	for _, b := range v {
		if b == '"' || b == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, b)
	}
	return append(dst, '"')
}
