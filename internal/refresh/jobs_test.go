package refresh

import (
	"testing"

	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestJobsFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ cores, onSource, onTarget, want int }{
		{1, 97, 97, 4},
		{6, 97, 97, 6},
		{64, 97, 97, 8},
		{8, 12, 97, 3},  // half of what the application could have
		{8, 97, 10, 3},  // a copy and a build each
		{8, 0, -3, 1},   // it will fail, but not for our greed
		{2, 20, 100, 4}, // enough
	} {
		if got := jobsFor(c.cores, c.onSource, c.onTarget); got != c.want {
			t.Errorf("%+v: %d jobs", c, got)
		}
	}
}

func TestFreeSlotsCountsBothLimits(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, map[string]string{"max_connections": "20", "superuser_reserved_connections": "2"})
	conn := pgtest.Connect(t, c.URL("postgres"))
	free := func() (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), freeSlots).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := free(); n != 17 { // 20 but for 2 and our own
		t.Errorf("%d slots, want 17", n)
	}
	if _, err := conn.Exec(t.Context(), "create role few login connection limit 5; set session authorization few"); err != nil {
		t.Fatal(err)
	}
	if n := free(); n != 5 {
		t.Errorf("%d slots, want the role's 5", n)
	}
}
