package github

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/neontwin/neontwin/internal/twin"
)

// Rerequest is a person's press on Re-run, or on a button of ours: on one check
// run, or on all of ours on a commit. GitHub's page often sends only the latter.
type Rerequest struct {
	HeadSHA string
	// ExternalID is the check run's, empty where all of a commit are meant.
	ExternalID string
	Sender     string // login
}

// Rerequest reads a check_run or check_suite event. An error is ErrMalformed.
func (e Event) Rerequest() (Rerequest, error) {
	var v checkBody
	if err := json.Unmarshal(e.Body, &v); err != nil {
		return Rerequest{}, fmt.Errorf("%w: no check that fits", ErrMalformed)
	}
	c := v.CheckRun
	if e.Name == "check_suite" {
		c = v.CheckSuite
	}
	pressed := e.Action == "rerequested" ||
		e.Name == "check_run" && e.Action == "requested_action" && v.RequestedAction.Identifier == SyncNow
	if c == nil || !commitSHA.MatchString(c.HeadSHA) || !pressed {
		return Rerequest{}, fmt.Errorf("%w: not a check that is asked for again", ErrMalformed)
	}
	return Rerequest{HeadSHA: c.HeadSHA, ExternalID: c.ExternalID, Sender: v.Sender.Login}, nil
}

// MayWrite asks GitHub, now, whether a person may write to a repository. Who
// may maintain it counts as may write; who may triage it does not.
func (a *App) MayWrite(ctx context.Context, repo twin.Repository, login string) (bool, error) {
	var v struct {
		Permission string `json:"permission"`
	}
	err := a.get(ctx, repo, repoPath(repo, "/collaborators/%s/permission", escapePath(login)), &v)
	if statusOf(err) == http.StatusNotFound {
		// No such person, or no such repository: the latter is told apart.
		if gone := a.gone(ctx, repo, err); statusOf(gone) != http.StatusNotFound {
			return false, gone
		}
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read permission on %s: %w", repo.FullName(), err)
	}
	return v.Permission == "admin" || v.Permission == "write", nil
}
