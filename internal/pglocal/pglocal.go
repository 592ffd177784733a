// Package pglocal runs private PostgreSQL servers from the binaries installed
// on this machine: the embedded control database of a single-machine service,
// the sandbox's databases and those of the tests. A cluster listens on
// loopback only and asks for a password.
package pglocal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Superuser is the role that initdb makes in every cluster.
const Superuser = "postgres"

// Options say which cluster to start.
type Options struct {
	// Dir is where the cluster lives. It is made if it is missing, and
	// initialized if it is empty. As root, it and what is in it will belong to
	// the unprivileged user that runs the server, and every folder above it
	// must let that user pass.
	Dir string
	// Bin is the folder of initdb and postgres; empty means the newest found.
	Bin string
	// Port on 127.0.0.1; 0 takes a free one, or the one of the last start.
	Port int
	// Settings are passed to the server as configuration parameters.
	Settings map[string]string
	// Volatile turns off everything that protects data from a crash of the
	// machine. For tests and sandboxes.
	Volatile bool
}

// Cluster is a running server.
type Cluster struct {
	dir, bin, password string
	port               int
	adopted            bool
	cmd                *exec.Cmd
	exited             chan struct{}
}

// Start initializes the cluster if it is new and starts it. A server that
// still runs on the folder, left by a process that was killed, is adopted.
// The context bounds the start only.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	bin := o.Bin
	if bin == "" {
		var err error
		if bin, err = Find(os.Getenv("NEONTWIN_PG_BIN")); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: bin}
	if err := c.initialize(ctx); err != nil {
		return nil, err
	}
	if c.adopt(ctx) {
		return c, nil
	}
	for try := 0; ; try++ {
		err := c.start(ctx, o)
		if err == nil {
			return c, nil
		}
		// Between choosing a port and binding it, another process may take it.
		if o.Port != 0 || try == 4 || !strings.Contains(err.Error(), "could not bind") {
			return nil, err
		}
		_ = os.Remove(c.portFile())
	}
}

// URL is the address of a database as the superuser, password included.
func (c *Cluster) URL(database string) string { return c.URLFor(Superuser, c.password, database) }

// URLFor is the address of a database for another role.
func (c *Cluster) URLFor(role, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password),
		Host: c.Host(), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Host is the cluster's host and port.
func (c *Cluster) Host() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }

// Port is the cluster's port on 127.0.0.1.
func (c *Cluster) Port() int { return c.port }

// Dir is the folder that the cluster lives in.
func (c *Cluster) Dir() string { return c.dir }

// DataDir is the server's data directory.
func (c *Cluster) DataDir() string { return filepath.Join(c.dir, "data") }

// Bin is the folder of the server's binaries.
func (c *Cluster) Bin() string { return c.bin }

// Password is the superuser's.
func (c *Cluster) Password() string { return c.password }

// Exited is closed when the server process has ended. For an adopted server it
// never is: that process is not our child.
func (c *Cluster) Exited() <-chan struct{} { return c.exited }

// Stop ends the server: connections are cut, everything is on disk.
func (c *Cluster) Stop(ctx context.Context) error { return c.end(ctx, syscall.SIGINT) }

// Kill ends the server without a shutdown checkpoint, as a crash would.
func (c *Cluster) Kill(ctx context.Context) error { return c.end(ctx, syscall.SIGQUIT) }

func (c *Cluster) end(ctx context.Context, sig syscall.Signal) error {
	pid, _ := readPostmaster(c.DataDir())
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop PostgreSQL (pid %d): %w", pid, err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for alive(pid) {
		select {
		case <-c.exited:
			return nil
		case <-ctx.Done():
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return fmt.Errorf("PostgreSQL (pid %d) did not stop in time and was killed: %w", pid, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// Remove stops the server and deletes all that belongs to the cluster.
func (c *Cluster) Remove(ctx context.Context) error {
	return errors.Join(c.end(ctx, syscall.SIGQUIT), os.RemoveAll(c.dir))
}

func (c *Cluster) passwordFile() string { return filepath.Join(c.dir, "password") }
func (c *Cluster) portFile() string     { return filepath.Join(c.dir, "port") }
func (c *Cluster) logFile() string      { return filepath.Join(c.dir, "server.log") }

// initialize runs initdb unless it has been run, and learns the password.
func (c *Cluster) initialize(ctx context.Context) error {
	// The user that runs the server must be able to pass through what is above.
	if err := os.MkdirAll(filepath.Dir(c.dir), 0o711); err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if b, err := os.ReadFile(c.passwordFile()); err == nil {
		c.password = strings.TrimSpace(string(b))
	} else {
		c.password = randomHex(16)
		if err := os.WriteFile(c.passwordFile(), []byte(c.password+"\n"), 0o600); err != nil {
			return err
		}
	}
	if err := giveAway(c.dir, c.passwordFile()); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.DataDir(), "PG_VERSION")); err == nil {
		return nil
	}
	// A kill leaves half a folder that no server starts on, and an initdb that
	// goes on for a while: each has a folder of its own.
	made := c.DataDir() + ".new-" + randomHex(4)
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"), "-D", made, "-U", Superuser,
		"--pwfile", c.passwordFile(), "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	if err := unprivileged(cmd); err != nil {
		return err
	}
	cmd.Dir = c.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb in %s: %w\n%s", c.dir, err, out)
	}
	return os.Rename(made, c.DataDir())
}

// adopt takes over a server that runs on the folder already.
func (c *Cluster) adopt(ctx context.Context) bool {
	pid, port := readPostmaster(c.DataDir())
	if pid == 0 || port == 0 || !alive(pid) {
		return false
	}
	c.port, c.adopted = port, true
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return c.waitReady(ctx) == nil
}

func (c *Cluster) start(ctx context.Context, o Options) error {
	port, err := c.choosePort(o.Port)
	if err != nil {
		return err
	}
	settings := map[string]string{
		"listen_addresses": "127.0.0.1", "port": strconv.Itoa(port), "unix_socket_directories": "",
		"max_connections": "200", "log_min_messages": "warning", "logging_collector": "off",
		"jit": "off", // what is asked here is over before it would be compiled
	}
	if o.Volatile {
		settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"] = "off", "off", "off"
	}
	for k, v := range o.Settings {
		settings[k] = v
	}
	args := []string{"-D", c.DataDir()}
	for k, v := range settings {
		args = append(args, "-c", k+"="+v)
	}
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	began, _ := log.Seek(0, 2)
	// The server outlives the start's context: it is ended by Stop.
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), args...) //nolint:noctx // see above
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, c.dir
	if err := unprivileged(cmd); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	c.cmd, c.exited, c.port = cmd, exited, port

	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	if err := c.waitReady(ctx); err != nil {
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGQUIT)
		<-exited
		text, _ := os.ReadFile(c.logFile())
		return fmt.Errorf("start PostgreSQL in %s: %w\n%s", c.dir, err, bytes.TrimSpace(text[min(began, int64(len(text))):]))
	}
	return os.WriteFile(c.portFile(), []byte(strconv.Itoa(port)), 0o600)
}

func (c *Cluster) choosePort(asked int) (int, error) {
	if asked != 0 {
		return asked, nil
	}
	if b, err := os.ReadFile(c.portFile()); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && free(n) {
			return n, nil
		}
	}
	return FreePort()
}

// waitReady connects until the server answers or has ended.
func (c *Cluster) waitReady(ctx context.Context) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.exited:
			return errors.New("the server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("the server did not answer in time: %w", err)
		case <-tick.C:
		}
	}
}

// FreePort finds a port on 127.0.0.1 that nothing listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // binds at once
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // binds at once
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// readPostmaster gives the process id and port in a data directory's
// postmaster.pid, zeros if there is none.
func readPostmaster(data string) (pid, port int) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0, 0
	}
	lines := strings.Split(string(b), "\n")
	pid, _ = strconv.Atoi(strings.TrimSpace(lines[0]))
	if len(lines) > 3 {
		port, _ = strconv.Atoi(strings.TrimSpace(lines[3]))
	}
	return pid, port
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	if pid <= 0 || syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true // not Linux
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(rest, []byte("Z"))
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, says crypto/rand
	return hex.EncodeToString(b)
}
