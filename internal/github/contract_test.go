package github

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// TestRequestsFitTheDescription holds every request that we send against
// GitHub's own description of its API.
func TestRequestsFitTheDescription(t *testing.T) {
	t.Parallel()
	const path = "../../../shared/contracts/github-rest-subset.compact.json"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: no API description in %s", path)
	}
	doc, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: "/"}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		// The description can't say that the path of a file has slashes.
		r.URL.Path = strings.Replace(r.URL.Path, ".github/", "", 1)
		rt, params, err := router.FindRoute(r)
		if err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
			return
		}
		if err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, Route: rt,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		}); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		answers := map[string]string{
			"access_tokens": `{"repositories":[{"id":9,"name":"shop","owner":{"login":"acme"},"default_branch":"main"}],"token":"ghs_1","expires_at":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}`,
			"app":           `{"id":4711}`, "files": `[]`, "main": `{"commit":{"sha":"` + sha + `"}}`,
			"neon-twin.yml": `version: 1`, "deliveries": `[]`, "installation": `{"id":7}`,
			"shop": `{"id":9,"name":"shop","owner":{"login":"acme"},"default_branch":"main"}`, "pulls": `[]`,
		}
		if r.Method == http.MethodPost && name == "attempts" {
			w.WriteHeader(http.StatusAccepted)
		}
		if r.URL.Path == "/app/installations/7" {
			name = "installation"
		}
		text, ok := answers[name]
		if !ok {
			text = `{"id":5,"check_runs":[]}`
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(srv.Close)
	a, err := New(Config{AppID: appID, PrivateKey: keyPEM(), BaseURL: srv.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	queued := CheckRun{Name: "n", HeadSHA: sha, ExternalID: "1:head", DetailsURL: "https://twin.example/", Status: "queued", Title: "t"}
	running, done := queued, queued
	running.Status, running.StartedAt = "in_progress", at
	done.Status, done.Conclusion, done.StartedAt, done.CompletedAt = "completed", "success", at, at
	done.Buttons = []Button{{Label: "Sync newest", Description: "d", Identifier: SyncNow}}
	_, err = a.Check(ctx)
	check(err)
	_, err = a.File(ctx, shop, ".github/neon-twin.yml", sha)
	check(err)
	_, err = a.BranchHead(ctx, shop, "main")
	check(err)
	_, _, err = a.PullRequestFiles(ctx, shop, 3)
	check(err)
	_, err = a.Order(ctx, shop, sha, strings.Repeat("e", 40))
	check(err)
	_, _, err = a.FindCheckRun(ctx, shop, sha, "n", "1:head")
	check(err)
	for _, run := range []CheckRun{queued, running, done} {
		_, err = a.CreateCheckRun(ctx, shop, run)
		check(err)
		check(a.UpdateCheckRun(ctx, shop, 5, run))
	}
	_, _, err = a.Attempts(ctx, "v1_1")
	check(err)
	check(a.Redeliver(ctx, 12))
	_, err = a.Installation(ctx, 7)
	check(err)
	_, err = a.Find(ctx, "acme", "shop")
	check(err)
	_, err = a.Repository(ctx, shop)
	check(err)
	_, err = a.Head(ctx, shop, "main")
	check(err)
	_, err = a.Compare(ctx, shop, sha, strings.Repeat("e", 40))
	check(err)
	_, err = a.Merged(ctx, shop, "main", at)
	check(err)
	if err := a.missing(ctx, shop, sha, &answerError{status: http.StatusNotFound}); !errors.Is(err, ErrNoFile) {
		t.Errorf("got %v, want ErrNoFile", err)
	}
	if n != 23 {
		t.Errorf("sent %d requests, want 23", n)
	}
}
