package mask

import (
	"bytes"
	"errors"
)

var errColumns = errors.New("a row does not have the columns that it should have")

// textReader reads rows in COPY's text format: fields end with tabs, rows with
// newlines, and neither stands within a field. That makes a field that nobody
// looks at quick to skip.
type textReader struct {
	last   int // the last column
	column int // the one that comes next
	stop   int // the next stop of the row
	within bool
}

func (t *textReader) read(r *Rewriter, p []byte) error {
	for len(p) > 0 {
		var n int
		var err error
		switch {
		case t.stop == len(r.stops):
			n, err = t.rest(r, p)
		case t.column < r.stops[t.stop].column:
			n, err = t.skip(r, p)
		default:
			n, err = t.field(r, p)
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// rest passes what follows the last stop of a row.
func (t *textReader) rest(r *Rewriter, p []byte) (int, error) {
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		t.within = true
		return len(p), r.pass(p)
	}
	t.row()
	return end + 1, r.pass(p[:end+1])
}

// row begins the next row.
func (t *textReader) row() { t.column, t.stop, t.within = 0, 0, false }

// skip passes the columns before the next stop.
func (t *textReader) skip(r *Rewriter, p []byte) (int, error) {
	n := 0
	for t.column < r.stops[t.stop].column {
		tab := bytes.IndexByte(p[n:], '\t')
		if tab < 0 {
			n = len(p)
			break
		}
		n += tab + 1
		t.column++
	}
	if bytes.IndexByte(p[:n], '\n') >= 0 {
		return 0, errColumns
	}
	t.within = true
	return n, r.pass(p[:n])
}

// field takes the field of a stop, once it is whole.
func (t *textReader) field(r *Rewriter, p []byte) (int, error) {
	s := &r.stops[t.stop]
	ends, other := byte('\t'), byte('\n')
	if s.column == t.last {
		ends, other = other, ends
	}
	t.within = true
	end := bytes.IndexByte(p, ends)
	if end < 0 {
		if bytes.IndexByte(p, other) >= 0 {
			return 0, errColumns
		}
		r.held = append(r.held, p...)
		return len(p), nil
	}
	field := p[:end]
	if len(r.held) > 0 {
		r.held = append(r.held, field...)
		field = r.held
	}
	if bytes.IndexByte(field, other) >= 0 {
		return 0, errColumns
	}
	if err := t.put(r, s, field); err != nil {
		return 0, err
	}
	r.held = r.held[:0]
	r.out = append(r.out, ends)
	t.column++
	t.stop++
	if ends == '\n' {
		t.row()
	}
	return end + 1, r.pass(nil)
}

func (t *textReader) put(r *Rewriter, s *stop, field []byte) error {
	if string(field) == `\N` {
		s.null()
		r.out = append(r.out, field...)
		return nil
	}
	plain := field
	if bytes.IndexByte(field, '\\') >= 0 {
		r.scratch = unescape(r.scratch[:0], field)
		plain = r.scratch
	}
	if err := s.remember(plain, TextFormat); err != nil {
		return err
	}
	switch {
	case s.cell == nil:
		r.out = append(r.out, field...)
	case s.gone():
		s.cell.drop(plain)
		r.out = append(r.out, `\N`...)
	default:
		start := len(r.out)
		out, err := s.cell.append(r.out, plain)
		if err != nil {
			return err
		}
		r.out = escape(out, start)
	}
	return nil
}

func (t *textReader) ended(r *Rewriter) error {
	if t.within || len(r.held) > 0 {
		return errors.New("the stream ends within a row")
	}
	return nil
}

// unescape appends a field of COPY's text format as it is without escapes.
func unescape(dst, field []byte) []byte {
	for {
		i := bytes.IndexByte(field, '\\')
		if i < 0 || i+1 >= len(field) {
			return append(dst, field...)
		}
		dst = append(dst, field[:i]...)
		b := field[i+1]
		switch b {
		case 'b':
			b = '\b'
		case 'f':
			b = '\f'
		case 'n':
			b = '\n'
		case 'r':
			b = '\r'
		case 't':
			b = '\t'
		case 'v':
			b = '\v'
		}
		dst, field = append(dst, b), field[i+2:]
	}
}

// escape escapes what stands in out from start on.
func escape(out []byte, start int) []byte {
	extra := 0
	for _, b := range out[start:] {
		switch b {
		case '\\', '\t', '\n', '\r':
			extra++
		}
	}
	if extra == 0 {
		return out
	}
	from := len(out)
	for range extra {
		out = append(out, 0)
	}
	// From the end on, so that nothing is overwritten before it is read.
	to := len(out)
	for from > start {
		from--
		to--
		switch b := out[from]; b {
		case '\\':
			out[to] = b
		case '\t':
			out[to] = 't'
		case '\n':
			out[to] = 'n'
		case '\r':
			out[to] = 'r'
		default:
			out[to] = b
			continue
		}
		to--
		out[to] = '\\'
	}
	return out
}
