package neontest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// The actions that the sandbox performs, in Neon's words.
const (
	actionCreateTimeline = "create_timeline" // a root branch
	actionCreateBranch   = "create_branch"
	actionStartCompute   = "start_compute"
	actionSuspendCompute = "suspend_compute"
	actionApplyConfig    = "apply_config" // a database
	actionDeleteTimeline = "delete_timeline"
)

// The statuses that an operation of the sandbox passes through.
const (
	scheduling = "scheduling"
	running    = "running"
	finished   = "finished"
	failed     = "failed"
)

// step is how long an operation stays in a status at least: long enough for a
// client to meet the project's lock.
const step = 40 * time.Millisecond

// operation is work on a branch. It can be done again from its beginning: that
// is what happens after a kill.
type operation struct {
	ID, BranchID, EndpointID string
	Action, Status, Error    string
	CreatedAt, UpdatedAt     time.Time
	// Database and Owner are what apply_config makes.
	Database, Owner string
}

func newOperation(b *branch, action string) *operation {
	now := time.Now().UTC()
	op := &operation{ID: newUUID(), BranchID: b.ID, Action: action, Status: scheduling, CreatedAt: now, UpdatedAt: now}
	if b.Endpoint != nil && action != actionCreateTimeline && action != actionCreateBranch && action != actionDeleteTimeline {
		op.EndpointID = b.Endpoint.ID
	}
	return op
}

func (o *operation) over() bool { return o.Status == finished || o.Status == failed }

func (p *project) busy() bool {
	return slices.ContainsFunc(p.Operations, func(o *operation) bool { return !o.over() })
}

func (p *project) lastError() string {
	for _, o := range slices.Backward(p.Operations) {
		if o.Status == failed {
			return o.Action + ": " + o.Error
		}
	}
	return "none is known"
}

// schedule appends operations and has them performed one after the other.
// s.mu is held.
func (s *Server) schedule(p *project, ops ...*operation) {
	p.Operations = append(p.Operations, ops...)
	s.note()
	s.work.Go(func() { s.perform(p, ops) })
}

// resume goes on with what a killed process left unfinished.
func (s *Server) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.state.Projects {
		var left []*operation
		for _, o := range p.Operations {
			if !o.over() {
				left = append(left, o)
			}
		}
		if len(left) > 0 {
			s.work.Go(func() { s.perform(p, left) })
		}
	}
}

// note saves the state and wakes who waits for a change. s.mu is held.
func (s *Server) note() {
	if err := s.save(); err != nil {
		s.log.ErrorContext(s.ctx, "sandbox neon can not save its state", slog.Any("err", err))
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// perform takes operations through their statuses. When one fails, those after
// it fail too. When the server is closed they stay as they are.
func (s *Server) perform(p *project, ops []*operation) {
	var err error
	for _, o := range ops {
		if !s.pause() {
			return
		}
		s.move(o, running, nil)
		if !s.pause() {
			return
		}
		if err == nil {
			err = s.act(s.ctx, p, o)
		}
		if s.ctx.Err() != nil {
			return
		}
		status := finished
		if err != nil {
			status = failed
			s.log.ErrorContext(s.ctx, "sandbox neon operation failed", slog.String("action", o.Action), slog.String("branch", o.BranchID), slog.Any("err", err))
		}
		s.move(o, status, err)
	}
}

func (s *Server) pause() bool {
	select {
	case <-time.After(step):
		return true
	case <-s.ctx.Done():
		return false
	}
}

func (s *Server) move(o *operation, status string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.Status, o.UpdatedAt = status, time.Now().UTC()
	if err != nil {
		o.Error = err.Error()
	}
	s.note()
}

// act does an operation's work. Everything in it may have been done before.
func (s *Server) act(ctx context.Context, p *project, o *operation) error {
	s.mu.Lock()
	i := slices.IndexFunc(p.Branches, func(b *branch) bool { return b.ID == o.BranchID })
	b := p.Branches[i]
	parent := s.clusters[b.ParentID]
	cluster := s.clusters[b.ID]
	s.mu.Unlock()

	switch o.Action {
	case actionCreateTimeline:
		return s.createRoot(ctx, b)
	case actionCreateBranch:
		if parent == nil {
			return fmt.Errorf("the parent of branch %s does not run", b.ID)
		}
		return s.createChild(ctx, b, parent)
	case actionStartCompute, actionSuspendCompute:
		s.mu.Lock()
		defer s.mu.Unlock()
		b.Endpoint.Active = o.Action == actionStartCompute
		b.Endpoint.UpdatedAt = time.Now().UTC()
		return nil
	case actionApplyConfig:
		if cluster == nil {
			return fmt.Errorf("branch %s does not run", b.ID)
		}
		return createDatabase(ctx, cluster, o.Database, o.Owner)
	case actionDeleteTimeline:
		return s.removeBranch(ctx, b.ID, cluster)
	}
	return fmt.Errorf("no such action: %s", o.Action)
}

// newUUID makes a random (version 4) UUID.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, says crypto/rand
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
