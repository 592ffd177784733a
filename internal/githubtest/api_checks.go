package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

var checkRoutes = []route{
	{"POST /repos/{owner}/{repo}/check-runs", "checks:write", (*call).createRun},
	{"PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}", "checks:write", (*call).updateRun},
	{"GET /repos/{owner}/{repo}/check-runs/{check_run_id}", "checks:read", (*call).getRun},
	{"GET /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations", "checks:read", (*call).listAnnotations},
	{"POST /repos/{owner}/{repo}/check-runs/{check_run_id}/rerequest", "checks:write", (*call).rerequestRun},
	{"GET /repos/{owner}/{repo}/check-suites/{check_suite_id}", "checks:read", (*call).getSuite},
	{"GET /repos/{owner}/{repo}/check-suites/{check_suite_id}/check-runs", "checks:read", (*call).suiteRuns},
	{"POST /repos/{owner}/{repo}/check-suites/{check_suite_id}/rerequest", "checks:write", (*call).rerequestSuite},
	{"GET /repos/{owner}/{repo}/commits/{ref}/check-runs", "checks:read", (*call).commitRuns},
	{"GET /repos/{owner}/{repo}/commits/{ref}/check-suites", "checks:read", (*call).commitSuites},
}

// createRun adds a check run; the same request again adds another one.
func (c *call) createRun() (int, any) {
	var in checkInput
	if status, answer := c.decode(&in); status != 0 {
		return status, answer
	}
	if in.Name == nil {
		return invalid("CheckRun", "name", "is required")
	}
	if in.HeadSHA == nil {
		return invalid("CheckRun", "head_sha", "is required")
	}
	if field, why := in.problem(); field != "" {
		return invalid("CheckRun", field, why)
	}
	at := c.repo.Commits[strings.ToLower(*in.HeadSHA)]
	if at == nil {
		return noCommit(*in.HeadSHA)
	}
	run := c.addRun(c.repo, at.SHA, c.st.App.ID)
	run.Status = "queued"
	completed := in.apply(run, c.now())
	c.dropOldRuns(run)
	c.tell(run, "created")
	if completed {
		c.tellCompleted(run)
	}
	c.touch()
	return http.StatusCreated, c.runJSON(c.repo, run, false)
}

// updateRun changes a check run of the App itself.
func (c *call) updateRun() (int, any) {
	run := c.pathRun()
	if run == nil {
		return notFound()
	}
	if run.AppID != c.st.App.ID {
		return fails(http.StatusForbidden, fmt.Sprintf(
			"Invalid app_id `%d` - check run can only be modified by the GitHub App that created it.", c.st.App.ID))
	}
	var in checkInput
	if status, answer := c.decode(&in); status != 0 {
		return status, answer
	}
	if field, why := in.problem(); field != "" {
		return invalid("CheckRun", field, why)
	}
	if in.apply(run, c.now()) {
		c.tellCompleted(run)
	}
	c.touch()
	return http.StatusOK, c.runJSON(c.repo, run, false)
}

// tell sends a check_run event, which every App with the permission gets, the
// one that made the run included.
func (c *call) tell(run *CheckRun, action string) {
	c.queue(c.event("check_run", action, c.repo, c.st.bot().Login, obj{"check_run": c.runJSON(c.repo, run, true)}))
}

// tellCompleted also tells of the suite if this was its last open run.
func (c *call) tellCompleted(run *CheckRun) {
	c.tell(run, "completed")
	su := c.st.Suites[run.SuiteID]
	if status, _ := c.verdict(su); status == "completed" {
		c.queue(c.event("check_suite", "completed", c.repo, c.st.bot().Login, obj{"check_suite": c.suiteJSON(c.repo, su)}))
	}
}

func (c *call) pathRun() *CheckRun {
	run := c.st.Runs[c.pathID("check_run_id")]
	if run == nil || run.RepositoryID != c.repo.ID {
		return nil
	}
	return run
}

func (c *call) getRun() (int, any) {
	run := c.pathRun()
	if run == nil {
		return notFound()
	}
	return http.StatusOK, c.runJSON(c.repo, run, false)
}

func (c *call) listAnnotations() (int, any) {
	run := c.pathRun()
	if run == nil {
		return notFound()
	}
	out := []obj{}
	for _, a := range page(c, run.Annotations) {
		out = append(out, obj{
			"path": a.Path, "start_line": a.StartLine, "end_line": a.EndLine, "start_column": a.StartColumn,
			"end_column": a.EndColumn, "annotation_level": a.Level, "title": orNull(a.Title), "message": a.Message,
			"raw_details": orNull(a.RawDetails), "blob_href": c.repositoryPage(c.repo) + "/blob/" + run.HeadSHA + "/" + a.Path,
		})
	}
	return http.StatusOK, out
}

func (c *call) rerequestRun() (int, any) {
	run := c.pathRun()
	if run == nil {
		return notFound()
	}
	if run.AppID != c.st.App.ID {
		return fails(http.StatusForbidden, "Resource not accessible by integration")
	}
	c.rerequest(c.repo, run)
	c.touch()
	return http.StatusCreated, obj{}
}

// commitRuns lists the check runs of a commit. By default it shows the newest
// of each name; filter=all shows every one.
func (c *call) commitRuns() (int, any) {
	at := c.repo.resolve(c.r.PathValue("ref"))
	if at == nil {
		return noCommit(c.r.PathValue("ref"))
	}
	return http.StatusOK, c.filtered(c.st.runsOf(c.repo.ID, at.SHA))
}

func (c *call) suiteRuns() (int, any) {
	su := c.pathSuite()
	if su == nil {
		return notFound()
	}
	runs := c.st.runsOf(c.repo.ID, su.HeadSHA)
	return http.StatusOK, c.filtered(slices.DeleteFunc(runs, func(run *CheckRun) bool { return run.SuiteID != su.ID }))
}

// filtered applies the query of a list of check runs, newest first.
func (c *call) filtered(runs []*CheckRun) obj {
	q := c.r.URL.Query()
	seen := map[string]bool{}
	out := []obj{}
	for _, run := range slices.Backward(runs) {
		key := strconv.FormatInt(run.AppID, 10) + "\x00" + run.Name
		if q.Get("filter") != "all" && seen[key] {
			continue
		}
		seen[key] = true
		if name := q.Get("check_name"); name != "" && name != run.Name {
			continue
		}
		if status := q.Get("status"); status != "" && status != run.Status {
			continue
		}
		if app := q.Get("app_id"); app != "" && app != strconv.FormatInt(run.AppID, 10) {
			continue
		}
		out = append(out, c.runJSON(c.repo, run, false))
	}
	return obj{"total_count": len(out), "check_runs": page(c, out)}
}

func (c *call) pathSuite() *suite {
	su := c.st.Suites[c.pathID("check_suite_id")]
	if su == nil || su.RepositoryID != c.repo.ID {
		return nil
	}
	return su
}

func (c *call) getSuite() (int, any) {
	su := c.pathSuite()
	if su == nil {
		return notFound()
	}
	return http.StatusOK, c.suiteJSON(c.repo, su)
}

func (c *call) rerequestSuite() (int, any) {
	su := c.pathSuite()
	if su == nil {
		return notFound()
	}
	if su.AppID != c.st.App.ID {
		return fails(http.StatusForbidden, "Resource not accessible by integration")
	}
	su.Requeued = true
	c.queue(c.event("check_suite", "rerequested", c.repo, "octocat", obj{"check_suite": c.suiteJSON(c.repo, su)}))
	c.touch()
	return http.StatusCreated, obj{}
}

func (c *call) commitSuites() (int, any) {
	at := c.repo.resolve(c.r.PathValue("ref"))
	if at == nil {
		return noCommit(c.r.PathValue("ref"))
	}
	out := []obj{}
	for _, su := range c.st.Suites {
		if su.RepositoryID == c.repo.ID && su.HeadSHA == at.SHA {
			out = append(out, c.suiteJSON(c.repo, su))
		}
	}
	slices.SortFunc(out, func(a, b obj) int { return int(a["id"].(int64) - b["id"].(int64)) })
	return http.StatusOK, obj{"total_count": len(out), "check_suites": page(c, out)}
}
