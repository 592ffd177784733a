package twin_test

import (
	"testing"

	"github.com/neontwin/neontwin/internal/twin"
)

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"50MB": 50e6, "1.5 GiB": 3 << 29, "800000": 800000, "64kb/s": 64000, "10b": 10, "1mib": 1 << 20,
	} {
		if n, err := twin.ParseRate(text); err != nil || n != want {
			t.Errorf("%s is %d, %v, want %d", text, n, err, want)
		}
	}
	for _, text := range []string{"", "MB", "fast", "-3MB", "0", "1e300GB", "NaN", "5 TB", "+Inf"} {
		if n, err := twin.ParseRate(text); err == nil {
			t.Errorf("%q is taken for %d", text, n)
		}
	}
}
