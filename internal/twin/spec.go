package twin

// Spec is what a repository's file says of one Twin. It names its source and
// target by the operator's names; it never holds a host or a secret.
type Spec struct {
	Name   string   `json:"name"`
	Source string   `json:"source"`
	Target string   `json:"target"`
	On     Triggers `json:"on"`
	Mode   Mode     `json:"mode"`
}

// Triggers says which events start a run. Any one that matches does.
type Triggers struct {
	PullRequest *BranchTrigger `json:"pull_request,omitempty"`
	Push        *BranchTrigger `json:"push,omitempty"`
}

// BranchTrigger matches a change of a branch. Branches are glob patterns
// matched against the branch's short name; none means the default branch.
// Paths are glob patterns ("**" crosses directories) of which at least one
// changed file must match one; none means any change.
type BranchTrigger struct {
	Branches []string `json:"branches,omitempty"`
	Paths    []string `json:"paths,omitempty"`
}
