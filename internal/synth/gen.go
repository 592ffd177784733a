package synth

import "math/bits"

// gen invents the values of one column. It never changes, and any number of
// goroutines use it at once.
type gen interface {
	// value appends the value of a row as the type's input function reads it,
	// and reports false, having appended nothing, for NULL.
	value(dst []byte, r row) ([]byte, bool)
}

// row is the row that a value is made for.
type row struct {
	index int64
	// try counts how often the row was made before and did not satisfy a
	// constraint that the server alone can judge.
	try uint32
}

// seed is what random choices of one purpose follow from: two purposes have
// nothing in common. It is no secret and protects nothing.
type seed uint64

// of is the seed of a part: of a table by its name, of a column in it.
func (s seed) of(part string) seed {
	h := uint64(s) ^ 0x9e3779b97f4a7c15
	for i := range len(part) {
		h = mix(h ^ uint64(part[i])*0xff51afd7ed558ccd)
	}
	return seed(mix(h ^ uint64(len(part))))
}

// at is a random number for a row: all 64 bits are.
func (s seed) at(r row) uint64 {
	return mix(uint64(s) ^ mix(uint64(r.index)+0x9e3779b97f4a7c15*uint64(r.try+1))) //nolint:gosec // any bits do
}

// below is a random number below n for a row.
func (s seed) below(r row, n uint64) uint64 {
	hi, _ := bits.Mul64(s.at(r), n)
	return hi
}

// unit is a random number of [0, 1) for a row.
func (s seed) unit(r row) float64 { return float64(s.at(r)>>11) / (1 << 53) }

// mix is the finalizer of splitmix64 (Steele, Lea and Flood, Fast Splittable
// Pseudorandom Number Generators, 2014; constants by Stafford, variant 13).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
