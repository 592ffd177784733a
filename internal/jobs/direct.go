package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrPooled says that a pooler stands between us and the database which gives
// sessions away between transactions. LISTEN then stays silent without an
// error, so that every job waits for a poll, and the lock of a migration may
// outlive its owner.
var ErrPooled = errors.New("the control database is behind a pooler in transaction mode; DATABASE_URL must name the server itself")

// probeWait is how long a notification may take. It takes milliseconds.
const probeWait = 5 * time.Second

// Direct looks whether notifications arrive, which needs a session of our own.
func Direct(ctx context.Context, pool *pgxpool.Pool) error {
	acquired, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to the control database: %w", err)
	}
	conn := acquired.Hijack()                    // nobody else shall have a session that listens
	defer conn.Close(context.WithoutCancel(ctx)) // it has nothing to lose
	channel := "neontwin_probe_" + strings.ToLower(rand.Text())
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listen on the control database: %w", err)
	}
	if _, err := pool.Exec(ctx, "SELECT pg_notify($1, '')", channel); err != nil {
		return fmt.Errorf("notify on the control database: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	if _, err := conn.WaitForNotification(waiting); err != nil {
		if waiting.Err() != nil && ctx.Err() == nil {
			return ErrPooled
		}
		return fmt.Errorf("wait for a notification of the control database: %w", err)
	}
	return nil
}
