package refresh_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// A connection that is lost in the preflight costs the preflight, on either
// side and whatever was being asked.
func TestPreflightBeginsAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source bool
		at     string // what was sent when the connection is cut
		long   bool   // in make test/long alone
	}{
		{false, "pg_try_advisory_lock", true},
		{false, "pg_available_extensions", false},
		{true, "pg_is_in_recovery(),", true},
		{true, "LOCK TABLE ONLY", true},
		{true, "pg_export_snapshot", false},
		{true, "conpfeqop", false}, // the catalog is read
		{true, "pg_get_partkeydef", true},
	} {
		t.Run(c.at, func(t *testing.T) {
			t.Parallel()
			if c.long {
				pgtest.Long(t)
			}
			source, target := smallSource(t)
			var lost atomic.Int64
			server := target
			if c.source {
				server = source
			}
			r, relayed := pgtest.Through(t, server, 0)
			r.Watch(func(sent []byte) pgtest.Fate {
				if bytes.Contains(sent, []byte(c.at)) && lost.Add(1) == 1 {
					return pgtest.Lose
				}
				return pgtest.Pass
			})
			job := refresh.Job{Source: source, Target: relayed}
			if c.source {
				job = refresh.Job{Source: relayed, Target: target}
			}
			syncTwin(t, job, "one")
			if lost.Load() == 0 {
				t.Error("no connection was lost: the case tests nothing")
			}
			judge(t, source, target)
		})
	}
}

// A server that is not there is not asked for longer than it takes to wake, and
// one that goes on losing connections not for ever.
func TestPreflightEnds(t *testing.T) {
	t.Parallel()
	source := pgtest.URL(t)
	r, relayed := pgtest.Through(t, source, 0)
	r.Watch(func(sent []byte) pgtest.Fate {
		if bytes.Contains(sent, []byte("pg_is_in_recovery(),")) {
			return pgtest.Lose
		}
		return pgtest.Pass
	})
	began := time.Now()
	_, err := refresher(t).Plan(t.Context(), refresh.Job{Source: relayed, Target: twinOf(t, source)})
	if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeSource || !f.Retry {
		t.Errorf("got %+v", f)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}
