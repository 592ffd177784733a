package twin

import (
	"errors"
	"fmt"
	"time"
)

// Errors that somebody branches on.
var (
	// ErrRefused marks a run that must not be tried again until a person has
	// changed something.
	ErrRefused = errors.New("refused")
	// ErrDuplicate marks a fact that is already stored.
	ErrDuplicate = errors.New("duplicate")
	// ErrLeaseLost is the cause of a run's end when another worker may have
	// taken it over. Whoever sees it must not write anything more.
	ErrLeaseLost = errors.New("lease lost")
	// ErrCancelled is the cause of a run's end when a person has asked for it.
	ErrCancelled = errors.New("cancelled")
	// ErrUnreachable marks a place that can't be told any more: the App was
	// removed, the repository archived or gone.
	ErrUnreachable = errors.New("unreachable")
)

// LaterError says that something may be tried again, but not before a time:
// a rate limit, a lock. Waiting for it is no failure.
type LaterError struct {
	At  time.Time
	Err error
}

// Error says what stands in the way and until when.
func (e *LaterError) Error() string {
	return fmt.Sprintf("not before %s: %v", e.At.UTC().Format(time.RFC3339), e.Err)
}

// Unwrap gives what stands in the way.
func (e *LaterError) Unwrap() error { return e.Err }

// Code names a class of failure. Codes are stored and are never renamed.
type Code string

// The classes of failure.
const (
	CodeRefused     Code = "refused"            // a person must decide or mend something
	CodeSource      Code = "source_unavailable" // production can't be reached or gave up
	CodeTarget      Code = "target_unavailable" // the Twin's server can't be reached or gave up
	CodePermission  Code = "permission"         // a role may not do what is needed
	CodeSchema      Code = "schema"             // the target did not take the schema
	CodeData        Code = "data"               // rows did not arrive, or not as they left
	CodeVerify      Code = "verify"             // what arrived differs from the source
	CodeConflict    Code = "conflict"           // somebody else works on the target
	CodeYielded     Code = "yielded"            // the source's application waited for us
	CodeCapacity    Code = "capacity"           // no room, or a limit of the plan
	CodeNeon        Code = "neon"               // the Neon API said no
	CodeConfig      Code = "configuration"      // the operator's or the repository's settings
	CodeInterrupted Code = "interrupted"        // stopped from outside; nothing is wrong
	CodeInternal    Code = "internal"           // a defect of neontwin
)

// Failure is an error that a person outside may read. Message and Next go to
// check runs and pages: they hold no host, no credential, no value of a row
// and no text of a database server. The cause is for the operator's log alone.
type Failure struct {
	Code    Code   `json:"code"`
	Phase   Phase  `json:"phase,omitempty"`
	Message string `json:"message"` // what happened, and where
	Next    string `json:"next"`    // what to do about it
	// Retry is set where the same attempt may succeed later by itself.
	Retry bool `json:"retry"`
	// Changed is set where the Twin no longer serves what it served before the
	// run: under in_place, once the rebuilding has begun.
	Changed bool `json:"changed,omitempty"`
	// Cause is what the log may say. It is not stored with the run.
	Cause error `json:"-"`
}

// Error is for logs: it includes the cause.
func (f *Failure) Error() string {
	if f.Cause == nil {
		return f.Message
	}
	return fmt.Sprintf("%s: %v", f.Message, f.Cause)
}

// Unwrap gives the cause, and ErrRefused for a refusal.
func (f *Failure) Unwrap() []error {
	var errs []error
	if f.Code == CodeRefused {
		errs = append(errs, ErrRefused)
	}
	if f.Cause != nil {
		errs = append(errs, f.Cause)
	}
	return errs
}

// Refuse makes a failure that no retry can mend.
func Refuse(message, next string) *Failure {
	return &Failure{Code: CodeRefused, Message: message, Next: next}
}

// AsFailure finds the Failure in err, or makes one of an error that nobody
// classified: a person then reads that it is a defect, and the log has the rest.
func AsFailure(err error) *Failure {
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{
		Code: CodeInternal, Retry: true, Cause: err,
		Message: "an unexpected error stopped the run",
		Next:    "the service's log has the details; the run is tried again while attempts are left",
	}
}
