package neontest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/neontest"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// told is what the child process says of itself.
type told struct {
	URL, APIKey, Project, Root, RootURL string
	Err                                 string
}

// child is a sandbox that runs until it is killed.
func child(dir string) {
	ctx := context.Background()
	out, err := func() (told, error) {
		s, err := neontest.Start(ctx, neontest.Options{Dir: dir})
		if err != nil {
			return told{}, err
		}
		p, err := s.CreateProject(ctx, "restart")
		if err != nil {
			return told{}, err
		}
		uri, err := s.BranchURL(p.RootBranchID, "neondb")
		return told{URL: s.URL(), APIKey: s.APIKey(), Project: p.ID, Root: p.RootBranchID, RootURL: uri}, err
	}()
	if err != nil {
		out.Err = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(out)
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent is
}

// TestKilled kills the sandbox while it makes a branch, and starts it again.
func TestKilled(t *testing.T) {
	t.Parallel()
	sandbox(t) // skips where there is no PostgreSQL
	dir, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd := exec.CommandContext(t.Context(), os.Args[0]) // this test binary
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var before told
	if err := json.Unmarshal([]byte(line), &before); err != nil || before.Err != "" {
		t.Fatalf("the child says %q: %v", line, err)
	}
	pgtest.Exec(t, before.RootURL, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
	r := &raw{t: t, base: before.URL, key: before.APIKey, http: newRaw(t, sandbox(t)).http}
	in := "/projects/" + before.Project
	made := r.want(201, "POST", in+"/branches", `{"branch":{"name":"twin"},"endpoints":[{"type":"read_write"}]}`)
	twin := made["branch"].(map[string]any)["id"].(string)
	if _, err := neontest.Start(t.Context(), neontest.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "another sandbox") {
		t.Errorf("a second sandbox on the same folder: %v", err)
	}
	// The worst moment: its copy is half-made, and goes on without it.
	for half := filepath.Join(dir, "branches", twin, "half-*", "*"); ; {
		if found, _ := filepath.Glob(half); len(found) > 0 {
			break
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("no copy was begun")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed

	s, err := neontest.Start(t.Context(), neontest.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	if s.APIKey() != before.APIKey {
		t.Error("the API key has changed")
	}
	if uri, err := s.BranchURL(before.Root, "neondb"); err != nil || uri != before.RootURL {
		t.Errorf("the root's address has changed (%v)", err)
	}
	// What the kill interrupted is carried out.
	r.base = s.URL()
	r.idle(before.Project, made)
	if got := sum(t, r.uri(before.Project, twin)); got != 7 {
		t.Errorf("rows add up to %d, want 7", got)
	}
	if got := s.Projects(); len(got) != 1 || got[0].RootBranchID != before.Root {
		t.Errorf("projects = %v", got)
	}
	if got := s.Branches(before.Project); len(got) != 2 || got[1].ID != twin || got[1].EndpointID == "" {
		t.Errorf("branches = %v", got)
	}
}
