package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// errLimited is what stands in the way while a rate limit lasts.
var errLimited = errors.New("GitHub's rate limit is reached")

// errScarce is what stands in the way of requests that can wait.
var errScarce = errors.New("little is left of GitHub's rate limit")

// Bounds of a pause. The upper one keeps a wrong header from stopping an
// installation for good.
const (
	minPause  = time.Second
	basePause = time.Minute
	maxPause  = 2 * time.Hour
)

// limit decides whether an answer is a rate limit, and until when to wait.
// GitHub sends 403 or 429 for both its limits and says so in headers, or only
// in words, or not at all. strikes counts the limits in a row before this one;
// jitter, in [0,1), spreads those who wait without having been told for how long.
func limit(status int, h http.Header, body []byte, now time.Time, strikes int, jitter float64) (until time.Time, limited bool) {
	if status != http.StatusForbidden && status != http.StatusTooManyRequests {
		return time.Time{}, false
	}
	var pause time.Duration
	if p, ok := retryAfter(h.Get("Retry-After"), now); ok {
		pause = p
	} else if p, ok := primaryReset(h, now); ok {
		pause = p
	} else if status == http.StatusTooManyRequests || saysLimit(body) {
		pause = basePause << min(max(strikes, 0), 5)
		pause += time.Duration(jitter * float64(pause) / 4)
	} else {
		return time.Time{}, false // a permission that is missing
	}
	return now.Add(min(max(pause, minPause), maxPause)), true
}

// retryAfter reads seconds or a date.
func retryAfter(text string, now time.Time) (time.Duration, bool) {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return time.Duration(min(n, int(maxPause/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return at.Sub(now), true
	}
	return 0, false
}

// primaryReset reads when the hourly limit begins anew, if it is used up.
func primaryReset(h http.Header, now time.Time) (time.Duration, bool) {
	if h.Get("X-RateLimit-Remaining") != "0" {
		return 0, false
	}
	n, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil || n <= 0 {
		return 0, false
	}
	// A second more: the header has no fractions.
	return time.Unix(n, 0).Sub(now) + time.Second, true
}

// saysLimit looks for the words of the secondary limit.
func saysLimit(body []byte) bool {
	b := bytes.ToLower(body)
	return bytes.Contains(b, []byte("secondary rate limit")) || bytes.Contains(b, []byte("abuse")) ||
		bytes.Contains(b, []byte("rate limit exceeded"))
}

// gate is shared by all requests of one installation, whose limits are
// counted together. It holds back what would only be refused, and lets one
// write at a time pass, spaced as GitHub asks.
type gate struct {
	spacing time.Duration
	now     func() time.Time
	jitter  func() float64
	writing chan struct{} // holds one token while a write is under way

	mu        sync.Mutex
	until     time.Time
	strikes   int
	left      int       // of this hour's requests, as the latest answer said
	most      int       // 0: no answer has said
	reset     time.Time // when the hour ends
	lastWrite time.Time // guarded by writing
}

func newGate(cfg Config) *gate {
	return &gate{spacing: cfg.WriteSpacing, now: cfg.Now, jitter: cfg.Jitter, writing: make(chan struct{}, 1)}
}

// open gives the error to return while a limit lasts, else nil.
func (g *gate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now().Before(g.until) {
		return &twin.LaterError{At: g.until, Err: errLimited}
	}
	return nil
}

// observe learns from an answer. It gives an error if that was a limit.
func (g *gate) observe(status int, h http.Header, body []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	g.count(h)
	until, limited := limit(status, h, body, now, g.strikes, g.jitter())
	if !limited {
		if status < 300 {
			g.strikes = 0
		}
		// The last request that was allowed: the next would be refused.
		if p, used := primaryReset(h, now); used && status < 500 {
			g.until = now.Add(min(max(p, minPause), maxPause))
		}
		return nil
	}
	g.strikes++
	if until.After(g.until) {
		g.until = until
	}
	return &twin.LaterError{At: g.until, Err: errLimited}
}

// count notes how many requests are left. The caller holds mu.
func (g *gate) count(h http.Header) {
	most, err1 := strconv.Atoi(h.Get("X-RateLimit-Limit"))
	left, err2 := strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	reset, err3 := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if errors.Join(err1, err2, err3) == nil {
		g.most, g.left, g.reset = most, left, time.Unix(reset, 0)
	}
}

// spare gives a twin.LaterError where less than a quarter of the hour's
// requests is left: those are for what can't wait.
func (g *gate) spare() error {
	if err := g.open(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left < g.most/4 && g.now().Before(g.reset) {
		return &twin.LaterError{At: g.reset.Add(time.Second), Err: errScarce}
	}
	return nil
}

// write waits for its turn to change something; done ends the turn.
func (g *gate) write(ctx context.Context) (done func(), err error) {
	select {
	case g.writing <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the turn to write: %w", context.Cause(ctx))
	}
	if wait := g.lastWrite.Add(g.spacing).Sub(g.now()); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			<-g.writing
			return nil, fmt.Errorf("wait for the turn to write: %w", context.Cause(ctx))
		}
	}
	return func() {
		g.lastWrite = g.now()
		<-g.writing
	}, nil
}

// limited is the transport of one installation, tokens included. It turns
// rate limits into errors before any library sees, and remembers, them.
type limited struct {
	base http.RoundTripper
	gate *gate
}

// RoundTrip sends a request unless a limit lasts.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := l.gate.open(); err != nil {
		if r.Body != nil {
			r.Body.Close() //nolint:errcheck,gosec // nothing was read from it
		}
		return nil, err
	}
	resp, err := l.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	var body []byte
	if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusTooManyRequests {
		body, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		resp.Body.Close() //nolint:errcheck,gosec // it was read, or the connection is broken
		if err != nil {
			return nil, fmt.Errorf("read answer: %w", err)
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err := l.gate.observe(resp.StatusCode, resp.Header, body); err != nil {
		return nil, err
	}
	return resp, nil
}
