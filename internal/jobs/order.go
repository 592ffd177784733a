package jobs

import (
	"time"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// history says how a request's commit lies to others: after them (1), before
// them (-1), or neither (0).
type history map[string]int

// doubtError says that a request can't be told from another commit by time,
// and that nobody has looked yet how the two lie to each other.
type doubtError struct{ sha string }

func (e *doubtError) Error() string { return "which commit is newer is not known: " + e.sha }

// sameMoment is how far apart the times of two commits must be to say which is
// newer. GitHub tells whole seconds, in pull requests and pushes not the same.
const sameMoment = 2 * time.Second

// sameFact is how far apart the times may be with which a merged pull request
// and its push tell of one move. Further apart they tell of two: the branch was
// elsewhere in between.
const sameFact = 30 * time.Second

// move is a branch that came to a commit, as it is told.
type move struct {
	sha    string
	at     time.Time
	before string // where the branch was, empty if unknown
	forced bool   // the commit need not come after that
	// indirect: the time is that at which GitHub noticed, as in store.Rival.
	indirect bool
}

// near reports whether two moves are of one moment, so that their times don't
// order them.
func (m move) near(other store.Rival) bool {
	apart := m.at.Sub(other.At).Abs()
	return apart <= sameMoment || apart <= sameFact && (m.indirect || other.Indirect)
}

// against says whether a move came after (1) or before (-1) the one by which
// the branch came to another commit. Times decide, and where they are too
// close, what the pushes say of where the branch came from, and then the
// history. 0 is neither: two lines of which one replaced the other.
func (m move) against(other store.Rival, h history) (int, error) {
	linked := m.before != "" && m.before == other.SHA
	from := other.ForcedFrom != nil && *other.ForcedFrom == m.sha
	switch {
	case !m.near(other):
		return m.at.Compare(other.At), nil
	case from && !(linked && m.forced && m.at.After(other.At)):
		return -1, nil
	case linked:
		return 1, nil
	case h == nil:
		return 0, nil
	}
	way, known := h[other.SHA]
	if !known {
		return 0, &doubtError{other.SHA}
	}
	return way, nil
}

// returns reports whether a move to a commit that is known, and was last moved
// to at known, brought the branch back there from another commit: then it is
// not the fact that is known. What is told late, or twice, brings nothing back.
func (m move) returns(known time.Time, newest store.Rival) bool {
	switch {
	case m.sha == newest.SHA || !m.at.After(known):
		return false
	case m.before != "" && m.before == newest.SHA:
		return !m.at.Before(newest.At) || m.forced && m.near(newest)
	}
	return m.forced && !m.near(newest) && m.at.After(newest.At)
}

// stays reports whether a push moved the branch once more to the commit that
// is the newest known, so that all in between is older than that.
func (m move) stays(newest store.Rival) bool {
	return m.sha == newest.SHA && (m.forced && m.at.After(newest.At) || m.at.Sub(newest.At) > sameFact)
}

// lost reports whether a Twin stands at another commit of a branch although one
// was, or is, synced, or gave way. A run that has failed, or that a person has
// cancelled, is an answer and not begun again.
func lost(st store.Bearing) bool {
	switch st.State {
	case twin.Running, twin.Succeeded, twin.Superseded:
		return !st.Serves && st.Other.SHA != ""
	case twin.Queued, twin.Failed, twin.Cancelled:
	}
	return false
}

// seenAgain reports whether a Twin needs another run for a commit that was seen
// at the head of its branch at a time, however it came there.
func seenAgain(st store.Bearing, at time.Time) bool {
	switch {
	case st.Other.SHA == "" || !at.After(st.Other.At) || !at.After(st.At):
		return false
	case st.State == twin.Failed || st.State == twin.Cancelled:
		return st.Other.At.After(st.At) // the branch was elsewhere since
	}
	return lost(st)
}

// indirect reports whether a request is about a pull request that no merge of
// its own brought to the branch: its head came with a push, perhaps with other
// pull requests and with commits after it. That push's run is the one to be
// told on it.
func indirect(r twin.Request) bool {
	return r.Trigger == twin.PullRequest && len(r.Places) == 1 && r.Places[0].Role == twin.Head && r.Places[0].SHA == r.SHA
}
