package github

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/neontwin/neontwin/internal/twin"
)

// MaxBody is the largest webhook that is read, in bytes. GitHub sends none
// above 25 MB.
const MaxBody = 25 << 20

// MinSecret is the shortest webhook secret that is accepted, in bytes.
const MinSecret = 32

// What can be wrong with a webhook.
var (
	// ErrSignature marks a webhook that nobody who knows a secret has signed.
	ErrSignature = errors.New("signature does not match")
	// ErrTooLarge marks a webhook above MaxBody.
	ErrTooLarge = errors.New("body too large")
	// ErrMalformed marks a signed webhook that can't be read.
	ErrMalformed = errors.New("malformed webhook")
)

// Event is a webhook whose sender is known, with the few fields that every
// event has. Its views (PullRequest, Push) hold the rest of what we read.
type Event struct {
	GUID           string // GitHub's; a redelivery keeps it
	Name           string // pull_request, push, ...
	Action         string // empty where the event has none
	InstallationID int64  // 0 where the event names none
	// Repository is zero where the event names none.
	Repository twin.Repository
	// Body is the event as JSON, taken out of its form where it came in one.
	Body []byte
}

var (
	eventName    = regexp.MustCompile(`^[a-z_]{1,64}$`)
	deliveryGUID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
)

// CheckSecrets says what is wrong with webhook secrets: there must be one, and
// each must have MinSecret bytes. An empty secret would accept everything.
func CheckSecrets(secrets [][]byte) error {
	if len(secrets) == 0 {
		return errors.New("no webhook secret is set")
	}
	for _, s := range secrets {
		if len(s) < MinSecret {
			return fmt.Errorf("a webhook secret has %d bytes, at least %d are needed", len(s), MinSecret)
		}
	}
	return nil
}

// ReadEvent reads and verifies a webhook. Nothing of the body is understood
// before one of the secrets is known to have signed it. The error is
// ErrSignature, ErrTooLarge or ErrMalformed, or that of a broken connection.
//
// Only the body is signed: the event's name and GUID come from headers that a
// replay could change. Each view of an event therefore checks that the body
// has the shape its name promises.
func ReadEvent(w http.ResponseWriter, r *http.Request, secrets [][]byte) (Event, error) {
	want, err := signature(r.Header)
	if err != nil {
		return Event{}, err
	}
	if r.ContentLength > MaxBody {
		return Event{}, ErrTooLarge
	}
	raw, err := readBody(w, r)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return Event{}, ErrTooLarge
	}
	if err != nil {
		return Event{}, fmt.Errorf("read body: %w", err)
	}
	if !signed(raw, want, secrets) {
		return Event{}, ErrSignature
	}
	body, err := payload(r.Header.Get("Content-Type"), raw)
	if err != nil {
		return Event{}, err
	}
	return ParseEvent(r.Header.Get("X-GitHub-Delivery"), r.Header.Get("X-GitHub-Event"), body)
}

// readBody reads a body of at most MaxBody. One of the usual size is read into
// a buffer that fits; what a larger one says of itself is not believed.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	const usual = 64 << 10
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 && n <= usual {
		b.Grow(int(n) + bytes.MinRead)
	}
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, MaxBody))
	return b.Bytes(), err
}

// signature reads the SHA-256 signature of the headers. There is no falling
// back to SHA-1.
func signature(h http.Header) ([]byte, error) {
	text, ok := strings.CutPrefix(h.Get("X-Hub-Signature-256"), "sha256=")
	sum, err := hex.DecodeString(text)
	if !ok || err != nil || len(sum) != sha256.Size {
		return nil, ErrSignature
	}
	return sum, nil
}

// signed reports whether one of the secrets signed the body. All are tried,
// whichever matches, so that time tells nothing.
func signed(body, want []byte, secrets [][]byte) bool {
	ok := false
	for _, s := range secrets {
		mac := hmac.New(sha256.New, s)
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), want) && len(s) > 0 {
			ok = true
		}
	}
	return ok
}

// payload takes the JSON out of a body of either content type.
func payload(contentType string, raw []byte) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("%w: content type", ErrMalformed)
	}
	switch kind {
	case "application/json":
		return raw, nil
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(raw))
		if err != nil || len(form["payload"]) != 1 {
			return nil, fmt.Errorf("%w: form without one payload", ErrMalformed)
		}
		return []byte(form.Get("payload")), nil
	}
	return nil, fmt.Errorf("%w: content type", ErrMalformed)
}

// ParseEvent reads an event from its JSON: that of a webhook just verified, or
// of one that was stored. An error is ErrMalformed.
func ParseEvent(guid, name string, body []byte) (Event, error) {
	if !eventName.MatchString(name) {
		return Event{}, fmt.Errorf("%w: event name", ErrMalformed)
	}
	if !deliveryGUID.MatchString(guid) {
		return Event{}, fmt.Errorf("%w: delivery id", ErrMalformed)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return Event{}, fmt.Errorf("%w: no JSON object", ErrMalformed)
	}
	var v envelope
	if err := json.Unmarshal(body, &v); err != nil {
		// The error's own text may quote the body, which holds names and mail.
		return Event{}, fmt.Errorf("%w: no JSON that fits", ErrMalformed)
	}
	e := Event{GUID: guid, Name: name, Action: v.Action, InstallationID: v.Installation.ID, Body: body}
	if v.Repository.ID != 0 {
		e.Repository = twin.Repository{
			InstallationID: v.Installation.ID,
			ID:             v.Repository.ID,
			Owner:          v.Repository.Owner.Login,
			Name:           v.Repository.Name,
			DefaultBranch:  v.Repository.DefaultBranch,
		}
		if e.Repository.Owner == "" {
			e.Repository.Owner = v.Repository.Owner.Name
		}
	}
	return e, nil
}
