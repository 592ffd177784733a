package main

import "testing"

func TestBytesPerSecond(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"50MB": 50e6, "1.5 GiB": 3 << 29, "800000": 800000, "64kb/s": 64000, "10b": 10, "1mib": 1 << 20,
	} {
		var r bytesPerSecond
		if err := r.UnmarshalText([]byte(text)); err != nil || int64(r) != want {
			t.Errorf("%s is %d, %v, want %d", text, r, err, want)
		}
	}
	for _, text := range []string{"", "MB", "fast", "-3MB", "0", "1e300GB", "NaN", "5 TB", "+Inf"} {
		var r bytesPerSecond
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, r)
		}
	}
}
