// Package neontest is a sandbox Neon: a server on loopback that answers Neon's
// API v2 with Neon's rules, locks and operations, and keeps for each branch a
// PostgreSQL server of its own. It serves tests and the sandbox command, and
// knows nothing of the client that is tested against it.
package neontest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/neontwin/neontwin/internal/pglocal"
)

// Options say where a sandbox lives.
type Options struct {
	// Dir keeps all state. A server that is started on it again goes on where
	// the last one ended, even where that was killed. As root, the folders
	// above it must let the unprivileged user pass that runs PostgreSQL.
	Dir string
	// Addr to listen on; empty means a free port of 127.0.0.1. Anything but
	// loopback is refused.
	Addr string
	// APIKey that requests must bear; empty means the one of the last start,
	// or a new one.
	APIKey string
	// Logger may be nil.
	Logger *slog.Logger
	// PGBin is the folder of PostgreSQL's binaries; empty means the newest.
	PGBin string
}

// Server is a running sandbox.
type Server struct {
	dir, bin string
	log      *slog.Logger
	listener net.Listener
	http     *http.Server
	lock     *os.File

	// ctx ends when the server is closed; what it interrupts is done again at
	// the next start.
	ctx    context.Context //nolint:containedctx // bounds the work that outlives the request which asked for it
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	state    state
	clusters map[string]*pglocal.Cluster // by branch
	changed  chan struct{}               // closed and replaced at each change of state
}

// Project is what callers need to know of a project.
type Project struct {
	ID, Name string
	// RootBranchID is the default branch, named main.
	RootBranchID string
}

// Branch is what callers need to know of a branch.
type Branch struct {
	ID, ProjectID, ParentID, Name string
	// EndpointID is empty where the branch has no compute.
	EndpointID string
}

// Start starts the sandbox, with the PostgreSQL servers of all its branches.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: o.PGBin, log: o.Logger, clusters: map[string]*pglocal.Cluster{}, changed: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx, o); err != nil {
		s.cancel()
		for _, c := range s.clusters {
			_ = c.Stop(ctx)
		}
		s.unlock()
		return nil, fmt.Errorf("start sandbox Neon: %w", err)
	}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.ErrorContext(s.ctx, "sandbox neon stopped serving", slog.Any("err", err))
		}
	}()
	s.resume()
	return s, nil
}

// open does all that can fail.
func (s *Server) open(ctx context.Context, o Options) error {
	if err := requireLoopback(o.Addr); err != nil {
		return err
	}
	if err := s.claim(); err != nil {
		return err
	}
	if err := s.load(o.APIKey); err != nil {
		return err
	}
	for _, p := range s.state.Projects {
		for _, b := range p.Branches {
			if b.State != ready || !b.DeletedAt.IsZero() {
				continue
			}
			c, err := s.startCluster(ctx, b.ID)
			if err != nil {
				return fmt.Errorf("start branch %s: %w", b.ID, err)
			}
			s.clusters[b.ID] = c
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return err
	}
	s.listener = l
	return nil
}

// requireLoopback refuses addresses that others could reach: the sandbox gives
// passwords away.
func requireLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is not loopback: the sandbox is for this machine only", addr)
	}
	return nil
}

// claim makes the folder and takes it for this process alone. The lock goes
// with the process, however it ends.
func (s *Server) claim() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		// PostgreSQL runs as another user and must get to its folders below.
		if err := os.Chmod(s.dir, 0o711); err != nil { // passing is allowed, listing and reading are not
			return err
		}
	}
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	s.lock = f
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another sandbox runs in %s: %w", s.dir, err)
	}
	return nil
}

func (s *Server) unlock() {
	if s.lock != nil {
		_ = s.lock.Close()
	}
}

// URL is the API's base address, version included.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + basePath }

// APIKey is what requests must bear.
func (s *Server) APIKey() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.APIKey
}

// Close stops the API and the PostgreSQL servers. All data is kept.
func (s *Server) Close(ctx context.Context) error {
	errs := []error{s.http.Shutdown(ctx)}
	s.cancel()
	s.work.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range s.clusters {
		if err := c.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop branch %s: %w", id, err))
		}
	}
	s.unlock()
	return errors.Join(errs...)
}

// Projects lists the projects, oldest first.
func (s *Server) Projects() []Project {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Project
	for _, p := range s.state.Projects {
		all = append(all, Project{ID: p.ID, Name: p.Name, RootBranchID: p.defaultBranch().ID})
	}
	return all
}

// Branches lists the branches of a project, oldest first.
func (s *Server) Branches(projectID string) []Branch {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Branch
	if p := s.state.project(projectID); p != nil {
		for _, b := range p.live() {
			all = append(all, b.public())
		}
	}
	return all
}

// CreateProject makes a project with a root branch main and its compute, and
// returns when they can be used.
func (s *Server) CreateProject(ctx context.Context, name string) (Project, error) {
	now := time.Now().UTC()
	p := &project{ID: newID("sandbox"), Name: name, CreatedAt: now}
	b := newBranch(p, "main", now)
	b.Default = true
	b.Passwords = map[string]string{owner: newPassword()}
	b.Endpoint = newEndpoint(now)
	p.Branches = []*branch{b}

	s.mu.Lock()
	s.state.Projects = append(s.state.Projects, p)
	s.schedule(p, newOperation(b, actionCreateTimeline), newOperation(b, actionStartCompute))
	s.mu.Unlock()
	if err := s.settle(ctx, p.ID, b.ID); err != nil {
		return Project{}, fmt.Errorf("create project %s: %w", name, err)
	}
	return Project{ID: p.ID, Name: name, RootBranchID: b.ID}, nil
}

// CreateBranch makes a branch with a compute from the parent's present data,
// and returns when it can be used.
func (s *Server) CreateBranch(ctx context.Context, projectID, parentID, name string) (Branch, error) {
	var req branchRequest
	req.Branch.ParentID, req.Branch.Name = parentID, name
	req.Endpoints = []endpointRequest{{Type: "read_write"}}
	var b *branch
	for b == nil {
		if err := s.settle(ctx, projectID, ""); err != nil {
			return Branch{}, err
		}
		created, _, err := s.branchFrom(projectID, req)
		if err != nil && err.status != http.StatusLocked {
			return Branch{}, fmt.Errorf("create branch %s: %w", name, err)
		}
		b = created
	}
	if err := s.settle(ctx, projectID, b.ID); err != nil {
		return Branch{}, fmt.Errorf("create branch %s: %w", name, err)
	}
	return b.public(), nil
}

// settle waits until no operation of the project runs. If branchID is not
// empty, the branch must then be ready.
func (s *Server) settle(ctx context.Context, projectID, branchID string) error {
	for {
		s.mu.Lock()
		p := s.state.project(projectID)
		if p == nil {
			s.mu.Unlock()
			return fmt.Errorf("there is no project %q", projectID)
		}
		busy, changed := p.busy(), s.changed
		b := p.branch(branchID)
		ok := branchID == "" || b != nil && b.State == ready
		failed := p.lastError()
		s.mu.Unlock()
		switch {
		case !busy && ok:
			return nil
		case !busy:
			return fmt.Errorf("an operation failed: %s", failed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return errors.New("the sandbox was closed")
		}
	}
}

// BranchURL is the address of a branch's database as PostgreSQL's superuser,
// whom Neon gives to nobody: for those who judge a Twin.
func (s *Server) BranchURL(branchID, database string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clusters[branchID]
	if c == nil {
		return "", fmt.Errorf("branch %q does not run", branchID)
	}
	u, err := url.Parse(c.URL(""))
	if err != nil {
		return "", err
	}
	u.Path = "/" + database
	return u.String(), nil
}

// newID makes an id as Neon's look: words and a random part.
func newID(prefix string) string { return prefix + "-" + randomHex(6) }

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, says crypto/rand
	return hex.EncodeToString(b)
}

func newPassword() string { return "npg_" + randomHex(10) }
