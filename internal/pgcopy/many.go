package pgcopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// CopyMany carries several streams, one after the other, in a single message to
// either side: over a slow link a small table costs its bytes instead of its
// round trips. On the target all of them are one transaction, together with
// begin, which comes first. What it says of failures is what Copy says, but
// both connections are closed by one. With ErrRowsLost it gives what the
// streams before the first one at fault have moved.
func CopyMany(ctx context.Context, source, target *pgconn.PgConn, begin string, streams []Stream) ([]Moved, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Whoever waits for a server, or for room to write, is woken by a deadline
	// that has passed.
	stop := context.AfterFunc(ctx, func() {
		_ = source.Conn().SetDeadline(time.Unix(1, 0))
		_ = target.Conn().SetDeadline(time.Unix(1, 0))
	})
	defer stop()

	to := strings.Builder{}
	to.WriteString(begin)
	from := strings.Builder{}
	for _, s := range streams {
		from.WriteString(s.From + ";")
		to.WriteString(s.To + ";")
	}
	sent, landed := make([]Moved, len(streams)), make([]Moved, len(streams))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := receiveMany(ctx, target, landed); err != nil {
			cancel(&TargetError{err})
		}
	}()
	if err := sendMany(ctx, source, from.String(), target.Conn(), to.String(), streams, sent); err != nil {
		cancel(err)
	}
	<-done
	if err := context.Cause(ctx); err != nil {
		closeHard(ctx, source)
		closeHard(ctx, target)
		return sent, fmt.Errorf("copy %d tables: %w", len(streams), err)
	}
	for i := range streams {
		if sent[i].Rows != landed[i].Rows {
			return sent[:i], fmt.Errorf("%w: %d sent, %d arrived", ErrRowsLost, sent[i].Rows, landed[i].Rows)
		}
	}
	return sent, nil
}

// sendMany asks both sides and hands the source's rows on to the target.
func sendMany(ctx context.Context, source *pgconn.PgConn, from string, target net.Conn, to string, streams []Stream, sent []Moved) error {
	in := &copyIn{w: target}
	in.message(&pgproto3.Query{String: to})
	if err := in.flush(); err != nil {
		return &TargetError{err}
	}
	source.Frontend().SendQuery(&pgproto3.Query{String: from})
	if err := source.Frontend().Flush(); err != nil {
		return &SourceError{err}
	}
	at := -1
	var out io.WriteCloser
	for {
		// What ends this is the connection's deadline: to watch the context for
		// each row costs more than the row.
		msg, err := source.ReceiveMessage(context.WithoutCancel(ctx))
		if err != nil {
			return &SourceError{err}
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyOutResponse:
			at++
			s := streams[at]
			out = &counter{w: in, moved: s.Moved, n: &sent[at].Bytes}
			if s.Between != nil {
				out = s.Between(out)
			}
		case *pgproto3.CopyData:
			_, err = out.Write(msg.Data)
		case *pgproto3.CopyDone:
			err = out.Close()
		case *pgproto3.CommandComplete:
			sent[at].Rows = pgconn.NewCommandTag(string(msg.CommandTag)).RowsAffected()
		case *pgproto3.ErrorResponse:
			return &SourceError{pgconn.ErrorResponseToPgError(msg)}
		case *pgproto3.ReadyForQuery:
			if at != len(streams)-1 {
				return &SourceError{errors.New("the source sent fewer tables than it was asked for")}
			}
			if err := in.flush(); err != nil {
				return &TargetError{err}
			}
			return nil
		}
		if err != nil {
			return &TargetError{err}
		}
	}
}

// receiveMany reads the target's answers: one tag for each table.
func receiveMany(ctx context.Context, target *pgconn.PgConn, landed []Moved) error {
	at := 0
	for {
		msg, err := target.ReceiveMessage(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.CommandComplete:
			if tag := string(msg.CommandTag); strings.HasPrefix(tag, "COPY ") && at < len(landed) {
				landed[at].Rows = pgconn.NewCommandTag(tag).RowsAffected()
				at++
			}
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.ReadyForQuery:
			if at != len(landed) {
				return errors.New("the target took fewer tables than it was sent")
			}
			return nil
		}
	}
}

// copyIn writes messages of rows. It has a buffer of its own: the connection's
// frontend belongs to whoever reads.
type copyIn struct {
	w   io.Writer
	buf []byte
}

func (c *copyIn) message(m pgproto3.FrontendMessage) {
	// A statement of more than a gigabyte isn't made.
	c.buf, _ = m.Encode(c.buf)
}

// Write implements io.Writer: b becomes one message.
func (c *copyIn) Write(b []byte) (int, error) {
	c.message(&pgproto3.CopyData{Data: b})
	if len(c.buf) < chunkSize {
		return len(b), nil
	}
	return len(b), c.flush()
}

// Close ends one table.
func (c *copyIn) Close() error {
	c.message(&pgproto3.CopyDone{})
	return nil
}

func (c *copyIn) flush() error {
	_, err := c.w.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

// closeHard closes a connection whose state isn't known any more.
func closeHard(ctx context.Context, conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
