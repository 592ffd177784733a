package github

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// PullRequest is what a pull_request event says.
type PullRequest struct {
	Number         int
	Merged         bool
	MergedAt       time.Time
	BaseRef        string // the branch's short name
	BaseRepository int64  // the id of the repository that the branch is in
	HeadSHA        string
	// MergeCommitSHA is the commit the base branch was moved to. Before the
	// merge GitHub puts a throw-away test merge here.
	MergeCommitSHA string
}

// Push is what a push event says.
type Push struct {
	Ref           string // refs/heads/main
	Before, After string
	Created       bool
	Deleted       bool
	Forced        bool
	// Paths are the files that the pushed commits touched, sorted.
	Paths []string
	// Complete is set where Paths is everything; GitHub cuts long lists.
	Complete bool
	// PushedAt is when GitHub took the push; zero where the event lacks it.
	PushedAt time.Time
}

// Where GitHub cuts the lists of a push.
const (
	maxPushCommits = 2048
	maxCommitFiles = 3000
)

var commitSHA = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// zeroSHA reports whether a commit is the one that stands for none.
func zeroSHA(sha string) bool { return strings.Trim(sha, "0") == "" }

// PullRequest reads a pull_request event. An error is ErrMalformed: the body
// is not of the kind that its name says.
func (e Event) PullRequest() (PullRequest, error) {
	var v pullRequestBody
	if err := json.Unmarshal(e.Body, &v); err != nil {
		return PullRequest{}, fmt.Errorf("%w: no pull request that fits", ErrMalformed)
	}
	p := v.PullRequest
	if e.Name != "pull_request" || p == nil || p.Number <= 0 || v.Number != p.Number ||
		p.Base.Ref == "" || !commitSHA.MatchString(p.Head.SHA) {
		return PullRequest{}, fmt.Errorf("%w: not a pull request", ErrMalformed)
	}
	if p.Merged && !commitSHA.MatchString(p.MergeCommitSHA) {
		return PullRequest{}, fmt.Errorf("%w: merged without a commit", ErrMalformed)
	}
	return PullRequest{
		Number: p.Number, Merged: p.Merged, MergedAt: p.MergedAt.Time,
		BaseRef: p.Base.Ref, BaseRepository: p.Base.Repo.ID,
		HeadSHA: p.Head.SHA, MergeCommitSHA: p.MergeCommitSHA,
	}, nil
}

// Push reads a push event. An error is ErrMalformed: the body is not of the
// kind that its name says.
func (e Event) Push() (Push, error) {
	var v pushBody
	if err := json.Unmarshal(e.Body, &v); err != nil {
		return Push{}, fmt.Errorf("%w: no push that fits", ErrMalformed)
	}
	if e.Name != "push" || !strings.HasPrefix(v.Ref, "refs/") ||
		!commitSHA.MatchString(v.After) || !commitSHA.MatchString(v.Before) {
		return Push{}, fmt.Errorf("%w: not a push", ErrMalformed)
	}
	p := Push{
		Ref: v.Ref, Before: v.Before, After: v.After, Created: v.Created, Forced: v.Forced,
		Deleted:  v.Deleted || zeroSHA(v.After),
		PushedAt: v.Repository.PushedAt.Time,
	}
	// A new or rewritten branch lists commits against something else than what
	// the branch was, and a push without commits moved it to known ones.
	p.Complete = !v.Created && !v.Forced && len(v.Commits) > 0 && len(v.Commits) < maxPushCommits
	for _, c := range v.Commits {
		for _, list := range [][]string{c.Added, c.Removed, c.Modified} {
			p.Paths = append(p.Paths, list...)
		}
		if len(c.Added)+len(c.Removed)+len(c.Modified) >= maxCommitFiles {
			p.Complete = false
		}
	}
	slices.Sort(p.Paths)
	p.Paths = slices.Compact(p.Paths)
	return p, nil
}
