package neontest

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pglocal"
)

// maxDatabases is Neon's cap for a branch.
const maxDatabases = 500

func (s *Server) listDatabases(r *http.Request) (int, any, error) {
	b, c, err := s.server(r)
	if err != nil {
		return 0, nil, err
	}
	all, err := liveDatabases(r.Context(), c)
	return http.StatusOK, map[string]any{"databases": wireDatabases(b, all)}, err
}

func (s *Server) createDatabase(r *http.Request) (int, any, error) {
	var q struct {
		Database struct {
			Name      string `json:"name"`
			OwnerName string `json:"owner_name"`
		} `json:"database"`
	}
	if err := read(r, &q, false); err != nil {
		return 0, nil, err
	}
	name, role := q.Database.Name, q.Database.OwnerName
	if name == "" || role == "" || len(name) > 63 {
		return 0, nil, refuse(http.StatusBadRequest, "database name or owner_name is missing or too long")
	}
	b, c, err := s.server(r)
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
	p := s.state.project(b.ProjectID)
	switch {
	case p.busy():
		return 0, nil, locked()
	case slices.ContainsFunc(databases, func(d liveDatabase) bool { return d.Name == name }) || hidden(name):
		return 0, nil, refuse(http.StatusConflict, "database already exists")
	case !slices.Contains(roles, role):
		return 0, nil, refuse(http.StatusNotFound, "role not found")
	case len(databases) >= maxDatabases:
		return 0, nil, &apiError{http.StatusUnprocessableEntity, "DATABASES_LIMIT_EXCEEDED", "databases limit exceeded"}
	}
	op := newOperation(b, actionApplyConfig)
	op.Database, op.Owner = name, role
	s.schedule(p, op)
	return http.StatusCreated, map[string]any{
		// PostgreSQL gives it its id later.
		"database":   wireDatabases(b, []liveDatabase{{Name: name, Owner: role}})[0],
		"operations": wireOperations(p.ID, []*operation{op}),
	}, nil
}

// hidden are the databases that exist but belong to no user.
func hidden(name string) bool {
	return name == "postgres" || name == "template0" || name == "template1"
}

func (s *Server) listRoles(r *http.Request) (int, any, error) {
	b, c, err := s.server(r)
	if err != nil {
		return 0, nil, err
	}
	all, err := liveRoles(r.Context(), c)
	return http.StatusOK, map[string]any{"roles": wireRoles(b, all)}, err
}

// revealPassword knows the passwords that the sandbox gave. Those of roles
// made by SQL it can't know.
func (s *Server) revealPassword(r *http.Request) (int, any, error) {
	b, c, err := s.server(r)
	if err != nil {
		return 0, nil, err
	}
	password, err := s.password(r.Context(), b, c, r.PathValue("role"))
	return http.StatusOK, map[string]string{"password": password}, err
}

func (s *Server) password(ctx context.Context, b *branch, c *pglocal.Cluster, role string) (string, error) {
	roles, err := liveRoles(ctx, c)
	if err != nil {
		return "", err
	}
	password, ok := b.Passwords[role]
	if !slices.Contains(roles, role) {
		return "", refuse(http.StatusNotFound, "role not found")
	}
	if !ok {
		return "", refuse(http.StatusNotFound, "the password of this role is not known")
	}
	return password, nil
}

// connectionURI is the address of a database. Unlike Neon's it names a port,
// which stays the branch's for good.
func (s *Server) connectionURI(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	database, role := q.Get("database_name"), q.Get("role_name")
	switch {
	case database == "" || role == "":
		return 0, nil, refuse(http.StatusBadRequest, "database_name and role_name are required")
	case q.Get("pooled") == "true":
		return 0, nil, refuse(http.StatusUnprocessableEntity, "this sandbox has no pooler")
	}
	b, c, err := s.addressed(r)
	if err != nil {
		return 0, nil, err
	}
	databases, err := liveDatabases(r.Context(), c)
	if err != nil {
		return 0, nil, err
	}
	if !slices.ContainsFunc(databases, func(d liveDatabase) bool { return d.Name == database }) {
		return 0, nil, refuse(http.StatusNotFound, "database not found")
	}
	password, err := s.password(r.Context(), b, c, role)
	if err != nil {
		return 0, nil, err
	}
	u := url.URL{
		Scheme: "postgresql", User: url.UserPassword(role, password),
		Host: c.Host(), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return http.StatusOK, map[string]string{"uri": u.String()}, nil
}

// addressed is the branch that a connection_uri query means: by branch, by
// endpoint, or the default one. It must have a compute.
func (s *Server) addressed(r *http.Request) (*branch, *pglocal.Cluster, error) {
	q := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _, err := s.find(r)
	if err != nil {
		return nil, nil, err
	}
	branchID, endpointID := q.Get("branch_id"), q.Get("endpoint_id")
	for _, b := range p.live() {
		switch {
		case branchID != "" && b.ID != branchID:
			continue
		case endpointID != "" && (b.Endpoint == nil || b.Endpoint.ID != endpointID):
			continue
		case branchID == "" && endpointID == "" && !b.Default:
			continue
		case b.Endpoint == nil:
			return nil, nil, refuse(http.StatusNotFound, "branch has no endpoint")
		}
		c, err := s.cluster(b)
		return b, c, err
	}
	return nil, nil, refuse(http.StatusNotFound, "branch or endpoint not found")
}

func (s *Server) listBranchEndpoints(r *http.Request) (int, any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, b, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"endpoints": wireEndpoints(b)}, nil
}

func (s *Server) listEndpoints(r *http.Request) (int, any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"endpoints": wireEndpoints(p.live()...)}, nil
}

func (s *Server) getEndpoint(r *http.Request) (int, any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	for _, e := range wireEndpoints(p.live()...) {
		if e.ID == r.PathValue("endpoint") {
			return http.StatusOK, map[string]any{"endpoint": e}, nil
		}
	}
	return 0, nil, refuse(http.StatusNotFound, "endpoint not found")
}

func (s *Server) listOperations(r *http.Request) (int, any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	newest := slices.Clone(p.Operations)
	slices.Reverse(newest)
	page, next, err := paginate(r, newest, 1000, func(o *operation) string { return o.ID })
	if err != nil {
		return 0, nil, err
	}
	body := map[string]any{"operations": wireOperations(p.ID, page)}
	if next != "" {
		body["pagination"] = map[string]string{"cursor": next}
	}
	return http.StatusOK, body, nil
}

func (s *Server) getOperation(r *http.Request) (int, any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _, err := s.find(r)
	if err != nil {
		return 0, nil, err
	}
	for _, o := range p.Operations {
		if o.ID == r.PathValue("operation") {
			return http.StatusOK, map[string]any{"operation": wireOperations(p.ID, []*operation{o})[0]}, nil
		}
	}
	return 0, nil, refuse(http.StatusNotFound, "operation not found")
}

func majorVersion(ctx context.Context, c *pglocal.Cluster) (version int, err error) {
	err = query(ctx, c, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&version)
	})
	return version, err
}
