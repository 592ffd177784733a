package github_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/twin"
)

// TestBodiesAreReadAsTheyWereWritten: what no webhook told is decided about as
// if one had.
func TestBodiesAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	repo := twin.Repository{InstallationID: 7, ID: 9, Owner: "acme", Name: "shop", DefaultBranch: "main"}
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	read := func(name string, body []byte) github.Event {
		t.Helper()
		ev, err := github.ParseEvent("g-1", name, body)
		if err != nil || ev.Repository != repo || ev.InstallationID != 7 {
			t.Fatalf("%s is read as %+v, %v", body, ev, err)
		}
		return ev
	}
	for _, p := range []github.Push{
		{Ref: "refs/heads/main", Before: a, After: b, PushedAt: noon, Complete: true, Paths: []string{"db/1.sql", "x"}},
		{Ref: "refs/heads/main", Before: a, After: b, PushedAt: noon, Complete: true},
		{Ref: "refs/heads/main", Before: a, After: b, PushedAt: noon, Forced: true},
		{Ref: "refs/heads/main", Before: a, After: b, Created: true},
		{Ref: "refs/tags/v1", Before: a, After: strings.Repeat("0", 40), Deleted: true},
	} {
		if got, err := read("push", p.Body(repo)).Push(); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("got %+v, %v, want %+v", got, err, p)
		}
	}
	p := github.PullRequest{Number: 3, Merged: true, MergedAt: noon, BaseRef: "main", BaseRepository: 9, HeadSHA: a, MergeCommitSHA: b}
	ev := read("pull_request", p.Body(repo))
	if got, err := ev.PullRequest(); err != nil || got != p || ev.Action != "closed" {
		t.Errorf("got %+v, %v, want %+v", got, err, p)
	}
	press := github.Rerequest{HeadSHA: a, ExternalID: "3:head", Sender: "octocat"}
	if got, err := read("check_run", press.Body(repo)).Rerequest(); err != nil || got != press {
		t.Errorf("got %+v, %v, want %+v", got, err, press)
	}
	p.MergedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) // no form of time has it
	if got, err := read("pull_request", p.Body(repo)).PullRequest(); err != nil || !got.MergedAt.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
}
