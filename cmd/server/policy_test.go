package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/config"
	"github.com/neontwin/neontwin/internal/webhook"
)

// TestPolicy holds that all that an operator says of a source is told to who
// decides.
func TestPolicy(t *testing.T) {
	t.Parallel()
	shop := []string{"acme/shop"}
	got := policy(config.Config{
		Sources: map[string]config.Source{
			"open": {Repositories: shop, AllowSQL: true}, "closed": {Repositories: shop}, "masked": {Repositories: shop, MustMask: true},
		},
		Targets: map[string]config.Target{"twin": {Repositories: shop}},
	})
	want := webhook.Policy{
		Sources: map[string]webhook.Access{
			"open": {Repositories: shop, AllowSQL: true}, "closed": {Repositories: shop}, "masked": {Repositories: shop, MustMask: true},
		},
		Targets: map[string]webhook.Access{"twin": {Repositories: shop}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
