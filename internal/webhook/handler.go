// Package webhook turns what GitHub tells us into requests to sync. Handler
// verifies and stores a webhook and answers; later, Processor works out what
// the stored webhook means. What can be decided without asking anybody is in
// two pure functions, About and Decide.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/twin"
)

// answerWithin bounds the whole of a request. GitHub counts a webhook that is
// not answered in 10 seconds as failed, and does not send it again by itself.
const answerWithin = 8 * time.Second

// Enqueuer stores a delivery together with the job that will process it, in
// one transaction. twin.ErrDuplicate says that both are there already.
type Enqueuer interface {
	Deliver(ctx context.Context, d twin.Delivery) error
}

// Handler answers GitHub's webhooks. Its 202 is a promise: what we act on is
// stored.
type Handler struct {
	secrets [][]byte
	queue   Enqueuer
	log     *slog.Logger
	count   func(event, outcome string)
	now     func() time.Time
	large   chan struct{} // holds one token for each large body under way
}

// A body has to be in memory whole before its signature can be checked, so that
// anybody could fill ours with large ones. Few of GitHub's are: those take turns.
const (
	largeBody   = 1 << 20
	largeAtOnce = 4
)

// The outcomes that are counted.
const (
	outcomeStored    = "stored"
	outcomeDuplicate = "duplicate"
	outcomeIgnored   = "ignored" // an event that we don't act on
	outcomeSignature = "bad_signature"
	outcomeTooLarge  = "too_large"
	outcomeMalformed = "malformed"
	outcomeBroken    = "broken" // the connection ended within the body
	outcomeFailed    = "failed" // the database did not take it
	outcomeBusy      = "busy"   // too many large ones at once
)

// NewHandler makes a Handler. The secrets are those that GitHub may sign with:
// the current one and, while it is being changed, the one before. The counting
// function gets an event's name from a small, fixed set.
func NewHandler(secrets [][]byte, queue Enqueuer, log *slog.Logger, count func(event, outcome string)) (*Handler, error) {
	if err := github.CheckSecrets(secrets); err != nil {
		return nil, fmt.Errorf("make webhook handler: %w", err)
	}
	return &Handler{secrets: secrets, queue: queue, log: log, count: count, now: time.Now, large: make(chan struct{}, largeAtOnce)}, nil
}

// ServeHTTP verifies a webhook, stores it if we act on it, and answers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	// A body that trickles in is cut off too. A test's recorder has no deadline.
	if err := http.NewResponseController(w).SetReadDeadline(h.now().Add(answerWithin)); err != nil &&
		!errors.Is(err, http.ErrNotSupported) {
		h.log.WarnContext(ctx, "set read deadline", "err", err)
	}
	if r.ContentLength < 0 || r.ContentLength > largeBody {
		select {
		case h.large <- struct{}{}:
			defer func() { <-h.large }()
		case <-ctx.Done():
			h.count("other", outcomeBusy)
			w.Header().Set("Retry-After", "60")
			answer(w, http.StatusServiceUnavailable, "unavailable")
			return
		}
	}
	ev, err := github.ReadEvent(w, r, h.secrets)
	if err != nil {
		h.refuse(ctx, w, r, err)
		return
	}
	// Only the body is signed: under a GUID of ours a replay could stand in the
	// way of what we find out ourselves.
	if !acts(ev) || strings.HasPrefix(ev.GUID, ownGUID) {
		h.count(label(ev.Name), outcomeIgnored)
		answer(w, http.StatusAccepted, "ignored")
		return
	}
	h.store(ctx, w, ev)
}

// store keeps an event that we act on.
func (h *Handler) store(ctx context.Context, w http.ResponseWriter, ev github.Event) {
	err := h.queue.Deliver(ctx, twin.Delivery{
		GUID: ev.GUID, Event: ev.Name, Action: ev.Action,
		InstallationID: ev.InstallationID, RepositoryID: ev.Repository.ID,
		Body: ev.Body, ReceivedAt: h.now().UTC(),
	})
	switch {
	case errors.Is(err, twin.ErrDuplicate):
		h.count(label(ev.Name), outcomeDuplicate)
		h.log.InfoContext(ctx, "webhook was stored before", "delivery", ev.GUID, "event", ev.Name, "repo", ev.Repository.FullName())
		answer(w, http.StatusAccepted, "known")
	case err != nil:
		// Not a 2xx: GitHub notes the failure, and the delivery can be asked for
		// again.
		h.count(label(ev.Name), outcomeFailed)
		h.log.ErrorContext(ctx, "webhook could not be stored", "delivery", ev.GUID, "event", ev.Name, "repo", ev.Repository.FullName(), "err", err)
		w.Header().Set("Retry-After", "60")
		answer(w, http.StatusServiceUnavailable, "unavailable")
	default:
		h.count(label(ev.Name), outcomeStored)
		// Whoever processes it says more at a level that is read.
		h.log.DebugContext(ctx, "webhook stored", "delivery", ev.GUID, "event", ev.Name)
		answer(w, http.StatusAccepted, "accepted")
	}
}

// refuse answers a webhook that is not one. The headers of an unsigned request
// are anybody's words: they are not logged and not counted apart.
func (h *Handler) refuse(ctx context.Context, w http.ResponseWriter, r *http.Request, err error) {
	status, outcome, text := http.StatusBadRequest, outcomeBroken, "bad request"
	switch {
	case errors.Is(err, github.ErrSignature):
		status, outcome, text = http.StatusUnauthorized, outcomeSignature, "bad signature"
	case errors.Is(err, github.ErrTooLarge):
		status, outcome, text = http.StatusRequestEntityTooLarge, outcomeTooLarge, "too large"
	case errors.Is(err, github.ErrMalformed):
		status, outcome, text = http.StatusBadRequest, outcomeMalformed, "malformed"
	}
	h.count("other", outcome)
	h.log.WarnContext(ctx, "webhook refused", "status", status, "remote", r.RemoteAddr, "err", err)
	answer(w, status, text)
}

// acts reports whether an event may lead to a sync, or to the end of some.
// Everything else ends here, before the database: most of all our own check
// runs, which come back as events and would call forth more of them.
func acts(ev github.Event) bool {
	return Acts(ev.Name, ev.Action) && ev.InstallationID > 0 && (ev.Repository.ID > 0 || ofInstallation(ev.Name))
}

// Acts is what can be said of an event by its name and action alone.
func Acts(event, action string) bool {
	switch event {
	case "pull_request":
		return action == "closed"
	case "push":
		return true
	case "check_run":
		return action == "rerequested" || action == "requested_action"
	case "check_suite":
		return action == "rerequested"
	}
	return lifecycle(event, action)
}

// label is an event's name as a label of a metric.
func label(event string) string {
	switch event {
	case "pull_request", "push", "check_run", "check_suite", "ping", "installation", "installation_repositories",
		"installation_target", "repository", "merge_group", "issue_comment", "github_app_authorization":
		return event
	}
	return "other"
}

// answer writes a short JSON object.
func answer(w http.ResponseWriter, status int, result string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// Whether GitHub reads it or not, there is nothing left to do.
	_, _ = io.WriteString(w, `{"result":"`+result+`"}`+"\n")
}
