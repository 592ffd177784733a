package neontest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/neontest"
	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestKey(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := started.project
	for _, key := range []string{"", "wrong"} {
		r := newRaw(t, s)
		r.key = key
		out := r.want(401, "GET", "/projects/"+p.ID, "")
		if out["message"] == "" || out["request_id"] == "" {
			t.Errorf("key %q: %v lacks a message or a request id", key, out)
		}
	}
	newRaw(t, s).want(200, "GET", "/projects/"+p.ID, "")
}

func TestUnknownThingsAreNotFound(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := started.project
	r := newRaw(t, s)
	in := "/projects/" + p.ID
	for _, path := range []string{
		"/projects/none", "/projects/none/branches", in + "/branches/br-none", in + "/branches/br-none/endpoints",
		in + "/branches/br-none/databases", in + "/endpoints/ep-none", in + "/operations/00000000-0000-4000-8000-000000000000",
		in + "/branches/" + p.RootBranchID + "/roles/nobody/reveal_password", "/nothing/here",
		in + "/connection_uri?database_name=none&role_name=neondb_owner", in + "/connection_uri?database_name=neondb&role_name=none",
		in + "/connection_uri?database_name=neondb&role_name=neondb_owner&branch_id=br-none",
		in + "/connection_uri?database_name=postgres&role_name=neondb_owner",
	} {
		if out := r.want(404, "GET", path, ""); out["message"] == "" {
			t.Errorf("GET %s: no message", path)
		}
	}
	r.want(404, "POST", in+"/branches", `{"branch":{"parent_id":"br-none","name":"x"}}`)
}

func TestProject(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := started.project
	r := newRaw(t, s)
	got := r.want(200, "GET", "/projects/"+p.ID, "")["project"].(map[string]any)
	if got["name"] != "shared" || got["pg_version"].(float64) < 14 || got["store_passwords"] != true {
		t.Errorf("project = %v", got)
	}
	branches := r.want(200, "GET", "/projects/"+p.ID+"/branches", "")
	root := branches["branches"].([]any)[0].(map[string]any)
	if _, has := root["parent_id"]; has || root["name"] != "main" || root["default"] != true || root["current_state"] != "ready" {
		t.Errorf("root branch = %v", root)
	}
	endpoints := r.want(200, "GET", "/projects/"+p.ID+"/endpoints", "")
	if got := names(endpoints, "endpoints", "current_state"); got != "active" {
		t.Errorf("endpoints are %q, want one that is active", got)
	}
	endpoint := names(endpoints, "endpoints", "id")
	r.want(200, "GET", "/projects/"+p.ID+"/endpoints/"+endpoint, "")
}

// TestRoles is about what a role of Neon's may do and what nobody sees.
func TestRoles(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := newProject(t, s)
	r := newRaw(t, s)
	in := "/projects/" + p.ID + "/branches/" + p.RootBranchID
	if got := names(r.want(200, "GET", in+"/roles", ""), "roles", "name"); got != "neondb_owner" {
		t.Errorf("roles = %q", got)
	}
	if got := names(r.want(200, "GET", in+"/databases", ""), "databases", "name"); got != "neondb" {
		t.Errorf("databases = %q", got)
	}
	uri := r.uri(p.ID, "")
	password := r.want(200, "GET", in+"/roles/neondb_owner/reveal_password", "")["password"].(string)
	if !strings.Contains(uri, ":"+password+"@") {
		t.Error("the connection URI does not hold the role's password")
	}
	conn := pgtest.Connect(t, uri)
	const rights = `SELECT rolsuper::text || rolcreatedb || rolcreaterole || rolbypassrls || rolreplication
		|| pg_has_role('pg_read_all_data', 'member') || pg_has_role('pg_write_all_data', 'member') || pg_has_role('pg_signal_backend', 'member')
		|| pg_has_role('neon_superuser', 'member') || (SELECT rolcanlogin FROM pg_roles WHERE rolname = 'neon_superuser')
		FROM pg_roles WHERE rolname = current_user`
	var got string
	if err := conn.QueryRow(t.Context(), rights).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if want := "false" + strings.Repeat("true", 8) + "false"; got != want {
		t.Errorf("rights of the owner = %s, want %s", got, want)
	}
	if _, err := conn.Exec(t.Context(), "SET session_replication_role = replica"); err == nil {
		t.Error("the owner could set session_replication_role; on Neon nobody can")
	}
	// Roles and databases made or renamed by SQL show up.
	for _, sql := range []string{"CREATE ROLE app LOGIN", "CREATE DATABASE shop__next", "ALTER DATABASE shop__next RENAME TO shop"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(r.want(200, "GET", in+"/roles", ""), "roles", "name"); got != "neondb_owner app" {
		t.Errorf("roles = %q", got)
	}
	if got := names(r.want(200, "GET", in+"/databases", ""), "databases", "name"); got != "neondb shop" {
		t.Errorf("databases = %q", got)
	}
	r.want(404, "GET", in+"/roles/app/reveal_password", "")
}

// uri gives the connection URI of neondb on a branch, empty for the default.
func (r *raw) uri(project, branch string) string {
	r.t.Helper()
	path := "/projects/" + project + "/connection_uri?database_name=neondb&role_name=neondb_owner"
	if branch != "" {
		path += "&branch_id=" + branch
	}
	return r.want(200, "GET", path, "")["uri"].(string)
}

func TestCreateDatabase(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := newProject(t, s)
	r := newRaw(t, s)
	path := "/projects/" + p.ID + "/branches/" + p.RootBranchID + "/databases"
	// No database is made while somebody is in the template.
	address, err := s.BranchURL(p.RootBranchID, "template1")
	if err != nil {
		t.Fatal(err)
	}
	inTheWay := pgtest.Connect(t, address)
	made := r.want(201, "POST", path, `{"database":{"name":"shop","owner_name":"neondb_owner"}}`)
	if got := names(made, "operations", "status"); got != "scheduling" {
		t.Errorf("operations begin as %q", got)
	}
	// While it runs, the whole project is locked for changes, not for reads.
	for _, body := range []string{`{"database":{"name":"other","owner_name":"neondb_owner"}}`} {
		out := r.want(423, "POST", path, body)
		if out["message"] != "project already has running conflicting operations, scheduling of new ones is prohibited" {
			t.Errorf("message of the lock = %q", out["message"])
		}
	}
	r.want(423, "POST", "/projects/"+p.ID+"/branches", "")
	r.want(200, "GET", path, "")
	_ = inTheWay.Close(t.Context())
	r.idle(p.ID, made)
	if got := names(r.want(200, "GET", path, ""), "databases", "name"); got != "neondb shop" {
		t.Errorf("databases = %q", got)
	}
	for body, want := range map[string]int{
		`{"database":{"name":"shop","owner_name":"neondb_owner"}}`:     http.StatusConflict,
		`{"database":{"name":"postgres","owner_name":"neondb_owner"}}`: http.StatusConflict,
		`{"database":{"name":"x","owner_name":"nobody"}}`:              http.StatusNotFound,
		`{"database":{"name":"x"}}`:                                    http.StatusBadRequest,
		`{"databse":{"name":"x"}}`:                                     http.StatusBadRequest,
		`{`:                                                            http.StatusBadRequest,
	} {
		r.want(want, "POST", path, body)
	}
}

func TestBranches(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := newProject(t, s)
	r := newRaw(t, s)
	in := "/projects/" + p.ID + "/branches"
	pgtest.Exec(t, r.uri(p.ID, ""), "CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")

	made := r.want(201, "POST", in, fmt.Sprintf(`{"branch":{"parent_id":%q,"name":"twin"},"endpoints":[{"type":"read_write"}],"annotation_value":{"made-by":"test"}}`, p.RootBranchID))
	twin := made["branch"].(map[string]any)["id"].(string)
	if got := names(made, "operations", "action"); got != "create_branch start_compute" {
		t.Errorf("operations = %q", got)
	}
	r.idle(p.ID, made)
	got := r.want(200, "GET", in+"/"+twin, "")
	branch := got["branch"].(map[string]any)
	if branch["parent_id"] != p.RootBranchID || branch["parent_lsn"] == nil || branch["current_state"] != "ready" {
		t.Errorf("branch = %v", branch)
	}
	if value := got["annotation"].(map[string]any)["value"].(map[string]any); value["made-by"] != "test" {
		t.Errorf("annotation = %v", value)
	}
	// A server of its own, with the parent's data and password as they were.
	uri := r.uri(p.ID, twin)
	pgtest.Exec(t, r.uri(p.ID, ""), "INSERT INTO kept VALUES (8)")
	pgtest.Exec(t, uri, "INSERT INTO kept VALUES (9)")
	if got := sum(t, uri); got != 16 {
		t.Errorf("the child's rows add up to %d, want 16", got)
	}
	if got := sum(t, r.uri(p.ID, "")); got != 15 {
		t.Errorf("the parent's rows add up to %d, want 15", got)
	}
	super, err := s.BranchURL(twin, "neondb")
	if err != nil {
		t.Fatal(err)
	}
	if got := sum(t, super); got != 16 {
		t.Errorf("the judge sees rows that add up to %d, want 16", got)
	}

	// No compute unless asked.
	bare := r.want(201, "POST", in, fmt.Sprintf(`{"branch":{"parent_id":%q,"name":"bare"}}`, twin))
	r.idle(p.ID, bare)
	bareID := bare["branch"].(map[string]any)["id"].(string)
	if got := names(r.want(200, "GET", in+"/"+bareID+"/endpoints", ""), "endpoints", "id"); got != "" {
		t.Errorf("a branch without compute has %q", got)
	}
	r.want(404, "GET", "/projects/"+p.ID+"/connection_uri?database_name=neondb&role_name=neondb_owner&branch_id="+bareID, "")
	r.want(409, "POST", in, `{"branch":{"name":"twin"}}`)
	r.want(422, "POST", in, `{"branch":{"name":"later","expires_at":"2030-01-01T00:00:00Z"}}`)

	// A branch with children stays, the default one too; a leaf goes.
	r.want(422, "DELETE", in+"/"+twin, "")
	r.want(422, "DELETE", in+"/"+p.RootBranchID, "")
	r.idle(p.ID, r.want(200, "DELETE", in+"/"+bareID, ""))
	r.want(204, "DELETE", in+"/"+bareID, "")
	r.want(404, "GET", in+"/"+bareID, "")
	r.idle(p.ID, r.want(200, "DELETE", in+"/"+twin, ""))
	if conn, err := pgx.Connect(t.Context(), uri); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the server of a deleted branch still answers")
	}
}

func sum(t *testing.T, uri string) (n int) {
	t.Helper()
	if err := pgtest.Connect(t, uri).QueryRow(t.Context(), "SELECT sum(id) FROM kept").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestProtectedBranch(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := newProject(t, s)
	r := newRaw(t, s)
	in := "/projects/" + p.ID + "/branches"
	dock := r.want(201, "POST", in, `{"branch":{"name":"dock","protected":true},"endpoints":[{"type":"read_write"}]}`)
	r.idle(p.ID, dock)
	dockID := dock["branch"].(map[string]any)["id"].(string)
	r.want(422, "DELETE", in+"/"+dockID, "")
	child, err := s.CreateBranch(t.Context(), p.ID, dockID, "child")
	if err != nil {
		t.Fatal(err)
	}
	password := func(branch string) any {
		return r.want(200, "GET", in+"/"+branch+"/roles/neondb_owner/reveal_password", "")["password"]
	}
	if password(p.RootBranchID) != password(dockID) {
		t.Error("a child of an unprotected branch does not have its parent's password")
	}
	if password(dockID) == password(child.ID) {
		t.Error("a child of a protected branch has its parent's password")
	}
	pgtest.Connect(t, r.uri(p.ID, child.ID))
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := newProject(t, s)
	for _, name := range []string{"b", "a"} {
		if _, err := s.CreateBranch(t.Context(), p.ID, p.RootBranchID, name); err != nil {
			t.Fatal(err)
		}
	}
	r := newRaw(t, s)
	in := "/projects/" + p.ID
	var got []string
	query := "?sort_by=name&sort_order=asc&limit=2"
	for cursor := ""; ; {
		page := r.want(200, "GET", in+"/branches"+query+cursor, "")
		got = append(got, names(page, "branches", "name"))
		next, ok := page["pagination"].(map[string]any)
		if !ok {
			break
		}
		cursor = "&cursor=" + next["next"].(string)
	}
	if strings.Join(got, "|") != "a b|main" {
		t.Errorf("pages of branches = %q", got)
	}
	if got := names(r.want(200, "GET", in+"/branches?search=mai", ""), "branches", "name"); got != "main" {
		t.Errorf("search found %q", got)
	}
	page := r.want(200, "GET", in+"/operations?limit=5", "")
	next := page["pagination"].(map[string]any)["cursor"].(string)
	rest := r.want(200, "GET", in+"/operations?limit=5&cursor="+next, "")
	if got := names(page, "operations", "action") + "|" + names(rest, "operations", "action"); got !=
		"start_compute create_branch start_compute create_branch start_compute|create_timeline" {
		t.Errorf("operations, newest first = %q", got)
	}
	r.want(400, "GET", in+"/branches?limit=0", "")
	r.want(400, "GET", in+"/branches?sort_by=size", "")
	r.want(400, "GET", in+"/operations?cursor=x", "")
	r.want(400, "GET", in+"/connection_uri?database_name=neondb", "")
}

func TestOnlyLoopback(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80", "example.com:80", "127.0.0.1"} {
		s, err := neontest.Start(t.Context(), neontest.Options{Dir: t.TempDir(), Addr: addr})
		if err == nil {
			_ = s.Close(t.Context())
			t.Errorf("listens on %q", addr)
		}
	}
}
