package twin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/twin"
)

func TestMaskReport(t *testing.T) {
	t.Parallel()
	r := twin.MaskReport{
		Key:    "KEYIDENT",
		Masked: []twin.MaskedColumn{{Values: 1200, DistinctIn: 1100, DistinctOut: 7}},
		Passed: []twin.PassedColumn{
			{Column: "a", Why: "harmless, boolean: it is yes or no"},
			{Column: "b", Why: "stated safe, by public.b.*", Scanned: 1000, Found: map[string]int64{"phone": 2, "email": 1}},
			{Column: "c", Why: "stated safe, by its type date"},
			{Column: "d", Why: "stated safe by the operator, by *.*.d"},
		},
	}
	got := []string{r.Words(), r.Proven(), r.Masked[0].Different(), r.Passed[0].Form(), r.Passed[1].Form()}
	want := []string{
		"1 column is masked with key KEYIDENT, 4 pass as they are.",
		"1,200 values of 1 column are masked: as many stand in the copy, and none came through beyond chance",
		"1,100 to 7", "", "email in 1 of 1,000, phone in 2 of 1,000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	reasons := []twin.Reason{{Rows: 2, Words: "stated safe"}, {Rows: 1, Words: "harmless, boolean"}, {Rows: 1, Words: "stated safe by the operator"}}
	if diff := cmp.Diff(reasons, r.Reasons()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if odd := r.Suspicious(); len(odd) != 1 || odd[0].Column != "b" {
		t.Errorf("suspicious: %+v", odd)
	}
}
