package githubtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/githubtest"
)

// page gets a page and returns it as text.
func (k *kit) page(path string) string {
	k.t.Helper()
	r := k.do("GET", k.gh.PageURL()+path, "", "")
	if r.status != http.StatusOK {
		k.t.Fatalf("GET %s = %d: %.200s", path, r.status, r.body)
	}
	return string(r.body)
}

// submit sends a form of the page.
func (k *kit) submit(path string, form url.Values, headers ...string) reply {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.t.Context(), http.MethodPost, k.gh.PageURL()+path, strings.NewReader(form.Encode()))
	must(k.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := k.http.Do(req)
	must(k.t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	must(k.t, err)
	return reply{res.StatusCode, res.Header, body}
}

func contains(t *testing.T, page string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(page, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
}

var tokenRE = regexp.MustCompile(`name="token" value="(\w+)"`)

func TestMergeFromThePage(t *testing.T) {
	t.Parallel()
	k := setup(t, func(o *githubtest.Options) {
		o.Panel = func(_ context.Context, name string) []githubtest.Panel {
			return []githubtest.Panel{{
				Title: "Twin of " + name, Rows: [][2]string{{"Connect", "postgres://127.0.0.1/<twin>"}}, Note: "Synced just now",
			}}
		}
		o.Propose = func(n int) (string, map[string]string) {
			return fmt.Sprintf("Change %d", n), map[string]string{fmt.Sprintf("db/migrations/%d.sql", n+1): "select 1;\n"}
		}
	})
	k.inbox.take()
	contains(t, k.page("/"), "acme/shop", "0 open")
	page := k.page("/acme/shop")
	contains(t, page, "Twin of acme/shop", "postgres://127.0.0.1/&lt;twin&gt;", "Synced just now", "Propose a change", "No pull requests yet")
	token := tokenRE.FindStringSubmatch(page)[1]

	r := k.submit("/acme/shop/propose", url.Values{"token": {token}})
	equal(t, "propose", r.status, http.StatusSeeOther)
	equal(t, "leads to", r.header.Get("Location"), "/acme/shop")
	page = k.page("/acme/shop")
	contains(t, page, "Change 1", "db/migrations/2.sql", "1 file changed", ">Merge</button>", "Open</span>", "&#43;select 1;")
	k.took("push", "check_suite.requested", "pull_request.opened")

	form := url.Values{"token": {token}, "number": {"1"}, "method": {"squash"}}
	equal(t, "without token", k.submit("/acme/shop/merge", url.Values{"number": {"1"}}).status, http.StatusForbidden)
	equal(t, "from elsewhere", k.submit("/acme/shop/merge", form, "Origin", "http://evil.example").status, http.StatusForbidden)
	equal(t, "across sites", k.submit("/acme/shop/merge", form, "Sec-Fetch-Site", "cross-site").status, http.StatusForbidden)
	k.took()
	equal(t, "merge", k.submit("/acme/shop/merge", form, "Origin", k.gh.PageURL()).status, http.StatusSeeOther)
	got := k.took("pull_request.closed", "push", "check_suite.requested")
	for _, h := range got {
		if !h.goodSignature {
			t.Errorf("%s is signed wrongly", h.name())
		}
	}
	equal(t, "merged", dig(got[0].payload, "pull_request", "merged"), any(true))
	equal(t, "again", k.submit("/acme/shop/merge", form).status, http.StatusUnprocessableEntity)
	contains(t, k.page("/acme/shop"), "Merged</span>", "No check yet.", "pull_request.closed")
	contains(t, k.page("/"), "0 open · 1 merged")

	r = k.submit("/acme/shop/propose", url.Values{"token": {token}})
	equal(t, "propose again", r.status, http.StatusSeeOther)
	contains(t, k.page("/acme/shop?live"), "Change 2")
}

func TestChecksOnThePage(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	p := k.pull(func(n *githubtest.NewPullRequest) { n.Title = "<script>alert(1)</script>" })
	merged, err := k.gh.Merge("acme/shop", 1, githubtest.Merge{})
	must(t, err)
	head := k.want(201, "POST", runsPath, token, js(t, m{"name": "Neon Twin / staging", "head_sha": p.HeadSHA})).object(t)
	contains(t, k.page("/acme/shop"), "Neon Twin / staging", "Queued", "&lt;script&gt;", "Checks of the merge commit on main")
	one := fmt.Sprintf("%s/%.0f", runsPath, head["id"])
	k.want(200, "PATCH", one, token, js(t, m{"status": "in_progress", "output": m{"title": "Copying 21 of 42 tables", "summary": ""}}))
	contains(t, k.page("/acme/shop"), "In progress", "Copying 21 of 42 tables", `value="50"`)
	k.want(200, "PATCH", one, token, js(t, m{
		"conclusion": "success", "details_url": "http://127.0.0.1:8080/runs/1",
		"output":  m{"title": "Synced: 42 tables", "summary": "| Phase | Time |\n|---|--:|\n| load | 3 s |\n\n<img src=x onerror=alert(1)>"},
		"actions": []m{{"label": "Sync newest", "description": "d", "identifier": "sync_now"}},
	}))
	k.want(201, "POST", runsPath, token, js(t, m{"name": "Neon Twin / staging", "head_sha": merged.MergeSHA, "conclusion": "failure"}))
	page := k.page("/acme/shop?live")
	contains(t, page, "Successful", "<th>Phase</th>", `<td class="right">3 s</td>`, "&lt;img src=x", "Failed",
		`href="http://127.0.0.1:8080/runs/1"`, "Sync newest", "Re-run")
	if strings.Contains(page, "<html") {
		t.Error("the live part is a whole page")
	}
	k.settle()
	k.inbox.take()
	form := url.Values{"token": {tokenRE.FindStringSubmatch(page)[1]}, "run": {fmt.Sprintf("%.0f", head["id"])}}
	equal(t, "re-run", k.submit("/acme/shop/rerun", form).status, http.StatusSeeOther)
	form.Set("button", "sync_now")
	equal(t, "button", k.submit("/acme/shop/rerun", form).status, http.StatusSeeOther)
	k.took("check_run.rerequested", "check_run.requested_action")
}

func TestPageAddresses(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.pull()
	token := k.token("")
	pr := k.want(200, "GET", "/repos/acme/shop/pulls/1", token, "").object(t)
	r := k.do("GET", pr["html_url"].(string), "", "")
	equal(t, "html_url leads to", r.header.Get("Location"), "/acme/shop#pull-1")
	for path, want := range map[string]int{
		"/assets/style.css": 200, "/assets/live.js": 200, "/assets/layout.html": 404, "/acme/none": 404, "/a": 404, "/acme/shop/x/y": 404,
	} {
		equal(t, path, k.do("GET", k.gh.PageURL()+path, "", "").status, want)
	}
	r = k.do("GET", k.gh.PageURL()+"/acme/shop", "", "")
	if csp := r.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy = %q", csp)
	}
	if slices.Contains([]string{"", "public"}, r.header.Get("Cache-Control")) {
		t.Error("the page may be cached")
	}
}
