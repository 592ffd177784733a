package githubtest_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
)

func TestContents(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	file := k.want(200, "GET", "/repos/acme/shop/contents/db/migrations/1.sql", token, "").object(t)
	content, err := base64.StdEncoding.DecodeString(file["content"].(string))
	must(t, err)
	equal(t, "content", string(content), "create table a ();\n")
	// The name of a blob is Git's: printf '# Shop\n' | git hash-object --stdin
	readme := k.want(200, "GET", "/repos/acme/shop/contents/README.md", token, "").object(t)
	equal(t, "blob", readme["sha"], any("a00621bb3a9b990ee018f8d04c2d3140800d6ca6"))

	for _, accept := range []string{"application/vnd.github.raw", "application/vnd.github.v3.raw", "application/vnd.github.raw+json"} {
		raw := k.want(200, "GET", "/repos/acme/shop/contents/README.md", token, "", "Accept", accept)
		equal(t, accept, string(raw.body), "# Shop\n")
	}
	var entries []string
	for _, e := range k.want(200, "GET", "/repos/acme/shop/contents/", token, "").list(t) {
		entries = append(entries, e["type"].(string)+" "+e["path"].(string))
	}
	if want := []string{"file README.md", "dir db"}; !slices.Equal(entries, want) {
		t.Errorf("root = %q, want %q", entries, want)
	}
	sha, err := k.gh.Push(githubtest.Push{
		Repository: "acme/shop", Branch: "next", Files: map[string]string{"README.md": "new\n"}, Remove: []string{"db/migrations/1.sql"},
	})
	must(t, err)
	for ref, want := range map[string]string{"main": "# Shop\n", "next": "new\n", sha: "new\n", sha[:8]: "new\n", "refs/heads/next": "new\n"} {
		raw := k.want(200, "GET", "/repos/acme/shop/contents/README.md?ref="+ref, token, "", "Accept", "application/vnd.github.raw")
		equal(t, "README at "+ref, string(raw.body), want)
	}
	k.want(404, "GET", "/repos/acme/shop/contents/db/migrations/1.sql?ref=next", token, "")
	k.want(404, "GET", "/repos/acme/shop/contents/.github/neon-twin.yml", token, "")
	k.want(404, "GET", "/repos/acme/shop/contents/README.md?ref=gone", token, "")
}

func TestBranchesAndCommits(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	sha, err := k.gh.Push(githubtest.Push{
		Repository: "acme/shop", Branch: "feat/a", Files: map[string]string{"x": "1\n2\n"}, Message: "Add x", Author: "mona",
	})
	must(t, err)
	must(t, k.gh.Tag("acme/shop", "v1", sha))

	branch := k.want(200, "GET", "/repos/acme/shop/branches/feat/a", token, "").object(t)
	equal(t, "head", dig(branch, "commit", "sha"), any(sha))
	k.want(200, "GET", "/repos/acme/shop/branches/feat%2Fa", token, "")
	k.want(404, "GET", "/repos/acme/shop/branches/none", token, "")
	ref := k.want(200, "GET", "/repos/acme/shop/git/ref/tags/v1", token, "").object(t)
	equal(t, "tag", dig(ref, "object", "sha"), any(sha))
	if got := k.want(200, "GET", "/repos/acme/shop/branches", token, "").list(t); len(got) != 2 {
		t.Errorf("branches = %d, want 2", len(got))
	}

	commit := k.want(200, "GET", "/repos/acme/shop/commits/"+sha, token, "").object(t)
	equal(t, "author", dig(commit, "author", "login"), any("mona"))
	equal(t, "parent", dig(commit["parents"].([]any)[0], "sha"), any(k.repo.Head))
	equal(t, "additions", dig(commit, "stats", "additions"), any(2.0))
	plain := k.want(200, "GET", "/repos/acme/shop/commits/v1", token, "", "Accept", "application/vnd.github.sha")
	equal(t, "sha of v1", string(plain.body), sha)
	unknown := strings.Repeat("ab", 20)
	r := k.want(422, "GET", "/repos/acme/shop/commits/"+unknown, token, "")
	equal(t, "message", r.object(t)["message"], any("No commit found for SHA: "+unknown))
	if got := k.want(200, "GET", "/repos/acme/shop/commits?sha=feat/a&path=x", token, "").list(t); len(got) != 1 {
		t.Errorf("commits touching x = %d, want 1", len(got))
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	for i := range 4 {
		_, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: fmt.Sprintf("b%d", i), To: "main"})
		must(t, err)
	}
	seen := 0
	next := "/repos/acme/shop/branches?per_page=2"
	for n := 0; next != ""; n++ {
		r := k.want(200, "GET", next, token, "")
		seen += len(r.list(t))
		next = ""
		for _, l := range strings.Split(r.header.Get("Link"), ", ") {
			if target, ok := strings.CutSuffix(l, `>; rel="next"`); ok {
				next = strings.TrimPrefix(target, "<")
			}
		}
		if n > 5 {
			t.Fatal("the pages don't end")
		}
	}
	equal(t, "branches over all pages", seen, 5)
}

func TestCompare(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	files := map[string]string{}
	for i := range 301 {
		files[fmt.Sprintf("f/%03d", i)] = "x\n"
	}
	_, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "wide", Files: files})
	must(t, err)
	cmp := k.want(200, "GET", "/repos/acme/shop/compare/main...wide", token, "").object(t)
	equal(t, "status", cmp["status"], any("ahead"))
	equal(t, "files", len(cmp["files"].([]any)), 300)
	more := k.want(200, "GET", "/repos/acme/shop/compare/main...acme:wide?page=2", token, "").object(t)
	equal(t, "files on page 2", len(more["files"].([]any)), 0)
	back := k.want(200, "GET", "/repos/acme/shop/compare/wide...main", token, "").object(t)
	equal(t, "status back", back["status"], any("behind"))
	_, err = k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "main", Files: map[string]string{"z": "z"}})
	must(t, err)
	apart := k.want(200, "GET", "/repos/acme/shop/compare/wide...main", token, "").object(t)
	equal(t, "status apart", apart["status"], any("diverged"))
	k.want(404, "GET", "/repos/acme/shop/compare/main...nothing", token, "")
}

func TestPullRequests(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	p := k.pull()
	pr := k.want(200, "GET", "/repos/acme/shop/pulls/1", token, "").object(t)
	equal(t, "head", dig(pr, "head", "sha"), any(p.HeadSHA))
	equal(t, "merged", pr["merged"], any(false))
	test := pr["merge_commit_sha"].(string)
	if test == p.HeadSHA || test == k.repo.Head {
		t.Error("merge_commit_sha of an open pull request is no test merge")
	}
	list := k.want(200, "GET", "/repos/acme/shop/pulls/1/files", token, "").list(t)
	equal(t, "file", list[0]["filename"], any("db/migrations/2.sql"))
	equal(t, "file status", list[0]["status"], any("added"))
	equal(t, "patch", list[0]["patch"], any("@@ -0,0 +1,1 @@\n+create table orders ();"))
	if got := k.want(200, "GET", "/repos/acme/shop/pulls/1/commits", token, "").list(t); len(got) != 1 {
		t.Errorf("commits = %d, want 1", len(got))
	}
	k.want(404, "GET", "/repos/acme/shop/pulls/2", token, "")

	merged, err := k.gh.Merge("acme/shop", 1, githubtest.Merge{})
	must(t, err)
	pr = k.want(200, "GET", "/repos/acme/shop/pulls/1", token, "").object(t)
	equal(t, "merge commit", pr["merge_commit_sha"], any(merged.MergeSHA))
	equal(t, "mergeable", pr["mergeable"], nil)
	for _, sha := range []string{merged.MergeSHA, p.HeadSHA} {
		pulls := k.want(200, "GET", "/repos/acme/shop/commits/"+sha+"/pulls", token, "").list(t)
		if len(pulls) != 1 || pulls[0]["number"] != 1.0 {
			t.Errorf("pulls of %s = %d, want the one", sha, len(pulls))
		}
	}
	if got := k.want(200, "GET", "/repos/acme/shop/commits/"+k.repo.Head+"/pulls", token, "").list(t); len(got) != 0 {
		t.Errorf("pulls of the first commit = %d, want none", len(got))
	}
	for state, want := range map[string]int{"open": 0, "closed": 1, "all": 1} {
		if got := k.want(200, "GET", "/repos/acme/shop/pulls?state="+state, token, "").list(t); len(got) != want {
			t.Errorf("%s pulls = %d, want %d", state, len(got), want)
		}
	}
}

// Pull requests are listed as they were opened or, asked for, as they were
// changed last; the two have other directions by default.
func TestPullRequestsInOrder(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	for i := range 3 {
		k.pull(func(n *githubtest.NewPullRequest) { n.Files = map[string]string{fmt.Sprint(i): "x"} })
		k.clock.add(time.Minute)
	}
	must(t, k.gh.ClosePullRequest("acme/shop", 2))
	for query, want := range map[string]string{
		"": "[3 2 1]", "&direction=asc": "[1 2 3]", "&sort=created": "[3 2 1]",
		"&sort=updated": "[1 3 2]", "&sort=updated&direction=desc": "[2 3 1]",
	} {
		numbers := []int{}
		for _, p := range k.want(200, "GET", "/repos/acme/shop/pulls?state=all"+query, token, "").list(t) {
			numbers = append(numbers, int(p["number"].(float64)))
		}
		equal(t, "pulls by "+query, fmt.Sprint(numbers), want)
	}
	if got := k.want(200, "GET", "/repos/acme/shop/pulls?state=all&base=release", token, "").list(t); len(got) != 0 {
		t.Errorf("pulls into another branch = %d, want none", len(got))
	}
}

func TestDefaultBranch(t *testing.T) {
	t.Parallel()
	k := setup(t)
	if err := k.gh.SetDefaultBranch("acme/shop", "trunk"); err == nil {
		t.Error("a branch that is not there became the default one")
	}
	_, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "trunk", Files: map[string]string{"t": "x"}})
	must(t, err)
	k.settle()
	k.inbox.take()
	must(t, k.gh.SetDefaultBranch("acme/shop", "trunk"))
	got := k.took("repository.edited")
	equal(t, "from", dig(got[0].payload, "changes", "default_branch", "from"), any("main"))
	equal(t, "now", dig(got[0].payload, "repository", "default_branch"), any("trunk"))
	equal(t, "default branch", k.want(200, "GET", "/repos/acme/shop", k.token(""), "").object(t)["default_branch"], any("trunk"))
}

func TestRenamedRepository(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	k.inbox.take()
	must(t, k.gh.Rename("acme/shop", "store"))
	byID := fmt.Sprintf("%s/repositories/%d", k.gh.URL(), k.repo.ID)
	r := k.want(301, "GET", "/repos/acme/shop/contents/README.md?ref=main", token, "")
	equal(t, "Location", r.header.Get("Location"), byID+"/contents/README.md?ref=main")
	k.want(200, "GET", r.header.Get("Location"), token, "")
	body := fmt.Sprintf(`{"name":"x","head_sha":%q}`, k.repo.Head)
	r = k.want(307, "POST", "/repos/acme/shop/check-runs", token, body)
	equal(t, "Location", r.header.Get("Location"), byID+"/check-runs")
	run := k.want(201, "POST", r.header.Get("Location"), token, body).object(t)
	k.want(200, "GET", fmt.Sprintf("%s/check-runs/%.0f", byID, run["id"]), token, "")
	k.want(200, "GET", byID, token, "")
	k.want(404, "GET", k.gh.URL()+"/repositories/1", token, "")
	k.want(401, "GET", byID, "", "")
	got := k.took("repository.renamed", "check_run.created")
	equal(t, "from", dig(got[0].payload, "changes", "repository", "name", "from"), any("shop"))
}

func TestArchivedRepository(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	k.pull()
	k.settle()
	k.inbox.take()
	must(t, k.gh.Archive("acme/shop", true))
	k.want(200, "GET", "/repos/acme/shop/contents/README.md", token, "")
	k.want(403, "POST", "/repos/acme/shop/check-runs", token, fmt.Sprintf(`{"name":"x","head_sha":%q}`, k.repo.Head))
	if _, err := k.gh.Merge("acme/shop", 1, githubtest.Merge{}); err == nil {
		t.Error("an archived repository took a merge")
	}
	must(t, k.gh.Archive("acme/shop", false))
	k.want(201, "POST", "/repos/acme/shop/check-runs", token, fmt.Sprintf(`{"name":"x","head_sha":%q}`, k.repo.Head))
	k.took("repository.archived", "repository.unarchived", "check_run.created")
}

// A transfer is told to the new owner's installation alone.
func TestTransferredRepository(t *testing.T) {
	t.Parallel()
	k := setup(t)
	_, err := k.gh.Install("umbrella")
	must(t, err)
	k.settle()
	k.inbox.take()
	token := k.token("")
	must(t, k.gh.Transfer("acme/shop", "umbrella"))
	k.want(301, "GET", "/repos/acme/shop", token, "")
	k.want(404, "GET", "/repos/umbrella/shop", token, "")
	got := k.took("repository.transferred")
	equal(t, "installation of the new owner", got[0].payload["installation"] != nil, true)
	if dig(got[0].payload, "installation", "id") == float64(k.inst.ID) {
		t.Error("told to the old owner's installation")
	}
	must(t, k.gh.DeleteRepository("umbrella/shop"))
	k.took("repository.deleted")
}

func TestPermission(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	for role, want := range map[string]string{
		"admin": "admin", "maintain": "write", "write": "write", "triage": "read", "read": "read", "none": "none",
	} {
		must(t, k.gh.SetRole("acme/shop", "mona", role))
		got := k.want(http.StatusOK, "GET", "/repos/acme/shop/collaborators/Mona/permission", token, "").object(t)
		equal(t, role, got["permission"], any(want))
		equal(t, role+" as role_name", got["role_name"], any(role))
	}
	k.want(404, "GET", "/repos/acme/shop/collaborators/nobody/permission", token, "")
}
