package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// Webhooks are hints: GitHub sends each once, late or never. So from time to
// time GitHub is asked what it could not deliver (that is asked for again), and
// how the branches that Twins follow stand: what nobody has told is made into
// the delivery that should have told it, and goes the way of all deliveries.
// What is told twice that way is one fact, and done once.

// Deliveries are the webhooks that GitHub has tried to deliver.
type Deliveries interface {
	// Attempts lists a page of attempts, newest first; next is empty on the last.
	Attempts(ctx context.Context, cursor string) (list []twin.Attempt, next string, err error)
	// Redeliver asks for the webhook of an attempt again. twin.ErrUnreachable
	// says that GitHub does not have it any more.
	Redeliver(ctx context.Context, attempt int64) error
}

// Truth is how installations and repositories stand now. What does not exist
// any more, or is not ours to see, is twin.ErrUnreachable.
type Truth interface {
	Installation(ctx context.Context, id int64) (twin.Installation, error)
	Repository(ctx context.Context, repo twin.Repository) (twin.Sight, error)
	// Find looks for a repository by its name.
	Find(ctx context.Context, owner, name string) (twin.Sight, error)
}

// Watcher finds out what no webhook told of a branch.
type Watcher interface {
	Missing(ctx context.Context, repo twin.Repository, branch string, known twin.Known) (twin.Missing, error)
}

// CatchUp says how a worker finds out what no webhook told it. Without GitHub
// it does not.
type CatchUp struct {
	Deliveries Deliveries
	Truth      Truth
	Watcher    Watcher
	// Acts says whether an event may lead to anything.
	Acts func(event, action string) bool
	// Repositories are those that the operator named, as owner/name.
	Repositories []string
	// Every is how often it looks; 5 min.
	Every time.Duration
}

func (c CatchUp) every() time.Duration { return cmp.Or(c.Every, 5*time.Minute) }

// The chores: each is done by one process at a time.
const (
	choreDeliveries = "missed_deliveries"
	choreNames      = "find_repositories"
	// choreHold is for how long a process that dies keeps others from a chore.
	choreHold = 3 * time.Minute
)

// catchUp looks at once, and then from time to time.
func (q *Queue) catchUp(ctx context.Context) {
	c := q.cfg.CatchUp
	if c.Truth == nil {
		return
	}
	tick := time.NewTicker(max(c.every()/10, 50*time.Millisecond))
	defer tick.Stop()
	begun := false
	for {
		if !begun {
			err := q.beginCatchUp(ctx)
			if begun = err == nil; !begun && ctx.Err() == nil {
				q.log.WarnContext(ctx, "catching up has not begun", "err", err)
			}
		}
		if err := q.catchUpOnce(ctx); err != nil && ctx.Err() == nil {
			q.log.WarnContext(ctx, "catching up met trouble", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// beginCatchUp makes everything due: nobody knows what happened while no
// process was there.
func (q *Queue) beginCatchUp(ctx context.Context) error {
	s := store.New(q.pool)
	return errors.Join(s.Watch(ctx), s.LookSoon(ctx, 0, q.cfg.CatchUp.every()/10), s.ChoreSoon(ctx, choreDeliveries), s.ChoreSoon(ctx, choreNames))
}

// catchUpOnce does what is due. Trouble with one part does not keep the others
// from being done.
func (q *Queue) catchUpOnce(ctx context.Context) error {
	return errors.Join(
		q.chore(ctx, choreDeliveries, q.missedDeliveries),
		q.chore(ctx, choreNames, q.findNames),
		q.looks(ctx),
	)
}

// chore does something that is due, if nobody else is at it. do gets how far it
// has come, and gives how far it came now.
func (q *Queue) chore(ctx context.Context, name string, do func(ctx context.Context, point time.Time) (time.Time, error)) error {
	s := store.New(q.pool)
	point, taken, err := s.TakeChore(ctx, name, choreHold)
	if err != nil || !taken {
		return err
	}
	doing, cancel := context.WithTimeout(ctx, choreHold-15*time.Second)
	defer cancel()
	point, err = do(doing, point)
	after := q.cfg.CatchUp.every()
	var later *twin.LaterError
	switch {
	case errors.As(err, &later):
		after, err = max(time.Until(later.At), after/10), nil
	case ctx.Err() != nil:
		after = 0 // this process stops; another one shall do it
	case err != nil:
		after /= 5
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, s.EndChore(ending, name, after, point))
}

// Bounds of one look for missed deliveries.
const (
	attemptsKept  = 3 * 24 * time.Hour // by GitHub
	attemptsAgain = 10 * time.Minute   // what is looked at twice: attempts are listed late
	attemptPages  = 100
	askLimit      = 100
	// askTries is how often a webhook is asked for again before it is given up.
	askTries = 5
)

// missedDeliveries looks for webhooks that GitHub could not deliver since a
// point in time, and asks for them again. It gives the time of the latest
// attempt that it saw.
func (q *Queue) missedDeliveries(ctx context.Context, point time.Time) (time.Time, error) {
	latest, failed, arrived, err := q.attempts(ctx, point)
	if err != nil {
		return time.Time{}, err
	}
	s := store.New(q.pool)
	for _, a := range failed {
		if err := s.AddMissed(ctx, a); err != nil {
			return time.Time{}, err
		}
	}
	if err := s.FoundMissed(ctx, arrived); err != nil {
		return time.Time{}, err
	}
	lost, err := s.DropMissed(ctx, attemptsKept)
	for _, guid := range lost {
		q.log.ErrorContext(ctx, "webhook given up: it never came in", "delivery", guid)
	}
	return latest, errors.Join(err, q.askAgain(ctx))
}

// attempts reads GitHub's list back to a point in time: for each webhook that
// no attempt could deliver the latest attempt, and the GUIDs of the others.
func (q *Queue) attempts(ctx context.Context, point time.Time) (latest time.Time, failed []twin.Attempt, arrived []string, err error) {
	now, err := store.New(q.pool).Now(ctx)
	if err != nil {
		return time.Time{}, nil, nil, err
	}
	since := point.Add(-attemptsAgain)
	if least := now.Add(-attemptsKept); since.Before(least) {
		since = least
	}
	seen := map[string]*twin.Attempt{}
	cursor := ""
	for page := 0; ; page++ {
		if page == attemptPages {
			q.log.WarnContext(ctx, "not all of GitHub's deliveries were looked at: there are too many")
			break
		}
		list, next, err := q.cfg.CatchUp.Deliveries.Attempts(ctx, cursor)
		if err != nil {
			return time.Time{}, nil, nil, err
		}
		// GitHub's clock was set back since: what is new is older than the point.
		if page == 0 && len(list) > 0 && list[0].At.Before(point) {
			since = list[0].At.Add(-attemptsAgain)
		}
		old := false
		for _, a := range list {
			if old = a.At.Before(since); old {
				break
			}
			if a.At.After(latest) {
				latest = a.At
			}
			if had := seen[a.GUID]; had == nil {
				seen[a.GUID] = &a
			} else {
				had.OK = had.OK || a.OK
			}
		}
		if cursor = next; old || next == "" {
			break
		}
	}
	for guid, a := range seen {
		switch {
		case a.OK:
			arrived = append(arrived, guid)
		case q.cfg.CatchUp.Acts(a.Event, a.Action):
			failed = append(failed, *a)
		}
	}
	return latest, failed, arrived, nil
}

// askAgain asks for missed webhooks again, the newest first: older ones then
// find that a newer commit is known. Where an attempt fails the next one waits
// longer.
func (q *Queue) askAgain(ctx context.Context) error {
	s := store.New(q.pool)
	due, err := s.DueMissed(ctx, askTries, askLimit)
	if err != nil {
		return err
	}
	for _, m := range due {
		err := q.cfg.CatchUp.Deliveries.Redeliver(ctx, m.Attempt)
		problem := ""
		switch {
		case errors.Is(err, twin.ErrUnreachable):
			problem = err.Error()
		case err != nil:
			return err
		}
		q.log.InfoContext(ctx, "webhook asked for again", "delivery", m.GUID, "event", m.Event, "tries", m.Tries+1, "err", problem)
		if m.Tries+1 == askTries {
			q.log.WarnContext(ctx, "webhook is not asked for any more", "delivery", m.GUID, "event", m.Event)
		}
		if err := s.AskedMissed(ctx, m.GUID, q.cfg.CatchUp.every()<<m.Tries, problem); err != nil {
			return err
		}
	}
	return nil
}

// findNames looks for the repositories that the operator named and that are
// not watched: no webhook may have told of them yet.
func (q *Queue) findNames(ctx context.Context, _ time.Time) (time.Time, error) {
	s := store.New(q.pool)
	if err := s.Watch(ctx); err != nil {
		return time.Time{}, err
	}
	names := make([]string, len(q.cfg.CatchUp.Repositories))
	for i, name := range q.cfg.CatchUp.Repositories {
		names[i] = strings.ToLower(name)
	}
	names, err := s.UnwatchedNames(ctx, names)
	if err != nil {
		return time.Time{}, err
	}
	var failures []error
	for _, full := range names {
		if err := q.findName(ctx, full); err != nil {
			if errors.As(err, new(*twin.LaterError)) || ctx.Err() != nil {
				return time.Time{}, err
			}
			failures = append(failures, err)
		}
	}
	return time.Time{}, errors.Join(failures...)
}

func (q *Queue) findName(ctx context.Context, full string) error {
	owner, name, _ := strings.Cut(full, "/")
	sight, err := q.cfg.CatchUp.Truth.Find(ctx, owner, name)
	if errors.Is(err, twin.ErrUnreachable) {
		return nil // the App is not installed there (yet)
	}
	if err != nil {
		return err
	}
	s := store.New(q.pool)
	bound, err := s.BoundTo(ctx, full)
	switch {
	case err != nil:
		return err
	case bound != 0 && bound != sight.ID:
		q.log.WarnContext(ctx, "a repository is not watched: its name stood for another one when it was first used", "repo", full)
		return nil
	}
	q.log.InfoContext(ctx, "repository found", "repo", sight.FullName(), "installation", sight.InstallationID)
	if err := q.look(ctx, store.Watched{Repo: sight.Repository, State: store.Lost}); err != nil {
		return fmt.Errorf("look at %s: %w", full, err)
	}
	return nil
}
