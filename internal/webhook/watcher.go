package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/twin"
)

// Sights is what GitHub shows of a branch.
type Sights interface {
	// Spare gives a *twin.LaterError while little is left of the rate limit.
	Spare(installation int64) error
	// Head gives the head of a branch.
	Head(ctx context.Context, repo twin.Repository, branch string) (github.Head, error)
	// Compare says what lies between two commits.
	Compare(ctx context.Context, repo twin.Repository, from, to string) (github.Comparison, error)
	// Merged lists the pull requests merged into a branch since a time, latest first.
	Merged(ctx context.Context, repo twin.Repository, branch string, since time.Time) ([]github.PullRequest, error)
}

// Watcher finds out what no webhook told, by comparing what GitHub shows with
// what has been decided about.
type Watcher struct {
	github Sights
	// grace is how old something must be before its webhook counts as missing.
	grace time.Duration
}

// NewWatcher makes a Watcher.
func NewWatcher(gh Sights, grace time.Duration) *Watcher { return &Watcher{github: gh, grace: grace} }

// ownGUID begins the GUID of deliveries that we make ourselves. No webhook is
// accepted under one.
const ownGUID = "catchup-"

// apart is how far apart the times of two moves must be to say which was later.
const apart = 3 * time.Second

// Missing makes the deliveries that should have told how a branch came to be
// what it is, newest first: so that the newest commit is synced and older ones
// find that they are. Without a push that was decided about nothing is known of
// the branch, and then nothing is missing: all that came before was not ours to
// see.
//
// A delivery that is made is the one that GitHub would have sent, as far as we
// read it, so that it is decided about in the same way. Its GUID follows from
// the fact: it is made once, however often the fact is found.
func (w *Watcher) Missing(ctx context.Context, repo twin.Repository, branch string, known twin.Known) (twin.Missing, error) {
	if err := w.github.Spare(repo.InstallationID); err != nil {
		return twin.Missing{}, err
	}
	head, err := w.github.Head(ctx, repo, branch)
	if errors.Is(err, github.ErrNoBranch) {
		return twin.Missing{}, nil // deleted: there is nothing to follow
	}
	if err != nil {
		return twin.Missing{}, err
	}
	m := twin.Missing{Head: twin.Fact{Repo: repo, Ref: heads + branch, SHA: head.SHA, At: head.AsOf}}
	if known.Pushed.SHA == "" {
		return m, nil
	}
	// What is seen now is newer than all that was told before, whatever time
	// that was told with: GitHub's clock may have been set back since.
	for _, f := range append([]twin.Fact{known.Pushed, known.Astray}, known.Merged...) {
		if least := f.At.Add(apart).Truncate(time.Second); m.Head.At.Before(least) {
			m.Head.At = least
		}
	}
	if from, since, moved := moved(head, known); moved {
		// A clock that is ahead must not hide a commit for ever.
		if age := head.AsOf.Sub(since); age >= -time.Minute && age < w.grace {
			m.Young = true
		} else {
			d, err := w.push(ctx, m.Head, from)
			if err != nil {
				return twin.Missing{}, err
			}
			m.Deliveries = append(m.Deliveries, d)
		}
	}
	merged, err := w.github.Merged(ctx, repo, branch, known.Since)
	if err != nil {
		return twin.Missing{}, err
	}
	for _, p := range merged {
		switch {
		case slices.ContainsFunc(known.Merged, func(f twin.Fact) bool { return f.PR == p.Number && f.SHA == p.MergeCommitSHA }):
		case head.AsOf.Sub(p.MergedAt) < w.grace:
			m.Young = true
		default:
			m.Deliveries = append(m.Deliveries, merge(repo, p))
		}
	}
	return m, nil
}

// moved reports whether somebody has to be told where the branch is: that it
// is elsewhere than was told, or that it is where was told, and not where a
// Twin stands. It gives from where, and since when.
func moved(head github.Head, known twin.Known) (from twin.Fact, since time.Time, moved bool) {
	switch {
	case head.SHA != known.Pushed.SHA:
		return known.Pushed, head.Committed, true
	case known.Astray.SHA != "":
		return known.Astray, known.Astray.At, true
	}
	return twin.Fact{}, time.Time{}, false
}

// push makes the delivery of a push. Where GitHub does not say all that lies
// between, no paths are named: then every filter on paths matches.
func (w *Watcher) push(ctx context.Context, head, pushed twin.Fact) (twin.Delivery, error) {
	p := github.Push{Ref: head.Ref, Before: pushed.SHA, After: head.SHA, Forced: true, PushedAt: head.At}
	// Another branch's commit, where the branch that is followed has changed.
	if pushed.Ref == head.Ref {
		c, err := w.github.Compare(ctx, head.Repo, pushed.SHA, head.SHA)
		if err != nil {
			return twin.Delivery{}, err
		}
		p.Forced, p.Paths, p.Complete = !c.Ahead, c.Paths, c.Ahead && c.Complete
	}
	return own(head, "push", "", p.Body(head.Repo)), nil
}

// merge makes the delivery of a merged pull request.
func merge(repo twin.Repository, p github.PullRequest) twin.Delivery {
	p.Merged, p.BaseRepository = true, repo.ID
	f := twin.Fact{Repo: repo, Ref: heads + p.BaseRef, SHA: p.MergeCommitSHA, PR: p.Number, At: p.MergedAt}
	return own(f, "pull_request", "closed", p.Body(repo))
}

// own makes a delivery of ours.
func own(f twin.Fact, event, action string, body []byte) twin.Delivery {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%s\n%d", f.Repo.ID, f.Ref, f.SHA, f.PR))
	return twin.Delivery{
		GUID: ownGUID + hex.EncodeToString(sum[:16]), Event: event, Action: action,
		InstallationID: f.Repo.InstallationID, RepositoryID: f.Repo.ID, Body: body,
	}
}

// ours reports whether a delivery is one that we made.
func ours(d twin.Delivery) bool { return strings.HasPrefix(d.GUID, ownGUID) }
