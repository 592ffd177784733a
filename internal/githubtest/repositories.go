package githubtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Repository is what a test or a page needs to know of a repository.
type Repository struct {
	ID            int64
	FullName      string
	DefaultBranch string
	Head          string // of the default branch
}

// NewRepository describes a repository to create.
type NewRepository struct {
	FullName      string            // owner/name
	DefaultBranch string            // empty means main
	Public        bool              // private otherwise
	Files         map[string]string // of the first commit
}

// CreateRepository creates a repository with one commit. It sends no event, as
// if the repository had been there before the App.
func (s *Server) CreateRepository(n NewRepository) (Repository, error) {
	owner, name, ok := strings.Cut(n.FullName, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return Repository{}, fmt.Errorf("create repository %q: want owner/name", n.FullName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.st.repository(owner, name) != nil {
		return Repository{}, fmt.Errorf("create repository %s: it exists", n.FullName)
	}
	r := s.newRepository(s.st.account(owner, "Organization").Login, name, cmp.Or(n.DefaultBranch, "main"))
	r.Private = !n.Public
	c := r.commit(Commit{Message: "Initial commit", Author: "octocat", Time: s.dated(), Files: s.tree(nil, n.Files, nil)})
	r.Branches[r.DefaultBranch] = c.SHA
	s.touch()
	return r.view(), nil
}

func (s *Server) newRepository(owner, name, branch string) *repository {
	r := &repository{
		ID: s.st.id(), Owner: owner, Name: name, DefaultBranch: branch,
		CreatedAt: s.now(), PushedAt: s.now(),
		Branches: map[string]string{}, Tags: map[string]string{},
		Commits: map[string]*Commit{}, Roles: map[string]string{},
	}
	s.st.Repositories[r.ID] = r
	delete(s.st.OldNames, strings.ToLower(r.fullName()))
	return r
}

// Repository returns the repository of that name.
func (s *Server) Repository(fullName string) (Repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(fullName)
	if err != nil {
		return Repository{}, err
	}
	return r.view(), nil
}

// Commit returns the commit that a branch, a tag or a SHA names.
func (s *Server) Commit(fullName, ref string) (Commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(fullName)
	if err != nil {
		return Commit{}, err
	}
	c := r.resolve(ref)
	if c == nil {
		return Commit{}, fmt.Errorf("find commit %q in %s: there is none", ref, fullName)
	}
	out := *c
	out.Files = maps.Clone(c.Files)
	return out, nil
}

func (r *repository) view() Repository {
	return Repository{ID: r.ID, FullName: r.fullName(), DefaultBranch: r.DefaultBranch, Head: r.Branches[r.DefaultBranch]}
}

// Fork copies a repository to another owner.
func (s *Server) Fork(fullName, owner string) (Repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, err := s.st.named(fullName)
	if err != nil {
		return Repository{}, err
	}
	if s.st.repository(owner, from.Name) != nil {
		return Repository{}, fmt.Errorf("fork %s: %s has a repository of that name", fullName, owner)
	}
	r := s.newRepository(s.st.account(owner, "User").Login, from.Name, from.DefaultBranch)
	r.ForkOf, r.Private = from.ID, from.Private
	r.Branches, r.Commits = maps.Clone(from.Branches), maps.Clone(from.Commits)
	s.touch()
	return r.view(), nil
}

// Rename gives a repository a new name. The old name redirects until another
// repository takes it.
func (s *Server) Rename(fullName, name string) error {
	return s.changeRepository(fullName, "renamed", func(r *repository) obj {
		s.st.OldNames[strings.ToLower(r.fullName())] = r.ID
		from := r.Name
		r.Name = name
		return obj{"changes": obj{"repository": obj{"name": obj{"from": from}}}}
	})
}

// Transfer gives a repository to another owner. The event goes to the new
// owner's installation, if there is one.
func (s *Server) Transfer(fullName, owner string) error {
	return s.changeRepository(fullName, "transferred", func(r *repository) obj {
		s.st.OldNames[strings.ToLower(r.fullName())] = r.ID
		from := r.Owner
		r.Owner = s.st.account(owner, "Organization").Login
		who := obj{"user": s.user(from)}
		if s.st.account(from, "User").Type == "Organization" {
			who = obj{"organization": s.organization(from)}
		}
		return obj{"changes": obj{"owner": obj{"from": who}}}
	})
}

// Archive makes a repository read-only, or writable again.
func (s *Server) Archive(fullName string, archived bool) error {
	action := "unarchived"
	if archived {
		action = "archived"
	}
	return s.changeRepository(fullName, action, func(r *repository) obj {
		r.Archived = archived
		return nil
	})
}

// SetDefaultBranch makes another branch the default one and sends
// repository.edited.
func (s *Server) SetDefaultBranch(fullName, branch string) error {
	r, err := s.Repository(fullName)
	if err != nil {
		return err
	}
	if _, err := s.Commit(fullName, "refs/heads/"+branch); err != nil {
		return fmt.Errorf("set default branch: %w", err)
	}
	return s.changeRepository(fullName, "edited", func(c *repository) obj {
		c.DefaultBranch = branch
		return obj{"changes": obj{"default_branch": obj{"from": r.DefaultBranch}}}
	})
}

// DeleteRepository removes a repository with everything in it.
func (s *Server) DeleteRepository(fullName string) error {
	return s.changeRepository(fullName, "deleted", func(r *repository) obj {
		delete(s.st.Repositories, r.ID)
		return nil
	})
}

// SetRole says what a person may do in a repository: admin, maintain, write,
// triage, read or none.
func (s *Server) SetRole(fullName, login, role string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(fullName)
	if err != nil {
		return err
	}
	r.Roles[strings.ToLower(s.st.account(login, "User").Login)] = role
	s.touch()
	return nil
}

// changeRepository changes a repository and sends the repository event.
func (s *Server) changeRepository(fullName, action string, change func(*repository) obj) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(fullName)
	if err != nil {
		return err
	}
	more := change(r)
	s.queue(s.event("repository", action, r, s.st.account(r.Owner, "User").Login, more))
	s.touch()
	return nil
}

// Push describes a change of a branch: either a new commit, made from Files and
// Remove, or a move To a commit that exists.
type Push struct {
	Repository string // owner/name
	Branch     string // made from the default branch if it doesn't exist
	Files      map[string]string
	Remove     []string
	Message    string
	Author     string // login; empty means octocat
	To         string // a branch, a tag or a SHA
	Force      bool   // the new commit replaces the branch's last one
}

// Push changes a branch and returns its new head. It sends push, synchronize
// for the pull requests of the branch, and closed for pull requests into it
// whose commits it brought.
func (s *Server) Push(p Push) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(p.Repository)
	if err != nil {
		return "", err
	}
	if r.Archived {
		return "", fmt.Errorf("push to %s: it is archived", p.Repository)
	}
	p.Author = cmp.Or(p.Author, "octocat")
	after, err := s.pushed(r, p)
	if err != nil {
		return "", fmt.Errorf("push to %s: %w", p.Repository, err)
	}
	s.queue(s.move(r, p.Branch, after, p.Author)...)
	return after, nil
}

// pushed finds or makes the commit that a push leads to.
func (s *Server) pushed(r *repository, p Push) (string, error) {
	head := cmp.Or(r.Branches[p.Branch], r.Branches[r.DefaultBranch])
	if p.To != "" {
		c := r.resolve(p.To)
		if c == nil {
			return "", fmt.Errorf("no commit %q", p.To)
		}
		if old := r.Branches[p.Branch]; old != "" && !p.Force && !r.ancestors(c.SHA)[old] {
			return "", errors.New("not a fast-forward")
		}
		return c.SHA, nil
	}
	parents := []string{head}
	if p.Force {
		parents = r.Commits[head].Parents
	}
	var before map[string]string
	if len(parents) > 0 {
		before = r.Commits[parents[0]].Files
	}
	c := r.commit(Commit{
		Parents: parents, Message: cmp.Or(p.Message, "Change files"), Author: p.Author,
		Time: s.dated(), Files: s.tree(before, p.Files, p.Remove),
	})
	return c.SHA, nil
}

// DeleteBranch deletes a branch: push with deleted, and closed for its open
// pull requests.
func (s *Server) DeleteBranch(fullName, branch string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(fullName)
	if err != nil {
		return err
	}
	if r.Branches[branch] == "" || branch == r.DefaultBranch {
		return fmt.Errorf("delete branch %q of %s: it is missing or the default", branch, fullName)
	}
	s.queue(s.move(r, branch, "", "octocat")...)
	return nil
}

// Tag creates or moves a tag and sends push.
func (s *Server) Tag(fullName, tag, ref string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(fullName)
	if err != nil {
		return err
	}
	c := r.resolve(ref)
	if c == nil {
		return fmt.Errorf("tag %s: no commit %q", fullName, ref)
	}
	before := cmp.Or(r.Tags[tag], zeroSHA)
	r.Tags[tag] = c.SHA
	s.queue(s.pushEvent(r, "refs/tags/"+tag, before, c.SHA, "octocat"))
	s.touch()
	return nil
}

// tree applies a change to a tree.
func (s *Server) tree(before, files map[string]string, remove []string) map[string]string {
	out := maps.Clone(before)
	if out == nil {
		out = map[string]string{}
	}
	for path, content := range files {
		out[strings.TrimPrefix(path, "/")] = s.st.blob(content)
	}
	for _, path := range remove {
		delete(out, path)
	}
	return out
}

// move points a branch at a commit, or deletes it if after is "", and returns
// the events that follow, in order.
func (s *Server) move(r *repository, branch, after, by string) []*message {
	before := cmp.Or(r.Branches[branch], zeroSHA)
	if after == "" {
		delete(r.Branches, branch)
	} else {
		r.Branches[branch] = after
		r.PushedAt = s.now()
	}
	out := []*message{s.pushEvent(r, "refs/heads/"+branch, before, cmp.Or(after, zeroSHA), by)}
	if after != "" {
		if m := s.openSuite(r, branch, before, after); m != nil {
			out = append(out, m)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.st.Repositories)) {
		base := s.st.Repositories[id]
		for _, p := range base.Pulls {
			if p.State != "open" {
				continue
			}
			if p.HeadRepository == r.ID && p.HeadBranch == branch {
				out = append(out, s.headMoved(base, p, after, by))
			}
			if base == r && p.BaseBranch == branch && after != "" && r.ancestors(after)[p.HeadSHA] {
				s.close(p, p.HeadSHA, by)
				out = append(out, s.pullEvent(r, p, "closed", by, nil))
			}
		}
	}
	s.touch()
	return out
}

// headMoved follows a pull request's branch: to a new head, or to its end.
func (s *Server) headMoved(base *repository, p *PullRequest, after, by string) *message {
	if after == "" {
		s.close(p, "", by)
		return s.pullEvent(base, p, "closed", by, nil)
	}
	before := p.HeadSHA
	s.adopt(base, s.st.Repositories[p.HeadRepository], after)
	p.HeadSHA = after
	s.tryMerge(base, p)
	return s.pullEvent(base, p, "synchronize", by, obj{"before": before, "after": after})
}

// adopt makes the commits of a fork readable in the repository that its pull
// request goes to.
func (s *Server) adopt(base, fork *repository, sha string) {
	if fork == nil || fork == base {
		return
	}
	for id := range fork.ancestors(sha) {
		base.Commits[id] = fork.Commits[id]
	}
}
