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
