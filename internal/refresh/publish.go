package refresh

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/twin"
)

// publish hands over what the generation before had, marks the new one and
// puts it in its place.
func (s *sync) publish(ctx context.Context, snapshot pgcopy.Snapshot) (time.Time, error) {
	s.track.Begin(twin.Publish)
	// The session that holds the lock is used again now.
	if err := s.target.stillHeld(ctx, s.loading(), s.lease.Token()); err != nil {
		return time.Time{}, err
	}
	inPlace := s.next == ""
	if !s.target.before.Exists {
		s.heritage.database = formats(s.sourceSettings)
		if s.firstGrants() {
			s.heritage.objects, s.heritage.absent = sourceGrants(s.archive, s.roles)
		}
	}
	at := time.Now().UTC()
	err := s.complete(ctx, generation{
		Run: s.Run, Token: s.lease.Token(), Commit: s.Commit, Mode: s.Mode, Snapshot: snapshot, PublishedAt: at,
		Target: identity{System: s.target.system, Database: s.target.name},
	})
	if err != nil {
		return time.Time{}, err
	}
	if err := s.lease.Check(ctx); err != nil {
		return time.Time{}, err
	}
	var old string
	if inPlace {
		err = s.target.settle(ctx, s.lease.Token())
	} else {
		old, err = s.target.swap(ctx, s.next, s.lease.Token())
	}
	if err != nil && s.target.conn.IsClosed() {
		// The connection may have been lost after the commit. It is never
		// guessed: the Twin itself says who made it.
		err = s.whoPublished(ctx, err)
	}
	if err != nil {
		return time.Time{}, err
	}
	s.next = ""
	if old != "" {
		if err := s.target.remove(ctx, old); err != nil {
			s.log.WarnContext(ctx, "the generation before could not be dropped; the next sync does", slog.String("database", old), slog.Any("err", err))
		}
	}
	return at, nil
}

// complete gives the loaded database its heritage and its mark, and again if a
// connection is lost meanwhile: it may all be done twice.
func (s *sync) complete(ctx context.Context, g generation) error {
	for n := 1; ; n++ {
		hazards, err := s.completeOnce(ctx, g)
		if err == nil {
			s.hazards = append(s.hazards, hazards...)
			return nil
		}
		if n == attempts || ctx.Err() != nil || !cutOff(err) {
			return err
		}
		if err := s.target.stillHeld(ctx, s.loading(), s.lease.Token()); err != nil {
			return err
		}
		s.log.WarnContext(ctx, "what goes with a generation is written again", slog.Int("attempt", n+1), slog.Any("err", err))
	}
}

func (s *sync) completeOnce(ctx context.Context, g generation) ([]twin.Hazard, error) {
	conn := s.loaded
	s.loaded = nil
	if conn == nil || conn.IsClosed() {
		var err error
		if conn, err = s.connectLoaded(ctx); err != nil {
			return nil, err
		}
	}
	defer pgcopy.Close(conn)
	hazards, err := s.target.pass(ctx, conn, s.loading(), s.heritage)
	if err != nil {
		return nil, err
	}
	return hazards, writeMark(ctx, conn, g)
}

// connectLoaded connects to the database that was loaded.
func (s *sync) connectLoaded(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgcopy.Connect(ctx, s.target.in(s.loading()), s.app, 15*time.Second)
	if err != nil {
		return nil, &targetError{"connect to the new generation", err}
	}
	return conn, nil
}

// whoPublished looks whether the Twin is this run's after all, also when the
// run was interrupted. If it isn't, or nobody can tell, it gives back the error
// that raised the question.
func (s *sync) whoPublished(ctx context.Context, asked error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	// With the lock, it is certain that the former session has come to its end.
	if err := s.target.regain(ctx); err != nil {
		s.log.WarnContext(ctx, "nobody can tell whether the generation was published", slog.Any("err", err))
		return asked
	}
	m, marked, err := s.target.markOf(ctx, s.target.name)
	if err == nil && marked && m.State == live && m.Token == s.lease.Token() {
		return nil
	}
	return asked
}
