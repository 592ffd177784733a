package twin

import (
	"context"
	"time"
)

// Delivery is a webhook as it came in: verified, not yet understood.
type Delivery struct {
	GUID           string // GitHub's; a redelivery keeps it
	Event          string
	Action         string
	InstallationID int64 // 0 where the event names none
	RepositoryID   int64 // 0 where the event names none
	Body           []byte
	ReceivedAt     time.Time
}

// Decision is what a delivery means to us: requests to sync, or the reason
// why there are none.
type Decision struct {
	Requests []Request
	Reason   string
	// Fact is what the delivery told, once that has been decided about; nil for
	// deliveries that told of no branch, or of one that could not be looked at.
	Fact *Fact
	// Changed says whose standing with GitHub may have changed; nil if nobody's.
	Changed *Changed
	// Declared is what the repository says of its Twins as of the change, nil if
	// the change tells nothing of that.
	Declared *Declaration
}

// Declaration is all that a repository's trusted file, that on its default
// branch, says as of a commit. The fields mean what those of a Request do.
type Declaration struct {
	Repo   Repository
	SHA    string
	Before string
	Forced bool
	At     time.Time
	Twins  []Spec // none: the repository has no Twins (any more)
}

// Changed names an installation, or one of its repositories, whose standing may
// not be what it was. An event only says that it is time to look: events come
// late and in any order, so what counts is what GitHub shows then.
type Changed struct {
	InstallationID int64
	// Repo is the repository that the event is about, as the event names it;
	// zero where it is about the whole installation.
	Repo Repository
	// Returned is set where access may have come back: what could not be told
	// meanwhile is told then.
	Returned bool
}

// Lease is one worker's hold on one attempt of a run. Who holds it may write
// to the target; who has lost it must not.
type Lease interface {
	// Token is unique to this attempt. It names the generation being loaded:
	// at most 16 characters of [a-z0-9].
	Token() string
	// Progress notes how far the run has come. It never blocks and never fails.
	Progress(Progress)
	// Check asks whether the lease is still held, with enough time left on it
	// to publish. An error that is ErrLeaseLost ends the attempt.
	Check(context.Context) error
}
