// Package pgtest gives each test a PostgreSQL database of its own, on a
// private server that is started once for a test binary.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pglocal"
)

// server is the test binary's cluster, or where TEST_DATABASE_URL points.
type server struct {
	cluster *pglocal.Cluster
	url     string
	err     error
}

var (
	shared = sync.OnceValue(start)
	serial atomic.Int64
)

// Main is for TestMain: it runs the tests and removes the server afterwards.
func Main(m *testing.M) {
	code := m.Run()
	if s, ok := started(); ok && s.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_ = s.cluster.Remove(ctx)
		cancel()
	}
	stopServers()
	os.Exit(code)
}

// URL makes an empty database and gives its address as superuser. It is
// dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	return create(t, "")
}

// Clone is URL with the contents of the database at template, to which nobody
// may be connected.
func Clone(t testing.TB, template string) string {
	t.Helper()
	u, err := url.Parse(template)
	if err != nil {
		t.Fatal(err)
	}
	return create(t, strings.TrimPrefix(u.Path, "/"))
}

// Connect opens a connection that is closed when the test ends.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs SQL statements on the database at url, all in one message. It may
// be used in a cleanup.
func Exec(t testing.TB, url, sql string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		t.Fatalf("%v\nin: %.400s", err, sql)
	}
}

// Schema is what pg_dump says of a database, but for owners, grants and the
// schema neontwin.
func Schema(t testing.TB, url string) string {
	t.Helper()
	var kept []string
	for line := range strings.Lines(Dump(t, url, "--schema-only", "--exclude-schema=neontwin")) {
		// These two lines carry a random word.
		if !strings.HasPrefix(line, `\restrict `) && !strings.HasPrefix(line, `\unrestrict `) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// Dump is what pg_dump says of a database, but for owners and grants.
func Dump(t testing.TB, url string, flags ...string) string {
	t.Helper()
	program := "pg_dump"
	if dir, err := pglocal.Find(os.Getenv("NEONTWIN_PG_BIN")); err == nil {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			program = path // not Debian's script, which takes longer than the program
		}
	}
	cmd := exec.CommandContext(t.Context(), program, append(flags, "--no-owner", "--no-privileges", url)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v\n%s", err, &said)
	}
	return string(out)
}

// Cluster starts a server for one test alone, for tests that kill or configure
// it. It is removed when the test ends.
func Cluster(t testing.TB, settings map[string]string) *pglocal.Cluster {
	t.Helper()
	requireBinaries(t)
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	c, err := pglocal.Start(t.Context(), pglocal.Options{Dir: dir, Settings: settings, Volatile: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.Remove(ctx)
	})
	return c
}

// Long skips a test that takes long, unless everything is asked for: make test
// answers within minutes, make test/long tells the rest.
func Long(t testing.TB) {
	t.Helper()
	if !Everything() {
		t.Skip("takes long: make test/long runs it")
	}
}

// Everything reports whether time doesn't matter.
func Everything() bool { return os.Getenv("NEONTWIN_TEST_LONG") != "" }

// Dir makes a folder for a cluster; see pglocal.Scratch.
func Dir() (string, error) { return pglocal.Scratch("neontwin-test-") }

var running atomic.Pointer[server]

func started() (server, bool) {
	if s := running.Load(); s != nil {
		return *s, true
	}
	return server{}, false
}

func start() server {
	s := func() server {
		if u := os.Getenv("TEST_DATABASE_URL"); u != "" {
			return server{url: u}
		}
		dir, err := Dir()
		if err != nil {
			return server{err: err}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
		defer cancel()
		c, err := pglocal.Start(ctx, pglocal.Options{Dir: dir, Volatile: true})
		if err != nil {
			return server{err: err}
		}
		return server{cluster: c, url: c.URL("postgres")}
	}()
	running.Store(&s)
	return s
}

// requireBinaries skips loudly where there is no PostgreSQL; where CI is set,
// a skip would hide a hole, so it fails.
func requireBinaries(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a database, and -short asks for none")
	}
	_, err := pglocal.Find(os.Getenv("NEONTWIN_PG_BIN"))
	if errors.Is(err, pglocal.ErrNotInstalled) && os.Getenv("CI") == "" {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, template string) string {
	t.Helper()
	if os.Getenv("TEST_DATABASE_URL") == "" || testing.Short() {
		requireBinaries(t)
	}
	s := shared()
	if s.err != nil {
		t.Fatal(s.err)
	}
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), serial.Add(1))
	sql := "CREATE DATABASE " + name
	if template != "" {
		sql += " TEMPLATE " + pgx.Identifier{template}.Sanitize()
	}
	admin(t, s.url, sql)
	t.Cleanup(func() { admin(t, s.url, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func admin(t testing.TB, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
