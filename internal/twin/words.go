package twin

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// HumanBytes writes a size as people read it, in decimal units: "1.2 GB".
func HumanBytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB"} {
		v /= 1000
		// Rounding decides the unit, so that nothing reads "1000 kB".
		if math.Round(v*10)/10 < 99.95 {
			return fmt.Sprintf("%.1f %s", v, unit)
		}
		if math.Round(v) < 1000 {
			return fmt.Sprintf("%.0f %s", v, unit)
		}
	}
	return fmt.Sprintf("%.1f PB", v/1000)
}

// HumanDuration writes a duration with the two units that matter: "0.4 s",
// "42 s", "3 m 12 s", "2 h 5 m". A negative one is none.
func HumanDuration(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if tenths := d.Round(100 * time.Millisecond); tenths < 10*time.Second {
		return fmt.Sprintf("%.1f s", tenths.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Minute {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	if d < time.Hour {
		return two(int64(d/time.Minute), "m", int64(d%time.Minute/time.Second), "s")
	}
	d = d.Round(time.Minute)
	return two(int64(d/time.Hour), "h", int64(d%time.Hour/time.Minute), "m")
}

// two writes a large unit and, unless it is zero, the small one after it.
func two(large int64, largeUnit string, small int64, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d %s", large, largeUnit)
	}
	return fmt.Sprintf("%d %s %d %s", large, largeUnit, small, smallUnit)
}

// HumanSeconds is HumanDuration for the seconds of a Report.
func HumanSeconds(s float64) string {
	return HumanDuration(time.Duration(s * float64(time.Second)))
}

// HumanCount writes a number with commas between the thousands: "1,234,567".
func HumanCount(n int64) string {
	s := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// HumanPlural writes a count and its noun: "1 table", "1,200 tables".
func HumanPlural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if noun == "index" {
		return HumanCount(n) + " indexes"
	}
	return HumanCount(n) + " " + noun + "s"
}

// HumanOf writes "done of total". A total is an estimate: once it is exceeded
// it says nothing any more and is left out.
func HumanOf(done, total int64, human func(int64) string) string {
	if total < done || total == 0 {
		return human(done)
	}
	return human(done) + " of " + human(total)
}

// HumanTime writes a time to the second, in UTC: readers live in all zones.
func HumanTime(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

// HumanSHA writes a commit as people name it: its first seven digits.
func HumanSHA(sha string) string { return sha[:min(len(sha), 7)] }

// Doing says what a run in phase p is at, as the beginning of a sentence.
func (p Phase) Doing() string {
	switch p {
	case Preflight:
		return "Checking source and target"
	case Select:
		return "Choosing rows"
	case Prepare:
		return "Preparing the new database"
	case Schema:
		return "Creating the schema"
	case Load:
		return "Copying rows"
	case Index:
		return "Building indexes and keys"
	case Relate:
		return "Adding foreign keys and triggers"
	case Finish:
		return "Setting sequences, refreshing views and statistics"
	case Verify:
		return "Verifying against the source"
	case Publish:
		return "Publishing"
	}
	return "Starting"
}

// BranchCommand is how a person makes a branch of a Twin that lives on Neon;
// empty for one that lives elsewhere. Under Branch it is made from the root: a
// Twin that has branches of its own could not be reset to it.
func (r Run) BranchCommand() string {
	parent := r.NeonBranch
	switch {
	case parent == "":
		return ""
	case r.Report != nil && r.Report.Publish == Branch:
		parent = "<the root branch>"
	}
	return "neon branches create --name <yours> --parent " + parent
}

// Words says in a few words what kind of failure c is, without saying who is
// to blame: "the source was not available".
func (c Code) Words() string {
	switch c {
	case CodeRefused:
		return "refused"
	case CodeSource:
		return "the source was not available"
	case CodeTarget:
		return "the target was not available"
	case CodePermission:
		return "a permission is missing"
	case CodeSchema:
		return "the target did not take the schema"
	case CodeData:
		return "rows did not arrive as they left"
	case CodeVerify:
		return "the copy differs from the source"
	case CodeConflict:
		return "somebody else works on the target"
	case CodeYielded:
		return "gave way to the source's application"
	case CodeCapacity:
		return "a limit was reached"
	case CodeNeon:
		return "the Neon API said no"
	case CodeConfig:
		return "the configuration does not fit"
	case CodeInterrupted:
		return "stopped from outside"
	case CodeInternal:
		return "an unexpected error"
	}
	return "an unknown cause"
}

// NeedsPerson reports whether a failure of class c waits for a person to decide
// or mend something, so that no retry and no waiting helps.
func (c Code) NeedsPerson() bool { return c == CodeRefused || c == CodeConfig }
