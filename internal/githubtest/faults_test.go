package githubtest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
)

const createRoute = "POST /repos/{owner}/{repo}/check-runs"

func TestFaults(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	path := "/repos/acme/shop/contents/README.md"
	date := time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)
	for name, tt := range map[string]struct {
		fault  githubtest.Fault
		status int
		body   string
		header [2]string
	}{
		"429":              {githubtest.Fault{Kind: githubtest.TooManyRequests, RetryAfter: "7"}, 429, "rate limit", [2]string{"Retry-After", "7"}},
		"429 bare":         {githubtest.Fault{Kind: githubtest.TooManyRequests}, 429, "", [2]string{"Retry-After", ""}},
		"secondary":        {githubtest.Fault{Kind: githubtest.SecondaryLimit, RetryAfter: date}, 403, "secondary rate limit", [2]string{"Retry-After", date}},
		"secondary, bare":  {githubtest.Fault{Kind: githubtest.BareSecondaryLimit}, 403, "secondary rate limit", [2]string{"Retry-After", ""}},
		"primary":          {githubtest.Fault{Kind: githubtest.PrimaryLimit, Delay: time.Minute}, 403, "API rate limit exceeded", [2]string{"X-Ratelimit-Remaining", "0"}},
		"401":              {githubtest.Fault{Kind: githubtest.Unauthorized}, 401, "Bad credentials", [2]string{}},
		"403":              {githubtest.Fault{Kind: githubtest.Forbidden}, 403, "Resource not accessible", [2]string{}},
		"404":              {githubtest.Fault{Kind: githubtest.NotFound}, 404, "Not Found", [2]string{}},
		"422":              {githubtest.Fault{Kind: githubtest.NoCommit}, 422, "No commit found for SHA", [2]string{}},
		"500":              {githubtest.Fault{Kind: githubtest.ServerError}, 500, "", [2]string{}},
		"502":              {githubtest.Fault{Kind: githubtest.BadGateway}, 502, "<html>", [2]string{"Content-Type", "text/html; charset=utf-8"}},
		"301":              {githubtest.Fault{Kind: githubtest.MovedPermanently, Location: "http://127.0.0.1:1"}, 301, "", [2]string{"Location", "http://127.0.0.1:1/api/v3" + path}},
		"307 to elsewhere": {githubtest.Fault{Kind: githubtest.TemporaryRedirect, Location: "http://localhost:1"}, 307, "", [2]string{"Location", "http://localhost:1/api/v3" + path}},
		"slow":             {githubtest.Fault{Kind: githubtest.Slow, Delay: 20 * time.Millisecond}, 200, "", [2]string{}},
	} {
		k.gh.Break(tt.fault)
		r := k.do("GET", path, token, "")
		if r.status != tt.status || !strings.Contains(string(r.body), tt.body) {
			t.Errorf("%s: %d %.100s, want %d with %q", name, r.status, r.body, tt.status, tt.body)
		}
		if h := tt.header; h[0] != "" && r.header.Get(h[0]) != h[1] {
			t.Errorf("%s: %s = %q, want %q", name, h[0], r.header.Get(h[0]), h[1])
		}
		k.want(200, "GET", path, token, "") // one fault, one answer
	}

	k.gh.Break(githubtest.Fault{Kind: githubtest.PrimaryLimit, Delay: time.Minute})
	reset, err := strconv.ParseInt(k.do("GET", path, token, "").header.Get("X-RateLimit-Reset"), 10, 64)
	must(t, err)
	if left := time.Until(time.Unix(reset, 0)); left < 50*time.Second || left > 61*time.Second {
		t.Errorf("reset in %v, want a minute", left)
	}
}

func TestFaultsByRouteAndCount(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	k.gh.Break(githubtest.Fault{Route: createRoute, Kind: githubtest.ServerError, Times: 2})
	body := js(t, m{"name": "x", "head_sha": k.repo.Head})
	k.want(200, "GET", "/repos/acme/shop", token, "")
	k.want(500, "POST", runsPath, token, body)
	k.want(500, "POST", runsPath, token, body)
	k.want(201, "POST", runsPath, token, body)
	k.gh.Break(githubtest.Fault{Kind: githubtest.ServerError, Times: -1})
	for range 5 {
		k.want(500, "GET", "/repos/acme/shop", token, "")
	}
	k.gh.ClearFaults()
	k.want(200, "GET", "/repos/acme/shop", token, "")
}

// The request takes effect; only the answer is lost or cut.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	body := js(t, m{"name": "x", "head_sha": k.repo.Head})
	for n, kind := range []githubtest.Trouble{githubtest.AnswerLost, githubtest.CutBody} {
		k.gh.Break(githubtest.Fault{Route: createRoute, Kind: kind})
		if r, err := k.try("POST", runsPath, token, body); err == nil {
			t.Errorf("%s: answer %d %q, want an error", kind, r.status, r.body)
		}
		equal(t, "runs after "+string(kind), len(k.gh.CheckRuns("acme/shop", "main")), n+1)
	}
}
