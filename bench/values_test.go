package main

import (
	"strings"
	"testing"
)

// Each class is measured, and what is masked is no constant.
func TestSpeeds(t *testing.T) {
	t.Parallel()
	all, err := speeds()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Time <= 0 || s.Sample == "" || strings.Contains(s.Sample, "%!") {
			t.Errorf("%+v", s)
		}
		t.Logf("%s: %s for %q, %.2f allocations", s.Class, s.Time, s.Sample, s.Allocs)
	}
	r := results{Values: all}
	if r.slowestQuick() <= 0 {
		t.Error("no class is quick")
	}
}
