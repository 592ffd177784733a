package mask

import (
	"encoding/binary"
	"errors"
	"math"
)

// binarySignature begins a stream in COPY's binary format; flags and the
// length of an extension of the header follow it.
const binarySignature = "PGCOPY\n\xff\r\n\x00"

const binaryHead = len(binarySignature) + 8

// binaryReader reads rows in COPY's binary format.
type binaryReader struct {
	begun, done bool
	open        bool // within a row
	column      int
	stop        int
	skipping    uint64 // bytes to pass
	size        uint32 // of the field that is gathered, if gathering
	gathering   bool
}

func (b *binaryReader) read(r *Rewriter, p []byte) error {
	for len(p) > 0 {
		n, err := b.whole(r, p)
		if n == 0 && err == nil {
			n, err = b.step(r, p)
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// whole consumes the fields of p that are not cut, and passes runs of those that
// nobody looks at in one piece. What it leaves is for step.
func (b *binaryReader) whole(r *Rewriter, p []byte) (int, error) {
	if !b.begun || b.done || b.gathering || b.skipping > 0 || len(r.held) > 0 {
		return 0, nil
	}
	passed, at := 0, 0 // passed or masked are the bytes before the first, consumed those before the second
	for len(p)-at >= 4 {
		if !b.open {
			if int(binary.BigEndian.Uint16(p[at:])) != len(r.fields) || len(r.fields) == 0 {
				break
			}
			b.column, b.stop, b.open = 0, 0, true
			at += 2
			continue
		}
		size := binary.BigEndian.Uint32(p[at:])
		null := size == math.MaxUint32
		end := at + 4
		if !null {
			if size > math.MaxInt32 || int(size) > len(p)-end {
				break
			}
			end += int(size)
		}
		stopped := b.stop < len(r.stops) && r.stops[b.stop].column == b.column
		if stopped && !null {
			if err := r.pass(p[passed:at]); err != nil {
				return 0, err
			}
			if err := b.field(r, p[at+4:end]); err != nil {
				return 0, err
			}
			passed, at = end, end
			continue
		}
		if stopped {
			r.stops[b.stop].null()
			b.stop++
		}
		b.next(r)
		at = end
	}
	return at, r.pass(p[passed:at])
}

// step consumes something of p.
func (b *binaryReader) step(r *Rewriter, p []byte) (int, error) {
	switch {
	case b.skipping > 0:
		n := int(min(b.skipping, uint64(len(p)))) //nolint:gosec // at most len(p)
		b.skipping -= uint64(n)
		return n, r.pass(p[:n])
	case b.done:
		return 0, errors.New("the stream goes on after its end")
	case b.gathering:
		return b.gather(r, p, int(b.size), b.field)
	case !b.begun:
		return b.gather(r, p, binaryHead, b.head)
	case b.open:
		return b.gather(r, p, 4, b.length)
	}
	return b.gather(r, p, 2, b.row)
}

// gather calls f with size bytes, once they are there, and gives how many of
// them were in p.
func (b *binaryReader) gather(r *Rewriter, p []byte, size int, f func(*Rewriter, []byte) error) (int, error) {
	missing := size - len(r.held)
	if missing > len(p) {
		r.held = append(r.held, p...)
		return len(p), nil
	}
	piece := p[:missing]
	if len(r.held) > 0 {
		r.held = append(r.held, piece...)
		piece = r.held
	}
	err := f(r, piece)
	r.held = r.held[:0]
	return missing, err
}

func (b *binaryReader) head(r *Rewriter, p []byte) error {
	if string(p[:len(binarySignature)]) != binarySignature {
		return errors.New("the stream is not in COPY's binary format")
	}
	if flags := binary.BigEndian.Uint32(p[len(binarySignature):]); flags != 0 {
		return errors.New("the stream has flags that nobody knows")
	}
	b.begun = true
	b.skipping = uint64(binary.BigEndian.Uint32(p[binaryHead-4:]))
	return r.pass(p)
}

func (b *binaryReader) row(r *Rewriter, p []byte) error {
	switch n := binary.BigEndian.Uint16(p); {
	case n == math.MaxUint16:
		b.done = true
	case int(n) != len(r.fields):
		return errColumns
	default:
		b.column, b.stop = 0, 0
		b.open = len(r.fields) > 0
	}
	return r.pass(p)
}

func (b *binaryReader) length(r *Rewriter, p []byte) error {
	size := binary.BigEndian.Uint32(p)
	stopped := b.stop < len(r.stops) && r.stops[b.stop].column == b.column
	switch {
	case size == math.MaxUint32:
		if stopped {
			r.stops[b.stop].null()
			b.stop++
		}
		b.next(r)
		return r.pass(p)
	case size > math.MaxInt32:
		return errValue
	case stopped && size > 0:
		b.size, b.gathering = size, true
		return nil
	case stopped:
		return b.field(r, nil)
	}
	b.skipping = uint64(size)
	b.next(r)
	return r.pass(p)
}

// next goes to the next column.
func (b *binaryReader) next(r *Rewriter) {
	b.column++
	b.open = b.column < len(r.fields)
}

// field takes a field that is whole.
func (b *binaryReader) field(r *Rewriter, p []byte) error {
	b.gathering = false
	s := &r.stops[b.stop]
	b.stop++
	b.next(r)
	if err := s.remember(p, BinaryFormat); err != nil {
		return err
	}
	at := len(r.out)
	switch {
	case s.gone():
		s.cell.drop(p)
		r.out = append(r.out, 0xff, 0xff, 0xff, 0xff)
		return r.pass(nil)
	case s.cell == nil:
		r.out = append(append(r.out, 0, 0, 0, 0), p...)
	default:
		out, err := s.cell.append(append(r.out, 0, 0, 0, 0), p)
		if err != nil {
			return err
		}
		r.out = out
	}
	putSize(r.out[at:])
	return r.pass(nil)
}

func (b *binaryReader) ended(r *Rewriter) error {
	if !b.done || b.skipping > 0 || len(r.held) > 0 {
		return errors.New("the stream ends before its end mark")
	}
	return nil
}
