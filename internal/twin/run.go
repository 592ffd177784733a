package twin

import "time"

// Repository is a GitHub repository as one installation of the App sees it.
// The ids are what everything is keyed by; owner and name may change.
type Repository struct {
	InstallationID int64  `json:"installation_id"`
	ID             int64  `json:"id"`
	Owner          string `json:"owner"`
	Name           string `json:"name"`
	DefaultBranch  string `json:"default_branch,omitempty"`
}

// FullName is "owner/name".
func (r Repository) FullName() string { return r.Owner + "/" + r.Name }

// Role says which commit of a merged pull request a place to report to is.
type Role string

// The roles a place can have. A place that is both is the head.
const (
	// Head is the head commit of the pull request: the one its page shows.
	Head Role = "head"
	// Merge is the commit on the base branch.
	Merge Role = "merge"
)

// Place is a commit on which a run is reported as a check run.
type Place struct {
	Role Role   `json:"role"`
	SHA  string `json:"sha"`
	// PR is the number of the pull request, 0 where none is known.
	PR int `json:"pr,omitempty"`
}

// Request asks for a sync of one Twin at one commit. The same request told
// twice is one run with the union of its places.
type Request struct {
	Repo    Repository `json:"repo"`
	Spec    Spec       `json:"spec"`
	Trigger Trigger    `json:"trigger"`
	Ref     string     `json:"ref"` // refs/heads/main
	SHA     string     `json:"sha"` // the commit the branch was moved to
	PR      int        `json:"pr,omitempty"`
	// At is when GitHub says that the branch moved. It orders requests: order
	// of arrival never does.
	At time.Time `json:"at"`
	// AskedAt is when a person asked, by the clock of who received it; zero where
	// none did. It tells one such request from the next.
	AskedAt time.Time `json:"asked_at,omitzero"`
	// Before is the commit that the branch was at before, empty if unknown, and
	// Forced says that SHA need not come after it: the branch may have come back
	// to a commit that it was at earlier.
	Before string  `json:"before,omitempty"`
	Forced bool    `json:"forced,omitempty"`
	Places []Place `json:"places"`
	// Twins names every Twin that the repository has as of the commit; nil if
	// that is not known. A Twin that was removed or renamed lets go of its target.
	Twins []string `json:"twins,omitempty"`
	// Refusal, if set, is why the request can't be carried out. It is recorded
	// as a run that failed at once, so that its places are told.
	Refusal *Failure `json:"refusal,omitempty"`
}

// Run is one sync of one Twin, as it is stored.
type Run struct {
	ID      int64
	TwinID  int64
	Repo    Repository
	Spec    Spec
	Trigger Trigger
	Ref     string
	SHA     string
	PR      int

	State       State
	Attempt     int
	MaxAttempts int
	// PageKey is the unguessable part of the address of the run's page.
	PageKey string

	Phase    Phase
	Progress Progress
	Report   *Report  // set once the run has published
	Failure  *Failure // set once an attempt has failed

	// SupersededBy is the run that took this one's place, 0 if none, the SHA is
	// its commit, and the key that of its page. Where that one lost its place too,
	// it is the one at the end.
	SupersededBy    int64
	SupersededBySHA string
	SupersededByKey string
	// Behind is the run of the same Twin that is running while this one
	// waits, 0 if none, and the SHA is its commit.
	Behind    int64
	BehindSHA string

	// NeonBranch is the branch that the Twin lives on, by id or name; empty for
	// one that lives elsewhere. It is not stored: the operator's file says it.
	NeonBranch string

	CreatedAt  time.Time
	NotBefore  time.Time // zero: at once
	StartedAt  time.Time // of the latest attempt; zero: never
	FinishedAt time.Time // zero: not yet
}
