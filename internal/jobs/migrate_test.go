package jobs

import (
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestMigrateTwiceAndTwoAtOnce(t *testing.T) {
	t.Parallel()
	pool := openPool(t, pgtest.URL(t))
	if pending, err := Pending(t.Context(), pool); err != nil || !pending {
		t.Fatalf("empty database: pending %v, %v", pending, err)
	}
	if n := one[int](t, pool, "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'river')"); n != 0 {
		t.Errorf("looking for pending migrations made %d tables", n)
	}
	var both errgroup.Group
	for range 2 {
		both.Go(func() error { return Migrate(t.Context(), pool, quiet()) })
	}
	if err := both.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := Migrate(t.Context(), pool, quiet()); err != nil {
		t.Fatal(err)
	}
	if pending, err := Pending(t.Context(), pool); err != nil || pending {
		t.Fatalf("migrated database: pending %v, %v", pending, err)
	}
	// A process of an older version meets the newer schema during a deploy; a
	// newer one must say that it is not ready.
	db, provider, err := ourMigrations(pool)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := provider.DownTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if pending, err := Pending(t.Context(), pool); err != nil || !pending {
		t.Fatalf("older database: pending %v, %v", pending, err)
	}
	if err := Migrate(t.Context(), pool, quiet()); err != nil {
		t.Fatal(err)
	}
	if pending, err := Pending(t.Context(), pool); err != nil || pending {
		t.Fatalf("older database, migrated: pending %v, %v", pending, err)
	}
}
