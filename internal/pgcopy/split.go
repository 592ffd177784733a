package pgcopy

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	// headSize is what every message of a server begins with: its kind, and
	// its length, which counts itself but not the kind.
	headSize = 5
	// copyData is the kind of the messages that carry rows.
	copyData = 'd'
	// maxCopyData is the most of a row that is held in memory at once.
	maxCopyData = 64 << 10
)

// shortMessages builds a connection's frontend so that it never sees a long
// CopyData message. A server sends one message for each row, and the frontend
// holds a message whole: a row of 1 GB would take as much of our memory, on
// every connection, until it is closed.
func shortMessages(r io.Reader, w io.Writer) *pgproto3.Frontend {
	return pgproto3.NewFrontend(&splitter{r: bufio.NewReaderSize(r, maxCopyData)}, w)
}

// splitter hands the messages of a server on as they are, but for CopyData
// messages longer than maxCopyData: those it hands on as several.
type splitter struct {
	r     *bufio.Reader
	head  [headSize]byte
	start []byte // what of the head is still to be handed on
	body  int    // then so much of the message
	more  int    // then so much as CopyData messages of their own
}

// Read implements io.Reader. It waits only while it has nothing to give.
func (s *splitter) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		switch {
		case len(s.start) > 0:
			k := copy(b[n:], s.start)
			s.start = s.start[k:]
			n += k
		case s.body > 0:
			if n > 0 && s.r.Buffered() == 0 {
				return n, nil
			}
			k, err := s.r.Read(b[n:min(len(b), n+s.body)])
			s.body -= k
			n += k
			if err != nil {
				return n, err
			}
		case s.more > 0:
			s.begin(min(s.more, maxCopyData))
		default:
			if n > 0 && s.r.Buffered() < headSize {
				return n, nil
			}
			// A time-out in the middle leaves the head where it is.
			head, err := s.r.Peek(headSize)
			if err != nil {
				if len(head) > 0 && err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return n, err
			}
			s.next(head)
		}
	}
	return n, nil
}

// next begins a message of the server.
func (s *splitter) next(head []byte) {
	length := int(binary.BigEndian.Uint32(head[1:])) - 4
	copy(s.head[:], head)
	_, _ = s.r.Discard(headSize) // was peeked
	if s.head[0] == copyData && length > maxCopyData {
		s.more = length
		return
	}
	s.start, s.body = s.head[:], max(length, 0)
}

// begin begins one of the messages that a long one is cut into.
func (s *splitter) begin(length int) {
	s.more -= length
	s.head[0] = copyData
	binary.BigEndian.PutUint32(s.head[1:], uint32(length)+4) //nolint:gosec // at most maxCopyData
	s.start, s.body = s.head[:], length
}
