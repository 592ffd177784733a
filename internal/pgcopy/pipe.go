package pgcopy

import (
	"errors"
	"io"
	"sync"
)

const (
	// chunkSize is what travels between the two sides at once. The source
	// side writes one row at a time and the target side sends one message for
	// each read: without chunks between them, every row costs two system calls.
	chunkSize = 128 << 10
	// chunksInFlight bounds the memory of a pipe, and is its back-pressure.
	chunksInFlight = 8
)

// errPipeClosed is what the writing side sees once the reading side has gone
// without saying why.
var errPipeClosed = errors.New("the other side of the copy has ended")

// pipe carries bytes from one writer to one reader in chunks. Either side can
// abort it with an error, which the other one then sees. Its end is explicit:
// a writer that dies without Close leaves the reader with an error, never with
// an end of file, because the server would commit what it has as if it were all.
type pipe struct {
	chunks chan []byte // full ones, on their way
	free   chan []byte // empty ones, on their way back
	cur    []byte      // writer: being filled
	rest   []byte      // reader: not read yet
	chunk  []byte      // reader: the chunk that rest is the end of

	once sync.Once
	done chan struct{} // closed by abort
	err  error         // set before done is closed
}

func newPipe() *pipe {
	return &pipe{
		chunks: make(chan []byte, chunksInFlight),
		free:   make(chan []byte, chunksInFlight+2),
		done:   make(chan struct{}),
	}
}

// Write implements io.Writer for the source side.
func (p *pipe) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if p.cur == nil {
			select {
			case p.cur = <-p.free:
			default:
				p.cur = make([]byte, 0, chunkSize)
			}
		}
		k := min(len(b), cap(p.cur)-len(p.cur))
		p.cur = append(p.cur, b[:k]...)
		b = b[k:]
		if len(p.cur) == cap(p.cur) {
			if err := p.flush(); err != nil {
				return n - len(b), err
			}
		}
	}
	return n, nil
}

func (p *pipe) flush() error {
	// An aborted pipe takes nothing more, even while there is room in it.
	select {
	case <-p.done:
		return p.err
	default:
	}
	select {
	case p.chunks <- p.cur:
		p.cur = nil
		return nil
	case <-p.done:
		return p.err
	}
}

// Close says that all has been written. Only now does the reader see the end.
func (p *pipe) Close() error {
	if len(p.cur) > 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	close(p.chunks)
	return nil
}

// Read implements io.Reader for the target side.
func (p *pipe) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.chunk != nil {
			p.free <- p.chunk[:0] // never blocks: it has room for all chunks
			p.chunk = nil
		}
		select {
		case <-p.done:
			return 0, p.err
		default:
		}
		select {
		case c, ok := <-p.chunks:
			if !ok {
				return 0, io.EOF
			}
			p.chunk, p.rest = c, c
		case <-p.done:
			return 0, p.err
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// abort ends the pipe for both sides. The first error stays.
func (p *pipe) abort(err error) {
	if err == nil {
		err = errPipeClosed
	}
	p.once.Do(func() {
		p.err = err
		close(p.done)
	})
}
