package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/twin"
)

func TestKind(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		`COPY (SELECT "id" FROM ONLY "public"."orders") TO STDOUT (FORMAT binary)`:                                     kindCopy,
		insideLedger + `'load1.0', 'x');` + "\nTRUNCATE ONLY t; COPY t FROM STDIN":                                     kindCopy,
		insideLedger + `'index0.0', 'x');` + "\nCREATE INDEX events_payload ON public.events USING gin (payload)":      kindGIN,
		insideLedger + `'index1.0', 'x');` + "\nCREATE UNIQUE INDEX a ON public.b USING btree (c)":                     kindIndex,
		insideLedger + `'build1', 'x');` + "\nALTER TABLE ONLY public.b ADD CONSTRAINT b_pkey PRIMARY KEY (a);ANALYZE": kindIndex,
		`ALTER TABLE ONLY "public"."b" VALIDATE CONSTRAINT c`:                                                          kindRelate,
		`alter table b add foreign key (a) references c`:                                                               kindRelate,
		`ANALYZE public.b`:                          kindAnalyze,
		`SELECT count(*), 0 FROM ONLY "public"."b"`: kindCount,
		`SELECT 1`: kindOther,
	} {
		if got := kind(query, false, false); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := kind("ALTER TABLE t ADD PRIMARY KEY (a);ANALYZE t", true, false); got != kindAnalyze {
		t.Errorf("what is being analyzed is %s", got)
	}
	if got := kind("VACUUM ANALYZE t", false, true); got != kindVacuum {
		t.Errorf("what is being vacuumed is %s", got)
	}
}

func TestPhaseUses(t *testing.T) {
	t.Parallel()
	source := &activity{curve: []reading{{0, 5 * time.Second}, {10 * time.Second, 5 * time.Second}}} // idle
	target := &activity{curve: []reading{{0, time.Second}, {4 * time.Second, 3 * time.Second}, {8 * time.Second, 3 * time.Second}}}
	s := sample{usage: usage{Wall: 10 * time.Second}, Report: &twin.Report{Phases: []twin.PhaseReport{{Phase: twin.Load, Seconds: 2}, {Phase: twin.Index, Seconds: 7}}}}
	want := []phaseUse{{twin.Load, 2, 1}, {twin.Index, 7, 0.5}}
	if diff := cmp.Diff(want, phaseUses(s, [2]*activity{source, target})); diff != "" {
		t.Error(diff)
	}
	if got := phaseUses(sample{}, [2]*activity{source, target}); got != nil {
		t.Errorf("phases of another's run: %v", got)
	}
}
