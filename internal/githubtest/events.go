package githubtest

import (
	"cmp"
	"slices"
)

// event builds an event of a repository, or returns nil if the App would not
// get it: not installed there, suspended, or not subscribed.
func (s *Server) event(event, action string, r *repository, sender string, more obj) *message {
	in := s.st.installed(r.Owner)
	if in == nil || !in.covers(r) || in.SuspendedAt != nil || !slices.Contains(in.Events, event) {
		return nil
	}
	o := obj{
		"repository": s.repository(r), "sender": s.user(sender),
		"installation": obj{"id": in.ID, "node_id": nodeID("I", in.ID)},
	}
	if s.st.account(r.Owner, "Organization").Type == "Organization" {
		o["organization"] = s.organization(r.Owner)
	}
	if action != "" {
		o["action"] = action
	}
	for k, v := range more {
		o[k] = v
	}
	return s.message(event, action, in.ID, r.ID, o)
}

// installationEvent builds an installation event, which every App gets.
func (s *Server) installationEvent(in *Installation, action string, more obj) *message {
	return s.installationMessage(in, "installation", action, more)
}

func (s *Server) installationMessage(in *Installation, event, action string, more obj) *message {
	o := obj{"action": action, "installation": s.installation(in), "sender": s.user("octocat")}
	for k, v := range more {
		o[k] = v
	}
	return s.message(event, action, in.ID, 0, o)
}

// Ping sends a ping, as GitHub does when an App gets its webhook URL.
func (s *Server) Ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.st.App
	s.queue(s.message("ping", "", 0, 0, obj{
		"zen": "Practicality beats purity.", "hook_id": hookID,
		"hook": obj{
			"type": "App", "id": hookID, "name": "web", "active": true, "events": a.Events, "app_id": a.ID,
			"config":     s.hookConfig(),
			"created_at": stamp(a.CreatedAt), "updated_at": stamp(a.CreatedAt),
			"deliveries_url": s.URL() + "/app/hook/deliveries",
		},
	}))
}

// pullEvent builds a pull_request event.
func (s *Server) pullEvent(r *repository, p *PullRequest, action, by string, more obj) *message {
	o := obj{"number": p.Number, "pull_request": s.pull(r, p)}
	for k, v := range more {
		o[k] = v
	}
	return s.event("pull_request", action, r, cmp.Or(by, "octocat"), o)
}

// pushEvent builds a push event for the move of a branch or a tag.
func (s *Server) pushEvent(r *repository, ref, before, after, by string) *message {
	repo := s.repository(r)
	// In push events GitHub writes these two as numbers.
	repo["created_at"], repo["pushed_at"] = r.CreatedAt.Unix(), r.PushedAt.Unix()
	repo["stargazers"], repo["master_branch"] = 0, r.DefaultBranch
	owner := repo["owner"].(obj)
	owner["name"], owner["email"] = r.Owner, nil

	list := []obj{}
	var head any
	if c := r.Commits[after]; c != nil {
		head = s.pushCommit(r, c)
		for _, c := range s.newCommits(r, ref, before, after) {
			list = append(list, s.pushCommit(r, c))
		}
	}
	if len(list) > 2048 {
		list = list[len(list)-2048:]
	}
	forced := before != zeroSHA && after != zeroSHA && !r.ancestors(after)[before]
	return s.event("push", "", r, by, obj{
		"ref": ref, "before": before, "after": after, "base_ref": nil,
		"created": before == zeroSHA, "deleted": after == zeroSHA, "forced": forced,
		"compare": s.repositoryPage(r) + "/compare/" + before[:12] + "..." + after[:12],
		"commits": list, "head_commit": head, "repository": repo,
		"pusher": obj{"name": by, "email": email(by)},
	})
}

// newCommits lists what a push brought: what was not on the branch before or,
// for a new branch or tag, on no other branch.
func (s *Server) newCommits(r *repository, ref, before, after string) []*Commit {
	list := r.between(before, after)
	if before != zeroSHA {
		return list
	}
	for name, sha := range r.Branches {
		if "refs/heads/"+name != ref {
			known := r.ancestors(sha)
			list = slices.DeleteFunc(list, func(c *Commit) bool { return known[c.SHA] })
		}
	}
	return list
}

func (s *Server) pushCommit(r *repository, c *Commit) obj {
	o := shortCommit(c)
	o["distinct"], o["url"] = true, s.repositoryPage(r)+"/commit/"+c.SHA
	paths := map[string][]string{"added": {}, "removed": {}, "modified": {}}
	for _, ch := range r.changes(c) {
		if len(paths[ch.Status]) < 3000 {
			paths[ch.Status] = append(paths[ch.Status], ch.Path)
		}
	}
	for k, v := range paths {
		o[k] = v
	}
	return o
}
