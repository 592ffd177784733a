// Package githubtest is a GitHub that runs on this machine: an HTTP server with
// repositories, pull requests, check runs, App tokens and signed webhooks, and
// a page with a Merge button. Tests and the laptop sandbox use it in place of
// github.com. It listens on loopback only, sends webhooks to loopback only, and
// knows none of the clients that it judges.
package githubtest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// apiRoot is the path under which the API is served, as on GitHub Enterprise
// Server, so that pages and API share one origin.
const apiRoot = "/api/v3"

// Options say how a server starts. The zero value is a server on a free
// loopback port that forgets everything when it is closed.
type Options struct {
	// Addr is the address to listen on; only loopback is accepted. Empty means
	// a free port on 127.0.0.1.
	Addr string
	// StateFile, if set, keeps everything but access tokens across restarts.
	// It holds the App's private key and is readable by its owner alone.
	StateFile string
	// AppID is the id of the one App that this GitHub knows. 0 means 4242.
	AppID int64
	// AppName is the App's name; its slug is made from it. Empty means
	// "Neon Twin Sandbox".
	AppName string
	// RateLimit is the number of requests that each installation may make in
	// an hour. 0 means 5,000.
	RateLimit int
	// ManyWrites lifts the limits on requests that create content, for a history
	// that is longer than they allow. Faults still tell of limits.
	ManyWrites bool
	// AnyClock accepts the tokens of an App whose clock is wrong. GitHub refuses
	// them; this is for those who want to know what else such a clock does.
	AnyClock bool
	// WebhookTimeout is how long a receiver may take to answer. 0 means 10 s.
	WebhookTimeout time.Duration
	// Logger receives what goes wrong inside the server. Nil discards it.
	Logger *slog.Logger
	// Now is the server's clock. Nil means time.Now. SetClock moves what is dated
	// by it.
	Now func() time.Time
	// Panel returns facts that the page of a repository shows beside its pull
	// requests. It is called about once a second for each open page.
	Panel func(ctx context.Context, fullName string) []Panel
	// Propose returns the title and the files of the n-th pull request of a
	// repository. If it is set, the page offers a button that opens one.
	Propose func(n int) (title string, files map[string]string)
	// Deploy, if set, is what the owner of the repositories does with the files
	// that a merge has changed. It is called before the webhooks are sent: the
	// server does nothing else meanwhile.
	Deploy func(fullName string, files map[string]string)
}

// A Panel is a box of facts on the page of a repository.
type Panel struct {
	Title string
	Rows  [][2]string
	Note  string
}

// App is what the owner of a GitHub App knows about it. The key and the secret
// are worth protecting only as far as this server is.
type App struct {
	ID            int64
	Slug          string
	PrivateKeyPEM []byte
	WebhookSecret string
}

// Server is a running GitHub. Its methods may be called from several goroutines.
type Server struct {
	opts     Options
	log      *slog.Logger
	key      *rsa.PrivateKey
	origin   string // http://127.0.0.1:port
	formKey  string // stands in every form of the page
	http     *http.Server
	mux      *http.ServeMux // the API
	page     http.Handler
	hooks    *http.Client
	stop     context.CancelFunc
	finished sync.WaitGroup

	mu      sync.Mutex
	st      *state
	tokens  map[string]*token
	minted  int
	budgets map[string]*budget
	faults  []*Fault
	hookBad []*WebhookFault
	sending bool          // a webhook is on its way
	later   int           // webhooks that wait for a timer
	ahead   atomic.Int64  // by how much what is dated is ahead of the clock
	flush   bool          // a held webhook need not wait for another one
	changed chan struct{} // closed and replaced at every change
	dirty   chan struct{} // wakes the goroutine that writes the state file
	wake    chan struct{} // wakes the goroutine that sends webhooks
}

// Start starts a server. The context bounds the start only; Close ends it.
func Start(ctx context.Context, o Options) (*Server, error) {
	o = o.withDefaults()
	if err := checkLoopback(o.Addr); err != nil {
		return nil, err
	}
	st, err := loadState(o)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(st.App.KeyPEM)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", o.Addr, err)
	}
	s := &Server{
		opts: o, log: o.Logger, key: key, st: st,
		origin:  "http://" + ln.Addr().String(),
		formKey: rand.Text(),
		tokens:  map[string]*token{}, budgets: map[string]*budget{},
		changed: make(chan struct{}), dirty: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		hooks: &http.Client{
			Timeout:   o.WebhookTimeout,
			Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 2},
			// GitHub takes a redirect for the receiver's answer.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	s.routes()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.finished.Go(func() {
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.ErrorContext(run, "sandbox GitHub stopped", "err", err)
		}
	})
	s.finished.Go(func() { s.sendWebhooks(run) })
	s.finished.Go(func() { s.saveChanges(run) })
	s.wakeSender()
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.AppID == 0 {
		o.AppID = 4242
	}
	if o.AppName == "" {
		o.AppName = "Neon Twin Sandbox"
	}
	if o.RateLimit == 0 {
		o.RateLimit = 5000
	}
	if o.WebhookTimeout == 0 {
		o.WebhookTimeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Close stops the server and writes its state. Webhooks that were not sent yet
// are kept in the state file and sent after the next start.
func (s *Server) Close() error {
	s.stop()
	err := s.http.Close()
	s.finished.Wait()
	s.hooks.CloseIdleConnections()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, s.st.save(s.opts.StateFile))
}

// URL is the base of the API, without a slash at its end.
func (s *Server) URL() string { return s.origin + apiRoot }

// PageURL is the address of the page, without a slash at its end.
func (s *Server) PageURL() string { return s.origin }

// App returns the identity and the secrets of the App.
func (s *Server) App() App {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.st.App
	return App{ID: a.ID, Slug: a.Slug, PrivateKeyPEM: []byte(a.KeyPEM), WebhookSecret: a.Secret}
}

// SetWebhookURL names the receiver of the App's webhooks, which must be on
// loopback. An empty URL turns webhooks off.
func (s *Server) SetWebhookURL(target string) error {
	if target != "" {
		if err := checkReceiver(target); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.App.HookURL = target
	s.touch()
	return nil
}

// SetWebhookSecret replaces the webhook secret. The one before stays usable for
// WebhookFault's PreviousSecret.
func (s *Server) SetWebhookSecret(secret string) error {
	if len(secret) < 32 {
		return errors.New("set webhook secret: shorter than 32 bytes")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.App.PreviousSecret, s.st.App.Secret = s.st.App.Secret, secret
	s.touch()
	return nil
}

// Until returns nil once ok returns true. It calls ok at the start and after
// every change of the server's state; ok may use the server.
func (s *Server) Until(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the sandbox GitHub: %w", ctx.Err())
		}
	}
}

// SetClock makes everything that is dated from now on (commits, merges, pushes,
// deliveries, answers) appear to happen so much later than it does, or earlier.
// Tokens and limits keep to the true time.
func (s *Server) SetClock(ahead time.Duration) { s.ahead.Store(int64(ahead)) }

// dated is the time that is written on things.
func (s *Server) dated() time.Time {
	return s.opts.Now().UTC().Add(time.Duration(s.ahead.Load()))
}

// now is the time that is written on things, to the second, as GitHub's are.
func (s *Server) now() time.Time { return s.dated().Truncate(time.Second) }

// touch tells everybody who waits that the state has changed. The caller holds
// the lock.
func (s *Server) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("read listen address: %w", err)
	}
	if !isLoopback(host) {
		return fmt.Errorf("listen on %q: a sandbox listens on loopback only", addr)
	}
	return nil
}

func checkReceiver(target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return fmt.Errorf("read webhook URL: %w", err)
	}
	if u.Scheme != "http" || !isLoopback(u.Hostname()) {
		return errors.New("set webhook URL: a sandbox sends to http:// on loopback only")
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
