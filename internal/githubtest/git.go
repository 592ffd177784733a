package githubtest

import (
	"crypto/sha1" // Git names objects by it; nothing is secured by it
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// zeroSHA stands for "no commit" in push events.
const zeroSHA = "0000000000000000000000000000000000000000"

// Commit is one commit. Files maps each path of its tree to the name of a blob.
type Commit struct {
	SHA     string
	Tree    string
	Parents []string
	Message string
	Author  string // login
	Time    time.Time
	Files   map[string]string
}

// repository is a repository with its history. Commits are never dropped, so
// that a force-pushed or deleted branch leaves its commits readable by SHA, as
// on GitHub.
type repository struct {
	ID            int64
	Owner, Name   string
	DefaultBranch string
	Private       bool
	Archived      bool
	ForkOf        int64
	CreatedAt     time.Time
	PushedAt      time.Time
	Branches      map[string]string
	Tags          map[string]string
	Commits       map[string]*Commit
	Pulls         []*PullRequest    // number n is at n-1
	Roles         map[string]string // collaborator's role by login in lower case
}

func (r *repository) fullName() string { return r.Owner + "/" + r.Name }

// change is one path that differs between two trees.
type change struct {
	Path     string
	Status   string // added, removed or modified
	Old, New string // blobs
}

func objectID(kind string, content []byte) string {
	h := sha1.New()
	fmt.Fprintf(h, "%s %d\x00", kind, len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

// blob stores content and returns its name.
func (st *state) blob(content string) string {
	id := objectID("blob", []byte(content))
	st.Blobs[id] = []byte(content)
	return id
}

// commit stores a commit. The time to the nanosecond goes into its name: two
// equal changes in one second are two commits.
func (r *repository) commit(c Commit) *Commit {
	tree, _ := json.Marshal(c.Files) // sorted by key; strings always marshal
	c.Tree = objectID("tree", tree)
	c.SHA = objectID("commit", fmt.Appendf(nil, "%s\n%s\n%s\n%d\n%s",
		c.Tree, strings.Join(c.Parents, " "), c.Author, c.Time.UnixNano(), c.Message))
	r.Commits[c.SHA] = &c
	return &c
}

// resolve finds a commit by branch, tag, full or short SHA, or nil.
func (r *repository) resolve(ref string) *Commit {
	for _, p := range []string{"refs/heads/", "heads/", ""} {
		if name, ok := strings.CutPrefix(ref, p); ok && r.Branches[name] != "" {
			return r.Commits[r.Branches[name]]
		}
	}
	for _, p := range []string{"refs/tags/", "tags/", ""} {
		if name, ok := strings.CutPrefix(ref, p); ok && r.Tags[name] != "" {
			return r.Commits[r.Tags[name]]
		}
	}
	if c := r.Commits[strings.ToLower(ref)]; c != nil {
		return c
	}
	if len(ref) < 7 {
		return nil
	}
	for sha, c := range r.Commits {
		if strings.HasPrefix(sha, strings.ToLower(ref)) {
			return c
		}
	}
	return nil
}

// ancestors returns sha and everything before it.
func (r *repository) ancestors(sha string) map[string]bool {
	seen := map[string]bool{}
	todo := []string{sha}
	for len(todo) > 0 {
		c := r.Commits[todo[0]]
		todo = todo[1:]
		if c == nil || seen[c.SHA] {
			continue
		}
		seen[c.SHA] = true
		todo = append(todo, c.Parents...)
	}
	return seen
}

// mergeBase returns the nearest common ancestor of two commits, or "".
func (r *repository) mergeBase(a, b string) string {
	of := r.ancestors(a)
	seen := map[string]bool{}
	todo := []string{b}
	for len(todo) > 0 {
		sha := todo[0]
		todo = todo[1:]
		if of[sha] {
			return sha
		}
		if c := r.Commits[sha]; c != nil && !seen[sha] {
			seen[sha] = true
			todo = append(todo, c.Parents...)
		}
	}
	return ""
}

// between returns the commits that head has and base has not, parents first.
func (r *repository) between(base, head string) []*Commit {
	seen := map[string]bool{}
	if base != "" && base != zeroSHA {
		seen = r.ancestors(base)
	}
	var out []*Commit
	var visit func(sha string)
	visit = func(sha string) {
		c := r.Commits[sha]
		if c == nil || seen[sha] {
			return
		}
		seen[sha] = true
		for _, p := range c.Parents {
			visit(p)
		}
		out = append(out, c)
	}
	visit(head)
	return out
}

// changes compares a commit with its first parent.
func (r *repository) changes(c *Commit) []change {
	if len(c.Parents) == 0 {
		return diff(nil, c.Files)
	}
	return diff(r.Commits[c.Parents[0]].Files, c.Files)
}

// diff compares two trees, by path.
func diff(before, after map[string]string) []change {
	paths := slices.Collect(maps.Keys(before))
	for p := range after {
		if _, both := before[p]; !both {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	var out []change
	for _, p := range paths {
		was, had := before[p]
		is, has := after[p]
		switch {
		case !had:
			out = append(out, change{p, "added", "", is})
		case !has:
			out = append(out, change{p, "removed", was, ""})
		case was != is:
			out = append(out, change{p, "modified", was, is})
		}
	}
	return out
}

// mergeTrees applies what theirs changed since base to ours. It reports false
// if both changed one path in different ways.
func mergeTrees(base, ours, theirs map[string]string) (map[string]string, bool) {
	out := maps.Clone(ours)
	for _, ch := range diff(base, theirs) {
		if ours[ch.Path] != base[ch.Path] && ours[ch.Path] != ch.New {
			return nil, false
		}
		if ch.New == "" {
			delete(out, ch.Path)
		} else {
			out[ch.Path] = ch.New
		}
	}
	return out, true
}

// patch is a unified diff of one hunk: what stands between the first and the
// last line that differ.
func (st *state) patch(ch change) (text string, added, removed int) {
	was, is := lines(st.Blobs[ch.Old]), lines(st.Blobs[ch.New])
	from := 0
	for from < len(was) && from < len(is) && was[from] == is[from] {
		from++
	}
	wasEnd, isEnd := len(was), len(is)
	for wasEnd > from && isEnd > from && was[wasEnd-1] == is[isEnd-1] {
		wasEnd--
		isEnd--
	}
	removed, added = wasEnd-from, isEnd-from
	var b strings.Builder
	fmt.Fprintf(&b, "@@ -%s +%s @@", hunk(from, removed), hunk(from, added))
	for _, l := range was[from:wasEnd] {
		b.WriteString("\n-" + l)
	}
	for _, l := range is[from:isEnd] {
		b.WriteString("\n+" + l)
	}
	return b.String(), added, removed
}

func hunk(from, n int) string {
	if n > 0 {
		from++
	}
	return fmt.Sprintf("%d,%d", from, n)
}

func lines(content []byte) []string {
	text := strings.TrimSuffix(string(content), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
