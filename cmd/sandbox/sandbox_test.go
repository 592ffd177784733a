package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestOnce is the whole product: a merge, a webhook, a copy, a green check,
// and a Twin that is what production is.
func TestOnce(t *testing.T) {
	pgtest.Long(t) // CI runs the command itself
	t.Parallel()
	needed(t)
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--once"}, &out, &errs); code != 0 {
		t.Fatalf("exit code %d:\n%s%s", code, out.String(), errs.String())
	}
	for _, want := range []string{
		"Merged pull request #1", "Neon Twin / staging: success", "Synced: ", "Branch from it: `neon branches create --name <yours> --parent twin`",
		"Production: migration 0002", "Twin:       migration 0002",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not said in:\n%s", want, out.String())
		}
	}
	for _, secret := range []string{"postgres://", "postgresql://", reader + ":"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is said in:\n%s", secret, out.String())
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--twice"}, &out, &errs); code != 2 || !strings.Contains(errs.String(), "--twice") {
		t.Errorf("an unknown flag: exit code %d, %s", code, errs.String())
	}
	errs.Reset()
	if code := run(t.Context(), []string{"--help"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "--once") {
		t.Errorf("help: exit code %d, %s", code, out.String())
	}
}

// needed skips a test that starts everything where PostgreSQL is missing, and
// in -short.
func needed(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED in -short: it starts everything")
	}
	pgtest.URL(t)
}
