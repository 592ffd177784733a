package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/twin"
	"github.com/neontwin/neontwin/internal/webhook"
)

var (
	secretA = []byte(strings.Repeat("a", github.MinSecret))
	secretB = []byte(strings.Repeat("b", github.MinSecret))
)

// fakeQueue keeps deliveries, each GUID once, unless it is broken.
type fakeQueue struct {
	mu     sync.Mutex
	broken error
	got    []twin.Delivery
}

func (q *fakeQueue) Deliver(ctx context.Context, d twin.Delivery) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("no deadline")
	}
	if q.broken != nil {
		return q.broken
	}
	for _, have := range q.got {
		if have.GUID == d.GUID {
			return twin.ErrDuplicate
		}
	}
	q.got = append(q.got, d)
	return nil
}

// site is a Handler behind a real server.
type site struct {
	url   string
	queue *fakeQueue
	log   *bytes.Buffer

	mu     sync.Mutex
	counts []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{queue: &fakeQueue{}, log: &bytes.Buffer{}}
	h, err := webhook.NewHandler([][]byte{secretA, secretB}, s.queue, slog.New(slog.NewTextHandler(s.log, nil)),
		func(event, outcome string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.counts = append(s.counts, event+" "+outcome)
		})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// counted gives the one thing that was counted since the last call.
func (s *site) counted(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.counts) != 1 {
		t.Fatalf("counted %q, want one", s.counts)
	}
	c := s.counts[0]
	s.counts = nil
	return c
}

// post sends a webhook as GitHub does and gives the status and the answer.
func (s *site) post(t *testing.T, event, guid string, secret []byte, body string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(body))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-GitHub-Event", event)
	r.Header.Set("X-GitHub-Delivery", guid)
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	for _, f := range change {
		f(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

const closed = `{"action":"closed","installation":{"id":7},"repository":{"id":9,"name":"shop","owner":{"login":"acme"},"default_branch":"main"}}`

func TestHandlerStores(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, step := range []struct {
		guid           string
		secret         []byte
		answer, counts string
	}{
		{"1", secretA, `{"result":"accepted"}`, "pull_request stored"},
		{"1", secretA, `{"result":"known"}`, "pull_request duplicate"},
		{"2", secretB, `{"result":"accepted"}`, "pull_request stored"},
	} {
		status, text := s.post(t, "pull_request", step.guid, step.secret, closed)
		if status != http.StatusAccepted || text != step.answer {
			t.Errorf("answered %d %s, want 202 %s", status, text, step.answer)
		}
		if c := s.counted(t); c != step.counts {
			t.Errorf("counted %q, want %q", c, step.counts)
		}
	}
	if len(s.queue.got) != 2 {
		t.Fatalf("stored %d deliveries, want 2", len(s.queue.got))
	}
	d := s.queue.got[0]
	if d.GUID != "1" || d.Event != "pull_request" || d.Action != "closed" || d.InstallationID != 7 || d.RepositoryID != 9 ||
		string(d.Body) != closed || d.ReceivedAt.IsZero() {
		t.Errorf("stored %+v", d)
	}
}

func TestHandlerStoresForm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	status, _ := s.post(t, "push", "1", secretA, "payload="+url.QueryEscape(closed), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	if status != http.StatusAccepted || len(s.queue.got) != 1 || string(s.queue.got[0].Body) != closed {
		t.Errorf("answered %d, stored %+v", status, s.queue.got)
	}
}

// TestHandlerStoresLifecycle: events of an installation name no repository.
func TestHandlerStoresLifecycle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i, c := range []struct{ event, body string }{
		{"installation", `{"action":"suspend","installation":{"id":7,"created_at":5}}`},
		{"installation_repositories", `{"action":"removed","installation":{"id":7},"repositories_removed":[{"id":9}]}`},
		{"repository", strings.Replace(closed, "closed", "transferred", 1)},
	} {
		status, text := s.post(t, c.event, strconv.Itoa(i), secretA, c.body)
		if got := s.counted(t); status != http.StatusAccepted || text != `{"result":"accepted"}` || got != c.event+" stored" {
			t.Errorf("%s: answered %d %s, counted %q", c.event, status, text, got)
		}
	}
}

// TestHandlerTakesNoGUIDOfOurs: only the body is signed. Under a GUID that we
// would choose ourselves a replay would stand in the way of what we find out.
func TestHandlerTakesNoGUIDOfOurs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if status, text := s.post(t, "push", "catchup-0123", secretA, closed); status != http.StatusAccepted || text != `{"result":"ignored"}` || len(s.queue.got) > 0 {
		t.Errorf("answered %d %s, stored %+v", status, text, s.queue.got)
	}
}

// TestHandlerDatabaseDown holds that nothing is promised which is not stored,
// and that the same webhook is taken once it can be.
func TestHandlerDatabaseDown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.queue.broken = errors.New("connect to 10.0.0.1: refused")
	status, text := s.post(t, "push", "1", secretA, closed)
	if status != http.StatusServiceUnavailable || strings.Contains(text, "10.0.0.1") || s.counted(t) != "push failed" {
		t.Errorf("answered %d %s", status, text)
	}
	s.queue.broken = nil
	if status, _ := s.post(t, "push", "1", secretA, closed); status != http.StatusAccepted || len(s.queue.got) != 1 {
		t.Errorf("answered %d with %d stored", status, len(s.queue.got))
	}
}

// TestHandlerIgnores holds that what we don't act on never reaches the database.
func TestHandlerIgnores(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct{ event, body, counts string }{
		{"ping", `{"zen":"Keep it."}`, "ping ignored"},
		{"check_run", strings.Replace(closed, "closed", "created", 1), "check_run ignored"},
		{"check_run", strings.Replace(closed, "closed", "completed", 1), "check_run ignored"},
		{"check_suite", strings.Replace(closed, "closed", "requested", 1), "check_suite ignored"},
		{"pull_request", strings.Replace(closed, "closed", "synchronize", 1), "pull_request ignored"},
		{"installation", `{"action":"created","installation":{"created_at":5}}`, "installation ignored"},
		{"repository", `{"action":"renamed","installation":{"id":7}}`, "repository ignored"},
		{"repository", strings.Replace(closed, "closed", "created", 1), "repository ignored"},
		{"push", strings.Replace(closed, `"installation":{"id":7},`, "", 1), "push ignored"},
		{"sponsorship", closed, "other ignored"},
	} {
		status, text := s.post(t, c.event, "1", secretA, c.body)
		if got := s.counted(t); status != http.StatusAccepted || text != `{"result":"ignored"}` || got != c.counts {
			t.Errorf("%s: answered %d %s, counted %q", c.event, status, text, got)
		}
	}
	if len(s.queue.got) != 0 {
		t.Errorf("stored %+v", s.queue.got)
	}
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct {
		name   string
		secret []byte
		body   string
		change func(*http.Request)
		status int
		counts string
	}{
		{"bad signature", []byte("guess"), closed, nil, 401, "other bad_signature"},
		{"no signature", secretA, closed, func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, 401, "other bad_signature"},
		{"signed nonsense", secretA, "nonsense", nil, 400, "other malformed"},
		{"no event", secretA, closed, func(r *http.Request) { r.Header.Del("X-GitHub-Event") }, 400, "other malformed"},
		{"too large", secretA, strings.Repeat(" ", github.MaxBody+1), nil, 413, "other too_large"},
	} {
		var change []func(*http.Request)
		if c.change != nil {
			change = append(change, c.change)
		}
		status, text := s.post(t, "push", "1", c.secret, c.body, change...)
		if got := s.counted(t); status != c.status || got != c.counts || len(text) > 60 {
			t.Errorf("%s: answered %d %s, counted %q", c.name, status, text, got)
		}
	}
	if len(s.queue.got) != 0 {
		t.Errorf("stored %+v", s.queue.got)
	}
	if text := s.log.String(); !strings.Contains(text, "webhook refused") || strings.Contains(text, "nonsense") {
		t.Errorf("logged %s", text)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodPost {
		t.Errorf("GET answered %d", resp.StatusCode)
	}
}

func TestNewHandlerNeedsSecrets(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][][]byte{nil, {{}}, {[]byte("short")}, {secretA, nil}} {
		if _, err := webhook.NewHandler(secrets, &fakeQueue{}, slog.New(slog.DiscardHandler), func(string, string) {}); err == nil {
			t.Errorf("took %d secrets that are not safe", len(secrets))
		}
	}
}

// TestHandlerTakesFewLargeBodiesAtOnce: whoever sends large bodies slowly fills
// neither the memory nor the way of small ones.
func TestHandlerTakesFewLargeBodiesAtOnce(t *testing.T) {
	t.Parallel()
	queue := &fakeQueue{}
	var mu sync.Mutex
	outcomes := map[string]int{}
	h, err := webhook.NewHandler([][]byte{secretA}, queue, slog.New(slog.DiscardHandler), func(event, outcome string) {
		mu.Lock()
		defer mu.Unlock()
		outcomes[event+" "+outcome]++
	})
	if err != nil {
		t.Fatal(err)
	}
	send := func(ctx context.Context, body io.Reader, length int64) int {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", body)
		r.ContentLength = length
		r.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	var sending sync.WaitGroup
	reading := make(chan struct{}, 4)
	release := make(chan struct{})
	for range 4 {
		sending.Go(func() { send(t.Context(), &slowBody{reading, release}, 20<<20) })
		<-reading
	}
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := send(impatient, &slowBody{reading, release}, -1); got != http.StatusServiceUnavailable {
		t.Errorf("the fifth is answered %d", got)
	}
	if got := send(t.Context(), strings.NewReader("{}"), 2); got != http.StatusUnauthorized {
		t.Errorf("a small one is answered %d", got)
	}
	close(release)
	sending.Wait()
	mu.Lock()
	defer mu.Unlock()
	if outcomes["other busy"] != 1 || outcomes["other bad_signature"] != 5 {
		t.Errorf("counted %v", outcomes)
	}
}

// slowBody says when it is read, and ends when it may.
type slowBody struct {
	reading chan<- struct{}
	release <-chan struct{}
}

func (b *slowBody) Read([]byte) (int, error) {
	b.reading <- struct{}{}
	<-b.release
	return 0, io.EOF
}
