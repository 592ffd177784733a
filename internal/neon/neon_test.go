package neon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neontwin/neontwin/internal/neon"
	"github.com/neontwin/neontwin/internal/twin"
)

const (
	key      = "napi_very_secret"
	conflict = `{"request_id":"r-1","code":"","message":"project already has running conflicting operations, scheduling of new ones is prohibited"}`
	project  = `{"project":{"id":"p","name":"shop","pg_version":17}}`
	page524  = `<!DOCTYPE html><title>524: A timeout occurred</title>`
)

// reply is one prepared answer.
type reply struct {
	status int
	body   string
	header http.Header
	cut    bool // announce more than is sent, then hang up
}

// serve answers requests by replies, the last one for ever, and counts them.
func serve(t *testing.T, log *slog.Logger, replies ...reply) (*neon.Client, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(handler(t, &n, replies...))
	t.Cleanup(s.Close)
	return neon.New(neon.Config{BaseURL: s.URL + "/api/v2", APIKey: key, Logger: log}), &n
}

func handler(t *testing.T, n *atomic.Int64, replies ...reply) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		i := min(int(n.Add(1)), len(replies)) - 1
		if r.Header.Get("Authorization") != "Bearer "+key || r.Header.Get("X-Request-ID") == "" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("headers of %s %s: no key, id or Accept", r.Method, r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(replies[i].body, "<") {
			w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		}
		for k, v := range replies[i].header {
			w.Header()[k] = v
		}
		if replies[i].cut {
			w.Header().Set("Content-Length", "9999")
		}
		w.WriteHeader(replies[i].status)
		_, _ = io.WriteString(w, replies[i].body)
	}
}

func get(c *neon.Client) func(context.Context) error {
	return func(ctx context.Context) error { _, err := c.Project(ctx, "p"); return err }
}

func post(c *neon.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		_, _, err := c.CreateDatabase(ctx, "p", "br-1", "shop", "me")
		return err
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	made := `{"database":{"id":1,"branch_id":"br-1","name":"shop","owner_name":"me"},"operations":[]}`
	none := `{"databases":[]}`
	ok, created := reply{status: 200, body: project}, reply{status: 201, body: made}
	for name, c := range map[string]struct {
		replies []reply
		post    bool
		want    neon.Class // empty: success
		calls   int64
		says    string
	}{
		"locked, then not":           {[]reply{{status: 423, body: conflict}, ok}, false, "", 2, ""},
		"locked change":              {[]reply{{status: 423, body: conflict}, created}, true, "", 2, ""},
		"503 to a change":            {[]reply{{status: 503, body: page524}, created}, true, "", 2, ""},
		"not ready yet":              {[]reply{{status: 422, body: `{"code":"","message":"branch not ready yet"}`}, created}, true, "", 2, ""},
		"524 page to a GET":          {[]reply{{status: 524, body: page524}, ok}, false, "", 2, ""},
		"500 to a GET":               {[]reply{{status: 500}, ok}, false, "", 2, ""},
		"cut answer to a GET":        {[]reply{{status: 200, body: project[:9], cut: true}, ok}, false, "", 2, ""},
		"524 page to a change":       {[]reply{{status: 524, body: page524}, {status: 200, body: none}}, true, neon.Ambiguous, 2, "a page instead of JSON"},
		"cut answer to a change":     {[]reply{{status: 201, body: made[:9], cut: true}, {status: 200, body: none}}, true, neon.Ambiguous, 2, "cut off"},
		"no JSON after a change":     {[]reply{{status: 201, body: "<p>fine"}, {status: 200, body: none}}, true, neon.Ambiguous, 2, "not the JSON"},
		"no JSON to a GET":           {[]reply{{status: 200, body: "<p>hello"}}, false, neon.Unexpected, 1, "not the JSON"},
		"wrong types":                {[]reply{{status: 200, body: `{"project":{"id":7,"name":"secret value"}}`}}, false, neon.Unexpected, 1, "not the JSON"},
		"401":                        {[]reply{{status: 401, body: `{"code":"","message":"bad key ` + key + `"}`}}, false, neon.Auth, 1, "bad key [redacted]"},
		"404":                        {[]reply{{status: 404, body: `{"request_id":"r-9","code":"","message":"project not found"}`}}, false, neon.NotFound, 1, "(request r-9)"},
		"capacity":                   {[]reply{{status: 422, body: `{"code":"DATABASES_LIMIT_EXCEEDED","message":"x"}`}}, true, neon.Capacity, 1, "DATABASES_LIMIT_EXCEEDED"},
		"empty 400":                  {[]reply{{status: 400}}, false, neon.BadRequest, 1, "an empty answer"},
		"a redirect is not followed": {[]reply{{status: 307, header: http.Header{"Location": {"/elsewhere"}}}, ok}, false, neon.Unexpected, 1, "307"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log syncWriter
			client, calls := serve(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), c.replies...)
			do := get(client)
			if c.post {
				do = post(client)
			}
			err := do(t.Context())
			var api *neon.APIError
			switch {
			case c.want == "" && err != nil:
				t.Errorf("error %v", err)
			case c.want != "" && (!errors.As(err, &api) || api.Class != c.want || !strings.Contains(err.Error(), c.says)):
				t.Errorf("error %v, want class %q and %q", err, c.want, c.says)
			}
			if calls.Load() != c.calls {
				t.Errorf("%d requests, want %d", calls.Load(), c.calls)
			}
			for _, secret := range []string{key, "secret value"} {
				if strings.Contains(log.String()+fmt.Sprint(err), secret) {
					t.Errorf("%q is in the log or the error", secret)
				}
			}
			if !strings.Contains(log.String(), "request_id=") {
				t.Error("the log names no request id")
			}
		})
	}
}

type syncWriter struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *syncWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *syncWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// TestLostAnswerOfACreatedDatabase looks for the database before it reports.
func TestLostAnswerOfACreatedDatabase(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, nil, reply{status: 524, body: page524},
		reply{status: 200, body: `{"databases":[{"id":5,"branch_id":"br-1","name":"shop","owner_name":"me"}]}`},
		reply{status: 200, body: `{"operations":[{"id":"a","branch_id":"br-1","status":"running"},{"id":"b","branch_id":"br-2","status":"running"},{"id":"c","branch_id":"br-1","status":"finished"}]}`})
	d, ops, err := c.CreateDatabase(t.Context(), "p", "br-1", "shop", "me")
	if err != nil || d.ID != 5 || len(ops) != 1 || ops[0].ID != "a" {
		t.Errorf("got %+v, %+v, %v", d, ops, err)
	}
}

// inTime runs f against a handler in a world where waiting takes no time.
// What f finds wrong it tells by Errorf of the test outside.
func inTime(t *testing.T, h http.Handler, f func(context.Context, *neon.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t.Context(), neon.New(neon.Config{BaseURL: "https://neon.test/api/v2", APIKey: key, HTTPClient: &http.Client{Transport: inProcess{h}}}))
	})
}

type inProcess struct{ h http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.h.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	limited := reply{status: 429, body: `{"code":"","message":"slow down"}`, header: http.Header{"Retry-After": {"20"}}}
	inTime(t, handler(t, &n, limited, limited, reply{status: 200, body: project}), func(ctx context.Context, c *neon.Client) {
		began := time.Now()
		if err := get(c)(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 40*time.Second || took > 42*time.Second {
			t.Errorf("took %s, want a little over 40 s", took)
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first    reply
		do       func(*neon.Client) func(context.Context) error
		deadline time.Duration
		least    time.Duration // how long it tried
		later    time.Duration // how long it says to wait, at least
	}{
		"locked for ever":         {reply{status: 423, body: conflict}, post, 0, 4 * time.Minute, 30 * time.Second},
		"gateway errors to a GET": {reply{status: 502, body: page524}, get, 0, 4 * time.Minute, 30 * time.Second},
		"a short deadline":        {reply{status: 423, body: conflict}, post, time.Minute, 30 * time.Second, 30 * time.Second},
		"a long Retry-After":      {reply{status: 429, header: http.Header{"Retry-After": {"3600"}}}, get, 0, 0, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			inTime(t, handler(t, &n, c.first), func(ctx context.Context, client *neon.Client) {
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				began := time.Now()
				err := c.do(client)(ctx)
				var later *twin.LaterError
				var api *neon.APIError
				if !errors.As(err, &later) || !errors.As(err, &api) || !api.Class.Retryable() {
					t.Errorf("error %v", err)
					return
				}
				if took := time.Since(began); took < c.least || took > 5*time.Minute {
					t.Errorf("gave up after %s", took)
				}
				if wait := time.Until(later.At); wait < c.later {
					t.Errorf("asks to come back in %s", wait)
				}
				if n.Load() > 80 {
					t.Errorf("%d requests: no back-off", n.Load())
				}
			})
		})
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	inTime(t, handler(t, &n, reply{status: 423, body: conflict}), func(ctx context.Context, c *neon.Client) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(10*time.Second, cancel)
		began := time.Now()
		if err := post(c)(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// TestOneChangeAtATime: two changes of one project take turns, changes of two
// projects don't.
func TestOneChangeAtATime(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	inside, most := map[string]int{}, map[string]int{}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := strings.Split(r.URL.Path, "/")[4]
		count := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			for _, k := range []string{p, "all"} {
				inside[k] += by
				most[k] = max(most[k], inside[k])
			}
		}
		count(1)
		<-time.After(time.Second)
		count(-1)
		w.WriteHeader(201)
		_, _ = io.WriteString(w, `{"database":{},"operations":[]}`)
	})
	inTime(t, h, func(ctx context.Context, c *neon.Client) {
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				if _, _, err := c.CreateDatabase(ctx, fmt.Sprintf("p-%d", i%2), "br-1", "shop", "me"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most["p-0"] != 1 || most["p-1"] != 1 || most["all"] != 2 {
			t.Errorf("most at once: %v", most)
		}
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	op := func(status, more string) reply {
		return reply{status: 200, body: `{"operation":{"id":"a","action":"create_branch","status":"` + status + `"` + more + `}}`}
	}
	unknown := reply{status: 404, body: `{"code":"","message":"operation not found"}`}
	for name, c := range map[string]struct {
		replies []reply
		says    string // empty: success
		atMost  time.Duration
	}{
		"finished":                  {[]reply{op("scheduling", ""), op("running", ""), op("finished", "")}, "", 10 * time.Second},
		"skipped":                   {[]reply{op("skipped", "")}, "", time.Second},
		"not visible at first":      {[]reply{unknown, unknown, op("finished", "")}, "", 10 * time.Second},
		"never visible":             {[]reply{unknown}, "not found", time.Minute},
		"cancelled":                 {[]reply{op("cancelling", ""), op("cancelled", "")}, "is cancelled", 10 * time.Second},
		"error":                     {[]reply{op("error", `,"error":"no disk at postgres://u:pw@h/d"`)}, "no disk at postgres://[redacted]@h/d", time.Second},
		"failed, then repeated":     {[]reply{op("failed", `,"failures_count":1`), op("failed", `,"failures_count":2`), op("running", ""), op("finished", "")}, "", time.Minute},
		"failed for good":           {[]reply{op("failed", `,"failures_count":1,"error":"why"`)}, "is failed: why", 2 * time.Minute},
		"a status nobody described": {[]reply{op("pondering", "")}, "deadline exceeded", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			inTime(t, handler(t, &n, c.replies...), func(ctx context.Context, client *neon.Client) {
				began := time.Now()
				err := client.Wait(ctx, "p", []neon.Operation{{ID: "a", Status: "scheduling"}})
				var failed *neon.OperationError
				if c.says == "" && err != nil || c.says != "" && (!errors.As(err, &failed) || !strings.Contains(err.Error(), c.says)) {
					t.Errorf("error %v, want %q", err, c.says)
				}
				if took := time.Since(began); took > c.atMost {
					t.Errorf("took %s", took)
				}
			})
		})
	}
	c := neon.New(neon.Config{APIKey: key})
	if err := c.Wait(t.Context(), "p", nil); err != nil {
		t.Errorf("nothing to wait for: %v", err)
	}
}

// branches serves a list in pages of two, and searches in names only.
func branches(t *testing.T, all ...neon.Branch) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("sort_by") != "created_at" {
			t.Errorf("branches are sorted by %q: pages would shift", q.Get("sort_by"))
		}
		var found []neon.Branch
		for _, b := range all {
			if strings.Contains(b.Name, q.Get("search")) {
				found = append(found, b)
			}
		}
		from := 0
		_, _ = fmt.Sscan(q.Get("cursor"), &from)
		page := map[string]any{"branches": found[from:min(from+2, len(found))]}
		if from+2 < len(found) {
			page["pagination"] = map[string]any{"next": fmt.Sprint(from + 2)}
		}
		_ = json.NewEncoder(w).Encode(page)
	})
}

func TestBranch(t *testing.T) {
	t.Parallel()
	list := branches(t, neon.Branch{ID: "br-1", Name: "main"}, neon.Branch{ID: "br-2", Name: "dev/twin"}, neon.Branch{ID: "br-3", Name: "twin"},
		neon.Branch{ID: "br-4", Name: "double"}, neon.Branch{ID: "br-5", Name: "double"}, neon.Branch{ID: "br-6", Name: "br-1"})
	for nameOrID, want := range map[string]string{
		"twin": "br-3", "br-2": "br-2", "main": "br-1",
		"double": `more than one branch fits "double" in project p; there are: double (br-4), double (br-5)`,
		"win":    `there is no branch "win" in project p; there are: main (br-1), dev/twin (br-2), twin (br-3)`,
	} {
		inTime(t, list, func(ctx context.Context, c *neon.Client) {
			b, err := c.Branch(ctx, "p", nameOrID)
			if got := b.ID + fmt.Sprint(err); !strings.HasPrefix(got, want) && !strings.HasPrefix(got, want+"<nil>") {
				t.Errorf("%s: %s, want %s", nameOrID, got, want)
			}
		})
	}
	inTime(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"branches":[{"id":"br-1"}],"pagination":{"next":"again"}}`)
	}), func(ctx context.Context, c *neon.Client) {
		if _, err := c.Branches(ctx, "p", ""); err == nil || !strings.Contains(err.Error(), "does not end") {
			t.Errorf("endless pages: %v", err)
		}
	})
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	for base, says := range map[string]string{
		"http://console.neon.tech/api/v2": "must be https", "console.neon.tech": "not of the form", "https://u:pw@h/api": "not of the form",
		"::": "not of the form",
	} {
		_, err := neon.New(neon.Config{BaseURL: base, APIKey: key}).Project(t.Context(), "p")
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: %v", base, err)
		}
	}
	if _, err := neon.New(neon.Config{}).Project(t.Context(), "p"); err == nil || !strings.Contains(err.Error(), "API key is missing") {
		t.Errorf("no key: %v", err)
	}
	c := neon.New(neon.Config{APIKey: key})
	for _, id := range []string{"", "..", "a/b", "P", strings.Repeat("a", 61)} {
		if _, err := c.Project(t.Context(), id); err == nil || !strings.Contains(err.Error(), "is not an id") {
			t.Errorf("project %q: %v", id, err)
		}
	}
	if s := fmt.Sprintf("%+v %#v", c, c); strings.Contains(s, key) {
		t.Error("printing the client prints the key")
	}
}

// TestNobodyThere: what was never sent may be sent again, even a change.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	c := neon.New(neon.Config{BaseURL: "http://" + address + "/api/v2", APIKey: key})
	var later *twin.LaterError
	var api *neon.APIError
	if err := post(c)(ctx); !errors.As(err, &later) || !errors.As(err, &api) || api.Class != neon.Transient {
		t.Errorf("error %v", err)
	}
}
