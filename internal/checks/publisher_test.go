package checks

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/twin"
)

var _ CheckRuns = (*github.App)(nil)

// fakeChecks is GitHub with the check runs of one repository.
type fakeChecks struct {
	mu     sync.Mutex
	runs   []github.CheckRun // the id is the index plus one
	writes int
	err    error // of every write
	lost   bool  // the next create works, but its answer is lost
}

func (f *fakeChecks) CreateCheckRun(_ context.Context, _ twin.Repository, c github.CheckRun) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.err != nil {
		return 0, f.err
	}
	f.runs = append(f.runs, c)
	if f.lost {
		f.lost = false
		return 0, errors.New("connection reset")
	}
	return int64(len(f.runs)), nil
}

func (f *fakeChecks) UpdateCheckRun(_ context.Context, _ twin.Repository, id int64, c github.CheckRun) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.err != nil {
		return f.err
	}
	f.runs[id-1] = c
	return nil
}

func (f *fakeChecks) FindCheckRun(_ context.Context, _ twin.Repository, sha, name string, externalIDs ...string) (int64, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, c := range f.runs {
		if c.HeadSHA == sha && c.Name == name && slices.Contains(externalIDs, c.ExternalID) {
			return int64(i + 1), true, nil
		}
	}
	return 0, false, f.err
}

func setup(t *testing.T) (*Publisher, *fakeChecks) {
	t.Helper()
	f := &fakeChecks{}
	return New(f, base, slog.New(slog.DiscardHandler)), f
}

func TestReport(t *testing.T) {
	t.Parallel()
	p, f := setup(t)
	var id int64
	for i, state := range []twin.State{twin.Queued, twin.Running, twin.Succeeded} {
		got, err := p.Report(t.Context(), newRun(state, nil), head, id)
		if err != nil {
			t.Fatal(err)
		}
		if id = got; id != 1 || len(f.runs) != 1 || f.writes != i+1 {
			t.Fatalf("%s: id %d, %d check runs, %d writes", state, id, len(f.runs), f.writes)
		}
	}
	if c := f.runs[0]; c.Conclusion != "success" || c.DetailsURL != base+"/runs/"+pageKey {
		t.Errorf("in the end: %+v", c)
	}
}

// TestLostAnswer: a check run whose creation got no answer is found again,
// and another run's of the same name and commit is left alone.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	p, f := setup(t)
	foreign := newRun(twin.Queued, func(r *twin.Run) { r.ID = 41 })
	if _, err := p.Report(t.Context(), foreign, head, 0); err != nil {
		t.Fatal(err)
	}
	f.lost = true
	if id, err := p.Report(t.Context(), newRun(twin.Queued, nil), head, 0); err == nil || id != 0 {
		t.Fatalf("lost answer: id %d, err %v", id, err)
	}
	id, err := p.Report(t.Context(), newRun(twin.Running, nil), head, 0)
	if err != nil || id != 2 || len(f.runs) != 2 {
		t.Fatalf("id %d, err %v, %d check runs", id, err, len(f.runs))
	}
	if f.runs[0].Status != "queued" || f.runs[1].Status != "in_progress" {
		t.Errorf("told the wrong one: %s, %s", f.runs[0].Status, f.runs[1].Status)
	}
}

func TestTwoPlaces(t *testing.T) {
	t.Parallel()
	p, f := setup(t)
	merge := twin.Place{Role: twin.Merge, SHA: "2222222"}
	for _, place := range []twin.Place{head, merge} {
		if _, err := p.Report(t.Context(), newRun(twin.Succeeded, nil), place, 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.runs) != 2 || f.runs[0].ExternalID != "418:head" || f.runs[1].ExternalID != "418:merge" {
		t.Errorf("check runs: %+v", f.runs)
	}
}

func TestEndedStaysEnded(t *testing.T) {
	t.Parallel()
	p, f := setup(t)
	id, err := p.Report(t.Context(), newRun(twin.Failed, nil), head, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []twin.State{twin.Running, twin.Queued} {
		for _, known := range []int64{id, 0} {
			if got, err := p.Report(t.Context(), newRun(state, nil), head, known); err != nil || got != known {
				t.Errorf("%s: id %d, err %v", state, got, err)
			}
		}
	}
	if f.writes != 1 || f.runs[0].Status != "completed" {
		t.Errorf("%d writes, status %s", f.writes, f.runs[0].Status)
	}
	// Told again as ended is fine: the answer may have been lost.
	if _, err := p.Report(t.Context(), newRun(twin.Failed, nil), head, id); err != nil || f.writes != 2 {
		t.Errorf("err %v, %d writes", err, f.writes)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	p, _ := setup(t)
	for i := range maxEnded + 10 {
		p.admit(ExternalID(int64(i), twin.Head), true)
	}
	if n := len(p.ended); n > maxEnded {
		t.Errorf("%d entries", n)
	}
}

func TestReportErrors(t *testing.T) {
	t.Parallel()
	p, f := setup(t)
	f.err = twin.ErrUnreachable
	if id, err := p.Report(t.Context(), newRun(twin.Queued, nil), head, 0); id != 0 || !errors.Is(err, twin.ErrUnreachable) {
		t.Errorf("find: id %d, err %v", id, err)
	}
	if id, err := p.Report(t.Context(), newRun(twin.Queued, nil), head, 7); id != 7 || !errors.Is(err, twin.ErrUnreachable) {
		t.Errorf("update: id %d, err %v", id, err)
	}
	// Found, then not updated: the id is told with the error.
	f.runs = append(f.runs, Render(newRun(twin.Queued, nil), head, base, now))
	if id, err := p.Report(t.Context(), newRun(twin.Running, nil), head, 0); id != 1 || !errors.Is(err, twin.ErrUnreachable) {
		t.Errorf("found: id %d, err %v", id, err)
	}
}

func TestBaseThatIsNoAddress(t *testing.T) {
	t.Parallel()
	for base, warned := range map[string]bool{"": false, "twin.example": true, "https://twin.example": false} {
		var log strings.Builder
		New(&fakeChecks{}, base, slog.New(slog.NewTextHandler(&log, nil)))
		if got := log.Len() > 0; got != warned {
			t.Errorf("base %q: warned %v", base, got)
		}
	}
}

// TestLostAnswerOfAPlaceThatBecameTheHead: a push was told first, the answer
// was lost, and only then the pull request said that the commit is its head.
func TestLostAnswerOfAPlaceThatBecameTheHead(t *testing.T) {
	t.Parallel()
	p, f := setup(t)
	run := newRun(twin.Queued, nil)
	place := twin.Place{Role: twin.Merge, SHA: head.SHA}
	f.lost = true
	if _, err := p.Report(t.Context(), run, place, 0); err == nil {
		t.Fatal("the answer was not lost")
	}
	place.Role = twin.Head
	id, err := p.Report(t.Context(), run, place, 0)
	if err != nil || id != 1 || len(f.runs) != 1 || f.runs[0].ExternalID != ExternalID(run.ID, twin.Head) {
		t.Errorf("id %d, %v, check runs %+v", id, err, f.runs)
	}
}

// TestNotShownForLong: a commit or check run that GitHub does not show is
// waited for, and then recorded as out of reach.
func TestNotShownForLong(t *testing.T) {
	t.Parallel()
	for _, what := range []error{github.ErrNoCommit, github.ErrNoCheckRun} {
		for late, unreachable := range map[time.Duration]bool{time.Minute: false, patience + time.Second: true} {
			p, f := setup(t)
			run := newRun(twin.Succeeded, nil)
			p.now = func() time.Time { return run.FinishedAt.Add(late) }
			f.err = &twin.LaterError{At: p.now(), Err: what}
			_, err := p.Report(t.Context(), run, head, 7)
			if errors.Is(err, twin.ErrUnreachable) != unreachable {
				t.Errorf("%v after %s: %v", what, late, err)
			}
			if later := (*twin.LaterError)(nil); !errors.As(err, &later) {
				t.Errorf("%v after %s does not say until when to wait: %v", what, late, err)
			}
		}
	}
}
