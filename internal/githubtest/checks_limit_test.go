package githubtest

import "testing"

// A suite keeps a thousand runs of one name.
func TestOldRunsAreDropped(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.CreateRepository(NewRepository{FullName: "acme/shop"}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	r := s.st.repository("acme", "shop")
	sha := r.Branches["main"]
	var first, last *CheckRun
	for range 1001 {
		last = s.addRun(r, sha, s.st.App.ID)
		last.Name = "x"
		if first == nil {
			first = last
		}
	}
	s.dropOldRuns(last)
	_, kept := s.st.Runs[first.ID]
	n := len(s.st.Runs)
	s.mu.Unlock()
	if kept || n != 1000 {
		t.Errorf("%d runs, the oldest kept: %v; want 1000 without it", n, kept)
	}
}
