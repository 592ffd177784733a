package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	gh "github.com/google/go-github/v60/github"

	"github.com/neontwin/neontwin/internal/twin"
)

// What GitHub can say of a file, a commit or a check run.
var (
	// ErrNoFile marks a file that a commit does not have. The repository and the
	// commit themselves do exist.
	ErrNoFile = errors.New("no such file")
	// ErrFileTooLarge marks a file above MaxFile.
	ErrFileTooLarge = errors.New("file too large")
	// ErrNoCommit marks a commit that GitHub does not show. It always comes in a
	// twin.LaterError, as a commit just pushed may take a while to be seen; who
	// asks again decides for how long.
	ErrNoCommit = errors.New("GitHub does not show the commit")
	// ErrNoBranch marks a branch that a repository does not have.
	ErrNoBranch = errors.New("no such branch")
	// ErrNoCheckRun marks a check run that GitHub does not show. It comes in a
	// twin.LaterError like ErrNoCommit.
	ErrNoCheckRun = errors.New("GitHub does not show the check run")
)

// notShownPause is how long something that is not shown yet is given.
const notShownPause = 10 * time.Second

// answerError is an answer of GitHub that is no success. Its text holds what
// GitHub said and nothing of what was sent.
type answerError struct {
	method, path string
	status       int
	message      string
}

// Error says which call failed and how.
func (e *answerError) Error() string {
	return fmt.Sprintf("%s %s: GitHub answered %d: %s", e.method, e.path, e.status, e.message)
}

// Is makes the answers that mean that nothing can be told any more be
// twin.ErrUnreachable.
func (e *answerError) Is(target error) bool {
	if target != twin.ErrUnreachable {
		return false
	}
	switch e.status {
	case http.StatusGone, http.StatusUnavailableForLegalReasons:
		return true
	case http.StatusForbidden:
		m := strings.ToLower(e.message)
		return strings.Contains(m, "archived") || strings.Contains(m, "suspended") ||
			strings.Contains(m, "repository access blocked")
	}
	return false
}

// statusOf gives the status of an answerError, or 0.
func statusOf(err error) int {
	var e *answerError
	if errors.As(err, &e) {
		return e.status
	}
	return 0
}

// mapError turns what the libraries return into our own errors. Theirs hold
// the request with its credentials and are not passed on.
func mapError(err error) error {
	var (
		later *twin.LaterError
		mint  *ghinstallation.HTTPError
		limit *gh.RateLimitError
		resp  *gh.ErrorResponse
		abuse *gh.AbuseRateLimitError
		own   *answerError
		ue    *url.Error
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &later):
		return later
	case errors.As(err, &own), errors.Is(err, twin.ErrUnreachable):
		return err
	case errors.As(err, &mint) && mint.Response != nil:
		return mintError(mint)
	case errors.As(err, &limit):
		// Only the client's own memory: the transport has taken every real one.
		return &twin.LaterError{At: limit.Rate.Reset.Time, Err: errLimited}
	case errors.As(err, &abuse):
		return &twin.LaterError{At: time.Now().Add(basePause), Err: errLimited}
	case errors.As(err, &resp) && resp.Response != nil:
		return answer(resp.Response, resp.Message, resp.Errors...)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("call GitHub: %w", contextCause(err))
	case errors.As(err, &ue):
		return fmt.Errorf("call GitHub: %s %s: %w", strings.ToUpper(ue.Op), pathOf(ue.URL), ue.Err)
	}
	return fmt.Errorf("call GitHub: %w", err)
}

// contextCause keeps of an error that a context ended only which of the two it was.
func contextCause(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return context.DeadlineExceeded
}

// pathOf is the path of an address, which is all that an error needs.
func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}

// answer makes an error of an answer.
func answer(r *http.Response, message string, details ...gh.Error) *answerError {
	e := &answerError{status: r.StatusCode, message: message}
	for _, d := range details {
		if d.Message != "" {
			e.message += "; " + d.Message
		}
	}
	e.message = cut(e.message, 300)
	if r.Request != nil {
		e.method, e.path = r.Request.Method, r.Request.URL.Path
	}
	return e
}

// mintError reads why no token was given. Its answer was left open for that.
// The error has no status: it is no answer about what was asked for.
func mintError(m *ghinstallation.HTTPError) error {
	defer m.Response.Body.Close()
	said := cut(messageOf(m.Response.Body), 300)
	switch m.Response.StatusCode {
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("the App is suspended or no longer installed: %w: %s", twin.ErrUnreachable, said)
	case http.StatusUnprocessableEntity:
		if strings.Contains(strings.ToLower(said), "permission") {
			return fmt.Errorf("the installation has not granted what the App needs: %s", said)
		}
		return fmt.Errorf("the repository is not part of the installation: %w: %s", twin.ErrUnreachable, said)
	case http.StatusUnauthorized:
		return fmt.Errorf("GitHub does not accept the App's id and key, or this machine's clock is wrong: %s", said)
	}
	return fmt.Errorf("mint a token: GitHub answered %d: %s", m.Response.StatusCode, said)
}
