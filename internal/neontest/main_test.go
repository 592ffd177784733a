package neontest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/neontest"
	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// childDir, if set, makes the test binary a sandbox in that folder, to be
// killed by the test that started it.
const childDir = "NEONTEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	code := m.Run()
	if started.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		_ = started.server.Close(ctx)
		cancel()
		_ = os.RemoveAll(started.dir)
	}
	os.Exit(code)
}

// started is the sandbox that most tests share. Each makes a project of its own.
var started struct {
	sync.Once
	server  *neontest.Server
	project neontest.Project // for tests that change nothing
	dir     string
	err     error
}

// sandbox gives the shared sandbox, or skips loudly where no PostgreSQL is
// installed; in CI that is a failure.
func sandbox(t *testing.T) *neontest.Server {
	t.Helper()
	_, err := pglocal.Find(os.Getenv("NEONTWIN_PG_BIN"))
	if errors.Is(err, pglocal.ErrNotInstalled) && os.Getenv("CI") == "" {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	started.Do(func() {
		if started.dir, started.err = pgtest.Dir(); started.err == nil {
			started.server, started.err = neontest.Start(context.Background(), neontest.Options{Dir: started.dir, APIKey: "napi_test"})
		}
		if started.err == nil {
			started.project, started.err = started.server.CreateProject(context.Background(), "shared")
		}
	})
	if started.err != nil {
		t.Fatal(started.err)
	}
	return started.server
}

func newProject(t *testing.T, s *neontest.Server) neontest.Project {
	t.Helper()
	p, err := s.CreateProject(t.Context(), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// raw speaks to a sandbox as the description of Neon's API says, by net/http
// alone, and holds every answer against it.
type raw struct {
	t         *testing.T
	base, key string
	http      *http.Client
}

func newRaw(t *testing.T, s *neontest.Server) *raw {
	t.Helper()
	return &raw{t: t, base: s.URL(), key: s.APIKey(), http: &http.Client{Transport: &contract{t: t}}}
}

// call sends a request and gives the status and the decoded answer.
func (r *raw) call(method, path, body string) (int, map[string]any) {
	r.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, in)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode == http.StatusNoContent {
		return res.StatusCode, nil
	}
	var out map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&out); err != nil {
		r.t.Fatalf("%s %s: %d with %q", method, path, res.StatusCode, b)
	}
	return res.StatusCode, out
}

// want is call for a status that the test relies on.
func (r *raw) want(status int, method, path, body string) map[string]any {
	r.t.Helper()
	got, out := r.call(method, path, body)
	if got != status {
		r.t.Fatalf("%s %s = %d %v, want %d", method, path, got, out, status)
	}
	return out
}

// idle waits until every operation of an answer is finished.
func (r *raw) idle(project string, answer map[string]any) {
	r.t.Helper()
	for _, op := range answer["operations"].([]any) {
		path := fmt.Sprintf("/projects/%s/operations/%s", project, op.(map[string]any)["id"])
		for status := ""; status != "finished"; {
			status = r.want(200, "GET", path, "")["operation"].(map[string]any)["status"].(string)
			if status == "failed" || status == "error" {
				r.t.Fatalf("operation %v failed", op)
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-r.t.Context().Done():
				r.t.Fatal("the test ended first")
			}
		}
	}
}

// names lists one field of a list in an answer.
func names(answer map[string]any, list, field string) string {
	var all []string
	for _, v := range answer[list].([]any) {
		all = append(all, fmt.Sprint(v.(map[string]any)[field]))
	}
	return strings.Join(all, " ")
}
