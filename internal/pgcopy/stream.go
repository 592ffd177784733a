// Package pgcopy moves rows between two Postgres servers as COPY streams that
// all see one exported snapshot of the source. It never decodes a value and
// never touches a disk.
package pgcopy

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgconn"
)

// Stream is one COPY from a source to a target.
type Stream struct {
	// From is a COPY .. TO STDOUT statement for the source.
	From string
	// To is a COPY .. FROM STDIN statement for the target, in the same format.
	// Statements before it in the same string belong to the same transaction.
	To string
	// Between, if set, is put between the two sides. Tests use it to damage a
	// stream; what it returns must pass all bytes on to w before Close returns.
	Between func(w io.Writer) io.WriteCloser
	// Moved, if set, is called with the number of bytes of each write.
	Moved func(bytes int)
}

// Moved is what one stream carried.
type Moved struct{ Rows, Bytes int64 }

// ErrRowsLost says that the two servers counted different numbers of rows. The
// target's transaction has been committed by then: its table can't be used.
var ErrRowsLost = errors.New("the target counted other rows than the source sent")

// SourceError and TargetError say which side of a stream failed first.
type (
	// SourceError is an error of the source's COPY.
	SourceError struct{ Err error }
	// TargetError is an error of the target's COPY.
	TargetError struct{ Err error }
)

// Error says what the source answered.
func (e *SourceError) Error() string { return "copy from the source: " + e.Err.Error() }

// Error says what the target answered.
func (e *TargetError) Error() string { return "copy to the target: " + e.Err.Error() }

// Unwrap gives the server's or the connection's error.
func (e *SourceError) Unwrap() error { return e.Err }

// Unwrap gives the server's or the connection's error.
func (e *TargetError) Unwrap() error { return e.Err }

// Copy runs one stream. When it fails for any reason, the target has committed
// none of its rows, with two exceptions: ErrRowsLost, and a connection that was
// lost while the target committed, which only the target can tell. What it
// gives with an error is what the source sent until then. Both connections can
// be used again unless they were cut.
func Copy(ctx context.Context, source, target *pgconn.PgConn, s Stream) (Moved, error) {
	p := newPipe()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A cancelled context ends the target's COPY only if its Read returns.
	stop := context.AfterFunc(ctx, func() { p.abort(context.Cause(ctx)) })
	defer stop()

	var bytes int64
	counted := &counter{w: p, moved: s.Moved, n: &bytes}
	var out io.WriteCloser = counted
	if s.Between != nil {
		out = s.Between(counted)
	}

	type side struct {
		tag pgconn.CommandTag
		err error
	}
	sent := make(chan side, 1)
	go func() {
		tag, err := source.CopyTo(ctx, out, s.From)
		if err == nil {
			err = out.Close() // the pipe's end included
		}
		if err != nil {
			p.abort(&SourceError{err})
		}
		sent <- side{tag, err}
	}()

	tag, err := target.CopyFrom(ctx, p, s.To)
	if err != nil {
		p.abort(&TargetError{err})
		cancel(err) // the source may be waiting in its server, not in the pipe
	}
	from := <-sent
	if err != nil || from.err != nil {
		return Moved{Rows: from.tag.RowsAffected(), Bytes: bytes}, p.reason(ctx, from.err, err)
	}
	if tag.RowsAffected() != from.tag.RowsAffected() {
		return Moved{}, fmt.Errorf("%w: %d sent, %d arrived", ErrRowsLost, from.tag.RowsAffected(), tag.RowsAffected())
	}
	return Moved{Rows: tag.RowsAffected(), Bytes: bytes}, nil
}

// reason says why a stream failed: the pipe remembers who ended it first, and
// what the other side saw is only the consequence.
func (p *pipe) reason(ctx context.Context, sourceErr, targetErr error) error {
	select {
	case <-p.done:
		var s *SourceError
		var t *TargetError
		if errors.As(p.err, &s) || errors.As(p.err, &t) {
			return p.err
		}
		return fmt.Errorf("copy interrupted: %w", p.err)
	default:
	}
	if sourceErr != nil {
		return &SourceError{sourceErr}
	}
	if targetErr != nil {
		return &TargetError{targetErr}
	}
	return context.Cause(ctx)
}

// counter counts bytes on their way to the target.
type counter struct {
	w     io.WriteCloser
	moved func(int)
	n     *int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	*c.n += int64(n)
	if c.moved != nil {
		c.moved(n)
	}
	return n, err
}

func (c *counter) Close() error { return c.w.Close() }
