package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"-scale 0", "-scale 0.5 -write x", "-only pg -write x", "-micro=false -write x", "-runs 0 -write x", "-only (", "more"} {
		if _, err := parse(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	o, err := parse([]string{"-runs", "5"}, io.Discard)
	if err != nil || o.far != 5 || o.scale != 1 {
		t.Errorf("got %+v, %v", o, err)
	}
}

// A whole measurement of a small database: every contender that is installed
// makes a copy that the judge accepts, ours also over the relay and watched.
func TestMeasurement(t *testing.T) {
	t.Parallel()
	pgtest.Long(t)
	b := opened(t)
	database, err := b.database(t.Context(), "shop", shopSQL)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := b.partials(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	masks, err := b.masked()
	if err != nil {
		t.Fatal(err)
	}
	if share, err := b.maskedShare(t.Context(), database); err != nil || share < 0.3 || share > 1 {
		t.Errorf("the masked columns are %.2f of the bytes, %v", share, err)
	}
	for _, c := range slices.Concat(b.contenders(), []contender{b.floor()}, parts, masks[1:]) {
		if c.missing != "" {
			continue
		}
		s, err := b.measure(t.Context(), database, c, false)
		if err != nil {
			t.Fatal(err)
		}
		if s.Failed != "" || s.Wall <= 0 || s.CPU <= 0 || s.Target <= 0 {
			t.Errorf("%s: %+v", c.name, s)
		}
		if (s.Report != nil) != slices.Contains([]string{oursName, partialName, maskedName}, c.name) {
			t.Errorf("%s: report %v", c.name, s.Report)
		}
	}
	w, err := b.watch(t.Context(), database, b.ours())
	if err != nil || len(w.Phases) == 0 || w.Kinds[1][kindRest] < 0 {
		t.Errorf("watched %+v, %v", w, err)
	}
	b.runs, b.far = 0, 1
	var out strings.Builder
	if err := b.profile(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"far true", "phase load", "table public.orders", "on the target"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the profile doesn't mention %q:\n%s", want, &out)
		}
	}
	if err := execute(t.Context(), b.target.URL(twinDatabase), "DELETE FROM comments WHERE id = (SELECT min(id) FROM comments)"); err != nil {
		t.Fatal(err)
	}
	if err := b.judge(t.Context(), b.counted[database]); err == nil || !strings.Contains(err.Error(), "comments") {
		t.Errorf("the judge of a copy that lacks a row says %v", err)
	}
}

// A database that is there already is not made again; one of another version is dropped.
func TestDatabaseIsKept(t *testing.T) {
	t.Parallel()
	pgtest.Long(t)
	b := opened(t)
	one, err := b.database(t.Context(), "small", smallSQL)
	if err != nil {
		t.Fatal(err)
	}
	if err := execute(t.Context(), b.source.URL(one), "DROP TABLE lookup_1"); err != nil {
		t.Fatal(err)
	}
	again, err := b.database(t.Context(), "small", smallSQL)
	if err != nil || again != one {
		t.Fatalf("got %s, %v, want %s", again, err, one)
	}
	if c, err := count(t.Context(), b.source.URL(one)); err != nil || len(c.rows) != 99 || c.indexes != 99 {
		t.Errorf("%d tables, %v: it was made anew", len(c.rows), err)
	}
	if _, err := b.database(t.Context(), "small", smallSQL+"\nSELECT 1;"); err != nil {
		t.Fatal(err)
	}
	if _, err := count(t.Context(), b.source.URL(one)); err == nil {
		t.Error("the database of the version before is still there")
	}
}

// opened is a bench in a folder of its own, with small databases.
func opened(t *testing.T) *bench {
	t.Helper()
	if _, err := pglocal.Find(os.Getenv("NEONTWIN_PG_BIN")); testing.Short() || errors.Is(err, pglocal.ErrNotInstalled) && os.Getenv("CI") == "" {
		t.Skipf("SKIPPED, NOT TESTED: needs a database: %v", err)
	}
	dir, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"-scale", "0.001", "-round-trip", "5ms", "-cache", dir}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	o.volatile = true
	b, err := open(t.Context(), o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.close(context.WithoutCancel(t.Context())), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return b
}
