package mask

import "math"

// Span is what CHECKs say of dates and timestamps, in microseconds since 2000
// in UTC.
type Span struct {
	Least, Most int64
	// NoLater and NoEarlier are set where the bound moves with time, such as
	// CURRENT_DATE: whoever satisfies it does so at an earlier, or later, time too.
	NoLater, NoEarlier bool
}

// AnyTime is every date that PostgreSQL's timestamps hold.
func AnyTime() Span { return Span{Least: firstMoment, Most: lastMoment} }

// And is what lies in both.
func (s Span) And(other Span) Span {
	return Span{max(s.Least, other.Least), min(s.Most, other.Most), s.NoLater || other.NoLater, s.NoEarlier || other.NoEarlier}
}

// SpanOf are the values of a column that compare with a literal as sign says,
// and reports false where it can't be told.
func (c Column) SpanOf(sign, literal string) (Span, bool) {
	s := AnyTime()
	at, err := parseMoment([]byte(literal))
	if err != nil || at == forever || at == never {
		return s, false
	}
	step := int64(1)
	if c.OID == oidDate {
		step = microsPerDay
	}
	switch sign {
	case ">=":
		s.Least = at
	case ">":
		s.Least = at + step
	case "<=":
		s.Most = at
	case "<":
		s.Most = at - step
	default:
		return s, false
	}
	return s, true
}

// span is the column's.
func (c Column) span() Span {
	if c.Span == nil {
		return AnyTime()
	}
	return *c.Span
}

// around are the bounds within which a value may move.
func (s Span) around(at int64) (least, most int64) {
	least, most = s.Least, s.Most
	if s.NoLater {
		most = min(most, at)
	}
	if s.NoEarlier {
		least = max(least, at)
	}
	return least, most
}

// days is among how many days a value can move, its own included.
func (s Span) days(at int64) int64 {
	least, most := s.around(at)
	if most < least {
		return 1
	}
	return int64((uint64(most)-uint64(least))/microsPerDay) + 1 //nolint:gosec // their difference may be more than an int64 holds
}

// move shifts a value by whole days, or by as many the other way if it would
// leave the span. If it would either way it goes around.
func (s Span) move(at, shift int64) int64 {
	least, most := s.around(at)
	for _, by := range [2]int64{shift, -shift} {
		if by > 0 && at <= math.MaxInt64-by && at+by <= most || by < 0 && at >= math.MinInt64-by && at+by >= least {
			return at + by
		}
	}
	size := s.days(at) * microsPerDay
	to := at - least + shift
	return min(max(least+to-floorDiv(to, size)*size, least), most)
}
