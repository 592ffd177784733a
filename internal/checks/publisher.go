package checks

import (
	"context"
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
	// FindCheckRun looks for a check run of ours by its exact external id.
	FindCheckRun(ctx context.Context, repo twin.Repository, sha, name, externalID string) (id int64, found bool, err error)
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
	c := Render(run, place, p.base, p.now())
	if !p.admit(c.ExternalID, run.State.Terminal()) {
		p.log.DebugContext(ctx, "late report dropped", "run", run.ID, "repo", run.Repo.FullName(), "place", c.ExternalID)
		return checkRunID, nil
	}
	if checkRunID == 0 {
		id, found, err := p.github.FindCheckRun(ctx, run.Repo, c.HeadSHA, c.Name, c.ExternalID)
		if err != nil {
			return 0, fmt.Errorf("report %s: %w", c.ExternalID, err)
		}
		if !found {
			id, err = p.github.CreateCheckRun(ctx, run.Repo, c)
			if err != nil {
				return 0, fmt.Errorf("report %s: %w", c.ExternalID, err)
			}
			return id, nil
		}
		p.log.InfoContext(ctx, "check run found again", "run", run.ID, "repo", run.Repo.FullName(), "check_run", id)
		checkRunID = id
	}
	if err := p.github.UpdateCheckRun(ctx, run.Repo, checkRunID, c); err != nil {
		return checkRunID, fmt.Errorf("report %s: %w", c.ExternalID, err)
	}
	return checkRunID, nil
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
