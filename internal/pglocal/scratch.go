package pglocal

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Scratch makes a folder that a server can live in for a while: in memory where
// there is plenty, because making and dropping databases is mostly work for the
// file system, else below the system's temporary folder. A test's own
// temporary folder keeps out the user that root runs servers as. The folder
// belongs to this process. What a process that was killed has left under the
// same prefix is removed, servers stopped.
func Scratch(prefix string) (string, error) {
	parent := os.TempDir()
	if roomy(memory) {
		parent = memory
	}
	sweep(parent, prefix)
	dir, err := os.MkdirTemp(parent, fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil {
		return "", err
	}
	// Others may pass through it, not look into it.
	return dir, os.Chmod(dir, 0o711)
}

// memory is Linux's file system that lives in memory.
const memory = "/dev/shm"

// roomy reports whether several servers can live in dir; in a container it is
// often tiny.
func roomy(dir string) bool {
	const enough = 4 << 30
	var fs syscall.Statfs_t
	return syscall.Statfs(dir, &fs) == nil && fs.Bavail > enough/uint64(fs.Bsize)
}

func sweep(parent, prefix string) {
	old, _ := filepath.Glob(filepath.Join(parent, prefix+"*")) // the pattern is well formed
	for _, dir := range old {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		stopUnder(dir)
		_ = os.RemoveAll(dir) // what belongs to another user stays
	}
}

// stopUnder ends all servers whose data lies somewhere in dir.
func stopUnder(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "postmaster.pid" {
			return nil //nolint:nilerr // what can't be read isn't ours
		}
		if pid, _ := readPostmaster(filepath.Dir(path)); pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGQUIT)
		}
		return filepath.SkipDir
	})
}
