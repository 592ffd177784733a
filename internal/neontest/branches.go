package neontest

import (
	"cmp"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBranches is the cap of Neon's smaller plans.
const maxBranches = 10

type branchRequest struct {
	Branch struct {
		ParentID        string `json:"parent_id"`
		Name            string `json:"name"`
		ParentLSN       string `json:"parent_lsn"`
		ParentTimestamp string `json:"parent_timestamp"`
		Protected       bool   `json:"protected"`
		Archived        bool   `json:"archived"`
		InitSource      string `json:"init_source"`
		ExpiresAt       string `json:"expires_at"`
	} `json:"branch"`
	Endpoints  []endpointRequest `json:"endpoints"`
	Annotation map[string]string `json:"annotation_value"`
}

type endpointRequest struct {
	Type           string  `json:"type"`
	MinCU          float64 `json:"autoscaling_limit_min_cu"`
	MaxCU          float64 `json:"autoscaling_limit_max_cu"`
	SuspendTimeout int64   `json:"suspend_timeout_seconds"`
}

// check refuses what no Neon accepts and what this sandbox does not do: to
// take a wish and ignore it would hide a mistake.
func (q branchRequest) check() *apiError {
	b := q.Branch
	switch {
	case len(b.Name) > 256:
		return refuse(http.StatusBadRequest, "branch name is longer than 256 characters")
	case len(q.Annotation) > 50:
		return refuse(http.StatusBadRequest, "an annotation has at most 50 pairs")
	case b.ParentLSN != "" && b.ParentTimestamp != "":
		return refuse(http.StatusBadRequest, "parent_lsn and parent_timestamp exclude each other")
	case b.ParentLSN != "" || b.ParentTimestamp != "" || b.Archived || b.ExpiresAt != "" || b.InitSource != "" && b.InitSource != "parent-data":
		return refuse(http.StatusUnprocessableEntity, "this sandbox branches from the parent's present data only, without expiry or archive")
	case len(q.Endpoints) > 1 || len(q.Endpoints) == 1 && q.Endpoints[0].Type != "read_write":
		return refuse(http.StatusUnprocessableEntity, "this sandbox gives a branch one read_write endpoint at most")
	}
	for _, e := range q.Endpoints {
		if e.MinCU != 0 && e.MinCU < 0.25 || e.MaxCU != 0 && e.MaxCU < max(e.MinCU, 0.25) {
			return refuse(http.StatusBadRequest, "compute size is out of range")
		}
		if t := e.SuspendTimeout; t < -1 || t > 604800 || t > 0 && t < 60 {
			return refuse(http.StatusBadRequest, "suspend_timeout_seconds is out of range")
		}
	}
	return nil
}

// branchFrom applies the rules for a new branch and schedules its making.
func (s *Server) branchFrom(projectID string, q branchRequest) (*branch, []*operation, *apiError) {
	if err := q.check(); err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.state.project(projectID)
	if p == nil {
		return nil, nil, refuse(http.StatusNotFound, "project not found")
	}
	parent := p.defaultBranch()
	if q.Branch.ParentID != "" {
		parent = p.branch(q.Branch.ParentID)
	}
	switch {
	case parent == nil:
		return nil, nil, refuse(http.StatusNotFound, "parent branch not found")
	case p.busy():
		return nil, nil, locked()
	case parent.State != ready:
		return nil, nil, refuse(http.StatusUnprocessableEntity, "branch not ready yet")
	case len(p.live()) >= maxBranches:
		return nil, nil, &apiError{http.StatusUnprocessableEntity, "BRANCHES_LIMIT_EXCEEDED", "branches limit exceeded"}
	case slices.ContainsFunc(p.live(), func(b *branch) bool { return b.Name == q.Branch.Name }):
		return nil, nil, refuse(http.StatusConflict, "branch with this name already exists")
	}
	now := time.Now().UTC()
	b := newBranch(p, q.Branch.Name, now)
	b.ParentID, b.Protected, b.Annotation = parent.ID, q.Branch.Protected, q.Annotation
	b.Passwords = maps.Clone(parent.Passwords)
	if parent.Protected {
		for role := range b.Passwords {
			b.Passwords[role] = newPassword()
		}
	}
	ops := []*operation{newOperation(b, actionCreateBranch)}
	if len(q.Endpoints) == 1 {
		e := q.Endpoints[0]
		b.Endpoint = newEndpoint(now)
		b.Endpoint.MinCU = cmp.Or(e.MinCU, b.Endpoint.MinCU)
		b.Endpoint.MaxCU = max(cmp.Or(e.MaxCU, b.Endpoint.MaxCU), b.Endpoint.MinCU)
		b.Endpoint.SuspendTimeout = e.SuspendTimeout
		ops = append(ops, newOperation(b, actionStartCompute))
	}
	p.Branches = append(p.Branches, b)
	s.schedule(p, ops...)
	return b, ops, nil
}

func (s *Server) createBranch(r *http.Request) (int, any, error) {
	var q branchRequest
	if err := read(r, &q, true); err != nil {
		return 0, nil, err
	}
	b, ops, apiErr := s.branchFrom(r.PathValue("project"), q)
	if apiErr != nil {
		return 0, nil, apiErr
	}
	// What the child will have is what its parent has.
	s.mu.Lock()
	c, err := s.cluster(s.state.project(b.ProjectID).branch(b.ParentID))
	s.mu.Unlock()
	if err != nil {
		return 0, nil, err
	}
	databases, err := liveDatabases(r.Context(), c)
	if err != nil {
		return 0, nil, err
	}
	roles, err := liveRoles(r.Context(), c)
	if err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return http.StatusCreated, map[string]any{
		"branch": wireBranch(b), "endpoints": wireEndpoints(b), "operations": wireOperations(b.ProjectID, ops),
		"roles": wireRoles(b, roles), "databases": wireDatabases(b, databases),
	}, nil
}

// deleteBranch forgets a branch. Neon's words for its refusals are not known;
// that it refuses is.
func (s *Server) deleteBranch(r *http.Request) (int, any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, b, err := s.find(r)
	if p == nil {
		p = s.state.project(r.PathValue("project"))
	}
	if p != nil && slices.ContainsFunc(p.Branches, func(b *branch) bool { return b.ID == r.PathValue("branch") && !b.DeletedAt.IsZero() }) {
		return http.StatusNoContent, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	children := p.children(b.ID)
	switch {
	case b.Default:
		return 0, nil, refuse(http.StatusUnprocessableEntity, "the default branch can not be deleted")
	case b.ParentID == "":
		return 0, nil, refuse(http.StatusUnprocessableEntity, "a root branch can not be deleted")
	case b.Protected:
		return 0, nil, refuse(http.StatusUnprocessableEntity, "a protected branch can not be deleted")
	case len(children) > 0:
		return 0, nil, refuse(http.StatusUnprocessableEntity, "branch has children: %s", strings.Join(children, ", "))
	case p.busy():
		return 0, nil, locked()
	}
	var ops []*operation
	if b.Endpoint != nil {
		ops = append(ops, newOperation(b, actionSuspendCompute))
	}
	ops = append(ops, newOperation(b, actionDeleteTimeline))
	b.DeletedAt = time.Now().UTC()
	b.UpdatedAt = b.DeletedAt
	s.schedule(p, ops...)
	return http.StatusOK, map[string]any{"branch": wireBranch(b), "operations": wireOperations(p.ID, ops)}, nil
}

func (s *Server) getProject(r *http.Request) (int, any, error) {
	s.mu.Lock()
	p, _, err := s.find(r)
	if err != nil {
		s.mu.Unlock()
		return 0, nil, err
	}
	root := s.clusters[p.defaultBranch().ID]
	out := wireProject(p)
	s.mu.Unlock()
	if root == nil {
		return 0, nil, refuse(http.StatusNotFound, "project not found")
	}
	out.PGVersion, err = majorVersion(r.Context(), root)
	return http.StatusOK, map[string]any{"project": out}, err
}

func (s *Server) getBranch(r *http.Request) (int, any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, b, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"branch": wireBranch(b), "annotation": wireAnnotation(b)}, nil
}

func (s *Server) listBranches(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	sortBy, order := cmp.Or(q.Get("sort_by"), "updated_at"), cmp.Or(q.Get("sort_order"), "desc")
	compare := map[string]func(a, b *branch) int{
		"name":       func(a, b *branch) int { return cmp.Compare(a.Name, b.Name) },
		"created_at": func(a, b *branch) int { return a.CreatedAt.Compare(b.CreatedAt) },
		"updated_at": func(a, b *branch) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
	}[sortBy]
	if compare == nil || order != "asc" && order != "desc" {
		return 0, nil, refuse(http.StatusBadRequest, "sort_by or sort_order is not known")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	all := p.live()
	if q.Get("include_deleted") == "true" {
		all = slices.Clone(p.Branches)
	}
	all = slices.DeleteFunc(all, func(b *branch) bool {
		return !strings.Contains(b.Name, q.Get("search")) && !strings.Contains(b.ID, q.Get("search"))
	})
	slices.SortStableFunc(all, func(a, b *branch) int {
		if order == "desc" {
			a, b = b, a
		}
		return cmp.Or(compare(a, b), cmp.Compare(a.ID, b.ID))
	})
	page, next, err := paginate(r, all, 10000, func(b *branch) string { return b.ID })
	if err != nil {
		return 0, nil, err
	}
	branches, annotations := []branchJSON{}, map[string]annotationJSON{}
	for _, b := range page {
		branches = append(branches, wireBranch(b))
		if len(b.Annotation) > 0 {
			annotations[b.ID] = wireAnnotation(b)
		}
	}
	body := map[string]any{"branches": branches, "annotations": annotations}
	if next != "" {
		body["pagination"] = map[string]string{"next": next, "sort_by": sortBy, "sort_order": order}
	}
	return http.StatusOK, body, nil
}

// paginate cuts a page out of a list by the query's limit and cursor. A cursor
// is the id of the last item that was shown, and means nothing to a client.
func paginate[T any](r *http.Request, all []T, most int, id func(T) string) (page []T, next string, err error) {
	limit := most
	if q := r.URL.Query().Get("limit"); q != "" {
		if limit, err = strconv.Atoi(q); err != nil || limit < 1 || limit > most {
			return nil, "", refuse(http.StatusBadRequest, "limit is not between 1 and %d", most)
		}
	}
	if q := r.URL.Query().Get("cursor"); q != "" {
		last, err := base64.RawURLEncoding.DecodeString(q)
		i := slices.IndexFunc(all, func(v T) bool { return id(v) == string(last) })
		if err != nil || i < 0 {
			return nil, "", refuse(http.StatusBadRequest, "cursor is not valid")
		}
		all = all[i+1:]
	}
	if len(all) > limit {
		all = all[:limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(id(all[limit-1])))
	}
	return all, next, nil
}
