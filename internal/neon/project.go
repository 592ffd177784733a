package neon

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Project holds branches. Sizes and windows differ by plan and are read, never
// assumed.
type Project struct {
	ID                          string `json:"id"`
	Name                        string `json:"name"`
	RegionID                    string `json:"region_id"`
	PGVersion                   int    `json:"pg_version"`
	StorePasswords              bool   `json:"store_passwords"`
	HistoryRetentionSeconds     int64  `json:"history_retention_seconds"`
	BranchLogicalSizeLimitBytes int64  `json:"branch_logical_size_limit_bytes"`
}

// Branch is a whole server's data: all its databases and roles.
type Branch struct {
	ID           string    `json:"id"`
	ProjectID    string    `json:"project_id"`
	ParentID     string    `json:"parent_id"` // empty for a root
	ParentLSN    string    `json:"parent_lsn"`
	Name         string    `json:"name"`
	CurrentState string    `json:"current_state"`
	LogicalSize  int64     `json:"logical_size"` // bytes; 0 where unknown
	Default      bool      `json:"default"`
	Protected    bool      `json:"protected"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// Endpoint is a compute: what serves a branch.
type Endpoint struct {
	ID           string `json:"id"`
	BranchID     string `json:"branch_id"`
	Host         string `json:"host"`
	Type         string `json:"type"` // read_write or read_only
	CurrentState string `json:"current_state"`
	Disabled     bool   `json:"disabled"`
}

// Project reads a project.
func (c *Client) Project(ctx context.Context, project string) (Project, error) {
	var out struct {
		Project Project `json:"project"`
	}
	if err := checkIDs(project); err != nil {
		return Project{}, err
	}
	err := c.do(ctx, request{method: http.MethodGet, project: project, path: projectPath(project), out: &out})
	return out.Project, err
}

// pageSize is how many branches are asked for at once; Neon allows 10,000.
const pageSize = 1000

// Branches lists the branches of a project, oldest first. If search is not
// empty, only those in whose name or id it occurs.
func (c *Client) Branches(ctx context.Context, project, search string) ([]Branch, error) {
	if err := checkIDs(project); err != nil {
		return nil, err
	}
	var all []Branch
	// Sorted by what never changes, or branches would move between pages.
	query := url.Values{"limit": {strconv.Itoa(pageSize)}, "sort_by": {"created_at"}, "sort_order": {"asc"}}
	if search != "" {
		query.Set("search", search)
	}
	for {
		var page struct {
			Branches   []Branch `json:"branches"`
			Pagination struct {
				Next string `json:"next"`
			} `json:"pagination"`
		}
		err := c.do(ctx, request{method: http.MethodGet, project: project, path: projectPath(project, "branches"), query: query, out: &page})
		if err != nil {
			return nil, err
		}
		all = append(all, page.Branches...)
		next := page.Pagination.Next
		if next == "" || len(page.Branches) == 0 {
			return all, nil
		}
		if next == query.Get("cursor") {
			return nil, &APIError{Class: Unexpected, Request: "GET " + projectPath(project, "branches"), Message: "the list of branches does not end"}
		}
		query.Set("cursor", next)
	}
}

// Branch finds the one branch with this name or id. It never settles for
// another one: the error is a LookupError that lists what is there.
func (c *Client) Branch(ctx context.Context, project, nameOrID string) (Branch, error) {
	if nameOrID == "" {
		return Branch{}, &LookupError{What: "branch", Where: "project " + project}
	}
	var branches []Branch
	for _, search := range []string{nameOrID, ""} {
		var err error
		if branches, err = c.Branches(ctx, project, search); err != nil {
			return Branch{}, fmt.Errorf("look up branch %q: %w", nameOrID, err)
		}
		var found []Branch
		for _, b := range branches {
			if b.ID == nameOrID || b.Name == nameOrID {
				found = append(found, b)
			}
		}
		switch len(found) {
		case 0: // the second look is for searches that skip ids, and for the candidates
		case 1:
			return found[0], nil
		default:
			return Branch{}, &LookupError{What: "branch", Name: nameOrID, Where: "project " + project, Candidates: describe(found), Ambiguous: true}
		}
	}
	return Branch{}, &LookupError{What: "branch", Name: nameOrID, Where: "project " + project, Candidates: describe(branches)}
}

// describe lists a few branches for a person.
func describe(branches []Branch) []string {
	const most = 20
	var names []string
	for i, b := range branches {
		if i == most {
			return append(names, fmt.Sprintf("and %d more", len(branches)-most))
		}
		names = append(names, fmt.Sprintf("%s (%s)", b.Name, b.ID))
	}
	return names
}

// Endpoints lists the computes of a branch. There may be none.
func (c *Client) Endpoints(ctx context.Context, project, branch string) ([]Endpoint, error) {
	var out struct {
		Endpoints []Endpoint `json:"endpoints"`
	}
	if err := checkIDs(project, branch); err != nil {
		return nil, err
	}
	err := c.do(ctx, request{method: http.MethodGet, project: project, path: projectPath(project, "branches", branch, "endpoints"), out: &out})
	return out.Endpoints, err
}
