package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/neontwin/neontwin/internal/pglocal"
)

// wrongClocks are by how many seconds the clock of a server of wrongBinary is
// ahead: it jumps to the next every three seconds.
const wrongClocks = "-93600, 7200, -300, 0, 86400, 40"

// shift goes into package time. What is monotonic stays so: a clock that is set
// moves the wall's alone.
const shift = `package time

var shifts = [...]int64{` + wrongClocks + `}

// Now is now, by a clock that jumps.
func Now() Time {
	t := trueNow()
	t.addSec(shifts[uint64(runtimeNano())/3_000_000_000%uint64(len(shifts))])
	return t
}
`

var buildWrong = sync.OnceValues(func() (string, error) {
	dir, err := pglocal.Scratch("neontwin-clock-test-")
	if err != nil {
		return "", err
	}
	ctx := context.Background()
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	text, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		return "", err
	}
	const old = "\nfunc Now() Time {"
	if strings.Count(string(text), old) != 1 {
		return "", fmt.Errorf("package time has no func Now() Time")
	}
	files := map[string]string{"time.go": strings.Replace(string(text), old, "\nfunc trueNow() Time {", 1), "shift.go": shift}
	replace := make(map[string]string)
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(folder, name)] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "server")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", path, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// wrongBinary compiles a server whose clock is wrong, and jumps.
func wrongBinary(t *testing.T) (string, error) {
	t.Helper()
	return buildWrong()
}
