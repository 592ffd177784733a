// Package pgtools runs pg_dump and reads its archive as data: which objects a
// schema has, how each is made, and at which stage of a copy it is made.
package pgtools

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// Tools is a pg_dump that was found on this machine.
type Tools struct {
	// PgDump is the path of the program.
	PgDump string
	// Major is its major version, such as 17.
	Major int
	// Version is its version as it prints it, such as "17.6".
	Version string
}

// TooOldError says that no pg_dump here can read a server of the wanted
// version: pg_dump reads servers up to its own major version.
type TooOldError struct {
	Found Tools // the newest there is; its Major is 0 if there is none
	Need  int   // the server's major version
}

// Error says what to install.
func (e *TooOldError) Error() string {
	have := "no pg_dump found"
	if e.Found.Major > 0 {
		have = fmt.Sprintf("pg_dump %d can't read server %d", e.Found.Major, e.Need)
	}
	return fmt.Sprintf("%s; install postgresql-client-%d or newer "+
		"(Debian, Ubuntu: apt-get install postgresql-client-%d, from apt.postgresql.org if need be; macOS: brew install libpq)",
		have, e.Need, e.Need)
}

// places is where pg_dump is looked for, besides PATH and an asked folder.
func places() []string {
	return []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin", "/opt/homebrew/opt/libpq/bin",
		"/usr/local/opt/postgresql@*/bin", "/usr/local/opt/libpq/bin",
	}
}

// Find gives the newest pg_dump of this machine, looking in dir first and
// nowhere else if dir is not empty. Where that is older than minMajor, the
// error is a *TooOldError. It runs each program that it finds once.
func Find(ctx context.Context, minMajor int, dir string) (Tools, error) {
	var best Tools
	for _, path := range candidates(dir) {
		t, err := version(ctx, path)
		if err != nil {
			if ctx.Err() != nil {
				return Tools{}, fmt.Errorf("find pg_dump: %w", err)
			}
			continue // a wrapper without a server behind it, or no program at all
		}
		if t.Major > best.Major {
			best = t
		}
	}
	if best.Major == 0 || best.Major < minMajor {
		return Tools{}, &TooOldError{Found: best, Need: minMajor}
	}
	return best, nil
}

// candidates lists paths that may be a pg_dump.
func candidates(dir string) []string {
	if dir != "" {
		return []string{filepath.Join(dir, "pg_dump")}
	}
	var paths []string
	for _, pattern := range places() {
		found, _ := filepath.Glob(filepath.Join(pattern, "pg_dump")) // the patterns are well formed
		paths = append(paths, found...)
	}
	if path, err := exec.LookPath("pg_dump"); err == nil && !wrapper(path) {
		paths = append(paths, path)
	}
	return paths
}

// wrapper reports whether path is Debian's script that starts one of the
// programs in the places; to ask it takes ten times as long as to ask them.
func wrapper(path string) bool {
	leads, err := filepath.EvalSymlinks(path)
	return err == nil && filepath.Base(leads) == "pg_wrapper"
}

// versionLine is what pg_dump --version prints; what follows the number is the
// packager's, or "beta1" and the like.
var versionLine = regexp.MustCompile(`\(PostgreSQL\) (([0-9]+)[^\s]*)`)

func version(ctx context.Context, path string) (Tools, error) {
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = environment("")
	out, err := cmd.Output()
	if err != nil {
		return Tools{}, fmt.Errorf("run %s --version: %w", path, err)
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return Tools{}, errors.New("read the version of " + path + ": unknown answer")
	}
	major, err := strconv.Atoi(string(m[2]))
	if err != nil {
		return Tools{}, fmt.Errorf("read the version of %s: %w", path, err)
	}
	return Tools{PgDump: path, Major: major, Version: string(m[1])}, nil
}
