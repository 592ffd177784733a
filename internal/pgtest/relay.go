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
	"time"

	"golang.org/x/sync/semaphore"
)

// Relay passes TCP connections on to a server as if it were far away: each
// chunk arrives half a round trip after it was sent, in either direction, and
// a new connection can be used after one round trip, as a handshake asks for.
// Chunks are under way side by side, so bandwidth stays what loopback gives.
type Relay struct {
	listener net.Listener
	server   string
	half     atomic.Int64
	ctx      context.Context //nolint:containedctx // ends with Close, which every goroutine waits for
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

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
	r := &Relay{listener: l, server: server}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.SetRoundTrip(roundTrip)
	r.running.Go(r.accept)
	return r, nil
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

// connect serves one connection until both directions have ended, one of them
// broke, or the relay is closed.
func (r *Relay) connect(client net.Conn) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel() // closes both
	context.AfterFunc(ctx, func() { _ = client.Close() })
	if !wait(ctx, time.Now().Add(2*time.Duration(r.half.Load()))) {
		return
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.server)
	if err != nil {
		return
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			if err := r.pass(ctx, way[0], way[1]); err != nil {
				cancel() // a cut is felt on both sides
			}
		})
	}
	both.Wait()
}

// chunk is some bytes and when they arrive; the last one has none.
type chunk struct {
	bytes []byte
	due   time.Time
}

// pass moves one direction's bytes. An orderly end is passed on as one.
func (r *Relay) pass(ctx context.Context, from, to net.Conn) error {
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
		if c.bytes == nil {
			return to.(*net.TCPConn).CloseWrite()
		}
		if _, err := to.Write(c.bytes); err != nil {
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
