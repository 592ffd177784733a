package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/twin"
)

// attempts is how often a sync begins to load: once, and twice more if what it
// loaded has become worthless without anybody's fault.
const attempts = 3

// HazardStartedAgain says that a run had to load everything anew.
const HazardStartedAgain = "started_again"

// ready is preflight, begun again if a connection is lost on the way: it has
// changed nothing.
func (s *sync) ready(ctx context.Context) (context.Context, error) {
	for n := 1; ; n++ {
		reading, err := s.preflight(ctx)
		if err == nil || n == attempts || ctx.Err() != nil || !cutOff(err) {
			return reading, err
		}
		s.log.WarnContext(ctx, "the preflight begins again", slog.Int("attempt", n+1), slog.Any("err", err))
		s.end()
		s.holder, s.target = nil, nil
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(time.Duration(n) * time.Second):
		}
	}
}

// cutOff reports whether a connection that there was is lost. One that could
// not be made was asked for long enough.
func cutOff(err error) bool {
	var failure *twin.Failure
	var connect *pgconn.ConnectError
	var pg *pgconn.PgError
	var dump *pgtools.DumpError
	switch {
	case errors.Is(err, pgcopy.ErrSnapshotLost):
		return true
	case errors.Is(err, pgcopy.ErrGaveWay), errors.As(err, &failure), errors.As(err, &connect):
		return false
	case errors.As(err, &dump):
		return dump.Kind == pgtools.KindConnection || dump.Kind == pgtools.KindSnapshot
	case errors.As(err, &pg):
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "57P")
	}
	return pgcopy.Transient(err)
}

// fill loads and verifies a generation. A snapshot that is lost can't be had
// again, and a target that crashed may have forgotten rows: then all is loaded
// anew, under a new snapshot and by a new plan.
func (s *sync) fill(ctx context.Context, reading context.Context) ([]twin.TableReport, []string, error) {
	known := len(s.hazards)
	var notes []twin.Hazard
	for n := 1; ; n++ {
		tables, verified, err := s.fillOnce(ctx, reading)
		if err == nil {
			s.hazards = append(s.hazards, notes...)
			return tables, verified, nil
		}
		if n == attempts || ctx.Err() != nil || !worthless(err) {
			return nil, nil, err
		}
		s.log.WarnContext(ctx, "loading begins again under a new snapshot", slog.Int("attempt", n+1), slog.Any("err", err))
		notes = append(notes, twin.Hazard{ID: HazardStartedAgain, Message: "everything was loaded once more: " + reason(err)})
		s.hazards = s.hazards[:known]
		if reading, err = s.startOver(ctx); err != nil {
			return nil, nil, err
		}
	}
}

// fillOnce is one attempt. The source is let go of when it has succeeded.
func (s *sync) fillOnce(ctx, reading context.Context) ([]twin.TableReport, []string, error) {
	if refused := clone.Refusing(s.allHazards()); len(refused) > 0 {
		return nil, nil, refusal(refused)
	}
	env, err := s.prepare(reading)
	if err != nil {
		return nil, nil, s.whyEnded(reading, err)
	}
	tables, verified, err := s.load(reading, env)
	if err != nil {
		return nil, nil, err
	}
	return tables, verified, s.release(ctx) // production is done with
}

// worthless reports whether an error leaves nothing to go on from, and would
// not have to happen again.
func worthless(err error) bool {
	return errors.Is(err, pgcopy.ErrSnapshotLost) || errors.Is(err, clone.ErrForgotten)
}

// reason is worthless in words that hold no server's text.
func reason(err error) string {
	if errors.Is(err, clone.ErrForgotten) {
		return clone.ErrForgotten.Error()
	}
	return "the connection that held the source's snapshot was lost"
}

// startOver removes what was loaded, and takes a new snapshot of the same source.
func (s *sync) startOver(ctx context.Context) (context.Context, error) {
	s.holder.Close()
	s.track.Begin(twin.Preflight)
	if s.target.conn.IsClosed() {
		if err := s.target.regain(ctx); err != nil {
			return nil, err
		}
	}
	if s.next != "" {
		if err := s.target.drop(ctx, s.next); err != nil {
			return nil, err
		}
		s.next = ""
	}
	before := s.source
	standby, err := s.lookAtSource(ctx)
	if err != nil {
		return nil, err
	}
	if s.source != before {
		return nil, &sourceError{"take a new snapshot", fmt.Errorf("another server answers at its address")}
	}
	return s.hold(ctx, standby)
}
