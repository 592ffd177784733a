package mask

import (
	"encoding/binary"
	"math"
)

// rounds is how often a Feistel network mixes; ten as in FF1 (NIST SP 800-38G).
const rounds = 10

// wideRounds is for halves of 48 bits and more. Four are a strong pseudorandom
// permutation there (Luby and Rackoff, 1988) for as many values as a table can
// have; two more cost little.
const wideRounds = 6

// round is the pseudorandom function of one Feistel round.
func (k Key) round(tweak uint64, n byte, half uint64) uint64 {
	var b [17]byte
	binary.LittleEndian.PutUint64(b[:], tweak)
	binary.LittleEndian.PutUint64(b[8:], half)
	b[16] = n
	return k.sum64(b[:])
}

// shortRound is round for halves below 2^48: one block less to hash.
func (k Key) shortRound(tweak uint64, n byte, half uint64) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], tweak)
	binary.LittleEndian.PutUint64(b[8:], half)
	b[14] = n
	return k.sum64(b[:15])
}

// short is what both halves must lie below.
const short = 1 << 48

// numbers permutes the integers below size, at most 2^63: a Feistel network
// on Z_a x Z_b with a*b just above size (Black and Rogaway, Ciphers with
// Arbitrary Finite Domains), with cycle walking: what lands outside is permuted
// again.
type numbers struct {
	key        Key
	size, a, b uint64
}

func newNumbers(key Key, size uint64) numbers {
	if size == 0 || size > 1<<63 {
		panic("mask: a permutation of no size")
	}
	a := max(uint64(math.Sqrt(float64(size))), 1)
	return numbers{key: key, size: size, a: a, b: (size + a - 1) / a}
}

// at gives the number that v is permuted to; v must lie below the size.
func (p numbers) at(tweak, v uint64) uint64 {
	for {
		left, right := p.key.feistel(tweak, v/p.b, v%p.b, p.a, p.b)
		if v = left*p.b + right; v < p.size {
			return v
		}
	}
}

// feistel permutes the pairs of numbers below a and b.
func (k Key) feistel(tweak, left, right, a, b uint64) (newLeft, newRight uint64) {
	if a <= short && b <= short {
		for n := byte(0); n < rounds; n += 2 {
			if left += below(k.shortRound(tweak, n, right), a); left >= a {
				left -= a
			}
			if right += below(k.shortRound(tweak, n+1, left), b); right >= b {
				right -= b
			}
		}
		return left, right
	}
	for n := byte(0); n < rounds; n += 2 {
		if left += below(k.round(tweak, n, right), a); left >= a {
			left -= a
		}
		if right += below(k.round(tweak, n+1, left), b); right >= b {
			right -= b
		}
	}
	return left, right
}

// permuteBits permutes the lowest width bits of a number of 128 bits and keeps
// the others: a Feistel network on two halves that may differ by one bit.
func (k Key) permuteBits(tweak, hi, lo uint64, width uint) (newHi, newLo uint64) {
	low := (width + 1) / 2
	right, left := bitsAt(hi, lo, 0, low), bitsAt(hi, lo, low, width-low)
	last := byte(rounds)
	if width >= 96 {
		last = wideRounds
	}
	for n := byte(0); n < last; n += 2 {
		left ^= k.round(tweak, n, right) & ones(width-low)
		right ^= k.round(tweak, n+1, left) & ones(low)
	}
	hi, lo = setBits(hi, lo, 0, low, right)
	return setBits(hi, lo, low, width-low, left)
}

// ones has its lowest n bits set, n at most 64.
func ones(n uint) uint64 {
	if n >= 64 {
		return math.MaxUint64
	}
	return 1<<n - 1
}

// bitsAt reads n bits of a number of 128 bits, at most 64, from bit at on.
func bitsAt(hi, lo uint64, at, n uint) uint64 {
	if at >= 64 {
		return hi >> (at - 64) & ones(n)
	}
	return (lo>>at | hi<<(64-at)) & ones(n) // a shift by 64 gives 0
}

// setBits writes n bits of a number of 128 bits.
func setBits(hi, lo uint64, at, n uint, v uint64) (newHi, newLo uint64) {
	v &= ones(n)
	if at >= 64 {
		return hi&^(ones(n)<<(at-64)) | v<<(at-64), lo
	}
	return hi&^(ones(n)>>(64-at)) | v>>(64-at), lo&^(ones(n)<<at) | v<<at
}

// shuffle gives a permutation of the numbers below n, for small n
// (Fisher and Yates).
func (k Key) shuffle(n int) []int {
	order := make([]int, n)
	s := k.stream([]byte("\x00shuffle"))
	for i := range order {
		j := s.pick(i + 1)
		order[i] = order[j]
		order[j] = i
	}
	return order
}
