package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
)

// Relay passes TCP connections on to a server as if it were far away: each
// chunk arrives half a round trip after it was sent, in either direction, and
// a new connection can be used after one round trip, as a handshake asks for.
// Chunks are under way side by side, so bandwidth stays what loopback gives.
//
// It can be cut like a cable, or frozen, and lose a chosen answer.
type Relay struct {
	listener net.Listener
	server   string
	half     atomic.Int64
	turns    atomic.Int64
	sees     atomic.Pointer[func([]byte) Fate]
	ctx      context.Context //nolint:containedctx // ends with Close, which every goroutine waits for
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	links map[*link]bool
}

// Fate is what becomes of a connection once some bytes of its client have
// reached the server.
type Fate int

const (
	// Pass lets the connection be.
	Pass Fate = iota
	// Lose keeps the answer from the client, whose connection ends when the
	// server has done what it was asked.
	Lose
	// Hang ends the client's side alone: the server believes that its client
	// lives, and hears no more of it.
	Hang
)

// underWay is how many bytes may be on their way in one direction of one
// connection: what a long fat link holds. At 40 ms it allows 800 MB/s.
const underWay = 16 << 20

// NewRelay listens on a free port of 127.0.0.1 for connections to server, a
// host and port.
func NewRelay(server string, roundTrip time.Duration) (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // binds at once
	if err != nil {
		return nil, fmt.Errorf("start the relay: %w", err)
	}
	r := &Relay{listener: l, server: server, links: make(map[*link]bool)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.SetRoundTrip(roundTrip)
	r.running.Go(r.accept)
	return r, nil
}

// Through puts a relay before the server of a database until the test ends,
// and gives the address by way of it.
func Through(t testing.TB, direct string, roundTrip time.Duration) (*Relay, string) {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRelay(u.Host, roundTrip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	u.Host = r.Addr()
	return r, u.String()
}

// SetRoundTrip changes the delay for what is sent from now on.
func (r *Relay) SetRoundTrip(d time.Duration) { r.half.Store(int64(d / 2)) }

// Addr is the relay's host and port.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// URL is a database's address by way of the relay.
func (r *Relay) URL(direct string) (string, error) {
	u, err := url.Parse(direct)
	if err != nil {
		return "", errors.New("the address of the database can't be read") // url.Parse would quote the password
	}
	u.Host = r.Addr()
	return u.String(), nil
}

// Turns is how often a client spoke after its server had: what costs time over
// a slow link.
func (r *Relay) Turns() int64 { return r.turns.Load() }

// Watch shows what clients send, when it is due at the server, and lets sees
// decide what becomes of the connection; sees may change the bytes. It is
// called by several goroutines.
func (r *Relay) Watch(sees func(sent []byte) Fate) { r.sees.Store(&sees) }

// Cut ends every connection on both sides. New ones are refused until Mend.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = true
	for l := range r.links {
		l.end()
	}
}

// Mend lets connections pass again after Cut.
func (r *Relay) Mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = false
}

// Freeze keeps from the connections that there are whatever is sent from now
// on, and tells neither side. New ones pass.
func (r *Relay) Freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.links {
		l.state.Store(frozen)
	}
}

// Close cuts all connections and returns when the relay has ended.
func (r *Relay) Close() {
	r.cancel()
	_ = r.listener.Close()
	r.running.Wait()
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.connect(client) })
	}
}

// link is one connection by way of the relay.
type link struct {
	client, server net.Conn
	end            context.CancelFunc // closes both
	state          atomic.Int32
	// answered is set where the server was the last one to speak.
	answered atomic.Bool
}

// The states of a link.
const (
	flowing int32 = iota
	frozen        // nothing passes any more
	deaf          // what the server says is thrown away, until it ends
)

// connect serves one connection until both directions have ended, one of them
// broke, or the relay is cut or closed.
func (r *Relay) connect(client net.Conn) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = client.Close() })
	if !wait(ctx, time.Now().Add(2*time.Duration(r.half.Load()))) {
		return
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.server)
	if err != nil {
		return
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	l := &link{client: client, server: server, end: cancel}
	l.answered.Store(true)
	r.mu.Lock()
	refused := r.cut
	r.links[l] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.links, l)
		r.mu.Unlock()
	}()
	if refused {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.ended(ctx, r.pass(ctx, client, func(b []byte) error { return r.ask(ctx, l, b) })) })
	both.Go(func() { l.ended(ctx, r.pass(ctx, server, func(b []byte) error { return l.answer(ctx, b) })) })
	both.Wait()
}

// ended is told how one direction of a link ended.
func (l *link) ended(ctx context.Context, err error) {
	switch {
	case l.state.Load() == frozen:
		<-ctx.Done()
	case err != nil || l.state.Load() == deaf:
		l.end() // a cut is felt on both sides
	}
}

// ask brings bytes to the server, or the end of what the client sends.
func (r *Relay) ask(ctx context.Context, l *link, b []byte) error {
	if l.state.Load() != flowing {
		<-ctx.Done()
		return ctx.Err()
	}
	if b == nil {
		return l.server.(*net.TCPConn).CloseWrite()
	}
	if l.answered.Swap(false) {
		r.turns.Add(1)
	}
	fate := Pass
	if sees := r.sees.Load(); sees != nil {
		fate = (*sees)(b)
	}
	switch fate { // before the server can answer
	case Pass:
	case Lose:
		l.state.Store(deaf)
	case Hang:
		l.state.Store(frozen)
	}
	if _, err := l.server.Write(b); err != nil {
		return err
	}
	switch fate {
	case Pass:
		return nil
	case Lose:
		if err := l.server.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
	case Hang:
		_ = l.client.Close()
	}
	<-ctx.Done()
	return ctx.Err()
}

// answer brings bytes to the client, or the end of what the server sends.
func (l *link) answer(ctx context.Context, b []byte) error {
	switch l.state.Load() {
	case frozen:
		<-ctx.Done()
		return ctx.Err()
	case deaf:
		return nil
	}
	if b == nil {
		return l.client.(*net.TCPConn).CloseWrite()
	}
	l.answered.Store(true)
	_, err := l.client.Write(b)
	return err
}

// chunk is some bytes and when they arrive; the last one has none.
type chunk struct {
	bytes []byte
	due   time.Time
}

// pass moves one direction's bytes; an orderly end is delivered as no bytes.
func (r *Relay) pass(ctx context.Context, from net.Conn, deliver func([]byte) error) error {
	chunks := make(chan chunk, 4096)
	room := semaphore.NewWeighted(underWay)
	var reading error
	go func() {
		defer close(chunks)
		reading = r.read(ctx, from, room, chunks)
	}()
	for c := range chunks {
		if !wait(ctx, c.due) {
			return ctx.Err()
		}
		if err := deliver(c.bytes); err != nil || c.bytes == nil {
			return err
		}
		room.Release(int64(len(c.bytes)))
	}
	return reading
}

func (r *Relay) read(ctx context.Context, from net.Conn, room *semaphore.Weighted, chunks chan<- chunk) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		c := chunk{due: time.Now().Add(time.Duration(r.half.Load()))}
		if n > 0 {
			if err := room.Acquire(ctx, int64(n)); err != nil {
				return err
			}
			c.bytes = append([]byte(nil), buf[:n]...)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		select {
		case chunks <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return nil //nolint:nilerr // the end of the stream is no error
		}
	}
}

// wait returns at due, or false when ctx has ended before.
func wait(ctx context.Context, due time.Time) bool {
	left := time.Until(due)
	if left <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
