package githubtest

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// obj is a JSON object as GitHub writes it.
type obj = map[string]any

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func stampOrNull(t *time.Time) any {
	if t == nil {
		return nil
	}
	return stamp(*t)
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func nodeID(kind string, id int64) string { return fmt.Sprintf("%s_%d", kind, id) }

// user is GitHub's "simple user".
func (s *Server) user(login string) obj {
	a := s.st.account(login, "User")
	api, html := s.URL()+"/users/"+a.Login, s.PageURL()+"/"+a.Login
	return obj{
		"login": a.Login, "id": a.ID, "node_id": nodeID("U", a.ID), "avatar_url": html + ".png",
		"gravatar_id": "", "url": api, "html_url": html, "type": a.Type, "site_admin": false,
		"followers_url": api + "/followers", "following_url": api + "/following{/other_user}",
		"gists_url": api + "/gists{/gist_id}", "starred_url": api + "/starred{/owner}{/repo}",
		"subscriptions_url": api + "/subscriptions", "organizations_url": api + "/orgs",
		"repos_url": api + "/repos", "events_url": api + "/events{/privacy}",
		"received_events_url": api + "/received_events",
	}
}

func (s *Server) organization(login string) obj {
	a := s.st.account(login, "Organization")
	api := s.URL() + "/orgs/" + a.Login
	return obj{
		"login": a.Login, "id": a.ID, "node_id": nodeID("O", a.ID), "url": api, "repos_url": api + "/repos",
		"events_url": api + "/events", "hooks_url": api + "/hooks", "issues_url": api + "/issues",
		"members_url": api + "/members{/member}", "public_members_url": api + "/public_members{/member}",
		"avatar_url": s.PageURL() + "/" + a.Login + ".png", "description": "", "html_url": s.PageURL() + "/" + a.Login,
	}
}

func (s *Server) repositoryURL(r *repository) string { return s.URL() + "/repos/" + r.fullName() }
func (s *Server) repositoryPage(r *repository) string {
	return s.PageURL() + "/" + r.fullName()
}

// repository is a repository with the fields of all of GitHub's variants.
func (s *Server) repository(r *repository) obj {
	api, html := s.repositoryURL(r), s.repositoryPage(r)
	visibility := "public"
	if r.Private {
		visibility = "private"
	}
	open := 0
	for _, p := range r.Pulls {
		if p.State == "open" {
			open++
		}
	}
	o := obj{
		"id": r.ID, "node_id": nodeID("R", r.ID), "name": r.Name, "full_name": r.fullName(),
		"owner": s.user(r.Owner), "private": r.Private, "visibility": visibility, "fork": r.ForkOf != 0,
		"html_url": html, "url": api, "description": nil, "homepage": nil, "language": nil, "license": nil,
		"default_branch": r.DefaultBranch, "archived": r.Archived, "disabled": false, "mirror_url": nil,
		"created_at": stamp(r.CreatedAt), "updated_at": stamp(r.PushedAt), "pushed_at": stamp(r.PushedAt),
		"size": len(r.Commits), "forks": 0, "forks_count": 0, "open_issues": open, "open_issues_count": open,
		"stargazers_count": 0, "watchers": 0, "watchers_count": 0, "network_count": 0, "subscribers_count": 0,
		"has_issues": true, "has_projects": false, "has_downloads": false, "has_wiki": false, "has_pages": false,
		"has_discussions": false, "allow_forking": true, "is_template": false, "web_commit_signoff_required": false,
		"topics": []string{}, "git_url": "git://" + r.fullName() + ".git", "ssh_url": "git@localhost:" + r.fullName() + ".git",
		"clone_url": html + ".git", "svn_url": html,
	}
	for field, path := range repositoryLinks {
		o[field] = api + path
	}
	return o
}

var repositoryLinks = map[string]string{
	"archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}", "blobs_url": "/git/blobs{/sha}",
	"branches_url": "/branches{/branch}", "collaborators_url": "/collaborators{/collaborator}",
	"comments_url": "/comments{/number}", "commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}",
	"contents_url": "/contents/{+path}", "contributors_url": "/contributors", "deployments_url": "/deployments",
	"downloads_url": "/downloads", "events_url": "/events", "forks_url": "/forks", "git_commits_url": "/git/commits{/sha}",
	"git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}", "hooks_url": "/hooks",
	"issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}",
	"issues_url": "/issues{/number}", "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}",
	"languages_url": "/languages", "merges_url": "/merges", "milestones_url": "/milestones{/number}",
	"notifications_url": "/notifications{?since,all,participating}", "pulls_url": "/pulls{/number}",
	"releases_url": "/releases{/id}", "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}",
	"subscribers_url": "/subscribers", "subscription_url": "/subscription", "tags_url": "/tags",
	"teams_url": "/teams", "trees_url": "/git/trees{/sha}",
}

// repositoryStubs are the short repositories of installation events.
func (s *Server) repositoryStubs(list []*repository) []obj {
	out := []obj{}
	for _, r := range list {
		out = append(out, obj{
			"id": r.ID, "node_id": nodeID("R", r.ID), "name": r.Name, "full_name": r.fullName(), "private": r.Private,
		})
	}
	return out
}

func email(login string) string { return login + "@users.noreply.localhost" }

func person(c *Commit) obj {
	return obj{"name": c.Author, "email": email(c.Author), "date": stamp(c.Time)}
}

// commit is a commit of the REST API, without its files.
func (s *Server) commit(r *repository, c *Commit) obj {
	api := s.repositoryURL(r)
	parents := []obj{}
	for _, p := range c.Parents {
		parents = append(parents, obj{
			"sha": p, "url": api + "/commits/" + p, "html_url": s.repositoryPage(r) + "/commit/" + p,
		})
	}
	return obj{
		"sha": c.SHA, "node_id": "C_" + c.SHA, "url": api + "/commits/" + c.SHA,
		"html_url": s.repositoryPage(r) + "/commit/" + c.SHA, "comments_url": api + "/commits/" + c.SHA + "/comments",
		"author": s.user(c.Author), "committer": s.user(c.Author), "parents": parents,
		"commit": obj{
			"message": c.Message, "author": person(c), "committer": person(c), "comment_count": 0,
			"url":  api + "/git/commits/" + c.SHA,
			"tree": obj{"sha": c.Tree, "url": api + "/git/trees/" + c.Tree},
			"verification": obj{
				"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil,
			},
		},
	}
}

// shortCommit is a commit as events show it.
func shortCommit(c *Commit) obj {
	who := obj{"name": c.Author, "email": email(c.Author), "username": c.Author}
	return obj{
		"id": c.SHA, "tree_id": c.Tree, "message": c.Message, "timestamp": stamp(c.Time),
		"author": who, "committer": who,
	}
}

// files shows changed paths at a commit.
func (s *Server) files(r *repository, sha string, list []change) []obj {
	out := []obj{}
	for _, ch := range list {
		text, added, removed := s.st.patch(ch)
		blob := ch.New
		if blob == "" {
			blob = ch.Old
		}
		out = append(out, obj{
			"sha": blob, "filename": ch.Path, "status": ch.Status,
			"additions": added, "deletions": removed, "changes": added + removed, "patch": text,
			"blob_url":     s.repositoryPage(r) + "/blob/" + sha + "/" + ch.Path,
			"raw_url":      s.repositoryPage(r) + "/raw/" + sha + "/" + ch.Path,
			"contents_url": s.repositoryURL(r) + "/contents/" + ch.Path + "?ref=" + sha,
		})
	}
	return out
}

// pull is a pull request with the fields of all of GitHub's variants.
func (s *Server) pull(r *repository, p *PullRequest) obj {
	number := strconv.Itoa(p.Number)
	api := s.repositoryURL(r)
	self, issue, html := api+"/pulls/"+number, api+"/issues/"+number, s.repositoryPage(r)+"/pull/"+number
	statuses := api + "/statuses/" + p.HeadSHA
	o := obj{
		"id": p.ID, "node_id": nodeID("PR", p.ID), "number": p.Number, "url": self, "html_url": html,
		"diff_url": html + ".diff", "patch_url": html + ".patch", "issue_url": issue,
		"commits_url": self + "/commits", "review_comments_url": self + "/comments",
		"review_comment_url": api + "/pulls/comments{/number}", "comments_url": issue + "/comments", "statuses_url": statuses,
		"state": p.State, "locked": false, "active_lock_reason": nil, "draft": p.Draft, "title": p.Title, "body": orNull(p.Body),
		"user": s.user(p.Author), "author_association": "CONTRIBUTOR", "auto_merge": nil,
		"created_at": stamp(p.CreatedAt), "updated_at": stamp(p.UpdatedAt), "closed_at": stampOrNull(p.ClosedAt),
		"merged_at": nil, "merge_commit_sha": orNull(p.MergeSHA), "merged": p.Merged, "merged_by": nil,
		"mergeable": nil, "mergeable_state": "unknown", "rebaseable": nil, "maintainer_can_modify": false,
		"assignee": nil, "assignees": []any{}, "labels": []any{}, "milestone": nil,
		"requested_reviewers": []any{}, "requested_teams": []any{}, "comments": 0, "review_comments": 0,
		"head": s.pullSide(s.st.Repositories[p.HeadRepository], p.HeadBranch, p.HeadSHA),
		"base": s.pullSide(r, p.BaseBranch, p.BaseSHA),
		"_links": obj{
			"self": obj{"href": self}, "html": obj{"href": html}, "issue": obj{"href": issue},
			"comments": obj{"href": issue + "/comments"}, "review_comments": obj{"href": self + "/comments"},
			"review_comment": obj{"href": api + "/pulls/comments{/number}"},
			"commits":        obj{"href": self + "/commits"}, "statuses": obj{"href": statuses},
		},
	}
	if p.Merged {
		o["merged_at"], o["merged_by"] = stampOrNull(p.ClosedAt), s.user(p.MergedBy)
	}
	if p.State == "open" {
		o["mergeable"], o["mergeable_state"] = p.MergeSHA != "", "clean"
		if p.MergeSHA == "" {
			o["mergeable_state"] = "dirty"
		}
	}
	added, removed := 0, 0
	changes := r.pullChanges(p)
	for _, ch := range changes {
		_, a, d := s.st.patch(ch)
		added, removed = added+a, removed+d
	}
	o["additions"], o["deletions"], o["changed_files"] = added, removed, len(changes)
	o["commits"] = len(r.pullCommits(p))
	return o
}

// pullSide is the head or the base of a pull request. The repository is nil,
// and so is everything that follows from it, if the fork is gone.
func (s *Server) pullSide(r *repository, branch, sha string) obj {
	if r == nil {
		return obj{"label": "unknown:" + branch, "ref": branch, "sha": sha, "user": nil, "repo": nil}
	}
	return obj{
		"label": r.Owner + ":" + branch, "ref": branch, "sha": sha,
		"user": s.user(r.Owner), "repo": s.repository(r),
	}
}

// minimalPulls are the pull requests that check runs name: open ones with that
// head, from this repository and not from a fork.
func (s *Server) minimalPulls(r *repository, sha string) []obj {
	out := []obj{}
	stub := obj{"id": r.ID, "url": s.repositoryURL(r), "name": r.Name}
	for _, p := range r.Pulls {
		if p.State == "open" && p.HeadSHA == sha && p.HeadRepository == r.ID {
			out = append(out, obj{
				"id": p.ID, "number": p.Number, "url": s.repositoryURL(r) + "/pulls/" + strconv.Itoa(p.Number),
				"head": obj{"ref": p.HeadBranch, "sha": p.HeadSHA, "repo": stub},
				"base": obj{"ref": p.BaseBranch, "sha": p.BaseSHA, "repo": stub},
			})
		}
	}
	return out
}

// app is the App as the API shows it to everybody.
func (s *Server) app(id int64) obj {
	a := s.st.App
	name, link := a.Name, a.Slug
	if id != a.ID {
		name, link = "Another App", "another-app"
	}
	return obj{
		"id": id, "slug": link, "node_id": nodeID("A", id), "owner": s.user("neontwin"), "name": name,
		"description": nil, "external_url": s.PageURL(), "html_url": s.PageURL() + "/apps/" + link,
		"created_at": stamp(a.CreatedAt), "updated_at": stamp(a.CreatedAt),
		"permissions": a.Permissions, "events": a.Events, "installations_count": len(s.st.Installations),
	}
}

func (s *Server) installation(in *Installation) obj {
	acc := s.st.account(in.Owner, "Organization")
	selection := "all"
	if in.Repositories != nil {
		selection = "selected"
	}
	o := obj{
		"id": in.ID, "app_id": s.st.App.ID, "app_slug": s.st.App.Slug, "account": s.user(acc.Login),
		"target_id": acc.ID, "target_type": acc.Type, "repository_selection": selection,
		"permissions": in.Permissions, "events": slices.Clone(in.Events), "single_file_name": nil,
		"has_multiple_single_files": false, "single_file_paths": []string{},
		"access_tokens_url": fmt.Sprintf("%s/app/installations/%d/access_tokens", s.URL(), in.ID),
		"repositories_url":  s.URL() + "/installation/repositories",
		"html_url":          fmt.Sprintf("%s/settings/installations/%d", s.PageURL(), in.ID),
		"created_at":        stamp(in.CreatedAt), "updated_at": stamp(in.UpdatedAt),
		"suspended_at": stampOrNull(in.SuspendedAt), "suspended_by": nil,
	}
	if in.SuspendedAt != nil {
		o["suspended_by"] = s.user("octocat")
	}
	return o
}
