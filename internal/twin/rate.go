package twin

import (
	"errors"
	"strconv"
	"strings"
)

// rateUnits are the endings of a rate. Longer ones come before those they end in.
var rateUnits = []struct {
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

// ParseRate reads bytes a second as a person writes them: 50MB, 1.5 GiB,
// 800000, 64kB/s. Its error does not repeat the text.
func ParseRate(text string) (int64, error) {
	lower := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(text), "/s"))
	for _, u := range rateUnits {
		number, ok := strings.CutSuffix(lower, u.ending)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n*u.bytes >= 1 && n*u.bytes <= 1e15) { // NaN is neither
			break
		}
		return int64(n * u.bytes), nil
	}
	return 0, errors.New("must be a number of bytes a second such as 20MB")
}
