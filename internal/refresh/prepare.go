package refresh

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/twin"
)

// prepare makes the database that will be loaded.
func (s *sync) prepare(ctx context.Context) (clone.Env, error) {
	s.track.Begin(twin.Prepare)
	stray, err := s.target.sweep(ctx, loading, previous)
	if err != nil {
		return clone.Env{}, err
	}
	s.hazards = append(s.hazards, stray...)
	if err := s.makeRoles(ctx, s.missingRoles); err != nil {
		return clone.Env{}, err
	}
	s.proof = &clone.Proof{} // of this load alone: what was loaded before is gone
	env := clone.Env{
		Proof:  s.proof,
		Source: s.Source, App: s.app, Snapshot: s.holder.Snapshot.ID, Jobs: s.Jobs, MaxRate: s.MaxRate,
		Tracker: s.track, Logger: s.log, Between: s.Between,
	}
	if s.Publish == twin.InPlace && s.target.before.Exists {
		// The heritage must be read before the database is emptied, which an
		// earlier attempt of this run may have done.
		if !s.cleared {
			if err := s.inherit(ctx); err != nil {
				return env, err
			}
		}
		// From here on a newer commit must not interrupt the run.
		s.track.Rebuild()
		if err := s.lease.Check(ctx); err != nil {
			return env, err
		}
		env.Target = s.Job.Target
		s.cleared = true
		if err := s.target.clear(ctx, s.lease.Token(), s.heritage.objects); err != nil {
			return env, err
		}
		return env, s.matchPublic(ctx, env.Target)
	}
	next, hazards, err := s.target.create(ctx, s.lease.Token(), s.schema.Database)
	s.next = next
	if err != nil {
		return env, err
	}
	s.hazards = append(s.hazards, hazards...)
	env.Target = s.target.in(next)
	return env, s.matchPublic(ctx, env.Target)
}

// publicSchema is what a dump does not say of the schema public.
type publicSchema struct {
	exists  bool
	comment string
}

// standardComment is what every new database says of its schema public.
const standardComment = "standard public schema"

// matchPublic makes the schema public of a new database like the source's.
func (s *sync) matchPublic(ctx context.Context, database string) error {
	if s.public.exists && s.public.comment == standardComment {
		return nil
	}
	conn, err := pgcopy.Connect(ctx, database, s.app, 15*time.Second)
	if err != nil {
		return &targetError{"connect to the new generation", err}
	}
	defer pgcopy.Close(conn)
	if !s.public.exists {
		if _, err := conn.Exec(ctx, "DROP SCHEMA public"); err != nil {
			return &targetError{"drop the schema public", err}
		}
		return nil
	}
	_, err = conn.Exec(ctx, "COMMENT ON SCHEMA public IS "+pgcopy.Literal(s.public.comment))
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42501" { // before 15 it is the first superuser's
		s.hazards = append(s.hazards, twin.Hazard{
			ID: HazardNotInherited, Object: "COMMENT ON SCHEMA public", Message: "could not be copied: the Twin's role does not own the schema",
		})
		return nil
	}
	if err != nil {
		return &targetError{"comment on the schema public", err}
	}
	return nil
}

// loading is the database that is loaded.
func (s *sync) loading() string {
	if s.next == "" {
		return s.target.name
	}
	return s.next
}

// cleanUp removes the half-made generation, also when the run was interrupted.
// What it can't remove, the next sync sweeps.
func (s *sync) cleanUp(ctx context.Context) {
	if s.holder != nil {
		s.holder.Close()
	}
	if s.next == "" || s.target == nil {
		return
	}
	err := s.target.remove(ctx, s.next)
	if err == nil {
		s.dropRoles(ctx)
	}
	if err != nil {
		s.log.WarnContext(ctx, "the half-loaded generation stays until the next sync", slog.String("database", s.next), slog.Any("err", err))
	}
}
