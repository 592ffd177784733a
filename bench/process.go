package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// command is one program of a contender. Passwords stand in env alone.
type command struct {
	program string
	args    []string
	env     []string
}

// pipeline is programs that run at once, each reading what the one before it
// writes. A contender is one pipeline after the other.
type pipeline []command

// usage is what a contender took.
type usage struct {
	Wall time.Duration `json:"wall"`
	// CPU is the processor time of the contender's programs and of what they
	// started, without the servers'.
	CPU time.Duration `json:"cpu"`
	// Memory is the most that its programs held at once; pages that several
	// of them share count once.
	Memory int64 `json:"memory"`
	// Staged is the most that it had on disk, the servers' data apart.
	Staged int64 `json:"staged"`
}

// sampleEvery is how often memory and disk are looked at.
const sampleEvery = 100 * time.Millisecond

// execAll runs the pipelines and gives what the last program wrote on its
// standard output. dir is their temporary folder, whose size is watched.
func execAll(ctx context.Context, pipelines []pipeline, dir string) (usage, []byte, error) {
	var u usage
	var out []byte
	began := time.Now()
	for _, p := range pipelines {
		one, text, err := p.exec(ctx, dir)
		u.CPU += one.CPU
		u.Memory, u.Staged = max(u.Memory, one.Memory), max(u.Staged, one.Staged)
		u.Wall = time.Since(began)
		if err != nil {
			return u, nil, err
		}
		out = text
	}
	return u, out, nil
}

func (p pipeline) exec(ctx context.Context, dir string) (usage, []byte, error) {
	var u usage
	var stdout bytes.Buffer
	cmds := make([]*exec.Cmd, len(p))
	words := make([]bytes.Buffer, len(p))
	var input *os.File
	for i, c := range p {
		cmd := exec.CommandContext(ctx, c.program, c.args...)
		cmd.Env = append(append(os.Environ(), "TMPDIR="+dir, "LC_ALL=C"), c.env...)
		cmd.Dir, cmd.Stderr = dir, &words[i]
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 10 * time.Second
		if input != nil {
			cmd.Stdin = input
		}
		var output *os.File
		if i == len(p)-1 {
			cmd.Stdout = &stdout
		} else {
			var err error
			if input, output, err = os.Pipe(); err != nil {
				return u, nil, err
			}
			cmd.Stdout = output
		}
		err := cmd.Start()
		closeFiles(cmd.Stdin, output) // the child has them now
		if err != nil {
			return u, nil, fmt.Errorf("start %s: %w", c.program, err)
		}
		cmds[i] = cmd
	}
	stop := watch(cmds, dir, &u)
	var errs []error
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w: %s", filepath.Base(p[i].program), err, p[i].scrub(lastLines(words[i].String(), 3))))
		}
		u.CPU += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() // its reaped children included
	}
	stop()
	return u, stdout.Bytes(), errors.Join(errs...)
}

func closeFiles(in io.Reader, out *os.File) {
	if f, ok := in.(*os.File); ok {
		_ = f.Close()
	}
	if out != nil {
		_ = out.Close()
	}
}

// scrub takes out of a program's words whatever secrets it was given.
func (c command) scrub(text string) string {
	var secrets []string
	for _, variable := range c.env {
		name, val, _ := strings.Cut(variable, "=")
		if strings.HasSuffix(name, "PASSWORD") {
			secrets = append(secrets, val)
		}
		if u, err := url.Parse(val); err == nil && u.User != nil {
			password, _ := u.User.Password()
			secrets = append(secrets, val, password)
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // one may hold another
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	return text
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}

// watch notes the peaks of memory and disk until the function that it gives
// is called.
func watch(cmds []*exec.Cmd, dir string, u *usage) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	look := func() {
		var memory int64
		for _, cmd := range cmds {
			for _, pid := range tree(cmd.Process.Pid) {
				memory += resident(pid)
			}
		}
		u.Memory, u.Staged = max(u.Memory, memory), max(u.Staged, size(dir))
	}
	go func() {
		defer close(ended)
		t := time.NewTicker(sampleEvery)
		defer t.Stop()
		for {
			select {
			case <-done:
				u.Staged = max(u.Staged, size(dir))
				return
			case <-t.C:
				look()
			}
		}
	}()
	return func() { close(done); <-ended }
}

// tree is a process and all that came from it. What ends meanwhile is left out.
func tree(pid int) []int {
	pids := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is well formed
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, tree(child)...)
			}
		}
	}
	return pids
}

// resident is a process's share of the memory it has: a page that n processes
// map counts for one nth.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// size is how many bytes the files in a folder have on disk.
func size(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what has gone meanwhile has no size
		}
		if info, err := d.Info(); err == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				n += s.Blocks * 512
			}
		}
		return nil
	})
	return n
}

// serverCPU is the processor time that a server has used so far, its ended
// sessions included.
func serverCPU(postmaster int) time.Duration {
	ticks := stat(postmaster, true)
	for _, pid := range tree(postmaster)[1:] {
		ticks += stat(pid, false)
	}
	return time.Duration(ticks) * tick
}

// tick is what the kernel counts processor time in for /proc: USER_HZ.
const tick = time.Second / 100

// stat reads a process's ticks, and those of its children that have ended.
func stat(pid int, children bool) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest) // from the third field of proc(5) on
	last := 13
	if children {
		last = 15
	}
	var sum int64
	for i := 11; i < last && i < len(fields); i++ {
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		sum += n
	}
	return sum
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// postmaster is the process id of the server on a data directory.
func postmaster(dataDir string) int {
	text, _ := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	line, _, _ := strings.Cut(string(text), "\n")
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	return pid
}

// load is the machine's load average of the last minute.
func load() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	word, _, _ := strings.Cut(string(text), " ")
	n, _ := strconv.ParseFloat(word, 64)
	return n
}
