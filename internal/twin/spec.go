package twin

import (
	"slices"
	"time"
)

// Spec is what a repository's file says of one Twin. It names its source and
// target by the operator's names; it never holds a host or a secret.
type Spec struct {
	Name   string   `json:"name"`
	Source string   `json:"source"`
	Target string   `json:"target"`
	On     Triggers `json:"on"`
	Mode   Mode     `json:"mode"`
	// Subset says which rows are kept; nil keeps all that Mode does.
	Subset *Subset `json:"subset,omitempty"`
	// Masking says what becomes of the columns. Where it is set, or Mode is
	// Anonymized, a column of which nothing is said refuses the run.
	Masking *Masking `json:"masking,omitempty"`
	// OnNewer says what a newer commit does to a run that is under way; empty
	// means OnNewerFinish.
	OnNewer OnNewer `json:"on_newer,omitempty"`
}

// Phases lists the phases that a run of s passes, in their order.
func (s Spec) Phases() []Phase {
	return slices.DeleteFunc(Phases(), func(p Phase) bool {
		return p == Select && s.Subset == nil && s.Mode != SchemaOnly
	})
}

// Masked reports whether no personal value may stand in the Twin.
func (s Spec) Masked() bool { return s.Mode == Anonymized || s.Masking != nil }

// OnNewer says what a newer commit does to a run that is under way.
type OnNewer string

// What a newer commit can do.
const (
	// OnNewerFinish lets the run finish; the newer commit's run follows.
	OnNewerFinish OnNewer = "finish"
	// OnNewerRestart interrupts the run, unless it publishes already.
	OnNewerRestart OnNewer = "restart"
)

// Triggers says which events start a run. Any one that matches does.
type Triggers struct {
	PullRequest *BranchTrigger `json:"pull_request,omitempty"`
	Push        *BranchTrigger `json:"push,omitempty"`
	Schedule    *Timetable     `json:"schedule,omitempty"`
}

// Timetable starts a run of the default branch's head once on each of its days.
type Timetable struct {
	At       string         `json:"at"`             // the time on the wall, "02:30"
	Timezone string         `json:"timezone"`       // of the wall, "Europe/Berlin"
	Days     []time.Weekday `json:"days,omitempty"` // none means every day
}

// BranchTrigger matches a change of a branch. Branches are glob patterns
// matched against the branch's short name; none means the default branch.
// Paths are glob patterns ("**" crosses directories) of which at least one
// changed file must match one; none means any change.
type BranchTrigger struct {
	Branches []string `json:"branches,omitempty"`
	Paths    []string `json:"paths,omitempty"`
}
