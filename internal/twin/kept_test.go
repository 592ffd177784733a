package twin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSelection(t *testing.T) {
	t.Parallel()
	down := Reason{Rows: 51000, Words: "refers to public.customers by (customer_id)"}
	up := Reason{Rows: 3210, Words: "referred to by public.refunds (order_id)"}
	for _, c := range []struct {
		s             Selection
		kept, because string
	}{
		{Selection{Rule: KeptRoot, Rows: 5000, Of: 812000, Why: []Reason{{Rows: 5000, Words: "asked for"}}, Path: []string{"public.customers"}}, "5,000 of about 812,000", "asked for"},
		{Selection{Rule: KeptRoot, Rows: 5000, Of: -1}, "5,000", ""},
		{Selection{Rule: KeptReached, Rows: 5000, Of: 4000}, "5,000", ""},
		{Selection{Rule: KeptWhole, Rows: 249, Of: 250, Why: []Reason{{Rows: 249, Words: "small"}}}, "all 249", "small"},
		{Selection{Rule: KeptNothing, Of: 9, Why: []Reason{{Words: "not related"}}}, "0 of about 9", "not related"},
		{
			Selection{Rule: KeptReached, Rows: 54210, Of: 8100000, Why: []Reason{down, up}, Path: []string{"public.tenants", "public.customers", "public.orders"}},
			"54,210 of about 8,100,000",
			"51,000: refers to public.customers by (customer_id); 3,210: referred to by public.refunds (order_id); path public.tenants > public.customers > public.orders",
		},
		{
			Selection{Rule: KeptReached, Rows: 54211, Of: 8100000, Why: []Reason{down, up, {Rows: 1, Words: "asked for"}}, Path: []string{"public.customers", "public.orders"}},
			"54,211 of about 8,100,000",
			"51,000: refers to public.customers by (customer_id); 3,210: referred to by public.refunds (order_id); 1 more reason",
		},
	} {
		if got := c.s.Kept(); got != c.kept {
			t.Errorf("kept is %q, want %q", got, c.kept)
		}
		if got := c.s.Because(2); got != c.because {
			t.Errorf("because is %q, want %q", got, c.because)
		}
	}
}

func TestMostKept(t *testing.T) {
	t.Parallel()
	all := []Selection{
		{Table: "none", Rule: KeptNothing, Of: 10},
		{Table: "few", Rule: KeptReached, Rows: 1, Of: -1},
		{Table: "reached by nobody", Rule: KeptReached, Of: 5},
		{Table: "many", Rule: KeptRoot, Rows: 9, Of: 900},
		{Table: "old estimate", Rule: KeptWhole, Rows: 9, Of: 2},
	}
	kept, empty := MostKept(all)
	var order []string
	for _, s := range append(kept, empty...) {
		order = append(order, s.Table)
	}
	if diff := cmp.Diff([]string{"many", "old estimate", "few", "reached by nobody", "none"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if len(empty) != 1 {
		t.Errorf("empty are %v", empty)
	}
	if got, want := KeptOf(all), "19 of about 925 rows"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
