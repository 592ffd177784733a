// Package twin holds the words that every other package speaks: what a Twin is
// told to be, what a run of it is doing, and what it did. It imports only the
// standard library and does nothing by itself.
package twin

import "slices"

// Mode says what a Twin holds.
type Mode string

// The modes a Twin can have. They set the default for each table.
const (
	Full       Mode = "full"        // every row as it is
	Partial    Mode = "partial"     // a subset whose references hold
	Anonymized Mode = "anonymized"  // personal data masked on the way
	Synthetic  Mode = "synthetic"   // invented rows
	SchemaOnly Mode = "schema_only" // no rows
)

// Modes lists the modes in the order in which help texts name them.
func Modes() []Mode { return []Mode{Full, Partial, Anonymized, Synthetic, SchemaOnly} }

// Valid reports whether m is a mode that exists.
func (m Mode) Valid() bool { return slices.Contains(Modes(), m) }

// Strategy says how a verified generation takes the place of the one before.
type Strategy string

// The ways to publish.
const (
	// Swap loads a new database beside the Twin's and renames both in one
	// transaction. Works on any Postgres.
	Swap Strategy = "swap"
	// Branch loads the root branch of a Neon project and resets the Twin's
	// branch to it.
	Branch Strategy = "branch"
	// InPlace rebuilds the Twin where it stands; it is broken until the run
	// ends. Only ever used when it is asked for by name.
	InPlace Strategy = "in_place"
)

// Strategies lists the ways to publish in the order in which help texts name them.
func Strategies() []Strategy { return []Strategy{Swap, Branch, InPlace} }

// Valid reports whether s is a strategy that exists.
func (s Strategy) Valid() bool { return slices.Contains(Strategies(), s) }

// State is where a run stands. Queued and Running are the only states that a
// run leaves again.
type State string

// The states of a run, as they are stored.
const (
	Queued     State = "queued"
	Running    State = "running"
	Succeeded  State = "succeeded"
	Failed     State = "failed"
	Cancelled  State = "cancelled"
	Superseded State = "superseded" // a newer commit took its place
)

// Terminal reports whether a run in state s has ended for good.
func (s State) Terminal() bool { return s != Queued && s != Running }

// Phase is the part of a sync that a run is in. Phases follow one another in
// the order of Phases.
type Phase string

// The phases of a sync.
const (
	Preflight Phase = "preflight" // look at both sides, refuse what can't work
	Select    Phase = "select"    // choose the rows that a partial Twin keeps
	Prepare   Phase = "prepare"   // make the database that will be loaded
	Schema    Phase = "schema"    // types, tables, functions: everything before rows
	Load      Phase = "load"      // rows
	Index     Phase = "index"     // indexes, keys and checks
	Relate    Phase = "relate"    // foreign keys, triggers, policies: what must see all rows
	Finish    Phase = "finish"    // sequences, materialized views, statistics
	Verify    Phase = "verify"    // counts, constraints and schema against the source
	Publish   Phase = "publish"   // the Twin becomes the new generation
)

// Phases lists all phases, in the order in which a run passes them. Spec.Phases
// leaves out those that the runs of one Twin have no use for.
func Phases() []Phase {
	return []Phase{Preflight, Select, Prepare, Schema, Load, Index, Relate, Finish, Verify, Publish}
}

// Trigger says why a run exists.
type Trigger string

// The triggers of a run.
const (
	PullRequest Trigger = "pull_request" // a pull request was merged
	Push        Trigger = "push"         // a tracked branch moved
	Schedule    Trigger = "schedule"
	Rerun       Trigger = "rerun" // a person asked for it again
	CatchUp     Trigger = "catch_up"
	Command     Trigger = "command" // the command line
)
