package pgcopy

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// eachAtOnce is how many statements are under way. Their answers must fit into
// the buffers of the connection: nobody reads while they are sent.
const eachAtOnce = 100

// ExecEach runs statements one after the other, each in a transaction of its
// own, without waiting for one before the next is sent. One that fails does not
// keep the others back; its error stands at its place. What ends them all, a
// lost connection say, is err, and the connection is closed then.
func ExecEach(ctx context.Context, conn *pgconn.PgConn, statements []string) (failed []error, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Conn().SetDeadline(time.Unix(1, 0)) })
	defer stop()
	failed = make([]error, len(statements))
	for first := 0; first < len(statements); first += eachAtOnce {
		batch := statements[first:min(first+eachAtOnce, len(statements))]
		if err := execBatch(ctx, conn, batch, failed[first:]); err != nil {
			closeHard(ctx, conn)
			if ctx.Err() != nil {
				err = errors.Join(context.Cause(ctx), err)
			}
			return nil, err
		}
	}
	return failed, nil
}

func execBatch(ctx context.Context, conn *pgconn.PgConn, batch []string, failed []error) error {
	for _, sql := range batch {
		conn.Frontend().SendQuery(&pgproto3.Query{String: sql})
	}
	if err := conn.Frontend().Flush(); err != nil {
		return err
	}
	for at := 0; at < len(batch); {
		// What ends this is the connection's deadline.
		msg, err := conn.ReceiveMessage(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.ErrorResponse:
			failed[at] = pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.ReadyForQuery:
			at++
		}
	}
	return nil
}
