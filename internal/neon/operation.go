package neon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Operation is a piece of Neon's work on a change. The change can be used when
// all its operations are done. New actions and statuses may appear.
type Operation struct {
	ID            string    `json:"id"`
	ProjectID     string    `json:"project_id"`
	BranchID      string    `json:"branch_id"`
	EndpointID    string    `json:"endpoint_id"`
	Action        string    `json:"action"`
	Status        string    `json:"status"`
	Error         string    `json:"error"`
	FailuresCount int       `json:"failures_count"`
	RetryAt       time.Time `json:"retry_at"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

// done reports whether the operation has succeeded, or that it never will.
// Neither is so while it runs, while Neon may still repeat it ("failed"), and
// for statuses that nobody has described.
func (o Operation) done() (succeeded, failed bool) {
	switch o.Status {
	case "finished", "skipped":
		return true, false
	case "cancelled", "error":
		return false, true
	}
	return false, false
}

// Operation reads an operation.
func (c *Client) Operation(ctx context.Context, project, id string) (Operation, error) {
	var out struct {
		Operation Operation `json:"operation"`
	}
	if err := checkIDs(project, id); err != nil {
		return Operation{}, err
	}
	err := c.do(ctx, request{method: http.MethodGet, project: project, path: projectPath(project, "operations", id), out: &out})
	out.Operation.Error = c.scrub(out.Operation.Error)
	return out.Operation, err
}

// Operations lists the latest operations of a project, newest first, at most
// limit of them (1 to 1000).
func (c *Client) Operations(ctx context.Context, project string, limit int) ([]Operation, error) {
	var out struct {
		Operations []Operation `json:"operations"`
	}
	if err := checkIDs(project); err != nil {
		return nil, err
	}
	err := c.do(ctx, request{
		method: http.MethodGet, project: project, path: projectPath(project, "operations"),
		query: url.Values{"limit": {strconv.Itoa(limit)}}, out: &out,
	})
	for i := range out.Operations {
		out.Operations[i].Error = c.scrub(out.Operations[i].Error)
	}
	return out.Operations, err
}

// unfinished lists what still runs on a branch.
func (c *Client) unfinished(ctx context.Context, project, branch string) ([]Operation, error) {
	all, err := c.Operations(ctx, project, 100)
	if err != nil {
		return nil, fmt.Errorf("list operations of project %s: %w", project, err)
	}
	var ops []Operation
	for _, o := range all {
		if succeeded, failed := o.done(); o.BranchID == branch && !succeeded && !failed {
			ops = append(ops, o)
		}
	}
	return ops, nil
}

const (
	firstPoll   = 500 * time.Millisecond
	longestPoll = 5 * time.Second
	// longestWait ends a Wait whose context has no deadline.
	longestWait = 30 * time.Minute
	// quietAfter is how long a failed operation may show no new attempt. Neon's
	// documents and its programs disagree whether "failed" is the end.
	quietAfter = time.Minute
	// visibleAfter is how long a new operation may be unknown to the API.
	visibleAfter = 30 * time.Second
)

// Wait returns when all operations have succeeded. The error is an
// OperationError for the first that did not, or not in time.
func (c *Client) Wait(ctx context.Context, project string, ops []Operation) error {
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	for _, op := range ops {
		if err := c.waitOne(ctx, project, op); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) waitOne(ctx context.Context, project string, op Operation) error {
	began, moved := time.Now(), time.Now()
	for poll := firstPoll; ; poll = min(poll*3/2, longestPoll) {
		succeeded, failed := op.done()
		if succeeded {
			return nil
		}
		// Neon may repeat a failed operation at a time that it tells.
		quiet := time.Since(moved) > quietAfter && time.Since(op.RetryAt) > quietAfter
		if failed || op.Status == "failed" && quiet {
			return &OperationError{Operation: op}
		}
		if err := sleep(ctx, poll); err != nil {
			return &OperationError{Operation: op, Err: err}
		}
		next, err := c.Operation(ctx, project, op.ID)
		var api *APIError
		if errors.As(err, &api) && api.Class == NotFound && time.Since(began) < visibleAfter {
			continue
		}
		if err != nil {
			return &OperationError{Operation: op, Err: err}
		}
		if next.Status != op.Status || next.FailuresCount != op.FailuresCount || !next.RetryAt.Equal(op.RetryAt) {
			moved = time.Now()
		}
		op = next
	}
}
