package githubtest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
)

func TestWebhookHeaders(t *testing.T) {
	t.Parallel()
	k := setup(t)
	got := k.took("installation.created")[0]
	if !got.goodSignature {
		t.Error("signature doesn't match the body")
	}
	for name, want := range map[string]string{
		"Content-Type":                           `^application/json$`,
		"User-Agent":                             `^GitHub-Hookshot/`,
		"X-Github-Delivery":                      `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`,
		"X-Github-Hook-Id":                       `^\d+$`,
		"X-Github-Hook-Installation-Target-Id":   `^4242$`,
		"X-Github-Hook-Installation-Target-Type": `^integration$`,
	} {
		if !regexp.MustCompile(want).MatchString(got.header.Get(name)) {
			t.Errorf("%s = %q, want %s", name, got.header.Get(name), want)
		}
	}
	equal(t, "SHA-1 signature", got.header.Get("X-Hub-Signature"), "")
	k.gh.Ping()
	k.took("ping")
}

func TestFormEncodedWebhook(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.inbox.take()
	config := k.want(200, "PATCH", "/app/hook/config", k.app(), `{"content_type":"form"}`).object(t)
	equal(t, "content_type", config["content_type"], any("form"))
	equal(t, "secret", config["secret"], any("********"))
	k.gh.Ping()
	got := k.took("ping")[0]
	if !got.goodSignature || !strings.HasPrefix(string(got.raw), "payload=%7B") {
		t.Errorf("signature good: %v, body %.20q", got.goodSignature, got.raw)
	}
	k.want(422, "PATCH", "/app/hook/config", k.app(), `{"url":"https://example.com/"}`)
	k.want(422, "PATCH", "/app/hook/config", k.app(), `{"content_type":"xml"}`)
	k.want(200, "PATCH", "/app/hook/config", k.app(), fmt.Sprintf(`{"url":%q}`, k.inbox.url+"2"))
	got2 := k.want(200, "GET", "/app/hook/config", k.app(), "").object(t)
	equal(t, "url", got2["url"], any(k.inbox.url+"2"))
}

// Each way of merging tells the same two facts; only the commits differ.
func TestMerges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		merge    githubtest.Merge
		parents  int
		message  string
		order    []string
		sameTree bool
	}{
		{
			githubtest.Merge{},
			2, "Merge pull request #1 from acme/patch-1\n\nAdd orders",
			[]string{"pull_request.closed", "push", "check_suite.requested"},
			false,
		},
		{
			githubtest.Merge{Method: githubtest.Squash, By: "mona"},
			1, "Add orders (#1)",
			[]string{"pull_request.closed", "push", "check_suite.requested"},
			false,
		},
		{
			githubtest.Merge{Method: githubtest.Rebase, PushFirst: true},
			1, "Add orders",
			[]string{"push", "pull_request.closed", "check_suite.requested"},
			false,
		},
	} {
		t.Run(string("method "+tt.merge.Method), func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			k.inbox.take()
			open := k.pull()
			k.took("push", "check_suite.requested", "pull_request.opened")
			// Main moves on in the meantime: base.sha is stale from here on.
			moved, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "main", Files: map[string]string{"a": "a"}})
			must(t, err)
			k.took("push", "check_suite.requested")

			pr, err := k.gh.Merge("acme/shop", 1, tt.merge)
			must(t, err)
			got := k.took(tt.order...)
			closed, push := got[0].payload, got[1].payload
			if tt.merge.PushFirst {
				closed, push = push, closed
			}
			equal(t, "merged", dig(closed, "pull_request", "merged"), any(true))
			equal(t, "merge_commit_sha", dig(closed, "pull_request", "merge_commit_sha"), any(pr.MergeSHA))
			equal(t, "head", dig(closed, "pull_request", "head", "sha"), any(open.HeadSHA))
			equal(t, "base.sha", dig(closed, "pull_request", "base", "sha"), any(k.repo.Head))
			equal(t, "mergeable", dig(closed, "pull_request", "mergeable"), nil)
			equal(t, "after", push["after"], any(pr.MergeSHA))
			equal(t, "before", push["before"], any(moved))
			equal(t, "ref", push["ref"], any("refs/heads/main"))
			equal(t, "forced", push["forced"], any(false))
			c, err := k.gh.Commit("acme/shop", "main")
			must(t, err)
			equal(t, "parents", len(c.Parents), tt.parents)
			equal(t, "message", c.Message, tt.message)
			if c.SHA == open.HeadSHA || c.SHA == open.MergeSHA {
				t.Error("the merge made no commit of its own")
			}
			if c.Files["a"] == "" || c.Files["db/migrations/2.sql"] == "" {
				t.Errorf("files = %v, want both sides", c.Files)
			}
			var added []any
			for _, pc := range push["commits"].([]any) {
				added = append(added, dig(pc, "added").([]any)...)
			}
			if !slices.Contains(added, any("db/migrations/2.sql")) {
				t.Errorf("push adds %v", added)
			}
			if _, err := k.gh.Merge("acme/shop", 1, githubtest.Merge{}); err == nil {
				t.Error("merged twice")
			}
		})
	}
}

// A push that brings the heads of pull requests merges them all.
func TestFastForwardMergesTwo(t *testing.T) {
	t.Parallel()
	k := setup(t)
	a := k.pull()
	b := k.pull(func(n *githubtest.NewPullRequest) {
		n.Head = "more"
		n.Files = nil
	}, func(n *githubtest.NewPullRequest) {
		_, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "more", To: a.HeadSHA})
		must(t, err)
		_, err = k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "more", Files: map[string]string{"m": "m"}})
		must(t, err)
	})
	k.settle()
	k.inbox.take()
	_, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "main", To: b.HeadSHA})
	must(t, err)
	got := k.took("push", "pull_request.closed", "pull_request.closed")
	for i, p := range []githubtest.PullRequest{a, b} {
		equal(t, "merged", dig(got[i+1].payload, "pull_request", "merged"), any(true))
		equal(t, "merge_commit_sha", dig(got[i+1].payload, "pull_request", "merge_commit_sha"), any(p.HeadSHA))
	}
	if _, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "main", To: k.repo.Head}); err == nil {
		t.Error("a push that is no fast-forward went through")
	}
}

func TestConflict(t *testing.T) {
	t.Parallel()
	k := setup(t)
	edit := func(n *githubtest.NewPullRequest) { n.Files = map[string]string{"README.md": "mine\n"} }
	k.pull(edit)
	_, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "main", Files: map[string]string{"README.md": "yours\n"}})
	must(t, err)
	for _, m := range []githubtest.Method{githubtest.MergeCommit, githubtest.Squash, githubtest.Rebase} {
		if _, err := k.gh.Merge("acme/shop", 1, githubtest.Merge{Method: m}); err == nil || !strings.Contains(err.Error(), "conflict") {
			t.Errorf("%s = %v, want a conflict", m, err)
		}
	}
	p, err := k.gh.PullRequest("acme/shop", 1)
	must(t, err)
	equal(t, "state", p.State, "open")
}

func TestForkPullRequest(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.inbox.take()
	p := k.pull(func(n *githubtest.NewPullRequest) { n.Fork = "mona" })
	got := k.took("pull_request.opened") // the fork's push is none of ours
	equal(t, "head repository", dig(got[0].payload, "pull_request", "head", "repo", "full_name"), any("mona/shop"))
	token := k.token("")
	run := k.want(201, "POST", runsPath, token, js(t, m{"name": "x", "head_sha": p.HeadSHA})).object(t)
	equal(t, "pull_requests of a fork", len(run["pull_requests"].([]any)), 0)
	equal(t, "head_branch of a fork", dig(k.took("check_run.created")[0].payload, "check_run", "check_suite", "head_branch"), nil)
	_, err := k.gh.Merge("acme/shop", 1, githubtest.Merge{})
	must(t, err)
	k.took("pull_request.closed", "push", "check_suite.requested")

	// A pull request whose fork is gone has no head repository.
	k.pull(func(n *githubtest.NewPullRequest) {
		n.Fork, n.Head, n.Files = "mona", "two", map[string]string{"two": "2"}
	})
	k.took("pull_request.opened")
	k.inbox.mu.Lock()
	k.inbox.loose = true
	k.inbox.mu.Unlock()
	must(t, k.gh.DeleteRepository("mona/shop"))
	must(t, k.gh.ClosePullRequest("acme/shop", 2))
	h := k.took("pull_request.closed")
	equal(t, "head.repo of a lost fork", dig(h[0].payload, "pull_request", "head", "repo"), nil)
}

func TestPullRequestLife(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.inbox.take()
	first := k.pull()
	k.took("push", "check_suite.requested", "pull_request.opened")
	next, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "patch-1", Files: map[string]string{"b": "b"}})
	must(t, err)
	got := k.took("push", "check_suite.requested", "pull_request.synchronize")
	equal(t, "before", got[2].payload["before"], any(first.HeadSHA))
	equal(t, "after", got[2].payload["after"], any(next))

	forced, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "patch-1", Files: map[string]string{"c": "c"}, Force: true})
	must(t, err)
	got = k.took("push", "check_suite.requested", "pull_request.synchronize")
	equal(t, "forced", got[0].payload["forced"], any(true))
	equal(t, "head", dig(got[2].payload, "pull_request", "head", "sha"), any(forced))

	must(t, k.gh.ClosePullRequest("acme/shop", 1))
	must(t, k.gh.ReopenPullRequest("acme/shop", 1))
	must(t, k.gh.DeleteBranch("acme/shop", "patch-1"))
	got = k.took("pull_request.closed", "pull_request.reopened", "push", "pull_request.closed")
	equal(t, "merged", dig(got[0].payload, "pull_request", "merged"), any(false))
	equal(t, "deleted", got[2].payload["deleted"], any(true))
	equal(t, "after", got[2].payload["after"], any(strings.Repeat("0", 40)))
	equal(t, "head_commit", got[2].payload["head_commit"], nil)
	must(t, k.gh.Tag("acme/shop", "v1", "main"))
	got = k.took("push")
	equal(t, "ref", got[0].payload["ref"], any("refs/tags/v1"))
	equal(t, "created", got[0].payload["created"], any(true))
	if _, ok := dig(got[0].payload, "repository", "created_at").(float64); !ok {
		t.Error("repository.created_at of a push is no number")
	}
}

func TestDraftAndRetarget(t *testing.T) {
	t.Parallel()
	k := setup(t)
	_, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "release", To: "main"})
	must(t, err)
	k.pull(func(n *githubtest.NewPullRequest) { n.Draft = true })
	k.settle()
	k.inbox.take()
	if _, err := k.gh.Merge("acme/shop", 1, githubtest.Merge{}); err == nil {
		t.Error("merged a draft")
	}
	must(t, k.gh.ReadyForReview("acme/shop", 1))
	must(t, k.gh.Retarget("acme/shop", 1, "release"))
	if err := k.gh.Retarget("acme/shop", 1, "none"); err == nil {
		t.Error("retargeted to an unknown branch")
	}
	got := k.took("pull_request.ready_for_review", "pull_request.edited")
	equal(t, "draft", dig(got[0].payload, "pull_request", "draft"), any(false))
	equal(t, "base before", dig(got[1].payload, "changes", "base", "ref", "from"), any("main"))
	equal(t, "base", dig(got[1].payload, "pull_request", "base", "ref"), any("release"))
	_, err = k.gh.Merge("acme/shop", 1, githubtest.Merge{})
	must(t, err)
	equal(t, "ref", k.took("pull_request.closed", "push", "check_suite.requested")[1].payload["ref"], any("refs/heads/release"))
}

func TestDeliveries(t *testing.T) {
	t.Parallel()
	k := setup(t, func(o *githubtest.Options) { o.WebhookTimeout = 300 * time.Millisecond })
	k.inbox.take()
	status := []int{200, 500, 301}
	k.inbox.answer = func(n int) int { return status[min(n, len(status))-1] }
	for range 3 {
		k.gh.Ping()
	}
	k.took("ping", "ping", "ping")
	never := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-never }))
	defer hang.Close()
	defer close(never)
	must(t, k.gh.SetWebhookURL(hang.URL))
	k.gh.Ping()
	k.settle()
	must(t, k.gh.SetWebhookURL("http://127.0.0.1:1/"))
	k.gh.Ping()
	k.settle()

	all := k.want(200, "GET", "/app/hook/deliveries?per_page=100", k.app(), "").list(t)
	var got []string
	for _, d := range all {
		got = append(got, fmt.Sprintf("%s %v %s", d["event"], d["status_code"], d["status"]))
	}
	want := []string{
		"ping 0 failed to connect to host", "ping 0 timed out", "ping 301 Invalid HTTP Response: 301",
		"ping 500 Invalid HTTP Response: 500", "ping 200 OK", "installation 202 OK",
	}
	if !slices.Equal(got, want) {
		t.Errorf("deliveries\n got %q\nwant %q", got, want)
	}
	// Failures without an answer are in neither filter.
	failed := k.want(200, "GET", "/app/hook/deliveries?status=failure", k.app(), "").list(t)
	equal(t, "status=failure", len(failed), 1)
	equal(t, "status=success", len(k.want(200, "GET", "/app/hook/deliveries?status=success", k.app(), "").list(t)), 3)

	// By cursor, two at a time.
	seen := 0
	next := "/app/hook/deliveries?per_page=2"
	for next != "" {
		r := k.want(200, "GET", next, k.app(), "")
		seen += len(r.list(t))
		next = ""
		if l := r.header.Get("Link"); l != "" {
			next = strings.TrimPrefix(strings.TrimSuffix(l, `>; rel="next"`), "<")
		}
	}
	equal(t, "deliveries by cursor", seen, len(want))

	// Nothing is sent again by itself; asked for, it keeps its GUID.
	must(t, k.gh.SetWebhookURL(k.inbox.url))
	k.inbox.answer = nil
	k.took()
	lost := all[1]
	k.want(202, "POST", fmt.Sprintf("/app/hook/deliveries/%.0f/attempts", lost["id"]), k.app(), "")
	again := k.took("ping")[0]
	equal(t, "GUID", again.guid, lost["guid"].(string))
	newest := k.want(200, "GET", "/app/hook/deliveries?per_page=1", k.app(), "").list(t)[0]
	equal(t, "redelivery", newest["redelivery"], any(true))
	if newest["id"] == lost["id"] {
		t.Error("a new attempt has the old id")
	}
	detail := k.want(200, "GET", fmt.Sprintf("/app/hook/deliveries/%.0f", newest["id"]), k.app(), "").object(t)
	equal(t, "request header", dig(detail, "request", "headers", "X-GitHub-Event"), any("ping"))
	equal(t, "payload", dig(detail, "request", "payload", "zen") != nil, true)
	equal(t, "response", dig(detail, "response", "payload"), any("noted"))
	k.want(404, "POST", "/app/hook/deliveries/1/attempts", k.app(), "")

	// After three days they are gone.
	k.clock.add(72*time.Hour + time.Second)
	equal(t, "deliveries after 3 days", len(k.want(200, "GET", "/app/hook/deliveries", k.app(), "").list(t)), 0)
}

func TestWebhookFaults(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.inbox.take()
	merge := func(faults ...githubtest.WebhookFault) {
		t.Helper()
		p := k.pull(func(n *githubtest.NewPullRequest) { n.Files = map[string]string{"n": fmt.Sprint(time.Now())} })
		k.settle()
		k.inbox.take()
		for _, f := range faults {
			k.gh.BreakWebhook(f)
		}
		_, err := k.gh.Merge("acme/shop", p.Number, githubtest.Merge{})
		must(t, err)
	}
	closed := func(kind githubtest.WebhookTrouble) githubtest.WebhookFault {
		return githubtest.WebhookFault{Event: "pull_request", Action: "closed", Kind: kind, Delay: 50 * time.Millisecond}
	}
	before := len(k.gh.Deliveries())
	merge(closed(githubtest.WebhookLost))
	k.took("push", "check_suite.requested")
	equal(t, "deliveries of a lost webhook", len(k.gh.Deliveries())-before, 5)

	merge(closed(githubtest.WebhookFailed))
	k.took("push", "check_suite.requested")
	list := k.gh.Deliveries()
	failed := list[slices.IndexFunc(list, func(d githubtest.Delivery) bool { return d.Status != "OK" })]
	must(t, k.gh.Redeliver(failed.ID))
	equal(t, "GUID", k.took("pull_request.closed")[0].guid, failed.GUID)

	merge(closed(githubtest.WebhookDoubled))
	got := k.took("pull_request.closed", "pull_request.closed", "push", "check_suite.requested")
	equal(t, "GUID of the double", got[1].guid, got[0].guid)

	merge(closed(githubtest.WebhookDelayed))
	k.took("push", "check_suite.requested", "pull_request.closed")

	merge(closed(githubtest.WebhookOvertaken))
	k.took("push", "pull_request.closed", "check_suite.requested")

	k.gh.BreakWebhook(githubtest.WebhookFault{Kind: githubtest.WebhookOvertaken})
	k.gh.Ping() // nobody overtakes it
	k.took("ping")

	merge(closed(githubtest.WebhookMissigned))
	got = k.took("pull_request.closed", "push", "check_suite.requested")
	equal(t, "signature", got[0].goodSignature, false)
	equal(t, "signature of the next", got[1].goodSignature, true)

	old := k.gh.App().WebhookSecret
	must(t, k.gh.SetWebhookSecret(strings.Repeat("s", 32)))
	if err := k.gh.SetWebhookSecret("short"); err == nil {
		t.Error("took a short secret")
	}
	k.inbox.mu.Lock()
	k.inbox.secret = old
	k.inbox.mu.Unlock()
	merge(closed(githubtest.WebhookPreviousSecret))
	got = k.took("pull_request.closed", "push", "check_suite.requested")
	equal(t, "signature by the previous secret", got[0].goodSignature, true)
	equal(t, "signature by the new secret", got[1].goodSignature, false)
}

func TestUntilEnds(t *testing.T) {
	t.Parallel()
	k := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := k.gh.Until(ctx, func() bool { return false }); err == nil {
		t.Error("no error at the end of the context")
	}
}
