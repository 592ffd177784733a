package main

import (
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
)

func TestRerunSyncsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	w.start()
	if err := w.github.SetRole(repo, "octocat", "maintain"); err != nil {
		t.Fatal(err)
	}
	pr := w.merge(1, githubtest.Merge{})
	w.awaitChecks(pr, 60*time.Second)
	first := w.checks(pr.HeadSHA)[0]
	if err := w.github.Rerun(repo, first.ID); err != nil {
		t.Fatal(err)
	}
	w.awaitRuns(pr, 2)
	// All checks of the commit: GitHub sends an event for the suite alone.
	if err := w.github.RerunAll(repo, pr.MergeSHA); err != nil {
		t.Fatal(err)
	}
	w.awaitRuns(pr, 3)
	// The button that we show, and the command line.
	if err := w.github.PressButton(repo, first.ID, "sync_now"); err != nil {
		t.Fatal(err)
	}
	w.awaitRuns(pr, 4)
	if got := w.says(exitOK, "rerun", "1"); !strings.Contains(got, "will be synced again") {
		t.Errorf("rerun says %s", got)
	}
	w.awaitRuns(pr, 5)
	if got := w.says(exitFailed, "rerun", "77"); !strings.Contains(got, "no run 77") {
		t.Errorf("rerun of a run that never was: %s", got)
	}
	if again := w.checks(pr.HeadSHA)[0]; again.Conclusion != first.Conclusion || again.ExternalID != first.ExternalID {
		t.Errorf("the first check run has changed: %+v", again)
	}
	if n := scan[int](w, w.control, "select count(*) from sync_run where trigger = 'rerun' and state = 'succeeded'"); n != 4 {
		t.Errorf("%d re-runs have succeeded, want 4", n)
	}

	// Who may not write starts nothing.
	if err := w.github.SetRole(repo, "octocat", "triage"); err != nil {
		t.Fatal(err)
	}
	if err := w.github.Rerun(repo, first.ID); err != nil {
		t.Fatal(err)
	}
	w.await("the press is judged", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from webhook_delivery where reason like '%may not write%'") == 1
	})
	if n := scan[int](w, w.control, "select count(*) from sync_run"); n != 5 {
		t.Errorf("%d runs, want 5", n)
	}
}

// awaitRuns waits until n check runs are green on both commits.
func (w *world) awaitRuns(pr githubtest.PullRequest, n int) {
	w.t.Helper()
	w.await("the next check run is green", 60*time.Second, func() bool {
		for _, sha := range []string{pr.HeadSHA, pr.MergeSHA} {
			green := 0
			for _, run := range w.checks(sha) {
				if run.Conclusion == "success" {
					green++
				}
			}
			if green != n {
				return false
			}
		}
		return true
	})
}
