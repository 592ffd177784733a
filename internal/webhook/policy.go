package webhook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/twin"
)

// Policy is what the operator allows. A repository's file can only name what
// stands here with the repository's own name beside it.
type Policy struct {
	Sources map[string]Access // by the operator's name
	Targets map[string]Access

	// Default is the one Twin of a repository without a file, as the operator
	// set it up in the environment; nil if there is none. Without triggers it
	// follows the default branch, by merged pull requests and by pushes.
	Default *twin.Spec
	// DefaultRepository is the repository that Default is for, owner/name.
	DefaultRepository string
}

// Access says who may use a source or a target, and how.
type Access struct {
	// Repositories are full names, in any case of letters. None means nobody.
	Repositories []string
	// MustMask refuses every mode that passes values on as they are.
	MustMask bool
	// AllowSQL lets a repository's file bring SQL that is run on a source.
	AllowSQL bool
}

// allows reports whether a repository may use what the Access is for.
func (a Access) allows(fullName string) bool {
	return slices.ContainsFunc(a.Repositories, func(r string) bool { return strings.EqualFold(r, fullName) })
}

// allowsAny is allows for a repository that the operator may know by any of names.
func (a Access) allowsAny(names []string) bool { return slices.ContainsFunc(names, a.allows) }

// knows reports whether anything is open to a repository.
func (p Policy) knows(names ...string) bool {
	for _, all := range []map[string]Access{p.Sources, p.Targets} {
		for _, access := range all {
			if access.allowsAny(names) {
				return true
			}
		}
	}
	return false
}

// fallback gives the Twin of a repository without a file.
func (p Policy) fallback(names []string) (twin.Spec, bool) {
	if p.Default == nil || !(Access{Repositories: []string{p.DefaultRepository}}).allowsAny(names) {
		return twin.Spec{}, false
	}
	s := *p.Default
	if s.On == (twin.Triggers{}) {
		s.On = twin.Triggers{PullRequest: &twin.BranchTrigger{}, Push: &twin.BranchTrigger{}}
	}
	return s, true
}

// refuse says why a repository, known to the operator by any of names, may not
// have a Twin as it is asked for; nil if it may. What does not exist and what
// belongs to others is refused in the same words: nobody learns the names of
// others' databases.
func (p Policy) refuse(fullName string, names []string, s twin.Spec) *twin.Failure {
	for _, side := range []struct {
		kind, name string
		all        map[string]Access
	}{{"source", s.Source, p.Sources}, {"target", s.Target, p.Targets}} {
		access, ok := side.all[side.name]
		if !ok || !access.allowsAny(names) {
			return twin.Refuse(
				fmt.Sprintf("the %s %q is not open to %s", side.kind, side.name, fullName),
				fmt.Sprintf("the file names another %s, or the operator adds %s to the repositories of %q",
					side.kind, fullName, side.name))
		}
		if access.MustMask && !masks(s) {
			return twin.Refuse(
				fmt.Sprintf("the %s %q may only be used with masking, and the mode of this Twin is %s", side.kind, side.name, s.Mode),
				"choose a mode that masks, or ask the operator")
		}
	}
	if s.Subset != nil && s.Subset.UsesSQL() && !p.Sources[s.Source].AllowSQL {
		return twin.Refuse(
			fmt.Sprintf("the subset of this Twin has SQL in it, and the source %q takes none from a repository's file", s.Source),
			"write the subset without where, when and order_by, or the operator sets allow_sql: true for the source")
	}
	return nil
}

// masks reports whether no row of a Twin holds an original value.
func masks(s twin.Spec) bool {
	if s.Masked() {
		return true
	}
	switch s.Mode {
	case twin.Anonymized, twin.Synthetic:
		return true
	case twin.SchemaOnly:
		return s.Subset == nil || len(s.Subset.Whole) == 0
	case twin.Full, twin.Partial:
		return false
	}
	return false
}
