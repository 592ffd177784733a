package webhook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/spec"
	"github.com/neontwin/neontwin/internal/twin"
)

const heads = "refs/heads/"

// Change is a branch that was moved to a commit, as one event tells it. A
// merged pull request and its push are two Changes to the same commit.
type Change struct {
	Repo    twin.Repository
	Trigger twin.Trigger // PullRequest or Push
	Ref     string       // refs/heads/main
	SHA     string       // where the branch was moved to
	Before  string       // where it was, empty if unknown
	Forced  bool         // SHA need not come after Before
	PR      int          // 0 for a push
	At      time.Time    // when; zero where the event lacks it
	AskedAt time.Time    // as in twin.Request
	Places  []twin.Place
	// Paths are the files that changed, if PathsKnown. Where they are not known
	// every filter on paths matches: a sync too many is better than a stale Twin.
	Paths      []string
	PathsKnown bool
}

// Branch is the short name of the branch that was moved.
func (c Change) Branch() string { return strings.TrimPrefix(c.Ref, heads) }

// About says which branch an event moved, or the reason why it moved none.
func About(ev github.Event) (ch Change, reason string) {
	switch {
	case ev.InstallationID <= 0 || ev.Repository.ID <= 0:
		return Change{}, "the event names no installation and repository"
	case ev.Repository.Owner == "" || ev.Repository.Name == "" || ev.Repository.DefaultBranch == "":
		return Change{}, "the event does not say all of its repository"
	}
	switch ev.Name {
	case "pull_request":
		return aboutPullRequest(ev)
	case "push":
		return aboutPush(ev)
	}
	return Change{}, "nothing is done for this event"
}

// aboutPullRequest reads a merge. It is reported on the head commit, whose
// checks the pull request's page shows, and on the commit the merge made.
// Where the head is (in a fork, in a branch already deleted) does not matter:
// what was merged is in the base repository, and who merged could write there.
func aboutPullRequest(ev github.Event) (Change, string) {
	if ev.Action != "closed" {
		return Change{}, "the pull request was not closed"
	}
	p, err := ev.PullRequest()
	if err != nil {
		return Change{}, "the event is not that of a pull request"
	}
	switch {
	case !p.Merged:
		return Change{}, "the pull request was closed without being merged"
	case p.BaseRepository != 0 && p.BaseRepository != ev.Repository.ID:
		return Change{}, "the pull request belongs to another repository"
	}
	places := []twin.Place{{Role: twin.Head, SHA: p.HeadSHA, PR: p.Number}}
	if p.MergeCommitSHA != p.HeadSHA {
		places = append(places, twin.Place{Role: twin.Merge, SHA: p.MergeCommitSHA, PR: p.Number})
	}
	return Change{
		Repo: ev.Repository, Trigger: twin.PullRequest, Ref: heads + p.BaseRef, SHA: p.MergeCommitSHA,
		PR: p.Number, At: p.MergedAt, Places: places,
	}, ""
}

// aboutPush reads a branch that was moved. A forced push is a move like any
// other: what the branch is now is what the Twin shall follow.
func aboutPush(ev github.Event) (Change, string) {
	p, err := ev.Push()
	switch {
	case err != nil:
		return Change{}, "the event is not that of a push"
	case !strings.HasPrefix(p.Ref, heads):
		return Change{}, "a tag was pushed, not a branch"
	case p.Deleted:
		return Change{}, "the branch was deleted"
	}
	return Change{
		Repo: ev.Repository, Trigger: twin.Push, Ref: p.Ref, SHA: p.After, At: p.PushedAt,
		Before: p.Before, Forced: p.Forced || p.Created, // a branch made anew may be where it was once
		Places: []twin.Place{{Role: twin.Merge, SHA: p.After}},
		Paths:  p.Paths, PathsKnown: p.Complete,
	}, ""
}

// Decide says which of the Twins a change is for. The requests are in the
// order of the Twins; without any there is a reason.
func Decide(ch Change, twins []twin.Spec) twin.Decision {
	var d twin.Decision
	var onBranch bool
	for _, s := range twins {
		t := trigger(ch, s)
		if t == nil {
			continue
		}
		onBranch = true
		if touches(ch, t) {
			d.Requests = append(d.Requests, request(ch, s))
		}
	}
	switch {
	case len(d.Requests) > 0:
	case onBranch:
		d.Reason = fmt.Sprintf("no file changed that a Twin of branch %s watches", ch.Branch())
	default:
		d.Reason = fmt.Sprintf("no Twin is synced for %s of branch %s", noun(ch.Trigger), ch.Branch())
	}
	return d
}

// request asks for a sync of one Twin.
func request(ch Change, s twin.Spec) twin.Request {
	return twin.Request{
		Repo: ch.Repo, Spec: s, Trigger: ch.Trigger, Ref: ch.Ref, SHA: ch.SHA, PR: ch.PR, At: ch.At, AskedAt: ch.AskedAt,
		Before: ch.Before, Forced: ch.Forced, Places: slices.Clone(ch.Places),
	}
}

// trigger gives the trigger of a Twin that is for the kind and branch of a
// change, or nil.
func trigger(ch Change, s twin.Spec) *twin.BranchTrigger {
	t := s.On.Push
	if ch.Trigger == twin.PullRequest {
		t = s.On.PullRequest
	}
	switch {
	case t == nil:
		return nil
	case len(t.Branches) == 0 && ch.Branch() != ch.Repo.DefaultBranch:
		return nil
	case len(t.Branches) > 0 && !matchAny(t.Branches, ch.Branch()):
		return nil
	}
	return t
}

// touches reports whether a change may have touched a file that a trigger
// watches.
func touches(ch Change, t *twin.BranchTrigger) bool {
	return len(t.Paths) == 0 || !ch.PathsKnown ||
		slices.ContainsFunc(ch.Paths, func(path string) bool { return matchAny(t.Paths, path) })
}

// matchAny reports whether a name matches one of the patterns.
func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return spec.Match(p, name) })
}

// noun names the kind of a change.
func noun(t twin.Trigger) string {
	if t == twin.PullRequest {
		return "merged pull requests"
	}
	return "pushes"
}
