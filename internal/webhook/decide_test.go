package webhook_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/spec"
	"github.com/neontwin/neontwin/internal/twin"
	"github.com/neontwin/neontwin/internal/webhook"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestDecide runs every case of testdata: an event in a file named after it,
// the repository's file, for a pull request the files it changed, and the
// decision that comes of them.
func TestDecide(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("find cases: %v, %d found", err, len(cases))
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := decided(t, a)
			var want []byte
			var rest []txtar.File
			for _, f := range a.Files {
				if f.Name == "want" {
					want = f.Data
					continue
				}
				rest = append(rest, f)
			}
			if *update {
				a.Files = append(rest, txtar.File{Name: "want", Data: got})
				if err := os.WriteFile(path, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// decided is what comes of one case, as JSON.
func decided(t *testing.T, a *txtar.Archive) []byte {
	t.Helper()
	var ch webhook.Change
	var reason string
	var twins []twin.Spec
	for _, f := range a.Files {
		switch name, isEvent := strings.CutSuffix(f.Name, ".json"); {
		case isEvent:
			ev, err := github.ParseEvent("guid", name, f.Data)
			if err != nil {
				t.Fatal(err)
			}
			ch, reason = webhook.About(ev)
		case f.Name == "neon-twin.yml":
			file, err := spec.Parse(f.Name, f.Data)
			if err != nil {
				t.Fatal(err)
			}
			twins = file.Twins
		case f.Name == "paths":
			ch.Paths, ch.PathsKnown = strings.Fields(string(f.Data)), true
		}
	}
	d := twin.Decision{Reason: reason}
	if reason == "" {
		d = webhook.Decide(ch, twins)
	}
	if (d.Reason == "") == (len(d.Requests) == 0) {
		t.Errorf("a decision has requests or a reason, not %+v", d)
	}
	return []byte(told(d))
}

// told is a decision as text, one line for each request and place.
func told(d twin.Decision) string {
	var b strings.Builder
	if d.Reason != "" {
		fmt.Fprintf(&b, "nothing: %s\n", d.Reason)
	}
	for _, r := range d.Requests {
		fmt.Fprintf(&b, "%s of %s (%d, installation %d) by %s: %s at %s, %s\n", r.Spec.Name, r.Repo.FullName(), r.Repo.ID,
			r.Repo.InstallationID, r.Trigger, r.Ref, r.SHA, r.At.Format(time.RFC3339))
		for _, p := range r.Places {
			fmt.Fprintf(&b, "\t%s %s", p.Role, p.SHA)
			if p.PR != 0 {
				fmt.Fprintf(&b, " of pull request %d", p.PR)
			}
			b.WriteByte('\n')
		}
		if f := r.Refusal; f != nil {
			fmt.Fprintf(&b, "\t%s: %s\n\tnext: %s\n", f.Code, f.Message, f.Next)
		}
	}
	return b.String()
}

// TestCutPush holds that a list of commits as long as GitHub makes it is not
// taken for everything.
func TestCutPush(t *testing.T) {
	t.Parallel()
	sha := strings.Repeat("b", 40)
	commit := `{"added":["main.go"]}`
	for n, known := range map[int]bool{2047: true, 2048: false} {
		body := `{"ref":"refs/heads/main","before":"` + sha + `","after":"` + sha + `","installation":{"id":7},
			"repository":{"id":9,"name":"shop","owner":{"login":"acme"},"default_branch":"main"},
			"commits":[` + strings.Repeat(commit+",", n-1) + commit + `]}`
		ev, err := github.ParseEvent("guid", "push", []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if ch, reason := webhook.About(ev); reason != "" || ch.PathsKnown != known {
			t.Errorf("%d commits: known %v, %q", n, ch.PathsKnown, reason)
		}
	}
}

// TestRecordedPayloads holds that every event which GitHub really sent is
// understood or declined with a reason.
func TestRecordedPayloads(t *testing.T) {
	t.Parallel()
	const dir = "../../../shared/payloads/octokit-webhooks/api.github.com"
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: no recorded webhooks in %s", dir)
	}
	all := []twin.Spec{{Name: "a", On: twin.Triggers{
		Push:        &twin.BranchTrigger{Branches: []string{"**"}},
		PullRequest: &twin.BranchTrigger{Branches: []string{"**"}},
	}}}
	n, requests := 0, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		ev, err := github.ParseEvent("guid", filepath.Base(filepath.Dir(path)), body)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		ch, reason := webhook.About(ev)
		if reason == "" {
			requests += len(webhook.Decide(ch, all).Requests)
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 50 || requests == 0 {
		t.Errorf("%d events gave %d requests, want at least 50 and 1", n, requests)
	}
}

// FuzzAbout holds that no event is a panic, and that a change which is found
// can be synced and reported.
func FuzzAbout(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range cases {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if name, ok := strings.CutSuffix(file.Name, ".json"); ok {
				f.Add(name, file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		ev, err := github.ParseEvent("guid", name, body)
		if err != nil {
			return
		}
		ch, reason := webhook.About(ev)
		if reason != "" {
			return
		}
		if len(ch.SHA) < 40 || strings.Trim(ch.SHA, "0") == "" || len(ch.Places) == 0 || ch.Branch() == "" ||
			!strings.HasPrefix(ch.Ref, "refs/heads/") || ch.Repo.ID == 0 || ch.Repo.InstallationID == 0 {
			t.Fatalf("got %+v", ch)
		}
	})
}
