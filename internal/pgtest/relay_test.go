package pgtest_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// echo serves connections that send back what they read, until its end.
func echo(t *testing.T) string {
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
				_, _ = io.Copy(c, c)
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
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return r, c
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
	if took := fastest(t, c); took < roundTrip || took > 5*roundTrip {
		t.Errorf("an answer came after %v, want %v and not much more", took, roundTrip)
	}
	r.SetRoundTrip(0)
	if took := fastest(t, c); took > roundTrip/2 {
		t.Errorf("an answer came after %v without a delay", took)
	}
}

// A delay that waited for each chunk before it reads the next would need
// 500 times half a round trip here, which is 25 s.
func TestRelayDoesNotLimitBandwidth(t *testing.T) {
	t.Parallel()
	const roundTrip = 100 * time.Millisecond
	_, c := relayed(t, echo(t), roundTrip)
	sent := make([]byte, 32<<20)
	_, _ = rand.Read(sent)
	began := time.Now()
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
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("32 MB there and back took %v", took)
	}
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
	direct := pgtest.URL(t)
	r, err := pgtest.NewRelay(hostOf(t, direct), 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	far, err := r.URL(direct)
	if err != nil {
		t.Fatal(err)
	}
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

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
