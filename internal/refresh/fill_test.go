package refresh_test

import (
	"context"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// What the operator says of a source and a target holds for the service's runs.
func TestServiceKeepsToTheOperatorsFile(t *testing.T) {
	t.Parallel()
	source := pgtest.URL(t)
	pgtest.Exec(t, source, "create table t as select repeat('x', 1000) v from generate_series(1, 1500); select lo_from_bytea(1, decode(repeat('ab', 500000), 'hex'))")
	target := twinOf(t, source)
	s := refresh.Service{
		Refresher: refresher(t),
		Sources:   map[string]refresh.Source{"prod": {Address: source, MaxRate: 2e6}},
		Targets: map[string]refresh.Target{"twin": {
			Locate: func(context.Context) (string, error) { return target, nil }, Deep: true, Jobs: 1,
		}},
	}
	run := twin.Run{ID: 7, Spec: twin.Spec{Source: "prod", Target: "twin"}}
	began := time.Now()
	if _, err := s.Fill(t.Context(), run, &lease{token: "one"}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 950*time.Millisecond {
		t.Errorf("2 MB at 2 MB a second took %v", took)
	}
	judge(t, source, target)
	for _, spec := range []twin.Spec{{Source: "other", Target: "twin"}, {Source: "prod", Target: "other"}} {
		_, err := s.Fill(t.Context(), twin.Run{Spec: spec}, &lease{token: "two"})
		if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeConfig {
			t.Errorf("%+v: %+v", spec, f)
		}
	}
}
