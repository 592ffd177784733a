package jobs

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// maxAttempts is how often a run is tried.
const maxAttempts = 5

// Enqueue turns a request into a run, in one transaction, and gives the run
// that answers it:
//
//   - The same fact told again (a merged pull request and its push, in either
//     order) only adds places to the run that exists. A branch that has come
//     back to a commit which it was at before is another fact.
//   - A commit older than one that is known, or a refused one, becomes a run
//     that has ended at once, so that its places are told why.
//   - Otherwise the run waits, and takes the place of the one that waited.
//
// A run that is running is left to finish, unless the Twin's file says that a
// newer commit restarts it.
func (i *Inserter) Enqueue(ctx context.Context, r twin.Request) (int64, error) {
	return i.enqueueKnowing(ctx, r, nil)
}

// enqueueKnowing is Enqueue with what is known of the history. Without any,
// commits of the same moment are taken in the order of their arrival; with
// some, be it empty, a *doubtError asks for more of it.
func (i *Inserter) enqueueKnowing(ctx context.Context, r twin.Request, h history) (int64, error) {
	var run int64
	err := pgx.BeginFunc(ctx, i.pool, func(tx pgx.Tx) (err error) {
		run, err = i.enqueue(ctx, tx, r, h)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("enqueue %s of %s at %.12s: %w", r.Spec.Name, r.Repo.FullName(), r.SHA, err)
	}
	return run, nil
}

func (i *Inserter) enqueue(ctx context.Context, tx pgx.Tx, r twin.Request, h history) (int64, error) {
	s := store.New(tx)
	if r.Twins != nil { // it may take the target of another of them
		if _, err := s.LockTwinsOf(ctx, r.Repo.ID); err != nil {
			return 0, err
		}
	}
	twinID, err := s.LockTwin(ctx, r)
	if err != nil {
		return 0, err
	}
	run, from, err := known(ctx, s, twinID, r)
	if err != nil {
		return 0, err
	}
	if run != 0 {
		return run, i.addPlaces(ctx, tx, run, r)
	}
	if from != "" {
		r.Forced, r.Before = true, from
	}
	if r.Trigger == twin.Schedule || r.Trigger == twin.Rerun {
		if r.At, err = sinceWhen(ctx, s, twinID, r); err != nil {
			return 0, err
		}
	}
	n := store.NewRun{TwinID: twinID, Request: r, PageKey: strings.ToLower(rand.Text()), MaxAttempts: maxAttempts, Indirect: indirect(r)}
	if n.State, n.Failure, n.SupersededBy, err = judge(ctx, s, twinID, r, h); err != nil {
		return 0, err
	}
	switch {
	case n.State == twin.Queued:
		return i.queue(ctx, tx, n, h)
	case n.State == twin.Superseded && indirect(r):
		n.Request.Places = nil
		if err := i.addPlaces(ctx, tx, n.SupersededBy, twin.Request{Places: r.Places}); err != nil {
			return 0, err
		}
	}
	return i.insert(ctx, tx, n)
}

// known finds the run that answers a request already, 0 if none. from is not
// empty if there was one, but the branch has come back since: it is the commit
// that it came from.
func known(ctx context.Context, s store.Store, twinID int64, r twin.Request) (run int64, from string, err error) {
	switch r.Trigger {
	case twin.Rerun, twin.Schedule, twin.Command:
		if r.Refusal == nil {
			run, err = s.RunOfRequest(ctx, twinID, r)
			return run, "", err
		}
		// Why a commit is refused is told on it once, not every night.
		if r.Trigger == twin.Schedule {
			run, err = s.RunOfFact(ctx, twinID, r.Ref, r.SHA)
		}
		return run, "", err
	case twin.CatchUp:
		return sighted(ctx, s, twinID, r)
	case twin.PullRequest, twin.Push:
	}
	if run, err = s.RunOfFact(ctx, twinID, r.Ref, r.SHA); err != nil || run == 0 || r.At.IsZero() {
		return run, "", err
	}
	last, err := s.At(ctx, run)
	if err != nil {
		return 0, "", err
	}
	newest, found, err := s.NewestOf(ctx, twinID, r.Ref)
	if err != nil || !found {
		return run, "", err
	}
	m := move{sha: r.SHA, at: r.At, before: r.Before, forced: r.Forced}
	switch {
	case m.returns(last, newest):
		return 0, newest.SHA, nil
	case m.stays(newest) && r.Trigger == twin.Push:
		return run, "", s.MovedAgain(ctx, newest.Run, r.At, r.Before)
	}
	return run, "", nil
}

// sighted is known for a commit that was seen at the head of its branch.
func sighted(ctx context.Context, s store.Store, twinID int64, r twin.Request) (run int64, from string, err error) {
	all, err := s.Bearings(ctx, r.Repo.ID, twinID, r.Ref, r.SHA)
	if err != nil || len(all) == 0 {
		return 0, "", err
	}
	if st := all[0]; seenAgain(st, r.At) {
		return 0, st.Other.SHA, nil
	}
	return all[0].Run, "", nil
}

// sinceWhen gives the time of a commit that was seen at the head of its branch:
// the one that is known of it, if that is the newest, else when it was seen.
func sinceWhen(ctx context.Context, s store.Store, twinID int64, r twin.Request) (time.Time, error) {
	newest, found, err := s.NewestOf(ctx, twinID, r.Ref)
	if err == nil && found && newest.SHA == r.SHA {
		return newest.At, nil
	}
	return r.At, err
}

// addPlaces adds a request's places to the run that answers it.
func (i *Inserter) addPlaces(ctx context.Context, tx pgx.Tx, run int64, r twin.Request) error {
	s := store.New(tx)
	if !r.At.IsZero() {
		if err := s.Earlier(ctx, run, r.At, sameFact); err != nil {
			return err
		}
	}
	changed, err := s.AddPlaces(ctx, run, r.Places)
	if err != nil || changed == 0 {
		return err
	}
	return i.publish(ctx, tx, run)
}

// judge says in which state a new run begins, and why if it is not Queued.
func judge(ctx context.Context, s store.Store, twinID int64, r twin.Request, h history) (state twin.State, refusal *twin.Failure, by int64, err error) {
	if r.Refusal != nil {
		return twin.Failed, r.Refusal, 0, nil
	}
	if !r.At.IsZero() {
		by, err = newer(ctx, s, twinID, r, h)
		if err == nil && by != 0 {
			by, err = s.Winner(ctx, by)
		}
		if err != nil || by != 0 {
			return twin.Superseded, nil, by, err
		}
	}
	if r.Twins != nil {
		if err := s.FreeTarget(ctx, twinID, r); err != nil {
			return "", nil, 0, err
		}
	}
	taken, err := s.TakeTarget(ctx, twinID, r.Spec.Target)
	if err != nil {
		return "", nil, 0, err
	}
	if !taken {
		return twin.Failed, twin.Refuse(
			fmt.Sprintf("the target %q is filled by another Twin already", r.Spec.Target),
			"give this Twin a target of its own; a Twin that was removed from this repository's file lets go of its own, "+
				"one of another repository does once the operator says so"), 0, nil
	}
	return twin.Queued, nil, 0, nil
}

// newer finds the run that a request comes too late for, 0 if there is none.
func newer(ctx context.Context, s store.Store, twinID int64, r twin.Request, h history) (int64, error) {
	m := move{sha: r.SHA, at: r.At, before: r.Before, forced: r.Forced, indirect: indirect(r)}
	within := sameMoment
	if m.indirect {
		within = sameFact
	}
	rivals, err := s.Rivals(ctx, twinID, r.Ref, r.SHA, r.At, within, sameFact)
	if err != nil {
		return 0, err
	}
	older := []int64{}
	for _, v := range rivals {
		way, err := m.against(v, h)
		switch {
		case err != nil:
			return 0, err
		case way < 0:
			return v.Run, nil
		case way > 0:
			older = append(older, v.Run)
		}
	}
	return s.NewerRun(ctx, twinID, r.At, older)
}

// came gives the pull requests, told by a run that waits, which a request's
// commit brought with it.
func came(ctx context.Context, s store.Store, waits int64, r twin.Request, h history) ([]twin.Place, error) {
	was, at, err := s.RequestOf(ctx, waits)
	if err != nil || r.At.IsZero() || was.Ref != r.Ref {
		return nil, err
	}
	heads := slices.DeleteFunc(slices.Clone(was.Places), func(p twin.Place) bool { return p.Role != twin.Head })
	m, rival := move{sha: r.SHA, at: r.At, before: r.Before}, store.Rival{SHA: was.SHA, At: at, Indirect: true}
	if was.Trigger != twin.PullRequest || !slices.ContainsFunc(heads, func(p twin.Place) bool { return p.SHA == was.SHA }) || !m.near(rival) {
		return nil, nil
	}
	way, err := m.against(rival, h)
	if err != nil || way <= 0 {
		return nil, err
	}
	return heads, nil
}

// queue stores a run that waits, in place of the one that waited.
func (i *Inserter) queue(ctx context.Context, tx pgx.Tx, n store.NewRun, h history) (int64, error) {
	s := store.New(tx)
	running, waited, err := s.Active(ctx, n.TwinID)
	if err != nil {
		return 0, err
	}
	if waited != 0 {
		heads, err := came(ctx, s, waited, n.Request, h)
		if err != nil {
			return 0, err
		}
		n.Request.Places = append(slices.Clone(n.Request.Places), heads...)
		if err := s.SupersedeQueued(ctx, waited); err != nil {
			return 0, err
		}
	}
	if err := s.Configure(ctx, n.TwinID, n.Request.Spec, n.Request.SHA); err != nil {
		return 0, err
	}
	run, err := i.insert(ctx, tx, n)
	if err != nil {
		return 0, err
	}
	if waited != 0 {
		if err := i.superseded(ctx, tx, waited, run); err != nil {
			return 0, err
		}
	}
	if running == 0 {
		return run, i.startRun(ctx, tx, run, nil)
	}
	// The end of the running one starts this one.
	if n.Request.Spec.OnNewer == twin.OnNewerRestart {
		return run, i.giveWay(ctx, tx, running, run, n.Request.SHA)
	}
	return run, nil
}

// giveWay asks the worker of a run to end it for the run of a newer commit,
// unless it publishes already. Its end, as with all ends, starts the other.
func (i *Inserter) giveWay(ctx context.Context, tx pgx.Tx, running, newer int64, sha string) error {
	s := store.New(tx)
	job, asked, err := s.RequestGiveWay(ctx, running, sha)
	if err != nil || !asked {
		return err
	}
	if err := s.AddEvent(ctx, running, store.Info, "", fmt.Sprintf("Asked to give way to run %d.", newer)); err != nil {
		return err
	}
	return i.tell(ctx, tx, job)
}

// superseded tells that a run has lost its place to another one.
func (i *Inserter) superseded(ctx context.Context, tx pgx.Tx, run, by int64) error {
	s := store.New(tx)
	if err := s.SetSupersededBy(ctx, run, by); err != nil {
		return err
	}
	if err := s.AddEvent(ctx, run, store.Info, "", fmt.Sprintf("Superseded by run %d.", by)); err != nil {
		return err
	}
	return i.reportRun(ctx, tx, run, false)
}

// insert stores a run with its places and its first event.
func (i *Inserter) insert(ctx context.Context, tx pgx.Tx, n store.NewRun) (int64, error) {
	s := store.New(tx)
	run, err := s.InsertRun(ctx, n)
	if err != nil {
		return 0, err
	}
	level, message := store.Info, "Queued."
	switch {
	case n.Failure != nil:
		level, message = store.Error, "Refused: "+n.Failure.Message+"."
	case n.SupersededBy != 0:
		message = fmt.Sprintf("Not started: run %d is about a newer commit.", n.SupersededBy)
	}
	if err := s.AddEvent(ctx, run, level, "", message); err != nil {
		return 0, err
	}
	added, err := s.AddPlaces(ctx, run, n.Request.Places)
	if err != nil || added == 0 {
		return run, err
	}
	return run, i.publish(ctx, tx, run)
}
