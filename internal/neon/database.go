package neon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Database is a database of a branch.
type Database struct {
	ID        int64  `json:"id"`
	BranchID  string `json:"branch_id"`
	Name      string `json:"name"`
	OwnerName string `json:"owner_name"`
}

// Role is a role of a branch. Its password is never read along with it.
type Role struct {
	BranchID  string `json:"branch_id"`
	Name      string `json:"name"`
	Protected bool   `json:"protected"` // Neon's own
}

// system reports whether the role is Neon's, not the user's.
func (r Role) system() bool {
	return r.Protected || slices.Contains([]string{"cloud_admin", "neon_superuser", "neon_service"}, r.Name)
}

// Databases lists the databases of a branch.
func (c *Client) Databases(ctx context.Context, project, branch string) ([]Database, error) {
	var out struct {
		Databases []Database `json:"databases"`
	}
	if err := checkIDs(project, branch); err != nil {
		return nil, err
	}
	err := c.do(ctx, request{method: http.MethodGet, project: project, path: projectPath(project, "branches", branch, "databases"), out: &out})
	return out.Databases, err
}

// CreateDatabase makes a database. It can be used when the operations are
// done: Wait for them. Where the answer was lost it looks whether the database
// is there; if it isn't, the error stays Ambiguous, because it may still come.
func (c *Client) CreateDatabase(ctx context.Context, project, branch, name, owner string) (Database, []Operation, error) {
	type body struct {
		Name      string `json:"name"`
		OwnerName string `json:"owner_name"`
	}
	in := struct {
		Database body `json:"database"`
	}{body{name, owner}}
	var out struct {
		Database   Database    `json:"database"`
		Operations []Operation `json:"operations"`
	}
	if err := checkIDs(project, branch); err != nil {
		return Database{}, nil, err
	}
	err := c.do(ctx, request{method: http.MethodPost, project: project, path: projectPath(project, "branches", branch, "databases"), in: in, out: &out})
	var api *APIError
	if !errors.As(err, &api) || api.Class != Ambiguous || ctx.Err() != nil {
		return out.Database, out.Operations, err
	}
	all, lookErr := c.Databases(ctx, project, branch)
	if lookErr != nil {
		return Database{}, nil, errors.Join(err, lookErr)
	}
	for _, d := range all {
		if d.Name == name && d.OwnerName == owner {
			ops, err := c.unfinished(ctx, project, branch)
			return d, ops, err
		}
	}
	return Database{}, nil, err
}

// Roles lists the roles of a branch.
func (c *Client) Roles(ctx context.Context, project, branch string) ([]Role, error) {
	var out struct {
		Roles []Role `json:"roles"`
	}
	if err := checkIDs(project, branch); err != nil {
		return nil, err
	}
	err := c.do(ctx, request{method: http.MethodGet, project: project, path: projectPath(project, "branches", branch, "roles"), out: &out})
	return out.Roles, err
}

// ConnectionURI is the address of a database on one compute, password
// included, always past the pooler: it can't carry a restore. The database
// and the role must exist. An answer that leads to another compute is refused.
func (c *Client) ConnectionURI(ctx context.Context, project string, e Endpoint, database, role string) (string, error) {
	if err := checkIDs(project, e.BranchID, e.ID); err != nil {
		return "", err
	}
	var out struct {
		URI string `json:"uri"`
	}
	query := url.Values{
		"branch_id": {e.BranchID}, "endpoint_id": {e.ID}, "database_name": {database}, "role_name": {role}, "pooled": {"false"},
	}
	r := request{method: http.MethodGet, project: project, path: projectPath(project, "connection_uri"), query: query, out: &out}
	if err := c.do(ctx, r); err != nil {
		return "", err
	}
	u, err := direct(out.URI, e.ID)
	if err != nil {
		return "", &APIError{Class: Unexpected, Request: "GET " + r.path, Message: err.Error()}
	}
	return u.String(), nil
}

// direct takes the pooler out of a URI. Its errors quote nothing of it.
func direct(uri, endpoint string) (*url.URL, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Hostname() == "" || !strings.HasPrefix(u.Scheme, "postgres") || u.User == nil {
		return nil, errors.New("the connection URI is not an address of PostgreSQL")
	}
	label, _, _ := strings.Cut(u.Host, ".")
	if plain, ok := strings.CutSuffix(label, "-pooler"); ok {
		u.Host = plain + strings.TrimPrefix(u.Host, label)
		label = plain
	}
	if strings.HasPrefix(label, "ep-") && label != endpoint {
		return nil, fmt.Errorf("the connection URI leads to compute %q, not to %q", label, endpoint)
	}
	return u, nil
}

// DatabaseURL finds what a Twin is loaded through: a direct connection URI of
// the branch with this name or id, for this database, which need not exist
// yet. If role is empty it is the database's owner; for a database that does
// not exist, the only role that isn't Neon's, or else the one owner of the
// databases that do. Where a name is unknown or not unique the error is a
// LookupError; no other branch is ever used instead.
func (c *Client) DatabaseURL(ctx context.Context, project, branchNameOrID, database, role string) (string, error) {
	if database == "" {
		return "", &LookupError{What: "database", Where: "branch " + branchNameOrID}
	}
	b, err := c.Branch(ctx, project, branchNameOrID)
	if err != nil {
		return "", err
	}
	e, err := c.writable(ctx, project, b)
	if err != nil {
		return "", err
	}
	databases, err := c.Databases(ctx, project, b.ID)
	if err != nil {
		return "", fmt.Errorf("list databases of branch %s: %w", b.Name, err)
	}
	roles, err := c.Roles(ctx, project, b.ID)
	if err != nil {
		return "", fmt.Errorf("list roles of branch %s: %w", b.Name, err)
	}
	if role, err = chooseRole(b, databases, roles, database, role); err != nil {
		return "", err
	}
	known, err := chooseDatabase(b, databases, database, role)
	if err != nil {
		return "", err
	}
	uri, err := c.ConnectionURI(ctx, project, e, known, role)
	if err != nil {
		return "", fmt.Errorf("read connection URI of branch %s: %w", b.Name, err)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return "", errors.New("read connection URI: it is not an address")
	}
	u.Path, u.RawPath = "/"+database, ""
	return u.String(), nil
}

// writable is the branch's read-write compute; it has at most one.
func (c *Client) writable(ctx context.Context, project string, b Branch) (Endpoint, error) {
	endpoints, err := c.Endpoints(ctx, project, b.ID)
	if err != nil {
		return Endpoint{}, fmt.Errorf("list computes of branch %s: %w", b.Name, err)
	}
	var others []string
	for _, e := range endpoints {
		if e.BranchID == b.ID && e.Type == "read_write" && !e.Disabled {
			return e, nil
		}
		kind := e.Type
		if e.Disabled {
			kind += ", disabled"
		}
		others = append(others, fmt.Sprintf("%s (%s)", e.ID, kind))
	}
	return Endpoint{}, &LookupError{What: "usable read-write compute", Where: "branch " + b.Name, Candidates: others}
}

// chooseRole is pure. See DatabaseURL.
func chooseRole(b Branch, databases []Database, roles []Role, database, asked string) (string, error) {
	var names []string
	for _, r := range roles {
		if r.Name == asked {
			return asked, nil
		}
		if !r.system() {
			names = append(names, r.Name)
		}
	}
	if asked != "" {
		return "", &LookupError{What: "role", Name: asked, Where: "branch " + b.Name, Candidates: names}
	}
	var owners []string
	for _, d := range databases {
		if d.Name == database {
			return d.OwnerName, nil
		}
		if slices.Contains(names, d.OwnerName) && !slices.Contains(owners, d.OwnerName) {
			owners = append(owners, d.OwnerName)
		}
	}
	switch {
	case len(names) == 1:
		return names[0], nil
	case len(owners) == 1:
		return owners[0], nil
	}
	return "", &LookupError{What: "role", Where: "branch " + b.Name, Candidates: names, Ambiguous: len(names) > 1}
}

// chooseDatabase is the database whose URI is asked for: the one itself, or
// one of the same owner, or any.
func chooseDatabase(b Branch, databases []Database, database, role string) (string, error) {
	if len(databases) == 0 {
		return "", &LookupError{What: "database", Where: "branch " + b.Name}
	}
	for _, fits := range []func(Database) bool{
		func(d Database) bool { return d.Name == database },
		func(d Database) bool { return d.OwnerName == role },
	} {
		if i := slices.IndexFunc(databases, fits); i >= 0 {
			return databases[i].Name, nil
		}
	}
	return databases[0].Name, nil
}
