package refresh_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// TestClean: what the last attempt has half loaded goes, its session with it.
// The Twin stays, and so do the generation before, what is another Twin's, and
// what is not ours.
func TestClean(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
	base, admin := name(t, target), postgresOf(t, target)
	mark := func(database, state, of string) {
		pgtest.Exec(t, admin, "comment on database "+database+` is '{"neontwin":1,"state":"`+state+`","token":"x","twin":"`+of+`"}'`)
	}
	stay := []string{base, base + "__before_old", base + "__mine", base + "__theirs"}
	between, reached, release := holding()
	result := make(chan error, 1)
	go func() {
		_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Between: between, Exclusive: true}, &lease{token: "two"})
		result <- err
	}()
	<-reached
	// Its own sweep has come by already.
	for _, database := range append([]string{base + "__older"}, stay[1:]...) {
		pgtest.Exec(t, admin, "create database "+database)
	}
	mark(base+"__before_old", "previous", base)
	mark(base+"__theirs", "loading", base+"_other")
	mark(base+"__older", "loading", base)
	pgtest.Exec(t, admin, "create database "+base+"__unmarked allow_connections false connection limit 734291")

	s := &refresh.Service{Refresher: refresher(t), Targets: map[string]refresh.Target{
		"shop-twin": {Locate: func(context.Context) (string, error) { return target, nil }},
	}}
	yes := func(context.Context) error { return nil }
	busy := errors.New("a run has the target")
	if err := s.Clean(t.Context(), "shop-twin", "two", func(context.Context) error { return busy }); !errors.Is(err, busy) {
		t.Errorf("while a run has the target: %v", err)
	}
	// Nobody's session is ended but that of the attempt which is named.
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := s.Clean(short, "shop-twin", "three", yes); err == nil {
		t.Error("it was cleaned while another sync held the target")
	}
	if got := databases(t, admin, base); len(got) != len(stay)+3 {
		t.Fatalf("there are the databases %v: something was dropped", got)
	}
	if err := s.Clean(t.Context(), "shop-twin", "two", yes); err != nil {
		t.Fatal(err)
	}
	if got := databases(t, admin, base); !slices.Equal(got, stay) {
		t.Errorf("there are the databases %v, want %v", got, stay)
	}
	close(release)
	if err := <-result; err == nil {
		t.Error("the attempt has published what was dropped")
	}
	if got := scan[string](t, target, "select token from neontwin.generation"); got != "one" {
		t.Errorf("the Twin is of run %s", got)
	}
	if err := s.Clean(t.Context(), "nobody", "two", yes); !errors.Is(err, twin.ErrRefused) {
		t.Errorf("a target that the operator does not name: %v", err)
	}
	for _, database := range stay[1:] {
		pgtest.Exec(t, admin, "drop database "+database)
	}
}
