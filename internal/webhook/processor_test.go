package webhook_test

import (
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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/spec"
	"github.com/neontwin/neontwin/internal/twin"
	"github.com/neontwin/neontwin/internal/webhook"
)

var (
	shaHead  = strings.Repeat("a", 40)
	shaMerge = strings.Repeat("b", 40)
	shaMain  = strings.Repeat("d", 40) // where main is, for changes of other branches
)

// hub is a GitHub with one repository, acme/shop.
type hub struct {
	url string

	mu    sync.Mutex
	files map[string]string // the content of our file, by commit
	paths []string          // what every pull request changes
	fail  func(w http.ResponseWriter, r *http.Request) bool
	any   bool     // it answers for every repository as for acme/shop
	asked []string // paths of requests, without those for tokens
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{files: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /app/installations/7/access_tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token":"ghs_x","expires_at":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339))
	})
	mux.HandleFunc("GET /repos/acme/shop/contents/.github/neon-twin.yml", func(w http.ResponseWriter, r *http.Request) {
		text, ok := h.files[r.URL.Query().Get("ref")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			text = `{"message":"Not Found"}`
		}
		_, _ = io.WriteString(w, text)
	})
	mux.HandleFunc("GET /repos/acme/shop/commits/{sha}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{}`)
	})
	mux.HandleFunc("GET /repos/acme/shop", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":9}`) })
	mux.HandleFunc("GET /repos/acme/shop/branches/main", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"commit":{"sha":%q}}`, shaMain)
	})
	mux.HandleFunc("GET /repos/acme/shop/collaborators/{login}/permission", func(w http.ResponseWriter, r *http.Request) {
		permission := map[string]string{"writer": "write", "reader": "read"}[r.PathValue("login")]
		if permission == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprintf(w, `{"permission":%q}`, permission)
	})
	mux.HandleFunc("GET /repos/acme/shop/pulls/3/files", func(w http.ResponseWriter, _ *http.Request) {
		var list []map[string]string
		for _, p := range h.paths {
			list = append(list, map[string]string{"filename": p})
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !strings.HasSuffix(r.URL.Path, "access_tokens") {
			h.asked = append(h.asked, r.URL.Path+"?"+r.URL.Query().Get("ref"))
			if h.fail != nil && h.fail(w, r) {
				return
			}
		}
		if parts := strings.SplitN(r.URL.Path, "/", 5); h.any && len(parts) > 4 && parts[1] == "repos" {
			r.URL.Path = "/repos/acme/shop/" + parts[4]
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	h.url = srv.URL
	return h
}

// unreachable answers for a repository that is blocked.
func unreachable(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusUnavailableForLegalReasons)
	_, _ = io.WriteString(w, `{"message":"Repository access blocked"}`)
	return true
}

var appKey = sync.OnceValue(func() []byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
})

// fakeBinder binds names in memory.
type fakeBinder struct {
	bound map[string]int64
	err   error
}

func (b *fakeBinder) Bind(_ context.Context, fullName string, id int64) (int64, error) {
	if b.err != nil {
		return 0, b.err
	}
	if have, ok := b.bound[fullName]; ok {
		return have, nil
	}
	b.bound[fullName] = id
	return id, nil
}

func (b *fakeBinder) BoundNames(_ context.Context, id int64) (names []string, err error) {
	for name, bound := range b.bound {
		if bound == id {
			names = append(names, name)
		}
	}
	return names, b.err
}

// openPolicy lets acme/shop use the source and targets of the cases.
func openPolicy() webhook.Policy {
	shop := webhook.Access{Repositories: []string{"other/repo", "Acme/Shop"}}
	return webhook.Policy{
		Sources: map[string]webhook.Access{"prod": shop, "open": {Repositories: shop.Repositories, AllowSQL: true}, "secret": {Repositories: shop.Repositories, MustMask: true}, "foreign": {Repositories: []string{"b/c"}}},
		Targets: map[string]webhook.Access{"shop-twin": shop, "other-twin": shop, "nobody": {}},
	}
}

func merged(base string) twin.Delivery {
	return delivery("pull_request", `{"action":"closed","number":3,"pull_request":{"number":3,"merged":true,
		"merged_at":"2026-03-01T12:00:00Z","merge_commit_sha":"`+shaMerge+`","head":{"sha":"`+shaHead+`"},
		"base":{"ref":"`+base+`","repo":{"id":9}}},`)
}

func pushed(branch string) twin.Delivery {
	return delivery("push", `{"ref":"refs/heads/`+branch+`","before":"`+shaHead+`","after":"`+shaMerge+`",
		"commits":[{"added":["db/migrations/7.sql"]}],`)
}

func delivery(event, body string) twin.Delivery {
	return twin.Delivery{
		GUID: "guid", Event: event, InstallationID: 7, RepositoryID: 9, ReceivedAt: time.Now(),
		Body: []byte(body + `"installation":{"id":7},
			"repository":{"id":9,"name":"shop","owner":{"login":"acme"},"default_branch":"main"}}`),
	}
}

func file(source, target, on string) string {
	return "version: 1\ntwins:\n  staging: {source: " + source + ", target: " + target + ", mode: full, on: " + on + "}\n"
}

// moded is a file whose Twin has a mode of its own.
func moded(source, mode string) string {
	return "version: 1\ntwins:\n  staging: {source: " + source + ", target: shop-twin, on: {push: , pull_request: }, mode: " + mode + "}\n"
}

func TestProcessor(t *testing.T) {
	t.Parallel()
	const both = `{pull_request: , push: }`
	const tracked = `{pull_request: {branches: [main, "release/*"]}}`
	const paths = `{pull_request: {paths: ["db/**"]}}`
	fallback := openPolicy()
	fallback.Default = &twin.Spec{Name: "default", Source: "prod", Target: "shop-twin", Mode: twin.Full}
	fallback.DefaultRepository = "ACME/shop"
	for _, c := range []struct {
		name   string
		d      twin.Delivery
		files  map[string]string
		paths  []string
		policy webhook.Policy
		bound  map[string]int64
		want   string // the first line of the decision, or a part of it
	}{
		{
			"merged", merged("main"),
			map[string]string{shaMerge: file("prod", "shop-twin", both)},
			nil, openPolicy(), nil,
			"staging of acme/shop (9, installation 7) by pull_request: refs/heads/main at " + shaMerge,
		},
		{
			"pushed", pushed("main"),
			map[string]string{shaMerge: file("prod", "shop-twin", both)},
			nil, openPolicy(), nil,
			"staging of acme/shop (9, installation 7) by push: refs/heads/main at " + shaMerge,
		},
		{"no file", merged("main"), nil, nil, openPolicy(), nil, "nothing: the repository has no .github/neon-twin.yml"},
		{
			"no file, set up by the operator", merged("main"), nil, nil, fallback, nil,
			"default of acme/shop (9, installation 7) by pull_request",
		},
		{"no file, pushed", pushed("main"), nil, nil, fallback, nil, "default of acme/shop (9, installation 7) by push"},
		{"no file, other branch", pushed("dev"), nil, nil, fallback, nil, "nothing: no Twin is synced for pushes of branch dev"},
		{
			"a file beats the operator's Twin", merged("main"),
			map[string]string{shaMerge: file("prod", "shop-twin", both)},
			nil, fallback, nil,
			"staging of acme/shop",
		},
		{
			"invalid file", merged("main"),
			map[string]string{shaMerge: "version: 1\ntwins:\n  a: {mask: {}}\n"},
			nil, openPolicy(), nil,
			"configuration: .github/neon-twin.yml has 5 errors:",
		},
		{
			"large file", merged("main"),
			map[string]string{shaMerge: strings.Repeat("#", spec.MaxSize+1)},
			nil, openPolicy(), nil,
			"configuration: .github/neon-twin.yml:1:1: the file has more than 64 KiB",
		},
		{"untrusted branch", merged("feature"), map[string]string{
			shaMain: file("prod", "shop-twin", both), shaMerge: file("prod", "shop-twin", `{pull_request: {branches: [feature]}}`),
		}, nil, openPolicy(), nil, "nothing: the default branch's file does not name branch feature"},
		{"trusted branch", merged("release/1"), map[string]string{
			shaMain: file("prod", "shop-twin", tracked), shaMerge: file("prod", "shop-twin", tracked),
		}, nil, openPolicy(), nil, "staging of acme/shop (9, installation 7) by pull_request: refs/heads/release/1"},
		{"trusted branch decides by its own file", merged("release/1"), map[string]string{
			shaMain: file("prod", "shop-twin", tracked), shaMerge: file("prod", "shop-twin", `{pull_request: {branches: [main]}}`),
		}, nil, openPolicy(), nil, "nothing: no Twin is synced for merged pull requests of branch release/1"},
		{"trusted branch without a file", merged("release/1"), map[string]string{
			shaMain: file("prod", "shop-twin", tracked),
		}, nil, fallback, nil, "nothing: branch release/1 has no .github/neon-twin.yml"},
		{"trusted by nobody", merged("release/1"), map[string]string{
			shaMain: "broken: [", shaMerge: file("prod", "shop-twin", tracked),
		}, nil, openPolicy(), nil, "nothing: branch release/1 is not trusted while"},
		{
			"watched path", merged("main"),
			map[string]string{shaMerge: file("prod", "shop-twin", paths)},
			[]string{"db/1.sql"},
			openPolicy(), nil, "staging of acme/shop",
		},
		{
			"no watched path", merged("main"),
			map[string]string{shaMerge: file("prod", "shop-twin", paths)},
			[]string{"main.go"},
			openPolicy(), nil, "nothing: no file changed that a Twin of branch main watches",
		},
		{
			"foreign source", merged("main"),
			map[string]string{shaMerge: file("foreign", "shop-twin", both)},
			nil, openPolicy(), nil,
			`refused: the source "foreign" is not open to acme/shop`,
		},
		{
			"unknown source", merged("main"),
			map[string]string{shaMerge: file("unknown", "shop-twin", both)},
			nil, openPolicy(), nil,
			`refused: the source "unknown" is not open to acme/shop`,
		},
		{
			"target of nobody", merged("main"),
			map[string]string{shaMerge: file("prod", "nobody", both)},
			nil, openPolicy(), nil,
			`refused: the target "nobody" is not open to acme/shop`,
		},
		{
			"must mask", merged("main"),
			map[string]string{shaMerge: file("secret", "shop-twin", both)},
			nil, openPolicy(), nil,
			`refused: the source "secret" may only be used with masking`,
		},
		{
			"must mask, without rows", merged("main"),
			map[string]string{shaMerge: moded("secret", "schema_only")},
			nil, openPolicy(), nil,
			"staging of acme/shop",
		},
		{
			"must mask, but for lookups", merged("main"),
			map[string]string{shaMerge: moded("secret", "schema_only, subset: {whole: [public.countries]}")},
			nil, openPolicy(), nil,
			`refused: the source "secret" may only be used with masking`,
		},
		{
			"SQL that is allowed", merged("main"),
			map[string]string{shaMerge: moded("open", `partial, subset: {roots: [{table: public.t, where: "x > 1"}]}`)},
			nil, openPolicy(), nil,
			"staging of acme/shop",
		},
		{
			"SQL that is not allowed", merged("main"),
			map[string]string{shaMerge: moded("prod", `partial, subset: {roots: [{table: public.t, where: "x > 1"}]}`)},
			nil, openPolicy(), nil,
			`refused: the subset of this Twin has SQL in it, and the source "prod" takes none`,
		},
		{
			"a subset without SQL", merged("main"),
			map[string]string{shaMerge: moded("prod", `partial, subset: {roots: [{table: public.t, limit: 5}]}`)},
			nil, openPolicy(), nil,
			"staging of acme/shop",
		},
		{
			"name taken over", merged("main"),
			map[string]string{shaMerge: file("prod", "shop-twin", both)},
			nil, openPolicy(),
			map[string]int64{"acme/shop": 8},
			"refused: the name acme/shop stood for another repository",
		},
		{
			"no policy", merged("main"),
			map[string]string{shaMerge: file("prod", "shop-twin", both)},
			nil,
			webhook.Policy{},
			nil,
			`refused: the source "prod" is not open`,
		},
		{
			"no policy, another branch", merged("feature"),
			map[string]string{shaMain: "broken: [", shaMerge: file("prod", "shop-twin", both)},
			nil,
			webhook.Policy{},
			nil,
			`nothing: no source or target is open to the repository`,
		},
		{
			"unmerged", delivery("pull_request", `{"action":"closed","number":3,"pull_request":{"number":3,"merged":false,"head":{"sha":"`+shaHead+`"},"base":{"ref":"main"}},`),
			nil, nil, openPolicy(), nil, "nothing: the pull request was closed without being merged",
		},
		{"unreadable", twin.Delivery{GUID: "guid", Event: "push", Body: []byte("{")}, nil, nil, openPolicy(), nil, "nothing: the event can't be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			h.files, h.paths = c.files, c.paths
			binder := &fakeBinder{bound: map[string]int64{}}
			for name, id := range c.bound {
				binder.bound[name] = id
			}
			d, err := newProcessor(t, h, c.policy, binder).Decide(t.Context(), c.d)
			if err != nil {
				t.Fatal(err)
			}
			if got := told(d); !strings.Contains(got, c.want) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
			if (d.Reason == "") == (len(d.Requests) == 0) {
				t.Errorf("a decision has requests or a reason, not %+v", d)
			}
			refused := strings.HasPrefix(c.want, "refused: ") || strings.HasPrefix(c.want, "configuration: ")
			for _, r := range d.Requests {
				if (r.Refusal != nil) != refused || r.At.IsZero() || len(r.Places) == 0 {
					t.Errorf("got %+v", r)
				}
				if refused && (r.Refusal.Retry || r.Refusal.Next == "") {
					t.Errorf("refused with %+v", r.Refusal)
				}
			}
		})
	}
}

func newProcessor(t *testing.T, h *hub, policy webhook.Policy, b webhook.Binder) *webhook.Processor {
	t.Helper()
	return newProcessorWith(t, h, policy, b, nil)
}

func newProcessorWith(t *testing.T, h *hub, policy webhook.Policy, b webhook.Binder, runs fakeRuns) *webhook.Processor {
	t.Helper()
	app, err := github.New(github.Config{AppID: 1, PrivateKey: appKey(), BaseURL: h.url, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return webhook.NewProcessor(app, policy, b, runs, slog.New(slog.DiscardHandler))
}

// TestProcessorAsksLittle holds that the files of a pull request are only asked
// for where they matter, and a trusted branch's head only for other branches.
func TestProcessorAsksLittle(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.files = map[string]string{shaMerge: file("prod", "shop-twin", "{pull_request: , push: {paths: [x]}}")}
	p := newProcessor(t, h, openPolicy(), &fakeBinder{bound: map[string]int64{}})
	for _, d := range []twin.Delivery{merged("main"), pushed("main")} {
		if _, err := p.Decide(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.asked) != 2 {
		t.Errorf("asked %q, want the file twice", h.asked)
	}
}

func TestProcessorErrors(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/contents/") {
				return false
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	old := merged("main")
	old.ReceivedAt = time.Now().Add(-3 * time.Minute)
	for _, c := range []struct {
		name   string
		d      twin.Delivery
		fail   func(http.ResponseWriter, *http.Request) bool
		binder error
		later  bool
		reason string // empty: an error
	}{
		{"server error", merged("main"), answer(502, ""), nil, false, ""},
		{"rate limit", merged("main"), answer(429, ""), nil, true, ""},
		{"commit not shown yet", merged("main"), answer(404, `{"message":"No commit found for the ref"}`), nil, true, ""},
		{"commit never shown", old, answer(404, `{"message":"No commit found for the ref"}`), nil, false, "GitHub does not show the commit"},
		{"blocked", merged("main"), answer(451, `{"message":"Repository access blocked"}`), nil, false, "the App can't reach the repository any more"},
		{"binder", merged("main"), nil, errors.New("database is down"), false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			h.files, h.fail = map[string]string{shaMerge: file("prod", "shop-twin", "{push: , pull_request: }")}, c.fail
			d, err := newProcessor(t, h, openPolicy(), &fakeBinder{bound: map[string]int64{}, err: c.binder}).Decide(t.Context(), c.d)
			var later *twin.LaterError
			if errors.As(err, &later) != c.later || (err == nil) != (c.reason != "") || d.Reason != c.reason || len(d.Requests) != 0 {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	}
}

// TestOrderOfACommitThatIsGone: nothing is known then, and nobody waits for it.
func TestOrderOfACommitThatIsGone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := newProcessor(t, h, openPolicy(), &fakeBinder{bound: map[string]int64{}})
	if way, err := p.Order(t.Context(), twin.Repository{InstallationID: 7, ID: 9, Owner: "acme", Name: "shop"}, shaMerge, shaHead); way != 0 || err != nil {
		t.Errorf("got %d, %v", way, err)
	}
}

// TestOnlyTheDefaultBranchSaysWhichTwinsThereAre: another branch's file may be
// older, and no Twin loses its target for that.
func TestOnlyTheDefaultBranchSaysWhichTwinsThereAre(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	text := file("prod", "shop-twin", "{push: {branches: [main, release]}}")
	h.files = map[string]string{shaMerge: text, shaMain: text}
	p := newProcessor(t, h, openPolicy(), &fakeBinder{bound: map[string]int64{}})
	for branch, want := range map[string][]string{"main": {"staging"}, "release": nil} {
		d, err := p.Decide(t.Context(), pushed(branch))
		if err != nil || len(d.Requests) != 1 || !slices.Equal(d.Requests[0].Twins, want) {
			t.Errorf("%s: got %+v, %v, want Twins %v", branch, d, err, want)
		}
	}
}

// TestSeveralErrorsOfAFile: the first line says how many, for a title; each has
// a line of its own.
func TestSeveralErrorsOfAFile(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.files = map[string]string{shaMerge: "version: 2\ntwins: {a: {mode: half}}\n"}
	d, err := newProcessor(t, h, openPolicy(), &fakeBinder{bound: map[string]int64{}}).Decide(t.Context(), merged("main"))
	if err != nil || len(d.Requests) != 1 || d.Requests[0].Refusal == nil || d.Requests[0].Spec.Name != spec.ReservedName {
		t.Fatalf("got %+v, %v", d, err)
	}
	lines := strings.Split(d.Requests[0].Refusal.Message, "\n")
	if want := fmt.Sprintf("%s has %d errors:", spec.Path, len(lines)-1); len(lines) < 3 || lines[0] != want {
		t.Errorf("got %q", lines)
	}
}

// TestPermit asks for runs again after the operator has written another file.
func TestPermit(t *testing.T) {
	t.Parallel()
	shop := twin.Repository{InstallationID: 7, ID: 9, Owner: "acme", Name: "shop"}
	plain := twin.Spec{Name: "staging", Source: "open", Target: "shop-twin", Mode: twin.Partial, Subset: &twin.Subset{Roots: []twin.Root{{Table: "public.t", Limit: 3}}}}
	sql := plain
	sql.Subset = &twin.Subset{Roots: []twin.Root{{Table: "public.t", Where: "id < 3"}}}
	closed := func(change func(*webhook.Access)) webhook.Policy {
		p := openPolicy()
		access := p.Sources["open"]
		change(&access)
		p.Sources["open"] = access
		return p
	}
	for name, c := range map[string]struct {
		policy webhook.Policy
		bound  int64 // the repository that the name stands for
		spec   twin.Spec
		want   string // part of the refusal, empty for none
	}{
		"as before":               {openPolicy(), 9, sql, ""},
		"no more SQL":             {closed(func(a *webhook.Access) { a.AllowSQL = false }), 9, sql, "takes none from a repository's file"},
		"no more SQL, none there": {closed(func(a *webhook.Access) { a.AllowSQL = false }), 9, plain, ""},
		"to be masked":            {closed(func(a *webhook.Access) { a.MustMask = true }), 9, plain, "only be used with masking"},
		"given to another":        {closed(func(a *webhook.Access) { a.Repositories = []string{"acme/other"} }), 9, plain, `source "open" is not open to acme/shop`},
		"no such target":          {webhook.Policy{Sources: openPolicy().Sources}, 9, plain, `target "shop-twin" is not open to acme/shop`},
		"another repository":      {openPolicy(), 10, plain, "stood for another repository"},
	} {
		p := newProcessor(t, newHub(t), c.policy, &fakeBinder{bound: map[string]int64{"acme/shop": c.bound}})
		err := p.Permit(t.Context(), twin.Run{Repo: shop, Spec: c.spec})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (!errors.Is(err, twin.ErrRefused) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	lost := errors.New("no route")
	err := newProcessor(t, newHub(t), openPolicy(), &fakeBinder{err: lost}).Permit(t.Context(), twin.Run{Repo: shop, Spec: plain})
	if !errors.Is(err, lost) || errors.Is(err, twin.ErrRefused) {
		t.Errorf("names that can't be read: %v", err)
	}
}
