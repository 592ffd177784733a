package mask_test

import (
	"testing"
	"unicode/utf8"

	"github.com/dchest/siphash"
)

// The function under everything gives what its authors published.
func TestSipHashVector(t *testing.T) {
	t.Parallel()
	in := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}
	if got := siphash.Hash(0x0706050403020100, 0x0f0e0d0c0b0a0908, in); got != 0xa129ca6149be45e5 {
		t.Errorf("SipHash-2-4 gives %x", got)
	}
}

func TestNumbersArePermuted(t *testing.T) {
	t.Parallel()
	k := secret(t).Domain("numbers")
	for _, size := range []uint64{1, 2, 3, 4, 5, 10, 26, 97, 128, 1000, 4097, 65536} {
		seen := make([]bool, size)
		for v := range size {
			out := k.PermuteBelow(size, v)
			if out >= size || seen[out] {
				t.Fatalf("below %d: %d goes to %d, which is taken or outside", size, v, out)
			}
			seen[out] = true
		}
	}
	for _, size := range []uint64{1<<31 - 1, 1 << 62, 1<<63 - 1, 1 << 63} {
		for v := size - 5; v < size; v++ {
			if out := k.PermuteBelow(size, v); out >= size {
				t.Errorf("below %d: %d goes to %d", size, v, out)
			}
		}
	}
}

func TestBitsArePermuted(t *testing.T) {
	t.Parallel()
	k := secret(t).Domain("bits")
	for width := uint(0); width <= 14; width++ {
		seen := map[uint64]bool{}
		for v := range uint64(1) << width {
			hi, lo := k.PermuteBits(3, 0xabcd<<14|v, width)
			if hi != 3 || lo>>width != (0xabcd<<14|v)>>width || seen[lo] {
				t.Fatalf("%d bits: %x goes to %x %x", width, v, hi, lo)
			}
			seen[lo] = true
		}
	}
	for width := uint(60); width <= 128; width++ {
		seen := map[[2]uint64]bool{}
		for v := range uint64(200) {
			hi, lo := k.PermuteBits(^uint64(0), ^v, width)
			if width < 64 && lo>>width != ^v>>width || width < 128 && width >= 64 && hi>>(width-64) != ^uint64(0)>>(width-64) || seen[[2]uint64{hi, lo}] {
				t.Fatalf("%d bits: %x goes to %x %x", width, ^v, hi, lo)
			}
			seen[[2]uint64{hi, lo}] = true
		}
	}
}

// All texts of one shape stay apart, and of that shape.
func TestTextIsPermuted(t *testing.T) {
	t.Parallel()
	k := secret(t).Domain("text")
	seen := map[string]bool{}
	for i := range 26 * 10 * 10 * 26 {
		in := string([]byte{byte('a' + i%26), '-', byte('0' + i/26%10), byte('0' + i/260%10), byte('A' + i/2600)})
		out := []byte(in)
		k.PermuteText(out)
		if seen[string(out)] || out[0] < 'a' || out[0] > 'z' || out[1] != '-' || out[4] < 'A' || out[4] > 'Z' {
			t.Fatalf("%s goes to %s", in, out)
		}
		seen[string(out)] = true
	}
}

func FuzzPermuteText(f *testing.F) {
	for _, s := range []string{"", "a", "12", "4111111111111111", "ab-12-CD", "ABCDEFGHIJKLMNOPQRST", "Zoë Müller 12", "Алёна", "田中さくら", "김민준", "أحمد", "x\xffy", "😀😁", "\u07ff\u0800"} {
		f.Add(s, s+"1")
	}
	long := "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"
	f.Add(long, long[:len(long)-1]+"y")
	f.Add(long, "1"+long[1:])
	k := secret(f).Domain("text")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := []byte(a), []byte(b)
		k.PermuteText(x)
		k.PermuteText(y)
		slow := []byte(a)
		if k.PermuteTextSlowly(slow); string(slow) != string(x) {
			t.Errorf("%q goes to %q, and the long way to %q", a, x, slow)
		}
		if len(x) != len(a) || utf8.ValidString(a) != utf8.Valid(x) || utf8.RuneCountInString(a) != utf8.RuneCount(x) {
			t.Errorf("%q goes to %q", a, x)
		}
		if utf8.ValidString(a) && utf8.ValidString(b) && (a == b) != (string(x) == string(y)) {
			t.Errorf("%q and %q go to %q and %q", a, b, x, y)
		}
	})
}

// BenchmarkSipHash is what the other benchmarks are measured by.
func BenchmarkSipHash(b *testing.B) {
	v := []byte("Lovelace, Ada")
	b.ReportAllocs()
	for b.Loop() {
		siphash.Hash(1, 2, v)
	}
}
