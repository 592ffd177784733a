package neon

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Class says what an error asks of the caller.
type Class string

// The classes of error.
const (
	BadRequest   Class = "bad request"  // a setting or a request is wrong; repeating is useless
	Auth         Class = "auth"         // the key is wrong or may not do this; tell the operator
	NotFound     Class = "not found"    // no such thing, or not visible yet right after its creation
	Locked       Class = "locked"       // other operations run; always safe to repeat
	RateLimited  Class = "rate limited" // too many requests; always safe to repeat
	Transient    Class = "transient"    // nothing was changed; always safe to repeat
	Ambiguous    Class = "ambiguous"    // a change may have been made: look before repeating
	Capacity     Class = "capacity"     // a limit of the plan
	Precondition Class = "precondition" // a setting of the project forbids it
	Unexpected   Class = "unexpected"   // not an answer that the API describes
)

// Retryable reports whether the same request may be sent again blindly.
func (c Class) Retryable() bool { return c == Locked || c == RateLimited || c == Transient }

// APIError is a request that the API did not carry out, or did not confirm.
type APIError struct {
	Status    int    // 0 where there was no answer
	Code      string // Neon's, often empty
	Message   string // Neon's, scrubbed and shortened, or ours
	RequestID string // what Neon's support asks for
	Class     Class
	// Request is the method and path that failed.
	Request string
	// RetryAfter is how long the server asked us to wait, 0 if it did not.
	RetryAfter time.Duration
	// Err is the cause where there was no whole answer.
	Err error
}

// Error names the request, what came back and the request's id.
func (e *APIError) Error() string {
	var b strings.Builder
	b.WriteString("neon")
	if e.Request != "" {
		b.WriteString(": " + e.Request)
	}
	b.WriteString(": ")
	if e.Status != 0 {
		fmt.Fprintf(&b, "%d ", e.Status)
	}
	b.WriteString(string(e.Class))
	for _, s := range []string{e.Code, e.Message} {
		if s != "" {
			b.WriteString(": " + s)
		}
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

// Unwrap gives the cause, if there is one besides Neon's answer.
func (e *APIError) Unwrap() error { return e.Err }

// LookupError says that a name leads to nothing, or to more than one thing.
// Nothing is ever used in its place.
type LookupError struct {
	What       string   // branch, role, database, compute
	Name       string   // as it was asked for; empty if one had to be chosen
	Where      string   // project or branch that was searched
	Candidates []string // what is there, at most a few
	Ambiguous  bool     // more than one fits
}

// Error lists what is there instead.
func (e *LookupError) Error() string {
	found := fmt.Sprintf("there is no %s", e.What)
	if e.Ambiguous {
		found = fmt.Sprintf("more than one %s fits", e.What)
	}
	if e.Name != "" {
		found += fmt.Sprintf(" %q", e.Name)
	}
	if e.Where != "" {
		found += " in " + e.Where
	}
	if len(e.Candidates) == 0 {
		return found
	}
	return found + "; there are: " + strings.Join(e.Candidates, ", ")
}

// OperationError is an operation that did not end well, or not in time.
type OperationError struct {
	Operation Operation
	// Err is set where the operation was given up, not Neon's work failed.
	Err error
}

// Error names the operation, its state and what Neon says about it.
func (e *OperationError) Error() string {
	s := fmt.Sprintf("neon: operation %s (%s) is %s", e.Operation.Action, e.Operation.ID, e.Operation.Status)
	if e.Operation.Error != "" {
		s += ": " + e.Operation.Error
	}
	if e.Err != nil {
		s += fmt.Sprintf(": %v", e.Err)
	}
	return s
}

// Unwrap gives the reason why waiting ended.
func (e *OperationError) Unwrap() error { return e.Err }

// classify decides what an answer other than 2xx means: by its code, then its
// message, then its status. Where Neon may have carried out a change before
// the answer was lost, only the status counts.
func classify(method string, status int, code, message string) Class {
	if status >= 400 && status < 500 {
		if c, ok := classifyCode(code); ok {
			return c
		}
		if c, ok := classifyMessage(status, message); ok {
			return c
		}
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return Auth
	case http.StatusNotFound:
		return NotFound
	case http.StatusPreconditionFailed:
		return Precondition
	case http.StatusLocked:
		return Locked
	case http.StatusTooManyRequests:
		return RateLimited
	case http.StatusServiceUnavailable:
		return Transient
	case http.StatusRequestTimeout:
		return lost(method)
	}
	switch {
	case status >= 500:
		return lost(method)
	case status >= 400:
		return BadRequest
	}
	return Unexpected
}

// lost is the class of a request whose answer never came.
func lost(method string) Class {
	if method == http.MethodGet {
		return Transient
	}
	return Ambiguous
}

func classifyCode(code string) (Class, bool) {
	switch code {
	case "RATE_LIMIT_EXCEEDED":
		return RateLimited, true
	case "RUNNING_OPERATIONS", "CONCURRENCY_LIMIT_REACHED", "LOCK_ALREADY_TAKEN":
		return Locked, true
	case "ROLE_PROTECTED":
		return BadRequest, true
	case "BRANCH_SIZE_LIMIT_EXCEEDED_THRESHOLD", "COMPUTE_TIME_EXCEEDED", "NON_PRIMARY_BRANCH_COMPUTE_TIME_EXCEEDED":
		return Capacity, true
	}
	switch {
	case strings.HasSuffix(code, "_LIMIT_EXCEEDED"), strings.HasSuffix(code, "_QUOTA_EXCEEDED"):
		return Capacity, true
	case strings.HasSuffix(code, "_NOT_FOUND"):
		return NotFound, true
	}
	return "", false
}

func classifyMessage(status int, message string) (Class, bool) {
	if status != http.StatusConflict && status != http.StatusUnprocessableEntity {
		return "", false
	}
	m := strings.ToLower(message)
	switch {
	case strings.Contains(m, "not ready yet"), strings.Contains(m, "running conflicting operations"), strings.Contains(m, "transitive state"):
		return Locked, true
	case strings.Contains(m, "limit") && (strings.Contains(m, "exceeded") || strings.Contains(m, "reached")):
		return Capacity, true
	}
	return "", false
}

var credentials = regexp.MustCompile(`://[^@\s/]+@`)

// scrub makes a server's text fit for logs: no key, no user and password of an
// address, no control characters, not long.
func scrub(s, key string) string {
	if key != "" {
		s = strings.ReplaceAll(s, key, "[redacted]")
	}
	s = credentials.ReplaceAllString(s, "://[redacted]@")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	const longest = 400
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}
