package github

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"

	"github.com/neontwin/neontwin/internal/twin"
)

const appID = 4711

// appKey is made once: it takes most of a test's time.
var appKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func keyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(appKey())})
}

var shop = twin.Repository{InstallationID: 7, ID: 9, Owner: "acme", Name: "shop", DefaultBranch: "main"}

// hub is a small GitHub: it mints tokens and answers what a test registers.
type hub struct {
	*httptest.Server
	mux *http.ServeMux

	mu      sync.Mutex
	minted  []string         // the bodies of the requests for tokens
	revoked map[string]bool  // tokens that answer 401
	seen    []string         // method and path of every request but mints
	mint    http.HandlerFunc // in place of the ordinary minting
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{mux: http.NewServeMux(), revoked: map[string]bool{}}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.Close)
	return h
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/access_tokens") {
		h.access(w, r)
		return
	}
	h.mu.Lock()
	h.seen = append(h.seen, r.Method+" "+r.URL.Path)
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "token ")
	known := strings.HasPrefix(token, "ghs_") && !h.revoked[token] || r.URL.Path == "/app" ||
		strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ") // of the App itself
	h.mu.Unlock()
	if !known {
		reply(w, http.StatusUnauthorized, `{"message":"Bad credentials"}`)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// access mints a token for whoever shows a JWT of the App.
func (h *hub) access(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.minted = append(h.minted, string(body))
	n, custom := len(h.minted), h.mint
	h.mu.Unlock()
	if custom != nil {
		custom(w, r)
		return
	}
	claims := jwt.RegisteredClaims{}
	_, err := jwt.ParseWithClaims(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), &claims,
		func(*jwt.Token) (any, error) { return &appKey().PublicKey, nil })
	if err != nil || claims.Issuer != strconv.Itoa(appID) {
		reply(w, http.StatusUnauthorized, `{"message":"A JSON web token could not be decoded"}`)
		return
	}
	reply(w, http.StatusCreated, fmt.Sprintf(`{"token":"ghs_%d","expires_at":%q}`, n, time.Now().Add(time.Hour).Format(time.RFC3339)))
}

func (h *hub) mints() int { h.mu.Lock(); defer h.mu.Unlock(); return len(h.minted) }

func (h *hub) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.seen...)
}

// answer registers one answer for a pattern.
func (h *hub) answer(pattern string, status int, body string) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { reply(w, status, body) })
}

func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// app makes an App that talks to the hub.
func (h *hub) app(t *testing.T, change ...func(*Config)) *App {
	t.Helper()
	cfg := Config{AppID: appID, PrivateKey: keyPEM(), BaseURL: h.URL, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const sha = "0123456789012345678901234567890123456789"

func TestNew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cfg  Config
		ok   bool
	}{
		{"ordinary", Config{AppID: 1, PrivateKey: keyPEM()}, true},
		{"enterprise", Config{AppID: 1, PrivateKey: keyPEM(), BaseURL: "https://ghe.example/api/v3"}, true},
		{"loopback", Config{AppID: 1, PrivateKey: keyPEM(), BaseURL: "http://127.0.0.1:8080"}, true},
		{"no id", Config{PrivateKey: keyPEM()}, false},
		{"no key", Config{AppID: 1}, false},
		{"not a key", Config{AppID: 1, PrivateKey: []byte("s3cret")}, false},
		{"no TLS", Config{AppID: 1, PrivateKey: keyPEM(), BaseURL: "http://ghe.example"}, false},
		{"no host", Config{AppID: 1, PrivateKey: keyPEM(), BaseURL: "ghe.example"}, false},
		{"user", Config{AppID: 1, PrivateKey: keyPEM(), BaseURL: "https://a:s3cret@ghe.example"}, false},
	} {
		_, err := New(c.cfg)
		if (err == nil) != c.ok {
			t.Errorf("%s: got %v", c.name, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error quotes a secret: %v", c.name, err)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	const path = "/repos/acme/shop/contents/.github/neon-twin.yml"
	for _, c := range []struct {
		name   string
		routes map[string]func(http.ResponseWriter)
		want   string
		err    error
		later  bool
	}{
		{"there", map[string]func(http.ResponseWriter){
			path: func(w http.ResponseWriter) { reply(w, 200, "version: 1\n") },
		}, "version: 1\n", nil, false},
		{"absent", map[string]func(http.ResponseWriter){
			path:                              func(w http.ResponseWriter) { reply(w, 404, `{"message":"Not Found"}`) },
			"/repos/acme/shop/commits/" + sha: func(w http.ResponseWriter) { reply(w, 200, `{"sha":"`+sha+`"}`) },
		}, "", ErrNoFile, false},
		{"commit not shown", map[string]func(http.ResponseWriter){
			path: func(w http.ResponseWriter) {
				reply(w, 404, `{"message":"No commit found for the ref `+sha+`"}`)
			},
			"/repos/acme/shop": func(w http.ResponseWriter) { reply(w, 200, `{"id":9}`) },
		}, "", ErrNoCommit, true},
		{"commit not shown, said by its own address", map[string]func(http.ResponseWriter){
			path:                              func(w http.ResponseWriter) { reply(w, 404, `{"message":"Not Found"}`) },
			"/repos/acme/shop/commits/" + sha: func(w http.ResponseWriter) { reply(w, 422, `{"message":"No commit found for SHA: x"}`) },
			"/repos/acme/shop":                func(w http.ResponseWriter) { reply(w, 200, `{"id":9}`) },
		}, "", ErrNoCommit, true},
		{"repository gone", map[string]func(http.ResponseWriter){
			path:                              func(w http.ResponseWriter) { reply(w, 404, `{"message":"Not Found"}`) },
			"/repos/acme/shop/commits/" + sha: func(w http.ResponseWriter) { reply(w, 404, `{"message":"Not Found"}`) },
			"/repos/acme/shop":                func(w http.ResponseWriter) { reply(w, 404, `{"message":"Not Found"}`) },
		}, "", twin.ErrUnreachable, false},
		{"too large", map[string]func(http.ResponseWriter){
			path: func(w http.ResponseWriter) { reply(w, 200, strings.Repeat("x", MaxFile+1)) },
		}, "", ErrFileTooLarge, false},
		{"largest", map[string]func(http.ResponseWriter){
			path: func(w http.ResponseWriter) { reply(w, 200, strings.Repeat("x", MaxFile)) },
		}, strings.Repeat("x", MaxFile), nil, false},
		{"blocked", map[string]func(http.ResponseWriter){
			path: func(w http.ResponseWriter) { reply(w, 451, `{"message":"Repository access blocked"}`) },
		}, "", twin.ErrUnreachable, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			for p, f := range c.routes {
				h.mux.HandleFunc("GET "+p, func(w http.ResponseWriter, r *http.Request) {
					if p == path && (r.URL.Query().Get("ref") != sha || r.Header.Get("Accept") != "application/vnd.github.raw+json") {
						t.Errorf("asked for %v as %q", r.URL, r.Header.Get("Accept"))
					}
					f(w)
				})
			}
			got, err := h.app(t).File(t.Context(), shop, ".github/neon-twin.yml", sha)
			var later *twin.LaterError
			if !errors.Is(err, c.err) || errors.As(err, &later) != c.later || string(got) != c.want {
				t.Errorf("got %.40q, %v, want %.40q, %v", got, err, c.want, c.err)
			}
		})
	}
}

// TestFileOfUnknownBranch holds that a branch which is not there is no missing file.
func TestFileOfUnknownBranch(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /repos/acme/shop/contents/a", 404, `{"message":"No commit found for the ref gone"}`)
	h.answer("GET /repos/acme/shop", 200, `{"id":9}`)
	if _, err := h.app(t).File(t.Context(), shop, "a", "gone"); !errors.Is(err, ErrNoCommit) {
		t.Errorf("got %v, want ErrNoCommit", err)
	}
}

// TestTokenScope holds that a token is good for one repository and no more
// than we need, and is used again.
func TestTokenScope(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /repos/acme/shop/contents/a", 200, "x")
	a := h.app(t)
	for range 3 {
		if _, err := a.File(t.Context(), shop, "a", "main"); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.mints(); n != 1 {
		t.Errorf("minted %d tokens for 3 calls, want 1", n)
	}
	const want = `{"repository_ids":[9],"permissions":{"checks":"write","contents":"read","metadata":"read","pull_requests":"read"}}`
	if got := strings.TrimSpace(h.minted[0]); got != want {
		t.Errorf("asked for %s\nwant %s", got, want)
	}
}

// TestRevokedToken holds that a token which GitHub took back is replaced once,
// and that a second refusal is an error.
func TestRevokedToken(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /repos/acme/shop/contents/a", 200, "x")
	a := h.app(t)
	h.revoked["ghs_1"] = true
	if _, err := a.File(t.Context(), shop, "a", "main"); err != nil {
		t.Fatalf("after a revoked token: %v", err)
	}
	h.mu.Lock()
	for i := range 10 {
		h.revoked[fmt.Sprintf("ghs_%d", i)] = true
	}
	h.mu.Unlock()
	before := h.mints()
	if _, err := a.File(t.Context(), shop, "a", "main"); err == nil {
		t.Error("got no error although every token is refused")
	}
	if n := h.mints() - before; n != 1 {
		t.Errorf("minted %d more tokens, want 1", n)
	}
}

func TestMintRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status      int
		body        string
		unreachable bool
	}{
		{403, `{"message":"This installation has been suspended"}`, true},
		{404, `{"message":"Not Found"}`, true},
		{422, `{"message":"There is at least one repository that does not exist or is not accessible to the parent installation."}`, true},
		{422, `{"message":"The permissions requested are not granted to this installation."}`, false},
		{401, `{"message":"A JSON web token could not be decoded"}`, false},
		{500, `oops`, false},
	} {
		t.Run(fmt.Sprint(c.status), func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			h.mint = func(w http.ResponseWriter, _ *http.Request) { reply(w, c.status, c.body) }
			_, err := h.app(t).File(t.Context(), shop, "a", sha)
			if err == nil || errors.Is(err, twin.ErrUnreachable) != c.unreachable {
				t.Errorf("got %v", err)
			}
			if h.mints() != 1 {
				t.Errorf("asked %d times for a token, want once", h.mints())
			}
			// Whatever way it is printed, the App's own token is not in it.
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "eyJ") || strings.Contains(text, "Bearer") {
				t.Errorf("the error holds a token: %s", text)
			}
		})
	}
}

// TestRateLimitIsOfTheInstallation holds that a limit is met once, that it
// holds back all calls of its installation and none of another, and that it
// ends.
func TestRateLimitIsOfTheInstallation(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	limited := true
	h.mux.HandleFunc("GET /repos/acme/shop/contents/a", func(w http.ResponseWriter, _ *http.Request) {
		if limited {
			w.Header().Set("Retry-After", "40")
			reply(w, 429, `{"message":"slow down"}`)
			return
		}
		reply(w, 200, "x")
	})
	h.answer("GET /repos/acme/blog/contents/a", 200, "x")
	var mu sync.Mutex
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := h.app(t, func(c *Config) {
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	sibling := shop
	sibling.ID, sibling.Name = 10, "blog"
	for _, repo := range []twin.Repository{shop, shop, sibling} {
		_, err := a.File(t.Context(), repo, "a", "main")
		var later *twin.LaterError
		if !errors.As(err, &later) || !later.At.Equal(now.Add(40*time.Second)) {
			t.Fatalf("got %v, want later, in 40 s", err)
		}
	}
	if n := len(h.requests()); n != 1 {
		t.Errorf("sent %d requests into the limit, want 1", n)
	}
	other := sibling
	other.InstallationID = 8
	if _, err := a.File(t.Context(), other, "a", "main"); err != nil {
		t.Errorf("another installation: %v", err)
	}
	mu.Lock()
	now = now.Add(41 * time.Second)
	mu.Unlock()
	limited = false
	if _, err := a.File(t.Context(), shop, "a", "main"); err != nil {
		t.Errorf("after the limit: %v", err)
	}
}

// TestLastRequest holds that the answer which uses the hour's limit up is
// given, and that the next call waits without being sent.
func TestLastRequest(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	reset := time.Now().Add(20 * time.Minute)
	h.mux.HandleFunc("GET /repos/acme/shop/contents/a", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-RateLimit-Limit", "5000")
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
		reply(w, 200, "x")
	})
	h.answer("GET /repos/acme/blog/contents/a", 200, "x")
	a := h.app(t)
	sibling := shop
	sibling.ID, sibling.Name = 10, "blog"
	if _, err := a.File(t.Context(), shop, "a", "main"); err != nil {
		t.Fatal(err)
	}
	for _, repo := range []twin.Repository{shop, sibling} {
		_, err := a.File(t.Context(), repo, "a", "main")
		var later *twin.LaterError
		if !errors.As(err, &later) || later.At.Before(reset.Truncate(time.Second)) || len(h.requests()) != 1 {
			t.Errorf("%s: got %v after %d requests", repo.Name, err, len(h.requests()))
		}
	}
}

// TestRedirects holds that a renamed repository is followed, reads by 301 and
// writes by 307, and that nothing else is.
func TestRedirects(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var stolen []string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stolen = append(stolen, r.Header.Get("Authorization"))
	}))
	t.Cleanup(thief.Close)
	redirect := func(from, to string, status int) {
		h.mux.HandleFunc(from, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) })
	}
	redirect("GET /repos/acme/old/contents/a", "/repositories/9/contents/a", http.StatusMovedPermanently)
	redirect("POST /repos/acme/old/check-runs", "/repositories/9/check-runs", http.StatusTemporaryRedirect)
	redirect("POST /repos/acme/bad/check-runs", "/repositories/9/check-runs", http.StatusMovedPermanently)
	redirect("GET /repos/acme/bad/contents/a", thief.URL, http.StatusTemporaryRedirect)
	redirect("GET /repos/acme/loop/contents/a", "/repos/acme/loop/contents/a", http.StatusMovedPermanently)
	h.answer("GET /repositories/9/contents/a", 200, "x")
	h.mux.HandleFunc("POST /repositories/9/check-runs", func(w http.ResponseWriter, r *http.Request) {
		var b checkRunBody
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil || b.HeadSHA != sha {
			t.Errorf("the body did not follow: %+v, %v", b, err)
		}
		reply(w, 201, `{"id":5}`)
	})
	h.answer("GET /repositories/9/check-runs", 200, `{"id":6}`)
	a := h.app(t)
	named := func(name string) twin.Repository { r := shop; r.Name = name; return r }
	run := CheckRun{Name: "n", HeadSHA: sha, Status: "queued"}
	if got, err := a.File(t.Context(), named("old"), "a", "main"); err != nil || string(got) != "x" {
		t.Errorf("read of a renamed repository: %q, %v", got, err)
	}
	if id, err := a.CreateCheckRun(t.Context(), named("old"), run); err != nil || id != 5 {
		t.Errorf("write to a renamed repository: %d, %v", id, err)
	}
	if id, err := a.CreateCheckRun(t.Context(), named("bad"), run); err == nil {
		t.Errorf("a write that became a read succeeded with %d", id)
	}
	if _, err := a.File(t.Context(), named("bad"), "a", "main"); err == nil || !errors.Is(err, errOtherHost) {
		t.Errorf("another host: %v", err)
	}
	if _, err := a.File(t.Context(), named("loop"), "a", "main"); err == nil {
		t.Error("an endless redirect succeeded")
	}
	if len(stolen) > 0 {
		t.Errorf("another host received %d requests", len(stolen))
	}
}

// TestPinned holds that the transport itself refuses other hosts.
func TestPinned(t *testing.T) {
	t.Parallel()
	p := pinned{base: http.DefaultTransport, scheme: "https", host: "api.github.com"}
	for _, u := range []string{"http://api.github.com/", "https://api.github.com.evil.example/", "https://127.0.0.1/"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := p.RoundTrip(r)
		if !errors.Is(err, errOtherHost) {
			t.Errorf("%s: got %v", u, err)
		}
		if resp != nil {
			resp.Body.Close()
		}
	}
}

func TestPullRequestFiles(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.mux.HandleFunc("GET /repos/acme/shop/pulls/3/files", func(w http.ResponseWriter, r *http.Request) {
		page := r.URL.Query().Get("page")
		if page == "1" {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?page=2>; rel="next"`, h.URL, r.URL.Path))
			reply(w, 200, `[{"filename":"b"},{"filename":"new.sql","previous_filename":"old.sql"}]`)
			return
		}
		reply(w, 200, `[{"filename":"a"},{"filename":"b"}]`)
	})
	h.mux.HandleFunc("GET /repos/acme/shop/pulls/4/files", func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		if page < 30 {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?page=%d>; rel="next"`, h.URL, r.URL.Path, page+1))
		}
		files := make([]string, 100)
		for i := range files {
			files[i] = fmt.Sprintf(`{"filename":"f%d-%d"}`, page, i)
		}
		reply(w, 200, "["+strings.Join(files, ",")+"]")
	})
	a := h.app(t)
	paths, complete, err := a.PullRequestFiles(t.Context(), shop, 3)
	if want := "[a b new.sql old.sql]"; fmt.Sprint(paths) != want || !complete || err != nil {
		t.Errorf("got %v, %v, %v, want %s", paths, complete, err, want)
	}
	paths, complete, err = a.PullRequestFiles(t.Context(), shop, 4)
	if len(paths) != 3000 || complete || err != nil {
		t.Errorf("got %d, %v, %v, want 3000 and not complete", len(paths), complete, err)
	}
}

func TestBranchHead(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /repos/acme/shop/branches/release/1", 200, `{"name":"release/1","commit":{"sha":"`+sha+`"}}`)
	h.answer("GET /repos/acme/shop", 200, `{"id":9}`)
	a := h.app(t)
	if got, err := a.BranchHead(t.Context(), shop, "release/1"); got != sha || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := a.BranchHead(t.Context(), shop, "gone"); err == nil || errors.Is(err, twin.ErrUnreachable) {
		t.Errorf("got %v for a branch that is not there", err)
	}
	elsewhere := shop
	elsewhere.Name = "gone"
	if _, err := a.BranchHead(t.Context(), elsewhere, "main"); !errors.Is(err, twin.ErrUnreachable) {
		t.Errorf("got %v for a repository that is not there", err)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /repos/acme/shop", 200, `{"id":9}`)
	a := h.app(t)
	for n, c := range []struct {
		status string
		want   int
	}{{"ahead", 1}, {"behind", -1}, {"diverged", 0}, {"identical", 0}} {
		other := strings.Repeat(fmt.Sprint(n), 40)
		h.answer("GET /repos/acme/shop/compare/"+other+"..."+sha, 200, `{"status":"`+c.status+`"}`)
		if got, err := a.Order(t.Context(), shop, sha, other); got != c.want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", c.status, got, err, c.want)
		}
	}
	if _, err := a.Order(t.Context(), shop, sha, strings.Repeat("f", 40)); !errors.Is(err, ErrNoCommit) {
		t.Errorf("a commit that is not shown: %v", err)
	}
	if _, err := a.Order(t.Context(), shop, "main", sha); err == nil {
		t.Error("compared the name of a branch")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.mux.HandleFunc("GET /app", func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ") {
			reply(w, 401, `{"message":"no"}`)
			return
		}
		w.Header().Set("Date", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))
		reply(w, 200, `{"id":4711,"slug":"neon-twin","name":"Neon Twin","permissions":{"checks":"write"},"events":["push"]}`)
	})
	id, err := h.app(t).Check(t.Context())
	if err != nil || id.Slug != "neon-twin" || id.Permissions["checks"] != "write" || len(id.Events) != 1 ||
		id.ClockAhead < 55*time.Second || id.ClockAhead > 2*time.Minute {
		t.Errorf("got %+v, %v", id, err)
	}
	if _, err := h.app(t, func(c *Config) { c.AppID = 1 }).Check(t.Context()); err == nil {
		t.Error("a foreign App's key passed")
	}
}

// TestManyInstallations renews tokens of many installations at once; the race
// detector watches.
func TestManyInstallations(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /repos/acme/shop/contents/a", 200, "x")
	a := h.app(t)
	var wg sync.WaitGroup
	for i := range 8 {
		for range 2 {
			wg.Go(func() {
				repo := shop
				repo.InstallationID = int64(i + 1)
				if _, err := a.File(t.Context(), repo, "a", "main"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
}

// TestLogHoldsNoSecret holds that what is logged of a refused token names no
// token.
func TestLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /repos/acme/shop/contents/a", 200, "x")
	h.revoked["ghs_1"] = true
	var log bytes.Buffer
	a := h.app(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	if _, err := a.File(t.Context(), shop, "a", "main"); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !strings.Contains(text, "acme/shop") || strings.Contains(text, "ghs_") || strings.Contains(text, "eyJ") {
		t.Errorf("logged %s", text)
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.mux.HandleFunc("GET /repos/acme/shop/contents/a", func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := h.app(t).File(ctx, shop, "a", "main"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
