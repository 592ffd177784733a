package githubtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"
)

// hookID is the id of the App's webhook.
const hookID = 501

// retention is how long deliveries can be listed and sent again.
const retention = 3 * 24 * time.Hour

// Delivery is one attempt to deliver a webhook. Attempts of one webhook share
// the GUID.
type Delivery struct {
	ID              int64
	GUID            string
	Event, Action   string
	Installation    int64
	Repository      int64
	Redelivery      bool
	DeliveredAt     time.Time
	Duration        time.Duration
	Status          string // OK, or what went wrong
	StatusCode      int    // 0 if no answer came
	URL             string
	RequestHeaders  map[string]string
	Payload         json.RawMessage
	ResponseHeaders map[string]string
	ResponseBody    string
}

// maxPayload is the size above which GitHub sends no webhook at all.
const maxPayload = 25 << 20

// message is a webhook that waits to be sent.
type message struct {
	GUID          string
	Event, Action string
	Installation  int64
	Repository    int64
	Redelivery    bool
	Payload       json.RawMessage
	bad           WebhookTrouble
}

func (s *Server) message(event, action string, installation, repository int64, payload obj) *message {
	raw, err := json.Marshal(payload)
	if err != nil {
		panic(fmt.Sprintf("githubtest: %s payload: %v", event, err)) // maps of plain values always marshal
	}
	return &message{
		GUID: guid(), Event: event, Action: action,
		Installation: installation, Repository: repository, Payload: raw,
	}
}

func guid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// queue takes webhooks to be sent, in order, in the background. It skips nil, what
// is too large, and everything while the App has no webhook URL. The caller holds the lock.
func (s *Server) queue(list ...*message) {
	if s.st.App.HookURL == "" {
		return
	}
	for _, m := range list {
		if m == nil || len(m.Payload) > maxPayload {
			continue
		}
		f := s.webhookFault(m)
		m.bad = f.Kind
		switch f.Kind {
		case WebhookLost:
		case WebhookDelayed:
			s.delay(m, f.Delay)
		case WebhookDoubled:
			twice := *m
			s.st.Queue = append(s.st.Queue, m, &twice)
		case "", WebhookFailed, WebhookOvertaken, WebhookMissigned, WebhookPreviousSecret:
			s.st.Queue = append(s.st.Queue, m)
		}
	}
	s.touch()
	s.wakeSender()
}

func (s *Server) delay(m *message, d time.Duration) {
	s.later++
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.later--
		s.st.Queue = append(s.st.Queue, m)
		s.touch()
		s.wakeSender()
	})
}

func (s *Server) wakeSender() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// WaitForWebhooks returns when every webhook has been sent, or given up.
func (s *Server) WaitForWebhooks(ctx context.Context) error {
	s.mu.Lock()
	s.flush = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.flush = false
		s.mu.Unlock()
	}()
	s.wakeSender()
	return s.Until(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wakeSender()
		return len(s.st.Queue) == 0 && !s.sending && s.later == 0
	})
}

// sendWebhooks sends what is queued, one after another.
func (s *Server) sendWebhooks(ctx context.Context) {
	for {
		m := s.next()
		if m == nil {
			select {
			case <-ctx.Done():
				return
			case <-s.wake:
			}
			continue
		}
		d := s.attempt(ctx, m)
		s.mu.Lock()
		s.sending = false
		if ctx.Err() != nil { // stopped half-way: send it again after the next start
			s.st.Queue = append([]*message{m}, s.st.Queue...)
			s.mu.Unlock()
			return
		}
		d.ID = s.st.id()
		s.st.Deliveries = append(s.st.Deliveries, d)
		s.forgetDeliveries()
		s.touch()
		s.mu.Unlock()
	}
}

// next takes the webhook to send now. One that is to be overtaken waits for
// another, unless somebody waits for the queue to empty.
func (s *Server) next() *message {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := 0
	if len(s.st.Queue) > 0 && s.st.Queue[0].bad == WebhookOvertaken {
		switch {
		case len(s.st.Queue) > 1:
			s.st.Queue[0].bad = ""
			i = 1
		case !s.flush:
			return nil
		}
	}
	if i >= len(s.st.Queue) {
		return nil
	}
	m := s.st.Queue[i]
	s.st.Queue = slices.Delete(s.st.Queue, i, i+1)
	s.sending = true
	return m
}

// forgetDeliveries drops what GitHub no longer shows, and what is over a
// thousand, since the state file holds them all.
func (s *Server) forgetDeliveries() {
	s.st.Deliveries = s.st.Deliveries[max(0, len(s.st.Deliveries)-1000):]
	s.st.Deliveries = slices.DeleteFunc(s.st.Deliveries, func(d *Delivery) bool {
		return s.now().Sub(d.DeliveredAt) > retention
	})
}

// attempt sends a webhook once and says how it went.
func (s *Server) attempt(ctx context.Context, m *message) *Delivery {
	s.mu.Lock()
	app := s.st.App
	s.mu.Unlock()
	d := &Delivery{
		GUID: m.GUID, Event: m.Event, Action: m.Action, Installation: m.Installation, Repository: m.Repository,
		Redelivery: m.Redelivery, DeliveredAt: s.now(), URL: app.HookURL, Payload: m.Payload,
	}
	body, contentType := []byte(m.Payload), "application/json"
	if app.ContentType == "form" {
		body, contentType = []byte("payload="+url.QueryEscape(string(m.Payload))), "application/x-www-form-urlencoded"
	}
	d.RequestHeaders = map[string]string{
		"Accept": "*/*", "Content-Type": contentType, "User-Agent": "GitHub-Hookshot/044aadd",
		"X-GitHub-Event": m.Event, "X-GitHub-Delivery": m.GUID, "X-GitHub-Hook-ID": strconv.Itoa(hookID),
		"X-GitHub-Hook-Installation-Target-ID":   strconv.FormatInt(app.ID, 10),
		"X-GitHub-Hook-Installation-Target-Type": "integration",
		"X-Hub-Signature-256":                    "sha256=" + sign(signingSecret(app, m.bad), body),
	}
	if m.bad == WebhookFailed {
		d.Status = "failed to connect to host"
		return d
	}
	start := time.Now()
	s.post(ctx, d, body)
	d.Duration = time.Since(start)
	return d
}

func signingSecret(app appState, bad WebhookTrouble) string {
	if bad == WebhookMissigned {
		return "not the secret of this App at all"
	}
	if bad == WebhookPreviousSecret {
		return app.PreviousSecret
	}
	return app.Secret
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func (s *Server) post(ctx context.Context, d *Delivery, body []byte) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(body))
	if err != nil {
		d.Status = "invalid URL"
		return
	}
	for k, v := range d.RequestHeaders {
		req.Header.Set(k, v)
	}
	res, err := s.hooks.Do(req)
	if err != nil {
		d.Status = "failed to connect to host"
		if errors.Is(err, context.DeadlineExceeded) || os.IsTimeout(err) {
			d.Status = "timed out"
		}
		return
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		d.Status = "timed out"
		return
	}
	d.StatusCode, d.ResponseBody, d.Status = res.StatusCode, string(text), "OK"
	d.ResponseHeaders = map[string]string{}
	for k := range res.Header {
		d.ResponseHeaders[k] = res.Header.Get(k)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		d.Status = fmt.Sprintf("Invalid HTTP Response: %d", res.StatusCode)
	}
}

// Deliveries lists all attempts, oldest first.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Delivery, 0, len(s.st.Deliveries))
	for _, d := range s.st.Deliveries {
		out = append(out, *d)
	}
	return out
}

// Redeliver sends a webhook again: same GUID, same body, a new attempt.
func (s *Server) Redeliver(id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.st.delivery(id)
	if d == nil {
		return fmt.Errorf("redeliver %d: there is no such delivery", id)
	}
	s.queue(d.again())
	return nil
}

// again is the webhook of a delivery, to be sent once more.
func (d *Delivery) again() *message {
	return &message{
		GUID: d.GUID, Event: d.Event, Action: d.Action, Installation: d.Installation,
		Repository: d.Repository, Payload: d.Payload, Redelivery: true,
	}
}

func (st *state) delivery(id int64) *Delivery {
	for _, d := range st.Deliveries {
		if d.ID == id {
			return d
		}
	}
	return nil
}
