package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// What happens to an installation or a repository is never taken from an event:
// a suspension that is told after its end would stick. Events say when to look,
// and looks that nobody asked for come all the same.
//
//	suspended    reports wait, schedules rest; runs that were accepted go on
//	archived     the same: nothing can be reported
//	removed      (deleted, taken from the installation, passed to another
//	             owner; GitHub must say so several times) runs are cancelled, targets let go; should it come
//	             back, what was cancelled is decided about anew
//	uninstalled  runs are cancelled, then everything that is kept is deleted
//
// A run that publishes is never cancelled: it ends by itself.

// endingPause is how long runs that were asked to end are given before
// somebody looks whether they have.
const endingPause = 2 * time.Second

// changed looks at whose standing may have changed.
func (q *Queue) changed(ctx context.Context, c *twin.Changed) error {
	if c == nil || q.cfg.CatchUp.Truth == nil {
		return nil
	}
	if c.Repo.ID == 0 {
		return q.installationChanged(ctx, *c)
	}
	s := store.New(q.pool)
	w, found, err := s.Watched(ctx, c.Repo.ID)
	switch {
	case err != nil:
		return err
	case !found && !q.named(c.Repo.FullName()):
		return nil // nobody's Twin
	case !found:
		w = store.Watched{Repo: c.Repo, State: store.Lost}
	case c.Returned:
		w.State = store.Lost
	}
	// It may have passed to another installation. Whether it has is asked with
	// a token of that one: who only says so is refused.
	if w.Repo.InstallationID != c.InstallationID {
		if _, err := q.cfg.CatchUp.Truth.Repository(ctx, c.Repo); err == nil {
			w.Repo = c.Repo
		} else if !errors.Is(err, twin.ErrUnreachable) {
			return err
		}
	}
	return q.look(ctx, w)
}

// named reports whether the operator named a repository.
func (q *Queue) named(fullName string) bool {
	return slices.ContainsFunc(q.cfg.CatchUp.Repositories, func(n string) bool { return strings.EqualFold(n, fullName) })
}

// installationChanged looks at an installation, and soon at all of its
// repositories.
func (q *Queue) installationChanged(ctx context.Context, c twin.Changed) error {
	s := store.New(q.pool)
	in, gone, err := q.installation(ctx, c.InstallationID)
	switch {
	case err != nil:
		return err
	case gone:
		return q.purge(ctx, c.InstallationID)
	case in.Suspended || c.Returned:
		err = s.Doubt(ctx, c.InstallationID, 0)
	default:
		err = s.LookSoon(ctx, c.InstallationID, 0)
	}
	return errors.Join(err, s.ChoreSoon(ctx, choreNames))
}

// goneOften is how often GitHub must say that an installation or a repository is
// gone before its data is deleted, or its runs are cancelled.
const goneOften = 5

// installation looks at an installation. That it is gone is believed once GitHub
// has said so for a while and several times, and nothing else: until then it is
// a *twin.LaterError.
func (q *Queue) installation(ctx context.Context, id int64) (in twin.Installation, gone bool, err error) {
	s := store.New(q.pool)
	in, err = q.cfg.CatchUp.Truth.Installation(ctx, id)
	switch {
	case err == nil:
		return in, false, s.NotGone(ctx, id)
	case !errors.Is(err, twin.ErrUnreachable):
		return in, false, err
	}
	wait := q.goneWait()
	sure, failed := s.Gone(ctx, id, wait, goneOften)
	if failed != nil || sure {
		return in, sure, failed
	}
	return in, false, &twin.LaterError{At: time.Now().Add(wait), Err: err}
}

// goneWait is how long after GitHub said that something is gone it is asked again.
func (q *Queue) goneWait() time.Duration { return max(endingPause, q.cfg.CatchUp.every()/5) }

// outOfReach finds out why a repository can't be seen: the App was uninstalled
// or suspended, or only the repository is not ours to see any more.
func (q *Queue) outOfReach(ctx context.Context, w store.Watched, cause error) error {
	s := store.New(q.pool)
	// A webhook of its new owner's may have come before we noticed.
	other, found, err := s.ElsewhereSeen(ctx, w.Repo)
	if err == nil && found {
		if _, err = q.cfg.CatchUp.Truth.Repository(ctx, other); err == nil {
			return q.look(ctx, store.Watched{Repo: other, State: store.Lost})
		}
	}
	if err != nil && !errors.Is(err, twin.ErrUnreachable) {
		return err
	}
	in, gone, err := q.installation(ctx, w.Repo.InstallationID)
	switch {
	case err != nil:
		return err
	case gone:
		return q.purge(ctx, w.Repo.InstallationID)
	case in.Suspended:
		w.State = store.Lost
		return q.seen(ctx, w, true)
	}
	if w.State != store.Removed {
		wait := q.goneWait()
		sure, err := s.Unseen(ctx, w.Repo.ID, wait, goneOften)
		if err != nil {
			return err
		}
		if !sure {
			return &twin.LaterError{At: time.Now().Add(wait), Err: cause}
		}
	}
	q.log.InfoContext(ctx, "repository is not ours to see any more", "repo", w.Repo.FullName(), "installation", w.Repo.InstallationID, "err", cause)
	if err := q.release(ctx, w.Repo, "because the repository is not the App's to see any more"); err != nil {
		return err
	}
	w.State = store.Removed
	return q.seen(ctx, w, true)
}

// release ends what runs for a repository, and lets go of what its Twins hold.
// Should the repository come back, what was cancelled is decided about anew.
func (q *Queue) release(ctx context.Context, repo twin.Repository, why string) error {
	s := store.New(q.pool)
	runs, err := s.ActiveRuns(ctx, 0, repo.ID)
	if err != nil {
		return err
	}
	if err := q.cancelAll(ctx, runs, why); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		s := store.New(tx)
		if _, err := s.LockWatched(ctx, repo); err != nil {
			return err
		}
		for _, run := range runs {
			if err := s.Released(ctx, run); err != nil {
				return err
			}
		}
		return s.LetGo(ctx, repo.ID)
	})
}

// cancelAll asks for the end of runs. Those that publish end by themselves.
func (q *Queue) cancelAll(ctx context.Context, runs []int64, why string) error {
	for _, run := range runs {
		err := q.Cancel(ctx, run, why)
		if err != nil && !errors.Is(err, ErrOver) && !errors.Is(err, ErrPublishing) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// purge deletes what is kept for an installation that is no more. While runs
// are ending it is a *twin.LaterError.
func (q *Queue) purge(ctx context.Context, installation int64) error {
	runs, err := store.New(q.pool).ActiveRuns(ctx, installation, 0)
	if err != nil {
		return err
	}
	if err := q.cancelAll(ctx, runs, "because the App was uninstalled"); err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		busy, err := store.New(tx).Purge(ctx, installation)
		if err == nil && len(busy) > 0 {
			err = &twin.LaterError{At: time.Now().Add(endingPause), Err: errEnding}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("purge installation %d: %w", installation, err)
	}
	q.log.InfoContext(ctx, "the App was uninstalled: what was kept is deleted", "installation", installation)
	return nil
}

// errEnding is what a purge waits for.
var errEnding = errors.New("runs are still ending")
