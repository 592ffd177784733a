package pgtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pglocal"
)

// Majors are the versions of PostgreSQL that sources and targets may have.
func Majors() []int { return []int{13, 14, 15, 16, 17, 18} }

// majors keeps a server of each version that a test has asked for.
var majors struct {
	sync.Mutex
	running map[int]*pglocal.Cluster
}

// Server gives a server of a major version, one for the whole test binary; its
// databases and roles are the caller's to remove. It is looked for where
// scripts/servers unpacks it and where the machine's packages are. A test that
// asks for one that is not there is skipped.
func Server(t testing.TB, major int) *pglocal.Cluster {
	t.Helper()
	requireBinaries(t)
	bin := serverBin(t, major)
	if bin == "" {
		t.Skipf("SKIPPED, NOT TESTED: no PostgreSQL %d server on this machine; make setup/servers unpacks one", major)
	}
	majors.Lock()
	defer majors.Unlock()
	if c := majors.running[major]; c != nil {
		return c
	}
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	c, err := pglocal.Start(ctx, pglocal.Options{Dir: dir, Bin: bin, Volatile: true})
	if err != nil {
		t.Fatal(err)
	}
	if majors.running == nil {
		majors.running = make(map[int]*pglocal.Cluster)
	}
	majors.running[major] = c
	return c
}

// stopServers ends what Server has started.
func stopServers() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, c := range majors.running {
		_ = c.Remove(ctx)
	}
}

// serverBin is the folder of a version's initdb and postgres, or empty.
func serverBin(t testing.TB, major int) string {
	t.Helper()
	places := []string{fmt.Sprintf("/usr/lib/postgresql/%d/bin", major), fmt.Sprintf("/opt/homebrew/opt/postgresql@%d/bin", major), fmt.Sprintf("/usr/pgsql-%d/bin", major)}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; root != filepath.Dir(root); root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			places = append([]string{filepath.Join(root, ".cache", "postgres", fmt.Sprint(major), "bin")}, places...)
			break
		}
	}
	for _, dir := range places {
		if found, err := pglocal.Find(dir); err == nil {
			return found
		}
	}
	return ""
}
