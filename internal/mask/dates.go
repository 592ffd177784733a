package mask

import (
	"errors"
	"fmt"
	"time"
)

// buildDateShift moves a date by whole days. All dates of one entity move by
// the same, so that what lies between them is kept, unless one would leave the
// column's span; without an entity each value has a shift of its own. Infinity
// stays.
func buildDateShift(m *maker) (*Masker, error) {
	days := m.rule.Days
	if days == 0 {
		days = 180
	}
	if days < 1 || days > 36_500 {
		return nil, errors.New("days must lie between 1 and 36500")
	}
	key, span := m.key, m.col.span()
	if span.NoLater && span.NoEarlier || span.Least > span.Most {
		return nil, errors.New("the column's CHECKs leave dates no room to move")
	}
	return &Masker{
		traits: Traits{MaxLen: 8, Charset: "a date or timestamp", Entity: true},
		chance: func(v []byte) float64 {
			if n := span.days(moment(v)); n <= int64(days) { // it may have gone around
				return 1 / float64(n)
			}
			return 0
		},
		mask: func(dst, v, entity []byte) []byte {
			at := moment(v)
			if at == forever || at == never {
				return append(dst, v...)
			}
			seed := entity
			if len(seed) == 0 {
				seed = v
			}
			s := key.stream(seed)
			shift := int64(1+s.pick(days)) * microsPerDay
			if s.next()>>63 == 0 {
				shift = -shift
			}
			return appendMoment(dst, span.move(at, shift))
		},
	}, nil
}

// buildGeneralise keeps a date as far as the unit and moves it to the unit's
// first instant, in UTC. Infinity stays.
func buildGeneralise(m *maker) (*Masker, error) {
	unit := m.rule.Unit
	if unit == "" {
		unit = "month"
	}
	floor, ok := map[string]func(time.Time) time.Time{
		"day":     func(t time.Time) time.Time { return date(t.Year(), t.Month(), t.Day()) },
		"month":   func(t time.Time) time.Time { return date(t.Year(), t.Month(), 1) },
		"quarter": func(t time.Time) time.Time { return date(t.Year(), (t.Month()-1)/3*3+1, 1) },
		"year":    func(t time.Time) time.Time { return date(t.Year(), 1, 1) },
		"decade":  func(t time.Time) time.Time { return date(int(floorDiv(int64(t.Year()), 10))*10, 1, 1) },
	}[unit]
	if !ok {
		return nil, fmt.Errorf("there is no unit %q", unit)
	}
	if unit == "day" && m.col.OID == oidDate {
		return nil, errors.New("unit day leaves a date as it is")
	}
	least := m.col.span().Least
	return &Masker{
		traits: Traits{MaxLen: 8, Charset: "a date or timestamp", Same: true},
		mask: func(dst, v, _ []byte) []byte {
			at := moment(v)
			if at == forever || at == never {
				return append(dst, v...)
			}
			t := floor(time.Unix(floorDiv(at, microsPerSecond)+epoch, 0).UTC())
			return appendMoment(dst, max((t.Unix()-epoch)*microsPerSecond, min(least, at)))
		},
	}, nil
}

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}
