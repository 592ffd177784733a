package githubtest_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
)

// kit is a server with the App installed on acme, which has the repository
// acme/shop, and a receiver of its webhooks. Everything it sends and gets is
// held against GitHub's descriptions where these are at hand.
type kit struct {
	t     *testing.T
	gh    *githubtest.Server
	clock *clock
	inbox *inbox
	http  *http.Client
	repo  githubtest.Repository
	inst  githubtest.Installation
}

// clock is the server's clock: the real one plus what a test adds.
type clock struct {
	mu   sync.Mutex
	plus time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.plus)
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plus += d
}

func setup(t *testing.T, change ...func(*githubtest.Options)) *kit {
	t.Helper()
	k := &kit{t: t, clock: &clock{}}
	o := githubtest.Options{Now: k.clock.now}
	for _, f := range change {
		f(&o)
	}
	gh, err := githubtest.Start(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { _ = gh.Close() })
	k.gh = gh
	k.http = &http.Client{
		Transport:     contract(t),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	k.repo, err = gh.CreateRepository(githubtest.NewRepository{
		FullName: "acme/shop",
		Files:    map[string]string{"README.md": "# Shop\n", "db/migrations/1.sql": "create table a ();\n"},
	})
	must(t, err)
	k.inbox = newInbox(t, gh)
	must(t, gh.SetWebhookURL(k.inbox.url))
	t.Cleanup(func() { // before the inbox closes: nothing is cut off on its way
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
		defer cancel()
		_ = k.gh.WaitForWebhooks(ctx)
		_ = k.gh.Close()
	})
	k.inst, err = gh.Install("acme")
	must(t, err)
	k.settle()
	return k
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settle waits until every webhook was sent.
func (k *kit) settle() {
	k.t.Helper()
	must(k.t, k.gh.WaitForWebhooks(k.t.Context()))
}

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("read answer: %v: %.200s", err, r.body)
	}
}

// object reads a JSON object; list reads an array of them.
func (r reply) object(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	r.into(t, &v)
	return v
}

func (r reply) list(t *testing.T) []map[string]any {
	t.Helper()
	var v []map[string]any
	r.into(t, &v)
	return v
}

// do sends a request. The body is JSON text or nothing.
func (k *kit) do(method, path, auth, body string, headers ...string) reply {
	k.t.Helper()
	r, err := k.try(method, path, auth, body, headers...)
	must(k.t, err)
	return r
}

func (k *kit) try(method, path, auth, body string, headers ...string) (reply, error) {
	k.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = k.gh.URL() + path
	}
	req, err := http.NewRequestWithContext(k.t.Context(), method, path, strings.NewReader(body))
	must(k.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := k.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, raw}, err
}

// want sends a request and checks the status.
func (k *kit) want(status int, method, path, auth, body string, headers ...string) reply {
	k.t.Helper()
	r := k.do(method, path, auth, body, headers...)
	if r.status != status {
		k.t.Fatalf("%s %s = %d, want %d: %.300s", method, path, r.status, status, r.body)
	}
	return r
}

// app is an Authorization header of the App, signed here without the library
// that the server verifies with.
func (k *kit) app(change ...func(claims map[string]any)) string {
	k.t.Helper()
	now := k.clock.now().Unix()
	claims := map[string]any{"iss": fmt.Sprint(k.gh.App().ID), "iat": now - 30, "exp": now + 120}
	for _, f := range change {
		f(claims)
	}
	block, _ := pem.Decode(k.gh.App().PrivateKeyPEM)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	must(k.t, err)
	return "Bearer " + signed(k.t, key, claims)
}

func signed(t *testing.T, key *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	must(t, err)
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + enc.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	must(t, err)
	return text + "." + enc.EncodeToString(sig)
}

// token mints an installation token and returns it as a header.
func (k *kit) token(body string) string {
	k.t.Helper()
	r := k.want(201, "POST", fmt.Sprintf("/app/installations/%d/access_tokens", k.inst.ID), k.app(), body)
	return "token " + r.object(k.t)["token"].(string)
}

// pull opens a pull request that adds a migration.
func (k *kit) pull(change ...func(*githubtest.NewPullRequest)) githubtest.PullRequest {
	k.t.Helper()
	n := githubtest.NewPullRequest{
		Repository: "acme/shop", Title: "Add orders", Body: "We need orders.",
		Files: map[string]string{"db/migrations/2.sql": "create table orders ();\n"},
	}
	for _, f := range change {
		f(&n)
	}
	p, err := k.gh.OpenPullRequest(n)
	must(k.t, err)
	return p
}

// inbox receives webhooks and verifies each: signature, headers, schema.
type inbox struct {
	t   *testing.T
	gh  *githubtest.Server
	url string

	mu     sync.Mutex
	got    []hook
	secret string // empty: the App's
	loose  bool   // takes events that GitHub sends, but doesn't describe
	answer func(n int) int
}

type hook struct {
	event, action, guid string
	goodSignature       bool
	payload             map[string]any
	raw                 []byte
	header              http.Header
}

func (h hook) name() string {
	if h.action == "" {
		return h.event
	}
	return h.event + "." + h.action
}

func newInbox(t *testing.T, gh *githubtest.Server) *inbox {
	t.Helper()
	in := &inbox{t: t, gh: gh}
	srv := httptest.NewServer(in)
	t.Cleanup(srv.Close)
	in.url = srv.URL + "/webhooks/github"
	return in
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		in.t.Errorf("read webhook: %v", err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	secret := in.secret
	if secret == "" {
		secret = in.gh.App().WebhookSecret
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	h := hook{
		event: r.Header.Get("X-GitHub-Event"), guid: r.Header.Get("X-GitHub-Delivery"), raw: body, header: r.Header,
		goodSignature: r.Header.Get("X-Hub-Signature-256") == "sha256="+hex.EncodeToString(mac.Sum(nil)),
	}
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			in.t.Errorf("read form: %v", err)
		}
		body = []byte(form.Get("payload"))
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&h.payload); err != nil {
		in.t.Errorf("read payload of %s: %v", h.event, err)
	}
	h.action, _ = h.payload["action"].(string)
	if !in.loose {
		checkEvent(in.t, h.event, h.action, body)
	}
	in.got = append(in.got, h)
	status := http.StatusAccepted
	if in.answer != nil {
		status = in.answer(len(in.got))
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "noted")
}

// take returns what came since the last call.
func (in *inbox) take() []hook {
	in.mu.Lock()
	defer in.mu.Unlock()
	got := in.got
	in.got = nil
	return got
}

func names(list []hook) []string {
	out := []string{}
	for _, h := range list {
		out = append(out, h.name())
	}
	return out
}

// took waits for all webhooks, empties the inbox, and compares the names.
func (k *kit) took(want ...string) []hook {
	k.t.Helper()
	k.settle()
	got := k.inbox.take()
	if !slices.Equal(names(got), want) {
		k.t.Fatalf("webhooks\n got %q\nwant %q", names(got), want)
	}
	return got
}

// dig follows keys into nested objects.
func dig(v any, keys ...string) any {
	for _, key := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}
