package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/jobs"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// open gives a store on a database with our tables.
func open(t *testing.T) (store.Store, *pgx.Conn) {
	t.Helper()
	url := pgtest.URL(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := jobs.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	conn := pgtest.Connect(t, url)
	return store.New(conn), conn
}

func request(name string, at time.Time) twin.Request {
	return twin.Request{
		Repo:    twin.Repository{InstallationID: 1, ID: 2, Owner: "Acme", Name: "shop", DefaultBranch: "main"},
		Spec:    twin.Spec{Name: name, Source: "prod", Target: name + "-target", Mode: twin.Full, On: twin.Triggers{Push: &twin.BranchTrigger{Paths: []string{"db/**"}}}},
		Trigger: twin.Push, Ref: "refs/heads/main", SHA: "abc", PR: 5, At: at,
	}
}

// add stores a run in a state it can begin in.
func add(t *testing.T, s store.Store, r twin.Request, state twin.State) int64 {
	t.Helper()
	id, err := s.LockTwin(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("key-%s-%s-%d", r.Spec.Name, r.SHA, r.At.UnixNano())
	run, err := s.InsertRun(t.Context(), store.NewRun{TwinID: id, Request: r, PageKey: key, State: state, MaxAttempts: 5})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func claim(t *testing.T, s store.Store, run int64) int64 {
	t.Helper()
	token, err := s.NextToken(t.Context())
	if err == nil {
		err = s.Claim(t.Context(), run, token, "me", "gen", time.Hour)
	}
	if err != nil {
		t.Fatal(err)
	}
	return token
}

var noon = time.Date(2026, 5, 6, 12, 0, 0, 0, time.UTC)

func TestARunReadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	r := request("staging", noon)
	id := add(t, s, r, twin.Queued)
	queued, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	want := twin.Run{
		ID: id, TwinID: queued.TwinID, Repo: r.Repo, Spec: r.Spec, Trigger: r.Trigger, Ref: r.Ref, SHA: r.SHA, PR: r.PR,
		State: twin.Queued, MaxAttempts: 5, PageKey: queued.PageKey, CreatedAt: queued.CreatedAt,
	}
	if diff := cmp.Diff(want, queued); diff != "" {
		t.Error(diff)
	}
	token := claim(t, s, id)
	p := twin.Progress{Phase: twin.Load, TablesDone: 3, BytesDone: 1 << 40, Table: `public."odd one"`, PhaseStarted: noon}
	if held, _, err := s.Heartbeat(t.Context(), id, token, time.Hour, &p); err != nil || !held {
		t.Fatal(held, err)
	}
	// A beat without news keeps the news of the one before.
	if held, _, err := s.Heartbeat(t.Context(), id, token, time.Hour, nil); err != nil || !held {
		t.Fatal(held, err)
	}
	report := &twin.Report{Run: "gen", SnapshotAt: noon, Tables: []twin.TableReport{{Table: "public.a", Rows: 7}}}
	if held, err := s.End(t.Context(), id, token, store.Ending{State: twin.Succeeded, Report: report}); err != nil || !held {
		t.Fatal(held, err)
	}
	got, places, events, err := s.RunByPageKey(t.Context(), queued.PageKey)
	if err != nil || len(places) != 0 || len(events) != 0 {
		t.Fatal(places, events, err)
	}
	want.State, want.Attempt, want.Phase, want.Progress, want.Report = twin.Succeeded, 1, twin.Load, p, report
	want.StartedAt, want.FinishedAt = got.StartedAt, got.FinishedAt
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.StartedAt.IsZero() || got.FinishedAt.IsZero() {
		t.Error("times of a run that has ended are missing")
	}
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	if _, err := s.Run(t.Context(), 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Run: %v", err)
	}
	if _, _, _, err := s.RunByPageKey(t.Context(), ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("RunByPageKey: %v", err)
	}
	if _, _, err := s.Delivery(t.Context(), "g"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Delivery: %v", err)
	}
	if _, err := s.LockTwinOf(t.Context(), 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("LockTwinOf: %v", err)
	}
	if twins, err := s.Twins(t.Context()); err != nil || len(twins) != 0 {
		t.Errorf("Twins: %v, %v", twins, err)
	}
}

func TestALeaseGivenBackIsNobodys(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	run := add(t, s, request("staging", noon), twin.Queued)
	token := claim(t, s, run)
	if held, err := s.GiveBack(t.Context(), run, token); err != nil || !held {
		t.Fatal(held, err)
	}
	if held, _, err := s.Heartbeat(t.Context(), run, token, time.Hour, nil); err != nil || held {
		t.Errorf("a heartbeat under way took the lease back: %v, %v", held, err)
	}
	st, err := s.LockRun(t.Context(), run, 0)
	if err != nil || !st.Expired || !st.GivenBack || st.Attempt != 1 {
		t.Errorf("standing %+v, %v", st, err)
	}
	claim(t, s, run)
	if st, err = s.LockRun(t.Context(), run, 0); err != nil || st.Expired || st.GivenBack || st.Attempt != 1 {
		t.Errorf("standing after the next claim %+v, %v", st, err)
	}
}

func TestTwins(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for i, state := range []twin.State{twin.Queued, twin.Queued, twin.Failed, twin.Queued} {
		r := request("staging", noon.Add(time.Duration(i)*time.Hour))
		r.SHA = fmt.Sprint("sha", i)
		run := add(t, s, r, state)
		if i < 2 {
			if _, err := s.End(t.Context(), run, claim(t, s, run), store.Ending{State: twin.Succeeded, Report: &twin.Report{}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(t, s, request("another", noon), twin.Failed)
	twins, err := s.Twins(t.Context())
	if err != nil || len(twins) != 2 {
		t.Fatalf("%d twins, %v", len(twins), err)
	}
	if a := twins[0]; a.Spec.Name != "another" || a.Published != nil || a.Current != nil || a.Target != "" {
		t.Errorf("a Twin that never was: %+v", a)
	}
	if st := twins[1]; st.Published == nil || st.Published.SHA != "sha1" || st.Current == nil || st.Current.SHA != "sha3" {
		t.Errorf("staging: %+v", st)
	}
}

func TestBindPinsTheFirst(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for _, c := range []struct {
		name     string
		id, want int64
	}{{"Acme/Shop", 7, 7}, {"acme/shop", 7, 7}, {"ACME/SHOP", 8, 7}, {"acme/other", 8, 8}} {
		if got, err := s.Bind(t.Context(), c.name, c.id); err != nil || got != c.want {
			t.Errorf("Bind(%s, %d) = %d, %v; want %d", c.name, c.id, got, err, c.want)
		}
	}
}

func TestOnlyOnePublisherHoldsAPlace(t *testing.T) {
	t.Parallel()
	s, conn := open(t)
	run := add(t, s, request("staging", noon), twin.Queued)
	if n, err := s.AddPlaces(t.Context(), run, []twin.Place{{Role: twin.Merge, SHA: "m"}, {Role: twin.Head, SHA: "h", PR: 5}}); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	hold := func(except ...string) string {
		t.Helper()
		p, found, err := s.HoldPlace(t.Context(), run, time.Hour, append([]string{}, except...))
		if err != nil || !found {
			return fmt.Sprint(found, err)
		}
		return fmt.Sprintf("%s %d", p.SHA, p.Wanted)
	}
	for _, want := range []string{"h 1", "m 1", "false <nil>"} {
		if got := hold(); got != want {
			t.Errorf("held %q, want %q", got, want)
		}
	}
	// More became true while "h" was being told.
	if n, err := s.WantReport(t.Context(), run, true); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if err := s.Posted(t.Context(), run, "h", 1); err != nil {
		t.Fatal(err)
	}
	if err := s.NotPosted(t.Context(), run, "m", "gone", true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"h 2", "false <nil>"} {
		if got := hold(); got != want {
			t.Errorf("held %q, want %q", got, want)
		}
	}
	if held, err := s.PlacesHeld(t.Context(), run); err != nil || !held {
		t.Errorf("held by another: %v, %v", held, err)
	}
	// Its publisher has died.
	if _, err := conn.Exec(t.Context(), "UPDATE check_publication SET posting_until = now()"); err != nil {
		t.Fatal(err)
	}
	if got := hold("h"); got != "false <nil>" {
		t.Errorf("held %q although it was left out", got)
	}
	if got := hold(); got != "h 2" {
		t.Errorf("held %q, want the place of the dead publisher", got)
	}
}
