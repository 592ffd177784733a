package pgtools

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxString bounds one string of an archive. PostgreSQL itself holds no value
// above 1 GB; a definition of this size is no definition.
const maxString = 256 << 20

// formatCustom is the number of pg_dump -Fc in an archive's head.
const formatCustom = 1

// ReadArchive reads the head and the table of contents of an archive in
// pg_dump's custom format, versions 1.13 to 1.16 (pg_dump 11 to 18). It
// allocates in proportion to what it has read, whatever lengths the input
// claims. What follows the table of contents is not read.
func ReadArchive(r io.Reader) (*Archive, error) {
	ar := &archiveReader{r: bufio.NewReader(r)}
	a := ar.head()
	n := ar.int()
	if ar.err == nil && n < 0 {
		ar.fail("a negative number of entries")
	}
	for i := 0; i < n && ar.err == nil; i++ {
		e := ar.entry()
		if ar.err != nil {
			ar.err = fmt.Errorf("entry %d: %w", i+1, ar.err)
			break
		}
		a.Entries = append(a.Entries, e)
	}
	if ar.err != nil {
		return nil, fmt.Errorf("read archive: %w", ar.err)
	}
	return a, nil
}

// archiveReader reads the archive's elements. After the first error it gives
// zeros, so that a sequence of reads needs one look at err.
type archiveReader struct {
	r                *bufio.Reader
	minor            int // of the format's version 1.x
	intSize, offSize int
	err              error
}

func (r *archiveReader) fail(what string) {
	if r.err == nil {
		r.err = errors.New(what)
	}
}

func (r *archiveReader) byte() int {
	if r.err != nil {
		return 0
	}
	b, err := r.r.ReadByte()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	r.err = err
	return int(b)
}

// head reads magic, version, sizes, format, compression, time, names.
func (r *archiveReader) head() *Archive {
	for _, c := range []byte("PGDMP") {
		if b := r.byte(); r.err == nil && b != int(c) {
			r.fail("not a pg_dump archive")
		}
	}
	major, minor, _ := r.byte(), r.byte(), r.byte()
	if r.err == nil && (major != 1 || minor < 13 || minor > 16) {
		r.fail(fmt.Sprintf("unknown format version %d.%d; 1.13 to 1.16 (pg_dump 11 to 18) are known", major, minor))
	}
	r.minor = minor
	r.intSize, r.offSize = r.byte(), r.byte()
	// Numbers are C ints of four bytes everywhere that PostgreSQL runs.
	if r.err == nil && (r.intSize < 1 || r.intSize > 8 || r.offSize < 1 || r.offSize > 8) {
		r.fail(fmt.Sprintf("sizes of %d and %d bytes for numbers", r.intSize, r.offSize))
	}
	if f := r.byte(); r.err == nil && f != formatCustom {
		r.fail(fmt.Sprintf("format %d is not the custom one", f))
	}
	if r.minor >= 15 {
		r.byte() // compression algorithm
	} else {
		r.int() // compression level
	}
	for range 7 { // when it was made, as a struct tm
		r.int()
	}
	return &Archive{Database: r.str(), ServerVersion: r.str(), ToolVersion: r.str()}
}

// entry reads one entry, with all that we don't keep.
func (r *archiveReader) entry() Entry {
	var e Entry
	if e.DumpID = r.int(); r.err == nil && e.DumpID <= 0 {
		r.fail(fmt.Sprintf("number %d out of range", e.DumpID))
	}
	r.int() // whether rows come with it
	e.TableOID, e.OID = r.oid(), r.oid()
	e.Tag, e.Desc = r.str(), r.str()
	if e.Section = Section(r.int()); r.err == nil && (e.Section < SectionNone || e.Section > SectionPost) {
		r.fail(fmt.Sprintf("unknown section %d", e.Section))
	}
	e.Defn, e.DropStmt = r.str(), r.str()
	r.str() // COPY statement
	e.Namespace = r.str()
	r.str() // tablespace
	if r.minor >= 14 {
		r.str() // table access method
	}
	if r.minor >= 16 {
		r.int() // kind of relation
	}
	e.Owner = r.str()
	r.str() // WITH OIDS, long gone
	for r.err == nil {
		s, ok := r.optional()
		if !ok {
			break
		}
		id, err := strconv.Atoi(s)
		if err != nil {
			r.fail("a dependency that is no number")
		}
		e.Dependencies = append(e.Dependencies, id)
	}
	r.byte() // whether the offset of the rows is known
	for range r.offSize {
		r.byte()
	}
	return e
}

// int reads a sign and an absolute value, least significant byte first.
func (r *archiveReader) int() int {
	negative := r.byte() != 0
	var v uint64
	for i := range r.intSize {
		v |= uint64(r.byte()) << (8 * i) //nolint:gosec // a byte
	}
	if r.err == nil && v > 1<<31-1 {
		r.fail("a number out of range")
	}
	if r.err != nil {
		return 0
	}
	if negative {
		return -int(v)
	}
	return int(v)
}

// oid reads an OID, written as a string.
func (r *archiveReader) oid() uint32 {
	s := r.str()
	if r.err != nil {
		return 0
	}
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		r.fail("an OID that is no number")
	}
	return uint32(v)
}

// str reads a string; null is empty.
func (r *archiveReader) str() string {
	s, _ := r.optional()
	return s
}

// optional reads a string, false for null.
func (r *archiveReader) optional() (string, bool) {
	n := r.int()
	if r.err != nil || n < 0 {
		return "", false
	}
	if n > maxString {
		r.fail("a string of more than 256 MB")
		return "", false
	}
	// The buffer grows with what arrives: a length alone costs nothing.
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r.r, int64(n)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.err = err
		return "", false
	}
	return b.String(), true
}
