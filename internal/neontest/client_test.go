package neontest_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/neontwin/neontwin/internal/neon"
	"github.com/neontwin/neontwin/internal/neontest"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// client is the product's client, each of whose requests is held against the
// published description.
func client(t *testing.T, s *neontest.Server, log *slog.Logger) (*neon.Client, *contract) {
	t.Helper()
	c := &contract{t: t, requests: true}
	return neon.New(neon.Config{BaseURL: s.URL(), APIKey: s.APIKey(), HTTPClient: &http.Client{Transport: c}, Logger: log}), c
}

func TestClient(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := newProject(t, s)
	ctx := t.Context()
	c, seen := client(t, s, nil)

	project, err := c.Project(ctx, p.ID)
	if err != nil || project.ID != p.ID || project.Name != p.Name || project.PGVersion < 14 || !project.StorePasswords || project.HistoryRetentionSeconds == 0 {
		t.Errorf("project = %+v, %v", project, err)
	}
	branch, err := c.Branch(ctx, p.ID, "main")
	if err != nil || branch.ID != p.RootBranchID || !branch.Default || branch.CurrentState != "ready" || branch.CreatedAt.IsZero() {
		t.Errorf("branch = %+v, %v", branch, err)
	}
	endpoints, err := c.Endpoints(ctx, p.ID, branch.ID)
	if err != nil || len(endpoints) != 1 || endpoints[0].Type != "read_write" || endpoints[0].BranchID != branch.ID {
		t.Fatalf("endpoints = %+v, %v", endpoints, err)
	}
	roles, err := c.Roles(ctx, p.ID, branch.ID)
	if err != nil || len(roles) != 1 || roles[0].Name != "neondb_owner" {
		t.Errorf("roles = %+v, %v", roles, err)
	}
	_, ops, err := c.CreateDatabase(ctx, p.ID, branch.ID, "shop", "neondb_owner")
	if err != nil || len(ops) == 0 {
		t.Fatalf("create database: %v, %v", ops, err)
	}
	if err := c.Wait(ctx, p.ID, ops); err != nil {
		t.Fatal(err)
	}
	databases, err := c.Databases(ctx, p.ID, branch.ID)
	if err != nil || len(databases) != 2 || databases[1].Name != "shop" || databases[1].OwnerName != "neondb_owner" {
		t.Errorf("databases = %+v, %v", databases, err)
	}
	all, err := c.Operations(ctx, p.ID, 1)
	if err != nil || len(all) != 1 || all[0].ID != ops[0].ID || all[0].Status != "finished" {
		t.Errorf("operations = %+v, %v", all, err)
	}
	uri, err := c.ConnectionURI(ctx, p.ID, endpoints[0], "shop", "neondb_owner")
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, uri, "CREATE TABLE kept (id int)")

	// The errors of every call are described, too.
	if _, err := c.Project(ctx, "none"); class(err) != neon.NotFound {
		t.Errorf("unknown project: %v", err)
	}
	if _, _, err := c.CreateDatabase(ctx, p.ID, branch.ID, "shop", "neondb_owner"); class(err) != neon.BadRequest {
		t.Errorf("database made twice: %v", err)
	}
	if router, _ := published(); router == nil {
		return
	}
	for _, op := range strings.Fields(`getProject listProjectBranches listProjectBranchEndpoints listProjectBranchRoles
		createProjectBranchDatabase listProjectBranchDatabases getProjectOperation listProjectOperations getConnectionURI`) {
		if !seen.seen[op] {
			t.Errorf("%s was not held against the description", op)
		}
	}
}

func class(err error) neon.Class {
	var api *neon.APIError
	if errors.As(err, &api) {
		return api.Class
	}
	return ""
}

// TestClientsMeet has two changes of one project at once: one client waits for
// its own, and Neon's lock is waited for where another client holds it.
func TestClientsMeet(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := newProject(t, s)
	var log syncBuffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	var wg sync.WaitGroup
	for _, name := range []string{"one", "two"} {
		c, _ := client(t, s, logger)
		wg.Go(func() {
			_, ops, err := c.CreateDatabase(t.Context(), p.ID, p.RootBranchID, name, "neondb_owner")
			if err != nil {
				t.Errorf("create %s: %v", name, err)
			} else if err := c.Wait(t.Context(), p.ID, ops); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c, _ := client(t, s, nil)
	if all, err := c.Databases(t.Context(), p.ID, p.RootBranchID); err != nil || len(all) != 3 {
		t.Errorf("databases = %v, %v", all, err)
	}
	if !strings.Contains(log.String(), "status=423") {
		t.Errorf("no lock was met; the log is %q", log.String())
	}
	if strings.Contains(log.String(), s.APIKey()) {
		t.Error("the API key is in the log")
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestDatabaseURL(t *testing.T) {
	t.Parallel()
	s := sandbox(t)
	p := newProject(t, s)
	twin, err := s.CreateBranch(t.Context(), p.ID, p.RootBranchID, "twin")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	c, _ := client(t, s, nil)

	uri, err := c.DatabaseURL(ctx, p.ID, "twin", "neondb", "")
	if err != nil {
		t.Fatal(err)
	}
	if byID, err := c.DatabaseURL(ctx, p.ID, twin.ID, "neondb", "neondb_owner"); err != nil || byID != uri {
		t.Errorf("by id the address differs (%v)", err)
	}
	pgtest.Exec(t, uri, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
	judge, err := s.BranchURL(twin.ID, "neondb")
	if err != nil {
		t.Fatal(err)
	}
	if got := sum(t, judge); got != 1 {
		t.Error("the address does not lead to the twin")
	}

	// Of a database that is made later.
	later, err := c.DatabaseURL(ctx, p.ID, "twin", "Shop 1/2", "")
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, uri, `CREATE DATABASE "Shop 1/2"`)
	var database, user string
	if err := pgtest.Connect(t, later).QueryRow(ctx, "SELECT current_database(), current_user").Scan(&database, &user); err != nil {
		t.Fatal(err)
	}
	if database != "Shop 1/2" || user != "neondb_owner" {
		t.Errorf("connected to %q as %q", database, user)
	}

	// Nothing is used in place of what is not there.
	for _, bad := range []struct{ branch, database, role, says string }{
		{"twi", "neondb", "", `there is no branch "twi" in project ` + p.ID + "; there are: main ("},
		{"", "neondb", "", "there is no branch"},
		{"twin", "", "", "there is no database"},
		{"twin", "neondb", "nobody", `there is no role "nobody" in branch twin; there are: neondb_owner`},
	} {
		uri, err := c.DatabaseURL(ctx, p.ID, bad.branch, bad.database, bad.role)
		var lookup *neon.LookupError
		if uri != "" || !errors.As(err, &lookup) || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := c.DatabaseURL(ctx, "none", "twin", "neondb", ""); class(err) != neon.NotFound {
		t.Errorf("unknown project: %v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.DatabaseURL(ctx, p.ID, "twin", "neondb", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("after a cancellation: %v", err)
	}
}
