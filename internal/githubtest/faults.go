package githubtest

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Trouble is what goes wrong with a request to the API.
type Trouble string

// What can go wrong with a request.
const (
	// TooManyRequests is 429, with Fault.RetryAfter if that is set.
	TooManyRequests Trouble = "429"
	// SecondaryLimit is 403 with GitHub's text about a secondary rate limit.
	SecondaryLimit Trouble = "secondary limit"
	// BareSecondaryLimit is the same without documentation_url.
	BareSecondaryLimit Trouble = "secondary limit without documentation_url"
	// PrimaryLimit is 403 with x-ratelimit-remaining 0 and a reset in Fault.Delay.
	PrimaryLimit Trouble = "primary limit"
	// Unauthorized is 401, as for a token that was revoked.
	Unauthorized Trouble = "401"
	// Forbidden is 403 for want of a permission.
	Forbidden Trouble = "403"
	// NotFound is 404, as for a commit that the API doesn't see yet.
	NotFound Trouble = "404"
	// NoCommit is 422 "No commit found for SHA", likewise.
	NoCommit Trouble = "422"
	// ServerError is 500.
	ServerError Trouble = "500"
	// BadGateway is 502 with a page of HTML.
	BadGateway Trouble = "502"
	// Slow waits for Fault.Delay before the request is handled.
	Slow Trouble = "slow"
	// CutBody handles the request and breaks off in the middle of the answer.
	CutBody Trouble = "cut body"
	// AnswerLost handles the request and closes the connection without answer.
	AnswerLost Trouble = "answer lost"
	// MovedPermanently is 301 to the same address at Fault.Location.
	MovedPermanently Trouble = "301"
	// TemporaryRedirect is 307 to the same address at Fault.Location.
	TemporaryRedirect Trouble = "307"
)

// A Fault makes requests fail.
type Fault struct {
	// Route names the requests as GitHub's documentation does, for example
	// "POST /repos/{owner}/{repo}/check-runs". Empty means all.
	Route string
	// Times is how many requests fail. 0 means 1; below 0 means all, until
	// ClearFaults.
	Times int
	Kind  Trouble
	// RetryAfter is sent as Retry-After: seconds or a date. Empty sends none.
	RetryAfter string
	Delay      time.Duration
	// Location is where redirects lead: scheme and host.
	Location string
}

// WebhookTrouble is what goes wrong with a webhook.
type WebhookTrouble string

// What can go wrong with a webhook.
const (
	WebhookLost           WebhookTrouble = "lost"            // never sent, nowhere listed
	WebhookFailed         WebhookTrouble = "failed"          // listed as an attempt that found nobody
	WebhookDoubled        WebhookTrouble = "doubled"         // sent twice with one GUID
	WebhookDelayed        WebhookTrouble = "delayed"         // sent after WebhookFault.Delay
	WebhookOvertaken      WebhookTrouble = "overtaken"       // sent after the one that follows
	WebhookMissigned      WebhookTrouble = "missigned"       // signed with a secret of nobody
	WebhookPreviousSecret WebhookTrouble = "previous secret" // signed with the secret before
)

// A WebhookFault makes webhooks fail.
type WebhookFault struct {
	Event  string // empty means all
	Action string // empty means all
	Times  int    // as in Fault
	Kind   WebhookTrouble
	Delay  time.Duration
}

// Break adds a fault. Faults of one route take their turns in the order in
// which they were added.
func (s *Server) Break(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// BreakWebhook adds a fault of webhooks that are queued from now on.
func (s *Server) BreakWebhook(f WebhookFault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hookBad = append(s.hookBad, &f)
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.hookBad = nil, nil
}

// fault takes the fault that is due for a route.
func (s *Server) fault(route string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Route != "" && f.Route != route {
			continue
		}
		out := *f
		if f.Times--; f.Times == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return out
	}
	return Fault{}
}

func (s *Server) webhookFault(m *message) WebhookFault {
	for i, f := range s.hookBad {
		if f.Event != "" && f.Event != m.Event || f.Action != "" && f.Action != m.Action {
			continue
		}
		out := *f
		if f.Times--; f.Times == 0 {
			s.hookBad = slices.Delete(s.hookBad, i, i+1)
		}
		return out
	}
	return WebhookFault{}
}

// Clients tell the two limits apart by these.
const (
	rateLimitDocs = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"
	secondaryDocs = rateLimitDocs + "#about-secondary-rate-limits"
)

// fail answers a request as the fault says, or hands it on.
func (s *Server) fail(f Fault, w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	refuse := func(status int, message string) { s.write(w, r, status, problem(status, message)) }
	switch f.Kind {
	case TooManyRequests:
		refuse(http.StatusTooManyRequests, "You have exceeded a rate limit. Please wait a few minutes before you try again.")
	case SecondaryLimit:
		s.write(w, r, http.StatusForbidden, obj{"message": secondaryText, "documentation_url": secondaryDocs})
	case BareSecondaryLimit:
		s.write(w, r, http.StatusForbidden, obj{"message": secondaryText})
	case PrimaryLimit:
		used := &budget{used: s.opts.RateLimit, reset: s.opts.Now().Add(f.Delay)}
		used.headers(w.Header(), s.opts.RateLimit)
		s.write(w, r, http.StatusForbidden, obj{"message": primaryText, "documentation_url": rateLimitDocs})
	case Unauthorized:
		refuse(http.StatusUnauthorized, "Bad credentials")
	case Forbidden:
		refuse(http.StatusForbidden, "Resource not accessible by integration")
	case NotFound:
		refuse(http.StatusNotFound, "Not Found")
	case NoCommit:
		refuse(http.StatusUnprocessableEntity, "No commit found for SHA: "+r.PathValue("ref"))
	case ServerError:
		refuse(http.StatusInternalServerError, "Server Error")
	case BadGateway:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("<html><head><title>502 Bad Gateway</title></head><body>Unicorn!</body></html>"))
	case Slow:
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
			next(w, r)
		case <-r.Context().Done():
		}
	case CutBody, AnswerLost:
		s.cut(f.Kind, w, r, next)
	case MovedPermanently:
		http.Redirect(w, r, f.Location+r.URL.RequestURI(), http.StatusMovedPermanently)
	case TemporaryRedirect:
		http.Redirect(w, r, f.Location+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	default:
		next(w, r)
	}
}

// cut lets the request take effect, then sends half of the answer or none.
func (s *Server) cut(kind Trouble, w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	rec := &recorder{header: w.Header(), status: http.StatusOK}
	next(rec, r)
	if kind == CutBody {
		w.Header().Set("Content-Length", strconv.Itoa(rec.body.Len()))
		w.WriteHeader(rec.status)
		_, _ = w.Write(rec.body.Bytes()[:rec.body.Len()/2])
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler) // closes the connection without a word
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
