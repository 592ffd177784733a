package twin

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Words sums the report up in a sentence: "12 columns are masked with key
// ABCDEFGH, 40 pass as they are.".
func (r MaskReport) Words() string {
	are, pass := "are", "pass"
	if len(r.Masked) == 1 {
		are = "is"
	}
	if len(r.Passed) == 1 {
		pass = "passes"
	}
	return fmt.Sprintf("%s %s masked with key %s, %s %s as they are.", HumanPlural(int64(len(r.Masked)), "column"), are, r.Key, HumanCount(int64(len(r.Passed))), pass)
}

// Proven says what was proven of the masked columns, for the list of what was
// verified.
func (r MaskReport) Proven() string {
	var values int64
	for _, m := range r.Masked {
		values += m.Values
	}
	return fmt.Sprintf("%s of %s are masked: as many stand in the copy, and none came through beyond chance", HumanPlural(values, "value"), HumanPlural(int64(len(r.Masked)), "column"))
}

// Different says how many different values came in and went out: "1,203 to 1,203".
func (m MaskedColumn) Different() string {
	return HumanCount(m.DistinctIn) + " to " + HumanCount(m.DistinctOut)
}

// Form says what was found in the values that were looked at: "email in 3 of
// 1,000". It is empty where nothing was, or nothing was looked at.
func (p PassedColumn) Form() string {
	var found []string
	for _, class := range slices.Sorted(maps.Keys(p.Found)) {
		found = append(found, fmt.Sprintf("%s in %s of %s", class, HumanCount(p.Found[class]), HumanCount(p.Scanned)))
	}
	return strings.Join(found, ", ")
}

// Reasons counts the columns that passed by why they may, most first.
func (r MaskReport) Reasons() []Reason {
	counts := map[string]int64{}
	for _, p := range r.Passed {
		why, _, _ := strings.Cut(p.Why, ", by ")
		why, _, _ = strings.Cut(why, ":")
		counts[why]++
	}
	var out []Reason
	for why, n := range counts {
		out = append(out, Reason{Rows: n, Words: why})
	}
	slices.SortFunc(out, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Words, b.Words))
	})
	return out
}

// Suspicious are the columns that passed and in which the form of personal data
// was found.
func (r MaskReport) Suspicious() []PassedColumn {
	return slices.DeleteFunc(slices.Clone(r.Passed), func(p PassedColumn) bool { return len(p.Found) == 0 })
}
