package webhook_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/spec"
	"github.com/neontwin/neontwin/internal/twin"
	"github.com/neontwin/neontwin/internal/webhook"
)

const planned = `{schedule: {at: "02:30", timezone: Europe/Berlin}}`

// TestWhatAChangeDeclares: the default branch alone says which schedules there
// are, whether or not a sync follows from the change.
func TestWhatAChangeDeclares(t *testing.T) {
	t.Parallel()
	main := map[string]string{shaMerge: file("prod", "shop-twin", planned)}
	tracked := file("prod", "shop-twin", `{push: {branches: [release]}, schedule: {at: "02:30", timezone: UTC}}`)
	for _, c := range []struct {
		name   string
		d      twin.Delivery
		files  map[string]string
		policy webhook.Policy
		want   string // names of the Twins, "nothing" for no declaration
	}{
		{"a push that starts nothing", pushed("main"), main, openPolicy(), "[staging]"},
		{"a merge that starts nothing", merged("main"), main, openPolicy(), "[staging]"},
		{"the file is gone", pushed("main"), nil, openPolicy(), "[]"},
		{"a file with errors", pushed("main"), map[string]string{shaMerge: "version: 2"}, openPolicy(), "nothing"},
		{"another branch", pushed("dev"), map[string]string{shaMerge: main[shaMerge], shaMain: main[shaMerge]}, openPolicy(), "nothing"},
		{"a trusted branch", pushed("release"), map[string]string{shaMerge: tracked, shaMain: tracked}, openPolicy(), "nothing"},
		{"a repository that was given nothing", pushed("main"), main, webhook.Policy{}, "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			h.files = c.files
			d, err := newProcessor(t, h, c.policy, &fakeBinder{bound: map[string]int64{}}).Decide(t.Context(), c.d)
			if err != nil {
				t.Fatal(err)
			}
			got := "nothing"
			if d.Declared != nil {
				names := []string{}
				for _, s := range d.Declared.Twins {
					names = append(names, s.Name)
				}
				got = fmt.Sprint(names)
				if d.Declared.SHA != shaMerge || d.Declared.At.IsZero() || d.Declared.Repo.ID != 9 {
					t.Errorf("declared %+v", d.Declared)
				}
			}
			if got != c.want {
				t.Errorf("declared %s, want %s (%q)", got, c.want, d.Reason)
			}
		})
	}
}

// TestScheduled: a schedule syncs the head of the default branch, by the file
// that stands there now.
func TestScheduled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file string
		policy     webhook.Policy
		want       string // the Twin, or a refusal after "!"
		why        string
		declared   bool
	}{
		{"due", file("prod", "shop-twin", planned), openPolicy(), "staging", "", true},
		{"no schedule any more", file("prod", "shop-twin", "{push: }"), openPolicy(), "", "no schedule for a Twin staging", true},
		{"no such Twin any more", strings.Replace(file("prod", "shop-twin", planned), "staging", "other", 1), openPolicy(), "", "no schedule for a Twin staging", true},
		{"no file any more", "", openPolicy(), "", "has no .github/neon-twin.yml", true},
		{"a file with errors", "version: 2", openPolicy(), "!" + spec.ReservedName, "version", false},
		{"not open any more", file("prod", "shop-twin", planned), webhook.Policy{}, "!staging", "is not open", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			if c.file != "" {
				h.files = map[string]string{shaMain: c.file}
			}
			repo := twin.Repository{InstallationID: 7, ID: 9, Owner: "acme", Name: "shop", DefaultBranch: "main"}
			d, err := newProcessor(t, h, c.policy, &fakeBinder{bound: map[string]int64{}}).Scheduled(t.Context(), repo, "staging")
			if err != nil {
				t.Fatal(err)
			}
			got, why := "", d.Reason
			for _, r := range d.Requests {
				got += r.Spec.Name
				if r.Refusal != nil {
					got, why = "!"+got, why+r.Refusal.Message
				}
				if r.Trigger != twin.Schedule || r.Ref != "refs/heads/main" || r.SHA != shaMain || r.At.IsZero() || len(r.Places) != 1 || r.Places[0].SHA != shaMain {
					t.Errorf("asked for %+v", r)
				}
			}
			if got != c.want || !strings.Contains(why, c.why) || (d.Declared != nil) != c.declared {
				t.Errorf("got %q, %q, declared %+v; want %q, %q", got, why, d.Declared, c.want, c.why)
			}
		})
	}
}

// TestScheduledOutOfReach: one wrong answer of GitHub's costs no night.
func TestScheduledOutOfReach(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.fail = unreachable
	repo := twin.Repository{InstallationID: 7, ID: 9, Owner: "acme", Name: "shop", DefaultBranch: "main"}
	d, err := newProcessor(t, h, openPolicy(), &fakeBinder{bound: map[string]int64{}}).Scheduled(t.Context(), repo, "staging")
	if !errors.Is(err, twin.ErrUnreachable) {
		t.Errorf("got %+v, %v", d, err)
	}
}
