package webhook_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/spec"
	"github.com/neontwin/neontwin/internal/twin"
	"github.com/neontwin/neontwin/internal/webhook"
)

// fakeRuns are reported on the commit shaHead; their numbers count from 1.
type fakeRuns []twin.Request

func (f fakeRuns) Reported(_ context.Context, repositoryID int64, sha string, run int64) ([]twin.Request, error) {
	switch {
	case repositoryID != 9 || sha != shaHead:
		return nil, nil
	case run > 0:
		return f[run-1 : run], nil
	}
	return f, nil
}

func (fakeRuns) Now(context.Context) (time.Time, error) { return time.Now(), nil }

func pressed(kind, externalID, sender string) twin.Delivery {
	return delivery(kind, fmt.Sprintf(`{"action":"rerequested","sender":{"login":%q},%q:{"head_sha":%q,"external_id":%q},`, sender, kind, shaHead, externalID))
}

func button(externalID, sender, identifier string) twin.Delivery {
	return delivery("check_run", fmt.Sprintf(`{"action":"requested_action","requested_action":{"identifier":%q},"sender":{"login":%q},"check_run":{"head_sha":%q,"external_id":%q},`,
		identifier, sender, shaHead, externalID))
}

// rerun is what the command line asks for.
func rerun(run int64) twin.Delivery {
	d := webhook.Rerun(twin.Run{ID: run, Repo: shopRepo}, twin.Place{Role: twin.Head, SHA: shaHead})
	d.ReceivedAt = noon
	return d
}

func TestRerun(t *testing.T) {
	t.Parallel()
	const two = "version: 1\ntwins:\n  staging: {source: prod, target: shop-twin, mode: full, on: {push: }}\n" +
		"  other: {source: prod, target: other-twin, mode: full, on: {push: }}\n"
	places := []twin.Place{{Role: twin.Head, SHA: shaHead, PR: 3}, {Role: twin.Merge, SHA: shaMerge}}
	was := func(name string) twin.Request {
		return twin.Request{Spec: twin.Spec{Name: name}, Ref: "refs/heads/main", SHA: shaMerge, PR: 3, Places: places}
	}
	runs := fakeRuns{was("staging"), was("other"), was("gone"), was(spec.ReservedName)}
	for _, c := range []struct {
		name string
		d    twin.Delivery
		file string
		want []string // names of the Twins asked for, or of refusals after "!"
		why  string
	}{
		{"one check", pressed("check_run", "1:head", "writer"), two, []string{"staging"}, ""},
		{"all checks of a commit", pressed("check_suite", "", "writer"), two, []string{"staging", "other", "!gone"}, ""},
		{"a Twin that is gone", pressed("check_run", "3:head", "writer"), two, []string{"!gone"}, "no longer has a Twin gone"},
		{"a file that was mended", pressed("check_run", "4:head", "writer"), two, []string{"staging", "other"}, ""},
		{"a file that is still wrong", pressed("check_run", "4:head", "writer"), "broken: [", []string{"!configuration"}, ""},
		{"no file any more", pressed("check_run", "1:head", "writer"), "", []string{"!staging"}, "no .github/neon-twin.yml"},
		{"who may only read", pressed("check_run", "1:head", "reader"), two, nil, "may not write"},
		{"a stranger", pressed("check_run", "1:head", "stranger"), two, nil, "may not write"},
		{"a button of ours", button("1:head", "writer", "sync_now"), two, []string{"staging"}, ""},
		{"a button of ours, by who may only read", button("1:head", "reader", "sync_now"), two, nil, "may not write"},
		{"a button that we don't show", button("1:head", "writer", "rollback"), two, nil, "no press on Re-run"},
		{"on the command line", rerun(2), two, []string{"other"}, ""},
		{"another commit", delivery("check_run", `{"action":"rerequested","check_run":{"head_sha":"`+shaMain+`"},`), two, nil, "no run is reported"},
		{"no commit", delivery("check_run", `{"action":"rerequested","check_run":{"head_sha":"x"},`), two, nil, "no press on Re-run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			if c.file != "" {
				h.files = map[string]string{shaMain: c.file}
			}
			d, err := newProcessorWith(t, h, openPolicy(), &fakeBinder{bound: map[string]int64{}}, runs).Decide(t.Context(), c.d)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			why := d.Reason
			for _, r := range d.Requests {
				name := r.Spec.Name
				if r.Refusal != nil {
					name, why = "!"+name, why+r.Refusal.Message
				}
				got = append(got, name)
				if r.Trigger != twin.Rerun || r.SHA != shaMain || len(r.Places) != 2 || !r.AskedAt.Equal(c.d.ReceivedAt) || r.At.IsZero() {
					t.Errorf("asked for %+v, want the head of main, reported where it was", r)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) || !strings.Contains(why, c.why) {
				t.Errorf("got %v, %q; want %v, %q", got, why, c.want, c.why)
			}
		})
	}
}
