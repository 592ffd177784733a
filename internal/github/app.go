// Package github is everything we say to GitHub and understand of it: webhooks
// verified and read, and the App's calls to the API, with rate limits and
// errors told in the words of package twin. Tokens, the App's key and webhook
// secrets never leave it, not in errors either.
package github

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/golang-jwt/jwt/v4"
	gh "github.com/google/go-github/v60/github"

	"github.com/neontwin/neontwin/internal/twin"
)

// DefaultURL is where the API of github.com answers.
const DefaultURL = "https://api.github.com"

// Config is what an App needs. Logger is required, the other fields below
// PrivateKey have good zero values.
type Config struct {
	AppID      int64
	PrivateKey []byte // PEM

	// BaseURL is where the API answers: DefaultURL, or https://HOST/api/v3 of an
	// Enterprise Server. Without TLS only a loopback address is accepted.
	BaseURL string
	// Transport replaces NewTransport's.
	Transport http.RoundTripper
	// WriteSpacing is the least time between two writes of one installation.
	// GitHub asks for a second; zero is for tests.
	WriteSpacing time.Duration
	Logger       *slog.Logger
	// Now replaces time.Now where limits are kept.
	Now func() time.Time
	// Jitter replaces a random number in [0,1).
	Jitter func() float64
}

// App is our GitHub App. It is safe for use by many goroutines.
type App struct {
	cfg  Config
	base *url.URL // with a trailing slash
	key  *rsa.PrivateKey
	own  *gate // of the calls that the App makes as itself

	mu      sync.Mutex
	gates   map[int64]*gate // by installation
	clients map[clientKey]*gh.Client

	memory memory
}

// clientKey is what a token is good for: one repository of one installation.
type clientKey struct{ installation, repository int64 }

// maxClients bounds the tokens that are kept. Beyond it all are dropped: a
// token costs one request to replace.
const maxClients = 1000

// requestTimeout bounds one request with its redirects and its answer.
const requestTimeout = 30 * time.Second

// New makes an App. It checks the settings and sends nothing.
func New(cfg Config) (*App, error) {
	if cfg.AppID <= 0 {
		return nil, errors.New("the id of the GitHub App must be a positive number")
	}
	// The error's own text is left out: it could quote the key.
	key, err := jwt.ParseRSAPrivateKeyFromPEM(cfg.PrivateKey)
	if err != nil {
		return nil, errors.New("the private key of the GitHub App is no RSA key in PEM form")
	}
	base, err := baseURL(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	if cfg.Transport == nil {
		cfg.Transport = NewTransport()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	cfg.PrivateKey = nil
	return &App{
		cfg: cfg, base: base, key: key, own: newGate(cfg),
		gates: map[int64]*gate{}, clients: map[clientKey]*gh.Client{},
	}, nil
}

// baseURL checks where the API answers. Tokens go there, so that TLS is not
// optional beyond this machine.
func baseURL(text string) (*url.URL, error) {
	if text == "" {
		text = DefaultURL
	}
	u, err := url.Parse(strings.TrimRight(text, "/") + "/")
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the address of GitHub's API must be a plain URL such as " + DefaultURL)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return nil, errors.New("the address of GitHub's API must begin with https://")
	}
	return u, nil
}

// NewTransport makes a transport on which every step of a request has its own
// time limit. One installation's token is renewed under a lock, so that a
// request without limits would stop all others of it.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   20,
		ForceAttemptHTTP2:     true,
	}
}

// errOtherHost stands in the way of a request that would carry a token away.
var errOtherHost = errors.New("refused to follow GitHub to another host")

// pinned sends requests to one host only, whatever a redirect says. The
// installation's transport adds the token on every hop.
type pinned struct {
	base         http.RoundTripper
	scheme, host string
}

// RoundTrip sends a request to the pinned host.
func (p pinned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != p.scheme || r.URL.Host != p.host {
		if r.Body != nil {
			r.Body.Close() //nolint:errcheck,gosec // nothing was read from it
		}
		return nil, errOtherHost
	}
	return p.base.RoundTrip(r)
}

// checkRedirect follows GitHub to where a renamed repository is now: on the
// same host, and with a write only where it stays the same write.
func (a *App) checkRedirect(next *http.Request, via []*http.Request) error {
	switch {
	case len(via) > 3:
		return errors.New("refused to follow more than 3 redirects")
	case next.URL.Scheme != a.base.Scheme || next.URL.Host != a.base.Host:
		return errOtherHost
	case next.Method != via[0].Method:
		return errors.New("refused a redirect that turns a write into a read")
	}
	return nil
}

// transport is the way to GitHub under one gate.
func (a *App) transport(g *gate) http.RoundTripper {
	return limited{gate: g, base: pinned{base: a.cfg.Transport, scheme: a.base.Scheme, host: a.base.Host}}
}

// appsTransport signs requests as the App itself. It is made anew for each use:
// installation transports that share one race on its fields.
func (a *App) appsTransport(g *gate) *ghinstallation.AppsTransport {
	t := ghinstallation.NewAppsTransportFromPrivateKey(a.transport(g), a.cfg.AppID, a.key)
	t.BaseURL = strings.TrimRight(a.base.String(), "/")
	return t
}

// client makes a client on a transport.
func (a *App) client(t http.RoundTripper) *gh.Client {
	c := gh.NewClient(&http.Client{Transport: t, CheckRedirect: a.checkRedirect, Timeout: requestTimeout})
	c.BaseURL = a.base
	c.UserAgent = "neontwin"
	return c
}

// gate gives what all requests of one installation share.
func (a *App) gate(installation int64) *gate {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.gates[installation]
	if g == nil {
		g = newGate(a.cfg)
		a.gates[installation] = g
	}
	return g
}

// repoClient gives the client of one repository. Its token reaches no other
// repository and can do no more than we need, so that a repository id that is
// not the installation's fails when the token is minted.
func (a *App) repoClient(repo twin.Repository) *gh.Client {
	g := a.gate(repo.InstallationID)
	a.mu.Lock()
	defer a.mu.Unlock()
	key := clientKey{repo.InstallationID, repo.ID}
	if c := a.clients[key]; c != nil {
		return c
	}
	t := ghinstallation.NewFromAppsTransport(a.appsTransport(g), repo.InstallationID)
	t.InstallationTokenOptions = &gh.InstallationTokenOptions{
		RepositoryIDs: []int64{repo.ID},
		Permissions: &gh.InstallationPermissions{
			Metadata: gh.String("read"), Contents: gh.String("read"),
			PullRequests: gh.String("read"), Checks: gh.String("write"),
		},
	}
	if len(a.clients) >= maxClients {
		clear(a.clients)
	}
	c := a.client(t)
	a.clients[key] = c
	return c
}

// drop forgets a client whose token was refused, unless another goroutine has
// replaced it already.
func (a *App) drop(repo twin.Repository, c *gh.Client) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := clientKey{repo.InstallationID, repo.ID}
	if a.clients[key] == c {
		delete(a.clients, key)
	}
}

// do makes one call for a repository. A token that was revoked is replaced
// once. The error is a *twin.LaterError, wraps twin.ErrUnreachable, or is
// plain; it holds no secret.
func (a *App) do(ctx context.Context, repo twin.Repository, call func(context.Context, *gh.Client) error) error {
	if repo.InstallationID <= 0 || repo.ID <= 0 || !validName(repo.Owner) || !validName(repo.Name) {
		return errors.New("call GitHub: the repository has no installation, id or name")
	}
	c := a.repoClient(repo)
	err := mapError(call(ctx, c))
	if statusOf(err) != http.StatusUnauthorized {
		return err
	}
	a.cfg.Logger.InfoContext(ctx, "github refused a token, minting another",
		"repo", repo.FullName(), "installation", repo.InstallationID)
	a.drop(repo, c)
	return mapError(call(ctx, a.repoClient(repo)))
}

// doWrite is do for a call that changes something: one at a time for each
// installation, and spaced.
func (a *App) doWrite(ctx context.Context, repo twin.Repository, call func(context.Context, *gh.Client) error) error {
	done, err := a.gate(repo.InstallationID).write(ctx)
	if err != nil {
		return err
	}
	defer done()
	return a.do(ctx, repo, call)
}

// validName reports whether an owner or repository name can stand in a path.
func validName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\\?#% ")
}

// repoPath is the address of something in a repository.
func repoPath(repo twin.Repository, format string, args ...any) string {
	return "repos/" + repo.Owner + "/" + repo.Name + fmt.Sprintf(format, args...)
}
