package pgtools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// DumpOptions says what a dump holds. It never holds rows, large objects,
// publications, subscriptions or security labels.
type DumpOptions struct {
	// Snapshot is an exported snapshot to dump under. Empty: a new one.
	Snapshot string
	// Encoding of definitions; empty: UTF8. A database in SQL_ASCII has no other
	// that fits whatever it holds.
	Encoding string
	// ACL includes grants.
	ACL bool
	// LockTimeout bounds the wait for ACCESS SHARE locks. 0: 20 seconds.
	LockTimeout time.Duration
	// ExcludeSchemas leaves out schemas of these exact names.
	ExcludeSchemas []string
}

// grace is how long a cancelled pg_dump has to cancel its own query before it
// is killed. A query left behind would go on waiting for a lock and so block
// the application.
const grace = 3 * time.Second

// Dump runs pg_dump on the database at url, a postgres:// address, and reads
// its archive while it is being written. The password goes to the child's
// environment alone. Cancelling ctx tells the server to stop, ends the
// child's whole process group and waits for it. Errors are a *DumpError or
// the context's.
func (t Tools) Dump(ctx context.Context, url string, o DumpOptions) (*Archive, error) {
	target, err := parseAddress(url)
	if err != nil {
		return nil, &DumpError{Kind: KindConnection, Detail: err.Error(), Err: err}
	}
	cmd := exec.CommandContext(ctx, t.PgDump, t.arguments(target.url, o)...)
	cmd.Env = environment(target.password)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	stderr := &tail{}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start pg_dump: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, &DumpError{Kind: KindOther, Detail: "pg_dump can't be started", Err: err}
	}
	archive, readErr := ReadArchive(stdout)
	if readErr == nil {
		// Nothing follows in a dump without rows. If something does,
		// pg_dump must not hang on a full pipe.
		_, readErr = io.Copy(io.Discard, stdout)
	}
	if readErr != nil && !errors.Is(readErr, io.ErrUnexpectedEOF) {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // not waited for yet, so the id is its own
	}
	waitErr := cmd.Wait()
	if ctx.Err() != nil {
		// Whatever is left of the group, if pg_dump was killed or is a wrapper.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		return nil, fmt.Errorf("dump schema: %w", context.Cause(ctx))
	}
	if waitErr != nil || readErr != nil {
		return nil, t.dumpError(target.scrub(stderr.String()), waitErr, readErr)
	}
	return archive, nil
}

// arguments are pg_dump's. None of them is secret.
func (t Tools) arguments(url string, o DumpOptions) []string {
	timeout := o.LockTimeout
	if timeout <= 0 {
		timeout = 20 * time.Second
	}
	args := []string{
		"--format=custom", "--encoding=" + cmp.Or(o.Encoding, "UTF8"), "--compress=0", "--schema-only", "--no-password",
		"--no-publications", "--no-subscriptions", "--no-security-labels", "--no-tablespaces",
		"--lock-wait-timeout=" + strconv.FormatInt(timeout.Milliseconds(), 10),
	}
	switch {
	case t.Major >= 16:
		args = append(args, "--no-large-objects")
	case t.Major >= 10:
		args = append(args, "--no-blobs")
	}
	if t.Major >= 15 {
		args = append(args, "--no-table-access-method")
	}
	if t.Major >= 18 {
		args = append(args, "--no-statistics") // they hold values of rows
	}
	if o.Snapshot != "" {
		args = append(args, "--snapshot="+o.Snapshot)
	}
	if !o.ACL {
		args = append(args, "--no-privileges")
	}
	for _, s := range o.ExcludeSchemas {
		// Quotes make it a name instead of a pattern.
		args = append(args, `--exclude-schema="`+strings.ReplaceAll(s, `"`, `""`)+`"`)
	}
	return append(args, "--dbname="+url)
}

// environment is the child's: what a program needs to run, English messages,
// and the password. What our own environment says of PostgreSQL is left out.
func environment(password string) []string {
	env := []string{
		"LC_ALL=C", "TZ=UTC", "PGAPPNAME=neontwin",
		// A file that can't exist: a password of the user who runs us is none
		// of ours.
		"PGPASSFILE=" + os.DevNull + "/none", "PGSERVICEFILE=" + os.DevNull + "/none", "PGSYSCONFDIR=" + os.DevNull,
	}
	if password != "" {
		env = append(env, "PGPASSWORD="+password)
	}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR":
			env = append(env, kv)
		}
	}
	return env
}

// tail keeps the last of what is written to it: the cause
// stands at the end, and a child must not fill our memory.
type tail struct {
	b       []byte
	skipped bool
}

// tailSize is how much of stderr is kept.
const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if n := len(t.b) - tailSize; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
		t.skipped = true
	}
	return len(p), nil
}

func (t *tail) String() string {
	s := strings.TrimSpace(strings.ToValidUTF8(string(t.b), "?"))
	if t.skipped {
		s = "... " + s
	}
	return s
}
