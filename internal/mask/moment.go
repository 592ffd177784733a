package mask

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"time"
)

// A Moment counts microseconds from 2000-01-01 UTC, as PostgreSQL does. Its
// extremes are infinity.
const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400 * microsPerSecond
	forever         = math.MaxInt64
	never           = math.MinInt64
)

// PostgreSQL's timestamps lie between these: 4714-11-24 BC and 294276-12-31.
const (
	firstMoment = -211_813_488_000_000_000
	lastMoment  = 9_223_371_331_200_000_000 - 1
)

// epoch is the Unix time of 2000-01-01.
const epoch = 946_684_800

func moment(v []byte) int64 {
	return int64(binary.BigEndian.Uint64(v)) //nolint:gosec // its bits
}

func appendMoment(dst []byte, m int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(m)) //nolint:gosec // its bits
}

func (c *Column) decodeMoment(dst, field []byte, format Format) ([]byte, error) {
	m, err := c.readMoment(field, format)
	if err != nil {
		return dst, err
	}
	return appendMoment(dst, m), nil
}

func (c *Column) readMoment(field []byte, format Format) (int64, error) {
	switch {
	case format == TextFormat:
		return parseMoment(field)
	case c.OID == oidDate && len(field) == 4:
		days := int64(int32(binary.BigEndian.Uint32(field))) //nolint:gosec // its bits
		switch days {
		case math.MaxInt32:
			return forever, nil
		case math.MinInt32:
			return never, nil
		}
		return fromDays(days)
	case len(field) == 8:
		return moment(field), nil
	}
	return 0, errValue
}

// fromDays refuses the dates that only PostgreSQL's date holds, after 294276.
func fromDays(days int64) (int64, error) {
	if days > lastMoment/microsPerDay || days < firstMoment/microsPerDay {
		return 0, errValue
	}
	return days * microsPerDay, nil
}

// parseMoment reads a date or timestamp as DateStyle ISO writes it:
// 2024-02-29 12:34:56.789+02 or 0044-03-15 BC.
func parseMoment(text []byte) (int64, error) {
	switch string(text) {
	case "infinity":
		return forever, nil
	case "-infinity":
		return never, nil
	}
	rest, bc := bytes.CutSuffix(text, []byte(" BC"))
	date, clock, timed := bytes.Cut(rest, []byte(" "))
	days, ok := parseDate(date, bc)
	if !ok {
		return 0, errValue
	}
	m, err := fromDays(days)
	if err != nil || !timed {
		return m, err
	}
	micros, ok := parseClock(clock)
	if !ok {
		return 0, errValue
	}
	return m + micros, nil
}

// parseDate gives the days since 2000-01-01.
func parseDate(text []byte, bc bool) (int64, bool) {
	y, rest, ok1 := bytes.Cut(text, []byte("-"))
	m, d, ok2 := bytes.Cut(rest, []byte("-"))
	year, ok3 := digits(y)
	month, ok4 := digits(m)
	day, ok5 := digits(d)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || year > 300_000 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, false
	}
	if bc {
		year = 1 - year
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	return floorDiv(t.Unix()-epoch, 86_400), true
}

// parseClock gives the microseconds since midnight in UTC; the offset, if
// any, is that of the session's time zone.
func parseClock(text []byte) (int64, bool) {
	offset := int64(0)
	if i := bytes.IndexAny(text, "+-"); i >= 0 {
		seconds, ok := parseHMS(text[i+1:])
		if !ok {
			return 0, false
		}
		offset = seconds
		if text[i] == '-' {
			offset = -offset
		}
		text = text[:i]
	}
	whole, fraction, _ := bytes.Cut(text, []byte("."))
	seconds, ok := parseHMS(whole)
	if !ok || len(fraction) > 6 {
		return 0, false
	}
	micros := int64(0)
	if len(fraction) > 0 {
		n, ok := digits(fraction)
		if !ok {
			return 0, false
		}
		micros = int64(n)
		for range 6 - len(fraction) {
			micros *= 10
		}
	}
	return (seconds-offset)*microsPerSecond + micros, true
}

// parseHMS reads hours, and minutes and seconds if they are there.
func parseHMS(text []byte) (int64, bool) {
	var seconds, unit int64 = 0, 3600
	for len(text) > 0 {
		part, rest, more := bytes.Cut(text, []byte(":"))
		n, ok := digits(part)
		if !ok || unit == 0 || more && len(rest) == 0 {
			return 0, false
		}
		seconds += int64(n) * unit
		unit /= 60
		text = rest
	}
	return seconds, true
}

func digits(text []byte) (int, bool) {
	if len(text) == 0 || len(text) > 9 {
		return 0, false
	}
	n := 0
	for _, b := range text {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int(b-'0')
	}
	return n, true
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (c *Column) encodeMoment(dst, v []byte, format Format) ([]byte, error) {
	if len(v) != 8 {
		return dst, errors.New("a stand-in is no date or timestamp")
	}
	m := moment(v)
	if format == TextFormat {
		return c.formatMoment(dst, m), nil
	}
	if c.OID != oidDate {
		return append(dst, v...), nil
	}
	days := int32(floorDiv(m, microsPerDay)) //nolint:gosec // fits: dates reach further than timestamps
	switch m {
	case forever:
		days = math.MaxInt32
	case never:
		days = math.MinInt32
	}
	return binary.BigEndian.AppendUint32(dst, uint32(days)), nil //nolint:gosec // its bits
}

// formatMoment writes what DateStyle ISO reads.
func (c *Column) formatMoment(dst []byte, m int64) []byte {
	switch m {
	case forever:
		return append(dst, "infinity"...)
	case never:
		return append(dst, "-infinity"...)
	}
	seconds := floorDiv(m, microsPerSecond)
	t := time.Unix(seconds+epoch, (m-seconds*microsPerSecond)*1000).UTC()
	year := t.Year()
	bc := year <= 0
	if bc {
		year = 1 - year
	}
	for n := 1000; n > year && n > 1; n /= 10 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendInt(dst, int64(year), 10)
	dst = t.AppendFormat(dst, "-01-02")
	if c.OID != oidDate {
		dst = t.AppendFormat(dst, " 15:04:05.999999")
	}
	if c.OID == oidTimestamptz {
		dst = append(dst, "+00"...)
	}
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}
