package githubtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// CheckRun is a check run as this server keeps it.
type CheckRun struct {
	ID           int64
	RepositoryID int64
	SuiteID      int64
	AppID        int64
	HeadSHA      string
	Name         string
	ExternalID   string
	DetailsURL   string
	Status       string // queued, in_progress or completed
	Conclusion   string // "" until it is completed
	StartedAt    time.Time
	CompletedAt  *time.Time
	Title        string
	Summary      string
	Text         string
	Annotations  []Annotation
	Actions      []Action
}

// Annotation is a remark of a check run on lines of a file.
type Annotation struct {
	Path        string `json:"path"`
	StartLine   int    `json:"start_line"`
	EndLine     int    `json:"end_line"`
	StartColumn *int   `json:"start_column"`
	EndColumn   *int   `json:"end_column"`
	Level       string `json:"annotation_level"`
	Message     string `json:"message"`
	Title       string `json:"title"`
	RawDetails  string `json:"raw_details"`
}

// Action is a button of a completed check run.
type Action struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Identifier  string `json:"identifier"`
}

// suite gathers the check runs of one App on one commit.
type suite struct {
	ID            int64
	RepositoryID  int64
	AppID         int64
	HeadSHA       string
	Branch        string
	Before, After string
	CreatedAt     time.Time
	Requeued      bool // somebody asked for it again
}

// CheckRuns lists the check runs of a commit, oldest first, those of other Apps
// included.
func (s *Server) CheckRuns(fullName, ref string) []CheckRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(fullName)
	if err != nil {
		return nil
	}
	c := r.resolve(ref)
	if c == nil {
		return nil
	}
	var out []CheckRun
	for _, run := range s.st.runsOf(r.ID, c.SHA) {
		out = append(out, run.copy())
	}
	return out
}

// AddForeignCheckRun adds a queued check run of another App.
func (s *Server) AddForeignCheckRun(fullName, ref, name string) (CheckRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(fullName)
	if err != nil {
		return CheckRun{}, err
	}
	c := r.resolve(ref)
	if c == nil {
		return CheckRun{}, fmt.Errorf("add check run to %s: no commit %q", fullName, ref)
	}
	run := s.addRun(r, c.SHA, s.st.App.ID+1)
	run.Name, run.Status = name, "queued"
	s.touch()
	return run.copy(), nil
}

// Rerun presses Re-run on a check run: check_run.rerequested.
func (s *Server) Rerun(fullName string, checkRun int64) error {
	return s.press(fullName, checkRun, func(r *repository, run *CheckRun) error {
		s.rerequest(r, run)
		return nil
	})
}

// RerunAll presses "Re-run all checks" on a commit. GitHub then sends
// check_suite.rerequested and nothing for the runs.
func (s *Server) RerunAll(fullName, ref string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(fullName)
	if err != nil {
		return err
	}
	if c := r.resolve(ref); c != nil {
		if su := s.st.suiteOf(r.ID, c.SHA, s.st.App.ID); su != nil {
			su.Requeued = true
			s.queue(s.event("check_suite", "rerequested", r, "octocat", obj{"check_suite": s.suiteJSON(r, su)}))
			s.touch()
			return nil
		}
	}
	return fmt.Errorf("re-run the checks of %s at %q: there are none", fullName, ref)
}

// PressButton presses a button of a completed check run:
// check_run.requested_action.
func (s *Server) PressButton(fullName string, checkRun int64, identifier string) error {
	return s.press(fullName, checkRun, func(r *repository, run *CheckRun) error {
		has := slices.ContainsFunc(run.Actions, func(a Action) bool { return a.Identifier == identifier })
		if run.Status != "completed" || !has {
			return fmt.Errorf("press %q: check run %d shows no such button", identifier, checkRun)
		}
		s.queue(s.event("check_run", "requested_action", r, "octocat", obj{
			"check_run": s.runJSON(r, run, true), "requested_action": obj{"identifier": identifier},
		}))
		return nil
	})
}

func (s *Server) press(fullName string, id int64, do func(*repository, *CheckRun) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.st.named(fullName)
	if err != nil {
		return err
	}
	run := s.st.Runs[id]
	if run == nil || run.RepositoryID != r.ID || run.AppID != s.st.App.ID {
		return fmt.Errorf("find check run %d of the App in %s: there is none", id, fullName)
	}
	if err := do(r, run); err != nil {
		return err
	}
	s.touch()
	return nil
}

// rerequest puts the suite back to queued; the run itself stays as it is, and
// what happens next is the App's business.
func (s *Server) rerequest(r *repository, run *CheckRun) {
	s.st.Suites[run.SuiteID].Requeued = true
	s.queue(s.event("check_run", "rerequested", r, "octocat", obj{"check_run": s.runJSON(r, run, true)}))
}

func (c *CheckRun) copy() CheckRun {
	out := *c
	out.Annotations, out.Actions = slices.Clone(c.Annotations), slices.Clone(c.Actions)
	return out
}

// runsOf lists the check runs of a commit by id.
func (st *state) runsOf(repository int64, sha string) []*CheckRun {
	var out []*CheckRun
	for _, run := range st.Runs {
		if run.RepositoryID == repository && run.HeadSHA == sha {
			out = append(out, run)
		}
	}
	slices.SortFunc(out, func(a, b *CheckRun) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (st *state) suiteOf(repository int64, sha string, app int64) *suite {
	for _, su := range st.Suites {
		if su.RepositoryID == repository && su.HeadSHA == sha && su.AppID == app {
			return su
		}
	}
	return nil
}

// openSuite does what GitHub does for each App with checks:write when a branch
// moves: it opens a suite and sends check_suite.requested. It returns nil if
// the App is not there or has a suite for that commit.
func (s *Server) openSuite(r *repository, branch, before, after string) *message {
	in := s.st.installed(r.Owner)
	if in == nil || !in.covers(r) || in.Permissions["checks"] != "write" || s.st.suiteOf(r.ID, after, s.st.App.ID) != nil {
		return nil
	}
	su := s.addSuite(r, after, s.st.App.ID)
	su.Branch, su.Before, su.After = branch, before, after
	return s.event("check_suite", "requested", r, "octocat", obj{"check_suite": s.suiteJSON(r, su)})
}

func (s *Server) addSuite(r *repository, sha string, app int64) *suite {
	su := &suite{ID: s.st.id(), RepositoryID: r.ID, AppID: app, HeadSHA: sha, After: sha, CreatedAt: s.now()}
	for _, name := range slices.Sorted(maps.Keys(r.Branches)) {
		if r.Branches[name] == sha {
			su.Branch = name
		}
	}
	s.st.Suites[su.ID] = su
	return su
}

// addRun adds an empty check run. GitHub keeps a thousand runs of one name in a
// suite and drops the oldest.
func (s *Server) addRun(r *repository, sha string, app int64) *CheckRun {
	su := s.st.suiteOf(r.ID, sha, app)
	if su == nil {
		su = s.addSuite(r, sha, app)
	}
	su.Requeued = false
	run := &CheckRun{ID: s.st.id(), RepositoryID: r.ID, SuiteID: su.ID, AppID: app, HeadSHA: sha, StartedAt: s.now()}
	s.st.Runs[run.ID] = run
	return run
}

func (s *Server) dropOldRuns(of *CheckRun) {
	same := s.st.runsOf(of.RepositoryID, of.HeadSHA)
	same = slices.DeleteFunc(same, func(c *CheckRun) bool { return c.SuiteID != of.SuiteID || c.Name != of.Name })
	for len(same) > 1000 {
		delete(s.st.Runs, same[0].ID)
		same = same[1:]
	}
}

// verdict sums up the newest run of each name.
func (s *Server) verdict(su *suite) (status, conclusion string) {
	newest := map[string]*CheckRun{}
	for _, run := range s.st.runsOf(su.RepositoryID, su.HeadSHA) {
		if run.SuiteID == su.ID {
			newest[run.Name] = run
		}
	}
	if len(newest) == 0 || su.Requeued {
		return "queued", ""
	}
	order := []string{"success", "skipped", "neutral", "cancelled", "timed_out", "action_required", "failure"}
	worst := -1
	for _, run := range newest {
		if run.Status != "completed" {
			return "in_progress", ""
		}
		worst = max(worst, slices.Index(order, run.Conclusion))
	}
	return "completed", order[max(worst, 0)]
}

func (s *Server) suiteJSON(r *repository, su *suite) obj {
	status, conclusion := s.verdict(su)
	c := r.Commits[su.HeadSHA]
	api := fmt.Sprintf("%s/check-suites/%d", s.repositoryURL(r), su.ID)
	runs := slices.DeleteFunc(s.st.runsOf(r.ID, su.HeadSHA), func(c *CheckRun) bool { return c.SuiteID != su.ID })
	return obj{
		"id": su.ID, "node_id": nodeID("CS", su.ID), "head_branch": orNull(su.Branch), "head_sha": su.HeadSHA,
		"status": status, "conclusion": orNull(conclusion), "url": api, "before": orNull(su.Before), "after": orNull(su.After),
		"pull_requests": s.minimalPulls(r, su.HeadSHA), "app": s.app(su.AppID),
		"created_at": stamp(su.CreatedAt), "updated_at": stamp(s.now()),
		"rerequestable": true, "runs_rerequestable": true, "latest_check_runs_count": len(runs),
		"check_runs_url": api + "/check-runs", "head_commit": shortCommit(c), "repository": s.repository(r),
	}
}

// runJSON is a check run: in events the whole suite stands in it, in the API
// its id.
func (s *Server) runJSON(r *repository, run *CheckRun, inEvent bool) obj {
	api := fmt.Sprintf("%s/check-runs/%d", s.repositoryURL(r), run.ID)
	html := fmt.Sprintf("%s/runs/%d", s.repositoryPage(r), run.ID)
	su := s.st.Suites[run.SuiteID]
	suiteOf := obj{"id": su.ID}
	if inEvent {
		suiteOf = s.suiteJSON(r, su)
		delete(suiteOf, "head_commit")
		delete(suiteOf, "repository")
	}
	o := obj{
		"id": run.ID, "node_id": nodeID("CR", run.ID), "head_sha": run.HeadSHA, "name": run.Name,
		"external_id": run.ExternalID, "url": api, "html_url": html, "details_url": cmp.Or(run.DetailsURL, s.PageURL()),
		"status": run.Status, "conclusion": orNull(run.Conclusion),
		"started_at": stamp(run.StartedAt), "completed_at": stampOrNull(run.CompletedAt),
		"check_suite": suiteOf, "app": s.app(run.AppID), "pull_requests": s.minimalPulls(r, run.HeadSHA),
		"output": obj{
			"title": orNull(run.Title), "summary": orNull(run.Summary), "text": orNull(run.Text),
			"annotations_count": len(run.Annotations), "annotations_url": api + "/annotations",
		},
	}
	if inEvent {
		actions := run.Actions
		if actions == nil {
			actions = []Action{}
		}
		o["actions"] = actions
	}
	return o
}
