package subset

import "testing"

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"customers", "orders", "order_items", "tenant_id", "id"}
	for word, want := range map[string]string{
		"custmers": "customers", "customer": "customers", "ordres": "orders", "tenantid": "tenant_id", "tenant_ids": "tenant_id",
		"ix": "", "people": "", "": "", "orders_of_items": "",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("%q was most likely %q, want %q", word, got, want)
		}
	}
	if got := nearest("anything", nil); got != "" {
		t.Errorf("of no words it is %q", got)
	}
	for pair, want := range map[[2]string]int{{"", ""}: 0, {"", "abc"}: 3, {"abc", ""}: 3, {"kitten", "sitting"}: 3, {"flaw", "lawn"}: 2, {"same", "same"}: 0} {
		if got := distance(pair[0], pair[1]); got != want {
			t.Errorf("%q and %q are %d apart, want %d", pair[0], pair[1], got, want)
		}
	}
}
