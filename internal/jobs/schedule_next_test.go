package jobs

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// table makes a timetable without jitter.
func table(t testing.TB, at, zone string, days ...time.Weekday) timetable {
	t.Helper()
	tt, err := newTimetable(twin.Timetable{At: at, Timezone: zone, Days: days}, 22, "staging")
	if err != nil {
		t.Fatal(err)
	}
	tt.jitter = 0
	return tt
}

func date(text string) time.Time {
	d, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return d
}

// TestTheInstantOfADate: clocks that are set neither skip a date nor give it twice.
func TestTheInstantOfADate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, at, date, want string }{
		{"Europe/Berlin", "02:30", "2026-01-15", "2026-01-15T02:30:00+01:00"},
		{"Europe/Berlin", "02:30", "2026-07-15", "2026-07-15T02:30:00+02:00"},
		// Spring: 02:00 becomes 03:00.
		{"Europe/Berlin", "01:59", "2026-03-29", "2026-03-29T01:59:00+01:00"},
		{"Europe/Berlin", "02:00", "2026-03-29", "2026-03-29T03:00:00+02:00"},
		{"Europe/Berlin", "02:30", "2026-03-29", "2026-03-29T03:30:00+02:00"},
		{"Europe/Berlin", "03:00", "2026-03-29", "2026-03-29T03:00:00+02:00"},
		{"America/New_York", "02:30", "2026-03-08", "2026-03-08T03:30:00-04:00"},
		// Autumn: one hour comes twice.
		{"Europe/Berlin", "02:30", "2026-10-25", "2026-10-25T02:30:00+02:00"},
		{"Europe/Berlin", "03:00", "2026-10-25", "2026-10-25T03:00:00+01:00"},
		{"America/New_York", "01:30", "2026-11-01", "2026-11-01T01:30:00-04:00"},
		{"America/New_York", "02:00", "2026-11-01", "2026-11-01T02:00:00-05:00"},
		// Half an hour, in the south.
		{"Australia/Lord_Howe", "02:15", "2026-10-04", "2026-10-04T02:45:00+11:00"},
		{"Australia/Lord_Howe", "01:45", "2026-04-05", "2026-04-05T01:45:00+11:00"},
		// At midnight.
		{"Asia/Beirut", "00:30", "2026-03-29", "2026-03-29T01:30:00+03:00"},
		{"America/Havana", "00:15", "2026-11-01", "2026-11-01T00:15:00-04:00"},
		// The hour before midnight: later would be the next date.
		{"America/Nuuk", "23:30", "2025-03-29", "2025-03-29T22:30:00-02:00"},
		// A date that was left out.
		{"Pacific/Apia", "02:30", "2011-12-29", "2011-12-29T02:30:00-10:00"},
		{"Pacific/Apia", "02:30", "2011-12-30", ""},
		{"Pacific/Apia", "02:30", "2011-12-31", "2011-12-31T02:30:00+14:00"},
		{"UTC", "23:59", "2026-12-31", "2026-12-31T23:59:00Z"},
	} {
		at, ok := table(t, c.at, c.zone).on(date(c.date))
		got := ""
		if ok {
			got = at.Format(time.RFC3339)
			if in, err := time.LoadLocation(c.zone); err == nil {
				got = at.In(in).Format(time.RFC3339)
			}
		}
		if got != c.want {
			t.Errorf("%s %s in %s is %q, want %q", c.date, c.at, c.zone, got, c.want)
		}
	}
}

func TestNextDate(t *testing.T) {
	t.Parallel()
	berlin := table(t, "02:30", "Europe/Berlin")
	weekly := table(t, "02:30", "Europe/Berlin", time.Monday)
	for _, c := range []struct {
		name            string
		t               timetable
		last, now, want string
	}{
		{"tonight", berlin, "", "2026-01-15T12:00:00Z", "2026-01-16T01:30:00Z"},
		{"in a minute", berlin, "2026-01-14", "2026-01-15T01:29:00Z", "2026-01-15T01:30:00Z"},
		{"just now is over", berlin, "2026-01-14", "2026-01-15T01:30:00Z", "2026-01-16T01:30:00Z"},
		{"not twice a date, though the time lies ahead", table(t, "14:00", "Europe/Berlin"), "2026-01-15", "2026-01-15T08:00:00Z", "2026-01-16T13:00:00Z"},
		{"a Monday", weekly, "", "2026-01-15T12:00:00Z", "2026-01-19T01:30:00Z"},
		{"the Monday after", weekly, "2026-01-19", "2026-01-19T01:30:00Z", "2026-01-26T01:30:00Z"},
		{"a week without its day", table(t, "02:30", "Pacific/Apia", time.Friday), "2011-12-23", "2011-12-24T00:00:00Z", "2012-01-05T12:30:00Z"},
	} {
		last := time.Time{}
		if c.last != "" {
			last = date(c.last)
		}
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.t.next(last, now).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestMissedDatesAreOne(t *testing.T) {
	t.Parallel()
	tt := table(t, "02:30", "America/New_York")
	first, _ := tt.on(date("2026-03-06"))
	for now, want := range map[string]string{
		"2026-03-06T07:30:00Z": "2026-03-06", "2026-03-07T07:29:59Z": "2026-03-06",
		"2026-03-08T07:29:00Z": "2026-03-07", "2026-03-08T07:30:00Z": "2026-03-08", // 03:30, as 02:30 was left out
		"2026-04-01T00:00:00Z": "2026-03-31",
	} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.due(first, at); got != date(want) {
			t.Errorf("at %s the date is %s, want %s", now, got.Format(time.DateOnly), want)
		}
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	s := twin.Timetable{At: "23:55", Timezone: "Europe/Berlin"}
	seen := map[time.Duration]bool{}
	for id := range int64(200) {
		tt, err := newTimetable(s, id, "staging")
		again, _ := newTimetable(s, id, "staging")
		if err != nil || tt.jitter != again.jitter || tt.jitter < 0 || tt.jitter > maxJitter {
			t.Fatalf("jitter %s, then %s, %v", tt.jitter, again.jitter, err)
		}
		seen[tt.jitter] = true
		at, ok := tt.on(date("2026-05-05"))
		if !ok || tt.dateOf(at) != date("2026-05-05") || at.Before(time.Date(2026, 5, 5, 21, 55, 0, 0, time.UTC)) {
			t.Errorf("with a jitter of %s it is due at %s", tt.jitter, at)
		}
	}
	if len(seen) < 100 {
		t.Errorf("200 Twins have only %d different jitters", len(seen))
	}
}

var zones = []string{
	"UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/Los_Angeles", "America/Sao_Paulo",
	"America/Havana", "America/Asuncion", "America/Santiago", "America/Nuuk", "America/Scoresbysund", "America/St_Johns",
	"America/Caracas", "Africa/Casablanca", "Africa/Cairo", "Asia/Beirut", "Asia/Gaza", "Asia/Tehran", "Asia/Amman",
	"Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe", "Australia/Sydney", "Australia/Adelaide",
	"Pacific/Apia", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Fakaofo", "Antarctica/Troll",
	"Antarctica/Casey", "Europe/Moscow", "Europe/Istanbul", "Asia/Pyongyang", "Atlantic/Azores", "Etc/GMT+12",
}

// everyDate walks through years and holds that each allowed date which the
// zone has is due once, within itself, and that a clock which only looks from
// time to time finds the same.
func everyDate(t *testing.T, tt timetable, from, to time.Time) {
	t.Helper()
	var last, due time.Time
	now := from
	for {
		at := tt.next(last, now)
		if at.After(to) {
			return
		}
		d := tt.dateOf(at)
		if !d.After(last) || !at.After(due) || !tt.days[d.Weekday()] {
			t.Fatalf("%s: after %s comes %s (date %s, after %s)", tt.zone, due, at, d.Format(time.DateOnly), last.Format(time.DateOnly))
		}
		if got := tt.due(at, at); got != d {
			t.Fatalf("%s: at %s the date %s is due, want %s", tt.zone, at, got, d)
		}
		for missed := last.AddDate(0, 0, 1); !last.IsZero() && missed.Before(d); missed = missed.AddDate(0, 0, 1) {
			noon := time.Date(missed.Year(), missed.Month(), missed.Day(), 12, 0, 0, 0, tt.zone)
			if tt.days[missed.Weekday()] && tt.dateOf(noon).Equal(missed) {
				t.Fatalf("%s: %s was left out", tt.zone, missed.Format(time.DateOnly))
			}
		}
		last, due, now = d, at, at
	}
}

func TestEveryDateOfManyYears(t *testing.T) {
	t.Parallel()
	for _, zone := range zones {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			for _, at := range []string{"00:00", "00:30", "01:30", "02:30", "23:30", "23:59"} {
				everyDate(t, table(t, at, zone), date("2005-01-01"), date("2032-01-01"))
			}
			tt, err := newTimetable(twin.Timetable{At: "23:57", Timezone: zone, Days: []time.Weekday{0, 3}}, 4711, zone)
			if err != nil {
				t.Fatal(err)
			}
			everyDate(t, tt, date("2005-01-01"), date("2032-01-01"))
		})
	}
}

func FuzzTimetable(f *testing.F) {
	f.Add(uint8(1), uint16(150), uint8(0), uint16(600), int64(1774746000))
	f.Fuzz(func(t *testing.T, zone uint8, minute uint16, days uint8, jitter uint16, from int64) {
		if from < 0 || from > 4e9 {
			return
		}
		random := rand.New(rand.NewPCG(uint64(days), uint64(minute)))
		tt := table(t, "00:00", zones[int(zone)%len(zones)])
		tt.hour, tt.minute = int(minute)/60%24, int(minute)%60
		tt.jitter = time.Duration(jitter%601) * time.Second
		for d := range tt.days {
			tt.days[d] = days == 0 || random.IntN(2) == 0 || d == int(days)%7
		}
		start := time.Unix(from, 0)
		everyDate(t, tt, start, start.AddDate(1, 0, 0))
	})
}
