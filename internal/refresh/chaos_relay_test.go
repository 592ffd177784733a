package refresh_test

import (
	"context"
	"net"
	"net/url"
	"sync"
	"testing"
)

// wire passes connections on to a server and can be cut like a cable, or
// frozen: then nothing passes any more and neither side is told.
type wire struct {
	listener net.Listener
	server   string
	running  sync.WaitGroup
	// sees, if set, is shown what a client is about to send. Where it says
	// lose, those bytes still reach the server, but the client never hears of
	// it: its side is closed. The server's side is closed too, unless it says
	// hang: then the server believes that its client lives.
	sees func(sent []byte) fate

	mu     sync.Mutex
	conns  map[*link]bool
	broken bool
}

// fate is what becomes of a connection once the bytes at hand have passed.
type fate int

const (
	pass fate = iota
	lose
	hang
)

// link is one connection.
type link struct {
	client, server net.Conn
	frozen         chan struct{}
	freeze         sync.Once
}

func newWire(t *testing.T, server string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, server: server, conns: make(map[*link]bool)}
	w.running.Go(w.accept)
	t.Cleanup(func() {
		_ = l.Close()
		w.cut()
		w.running.Wait()
	})
	return w
}

// url is the address of a database by way of the wire.
func (w *wire) url(t *testing.T, direct string) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = w.listener.Addr().String()
	return u.String()
}

// cut closes every connection on both sides. New ones are refused until mend.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	for l := range w.conns {
		l.close()
	}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = false
}

// stall freezes the connections that there are. New ones pass.
func (w *wire) stall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.conns {
		l.freeze.Do(func() { close(l.frozen) })
	}
}

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.running.Go(func() { w.connect(client) })
	}
}

func (w *wire) connect(client net.Conn) {
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", w.server)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server, frozen: make(chan struct{})}
	w.mu.Lock()
	if w.broken {
		l.close()
	}
	w.conns[l] = true
	w.mu.Unlock()
	w.running.Go(func() {
		l.pump(client, server, w.sees)
	})
	l.pump(server, client, nil)
}

func (l *link) close() { _ = l.client.Close(); _ = l.server.Close() }

func (l *link) pump(from, to net.Conn, sees func([]byte) fate) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-l.frozen:
			// Both ends stay open until the wire is cut.
			return
		default:
		}
		what := pass
		if n > 0 && sees != nil {
			what = sees(buf[:n])
		}
		if what == hang || what == lose {
			l.freeze.Do(func() { close(l.frozen) }) // no answer passes
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				l.close()
				return
			}
		}
		switch {
		case what == hang:
			_ = l.client.Close()
			return
		case what == lose, err != nil:
			l.close()
			return
		}
	}
}
