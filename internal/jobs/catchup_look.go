package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// Bounds of looking at repositories.
const (
	lookLimit    = 100 // at one time, by one process
	lookers      = 4
	lookTimeout  = time.Minute
	lookBranches = 10 // of one repository
)

// looks looks at the repositories that are due. They are taken from the
// database one by one and spread over time, so that many are no burst.
func (q *Queue) looks(ctx context.Context) error {
	s := store.New(q.pool)
	if err := s.Watch(ctx); err != nil {
		return err
	}
	due, err := s.TakeLooks(ctx, q.cfg.CatchUp.every(), lookLimit)
	if err != nil {
		return err
	}
	var (
		working  sync.WaitGroup
		mu       sync.Mutex
		failures []error
		next     = make(chan store.Watched)
	)
	for range min(lookers, len(due)) {
		working.Go(func() {
			for w := range next {
				if err := q.lookAgainLater(ctx, w); err != nil {
					mu.Lock()
					failures = append(failures, fmt.Errorf("look at %s: %w", w.Repo.FullName(), err))
					mu.Unlock()
				}
			}
		})
	}
	for _, w := range due {
		select {
		case next <- w:
		case <-ctx.Done():
		}
	}
	close(next)
	working.Wait()
	return errors.Join(failures...)
}

// lookAgainLater looks, and comes back sooner where that met trouble.
func (q *Queue) lookAgainLater(ctx context.Context, w store.Watched) error {
	err := q.look(ctx, w)
	if err == nil || ctx.Err() != nil {
		return err
	}
	after := q.cfg.CatchUp.every() / 5
	var later *twin.LaterError
	if errors.As(err, &later) {
		after, err = max(time.Until(later.At), time.Second), nil
	}
	return errors.Join(err, store.New(q.pool).LookAt(ctx, w.Repo.ID, after))
}

// look brings what is known of a repository up to date with what GitHub shows,
// and makes up for what no webhook told.
func (q *Queue) look(ctx context.Context, w store.Watched) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	sight, err := q.cfg.CatchUp.Truth.Repository(ctx, w.Repo)
	if errors.Is(err, twin.ErrUnreachable) {
		return q.outOfReach(ctx, w, err)
	}
	if err != nil {
		return err
	}
	known, found, err := store.New(q.pool).Watched(ctx, sight.ID)
	if err != nil {
		return err
	}
	// Who has it now was given nothing by having it.
	if found && known.Repo.InstallationID != sight.InstallationID {
		if err := q.release(ctx, known.Repo, "because the repository has passed to another owner"); err != nil {
			return err
		}
	}
	now := store.Watched{Repo: sight.Repository, State: store.Active}
	var missing error
	if sight.Archived {
		now.State = store.Archived
	} else {
		was := sight.Repository.DefaultBranch
		if found {
			was = known.Repo.DefaultBranch
		}
		// That the default branch is another one is only noted once its head
		// has been seen to.
		var seen bool
		if seen, missing = q.lookAtBranches(ctx, sight.Repository, was); !seen {
			now.Repo.DefaultBranch = was
		}
	}
	return errors.Join(missing, q.seen(ctx, now, w.State == store.Lost))
}

// seen stores how a repository stands. Where it was out of reach before, what
// could not be told is told now.
func (q *Queue) seen(ctx context.Context, now store.Watched, lost bool) error {
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		s := store.New(tx)
		known, err := s.LockWatched(ctx, now.Repo)
		if err != nil {
			return err
		}
		if err := s.SaveWatched(ctx, now); err != nil {
			return err
		}
		if old := known.Repo.FullName(); old != now.Repo.FullName() {
			q.log.InfoContext(ctx, "repository has another name", "repo", now.Repo.FullName(), "was", old, "installation", now.Repo.InstallationID)
		}
		if known.State != now.State {
			q.log.InfoContext(ctx, "repository has another standing", "repo", now.Repo.FullName(), "state", now.State, "was", known.State)
		}
		if now.State != store.Active || known.State == store.Active && !lost {
			return nil
		}
		runs, err := s.Revive(ctx, now.Repo.ID)
		if err != nil {
			return err
		}
		for _, run := range runs {
			if err := q.publish(ctx, tx, run); err != nil {
				return err
			}
		}
		return nil
	})
}

// lookAtBranches looks at the default branch, and at those that the Twins'
// triggers name, patterns aside, or that they had runs of lately. was is the default branch as it was known;
// seen says whether all was made up for that was missing of it.
func (q *Queue) lookAtBranches(ctx context.Context, repo twin.Repository, was string) (seen bool, err error) {
	named, err := store.New(q.pool).Branches(ctx, repo.ID)
	if err != nil {
		return false, err
	}
	branches := []string{repo.DefaultBranch}
	for _, p := range named {
		if !strings.ContainsAny(p, `*?[]{}!\`) && !slices.Contains(branches, p) && len(branches) < lookBranches {
			branches = append(branches, p)
		}
	}
	for i, b := range branches {
		from := b
		if i == 0 {
			from = was
		}
		young, err := q.lookAtBranch(ctx, repo, b, from)
		if err != nil {
			return seen, err
		}
		if young {
			if err := store.New(q.pool).LookAt(ctx, repo.ID, q.cfg.CatchUp.every()/5); err != nil {
				return seen, err
			}
		}
		seen = seen || i == 0 && !young
	}
	return seen, nil
}

// lookAtBranch makes up for what no webhook told of a branch. Of a branch that
// is seen for the first time no commit is synced. One that has taken the place of the
// default branch is another matter, whatever was decided about it before: the
// Twins shall follow it now. young says that something was left for later.
func (q *Queue) lookAtBranch(ctx context.Context, repo twin.Repository, branch, from string) (young bool, err error) {
	s := store.New(q.pool)
	known, err := s.Judged(ctx, repo, "refs/heads/"+from)
	if err != nil {
		return false, err
	}
	if from != branch {
		known.Since, known.Merged = known.Pushed.At, nil
	} else if known.Astray, err = astray(ctx, s, known.Pushed); err != nil {
		return false, err
	}
	m, err := q.cfg.CatchUp.Watcher.Missing(ctx, repo, branch, known)
	if err != nil {
		return false, err
	}
	if known.Pushed.SHA == "" && m.Head.SHA != "" {
		if branch == repo.DefaultBranch {
			if err := q.firstSight(ctx, repo); err != nil {
				return false, err
			}
		}
		return false, s.Baseline(ctx, m.Head)
	}
	for _, d := range m.Deliveries {
		if err := q.deliverOwn(ctx, d); err != nil {
			return false, err
		}
		q.log.WarnContext(ctx, "found what no webhook told", "delivery", d.GUID, "event", d.Event, "repo", repo.FullName(), "branch", branch)
	}
	return m.Young, nil
}

// astray gives where a Twin stands that does not follow a push which was decided
// about as the latest one of its branch. Whether the branch is there still, the
// look will show. It is asked before GitHub is: what GitHub shows is then newer.
//
// A push of which no run was asked is not looked into: the Twin does not watch
// what it changed.
func astray(ctx context.Context, s store.Store, pushed twin.Fact) (twin.Fact, error) {
	all, err := s.Bearings(ctx, pushed.Repo.ID, 0, pushed.Ref, pushed.SHA)
	if err != nil {
		return twin.Fact{}, err
	}
	var found twin.Fact
	for _, st := range all {
		// Whoever looked has told a time by which the push is the later one. What
		// was decided about that holds: it is not looked into again and again.
		if lost(st) && pushed.At.Sub(st.Other.At) <= sameFact && !st.Other.At.Before(found.At) {
			found = st.Other
		}
	}
	return found, nil
}

// firstSight takes over what the file of a repository that was never seen before
// says of its Twins: their schedules don't wait for the next push.
func (q *Queue) firstSight(ctx context.Context, repo twin.Repository) error {
	d, err := q.cfg.Decider.Scheduled(ctx, repo, "") // no Twin has this name: nothing is asked for
	if err != nil {
		return err
	}
	return q.declare(ctx, d.Declared)
}

// deliverOwn stores a delivery that we made ourselves. One that was processed
// before, but without a decision about its fact, is processed again.
func (q *Queue) deliverOwn(ctx context.Context, d twin.Delivery) error {
	err := q.Deliver(ctx, d)
	if !errors.Is(err, twin.ErrDuplicate) {
		return err
	}
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		again, err := store.New(tx).Again(ctx, d)
		if err != nil || !again {
			return err
		}
		return q.processDelivery(ctx, tx, d.GUID)
	})
}
