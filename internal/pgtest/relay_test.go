package pgtest_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// echo serves connections that send back what they read, until its end.
func echo(t *testing.T) string {
	t.Helper()
	return serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
}

func serve(t *testing.T, each func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				each(c)
				_ = c.(*net.TCPConn).CloseWrite()
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func relayed(t *testing.T, server string, roundTrip time.Duration) (*pgtest.Relay, net.Conn) {
	t.Helper()
	r, err := pgtest.NewRelay(server, roundTrip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, again(t, r)
}

// fastest is the quickest of some answers: a busy machine makes single ones late.
func fastest(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	best := ping(t, c)
	for range 30 {
		best = min(best, ping(t, c))
	}
	return best
}

// ping sends a byte and takes the time until it is back.
func ping(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := c.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestRelayAddsARoundTrip(t *testing.T) {
	t.Parallel()
	const roundTrip = 60 * time.Millisecond
	r, c := relayed(t, echo(t), roundTrip)
	if took := ping(t, c); took < 2*roundTrip {
		t.Errorf("the first answer came after %v; with the handshake it takes %v", took, 2*roundTrip)
	}
	if took := fastest(t, c); took < roundTrip {
		t.Errorf("an answer came after %v, want %v", took, roundTrip)
	}
	r.SetRoundTrip(0)
	if took := fastest(t, c); took >= roundTrip {
		t.Errorf("an answer came after %v without a delay", took)
	}
	if n := r.Turns(); n != 63 {
		t.Errorf("%d turns, want one for each ping", n)
	}
}

// A delay that waited for each chunk before it reads the next would need 256
// times half a round trip here, more than the connection's deadline.
func TestRelayDoesNotLimitBandwidth(t *testing.T) {
	t.Parallel()
	_, c := relayed(t, echo(t), time.Second)
	sent := make([]byte, 16<<20)
	_, _ = rand.Read(sent)
	go func() {
		_, _ = c.Write(sent)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c) // ends where the echo ended: the half close was passed on
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes came back, or others", len(got), len(sent))
	}
}

func TestRelayIsCutAndMended(t *testing.T) {
	t.Parallel()
	r, c := relayed(t, echo(t), 0)
	ping(t, c)
	r.Cut()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived the cut")
	}
	if _, err := again(t, r).Read(make([]byte, 1)); err == nil {
		t.Error("a new connection passed the cut")
	}
	r.Mend()
	ping(t, again(t, r))
}

func TestRelayFreezes(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 10)
	r, c := relayed(t, hears(t, heard), 0)
	ping(t, c)
	r.Freeze()
	if _, err := c.Write([]byte("lost")); err != nil {
		t.Error(err)
	}
	ping(t, again(t, r))
	c.Close()
	r.Close()
	for range 2 { // in any order
		if got := <-heard; got != "\x01" {
			t.Errorf("the server heard %q", got)
		}
	}
}

// What becomes of a connection: the client never hears the answer, and the
// server does what it was asked.
func TestRelayLosesAnswers(t *testing.T) {
	t.Parallel()
	for fate, ends := range map[pgtest.Fate]bool{pgtest.Lose: true, pgtest.Hang: false} {
		heard := make(chan string, 10)
		r, c := relayed(t, hears(t, heard), 0)
		r.Watch(func(sent []byte) pgtest.Fate {
			if bytes.Equal(sent, []byte("?")) {
				return fate
			}
			return pgtest.Pass
		})
		ping(t, c)
		if _, err := c.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); err == nil || n > 0 {
			t.Errorf("fate %d: the client read %d bytes, %v", fate, n, err)
		}
		if !ends {
			select {
			case <-heard:
				t.Error("the server's side has ended")
			case <-time.After(20 * time.Millisecond):
			}
			r.Close()
		}
		if got := <-heard; got != "\x01?" {
			t.Errorf("fate %d: the server heard %q", fate, got)
		}
	}
}

// hears is echo that tells, when a connection ends, all that was read of it.
func hears(t *testing.T, all chan<- string) string {
	t.Helper()
	return serve(t, func(c net.Conn) {
		var read bytes.Buffer
		_, _ = io.Copy(c, io.TeeReader(c, &read))
		all <- read.String()
	})
}

// again is a further connection.
func again(t *testing.T, r *pgtest.Relay) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRelayPassesACutOn(t *testing.T) {
	t.Parallel()
	r, c := relayed(t, echo(t), 10*time.Millisecond)
	ping(t, c)
	r.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived the relay")
	}
}

func TestRelayWhoseServerIsGone(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, c := relayed(t, l.Addr().String(), 0)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a connection to nobody stayed open")
	}
}

func TestRelayCarriesPostgres(t *testing.T) {
	t.Parallel()
	_, far := pgtest.Through(t, pgtest.URL(t), 20*time.Millisecond)
	conn := pgtest.Connect(t, far)
	began := time.Now()
	var one int
	if err := conn.QueryRow(t.Context(), "SELECT 1").Scan(&one); err != nil || one != 1 {
		t.Fatalf("got %d, %v", one, err)
	}
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("a query took %v, less than the round trip", took)
	}
}
