package mask

import (
	"encoding/binary"
	"maps"
	"math"
	"math/bits"
)

// Tally is what is known of one masked column: what happened to it, and how
// many different values there were. Each part of a table has its own, and those
// of the parts that have landed are merged. The zero Tally is that of a column
// that nothing is known of yet.
type Tally struct {
	count   Count
	in, out sketch
	// same are the fingerprints of values that came out as they went in, each
	// with the chance of that: 2 to the minus so much at most.
	same map[uint64]uint8
}

// mostSame bounds how many unchanged values are told apart. Chance leaves a
// handful.
const mostSame = 1000

// Merge adds what another part of the same column came to.
func (t *Tally) Merge(other *Tally) {
	if t.count.Column == "" {
		t.count.Column, t.count.Class = other.count.Column, other.count.Class
	}
	t.count.Values += other.count.Values
	t.count.Nulls += other.count.Nulls
	t.count.Same += other.count.Same
	t.in.merge(&other.in)
	t.out.merge(&other.out)
	for fingerprint, rarity := range other.same {
		t.noteSame(fingerprint, rarity)
	}
}

// Count tells what is known so far.
func (t *Tally) Count() Count {
	c := t.count
	c.DistinctIn, c.DistinctOut, c.DistinctSame = t.in.estimate(), t.out.estimate(), int64(len(t.same))
	return c
}

// unlikely is what chance does not explain.
const unlikely = 1e-9

// Leaks reports whether more different values came out as they went in than
// chance explains. Each counts with its own chance: one of twelve digits that
// came through proves more than a hundred of one digit.
func (t *Tally) Leaks() bool {
	n := t.in.estimate()
	n = max(n+n/16, int64(len(t.same))) // the most it can be
	var of [never2 + 1]int64
	for _, rarity := range t.same {
		of[rarity]++
	}
	count := int64(0)
	for rarity := never2; rarity >= 0; rarity-- {
		count += of[rarity]
		p := math.Ldexp(1, -rarity)
		if rarity == never2 {
			p = 0
		}
		if of[rarity] > 0 && tail(n, count, p) < unlikely {
			return true
		}
	}
	return false
}

// tail is the chance of at least k successes in n trials of chance p.
func tail(n, k int64, p float64) float64 {
	switch {
	case k <= 0 || p >= 1:
		return 1
	case p <= 0:
		return 0
	case float64(k) <= float64(n)*p:
		return 1 // about half at least, which is all the same here
	}
	lgamma := func(v int64) float64 { l, _ := math.Lgamma(float64(v)); return l }
	sum := 0.0
	for i := k; i <= n; i++ {
		term := math.Exp(lgamma(n+1) - lgamma(i+1) - lgamma(n-i+1) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
		if sum += term; term <= sum*1e-12 {
			break
		}
	}
	return sum
}

// never2 is the rarity of what can't happen: 2 to the minus 40, less than
// 10^-12.
const never2 = 40

// rarity is how many times a chance is halved.
func rarity(chance float64) uint8 {
	if chance <= 0 {
		return never2
	}
	return uint8(min(max(-math.Log2(chance), 0), never2))
}

// drop notes a value that becomes NULL.
func (c *cell) drop(field []byte) {
	c.tally.count.Values++
	c.tally.in.add(fingerprint(field))
}

// saw notes a value and its stand-in.
func (t *Tally) saw(v, standIn []byte) {
	t.count.Values++
	t.in.add(fingerprint(v))
	t.out.add(fingerprint(standIn))
}

// sawSame notes a value that came out as it went in.
func (t *Tally) sawSame(v []byte, chance float64) {
	t.count.Same++
	t.noteSame(fingerprint(v), rarity(chance))
}

func (t *Tally) noteSame(fingerprint uint64, rarity uint8) {
	if _, known := t.same[fingerprint]; !known && len(t.same) >= mostSame {
		return
	}
	if t.same == nil {
		t.same = map[uint64]uint8{}
	}
	t.same[fingerprint] = rarity
}

// clone is a copy that shares nothing.
func (t *Tally) clone() *Tally {
	c := *t
	c.in, c.out, c.same = t.in.clone(), t.out.clone(), maps.Clone(t.same)
	return &c
}

// fingerprint is a hash for counting. It is the same in each run, so that
// equal runs have equal reports; it protects nothing.
func fingerprint(b []byte) uint64 {
	const a, c = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	h := uint64(len(b))*c ^ a
	for ; len(b) >= 8; b = b[8:] {
		h = fold(h^binary.LittleEndian.Uint64(b), a)
	}
	var last uint64
	for i, v := range b {
		last |= uint64(v) << (8 * i)
	}
	h = fold(h^last, c)
	h ^= h >> 32
	h *= c
	return h ^ h>>29
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// A sketch tells how many different numbers it was given: exactly up to
// fewMost, and within one or two percent beyond, as HyperLogLog does (Flajolet
// et al. 2007). It takes 8 KB and never more.
type sketch struct {
	few       []uint64 // a table of the numbers themselves; 0 is free
	count     int      // of few
	registers []uint8
}

const (
	fewSlots  = 1024
	fewMost   = 640
	indexBits = 13
	registers = 1 << indexBits
	rankMost  = 64 - indexBits
)

func (s *sketch) add(h uint64) {
	if s.registers != nil {
		s.register(h)
		return
	}
	if s.few == nil {
		s.few = make([]uint64, fewSlots)
	}
	h = max(h, 1)
	for i := h % fewSlots; ; i = (i + 1) % fewSlots {
		switch s.few[i] {
		case h:
			return
		case 0:
			s.few[i] = h
			if s.count++; s.count > fewMost {
				s.spill()
			}
			return
		}
	}
}

// spill goes over from the numbers themselves to registers.
func (s *sketch) spill() {
	s.registers = make([]uint8, registers)
	for _, h := range s.few {
		if h != 0 {
			s.register(h)
		}
	}
	s.few, s.count = nil, 0
}

func (s *sketch) register(h uint64) {
	rank := uint8(bits.LeadingZeros64(h<<indexBits|1<<(indexBits-1)) + 1) //nolint:gosec // at most 52
	if at := &s.registers[h>>rankMost]; *at < rank {
		*at = rank
	}
}

func (s *sketch) merge(other *sketch) {
	for _, h := range other.few {
		if h != 0 {
			s.add(h)
		}
	}
	if other.registers == nil {
		return
	}
	if s.registers == nil {
		s.spill()
	}
	for i, rank := range other.registers {
		s.registers[i] = max(s.registers[i], rank)
	}
}

func (s *sketch) clone() sketch {
	c := *s
	c.few = append([]uint64(nil), s.few...)
	c.registers = append([]uint8(nil), s.registers...)
	return c
}

// estimate is that of Ertl (New cardinality estimation algorithms for
// HyperLogLog sketches, 2017), which needs no table of corrections.
func (s *sketch) estimate() int64 {
	if s.registers == nil {
		return int64(s.count)
	}
	var of [rankMost + 2]float64
	for _, rank := range s.registers {
		of[rank]++
	}
	z := registers * ertlTau(1-of[rankMost+1]/registers)
	for k := rankMost; k >= 1; k-- {
		z = (z + of[k]) / 2
	}
	z += registers * ertlSigma(of[0]/registers)
	return int64(math.Round(registers * registers / (2 * math.Ln2 * z)))
}

func ertlSigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for before := -1.0; z != before; y += y {
		x *= x
		before = z
		z += x * y
	}
	return z
}

func ertlTau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for before := -1.0; z != before; {
		x = math.Sqrt(x)
		before = z
		y /= 2
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}
