package githubtest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
)

func TestOnlyLoopback(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "example.com:80"} {
		if gh, err := githubtest.Start(t.Context(), githubtest.Options{Addr: addr}); err == nil {
			_ = gh.Close()
			t.Errorf("Start on %q: no error", addr)
		}
	}
	k := setup(t)
	for _, target := range []string{"https://example.com/hook", "http://192.0.2.1/hook", "ftp://127.0.0.1/"} {
		if err := k.gh.SetWebhookURL(target); err == nil {
			t.Errorf("SetWebhookURL(%q): no error", target)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, k.gh.PageURL()+"/acme/shop", http.NoBody)
	must(t, err)
	req.Host = "evil.example"
	res, err := k.http.Do(req)
	must(t, err)
	_ = res.Body.Close()
	equal(t, "status for a foreign Host", res.StatusCode, http.StatusMisdirectedRequest)
}

func TestAppToken(t *testing.T) {
	t.Parallel()
	k := setup(t)
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	now := k.clock.now().Unix()
	set := func(name string, v any) string {
		return k.app(func(c map[string]any) { c[name] = v })
	}
	for name, tt := range map[string]struct {
		auth   string
		status int
	}{
		"valid":            {k.app(), 200},
		"issuer as number": {set("iss", k.gh.App().ID), 200},
		"exactly ten minutes": {k.app(func(c map[string]any) {
			c["iat"], c["exp"] = now, now+600
		}), 200},
		"none":           {"", 401},
		"no token":       {"Bearer ", 401},
		"basic":          {"Basic " + strings.TrimPrefix(k.app(), "Bearer "), 401},
		"garbage":        {"Bearer a.b.c", 401},
		"other issuer":   {set("iss", "1"), 404},
		"issued later":   {set("iat", now+120), 401},
		"no iat":         {set("iat", nil), 401},
		"over":           {set("exp", now-1), 401},
		"no end":         {set("exp", nil), 401},
		"too long":       {set("exp", now+3600), 401},
		"foreign key":    {"Bearer " + signed(t, foreign, map[string]any{"iss": "4242", "iat": now, "exp": now + 60}), 401},
		"other algorith": {"Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiI0MjQyIn0.", 401},
		"install. token": {k.token(""), 401},
	} {
		if got := k.do("GET", "/app", tt.auth, ""); got.status != tt.status {
			t.Errorf("%s: GET /app = %d, want %d: %s", name, got.status, tt.status, got.body)
		}
	}
	app := k.want(200, "GET", "/app", k.app(), "").object(t)
	equal(t, "checks permission", dig(app, "permissions", "checks"), any("write"))
	equal(t, "slug", app["slug"], any(k.gh.App().Slug))
}

func TestMintedTokens(t *testing.T) {
	t.Parallel()
	k := setup(t)
	other, err := k.gh.CreateRepository(githubtest.NewRepository{FullName: "acme/blog"})
	must(t, err)
	foreign, err := k.gh.CreateRepository(githubtest.NewRepository{FullName: "umbrella/lab"})
	must(t, err)
	mint := fmt.Sprintf("/app/installations/%d/access_tokens", k.inst.ID)

	full := k.want(201, "POST", mint, k.app(), "null").object(t)
	equal(t, "selection", full["repository_selection"], any("all"))
	ends, err := time.Parse(time.RFC3339, full["expires_at"].(string))
	must(t, err)
	if left := ends.Sub(k.clock.now()); left > time.Hour || left < 59*time.Minute {
		t.Errorf("token lives %v, want an hour", left)
	}
	k.want(422, "POST", mint, k.app(), fmt.Sprintf(`{"repository_ids":[%d]}`, foreign.ID))
	k.want(422, "POST", mint, k.app(), `{"repositories":["missing"]}`)
	k.want(422, "POST", mint, k.app(), `{"permissions":{"contents":"write"}}`)
	k.want(422, "POST", mint, k.app(), `{"permissions":{"issues":"read"}}`)
	k.want(400, "POST", mint, k.app(), `{`)
	k.want(404, "POST", "/app/installations/1/access_tokens", k.app(), "")
	k.want(401, "POST", mint, "token "+full["token"].(string), "")

	one := k.token(fmt.Sprintf(`{"repository_ids":[%d],"permissions":{"contents":"read"}}`, k.repo.ID))
	k.want(200, "GET", "/repos/acme/shop/contents/README.md", one, "")
	k.want(404, "GET", "/repos/"+other.FullName, one, "")
	k.want(403, "GET", "/repos/acme/shop/pulls", one, "")
	k.want(403, "POST", "/repos/acme/shop/check-runs", one, `{"name":"x","head_sha":"x"}`)
	list := k.want(200, "GET", "/installation/repositories", one, "").object(t)
	equal(t, "repositories", list["total_count"], any(1.0))
	k.want(404, "GET", "/repos/umbrella/lab", k.token(""), "")
	k.want(401, "GET", "/repos/acme/shop", "", "")

	k.want(204, "DELETE", "/installation/token", one, "")
	k.want(401, "GET", "/repos/acme/shop", one, "")
	live := k.token("")
	k.gh.RevokeTokens()
	k.want(401, "GET", "/repos/acme/shop", live, "")
	live = k.token("")
	k.clock.add(time.Hour)
	k.want(401, "GET", "/repos/acme/shop", live, "")
}

// Both shapes of token are in use; a client that knows one breaks here.
func TestTokenShapes(t *testing.T) {
	t.Parallel()
	k := setup(t)
	shortRE, longRE := regexp.MustCompile(`^token ghs_[A-Z0-9]{36}$`), regexp.MustCompile(`^token ghs_4242_eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$`)
	a, b := k.token(""), k.token("")
	if !shortRE.MatchString(a) || !longRE.MatchString(b) || len(b) < 500 {
		t.Errorf("tokens of %d and %d characters, want the short and the long shape", len(a), len(b))
	}
	k.want(200, "GET", "/repos/acme/shop", b, "")
}

func TestSuspendedInstallation(t *testing.T) {
	t.Parallel()
	k := setup(t)
	mint := fmt.Sprintf("/app/installations/%d/access_tokens", k.inst.ID)
	token := k.token("")
	k.inbox.take()
	must(t, k.gh.Suspend("acme"))
	k.want(403, "POST", mint, k.app(), "")
	k.want(403, "GET", "/repos/acme/shop", token, "")
	in := k.want(200, "GET", fmt.Sprintf("/app/installations/%d", k.inst.ID), k.app(), "").object(t)
	if in["suspended_at"] == nil {
		t.Error("suspended_at is null")
	}
	k.pull()
	k.took("installation.suspend")
	must(t, k.gh.Unsuspend("acme"))
	k.want(200, "GET", "/repos/acme/shop", k.token(""), "")
	must(t, k.gh.Uninstall("acme"))
	k.want(404, "POST", mint, k.app(), "")
	k.want(401, "GET", "/repos/acme/shop", token, "")
	k.want(404, "GET", "/repos/acme/shop/installation", k.app(), "")
	k.took("installation.unsuspend", "installation.deleted")
}

func TestInstallationEndpoints(t *testing.T) {
	t.Parallel()
	k := setup(t)
	for _, path := range []string{"/repos/acme/shop/installation", "/orgs/acme/installation", "/users/acme/installation"} {
		in := k.want(200, "GET", path, k.app(), "").object(t)
		equal(t, path, in["id"], any(float64(k.inst.ID)))
	}
	if got := k.want(200, "GET", "/app/installations", k.app(), "").list(t); len(got) != 1 {
		t.Errorf("installations = %d, want 1", len(got))
	}
	k.want(404, "GET", "/orgs/umbrella/installation", k.app(), "")
	k.want(404, "GET", "/nowhere", k.app(), "")
}

func TestSelectedRepositories(t *testing.T) {
	t.Parallel()
	k := setup(t)
	_, err := k.gh.CreateRepository(githubtest.NewRepository{FullName: "acme/blog"})
	must(t, err)
	k.inbox.take()
	must(t, k.gh.SelectRepositories("acme", "blog"))
	must(t, k.gh.AcceptPermissions("acme", map[string]string{"metadata": "read", "contents": "read"}))
	k.want(404, "GET", "/repos/acme/shop", k.token(""), "")
	k.want(200, "GET", "/repos/acme/blog", k.token(""), "")
	k.pull()
	got := k.took("installation_repositories.removed", "installation.new_permissions_accepted")
	removed := got[0].payload["repositories_removed"].([]any)
	equal(t, "removed", dig(removed[0], "full_name"), any("acme/shop"))
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	k := setup(t, func(o *githubtest.Options) { o.RateLimit = 4 })
	token := k.token("")
	for want := 3; want >= 0; want-- {
		r := k.want(200, "GET", "/repos/acme/shop", token, "")
		equal(t, "remaining", r.header.Get("X-RateLimit-Remaining"), strconv.Itoa(want))
	}
	r := k.want(403, "GET", "/repos/acme/shop", token, "")
	equal(t, "remaining", r.header.Get("X-RateLimit-Remaining"), "0")
	if !strings.Contains(string(r.body), "API rate limit exceeded") {
		t.Errorf("body = %s", r.body)
	}
	rate := k.want(200, "GET", "/rate_limit", token, "").object(t)
	equal(t, "remaining", dig(rate, "rate", "remaining"), any(0.0))
	k.clock.add(time.Hour - time.Minute) // the token has a minute left, the limit is reset by then
	k.clock.add(time.Minute)
	k.want(200, "GET", "/repos/acme/shop", k.token(""), "")
}

// More than 80 writes in a minute meet the secondary limit.
func TestContentLimit(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	body := fmt.Sprintf(`{"name":"x","head_sha":%q}`, k.repo.Head)
	for range 80 {
		k.want(201, "POST", "/repos/acme/shop/check-runs", token, body)
	}
	r := k.want(403, "POST", "/repos/acme/shop/check-runs", token, body)
	equal(t, "Retry-After", r.header.Get("Retry-After"), "60")
	if !strings.Contains(string(r.body), "secondary rate limit") {
		t.Errorf("body = %s", r.body)
	}
	k.clock.add(time.Minute)
	k.want(201, "POST", "/repos/acme/shop/check-runs", token, body)
}

func TestETags(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	path := "/repos/acme/shop/contents/README.md"
	first := k.want(200, "GET", path, token, "")
	tag := first.header.Get("ETag")
	again := k.want(304, "GET", path, token, "", "If-None-Match", tag)
	equal(t, "remaining after 304", again.header.Get("X-RateLimit-Remaining"), first.header.Get("X-RateLimit-Remaining"))
	if len(again.body) != 0 {
		t.Errorf("304 with %d bytes", len(again.body))
	}
	k.want(200, "GET", path, k.token(""), "", "If-None-Match", tag)
}
