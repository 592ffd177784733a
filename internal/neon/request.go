package neon

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

const (
	// patience is how long one call repeats what is safe to repeat. After it
	// the caller gives its place away and comes back later.
	patience = 5 * time.Minute
	// attemptTimeout ends a request that hangs; Neon's own gateway gives up
	// earlier.
	attemptTimeout = 2 * time.Minute
	firstPause     = 500 * time.Millisecond
	longestPause   = 15 * time.Second
	// comeBack is the least time until a caller that gave up tries again.
	comeBack = 30 * time.Second
	// maxAnswer bounds an answer: ten thousand branches are some 10 MB.
	maxAnswer = 32 << 20
	maxError  = 64 << 10
)

// request is one call of the API. Out may be nil.
type request struct {
	method  string
	project string
	path    string
	query   url.Values
	in, out any
}

// do sends a request until it is answered or can't be repeated. Where only
// patience has run out, the error is a twin.LaterError around the APIError.
func (c *Client) do(ctx context.Context, r request) error {
	if c.baseErr != nil {
		return &APIError{Class: BadRequest, Message: c.baseErr.Error()}
	}
	if r.method != http.MethodGet {
		unlock, err := c.lock(ctx, r.project)
		if err != nil {
			return err
		}
		defer unlock()
	}
	end := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	for try := 0; ; try++ {
		err := c.attempt(ctx, r)
		var api *APIError
		if err == nil || !errors.As(err, &api) || !api.Class.Retryable() || ctx.Err() != nil {
			return err
		}
		pause := api.RetryAfter + backoff(try)
		if time.Now().Add(pause).After(end) {
			return &twin.LaterError{At: time.Now().Add(max(pause, comeBack)), Err: err}
		}
		c.log.InfoContext(ctx, "neon request is repeated", slog.String("request", api.Request), slog.Int("status", api.Status),
			slog.String("class", string(api.Class)), slog.String("request_id", api.RequestID), slog.Int("attempt", try+1), slog.Duration("pause", pause))
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("repeat %s: %w", api.Request, err)
		}
	}
}

// backoff is a random pause under a bound that doubles, so that clients that
// were turned away together don't come back together.
func backoff(try int) time.Duration {
	bound := longestPause
	if try < 5 {
		bound = min(bound, firstPause<<try)
	}
	return mathrand.N(bound) //nolint:gosec // spreads requests, guards nothing
}

// attempt sends a request once.
func (c *Client) attempt(ctx context.Context, r request) error {
	began := time.Now()
	id := newRequestID()
	fail := &APIError{Request: r.method + " " + r.path, RequestID: id}
	bounded, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := c.build(bounded, r, id)
	if err != nil {
		return fmt.Errorf("build %s: %w", fail.Request, err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		fail.Class, fail.Err = lost(r.method), cause(err)
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			fail.Class = Transient // it was never sent
		}
		return fail
	}
	defer res.Body.Close()
	fail.Status = res.StatusCode
	c.log.DebugContext(ctx, "neon request", slog.String("request", fail.Request), slog.Int("status", res.StatusCode),
		slog.String("request_id", id), slog.Duration("took", time.Since(began)))
	if res.StatusCode/100 != 2 {
		c.explain(fail, r.method, res)
		return fail
	}
	return c.decode(fail, r, res)
}

func (c *Client) build(ctx context.Context, r request, id string) (*http.Request, error) {
	var body io.Reader
	if r.in != nil {
		b, err := json.Marshal(r.in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	address := c.base.String() + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, err
	}
	c.authorize(req)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-Request-ID", id)
	req.Header.Set("User-Agent", "neontwin")
	if r.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// decode reads the answer to a request that succeeded. If that can't be done
// after a change, the change has been made all the same.
func (c *Client) decode(fail *APIError, r request, res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		fail.Class, fail.Message, fail.Err = lost(r.method), "the answer was cut off", err
		return fail
	}
	if r.out == nil || res.StatusCode == http.StatusNoContent {
		return nil
	}
	if len(body) > maxAnswer {
		fail.Message = "the answer is too long"
	} else if err := json.Unmarshal(body, r.out); err != nil {
		// The error is not kept: it may quote the body.
		fail.Message = "the answer is not the JSON that the API describes"
	} else {
		return nil
	}
	fail.Class = Unexpected
	if r.method != http.MethodGet {
		fail.Class = Ambiguous
	}
	return fail
}

// explain fills fail from an answer other than 2xx, of which only JSON is
// believed: gateways answer with pages.
func (c *Client) explain(fail *APIError, method string, res *http.Response) {
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxError)) // what came is used
	var said struct {
		RequestID string `json:"request_id"`
		Code      string `json:"code"`
		Message   string `json:"message"`
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case json.Unmarshal(body, &said) == nil:
	case len(bytes.TrimSpace(body)) == 0:
		said.Message = "an empty answer"
	case kind == "text/html":
		said.Message = "a page instead of JSON"
	default:
		said.Message = "an answer that is not JSON"
	}
	fail.Code, fail.Message = c.scrub(said.Code), c.scrub(said.Message)
	if said.RequestID != "" {
		fail.RequestID = c.scrub(said.RequestID)
	}
	fail.Class = classify(method, res.StatusCode, said.Code, said.Message)
	fail.RetryAfter = retryAfter(res.Header.Get("Retry-After"), time.Now())
}

// retryAfter reads the header's two forms; what is neither is 0.
func retryAfter(h string, now time.Time) time.Duration {
	h = strings.TrimSpace(h)
	if n, err := strconv.Atoi(h); err == nil && n > 0 {
		return time.Duration(min(n, 86400)) * time.Second
	}
	if at, err := http.ParseTime(h); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// cause strips the address that http.Client puts before its errors: the
// request is named already.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func newRequestID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, says crypto/rand
	return hex.EncodeToString(b)
}
