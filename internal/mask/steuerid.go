package mask

import (
	"bytes"
	"math/bits"
	"sync"
)

// Of the first ten digits of a German Steuer-ID one stands there two or three
// times, and all others once at most. That is one number in thirty: these are
// counted through, so that they can be permuted as numbers.

// repeatPlaces are the places, as bits, where a digit may stand m times in ten.
var repeatPlaces = sync.OnceValue(func() (places [4][]uint16) {
	for set := range uint16(1 << 10) {
		if n := bits.OnesCount16(set); n == 2 || n == 3 {
			places[n] = append(places[n], set)
		}
	}
	return places
})

// arrangements are how many ways there are to fill the other places.
var arrangements = [4]uint64{2: 9 * 8 * 7 * 6 * 5 * 4 * 3 * 2, 3: 9 * 8 * 7 * 6 * 5 * 4 * 3}

// steuerRepeat finds the digit that stands there m times; ok is false if the
// digits are not as they must be.
func steuerRepeat(id []byte) (d byte, m int, ok bool) {
	var counts [10]int
	for _, b := range id[:10] {
		counts[b-'0']++
	}
	for i, n := range counts {
		switch {
		case n > 3 || n > 1 && m > 0:
			return 0, 0, false
		case n > 1:
			d, m = byte(i), n
		}
	}
	return d, m, m > 0
}

// validSteuerID checks the digits, of which the first is not zero and three
// equal ones don't stand together, and the check digit (ISO 7064, MOD 11,10).
func validSteuerID(id []byte) bool {
	if !allDigits(id) || id[0] == '0' {
		return false
	}
	d, _, ok := steuerRepeat(id)
	return ok && !bytes.Contains(id[:10], []byte{'0' + d, '0' + d, '0' + d}) && id[10] == checkSteuerID(id)
}

func checkSteuerID(id []byte) byte {
	product := 10
	for _, b := range id[:10] {
		sum := (int(b-'0') + product) % 10
		if sum == 0 {
			sum = 10
		}
		product = sum * 2 % 11
	}
	return byte('0' + (11-product)%10)
}

func permuteSteuerID(k Key, id []byte) {
	d, m, ok := steuerRepeat(id)
	if !ok {
		return
	}
	places := repeatPlaces()[m]
	size := 10 * uint64(len(places)) * arrangements[m]
	n := newNumbers(k, size).at(uint64(m), steuerRank(id, d, places)) //nolint:gosec // 2 or 3
	steuerUnrank(id, n, m, places)
	id[10] = checkSteuerID(id)
}

func steuerRank(id []byte, d byte, places []uint16) uint64 {
	var set uint16
	for i, b := range id[:10] {
		if b-'0' == d {
			set |= 1 << i
		}
	}
	n := uint64(d)*uint64(len(places)) + uint64(indexOf(places, set)) //nolint:gosec // not negative
	free := uint16(1<<10-1) &^ (1 << d)                               // digits that are left
	for i, b := range id[:10] {
		if set>>i&1 == 0 {
			below := bits.OnesCount16(free & (1<<(b-'0') - 1))
			n = n*uint64(bits.OnesCount16(free)) + uint64(below) //nolint:gosec // not negative
			free &^= 1 << (b - '0')
		}
	}
	return n
}

func steuerUnrank(id []byte, n uint64, m int, places []uint16) {
	var at [9]uint64                                                  // the index of each digit among those that were left
	for i, size := 10-m-1, uint64(m); i >= 0; i, size = i-1, size+1 { //nolint:gosec // 2 or 3
		at[i], n = n%size, n/size
	}
	set, d := places[n%uint64(len(places))], byte(n/uint64(len(places))) //nolint:gosec // below 10
	free := uint16(1<<10-1) &^ (1 << d)
	next := 0
	for i := range 10 {
		digit := d
		if set>>i&1 == 0 {
			left := free
			for range at[next] {
				left &= left - 1
			}
			next++
			digit = byte(bits.TrailingZeros16(left)) //nolint:gosec // below 10
			free &^= 1 << digit
		}
		id[i] = '0' + digit
	}
}

func indexOf(places []uint16, set uint16) int {
	for i, p := range places {
		if p == set {
			return i
		}
	}
	return 0
}
