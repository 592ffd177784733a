package mask

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Field is one column of a COPY stream, in the stream's order.
type Field struct {
	Column Column
	// Masker makes the stand-ins; nil passes the column on untouched.
	Masker *Masker
	// By names an earlier column of the stream that says whom the row is about,
	// for maskers that depend on it. What counts is its value before masking.
	By string
}

// Count is what happened to one masked column. An array counts by its elements.
type Count struct {
	Column string
	Class  Class
	// Values were masked, Nulls were NULL and have stayed so.
	Values, Nulls int64
	// Same came out as they went in, though their class should not let them:
	// some do by chance, in small domains. Empty text, zero and infinity carry
	// nothing and don't count, nor does what was a stand-in already, such as
	// stars.
	Same int64
	// DistinctIn, DistinctOut and DistinctSame are how many different values
	// came in, went out, and did both: exactly up to a few hundred, and within
	// one or two percent beyond. Of Same ones no more than 1000 are told apart.
	DistinctIn, DistinctOut, DistinctSame int64
}

// flushAt is how much output is gathered before it is written.
const flushAt = 64 << 10

// Rewriter masks the rows of a COPY stream on their way to w. Chunks may cut
// the stream anywhere. Columns without a masker pass in pieces; memory holds
// the longest masked field and little more. After an error it writes nothing:
// no value that could not be masked gets through.
type Rewriter struct {
	w       io.Writer
	fields  []Field
	stops   []stop // the columns that are looked at
	reader  reader
	out     []byte
	held    []byte // the beginning of a field, or of a number, that a chunk has cut
	err     error
	closed  bool
	scratch []byte
}

// reader is the part that knows a format. It consumes a chunk.
type reader interface {
	read(r *Rewriter, p []byte) error
	// ended is an error if the stream must not end here.
	ended(r *Rewriter) error
}

// stop is a column that is masked, or that tells the entity of others.
type stop struct {
	column int
	cell   *cell // nil if it is only remembered
	entity *[]byte
	as     Column // what the entity is decoded as
}

// cell masks the fields of one column.
type cell struct {
	column      Column // of a value
	array       bool
	masker      *Masker
	entity      *[]byte
	format      Format
	canon, mask []byte
	tally       Tally
}

// NewRewriter makes a Rewriter for a stream with these columns.
func NewRewriter(w io.Writer, format Format, fields []Field) (*Rewriter, error) {
	r := &Rewriter{w: w, fields: fields}
	switch format {
	case TextFormat:
		r.reader = &textReader{last: len(fields) - 1}
	case BinaryFormat:
		r.reader = &binaryReader{}
	default:
		return nil, errors.New("mask rows: no such format")
	}
	entities := map[string]*[]byte{}
	for _, f := range fields {
		if f.By != "" && f.Masker != nil {
			entities[f.By] = new([]byte)
		}
	}
	seen := map[string]bool{}
	for i, f := range fields {
		s := stop{column: i, entity: entities[f.Column.Name], as: f.Column}
		if f.Masker != nil {
			if f.By != "" && !seen[f.By] {
				return nil, f.Column.errorf("there is no column %s before it in the stream", f.By)
			}
			c, err := newCell(f, format)
			if err != nil {
				return nil, err
			}
			c.entity = entities[f.By]
			s.cell = c
		}
		if s.entity != nil && f.Column.Elem != nil {
			return nil, f.Column.errorf("an array tells no entity")
		}
		if s.cell != nil || s.entity != nil {
			r.stops = append(r.stops, s)
		}
		seen[f.Column.Name] = true
	}
	return r, nil
}

func newCell(f Field, format Format) (*cell, error) {
	v := f.Column.value()
	if f.Masker.Traits().Kinds&v.Kind == 0 {
		return nil, v.errorf("class %s takes %s, not %s", f.Masker.Class(), f.Masker.Traits().Kinds, v.Kind)
	}
	if f.By != "" && v.Unique && f.Masker.entityLossy {
		return nil, v.errorf("class %s by %s may make two values equal, and the column is unique", f.Masker.Class(), f.By)
	}
	if format == BinaryFormat && v.Kind == Other && !f.Masker.Null() {
		return nil, v.errorf("its type can be masked in the text format only")
	}
	return &cell{
		column: v, array: f.Column.Elem != nil, masker: f.Masker, format: format,
		tally: Tally{count: Count{Column: f.Column.Name, Class: f.Masker.Class()}},
	}, nil
}

// Write masks the rows in p, as far as they are whole.
func (r *Rewriter) Write(p []byte) (int, error) {
	if r.closed && r.err == nil {
		r.err = errors.New("mask rows: the stream has ended")
	}
	if r.err != nil {
		return 0, r.err
	}
	if err := r.reader.read(r, p); err != nil {
		r.err = fmt.Errorf("mask rows: %w", err)
		return 0, r.err
	}
	return len(p), nil
}

// Close writes what is left and closes what it writes to, if that can be
// closed. A stream that ends within a row is an error.
func (r *Rewriter) Close() error {
	if r.closed {
		return r.err
	}
	r.closed = true
	if r.err == nil {
		if err := r.reader.ended(r); err != nil {
			r.err = fmt.Errorf("mask rows: %w", err)
		} else {
			r.err = r.flush()
		}
	}
	if r.err != nil {
		return r.err
	}
	if c, ok := r.w.(io.Closer); ok {
		r.err = c.Close()
	}
	return r.err
}

// Counts are those of the masked columns, in the stream's order.
func (r *Rewriter) Counts() []Count {
	var out []Count
	for _, s := range r.stops {
		if s.cell != nil {
			out = append(out, s.cell.tally.Count())
		}
	}
	return out
}

// Tallies are those of the masked columns, in the stream's order. Where a table
// comes in parts, the tallies of each are merged once the part has landed: a
// part that is copied again has a new Rewriter.
func (r *Rewriter) Tallies() []*Tally {
	var out []*Tally
	for _, s := range r.stops {
		if s.cell != nil {
			out = append(out, s.cell.tally.clone())
		}
	}
	return out
}

// pass lets bytes through.
func (r *Rewriter) pass(p []byte) error {
	r.out = append(r.out, p...)
	if len(r.out) < flushAt {
		return nil
	}
	return r.flush()
}

func (r *Rewriter) flush() error {
	if len(r.out) == 0 {
		return nil
	}
	_, err := r.w.Write(r.out)
	r.out = r.out[:0]
	return err
}

// remember keeps a field that tells whom the row is about.
func (s *stop) remember(field []byte, format Format) error {
	if s.entity == nil {
		return nil
	}
	v, err := s.as.decode((*s.entity)[:0], field, format)
	if err != nil {
		return s.as.errorf("%w", err)
	}
	*s.entity = v
	return nil
}

// null notes a field that is NULL.
func (s *stop) null() {
	if s.entity != nil {
		*s.entity = (*s.entity)[:0]
	}
	if s.cell != nil {
		s.cell.tally.count.Nulls++
	}
}

// gone reports whether every value of the column becomes NULL.
func (s *stop) gone() bool { return s.cell != nil && s.cell.masker.Null() }

func (c *cell) append(dst, field []byte) ([]byte, error) {
	var err error
	if c.array {
		dst, err = array(dst, field, c.format, c.one)
	} else {
		dst, err = c.one(dst, field)
	}
	if err != nil {
		return dst, c.column.errorf("%w", err)
	}
	return dst, nil
}

// one masks one value.
func (c *cell) one(dst, value []byte) ([]byte, error) {
	var err error
	if c.canon, err = c.column.decode(c.canon[:0], value, c.format); err != nil {
		return dst, err
	}
	var entity []byte
	if c.entity != nil {
		entity = *c.entity
	}
	c.mask = c.masker.Mask(c.mask[:0], c.canon, entity)
	c.tally.saw(c.canon, c.mask)
	if bytes.Equal(c.canon, c.mask) {
		chance := c.masker.Chance(c.canon)
		if len(entity) > 0 {
			chance = max(chance, c.masker.entityChance)
		}
		if chance < 1 {
			c.tally.sawSame(c.canon, chance)
		}
	}
	return c.column.encode(dst, c.mask, c.format)
}

// bare reports whether a value carries nothing that could be masked.
func bare(kind Kind, v []byte) bool {
	switch kind {
	case Moment:
		return len(v) == 8 && (moment(v) == forever || moment(v) == never)
	case Int, Numeric, Float:
		return len(bytes.Trim(v, "-0.")) == 0 || special(v)
	case Text:
		for _, b := range v {
			if letter(b) || digit(b) || b >= 0x80 {
				return false
			}
		}
		return true
	case Bool, UUID, Bytes, IP, MAC, Enum, JSON, XML, HStore, Other:
	}
	return len(v) == 0
}
