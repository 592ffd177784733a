package githubtest

import (
	"encoding/base64"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

var repositoryRoutes = []route{
	{"GET /repos/{owner}/{repo}", "metadata:read", func(c *call) (int, any) {
		return http.StatusOK, c.repository(c.repo)
	}},
	{"GET /repos/{owner}/{repo}/contents/{path...}", "contents:read", (*call).contents},
	{"GET /repos/{owner}/{repo}/branches", "contents:read", (*call).listBranches},
	{"GET /repos/{owner}/{repo}/branches/{branch...}", "contents:read", (*call).getBranch},
	{"GET /repos/{owner}/{repo}/git/ref/{ref...}", "contents:read", (*call).getRef},
	{"GET /repos/{owner}/{repo}/commits", "contents:read", (*call).listCommits},
	{"GET /repos/{owner}/{repo}/commits/{ref...}", "contents:read", (*call).getCommit},
	{"GET /repos/{owner}/{repo}/commits/{ref}/pulls", "pull_requests:read", (*call).commitPulls},
	{"GET /repos/{owner}/{repo}/compare/{basehead...}", "contents:read", (*call).compare},
	{"GET /repos/{owner}/{repo}/pulls", "pull_requests:read", (*call).listPulls},
	{"GET /repos/{owner}/{repo}/pulls/{pull_number}", "pull_requests:read", (*call).getPull},
	{"GET /repos/{owner}/{repo}/pulls/{pull_number}/files", "pull_requests:read", (*call).pullFiles},
	{"GET /repos/{owner}/{repo}/pulls/{pull_number}/commits", "pull_requests:read", (*call).listPullCommits},
	{"GET /repos/{owner}/{repo}/collaborators/{username}/permission", "metadata:read", (*call).permission},
}

// contents shows a file or lists a folder. With a raw media type a file is its
// bytes.
func (c *call) contents() (int, any) {
	ref := c.r.URL.Query().Get("ref")
	if ref == "" {
		ref = c.repo.DefaultBranch
	}
	at := c.repo.resolve(ref)
	if at == nil {
		return fails(http.StatusNotFound, "No commit found for the ref "+ref)
	}
	name := strings.Trim(path.Clean("/"+c.r.PathValue("path")), "/")
	if blob, ok := at.Files[name]; ok {
		content := c.st.Blobs[blob]
		if accept := c.r.Header.Get("Accept"); strings.Contains(accept, "raw") {
			return http.StatusOK, raw{"application/vnd.github.raw; charset=utf-8", content}
		}
		o := c.entry(name, blob, ref, "file", len(content))
		o["content"], o["encoding"] = base64.StdEncoding.EncodeToString(content), "base64"
		return http.StatusOK, o
	}
	list := c.folder(at, name, ref)
	if len(list) == 0 {
		return notFound()
	}
	return http.StatusOK, list
}

// folder lists what stands directly in a folder of a commit.
func (c *call) folder(at *Commit, name, ref string) []obj {
	out := []obj{}
	seen := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(at.Files)) {
		rest := p
		if name != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(p, name+"/"); !ok {
				continue
			}
		}
		first, _, deeper := strings.Cut(rest, "/")
		if seen[first] {
			continue
		}
		seen[first] = true
		full := path.Join(name, first)
		if deeper {
			out = append(out, c.entry(full, objectID("tree", []byte(at.Tree+full)), ref, "dir", 0))
		} else {
			out = append(out, c.entry(full, at.Files[full], ref, "file", len(c.st.Blobs[at.Files[full]])))
		}
	}
	return out
}

func (c *call) entry(name, sha, ref, kind string, size int) obj {
	self := c.repositoryURL(c.repo) + "/contents/" + name + "?ref=" + ref
	git := c.repositoryURL(c.repo) + "/git/blobs/" + sha
	html := c.repositoryPage(c.repo) + "/blob/" + ref + "/" + name
	var download any = c.repositoryPage(c.repo) + "/raw/" + ref + "/" + name
	if kind == "dir" {
		download = nil
	}
	return obj{
		"name": path.Base(name), "path": name, "sha": sha, "size": size, "type": kind,
		"url": self, "git_url": git, "html_url": html, "download_url": download,
		"_links": obj{"self": self, "git": git, "html": html},
	}
}

func (c *call) listBranches() (int, any) {
	out := []obj{}
	for _, name := range slices.Sorted(maps.Keys(c.repo.Branches)) {
		sha := c.repo.Branches[name]
		out = append(out, obj{
			"name": name, "protected": false,
			"commit": obj{"sha": sha, "url": c.repositoryURL(c.repo) + "/commits/" + sha},
		})
	}
	return http.StatusOK, page(c, out)
}

func (c *call) getBranch() (int, any) {
	name := c.r.PathValue("branch")
	sha := c.repo.Branches[name]
	if sha == "" {
		return fails(http.StatusNotFound, "Branch not found")
	}
	self := c.repositoryURL(c.repo) + "/branches/" + name
	return http.StatusOK, obj{
		"name": name, "commit": c.commit(c.repo, c.repo.Commits[sha]), "protected": false,
		"_links":     obj{"self": self, "html": c.repositoryPage(c.repo) + "/tree/" + name},
		"protection": obj{"enabled": false}, "protection_url": self + "/protection",
	}
}

func (c *call) getRef() (int, any) {
	ref := c.r.PathValue("ref")
	kind, name, _ := strings.Cut(ref, "/")
	sha := map[string]map[string]string{"heads": c.repo.Branches, "tags": c.repo.Tags}[kind][name]
	if sha == "" {
		return notFound()
	}
	return http.StatusOK, obj{
		"ref": "refs/" + ref, "node_id": "REF_" + sha, "url": c.repositoryURL(c.repo) + "/git/refs/" + ref,
		"object": obj{"type": "commit", "sha": sha, "url": c.repositoryURL(c.repo) + "/git/commits/" + sha},
	}
}

func (c *call) listCommits() (int, any) {
	ref := c.r.URL.Query().Get("sha")
	if ref == "" {
		ref = c.repo.DefaultBranch
	}
	at := c.repo.resolve(ref)
	if at == nil {
		return notFound()
	}
	list := c.repo.between("", at.SHA)
	slices.Reverse(list)
	if under := c.r.URL.Query().Get("path"); under != "" {
		list = slices.DeleteFunc(list, func(cm *Commit) bool {
			return !slices.ContainsFunc(c.repo.changes(cm), func(ch change) bool {
				return ch.Path == under || strings.HasPrefix(ch.Path, under+"/")
			})
		})
	}
	out := []obj{}
	for _, cm := range page(c, list) {
		out = append(out, c.commit(c.repo, cm))
	}
	return http.StatusOK, out
}

// noCommit is how GitHub refuses a commit that it doesn't know.
func noCommit(ref string) (int, any) {
	return fails(http.StatusUnprocessableEntity, "No commit found for SHA: "+ref)
}

func (c *call) getCommit() (int, any) {
	at := c.repo.resolve(c.r.PathValue("ref"))
	if at == nil {
		return noCommit(c.r.PathValue("ref"))
	}
	if strings.Contains(c.r.Header.Get("Accept"), "sha") {
		return http.StatusOK, raw{"application/vnd.github.sha; charset=utf-8", []byte(at.SHA)}
	}
	o := c.commit(c.repo, at)
	files := c.files(c.repo, at.SHA, c.repo.changes(at))
	added, removed := 0, 0
	for _, f := range files {
		added, removed = added+f["additions"].(int), removed+f["deletions"].(int)
	}
	o["files"], o["stats"] = page(c, files), obj{"additions": added, "deletions": removed, "total": added + removed}
	return http.StatusOK, o
}

// commitPulls lists the pull requests that a commit belongs to: that it was
// merged by, or that it is a commit of.
func (c *call) commitPulls() (int, any) {
	at := c.repo.resolve(c.r.PathValue("ref"))
	if at == nil {
		return noCommit(c.r.PathValue("ref"))
	}
	out := []obj{}
	for _, p := range c.repo.Pulls {
		own := slices.ContainsFunc(c.repo.pullCommits(p), func(cm *Commit) bool { return cm.SHA == at.SHA })
		if own || p.Merged && p.MergeSHA == at.SHA {
			out = append(out, c.pull(c.repo, p))
		}
	}
	return http.StatusOK, page(c, out)
}

// compare shows what head has and base has not. Files are at most 300, and on
// the first page only.
func (c *call) compare() (int, any) {
	from, to, ok := strings.Cut(c.r.PathValue("basehead"), "...")
	base, head := c.repo.resolve(withoutOwner(from)), c.repo.resolve(withoutOwner(to))
	if !ok || base == nil || head == nil {
		return notFound()
	}
	at := c.repo.Commits[c.repo.mergeBase(base.SHA, head.SHA)]
	if at == nil {
		return fails(http.StatusNotFound, "No common ancestor between "+from+" and "+to+".")
	}
	ahead, behind := c.repo.between(base.SHA, head.SHA), c.repo.between(head.SHA, base.SHA)
	status := "identical"
	switch {
	case len(ahead) > 0 && len(behind) > 0:
		status = "diverged"
	case len(ahead) > 0:
		status = "ahead"
	case len(behind) > 0:
		status = "behind"
	}
	commits := []obj{}
	for _, cm := range page(c, ahead) {
		commits = append(commits, c.commit(c.repo, cm))
	}
	files := c.files(c.repo, head.SHA, diff(at.Files, head.Files))
	if c.number("page", 1) > 1 {
		files = files[:0]
	}
	html := c.repositoryPage(c.repo) + "/compare/" + base.SHA + "..." + head.SHA
	return http.StatusOK, obj{
		"url": c.repositoryURL(c.repo) + "/compare/" + base.SHA + "..." + head.SHA, "html_url": html,
		"permalink_url": html, "diff_url": html + ".diff", "patch_url": html + ".patch",
		"base_commit": c.commit(c.repo, base), "merge_base_commit": c.commit(c.repo, at), "status": status,
		"ahead_by": len(ahead), "behind_by": len(behind), "total_commits": len(ahead),
		"commits": commits, "files": files[:min(len(files), 300)],
	}
}

func withoutOwner(ref string) string {
	if _, branch, ok := strings.Cut(ref, ":"); ok {
		return branch
	}
	return ref
}

// listPulls lists pull requests, by default the latest opened first; sorted by
// updated or created in the direction asked for.
func (c *call) listPulls() (int, any) {
	q := c.r.URL.Query()
	state := q.Get("state")
	pulls := slices.Clone(c.repo.Pulls)
	if q.Get("sort") == "updated" {
		slices.SortStableFunc(pulls, func(a, b *PullRequest) int { return a.UpdatedAt.Compare(b.UpdatedAt) })
	}
	if q.Get("direction") != "asc" && (q.Get("direction") == "desc" || q.Get("sort") == "" || q.Get("sort") == "created") {
		slices.Reverse(pulls)
	}
	out := []obj{}
	for _, p := range pulls {
		wanted := state == "all" || p.State == state || state == "" && p.State == "open"
		if base := q.Get("base"); base != "" && base != p.BaseBranch {
			wanted = false
		}
		if head := q.Get("head"); head != "" && head != c.headOwner(c.repo, p)+":"+p.HeadBranch {
			wanted = false
		}
		if wanted {
			out = append(out, c.pull(c.repo, p))
		}
	}
	return http.StatusOK, page(c, out)
}

func (c *call) pathPull() *PullRequest {
	n := c.pathID("pull_number")
	if n < 1 || n > int64(len(c.repo.Pulls)) {
		return nil
	}
	return c.repo.Pulls[n-1]
}

func (c *call) getPull() (int, any) {
	p := c.pathPull()
	if p == nil {
		return notFound()
	}
	return http.StatusOK, c.pull(c.repo, p)
}

// pullFiles lists the files of a pull request, at most 3,000.
func (c *call) pullFiles() (int, any) {
	p := c.pathPull()
	if p == nil {
		return notFound()
	}
	list := c.repo.pullChanges(p)
	return http.StatusOK, page(c, c.files(c.repo, p.HeadSHA, list[:min(len(list), 3000)]))
}

func (c *call) listPullCommits() (int, any) {
	p := c.pathPull()
	if p == nil {
		return notFound()
	}
	out := []obj{}
	for _, cm := range c.repo.pullCommits(p) {
		out = append(out, c.commit(c.repo, cm))
	}
	return http.StatusOK, page(c, out)
}

// permission tells what a person may do. As on GitHub maintain reads as write
// and triage as read; role_name tells them apart.
func (c *call) permission() (int, any) {
	login := strings.ToLower(c.r.PathValue("username"))
	acc := c.st.Accounts[login]
	if acc == nil {
		return notFound()
	}
	role := c.repo.Roles[login]
	if role == "" && strings.EqualFold(c.repo.Owner, login) {
		role = "admin"
	}
	if role == "" {
		role = "none"
		if !c.repo.Private {
			role = "read"
		}
	}
	permission := role
	switch role {
	case "maintain":
		permission = "write"
	case "triage":
		permission = "read"
	}
	who := c.user(acc.Login)
	who["role_name"] = role
	who["permissions"] = obj{
		"admin": role == "admin", "maintain": role == "admin" || role == "maintain",
		"push":   allows(permission, "write"),
		"triage": role != "none" && role != "read", "pull": role != "none",
	}
	return http.StatusOK, obj{"permission": permission, "role_name": role, "user": who}
}
