package twin

import (
	"cmp"
	"slices"
	"strings"
)

// Kept says how many rows are kept of a table, of how many by estimate: "5,000
// of about 812,000". Of a table that is kept whole it is "all 249".
func (s Selection) Kept() string {
	switch {
	case s.Rule == KeptWhole:
		return "all " + HumanCount(s.Rows)
	case s.Of < s.Rows: // not known, or out of date
		return HumanCount(s.Rows)
	}
	return HumanCount(s.Rows) + " of about " + HumanCount(s.Of)
}

// Because says what brought the rows, the reasons with most rows first and at
// most so many of them, and the way from a root if it leads over other tables.
func (s Selection) Because(most int) string {
	var words []string
	for _, w := range s.Why[:min(len(s.Why), most)] {
		if len(s.Why) > 1 {
			words = append(words, HumanCount(w.Rows)+": "+w.Words)
		} else {
			words = append(words, w.Words)
		}
	}
	if more := len(s.Why) - most; more > 0 {
		words = append(words, HumanPlural(int64(more), "more reason"))
	}
	if len(s.Path) > 2 {
		words = append(words, "path "+strings.Join(s.Path, " > "))
	}
	return strings.Join(words, "; ")
}

// MostKept lists what is kept of tables, those with most rows first, and apart
// from it the tables of which nothing was to be kept.
func MostKept(all []Selection) (kept, empty []Selection) {
	for _, s := range all {
		if s.Rule == KeptNothing && s.Rows == 0 {
			empty = append(empty, s)
		} else {
			kept = append(kept, s)
		}
	}
	slices.SortStableFunc(kept, func(a, b Selection) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Table, b.Table))
	})
	return kept, empty
}

// KeptOf says how many rows are kept of all tables together, of how many by
// estimate: "54,210 of about 8,100,000 rows".
func KeptOf(all []Selection) string {
	sum := Selection{Rule: KeptReached}
	for _, s := range all {
		sum.Rows += s.Rows
		sum.Of += max(s.Of, s.Rows)
	}
	return sum.Kept() + " rows"
}
