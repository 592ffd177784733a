package checks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/twin"
)

// CheckRuns is what the Publisher needs of GitHub.
type CheckRuns interface {
	CreateCheckRun(ctx context.Context, repo twin.Repository, c github.CheckRun) (int64, error)
	UpdateCheckRun(ctx context.Context, repo twin.Repository, id int64, c github.CheckRun) error
	// FindCheckRun looks for a check run of ours by the exact external ids that
	// it may have.
	FindCheckRun(ctx context.Context, repo twin.Repository, sha, name string, externalIDs ...string) (id int64, found bool, err error)
}

// A Publisher brings runs to GitHub. It keeps no state that matters: who calls
// it stores the ids it returns, and calls again after an error.
type Publisher struct {
	github CheckRuns
	base   string
	log    *slog.Logger
	now    func() time.Time

	mu sync.Mutex
	// ended holds the external ids of check runs that this process has begun
	// to complete. See admit.
	ended map[string]struct{}
}

// New makes a Publisher. base is the service's public address, the beginning
// of every details link; where it is empty or not absolute there are no links.
func New(checkRuns CheckRuns, base string, log *slog.Logger) *Publisher {
	if base != "" && !absolute(base) {
		log.Warn("the public address is no absolute http or https address: check runs link to no page")
	}
	return &Publisher{github: checkRuns, base: base, log: log, now: time.Now, ended: map[string]struct{}{}}
}

// Report tells one place what is true of run, and returns the id of the check
// run it told it by. checkRunID is what an earlier call returned, 0 if none.
// With 0 it first looks for the check run that a lost answer or a crash may
// have left behind, so that there is never a second one.
//
// An id that comes with an error is worth storing all the same.
func (p *Publisher) Report(ctx context.Context, run twin.Run, place twin.Place, checkRunID int64) (int64, error) {
	id, err := p.report(ctx, run, place, checkRunID)
	if err == nil {
		return id, nil
	}
	hidden := errors.Is(err, github.ErrNoCommit) || errors.Is(err, github.ErrNoCheckRun)
	if hidden && p.now().Sub(lastChange(run)) > patience {
		err = fmt.Errorf("%w: not shown for %s: %w", twin.ErrUnreachable, patience, err)
	}
	return id, fmt.Errorf("report %s: %w", ExternalID(run.ID, place.Role), err)
}

// patience is how long after a run's last change GitHub is given to show a
// commit or a check run. What is not there by then was deleted: a head that was
// forced away, a fork that has gone.
const patience = 10 * time.Minute

// lastChange is when the run came into the state that it is in.
func lastChange(run twin.Run) time.Time {
	at := run.CreatedAt
	for _, t := range []time.Time{run.StartedAt, run.FinishedAt} {
		if t.After(at) {
			at = t
		}
	}
	return at
}

func (p *Publisher) report(ctx context.Context, run twin.Run, place twin.Place, checkRunID int64) (int64, error) {
	c := Render(run, place, p.base, p.now())
	if !p.admit(c.ExternalID, run.State.Terminal()) {
		p.log.DebugContext(ctx, "late report dropped", "run", run.ID, "repo", run.Repo.FullName(), "place", c.ExternalID)
		return checkRunID, nil
	}
	if checkRunID == 0 {
		// A place may have become the head since its check run was made.
		id, found, err := p.github.FindCheckRun(ctx, run.Repo, c.HeadSHA, c.Name,
			ExternalID(run.ID, twin.Head), ExternalID(run.ID, twin.Merge))
		if err != nil {
			return 0, err
		}
		if !found {
			return p.github.CreateCheckRun(ctx, run.Repo, c)
		}
		p.log.InfoContext(ctx, "check run found again", "run", run.ID, "repo", run.Repo.FullName(), "check_run", id)
		checkRunID = id
	}
	return checkRunID, p.github.UpdateCheckRun(ctx, run.Repo, checkRunID, c)
}

// maxEnded bounds the memory of a Publisher.
const maxEnded = 10_000

// admit reports whether a report may still go out. GitHub would let a
// completed check run go back to in progress, and a caller that read the run
// before it ended may be late. A run that has ended never leaves that state,
// so what was once told as ended is only ever told as ended. This covers one
// process; between processes the caller's stored versions decide.
func (p *Publisher) admit(externalID string, terminal bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ended := p.ended[externalID]; ended && !terminal {
		return false
	}
	if terminal {
		if len(p.ended) >= maxEnded {
			clear(p.ended)
		}
		p.ended[externalID] = struct{}{}
	}
	return true
}
