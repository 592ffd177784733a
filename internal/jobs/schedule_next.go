package jobs

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// maxJitter is how long after its time a schedule may be due: Twins of many
// repositories that name the same time don't all read production at once.
const maxJitter = 10 * time.Minute

// timetable is a schedule to compute with. Dates are those of its zone, written
// as midnights in UTC. A date on which it is due has exactly one instant, which
// lies within that date: later dates have later instants, whatever the clocks
// are set to.
type timetable struct {
	hour, minute int
	zone         *time.Location
	days         [7]bool
	jitter       time.Duration
}

// newTimetable reads the schedule of a Twin. The jitter follows from which Twin
// it is, so that it is the same every day and for every worker.
func newTimetable(s twin.Timetable, repositoryID int64, name string) (timetable, error) {
	at, err := time.Parse("15:04", s.At)
	if err != nil {
		return timetable{}, fmt.Errorf("read time of schedule: %w", err)
	}
	zone, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return timetable{}, fmt.Errorf("read zone of schedule: %w", err)
	}
	t := timetable{hour: at.Hour(), minute: at.Minute(), zone: zone}
	for _, d := range s.Days {
		t.days[d] = true
	}
	if len(s.Days) == 0 {
		t.days = [7]bool{true, true, true, true, true, true, true}
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d/%s", repositoryID, name)
	t.jitter = time.Duration(h.Sum64()%uint64(maxJitter/time.Second+1)) * time.Second
	return t, nil
}

// dateOf is the date of an instant in the zone.
func (t timetable) dateOf(at time.Time) time.Time {
	y, m, d := at.In(t.zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// on gives the instant at which the schedule is due on a date; false if it is
// not due on it, or if the zone has no such date.
func (t timetable) on(date time.Time) (time.Time, bool) {
	if !t.days[date.Weekday()] {
		return time.Time{}, false
	}
	at, ok := t.wall(date)
	if !ok {
		return time.Time{}, false
	}
	jitter := t.jitter
	for !t.dateOf(at.Add(jitter)).Equal(date) {
		jitter /= 2
	}
	return at.Add(jitter), true
}

// wall gives the instant at which the clocks on a date show the time. Of a time
// that comes twice it is the first one. A time that the clocks leap over is
// shown by those that were not set: it is as much later, or, should that be the
// next date, as much earlier as the clocks leap.
func (t timetable) wall(date time.Time) (time.Time, bool) {
	shown := time.Date(date.Year(), date.Month(), date.Day(), t.hour, t.minute, 0, 0, time.UTC)
	// What the clocks are set to a day before and after, wherever on Earth.
	before, after := t.offset(shown.Add(-24*time.Hour)), t.offset(shown.Add(24*time.Hour))
	first, second := shown.Add(-max(before, after)), shown.Add(-min(before, after))
	for _, at := range []time.Time{first, second} {
		if t.offset(at) == shown.Sub(at) {
			return at, true
		}
	}
	for _, at := range []time.Time{shown.Add(-before), shown.Add(-after)} {
		if t.dateOf(at).Equal(date) {
			return at, true
		}
	}
	return time.Time{}, false
}

// offset is by how much the clocks are ahead of UTC at an instant.
func (t timetable) offset(at time.Time) time.Duration {
	_, seconds := at.In(t.zone).Zone()
	return time.Duration(seconds) * time.Second
}

// next gives the first instant after now of a date after last.
func (t timetable) next(last, now time.Time) time.Time {
	date := t.dateOf(now)
	if !date.After(last) {
		date = last.AddDate(0, 0, 1)
	}
	for {
		if at, ok := t.on(date); ok && at.After(now) {
			return at
		}
		date = date.AddDate(0, 0, 1)
	}
}

// due gives the latest date whose instant has come at now, no earlier than that
// of first: dates that were missed are made up for by one run.
func (t timetable) due(first, now time.Time) time.Time {
	least := t.dateOf(first)
	for date := t.dateOf(now); date.After(least); date = date.AddDate(0, 0, -1) {
		if at, ok := t.on(date); ok && !at.After(now) {
			return date
		}
	}
	return least
}
