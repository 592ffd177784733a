package twin

import (
	"testing"
	"time"
)

func TestHumanBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 999: "999 B", 1000: "1.0 kB", 1234: "1.2 kB",
		99_940: "99.9 kB", 99_960: "100 kB", 780_000_000: "780 MB",
		999_499: "999 kB", 999_500: "1.0 MB", 1_200_000_000: "1.2 GB",
		45_600_000_000_000: "45.6 TB", 2_000_000_000_000_000: "2.0 PB",
	} {
		if got := HumanBytes(n); got != want {
			t.Errorf("HumanBytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestHumanDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second:                            "0.0 s",
		40 * time.Millisecond:                   "0.0 s",
		350 * time.Millisecond:                  "0.4 s",
		9940 * time.Millisecond:                 "9.9 s",
		9960 * time.Millisecond:                 "10 s",
		42 * time.Second:                        "42 s",
		59600 * time.Millisecond:                "1 m",
		192 * time.Second:                       "3 m 12 s",
		59*time.Minute + 59700*time.Millisecond: "1 h",
		2 * time.Hour:                           "2 h",
		125*time.Minute + 10*time.Second:        "2 h 5 m",
		50 * time.Hour:                          "50 h",
		119*time.Minute + 45*time.Second:        "2 h",
	} {
		if got := HumanDuration(d); got != want {
			t.Errorf("HumanDuration(%v) = %q, want %q", d, got, want)
		}
	}
	if got := HumanSeconds(192.4); got != "3 m 12 s" {
		t.Errorf("HumanSeconds(192.4) = %q", got)
	}
}

func TestHumanCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 123456: "123,456",
		1234567: "1,234,567", -12: "-12", -123: "-123", -1234: "-1,234",
	} {
		if got := HumanCount(n); got != want {
			t.Errorf("HumanCount(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 tables", 1: "1 table", 1200: "1,200 tables"} {
		if got := HumanPlural(n, "table"); got != want {
			t.Errorf("HumanPlural(%d) = %q, want %q", n, got, want)
		}
	}
	if got := HumanPlural(2, "index"); got != "2 indexes" {
		t.Errorf("HumanPlural(2, index) = %q", got)
	}
}

// TestWords holds every phase and code to words of its own.
func TestWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{Phase("").Doing(): true, Code("").Words(): true}
	for _, p := range Phases() {
		if w := p.Doing(); seen[w] {
			t.Errorf("phase %s has no words of its own: %q", p, w)
		} else {
			seen[w] = true
		}
	}
	for _, c := range []Code{
		CodeRefused, CodeSource, CodeTarget, CodePermission, CodeSchema, CodeData,
		CodeVerify, CodeConflict, CodeYielded, CodeCapacity, CodeNeon, CodeConfig,
		CodeInterrupted, CodeInternal,
	} {
		if w := c.Words(); seen[w] {
			t.Errorf("code %s has no words of its own: %q", c, w)
		} else {
			seen[w] = true
		}
	}
}

func TestBranchCommand(t *testing.T) {
	t.Parallel()
	for want, run := range map[string]Run{
		"": {Report: &Report{Publish: Swap}},
		"neon branches create --name <yours> --parent twin":              {NeonBranch: "twin", Report: &Report{Publish: Swap}},
		"neon branches create --name <yours> --parent <the root branch>": {NeonBranch: "twin", Report: &Report{Publish: Branch}},
	} {
		if got := run.BranchCommand(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
