// Package store holds all SQL on our own tables. It decides nothing: which
// change follows from which is told by its callers, mostly package jobs.
//
// Times come from the database's clock, so that two machines never disagree
// about a lease. Whoever changes more than one table locks in this order: the
// repository's row, that of its file, the Twin's row (of several the one with
// the lowest id), its runs, its target's, their places to report to.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("not found")

// DBTX is a pool, a connection or a transaction.
type DBTX interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Store reads and writes our tables through one DBTX.
type Store struct{ db DBTX }

// New gives a store on a pool, a connection or a transaction.
func New(db DBTX) Store { return Store{db: db} }

// exec runs a statement and gives the number of rows that it changed.
func (s Store) exec(ctx context.Context, doing, sql string, args ...any) (int64, error) {
	tag, err := s.db.Exec(ctx, sql, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return tag.RowsAffected(), nil
}

// collect reads all rows of a query. The rows of a query that failed report
// its error here.
func collect[T any](rows pgx.Rows, doing string, scan pgx.RowToFunc[T]) ([]T, error) {
	all, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return all, nil
}

// ids runs a query of one bigint column.
func (s Store) ids(ctx context.Context, doing, sql string, args ...any) ([]int64, error) {
	rows, _ := s.db.Query(ctx, sql, args...)
	return collect(rows, doing, pgx.RowTo[int64])
}

// maybe runs a query of at most one row; found tells whether there was one.
func (s Store) maybe(ctx context.Context, doing, sql string, args []any, into ...any) (found bool, err error) {
	err = s.db.QueryRow(ctx, sql, args...).Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	return true, nil
}

// moment turns a nullable column into a time whose zero means null.
func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
