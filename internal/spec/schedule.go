package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/neontwin/neontwin/internal/twin"
)

var (
	wallTime = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]$`)
	zoneName = regexp.MustCompile(`^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$`)
	dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts
)

const scheduleExample = `{at: "02:30", timezone: Europe/Berlin}`

// schedule reads when a Twin is synced by the clock.
func (p *parser) schedule(e entry) *twin.Timetable {
	s := &twin.Timetable{}
	var seen []string
	for _, f := range p.mapping(e, scheduleExample) {
		seen = append(seen, f.key)
		switch f.key {
		case "at":
			s.At = p.wallTime(f)
		case "timezone":
			s.Timezone = p.timezone(f)
		case "days":
			s.Days = p.days(f)
		default:
			p.unknown(f, "at", "timezone", "days")
		}
	}
	if e.value != nil {
		if _, ok := e.value.(ast.MapNode); !ok {
			return nil // said already
		}
	}
	for _, need := range []string{"at", "timezone"} {
		if !slices.Contains(seen, need) {
			p.fail(e.at, "schedule has no %s; write schedule: %s", need, scheduleExample)
		}
	}
	return s
}

// wallTime reads a time of day.
func (p *parser) wallTime(e entry) string {
	v, ok := p.text(e, `"02:30"`)
	if ok && !wallTime.MatchString(v) {
		p.fail(e.value.GetToken(), `%s is no time of day; write two digits each of hours and minutes, "00:00" to "23:59"`, quoted(v))
	}
	return v
}

// timezone reads the name of a zone. Only the names of places and UTC are
// taken: an abbreviation such as CEST has no summer, and what a machine calls
// local is another time on the next machine.
func (p *parser) timezone(e entry) string {
	v, ok := p.text(e, "Europe/Berlin")
	if ok && !knownZone(v) {
		p.fail(e.value.GetToken(), "%s is no time zone that is known; write one such as Europe/Berlin, America/New_York or UTC", quoted(v))
	}
	return v
}

func knownZone(name string) bool {
	if name == "UTC" {
		return true
	}
	area, _, found := strings.Cut(name, "/")
	// Some machines keep their zones once more under these, partly with leap
	// seconds.
	if !found || area == "posix" || area == "right" || !zoneName.MatchString(name) {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

// days reads a list of days of the week.
func (p *parser) days(e entry) []time.Weekday {
	const example = "[mon, thu]"
	seq, ok := e.value.(*ast.SequenceNode)
	switch {
	case e.value == nil, ok && len(seq.Values) == 0:
		p.fail(e.at, "days is empty; leave it out for every day, or write days: %s", example)
		return nil
	case !ok:
		p.fail(e.value.GetToken(), "days must be a list; write days: %s", example)
		return nil
	}
	var days []time.Weekday
	for _, v := range seq.Values {
		day, ok := p.day(v, v.GetToken())
		switch {
		case !ok:
		case slices.Contains(days, day):
			p.fail(v.GetToken(), "%s stands twice in days; keep one", dayNames[day])
		default:
			days = append(days, day)
		}
	}
	slices.Sort(days)
	return days
}

func (p *parser) day(v ast.Node, at *token.Token) (time.Weekday, bool) {
	text := fmt.Sprint(v)
	if s, ok := v.(*ast.StringNode); ok {
		text = s.Value
	}
	n := slices.Index(dayNames, text)
	if n < 0 {
		p.fail(at, "%s is no day; write mon, tue, wed, thu, fri, sat or sun", quoted(text))
	}
	return time.Weekday(max(n, 0)), n >= 0
}

// onNewer reads what a newer commit does to a run that is under way.
func (p *parser) onNewer(e entry) twin.OnNewer {
	v, ok := p.text(e, "restart")
	if !ok {
		return ""
	}
	switch o := twin.OnNewer(v); o {
	case twin.OnNewerFinish, twin.OnNewerRestart:
		return o
	}
	p.fail(e.value.GetToken(), "%s is nothing that on_newer can be; write on_newer: finish, or on_newer: restart", quoted(v))
	return ""
}
