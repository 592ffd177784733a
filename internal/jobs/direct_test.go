package jobs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"

	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestDirect(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t)
	if err := Direct(t.Context(), openPool(t, address)); err != nil {
		t.Errorf("the server itself: %v", err)
	}
	if err := Direct(t.Context(), openPool(t, pooler(t, address))); !errors.Is(err, ErrPooled) {
		t.Errorf("a pooler: %v", err)
	}
}

// pooler stands before a server as PgBouncer in transaction mode does, as far
// as a listener can tell: notifications never come.
func pooler(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server)
			if err != nil {
				_ = client.Close()
				return
			}
			go func() { _, _ = io.Copy(up, client); _ = up.Close() }()
			go func() { withoutNotifications(client, up); _ = client.Close() }()
		}
	}()
	u.Host = l.Addr().String()
	return u.String()
}

// withoutNotifications passes on what a server says but for NotificationResponse.
func withoutNotifications(to io.Writer, from io.Reader) {
	r := bufio.NewReader(from)
	for {
		head := make([]byte, 5) // a type and a length that includes itself
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		if head[0] == 'A' {
			continue
		}
		if _, err := to.Write(append(head, body...)); err != nil {
			return
		}
	}
}
