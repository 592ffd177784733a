package clone_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// relay passes connections on to a server, late by delay in each direction. It
// counts the turns: how often a client spoke after the server had, which over a
// slow link is what costs time.
type relay struct {
	address string
	delay   time.Duration
	turns   atomic.Int64
	// loses, if set, says of what a client sends whether the connection is cut
	// once the server has it: the client never hears the answer.
	loses func(sent []byte) bool
}

// through puts a relay before the server of a database and gives the address.
func (r *relay) through(t *testing.T, direct string) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	r.address = u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.pass(client) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	u.Host = l.Addr().String()
	return u.String()
}

func (r *relay) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.address)
	if err != nil {
		return
	}
	defer server.Close()
	var answered atomic.Bool
	answered.Store(true)
	var both sync.WaitGroup
	both.Go(func() {
		defer client.Close()
		defer server.Close()
		r.pump(server, client, func(b []byte) bool {
			if answered.Swap(false) {
				r.turns.Add(1)
			}
			return r.loses != nil && r.loses(b)
		})
	})
	both.Go(func() {
		defer client.Close()
		defer server.Close()
		r.pump(client, server, func([]byte) bool { answered.Store(true); return false })
	})
	both.Wait()
}

// pump carries bytes until one side ends or look says that this was the last.
func (r *relay) pump(to, from net.Conn, look func([]byte) bool) {
	type late struct {
		b  []byte
		at time.Time
	}
	way := make(chan late, 1000)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer from.Close()
	reading.Go(func() {
		defer close(way)
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if n > 0 {
				way <- late{b[:n], time.Now().Add(r.delay)}
			}
			if err != nil {
				return
			}
		}
	})
	for l := range way {
		<-time.After(time.Until(l.at))
		last := look(l.b)
		if _, err := to.Write(l.b); err != nil || last {
			if last {
				<-time.After(300 * time.Millisecond) // the server does what it was asked
			}
			_ = from.Close()
			for range way { //nolint:revive // what else comes is dropped
			}
			return
		}
	}
}

// first says yes once, to the first message that holds one of the texts.
func first(texts ...string) func([]byte) bool {
	var said atomic.Bool
	return func(b []byte) bool {
		for _, text := range texts {
			if bytes.Contains(b, []byte(text)) && said.CompareAndSwap(false, true) {
				return true
			}
		}
		return false
	}
}
