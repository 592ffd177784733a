package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// Level says how much an event matters to a reader.
type Level string

// The levels of events.
const (
	Info  Level = "info"
	Warn  Level = "warn"
	Error Level = "error"
)

// Event is something that happened to a run, in words for its page: they hold
// no host, no credential and no text of a server.
type Event struct {
	At      time.Time
	Level   Level
	Phase   twin.Phase
	Message string
}

// AddEvent appends an event to a run's history.
func (s Store) AddEvent(ctx context.Context, run int64, level Level, phase twin.Phase, message string) error {
	_, err := s.exec(ctx, "add event",
		`INSERT INTO sync_run_event (run_id, level, phase, message) VALUES ($1, $2, $3, $4)`, run, level, phase, plain(message))
	return err
}

// Events lists what happened to a run, oldest first.
func (s Store) Events(ctx context.Context, run int64) ([]Event, error) {
	rows, _ := s.db.Query(ctx, `SELECT at, level, phase, message FROM sync_run_event WHERE run_id = $1 ORDER BY id`, run)
	return collect(rows, "list events", pgx.RowToStructByPos[Event])
}
