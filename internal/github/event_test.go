package github

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

var (
	secretA = []byte(strings.Repeat("a", MinSecret))
	secretB = []byte(strings.Repeat("b", MinSecret))
)

func sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// deliver makes the request that GitHub would send.
func deliver(event string, secret, body []byte) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/webhooks/github", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-GitHub-Event", event)
	r.Header.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
	r.Header.Set("X-Hub-Signature-256", sign(secret, body))
	return r
}

func TestPublishedVector(t *testing.T) {
	t.Parallel()
	secret, body := []byte("It's a Secret to Everybody"), []byte("Hello, World!")
	r := deliver("ping", secret, body)
	r.Header.Set("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
	// The signature holds; what it signs is no JSON.
	if _, err := ReadEvent(httptest.NewRecorder(), r, [][]byte{secret}); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
}

func TestReadEvent(t *testing.T) {
	t.Parallel()
	body := []byte(`{"action":"closed","installation":{"id":7},"repository":{"id":9,"name":"shop","owner":{"login":"acme"},"default_branch":"main"}}`)
	secrets := [][]byte{secretA, secretB}
	for _, c := range []struct {
		name string
		make func() *http.Request
		want error
	}{
		{"current secret", func() *http.Request { return deliver("pull_request", secretA, body) }, nil},
		{"previous secret", func() *http.Request { return deliver("pull_request", secretB, body) }, nil},
		{"form", func() *http.Request {
			form := []byte("payload=" + url.QueryEscape(string(body)))
			r := deliver("pull_request", secretA, form)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		}, nil},
		{"charset", func() *http.Request {
			r := deliver("pull_request", secretA, body)
			r.Header.Set("Content-Type", "application/json; charset=utf-8")
			return r
		}, nil},
		{"another secret", func() *http.Request { return deliver("pull_request", []byte("other"), body) }, ErrSignature},
		{"empty secret", func() *http.Request { return deliver("pull_request", nil, body) }, ErrSignature},
		{"changed body", func() *http.Request {
			r := deliver("pull_request", secretA, body)
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), "7", "8", 1)))
			return r
		}, ErrSignature},
		{"no signature", func() *http.Request {
			r := deliver("pull_request", secretA, body)
			r.Header.Del("X-Hub-Signature-256")
			return r
		}, ErrSignature},
		{"only sha1", func() *http.Request {
			r := deliver("pull_request", secretA, body)
			r.Header.Del("X-Hub-Signature-256")
			mac := hmac.New(sha1.New, secretA)
			mac.Write(body)
			r.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(mac.Sum(nil)))
			return r
		}, ErrSignature},
		{"cut signature", func() *http.Request {
			r := deliver("pull_request", secretA, body)
			r.Header.Set("X-Hub-Signature-256", sign(secretA, body)[:40])
			return r
		}, ErrSignature},
		{"no JSON", func() *http.Request { return deliver("pull_request", secretA, []byte("hello")) }, ErrMalformed},
		{"JSON list", func() *http.Request { return deliver("pull_request", secretA, []byte("[]")) }, ErrMalformed},
		{"JSON null", func() *http.Request { return deliver("pull_request", secretA, []byte("null")) }, ErrMalformed},
		{"two values", func() *http.Request { return deliver("pull_request", secretA, []byte("{} {}")) }, ErrMalformed},
		{"cut JSON", func() *http.Request { return deliver("pull_request", secretA, body[:40]) }, ErrMalformed},
		{"empty", func() *http.Request { return deliver("pull_request", secretA, nil) }, ErrMalformed},
		{"no event", func() *http.Request { return deliver("", secretA, body) }, ErrMalformed},
		{"odd event", func() *http.Request { return deliver("push/..", secretA, body) }, ErrMalformed},
		{"no delivery id", func() *http.Request {
			r := deliver("pull_request", secretA, body)
			r.Header.Del("X-GitHub-Delivery")
			return r
		}, ErrMalformed},
		{"other content type", func() *http.Request {
			r := deliver("pull_request", secretA, body)
			r.Header.Set("Content-Type", "text/plain")
			return r
		}, ErrMalformed},
		{"form without payload", func() *http.Request {
			r := deliver("pull_request", secretA, body)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		}, ErrMalformed},
		{"too large", func() *http.Request {
			return deliver("pull_request", secretA, make([]byte, MaxBody+1))
		}, ErrTooLarge},
		{"too large without a length", func() *http.Request {
			r := deliver("pull_request", secretA, make([]byte, MaxBody+1))
			r.ContentLength = -1
			return r
		}, ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, err := ReadEvent(httptest.NewRecorder(), c.make(), secrets)
			if !errors.Is(err, c.want) {
				t.Fatalf("got error %v, want %v", err, c.want)
			}
			if c.want != nil {
				return
			}
			repo := twin.Repository{InstallationID: 7, ID: 9, Owner: "acme", Name: "shop", DefaultBranch: "main"}
			if e.Name != "pull_request" || e.Action != "closed" || e.InstallationID != 7 || e.Repository != repo ||
				!bytes.Equal(e.Body, body) || e.GUID != "72d3162e-cc78-11e3-81ab-4c9367dc0958" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

// TestEmptySecret holds that an empty secret signs nothing, even if it was let in.
func TestEmptySecret(t *testing.T) {
	t.Parallel()
	_, err := ReadEvent(httptest.NewRecorder(), deliver("ping", nil, []byte("{}")), [][]byte{nil, {}})
	if !errors.Is(err, ErrSignature) {
		t.Errorf("got %v, want ErrSignature", err)
	}
}

func TestCheckSecrets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		secrets [][]byte
		ok      bool
	}{
		{"none", nil, false},
		{"empty", [][]byte{{}}, false},
		{"short", [][]byte{secretA[1:]}, false},
		{"one short", [][]byte{secretA, []byte("x")}, false},
		{"one", [][]byte{secretA}, true},
		{"two", [][]byte{secretA, secretB}, true},
	} {
		if err := CheckSecrets(c.secrets); (err == nil) != c.ok {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

// TestShape holds that a signed body replayed under another event's name has
// no view.
func TestShape(t *testing.T) {
	t.Parallel()
	sha := strings.Repeat("a", 40)
	push := `{"ref":"refs/heads/main","before":"` + sha + `","after":"` + sha + `","commits":[]}`
	pull := `{"action":"closed","number":3,"pull_request":{"number":3,"merged":true,"merge_commit_sha":"` + sha +
		`","head":{"sha":"` + sha + `"},"base":{"ref":"main"}}}`
	for _, c := range []struct {
		name, body        string
		pushOK, pullReqOK bool
	}{
		{"push", push, true, false},
		{"pull_request", pull, false, true},
		{"pull_request", push, false, false},
		{"push", pull, false, false},
		{"push", strings.Replace(push, "refs/heads", "heads", 1), false, false},
		{"push", strings.Replace(push, sha, "../../x", 1), false, false},
		{"pull_request", strings.Replace(pull, `"number":3,"p`, `"number":4,"p`, 1), false, false},
		{"pull_request", strings.Replace(pull, `"merge_commit_sha":"`+sha+`"`, `"merge_commit_sha":null`, 1), false, false},
	} {
		e, err := ParseEvent("guid", c.name, []byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Push(); (err == nil) != c.pushOK {
			t.Errorf("push of %s %s: %v", c.name, c.body, err)
		}
		if _, err := e.PullRequest(); (err == nil) != c.pullReqOK {
			t.Errorf("pull request of %s %s: %v", c.name, c.body, err)
		}
	}
}

func TestTimestamp(t *testing.T) {
	t.Parallel()
	at := time.Date(2018, 4, 25, 20, 42, 10, 0, time.UTC)
	for text, want := range map[string]time.Time{
		`"2018-04-25T20:42:10Z"`:      at,
		`"2018-04-25T22:42:10+02:00"`: at,
		`"2018-04-25 20:42:10"`:       at,
		`"2018-04-25 20:42:10 UTC"`:   at,
		`1524688930`:                  at,
		`null`:                        {},
		`"soon"`:                      {},
		`{}`:                          {},
	} {
		var got timestamp
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
}

// TestRecordedPayloads holds that what GitHub really sent is read.
func TestRecordedPayloads(t *testing.T) {
	t.Parallel()
	const dir = "../../../shared/payloads/octokit-webhooks/api.github.com"
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: no recorded webhooks in %s", dir)
	}
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := filepath.Base(filepath.Dir(path))
		e, err := ReadEvent(httptest.NewRecorder(), deliver(name, secretA, body), [][]byte{secretA})
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		switch name {
		case "push":
			_, err = e.Push()
		case "pull_request":
			_, err = e.PullRequest()
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 50 {
		t.Errorf("read %d payloads, want at least 50", n)
	}
}

// FuzzParseEvent holds that no signed body, however odd, is a panic.
func FuzzParseEvent(f *testing.F) {
	f.Add("push", []byte(`{"ref":"refs/heads/main","commits":[{"added":["a"]}],"repository":{"id":1,"pushed_at":5}}`))
	f.Add("pull_request", []byte(`{"number":1,"pull_request":{"number":1,"merged_at":"x"}}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		e, err := ParseEvent("guid", name, body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v", err)
			}
			return
		}
		if _, err := e.Push(); err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("got %v", err)
		}
		if _, err := e.PullRequest(); err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("got %v", err)
		}
	})
}
