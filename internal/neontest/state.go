package neontest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The states of a branch.
const (
	initial = "init"
	ready   = "ready"
)

// state is what survives a restart. Databases and roles are not in it: they
// are read from the branches' servers.
type state struct {
	APIKey   string
	Projects []*project
}

type project struct {
	ID, Name   string
	CreatedAt  time.Time
	Branches   []*branch    // oldest first
	Operations []*operation // oldest first
}

type branch struct {
	ID, ProjectID, ParentID, ParentLSN, Name string

	State              string
	Default, Protected bool
	Annotation         map[string]string
	Endpoint           *endpoint         // nil: no compute
	Passwords          map[string]string // by role
	CreatedAt          time.Time
	UpdatedAt          time.Time
	DeletedAt          time.Time // zero: not deleted
}

type endpoint struct {
	ID             string
	Active         bool
	MinCU, MaxCU   float64
	SuspendTimeout int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

func newBranch(p *project, name string, now time.Time) *branch {
	b := &branch{ID: newID("br"), ProjectID: p.ID, Name: name, State: initial, CreatedAt: now, UpdatedAt: now}
	if name == "" {
		b.Name = b.ID
	}
	return b
}

func newEndpoint(now time.Time) *endpoint {
	return &endpoint{ID: newID("ep"), MinCU: 0.25, MaxCU: 2, CreatedAt: now, UpdatedAt: now}
}

func (s *state) project(id string) *project {
	for _, p := range s.Projects {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// live are the branches that were not deleted.
func (p *project) live() []*branch {
	return slices.DeleteFunc(slices.Clone(p.Branches), func(b *branch) bool { return !b.DeletedAt.IsZero() })
}

// branch finds a branch that was not deleted.
func (p *project) branch(id string) *branch {
	for _, b := range p.live() {
		if b.ID == id {
			return b
		}
	}
	return nil
}

func (p *project) defaultBranch() *branch {
	for _, b := range p.live() {
		if b.Default {
			return b
		}
	}
	return nil
}

func (p *project) children(id string) (names []string) {
	for _, b := range p.live() {
		if b.ParentID == id {
			names = append(names, b.Name)
		}
	}
	return names
}

func (b *branch) public() Branch {
	out := Branch{ID: b.ID, ProjectID: b.ProjectID, ParentID: b.ParentID, Name: b.Name}
	if b.Endpoint != nil {
		out.EndpointID = b.Endpoint.ID
	}
	return out
}

func (s *Server) stateFile() string { return filepath.Join(s.dir, "state.json") }

// load reads the state, or begins a new one.
func (s *Server) load(apiKey string) error {
	b, err := os.ReadFile(s.stateFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.state.APIKey = newID("napi")
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(b, &s.state); err != nil {
			return fmt.Errorf("read %s: %w", s.stateFile(), err)
		}
	}
	if apiKey != "" {
		s.state.APIKey = apiKey
	}
	return s.save()
}

// save writes the state whole or not at all. s.mu is held, or nobody else is
// there yet.
func (s *Server) save() error {
	b, err := json.MarshalIndent(&s.state, "", "\t")
	if err != nil {
		return err
	}
	next := s.stateFile() + ".new"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.stateFile())
}
