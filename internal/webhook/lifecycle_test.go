package webhook_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/twin"
	"github.com/neontwin/neontwin/internal/webhook"
)

// TestRecordedLifecycle: GitHub's own examples say whose standing may have
// changed, and nothing of how.
func TestRecordedLifecycle(t *testing.T) {
	t.Parallel()
	root := "../../../shared/payloads/octokit-webhooks/api.github.com"
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		t.Skip("recorded payloads are not at hand")
	}
	p := newProcessor(t, newHub(t), openPolicy(), &fakeBinder{bound: map[string]int64{}})
	seen := 0
	for _, event := range []string{"installation", "installation_repositories", "repository"} {
		files, err := filepath.Glob(filepath.Join(root, event, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no payloads of %s: %v", event, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var body map[string]any
			if err := json.Unmarshal(text, &body); err != nil {
				t.Fatal(err)
			}
			if body["installation"] == nil { // GitHub adds it for Apps
				body["installation"] = map[string]any{"id": 7}
			}
			text, err = json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			d, err := p.Decide(t.Context(), twin.Delivery{GUID: "1", Event: event, Body: text})
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			name := event + "/" + filepath.Base(file)
			if body["action"] == "created" && event == "repository" {
				if d.Changed != nil {
					t.Errorf("%s: got %+v", name, d.Changed)
				}
				continue
			}
			seen++
			if d.Changed == nil || d.Changed.InstallationID == 0 || (d.Changed.Repo.ID > 0) != (event == "repository") || len(d.Requests) > 0 || d.Fact != nil {
				t.Errorf("%s: got %+v", name, d)
			}
			action, _, _ := strings.Cut(filepath.Base(file), ".")
			returned := event != "repository" && (action == "created" || action == "unsuspend" || action == "new_permissions_accepted" || action == "added")
			if d.Changed != nil && d.Changed.Returned != returned {
				t.Errorf("%s: returned %t, want %t", name, d.Changed.Returned, returned)
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d events were looked at", seen)
	}
}

// TestNamesOfARepository: what the operator gave goes with the repository to
// another name, not to another owner, and not to whoever takes over the name.
func TestNamesOfARepository(t *testing.T) {
	t.Parallel()
	as := func(owner, name string, id int) twin.Delivery {
		d := pushed("main")
		text := strings.Replace(string(d.Body), `"repository":{"id":9,"name":"shop","owner":{"login":"acme"}`,
			`"repository":{"id":`+string(rune('0'+id))+`,"name":"`+name+`","owner":{"login":"`+owner+`"}`, 1)
		d.Body = []byte(text)
		return d
	}
	for name, c := range map[string]struct {
		bound   map[string]int64
		d       twin.Delivery
		refusal string
	}{
		"first seen":        {d: as("acme", "shop", 9)},
		"renamed":           {bound: map[string]int64{"acme/shop": 9}, d: as("acme", "boutique", 9)},
		"in other letters":  {bound: map[string]int64{"acme/shop": 9}, d: as("ACME", "Boutique", 9)},
		"never named":       {d: as("acme", "boutique", 9), refusal: "is not open to acme/boutique"},
		"another owner":     {bound: map[string]int64{"acme/shop": 9}, d: as("umbrella", "shop", 9), refusal: "is not open to umbrella/shop"},
		"name taken over":   {bound: map[string]int64{"acme/shop": 8}, d: as("acme", "shop", 9), refusal: "stood for another repository"},
		"taken, but named":  {bound: map[string]int64{"acme/shop": 8, "other/repo": 9}, d: as("other", "repo", 9)},
		"two that swapped":  {bound: map[string]int64{"acme/shop": 8, "acme/old": 9}, d: as("acme", "shop", 9), refusal: "stood for another repository"},
		"bound, not listed": {bound: map[string]int64{"acme/elsewhere": 9}, d: as("acme", "boutique", 9), refusal: "is not open to acme/boutique"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			h.files[shaMerge] = file("prod", "shop-twin", "{push: }")
			h.any = true
			if c.bound == nil {
				c.bound = map[string]int64{}
			}
			d, err := newProcessor(t, h, openPolicy(), &fakeBinder{bound: c.bound}).Decide(t.Context(), c.d)
			if err != nil || len(d.Requests) != 1 {
				t.Fatalf("got %+v, %v", d, err)
			}
			got := d.Requests[0].Refusal
			if c.refusal == "" && got != nil || c.refusal != "" && (got == nil || !strings.Contains(got.Message, c.refusal)) {
				t.Errorf("got %+v, want %q", got, c.refusal)
			}
			if d.Fact == nil || d.Fact.SHA != shaMerge || d.Fact.Ref != "refs/heads/main" {
				t.Errorf("the fact is %+v", d.Fact)
			}
		})
	}
}

// TestOnlyWhatWasDecidedIsAFact: what could not be looked at may be found again.
func TestOnlyWhatWasDecidedIsAFact(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := newProcessor(t, h, openPolicy(), &fakeBinder{bound: map[string]int64{}})
	d, err := p.Decide(t.Context(), pushed("main")) // no file
	if err != nil || d.Fact == nil || d.Reason == "" {
		t.Errorf("declined: got %+v, %v", d, err)
	}
	gone := newHub(t)
	gone.fail = unreachable
	if d, err = newProcessor(t, gone, openPolicy(), &fakeBinder{bound: map[string]int64{}}).Decide(t.Context(), pushed("main")); err != nil || d.Fact != nil {
		t.Errorf("out of reach: got %+v, %v", d, err)
	}
	own := pushed("main")
	own.GUID = "catchup-1"
	h.mu.Lock()
	h.files[shaMerge] = file("prod", "shop-twin", "{push: , pull_request: }")
	h.mu.Unlock()
	if d, err = p.Decide(t.Context(), own); err != nil || len(d.Requests) != 1 || d.Requests[0].Trigger != twin.CatchUp {
		t.Errorf("of our own: got %+v, %v", d, err)
	}
	own = merged("main")
	own.GUID = "catchup-2"
	if d, err = p.Decide(t.Context(), own); err != nil || len(d.Requests) != 1 || d.Requests[0].Trigger != twin.PullRequest {
		t.Errorf("merged, of our own: got %+v, %v", d, err)
	}
}

func TestActs(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]bool{
		"push.": true, "pull_request.closed": true, "pull_request.opened": false, "check_suite.requested": false, "check_run.rerequested": true, "check_run.requested_action": true, "check_suite.requested_action": false,
		"installation.deleted": true, "installation_repositories.removed": true, "repository.edited": true, "repository.created": false, "ping.": false,
	} {
		name, action, _ := strings.Cut(event, ".")
		if got := webhook.Acts(name, action); got != want {
			t.Errorf("%s: %t", event, got)
		}
	}
}
