package mask

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"unicode/utf8"
)

const base32Digits = "abcdefghijklmnopqrstuvwxyz234567"

// maxBase32 is how many whole characters of base 32 come of two times 64 bits.
const maxBase32 = 24

// appendBase32 appends n characters of RFC 4648's alphabet in lower case,
// five bits each.
func appendBase32(dst []byte, hi, lo uint64, n int) []byte {
	for i := range n {
		if i == 12 {
			hi = lo
		}
		dst = append(dst, base32Digits[hi&31])
		hi >>= 5
	}
	return dst
}

// certain is the chance of what is so or not.
func certain(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func buildNull(*maker) (*Masker, error) {
	return &Masker{null: true, traits: Traits{Charset: "NULL"}}, nil
}

func buildKeep(*maker) (*Masker, error) {
	return &Masker{
		traits: Traits{Unique: Preserved, Charset: "the value", Same: true, Chance: 1},
		mask:   func(dst, v, _ []byte) []byte { return append(dst, v...) },
	}, nil
}

func buildConstant(m *maker) (*Masker, error) {
	values, err := m.values([]string{m.rule.Value})
	if err != nil {
		return nil, err
	}
	v := values[0]
	return &Masker{
		blank:  true,
		traits: Traits{MaxLen: utf8.RuneCount(v), MinLen: utf8.RuneCount(v), Charset: "the rule's value", Same: true, Chance: 1},
		mask:   func(dst, _, _ []byte) []byte { return append(dst, v...) },
	}, nil
}

// buildRedact hides the length too.
func buildRedact(m *maker) (*Masker, error) {
	text := redacted[:m.room(len(redacted))]
	return &Masker{
		traits: Traits{MaxLen: len(text), MinLen: len(text), Charset: "[redacted]"},
		chance: func(v []byte) float64 { return certain(string(v) == text) },
		mask:   func(dst, _, _ []byte) []byte { return append(dst, text...) },
	}, nil
}

// buildKeepPart shows at most half of a value, however short it is.
func buildKeepPart(m *maker) (*Masker, error) {
	if m.rule.Keep <= 0 {
		return nil, errors.New("keep must say how many characters are shown")
	}
	show, first := m.rule.Keep, m.rule.Class == KeepFirst
	return &Masker{
		traits: Traits{Charset: "the value's and *"},
		// It is unchanged if only stars were hidden.
		chance: func(v []byte) float64 {
			n := utf8.RuneCount(v)
			return certain(bytes.Count(v, []byte("*")) >= n-min(show, n/2))
		},
		mask: func(dst, v, _ []byte) []byte {
			n := utf8.RuneCount(v)
			from, to := n-min(show, n/2), n
			if first {
				from, to = 0, min(show, n/2)
			}
			for i := 0; len(v) > 0; i++ {
				_, width := utf8.DecodeRune(v)
				if i >= from && i < to {
					dst = append(dst, v[:width]...)
				} else {
					dst = append(dst, '*')
				}
				v = v[width:]
			}
			return dst
		},
	}, nil
}

// buildHash gives SipHash-128 in base 32, as much as fits.
func buildHash(m *maker) (*Masker, error) {
	key, n := m.key, m.room(maxBase32)
	return &Masker{
		traits: Traits{Unique: Probable, Bits: 5 * n, MaxLen: n, MinLen: n, Charset: "a-z2-7", Chance: math.Ldexp(1, -5*n)},
		mask: func(dst, v, _ []byte) []byte {
			hi, lo := key.sum128(v)
			return appendBase32(dst, hi, lo, n)
		},
	}, nil
}

// buildBoolean throws a coin for whom the row is about. A function of the
// value alone would keep it or turn it round, which hides nothing: without an
// entity all are false.
func buildBoolean(m *maker) (*Masker, error) {
	key := m.key
	return &Masker{
		traits: Traits{MaxLen: 1, Charset: "t, f", Same: true, Chance: 0.5, Entity: true},
		mask: func(dst, _, entity []byte) []byte {
			if len(entity) > 0 && key.sum64(entity)>>63 == 1 {
				return append(dst, 't')
			}
			return append(dst, 'f')
		},
	}, nil
}

// buildEnum permutes the labels: those of the rule, of the enum, or of a CHECK.
// What is none of them becomes the first.
func buildEnum(m *maker) (*Masker, error) {
	all := m.col.Labels
	if len(all) == 0 {
		all = m.col.Allowed
	}
	list := m.rule.Values
	if len(list) == 0 {
		list = all
	}
	if len(list) < 2 {
		return nil, errors.New("there are fewer than two labels to permute")
	}
	labels, err := m.values(list)
	if err != nil {
		return nil, err
	}
	order := m.key.shuffle(len(labels))
	shortest, longest := lengths(labels)
	to := make(map[string][]byte, len(labels))
	for i, label := range labels {
		to[string(label)] = labels[order[i]]
	}
	if len(to) != len(labels) {
		return nil, errors.New("a label is listed twice")
	}
	unique := Preserved
	if len(all) == 0 || slices.ContainsFunc(all, func(label string) bool { return !slices.Contains(list, label) }) {
		unique = Lossy
	}
	return &Masker{
		ways:   uint64(len(labels)),
		traits: Traits{Unique: unique, MaxLen: longest, MinLen: shortest, Charset: "the labels", Same: true, Chance: 1 / float64(len(labels))},
		mask: func(dst, v, _ []byte) []byte {
			if label, ok := to[string(v)]; ok {
				return append(dst, label...)
			}
			return append(dst, labels[0]...)
		},
	}, nil
}

func lengths(values [][]byte) (shortest, longest int) {
	shortest = unbounded
	for _, v := range values {
		n := utf8.RuneCount(v)
		shortest, longest = min(shortest, n), max(longest, n)
	}
	return shortest, longest
}

func buildChoice(m *maker) (*Masker, error) {
	values, err := m.values(m.rule.Values)
	if err != nil {
		return nil, err
	}
	shortest, longest := lengths(values)
	key, n := m.key, uint64(len(values))
	return &Masker{
		traits: Traits{MaxLen: longest, MinLen: shortest, Charset: "the rule's values", Same: true, Chance: 1 / float64(n)},
		mask: func(dst, v, _ []byte) []byte {
			return append(dst, values[below(key.sum64(v), n)]...)
		},
	}, nil
}

// buildBytes gives as many bytes that say nothing. They are no image and no
// document of any kind.
func buildBytes(m *maker) (*Masker, error) {
	key := m.key
	return &Masker{
		traits: Traits{Charset: "bytes"},
		chance: func(v []byte) float64 { return math.Pow(256, -float64(len(v))) },
		mask: func(dst, v, _ []byte) []byte {
			s := key.stream(v)
			var word uint64
			for i := range v {
				if i%8 == 0 {
					word = s.next()
				}
				dst = append(dst, byte(word))
				word >>= 8
			}
			return dst
		},
	}, nil
}
