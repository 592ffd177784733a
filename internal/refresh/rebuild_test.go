package refresh_test

import (
	"context"
	"errors"
	"testing"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// TestARebuildIsAnnounced before the Twin is touched: who asks for the end of
// the run comes before that, or is refused.
func TestARebuildIsAnnounced(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	job := refresh.Job{Source: source, Target: target, Publish: twin.InPlace}
	syncTwin(t, job, "one")
	pgtest.Exec(t, source, "insert into people (name) values ('new')")
	people := scan[int](t, target, "select count(*) from people")

	asked := errors.New("a newer commit was first")
	announced := false
	l := &lease{token: "two"}
	l.check = func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if announced = l.last.Rebuilding; announced {
			return asked
		}
		return nil
	}
	if _, err := refresher(t).Sync(t.Context(), job, l); !errors.Is(err, asked) || !announced {
		t.Errorf("announced: %v; ended by %v", announced, err)
	}
	if n := scan[int](t, target, "select count(*) from people"); n != people {
		t.Errorf("the Twin holds %d people, want the %d of before", n, people)
	}
	swap := &lease{token: "three"}
	if _, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target}, swap); err != nil || swap.last.Rebuilding {
		t.Errorf("a swap rebuilds nothing: %v", err)
	}
}
