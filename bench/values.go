package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/mask"
)

// classSpeed is what one value of a class costs.
type classSpeed struct {
	Class  mask.Class    `json:"class"`
	Sample string        `json:"sample"` // what was masked
	Time   time.Duration `json:"time"`   // for each value
	Allocs float64       `json:"allocs"` // for each value
	Quick  bool          `json:"quick"`  // made of a dictionary or a hash
}

// valueSamples are a value of each class that people use most, with a number in
// it that makes it another one each time.
func valueSamples() []struct {
	rule  mask.Rule
	value string
	quick bool
} {
	type sample = struct {
		rule  mask.Rule
		value string
		quick bool
	}
	of := func(class mask.Class, value string) sample {
		return sample{rule: mask.Rule{Class: class}, value: value}
	}
	quick := func(class mask.Class, value string) sample {
		return sample{rule: mask.Rule{Class: class}, value: value, quick: true}
	}
	return []sample{
		quick(mask.FirstName, "Ada%05d"), quick(mask.LastName, "Lovelace%05d"), quick(mask.City, "London%05d"), quick(mask.Street, "%05d Dorset Street"),
		quick(mask.Company, "Engines%05d Ltd"), quick(mask.Email, "ada%05d@example.net"), quick(mask.Hash, "secret%05d"), quick(mask.FullName, "Ada Lovelace%05d"), quick(mask.Username, "ada%05d"),
		of(mask.Phone, "+44 20 79%05d"), of(mask.PostalCode, "%05d"),
		of(mask.UUIDClass, "6fb3b1c0-0000-4000-8000-0000000%05d"), of(mask.IBAN, "DE893704004405320%05d"), of(mask.Card, "41111111111%05d"),
		of(mask.FreeText, "She called about order %05d and was not happy."),
	}
}

// valueRounds is how often they are measured; the quickest round counts, as
// whatever else the machine does only makes it slower.
const valueRounds, perRound = 5, 200_000

// speeds measures one value of each class, on one core.
func speeds() ([]classSpeed, error) {
	secret, err := mask.ParseSecret(benchKey)
	if err != nil {
		return nil, err
	}
	var out []classSpeed
	for _, s := range valueSamples() {
		m, err := mask.New(s.rule, mask.Column{Name: "column", Kind: mask.Text}, secret)
		if err != nil {
			return nil, err
		}
		values := make([][]byte, 10_000)
		for i := range values {
			values[i] = fmt.Appendf(nil, s.value, i)
		}
		one := classSpeed{Class: s.rule.Class, Sample: fmt.Sprintf(s.value, 7), Quick: s.quick}
		var dst []byte
		for range valueRounds {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			for i := range perRound {
				dst = m.Mask(dst[:0], values[i%len(values)], nil)
			}
			took := time.Since(began) / perRound
			runtime.ReadMemStats(&after)
			if one.Time == 0 || took < one.Time {
				one.Time, one.Allocs = took, float64(after.Mallocs-before.Mallocs)/perRound
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// slowestQuick is the dearest of those that a dictionary or a hash makes, in
// nanoseconds.
func (r *results) slowestQuick() float64 {
	most := time.Duration(0)
	for _, v := range r.Values {
		if v.Quick {
			most = max(most, v.Time)
		}
	}
	return float64(most.Nanoseconds())
}

// valuesPart is the page's part on single values.
func (r *results) valuesPart(w *strings.Builder) {
	if len(r.Values) == 0 {
		return
	}
	w.WriteString("\nWhat a value costs, on one core, with nothing around it; those that only a dictionary or a hash makes come first:\n\n")
	rows := [][]string{{"Class", "Such as", "A value", "Allocations"}}
	for _, v := range slices.SortedStableFunc(slices.Values(r.Values), func(a, b classSpeed) int {
		switch {
		case a.Quick == b.Quick:
			return 0
		case a.Quick:
			return -1
		}
		return 1
	}) {
		rows = append(rows, []string{"`" + string(v.Class) + "`", v.Sample, fmt.Sprintf("%d ns", v.Time.Nanoseconds()), fmt.Sprintf("%.2f", v.Allocs)})
	}
	table(w, rows)
}
