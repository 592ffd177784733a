package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/config"
	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/privacy"
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

// TestPrivacyPolicy holds what an operator says of columns against the rules
// that there are, when the service starts and not when a run does.
func TestPrivacyPolicy(t *testing.T) {
	t.Parallel()
	standard, err := privacyPolicy(config.Source{})
	if err != nil || !slices.Equal(standard.Harmless, detect.DefaultRules()) || standard.Must {
		t.Errorf("without a word: %+v, %v", standard, err)
	}
	got, err := privacyPolicy(config.Source{MustMask: true, Safe: []string{"public.*.id"}, SafeTypes: []string{"date"}, Harmless: []string{"boolean"}})
	want := privacy.Policy{Must: true, Safe: []string{"public.*.id"}, SafeTypes: []string{"date"}, Harmless: []detect.Harmless{detect.Boolean}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if none, err := privacyPolicy(config.Source{Harmless: []string{}}); err != nil || len(none.Harmless) != 0 {
		t.Errorf("no rule: %+v, %v", none, err)
	}
	for _, wrong := range []config.Source{{Safe: []string{"public.orders"}}, {Harmless: []string{"harmles"}}} {
		if _, err := privacyPolicy(wrong); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}

// TestMaskKey gives a target its own key, or the service's, or none.
func TestMaskKey(t *testing.T) {
	t.Parallel()
	key := func(text string) config.Secret { return config.NewSecret(text) }
	own, others := "8f1d0c6f5b7a4e2d9c3b1a0f7e6d5c4b3a29181716253443526170f8e9dacbbd", "18d0fc6f5b7a4e2d9c3b1a0f7e6d5c4b3a29181716253443526170f8e9dacbbd"
	a, errA := maskKey(config.Config{MaskKey: key(others)}, config.Target{MaskKey: key(own)})
	b, errB := maskKey(config.Config{MaskKey: key(own)}, config.Target{})
	c, errC := maskKey(config.Config{}, config.Target{})
	if errA != nil || errB != nil || errC != nil || a.ID() != b.ID() || a.IsZero() || !c.IsZero() {
		t.Errorf("%v %v %v: %s %s %s", errA, errB, errC, a.ID(), b.ID(), c.ID())
	}
	if _, err := maskKey(config.Config{MaskKey: key(strings.Repeat("0", 64))}, config.Target{}); err == nil {
		t.Error("a key that is none is taken")
	}
}
