package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/neontwin/neontwin/migrations"
)

// schema is where River's tables live. Ours are in public.
const schema = "river"

// migrateLock is the advisory lock under which everything is migrated. It is
// part of the contract between versions: never change it.
const migrateLock = 0x6e656f6e7477696e // "neontwin"

// Migrate brings River's tables and ours up to date. Any number of processes
// may call it at once: they take turns. It uses connections of its own, so a
// busy pool does not hold it up.
func Migrate(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) (err error) {
	config := pool.Config()
	config.MaxConns, config.MinConns, config.MinIdleConns = 4, 0, 0
	own, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("open migration pool: %w", err)
	}
	defer own.Close()

	lock, err := own.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to migrate: %w", err)
	}
	// Closing the session is what lets go of the lock, whatever happened.
	defer func() {
		err = errors.Join(err, lock.Conn().Close(context.WithoutCancel(ctx)))
		lock.Release()
	}()
	if _, err := lock.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrateLock)); err != nil {
		return fmt.Errorf("lock migrations: %w", err)
	}
	if _, err := lock.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
		return fmt.Errorf("create schema of the queue: %w", err)
	}
	river, err := riverMigrator(own, logger)
	if err != nil {
		return err
	}
	if _, err := river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the queue: %w", err)
	}
	db, ours, err := ourMigrations(own)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	done, err := ours.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate our tables: %w", err)
	}
	for _, m := range done {
		logger.InfoContext(ctx, "migrated", "version", m.Source.Version, "took", m.Duration)
	}
	return nil
}

// Pending reports whether Migrate has something to do. It changes nothing.
func Pending(ctx context.Context, pool *pgxpool.Pool) (pending bool, err error) {
	river, err := riverMigrator(pool, slog.New(slog.DiscardHandler))
	if err != nil {
		return false, err
	}
	valid, err := river.Validate(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("look at migrations of the queue: %w", err)
	}
	if !valid.OK {
		return true, nil
	}
	// goose would create its table if it were missing.
	var ready bool
	if err := pool.QueryRow(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&ready); err != nil {
		return false, fmt.Errorf("look at our migrations: %w", err)
	}
	if !ready {
		return true, nil
	}
	db, ours, err := ourMigrations(pool)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if pending, err = ours.HasPending(ctx); err != nil {
		return false, fmt.Errorf("look at our migrations: %w", err)
	}
	return pending, nil
}

func riverMigrator(pool *pgxpool.Pool, logger *slog.Logger) (*rivermigrate.Migrator[pgx.Tx], error) {
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: schema, Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("prepare migrations of the queue: %w", err)
	}
	return m, nil
}

// ourMigrations gives goose's view of our migrations. The caller closes the
// database handle; the pool stays open.
func ourMigrations(pool *pgxpool.Pool) (*sql.DB, *goose.Provider, error) {
	db := stdlib.OpenDBFromPool(pool)
	p, err := goose.NewProvider(goose.DialectPostgres, db, migrations.FS, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read our migrations: %w", err), db.Close())
	}
	return db, p, nil
}
