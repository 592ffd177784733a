package twin

import "time"

// Attempt is one try of GitHub's to deliver a webhook. All tries of one share
// the GUID.
type Attempt struct {
	ID             int64
	GUID           string
	Event          string
	Action         string
	InstallationID int64 // 0 where the event names none
	At             time.Time
	OK             bool // it was answered with success
}

// Installation is the App on one account, as GitHub says.
type Installation struct {
	ID        int64
	Suspended bool
}

// Sight is a repository as GitHub shows it now.
type Sight struct {
	Repository
	Archived bool
}

// Fact is a branch that was moved to a commit, told by a push or, with PR set,
// by a merged pull request. What has been decided about is told apart by it
// from what no webhook has told.
type Fact struct {
	Repo Repository
	Ref  string // refs/heads/main
	SHA  string
	PR   int
	At   time.Time // when, by GitHub's clock
}

// Known is what has been decided about of a branch.
type Known struct {
	// Pushed is the latest push; its SHA is empty if there is none.
	Pushed Fact
	// Since is from when on all is known.
	Since time.Time
	// Merged are the pull requests that were merged since then.
	Merged []Fact
	// Astray is where a Twin stands, or is about to, that was to follow Pushed:
	// which of the two moves was the later one could not be told. Its SHA is
	// empty if there is no such Twin.
	Astray Fact
}

// Missing is what no webhook has told of a branch.
type Missing struct {
	// Head is the branch as it stands.
	Head Fact
	// Deliveries are what should have told how the branch came to be so.
	Deliveries []Delivery
	// Young is set where something is left out because the webhook that tells
	// it may still be on its way.
	Young bool
}
