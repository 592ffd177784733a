// Package neon speaks the part of the Neon API v2 that a Twin needs. Each error
// tells its class, what is always safe to repeat is repeated, and what may have
// been applied without our knowing is not.
package neon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// DefaultBaseURL is where Neon's API answers.
const DefaultBaseURL = "https://console.neon.tech/api/v2"

// Config says where the API is and who asks.
type Config struct {
	// BaseURL includes the version, as in DefaultBaseURL, which is used if it
	// is empty. Plain http is refused except to this machine.
	BaseURL string
	// APIKey is best one that is valid for a single project.
	APIKey string
	// HTTPClient carries the requests; nil means a client of our own. It is
	// copied: redirects are never followed, because they would carry the key.
	HTTPClient *http.Client
	// Logger may be nil. Neither keys, passwords nor bodies are logged.
	Logger *slog.Logger
}

// Client asks the Neon API. It is safe for concurrent use. It makes one change
// at a time in a project: Neon locks the whole project while a change runs.
type Client struct {
	base    *url.URL
	baseErr error // why base can't be used; every call returns it
	http    *http.Client
	log     *slog.Logger

	// authorize hides the key in a closure, where no %+v finds it; scrub
	// takes it out of what a server said.
	authorize func(*http.Request)
	scrub     func(string) string

	mu    sync.Mutex
	locks map[string]chan struct{} // by project; full while a change is made
}

// New makes a client. It sends nothing; an unusable Config shows as the error
// of every call.
func New(c Config) *Client {
	if c.BaseURL == "" {
		c.BaseURL = DefaultBaseURL
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	h := *c.HTTPClient
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	base, err := parseBase(c.BaseURL)
	if err == nil && c.APIKey == "" {
		err = errors.New("the Neon API key is missing")
	}
	key := c.APIKey
	return &Client{
		base: base, baseErr: err, http: &h, log: c.Logger, locks: map[string]chan struct{}{},
		authorize: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) },
		scrub:     func(s string) string { return scrub(s, key) },
	}
}

// parseBase checks that the key would not cross a network in the clear.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("the address of the Neon API is not of the form https://host/api/v2")
	}
	local := u.Hostname() == "localhost"
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		local = ip.IsLoopback()
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && local) {
		return nil, fmt.Errorf("the address of the Neon API must be https (%s is not)", u.Host)
	}
	return u, nil
}

// lock waits for the project's turn to be changed.
func (c *Client) lock(ctx context.Context, project string) (unlock func(), err error) {
	c.mu.Lock()
	turn, ok := c.locks[project]
	if !ok {
		turn = make(chan struct{}, 1)
		c.locks[project] = turn
	}
	c.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the turn to change project %s: %w", project, ctx.Err())
	}
}

// idPattern is what Neon's ids look like. Anything else never gets into a path.
var idPattern = regexp.MustCompile(`^[a-z0-9-]{1,60}$`)

// projectPath is the path of something in a project. The project and the parts
// that are ids have been checked by checkIDs.
func projectPath(project string, parts ...string) string {
	p := "/projects/" + project
	for _, part := range parts {
		p += "/" + url.PathEscape(part)
	}
	return p
}

func checkIDs(ids ...string) error {
	for _, id := range ids {
		if !idPattern.MatchString(id) {
			return &APIError{Class: BadRequest, Message: fmt.Sprintf("%q is not an id of Neon's", id)}
		}
	}
	return nil
}

// sleep waits unless the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
