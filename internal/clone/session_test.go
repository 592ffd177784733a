package clone

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// A reader whose connection was lost, and whose session at the server lives on,
// gets another one, which has seen the end of the first.
func TestLostSessionIsEnded(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	s := &session{app: "neontwin/lost", open: func(ctx context.Context) (*pgx.Conn, error) {
		return pgcopy.Reader(ctx, url, "neontwin/lost", "")
	}}
	first, err := s.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lost, err := first.PgConn().Hijack() // for us it is closed, for the server it isn't
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lost.Conn.Close() })
	second, err := s.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pgcopy.Close(second)
	var alive bool
	if err := second.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1)", lost.PID).Scan(&alive); err != nil || alive {
		t.Errorf("the lost session lives: %v, %v", alive, err)
	}
}
