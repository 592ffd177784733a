package main

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/twin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// took makes a sample of so many seconds.
func took(s float64) sample {
	wall := time.Duration(s * float64(time.Second))
	return sample{usage: usage{Wall: wall, CPU: wall / 10, Memory: 12 << 20}, Load: s / 20, Source: wall / 5, Target: wall}
}

func synced(s float64) sample {
	out := took(s)
	out.Report = &twin.Report{
		Phases: []twin.PhaseReport{
			{Phase: twin.Preflight, Seconds: s / 100},
			{Phase: twin.Schema, Seconds: s / 20},
			{Phase: twin.Load, Seconds: s / 2},
			{Phase: twin.Index, Seconds: s / 5},
			{Phase: twin.Relate, Seconds: s / 10},
			{Phase: twin.Verify, Seconds: s / 10},
		},
		Tables: []twin.TableReport{{Table: "public.users", Rows: 7, Bytes: 1 << 10, Seconds: 0.1}, {Table: "public.orders", Rows: 9, Bytes: 5 << 20, Seconds: 2}},
	}
	return out
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	staged := took(30)
	staged.Staged = 300 << 20
	r := results{
		Machine: machine{
			Date: time.Date(2026, 11, 23, 14, 5, 0, 0, time.UTC), Version: "v1.2-3-gabc", CPU: "a processor", Cores: 2, Memory: 8 << 30, System: "6.1",
			Postgres: "15.18", Pgcopydb: "0.10", Settings: []string{"max_wal_size = 8GB", "shared_buffers = 1GB"}, RoundTrip: 40 * time.Millisecond, Runs: 3, FarRuns: 1,
			Bytes: 1_540_000_000, Rows: 10_140_000, Tables: 10, Indexes: 23, ForeignKeys: 7,
		},
		Near: []series{
			{Name: oursName, Samples: []sample{synced(22), synced(10), synced(20)}},
			{Name: documentedName, Samples: []sample{staged, took(50), took(44)}},
			{Name: pipeName, Samples: []sample{{Failed: "psql: exit status 3: no\nroom"}}},
			{Name: parallelName, Samples: []sample{took(16)}},
			{Name: zippedName},
			{Name: pgcopydbName, Missing: "pgcopydb is not installed"},
			{Name: pgcopydb4Name, Samples: []sample{took(22)}},
		},
		Floor:       series{Name: floorName, Samples: []sample{took(15)}},
		ObjectsNear: series{Name: oursName, Samples: []sample{synced(25)}},
		Watched: []watched{
			{Name: oursName, Sample: synced(21), Phases: []phaseUse{{twin.Load, 10, 18}, {twin.Publish, 1, 0.1}}, Kinds: [2]map[string]float64{
				{kindCopy: 4, kindCount: 1, kindRest: 0.2}, {kindGIN: 6, kindIndex: 12, kindRest: 0.5},
			}},
			{Name: floorName, Sample: took(15), Kinds: [2]map[string]float64{{kindCopy: 3.5}, {kindGIN: 6.1, kindIndex: 11, kindAnalyze: 0}}},
		},
		Values: []classSpeed{
			{Class: "free_text", Sample: "She called.", Time: 140}, {Class: "hash", Sample: "secret00007", Time: 90, Quick: true}, {Class: "email", Sample: "ada00007@example.net", Time: 110, Allocs: 0.004, Quick: true},
		},
		Far:     []series{{Name: oursName, Samples: []sample{distant(27)}}},
		Beside:  series{Name: oursName, Samples: []sample{synced(21)}},
		Objects: []series{{Name: oursName, Samples: []sample{synced(30)}}, {Name: documentedName, Samples: []sample{took(100)}}},
	}
	golden(t, "testdata/report.md", r.markdown())
}

// distant is a sync over a relay that takes processor time too.
func distant(seconds float64) sample {
	s := synced(seconds)
	s.Own, s.Source = 2*time.Second, s.Source+time.Second
	return s
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		walls []float64
		want  float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 90}, 3}} {
		var s series
		for _, w := range tt.walls {
			s.Samples = append(s.Samples, took(w))
		}
		s.Samples = append(s.Samples, sample{usage: usage{Wall: time.Hour}, Failed: "it broke"}) // doesn't count
		if got := s.wall(); got != tt.want {
			t.Errorf("median of %v: %g, want %g", tt.walls, got, tt.want)
		}
	}
}
