package githubtest

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// PullRequest is a pull request as this server keeps it.
type PullRequest struct {
	ID             int64
	Number         int
	Title, Body    string
	Author         string
	State          string // open or closed
	Draft          bool
	Merged         bool
	MergedBy       string
	HeadRepository int64
	HeadBranch     string
	HeadSHA        string
	BaseBranch     string
	BaseSHA        string // the base's head when it was opened or last pushed to: stale later
	MergeSHA       string // before the merge: a test merge; "" if it conflicts
	CreatedAt      time.Time
	UpdatedAt      time.Time
	ClosedAt       *time.Time
}

// NewPullRequest describes a pull request to open. The commits either stand on
// the branch Head already, or Files makes one.
type NewPullRequest struct {
	Repository string // owner/name it goes to
	Title      string
	Body       string
	Author     string // login; empty means octocat
	Base       string // empty means the default branch
	Head       string // branch; empty means patch-<number>
	Fork       string // owner of the fork that holds Head; it is made if missing
	Files      map[string]string
	Remove     []string
	Draft      bool
}

// OpenPullRequest opens a pull request and sends what GitHub sends: push for
// the branch, unless it is in a fork, then pull_request.opened.
func (s *Server) OpenPullRequest(n NewPullRequest) (PullRequest, error) {
	if n.Fork != "" {
		if err := s.ensureFork(n.Repository, n.Fork); err != nil {
			return PullRequest{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	base, err := s.st.named(n.Repository)
	if err != nil {
		return PullRequest{}, err
	}
	head := base
	if n.Fork != "" {
		head = s.st.repository(n.Fork, base.Name)
	}
	p := &PullRequest{
		ID: s.st.id(), Number: len(base.Pulls) + 1, Title: n.Title, Body: n.Body, State: "open", Draft: n.Draft,
		Author: cmp.Or(n.Author, n.Fork, "octocat"), HeadRepository: head.ID,
		BaseBranch: cmp.Or(n.Base, base.DefaultBranch), CreatedAt: s.now(), UpdatedAt: s.now(),
	}
	p.HeadBranch = cmp.Or(n.Head, fmt.Sprintf("patch-%d", p.Number))
	if base.Branches[p.BaseBranch] == "" {
		return PullRequest{}, fmt.Errorf("open pull request: no branch %q in %s", p.BaseBranch, n.Repository)
	}
	var events []*message
	if len(n.Files)+len(n.Remove) > 0 {
		at := cmp.Or(head.Branches[p.HeadBranch], base.Branches[p.BaseBranch])
		s.adopt(head, base, at)
		c := head.commit(Commit{
			Parents: []string{at}, Message: n.Title, Author: p.Author, Time: s.dated(),
			Files: s.tree(head.Commits[at].Files, n.Files, n.Remove),
		})
		events = s.move(head, p.HeadBranch, c.SHA, p.Author)
	}
	p.HeadSHA = head.Branches[p.HeadBranch]
	if p.HeadSHA == "" {
		return PullRequest{}, fmt.Errorf("open pull request: no branch %q in %s", p.HeadBranch, head.fullName())
	}
	s.adopt(base, head, p.HeadSHA)
	base.Pulls = append(base.Pulls, p)
	s.tryMerge(base, p)
	s.queue(append(events, s.pullEvent(base, p, "opened", p.Author, nil))...)
	s.touch()
	return *p, nil
}

func (s *Server) ensureFork(fullName, owner string) error {
	s.mu.Lock()
	r, err := s.st.named(fullName)
	there := err == nil && s.st.repository(owner, r.Name) != nil
	s.mu.Unlock()
	if err != nil || there {
		return err
	}
	_, err = s.Fork(fullName, owner)
	return err
}

// PullRequest returns a pull request by number.
func (s *Server) PullRequest(fullName string, number int) (PullRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, p, err := s.st.pull(fullName, number)
	if err != nil {
		return PullRequest{}, err
	}
	return *p, nil
}

func (st *state) pull(fullName string, number int) (*repository, *PullRequest, error) {
	r, err := st.named(fullName)
	if err != nil {
		return nil, nil, err
	}
	if number < 1 || number > len(r.Pulls) {
		return nil, nil, fmt.Errorf("find pull request %d of %s: there is none", number, fullName)
	}
	return r, r.Pulls[number-1], nil
}

// ClosePullRequest closes a pull request without merging it.
func (s *Server) ClosePullRequest(fullName string, number int) error {
	return s.changePull(fullName, number, "open", "closed", func(_ *repository, p *PullRequest) (obj, error) {
		s.close(p, "", "")
		return nil, nil
	})
}

// ReopenPullRequest opens a closed pull request again.
func (s *Server) ReopenPullRequest(fullName string, number int) error {
	return s.changePull(fullName, number, "closed", "reopened", func(_ *repository, p *PullRequest) (obj, error) {
		p.State, p.ClosedAt = "open", nil
		return nil, nil
	})
}

// ReadyForReview ends the draft state of a pull request.
func (s *Server) ReadyForReview(fullName string, number int) error {
	return s.changePull(fullName, number, "open", "ready_for_review", func(_ *repository, p *PullRequest) (obj, error) {
		p.Draft = false
		return nil, nil
	})
}

// Retarget points a pull request at another base branch and sends
// pull_request.edited.
func (s *Server) Retarget(fullName string, number int, base string) error {
	return s.changePull(fullName, number, "open", "edited", func(r *repository, p *PullRequest) (obj, error) {
		if r.Branches[base] == "" {
			return nil, fmt.Errorf("no branch %q", base)
		}
		from := obj{"ref": obj{"from": p.BaseBranch}, "sha": obj{"from": p.BaseSHA}}
		p.BaseBranch = base
		s.tryMerge(r, p)
		return obj{"changes": obj{"base": from}}, nil
	})
}

// changePull changes a pull request in the state from and sends the event.
func (s *Server) changePull(
	fullName string, number int, from, action string, change func(*repository, *PullRequest) (obj, error),
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, p, err := s.st.pull(fullName, number)
	if err != nil {
		return err
	}
	if p.State != from || p.Merged {
		return fmt.Errorf("change pull request %d: it is not %s or was merged", number, from)
	}
	more, err := change(r, p)
	if err != nil {
		return fmt.Errorf("change pull request %d: %w", number, err)
	}
	p.UpdatedAt = s.now()
	s.queue(s.pullEvent(r, p, action, "octocat", more))
	s.touch()
	return nil
}

// Method is a way to merge.
type Method string

// The ways to merge. A fast-forward is a Push of the pull request's head.
const (
	MergeCommit Method = "merge"
	Squash      Method = "squash"
	Rebase      Method = "rebase"
)

// Merge says how a pull request is merged. The zero value is a merge commit by
// octocat, told as pull_request.closed and then push.
type Merge struct {
	Method    Method
	By        string // login
	PushFirst bool   // push is sent before pull_request.closed
}

// Merge merges a pull request. It fails if it is closed or conflicts.
func (s *Server) Merge(fullName string, number int, m Merge) (PullRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, p, err := s.st.pull(fullName, number)
	if err != nil {
		return PullRequest{}, err
	}
	if p.State != "open" || p.Draft || r.Archived {
		return PullRequest{}, fmt.Errorf("merge pull request %d: it is closed or a draft, or the repository is archived", number)
	}
	m.By = cmp.Or(m.By, "octocat")
	sha, err := s.mergeCommit(r, p, m)
	if err != nil {
		return PullRequest{}, fmt.Errorf("merge pull request %d: %w", number, err)
	}
	if s.opts.Deploy != nil {
		s.opts.Deploy(r.fullName(), s.st.changedBy(r, p.BaseBranch, sha))
	}
	s.close(p, sha, m.By)
	closed := s.pullEvent(r, p, "closed", m.By, nil)
	events := s.move(r, p.BaseBranch, sha, m.By)
	if m.PushFirst {
		events = append(events[:1:1], append([]*message{closed}, events[1:]...)...)
	} else {
		events = append([]*message{closed}, events...)
	}
	s.queue(events...)
	return *p, nil
}

// changedBy gives the files that differ between the head of a branch and a
// commit that it is about to be moved to, deleted ones aside.
func (st *state) changedBy(r *repository, branch, sha string) map[string]string {
	before, files := r.Commits[r.Branches[branch]].Files, make(map[string]string)
	for path, blob := range r.Commits[sha].Files {
		if before[path] != blob {
			files[path] = string(st.Blobs[blob])
		}
	}
	return files
}

// mergeCommit makes the commits that a merge puts on the base branch and
// returns the last one.
func (s *Server) mergeCommit(r *repository, p *PullRequest, m Merge) (string, error) {
	base := r.Commits[r.Branches[p.BaseBranch]]
	at := r.Commits[r.mergeBase(base.SHA, p.HeadSHA)]
	if at == nil {
		return "", errors.New("no common history")
	}
	tree, ok := mergeTrees(at.Files, base.Files, r.Commits[p.HeadSHA].Files)
	if !ok {
		return "", errors.New("merge conflict")
	}
	c := Commit{Parents: []string{base.SHA}, Author: m.By, Time: s.dated(), Files: tree}
	switch m.Method {
	case Squash:
		c.Message = fmt.Sprintf("%s (#%d)", p.Title, p.Number)
	case Rebase:
		return s.rebase(r, base, r.between(at.SHA, p.HeadSHA))
	case MergeCommit, "":
		c.Parents = append(c.Parents, p.HeadSHA)
		c.Message = fmt.Sprintf("Merge pull request #%d from %s/%s\n\n%s",
			p.Number, s.headOwner(r, p), p.HeadBranch, p.Title)
	default:
		return "", fmt.Errorf("no method %q", m.Method)
	}
	return r.commit(c).SHA, nil
}

// rebase applies commits one after another to a base.
func (s *Server) rebase(r *repository, base *Commit, commits []*Commit) (string, error) {
	for _, c := range commits {
		if len(c.Parents) != 1 {
			continue
		}
		tree, ok := mergeTrees(r.Commits[c.Parents[0]].Files, base.Files, c.Files)
		if !ok {
			return "", errors.New("merge conflict")
		}
		base = r.commit(Commit{
			Parents: []string{base.SHA}, Message: c.Message, Author: c.Author,
			Time: s.dated(), Files: tree,
		})
	}
	return base.SHA, nil
}

// tryMerge makes the test merge that stands in merge_commit_sha while a pull
// request is open.
func (s *Server) tryMerge(r *repository, p *PullRequest) {
	p.BaseSHA = r.Branches[p.BaseBranch]
	p.UpdatedAt = s.now()
	sha, err := s.mergeCommit(r, p, Merge{By: p.Author})
	if err != nil {
		sha = ""
	}
	p.MergeSHA = sha
}

// close ends a pull request; with a SHA it was merged by that commit.
func (s *Server) close(p *PullRequest, merged, by string) {
	now := s.now()
	p.State, p.ClosedAt, p.UpdatedAt = "closed", &now, now
	if merged != "" {
		p.Merged, p.MergedBy, p.MergeSHA = true, by, merged
	}
}

func (s *Server) headOwner(r *repository, p *PullRequest) string {
	if head := s.st.Repositories[p.HeadRepository]; head != nil {
		return head.Owner
	}
	return r.Owner
}

// pullCommits lists the commits that a pull request brings.
func (r *repository) pullCommits(p *PullRequest) []*Commit {
	return r.between(r.mergeBase(p.BaseSHA, p.HeadSHA), p.HeadSHA)
}

// pullChanges lists the paths that a pull request changes.
func (r *repository) pullChanges(p *PullRequest) []change {
	var before map[string]string
	if at := r.Commits[r.mergeBase(p.BaseSHA, p.HeadSHA)]; at != nil {
		before = at.Files
	}
	return diff(before, r.Commits[p.HeadSHA].Files)
}
