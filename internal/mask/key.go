package mask

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"

	"github.com/dchest/siphash"
)

// secretSize is the length of a Twin's secret in bytes.
const secretSize = 32

// redacted stands wherever a key would be printed.
const redacted = "[redacted]"

// Secret is what all stand-ins of a Twin depend on. Who has it can tell which
// stand-in belongs to a value that he guesses, and can undo the maskers that
// permute. Printed, logged or encoded in any way it reads [redacted].
//
// The bytes lie behind a pointer: fmt prints the fields of an unexported field
// without asking its methods.
type Secret struct{ bytes *[secretSize]byte }

// ParseSecret reads a secret of 64 hexadecimal digits. There is no default
// one: a secret that is missing, too short or visibly not random is an error.
// The error never repeats the text.
func ParseSecret(text string) (Secret, error) {
	if text == "" {
		return Secret{}, errors.New("read masking key: it is not set")
	}
	if len(text) != 2*secretSize {
		return Secret{}, fmt.Errorf("read masking key: it must have %d hexadecimal digits, not %d characters", 2*secretSize, len(text))
	}
	var b [secretSize]byte
	if _, err := hex.Decode(b[:], []byte(text)); err != nil {
		return Secret{}, errors.New("read masking key: it has characters that are no hexadecimal digits")
	}
	if repeats(b[:]) {
		return Secret{}, errors.New("read masking key: it repeats itself, so it was not made at random; openssl rand -hex 32 makes one")
	}
	return Secret{bytes: &b}, nil
}

// repeats tells a placeholder from a random secret: 32 random bytes have fewer
// than twelve different values once in more than 10^20 times. Bytes that count
// up or down in equal steps are no secret either.
func repeats(b []byte) bool {
	var seen, steps [256]bool
	values, strides := 0, 0
	last := byte(0)
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			values++
		}
		if step := c - last; !steps[step] {
			steps[step] = true
			strides++
		}
		last = c
	}
	return values < 12 || strides < 8
}

// IsZero reports whether the secret was never set.
func (s Secret) IsZero() bool { return s.bytes == nil }

// ID names the secret without telling it: eight characters that are the same
// for the same secret, and different for nearly every other. Reports carry it,
// so that a rotation can be seen.
func (s Secret) ID() string {
	if s.bytes == nil {
		return ""
	}
	return base32.StdEncoding.EncodeToString(s.derive("mask/v1/id", 5))
}

// Domain gives the key of a domain. A domain is what values mean (email,
// person.first, customer id), not where they stand: equal values of a domain
// have equal stand-ins in every table, and nothing can be joined across two
// domains. The zero secret gives the zero key, which New refuses.
func (s Secret) Domain(name string) Key {
	if s.bytes == nil {
		return Key{}
	}
	b := s.derive("mask/v1/domain/"+name, 16)
	return Key{halves: &[2]uint64{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}}
}

// derive is HKDF-SHA256 (RFC 5869). Its salt is empty: the secret is already
// uniform, and the info keeps the outputs apart.
func (s Secret) derive(info string, size int) []byte {
	b, err := hkdf.Key(sha256.New, s.bytes[:], nil, info, size)
	if err != nil {
		panic("mask: " + err.Error()) // only sizes beyond 8160 bytes are refused
	}
	return b
}

// String is not the secret.
func (s Secret) String() string { return redacted }

// GoString is not the secret.
func (s Secret) GoString() string { return redacted }

// Format prints the same for every verb, %#v and %x among them.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalJSON keeps the secret out of JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText keeps the secret out of whatever else encodes text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue keeps the secret out of log records.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Key is the secret of one domain: a key of SipHash-2-4 (Aumasson and
// Bernstein), a pseudorandom function that is quick on short input.
type Key struct{ halves *[2]uint64 }

// IsZero reports whether the key is that of no secret.
func (k Key) IsZero() bool { return k.halves == nil }

// String is not the key.
func (k Key) String() string { return redacted }

// Format prints the same for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText keeps the key out of whatever encodes text.
func (k Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// sum64 is 64 pseudorandom bits of b.
func (k Key) sum64(b []byte) uint64 { return siphash.Hash(k.halves[0], k.halves[1], b) }

// sum128 is 128 pseudorandom bits of b.
func (k Key) sum128(b []byte) (hi, lo uint64) { return siphash.Hash128(k.halves[0], k.halves[1], b) }

// sub derives a key that is independent of k's own outputs on values.
func (k Key) sub(name string) Key {
	hi, lo := k.sum128([]byte("\x00sub\x00" + name))
	return Key{halves: &[2]uint64{hi, lo}}
}

// below maps 64 uniform bits onto [0,n), by their high bits.
func below(h, n uint64) uint64 {
	hi, _ := bits.Mul64(h, n)
	return hi
}

// stream is a sequence of pseudorandom numbers that one value seeds. It is
// SplitMix64 (Steele, Lea, Flood) over a SipHash of the value: fit to pick
// words and digits, not to encrypt.
type stream struct{ state uint64 }

func (k Key) stream(b []byte) stream { return stream{k.sum64(b)} }

func (s *stream) next() uint64 {
	s.state += 0x9e3779b97f4a7c15
	z := s.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// pick gives a number in [0,n).
func (s *stream) pick(n int) int {
	return int(below(s.next(), uint64(n))) //nolint:gosec // below n, which is an int and not negative
}
