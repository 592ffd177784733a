package pgtest

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Canaries are values that chance can't produce, and the search for them in
// whatever a program leaves behind. Each has a label, such as the column that
// it stands in. They are made first and searched for afterwards.
type Canaries struct {
	first   [1 << 16 / 64]uint64 // the first two bytes of needles
	needles map[uint32][]needle  // by the first four
}

type needle struct {
	bytes []byte
	label string
}

const (
	// canaryLength is that of a text, of 5 random bits a letter; shownLength is
	// how much of it counts as found.
	canaryLength = 20
	shownLength  = 12
)

// Text makes a word of twenty letters and digits. Twelve of them in a row are
// enough to find it.
func (c *Canaries) Text(label string) string {
	b := random(canaryLength)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz234567"[b[i]%32]
	}
	for i := range canaryLength - shownLength + 1 {
		c.add(label, b[i:i+shownLength])
	}
	return string(b)
}

// Bytes makes n bytes, found as they are and in hexadecimal digits: any sixteen
// of them that begin at a multiple of 64 are enough.
func (c *Canaries) Bytes(label string, n int) []byte {
	b := random(n)
	for i := 0; i == 0 || i+16 <= n; i += 64 {
		piece := b[i:min(i+16, n)]
		c.add(label, piece)
		c.add(label, hex.AppendEncode(nil, piece))
	}
	return b
}

// UUID makes a uuid, found as its 16 bytes and as text, with dashes or without.
func (c *Canaries) UUID(label string) string {
	text := hex.EncodeToString(c.Bytes(label, 16))
	text = strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
	c.add(label, []byte(text))
	return text
}

// Address makes an IPv6 address, found as its 16 bytes and as text.
func (c *Canaries) Address(label string) string {
	b := random(16)
	for i := range b {
		b[i] |= 0x11 // no zeros that its text would leave out
	}
	c.add(label, b)
	digits := hex.EncodeToString(b)
	var parts []string
	for group := range slices.Chunk([]byte(digits), 4) {
		parts = append(parts, string(group))
	}
	text := strings.Join(parts, ":")
	c.add(label, []byte(text))
	return text
}

// Integer makes a number of more than 60 bits, found as text and as the eight
// bytes of a bigint, in memory's order and in the network's.
func (c *Canaries) Integer(label string) int64 {
	n := int64(binary.BigEndian.Uint64(random(8))>>2 | 1<<61)
	c.add(label, big.NewInt(n).Append(nil, 10))
	c.eight(label, n)
	return n
}

// Numeric makes a number of 24 digits, found as text and as the groups of four
// digits that PostgreSQL keeps.
func (c *Canaries) Numeric(label string) string {
	var text, kept, sent []byte
	for i, b := 0, random(12); i < len(b); i += 2 {
		group := 1000 + binary.BigEndian.Uint16(b[i:])%9000
		text = big.NewInt(int64(group)).Append(text, 10)
		kept = binary.LittleEndian.AppendUint16(kept, group)
		sent = binary.BigEndian.AppendUint16(sent, group)
	}
	c.add(label, text)
	c.add(label, kept)
	c.add(label, sent)
	return string(text)
}

// Moment makes a time of the last fifty years with microseconds, found as text
// and as the eight bytes of a timestamp.
func (c *Canaries) Moment(label string) string {
	const fifty = 50 * 365 * 24 * int64(time.Hour/time.Microsecond)
	since := time.Date(1975, 1, 1, 0, 0, 0, 0, time.UTC)
	us := int64(binary.BigEndian.Uint64(random(8))>>1) % fifty
	at := time.UnixMicro(since.UnixMicro() + us/10*10 + 1).UTC()
	c.eight(label, at.UnixMicro()-time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	text := at.Format("2006-01-02 15:04:05.000000")
	c.add(label, []byte(text))
	return text
}

func (c *Canaries) eight(label string, n int64) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		c.add(label, order.AppendUint64(nil, uint64(n)))
	}
}

func (c *Canaries) add(label string, b []byte) {
	if c.needles == nil {
		c.needles = map[uint32][]needle{}
	}
	at := binary.LittleEndian.Uint16(b)
	c.first[at/64] |= 1 << (at % 64)
	key := binary.LittleEndian.Uint32(b)
	c.needles[key] = append(c.needles[key], needle{bytes.Clone(b), label})
}

// Labels gives all labels, sorted.
func (c *Canaries) Labels() []string {
	all := map[string]bool{}
	for _, list := range c.needles {
		for _, n := range list {
			all[n.label] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// Search gives the labels of the canaries that are in data, sorted.
func (c *Canaries) Search(data []byte) []string {
	found := map[string]bool{}
	for i := 0; i+8 <= len(data); i++ { // none is shorter
		at := binary.LittleEndian.Uint16(data[i:])
		if c.first[at/64]&(1<<(at%64)) == 0 {
			continue
		}
		for _, n := range c.needles[binary.LittleEndian.Uint32(data[i:])] {
			if bytes.HasPrefix(data[i:], n.bytes) {
				found[n.label] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// SearchFiles searches all files under a folder. The server whose files they
// are may run; what is gone meanwhile is passed over.
func (c *Canaries) SearchFiles(t testing.TB, folder string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if found := c.Search(data); len(found) > 0 {
			out[path] = found
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Tables searches every row of every table, materialized view and sequence of
// the database at url, whoever made them, and gives the labels found.
func (c *Canaries) Tables(t testing.TB, url string) []string {
	t.Helper()
	conn := Connect(t, url)
	if _, err := conn.Exec(t.Context(), "set timezone to 'UTC'"); err != nil {
		t.Fatal(err)
	}
	const list = `select array_agg(format('%s from %I.%I canary', case c.relkind when 'S' then 'last_value' else 'canary' end, n.nspname, c.relname)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'm', 'S') and n.nspname <> 'information_schema'`
	var relations []string
	if err := conn.QueryRow(t.Context(), list).Scan(&relations); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, r := range relations {
		rows, err := conn.Query(t.Context(), "select ("+strings.Replace(r, " ", ")::text ", 1))
		for err == nil && rows.Next() {
			var text string
			if err = rows.Scan(&text); err == nil {
				for _, label := range c.Search([]byte(text)) {
					found[label] = true
				}
			}
		}
		if err == nil {
			err = rows.Err()
		}
		if err != nil {
			t.Fatalf("read %s: %v", r, err)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
