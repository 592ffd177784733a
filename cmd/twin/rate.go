package main

import (
	"fmt"
	"strconv"
	"strings"
)

// bytesPerSecond is a rate as a person writes it: 50MB, 1.5 GiB, 800000.
type bytesPerSecond int64

// units are the endings of a size. Longer ones come before those they end in.
var units = []struct {
	ending string
	bytes  float64
}{
	{"kib", 1 << 10},
	{"mib", 1 << 20},
	{"gib", 1 << 30},
	{"kb", 1e3},
	{"mb", 1e6},
	{"gb", 1e9},
	{"b", 1},
	{"", 1},
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *bytesPerSecond) UnmarshalText(text []byte) error {
	lower := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(string(text)), "/s"))
	for _, u := range units {
		number, ok := strings.CutSuffix(lower, u.ending)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n*u.bytes >= 1 && n*u.bytes <= 1e15) { // NaN is neither
			break
		}
		*r = bytesPerSecond(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is no size such as 50MB", text)
}
