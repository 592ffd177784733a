package pglocal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// ErrNotInstalled says that this machine has no PostgreSQL server binaries.
var ErrNotInstalled = errors.New("no PostgreSQL server found on this machine; install it " +
	"(Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql) or set NEONTWIN_PG_BIN to the folder of initdb and postgres")

// Find gives the folder of the newest installed server's binaries: the asked
// one if it isn't empty, else what Debian, Ubuntu, Homebrew or PATH offer.
func Find(asked string) (string, error) {
	if asked != "" {
		if !serves(asked) {
			return "", fmt.Errorf("%s holds no initdb and postgres", asked)
		}
		return asked, nil
	}
	var dirs []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin", "/usr/pgsql-*/bin",
	} {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	sort.Slice(dirs, func(i, j int) bool { return major(dirs[i]) > major(dirs[j]) })
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for _, dir := range dirs {
		if serves(dir) {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

func serves(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

// major reads the version out of a folder such as /usr/lib/postgresql/15/bin.
func major(dir string) int {
	part := filepath.Base(filepath.Dir(dir))
	n, _ := strconv.Atoi(part[strings.LastIndexAny(part, "@-")+1:])
	return n
}
