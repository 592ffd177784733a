package main

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
)

const (
	create = "POST /repos/{owner}/{repo}/check-runs"
	change = "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}"
)

// TestOneCheckWhateverGitHubAnswers: lost answers, refused tokens, commits that
// are too fresh. In the end there is one green check for each commit.
func TestOneCheckWhateverGitHubAnswers(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]githubtest.Fault{
		"answers lost": {
			{Route: create, Times: 2, Kind: githubtest.AnswerLost},
			{Route: create, Kind: githubtest.CutBody},
			{Route: change, Times: 2, Kind: githubtest.AnswerLost},
		},
		"fresh commits": {{Route: create, Kind: githubtest.NotFound}, {Route: create, Kind: githubtest.NoCommit}},
		"fresh checks":  {{Route: change, Kind: githubtest.NotFound}},
		"tokens and limits": {
			{Route: create, Kind: githubtest.Unauthorized},
			{Route: change, Kind: githubtest.Unauthorized},
			{Route: create, Kind: githubtest.SecondaryLimit, RetryAfter: "1"},
			{Route: change, Kind: githubtest.BadGateway},
			{Route: create, Kind: githubtest.Forbidden},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, small)
			for _, f := range faults {
				w.github.Break(f)
			}
			w.start()
			pr := w.merge(1, githubtest.Merge{})
			w.awaitChecks(pr, 90*time.Second)
			w.requireGreen(pr)
			w.requireNothingSecret(pr)
			w.await("everything is told", 60*time.Second, func() bool {
				return scan[int](w, w.control, "select count(*) from check_publication where wanted_version > posted_version") == 0
			})
			if n := scan[int](w, w.control, "select count(*) from check_publication where unreachable_at is not null"); n > 0 {
				t.Errorf("%d places count as unreachable", n)
			}
		})
	}
}

// TestRenamedWhileCopying: the check follows the repository, not its name.
func TestRenamedWhileCopying(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked)
	letGo := w.hold()
	w.start()
	pr := w.merge(1, githubtest.Merge{})
	w.awaitCopying()
	if err := w.github.Rename(repo, "boutique"); err != nil {
		t.Fatal(err)
	}
	letGo()
	for _, sha := range []string{pr.HeadSHA, pr.MergeSHA} {
		w.await("the check has ended under the new name", 60*time.Second, func() bool {
			runs := w.github.CheckRuns("acme/boutique", sha)
			return len(runs) == 1 && runs[0].Conclusion == "success"
		})
	}
}

// TestNobodyToTell: GitHub takes no more reports while rows are copied. The
// sync goes on, and what can't be told is recorded, not tried for ever.
func TestNobodyToTell(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*githubtest.Server) error{
		"suspended": func(s *githubtest.Server) error { return s.Suspend("acme") },
		"archived":  func(s *githubtest.Server) error { return s.Archive(repo, true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, checked)
			letGo := w.hold()
			w.start()
			w.merge(1, githubtest.Merge{})
			w.awaitCopying()
			if err := act(w.github); err != nil {
				t.Fatal(err)
			}
			letGo()
			w.await("the run has succeeded", 60*time.Second, func() bool {
				return scan[int](w, w.control, "select count(*) from sync_run where state = 'succeeded'") == 1
			})
			w.await("both places are recorded as unreachable", 60*time.Second, func() bool {
				return scan[int](w, w.control, "select count(*) from check_publication where unreachable_at is not null") == 2
			})
			w.await("nobody tries any more", 60*time.Second, func() bool {
				return scan[int](w, w.control, "select count(*) from river.river_job where kind = 'check_publish' and state <> 'completed'") == 0
			})
		})
	}
}

// requireNothingSecret looks at what people read of a merged pull request: its
// checks and the pages behind them.
func (w *world) requireNothingSecret(pr githubtest.PullRequest) {
	w.t.Helper()
	source, err := url.Parse(w.source)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, sha := range []string{pr.HeadSHA, pr.MergeSHA} {
		for _, c := range w.checks(sha) {
			for where, text := range map[string]string{"check": c.Title + c.Summary + c.Text, "page": w.body(c.DetailsURL)} {
				for _, secret := range []string{password(w.source), source.Host, "postgres://", "postgresql://", "ghs_", w.github.App().WebhookSecret} {
					if strings.Contains(text, secret) {
						w.t.Errorf("%q is on the %s:\n%s", secret, where, text)
					}
				}
			}
		}
	}
}

func (w *world) body(address string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s answers %s, %v", address, res.Status, err)
	}
	return string(b)
}

// TestTwoMergesInOneSecond: the first one's webhooks come last, and by its
// times GitHub does not say which commit is newer. The Twin ends at the second.
func TestTwoMergesInOneSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	w.start()
	var prs []githubtest.PullRequest
	for _, file := range []string{"one", "two"} {
		pr, err := w.github.OpenPullRequest(githubtest.NewPullRequest{Repository: repo, Title: file, Files: map[string]string{file: "x"}})
		if err != nil {
			t.Fatal(err)
		}
		prs = append(prs, pr)
	}
	for _, event := range []string{"pull_request", "push"} {
		w.github.BreakWebhook(githubtest.WebhookFault{Event: event, Kind: githubtest.WebhookDelayed, Delay: 2 * time.Second})
	}
	for i := range prs {
		var err error
		if prs[i], err = w.github.Merge(repo, prs[i].Number, githubtest.Merge{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, pr := range prs {
		w.awaitChecks(pr, 60*time.Second)
	}
	w.requireGreen(prs[1])
	for _, c := range append(w.checks(prs[0].HeadSHA), w.checks(prs[0].MergeSHA)...) {
		if c.Conclusion != "skipped" || !strings.Contains(c.Title, "Superseded by "+prs[1].MergeSHA[:7]) {
			t.Errorf("the older commit's check is %s: %s", c.Conclusion, c.Title)
		}
	}
	if got := scan[string](w, w.target, "select commit_sha from neontwin.generation"); got != prs[1].MergeSHA {
		t.Errorf("the Twin is of commit %.7s, want %.7s", got, prs[1].MergeSHA)
	}
}
