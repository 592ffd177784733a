package mask_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"io"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/mask"
)

var seed = maphash.MakeSeed()

func fingerprint(b []byte) uint64 { return maphash.Bytes(seed, b) }

// stream is a COPY stream of rows of one field each; nil is NULL.
func stream(format mask.Format, fields ...[]byte) []byte {
	var rows [][][]byte
	for _, f := range fields {
		rows = append(rows, [][]byte{f})
	}
	return streamRows(format, rows)
}

var escaper = strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

func streamRows(format mask.Format, rows [][][]byte) []byte {
	if format == mask.TextFormat {
		var out []byte
		for _, row := range rows {
			for i, f := range row {
				if i > 0 {
					out = append(out, '\t')
				}
				if f == nil {
					out = append(out, `\N`...)
				} else {
					out = append(out, escaper.Replace(string(f))...)
				}
			}
			out = append(out, '\n')
		}
		return out
	}
	out := append([]byte("PGCOPY\n\xff\r\n\x00"), 0, 0, 0, 0, 0, 0, 0, 3, 'e', 'x', 't')
	for _, row := range rows {
		out = binary.BigEndian.AppendUint16(out, uint16(len(row)))
		for _, f := range row {
			if f == nil {
				out = append(out, 0xff, 0xff, 0xff, 0xff)
			} else {
				out = append(binary.BigEndian.AppendUint32(out, uint32(len(f))), f...)
			}
		}
	}
	return append(out, 0xff, 0xff)
}

// unstream gives the field of a stream of one row of one field.
func unstream(format mask.Format, b []byte) []byte {
	if format == mask.TextFormat {
		field := strings.TrimSuffix(string(b), "\n")
		if field == `\N` {
			return nil
		}
		return append([]byte{}, strings.NewReplacer(`\\`, "\\", `\t`, "\t", `\n`, "\n", `\r`, "\r").Replace(field)...)
	}
	b = b[22+2:]
	if binary.BigEndian.Uint32(b) == 1<<32-1 {
		return nil
	}
	return append([]byte{}, b[4:len(b)-2]...)
}

// fields are four columns, of which the second tells the entity, and it and
// the fourth are masked.
func fields(t testing.TB) []mask.Field {
	t.Helper()
	id := column(mask.Int, oidInt4)
	id.Name = "id"
	ids, err := mask.New(mask.Rule{Class: mask.Integer}, id, secret(t))
	if err != nil {
		t.Fatal(err)
	}
	mail, err := mask.New(mask.Rule{Class: mask.FreeText}, text(0), secret(t))
	if err != nil {
		t.Fatal(err)
	}
	born := column(mask.Moment, oidDate)
	shift, err := mask.New(mask.Rule{Class: mask.DateShift}, born, secret(t))
	if err != nil {
		t.Fatal(err)
	}
	return []mask.Field{
		{Column: text(0)},
		{Column: id, Masker: ids},
		{Column: text(0)},
		{Column: text(0), Masker: mail},
		{Column: born, Masker: shift, By: "id"},
		{Column: text(0)},
	}
}

func sample(t testing.TB, format mask.Format) []byte {
	t.Helper()
	born := column(mask.Moment, oidDate)
	id := column(mask.Int, oidInt4)
	var rows [][][]byte
	for i := range 40 {
		key, err := id.Encode([]byte(fmt.Sprint(i/2+1)), format)
		if err != nil {
			t.Fatal(err)
		}
		day, err := born.Decode([]byte(fmt.Sprintf("2000-01-%02d", 1+i%28)), mask.TextFormat)
		if err != nil {
			t.Fatal(err)
		}
		if day, err = born.Encode(day, format); err != nil {
			t.Fatal(err)
		}
		row := [][]byte{[]byte("a\tb\\\n"), key, []byte(strings.Repeat("x", i*7)), []byte("Ada\t\\" + fmt.Sprint(i)), day, {}}
		if i%5 == 0 {
			row[1], row[3], row[2] = nil, nil, nil
		}
		rows = append(rows, row)
	}
	return streamRows(format, rows)
}

func rewrite(t testing.TB, format mask.Format, in []byte, cut func(i int) int) ([]byte, []mask.Count, error) {
	t.Helper()
	var out bytes.Buffer
	r, err := mask.NewRewriter(&out, format, fields(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; len(in) > 0; i++ {
		n := min(max(cut(i), 1), len(in))
		chunk := bytes.Clone(in[:n])
		if _, err := r.Write(chunk); err != nil {
			return out.Bytes(), r.Counts(), err
		}
		clear(chunk) // a writer must not keep it
		in = in[n:]
	}
	return out.Bytes(), r.Counts(), r.Close()
}

// Wherever chunks cut the stream, the result is the same.
func TestChunksCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, format := range []mask.Format{mask.TextFormat, mask.BinaryFormat} {
		in := sample(t, format)
		want, counts, err := rewrite(t, format, in, func(int) int { return len(in) })
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(want, in) || bytes.Contains(want, []byte("Ada")) {
			t.Fatalf("not masked: %q", want)
		}
		if len(counts) != 3 || counts[0].Values != 32 || counts[0].Nulls != 8 || counts[2].Values != 40 || counts[1].Same != 0 {
			t.Errorf("counts are %+v", counts)
		}
		for size := 1; size < 60; size++ {
			got, again, err := rewrite(t, format, in, func(int) int { return size })
			if err != nil || !bytes.Equal(got, want) || again[1] != counts[1] {
				t.Fatalf("format %d in chunks of %d: %v", format, size, err)
			}
		}
	}
}

func FuzzRewriter(f *testing.F) {
	f.Add([]byte("a\t1\tb\tc\t2000-01-01\td\n"), byte(3), false)
	f.Add(sample(f, mask.BinaryFormat), byte(9), true)
	f.Fuzz(func(t *testing.T, in []byte, size byte, isBinary bool) {
		format := mask.TextFormat
		if isBinary {
			format = mask.BinaryFormat
		}
		whole, _, err1 := rewrite(t, format, in, func(int) int { return len(in) })
		pieces, _, err2 := rewrite(t, format, in, func(int) int { return int(size) })
		if (err1 == nil) != (err2 == nil) {
			t.Fatalf("whole: %v, in pieces: %v", err1, err2)
		}
		if err1 == nil && !bytes.Equal(whole, pieces) {
			t.Fatalf("whole %q, in pieces %q", whole, pieces)
		}
	})
}

// What is not whole or not as declared is an error, and nothing of the row's
// masked fields has been written.
func TestBrokenStreams(t *testing.T) {
	t.Parallel()
	good := "a\t1\tb\tcanary\t2000-01-01\td\n"
	for name, in := range map[string]string{
		"fewer columns":        "a\t1\tb\n",
		"fewer columns, early": "a\n" + good,
		"no integer":           "a\tcanary\tb\tc\t2000-01-01\td\n",
		"no date":              "a\t1\tb\tcanary\tcanary\td\n",
		"ends in a row":        good + "a\t1\tb\tcanary",
		"ends after a field":   good + "a\t1\tb\tcanary\t2000-01-01\td",
	} {
		out, _, err := rewrite(t, mask.TextFormat, []byte(in), func(int) int { return 5 })
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if bytes.Contains(out, []byte("canary")) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: a value got through: %q, %v", name, out, err)
		}
	}
	binaryStream := sample(t, mask.BinaryFormat)
	for name, in := range map[string][]byte{
		"empty":      {},
		"text":       []byte(good),
		"cut":        binaryStream[:len(binaryStream)-2],
		"cut early":  binaryStream[:100],
		"goes on":    append(bytes.Clone(binaryStream), 0),
		"other rows": streamRows(mask.BinaryFormat, [][][]byte{{[]byte("x")}}),
	} {
		if _, _, err := rewrite(t, mask.BinaryFormat, in, func(int) int { return 7 }); err == nil {
			t.Errorf("binary, %s: no error", name)
		}
	}
}

// All dates of one entity move by the same.
func TestShiftIsConstantForAnEntity(t *testing.T) {
	t.Parallel()
	born := column(mask.Moment, oidDate)
	m, err := mask.New(mask.Rule{Class: mask.DateShift}, born, secret(t))
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, entity string) int64 {
		v, err := born.Decode([]byte(day), mask.TextFormat)
		if err != nil {
			t.Fatal(err)
		}
		return int64(binary.BigEndian.Uint64(m.Mask(nil, v, []byte(entity))))
	}
	const days = 86_400_000_000
	apart := map[int64]bool{}
	for i := range 50 {
		entity := fmt.Sprint(i)
		if at("2020-03-10", entity)-at("2020-03-01", entity) != 9*days {
			t.Errorf("entity %s: dates moved apart", entity)
		}
		apart[at("2020-03-01", entity)] = true
	}
	if len(apart) < 20 {
		t.Errorf("50 entities have %d shifts", len(apart))
	}
}

// The columns of one row agree: a full name is the first name and the last.
func TestNamesAgree(t *testing.T) {
	t.Parallel()
	make := func(class mask.Class) *mask.Masker {
		m, err := mask.New(mask.Rule{Class: class}, text(0), secret(t))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first, last := make(mask.FirstName).Mask(nil, []byte("Ada"), nil), make(mask.LastName).Mask(nil, []byte("LOVELACE"), nil)
	for in, want := range map[string]string{
		"Ada Lovelace":  string(first) + " " + string(last),
		"Lovelace, Ada": string(last) + ", " + string(first),
	} {
		if got := make(mask.FullName).Mask(nil, []byte(in), nil); string(got) != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}

// E-mail addresses that differ in case alone stay apart, and equal without case.
func TestCaseOfEmails(t *testing.T) {
	t.Parallel()
	m, err := mask.New(mask.Rule{Class: mask.Email}, text(0), secret(t))
	if err != nil {
		t.Fatal(err)
	}
	a, b := m.Mask(nil, []byte("ada@example.net"), nil), m.Mask(nil, []byte("Ada@Example.net"), nil)
	if bytes.Equal(a, b) || !bytes.EqualFold(a, b) {
		t.Errorf("they are %s and %s", a, b)
	}
}

func TestWordsAreFit(t *testing.T) {
	t.Parallel()
	for _, locale := range []string{"de", "en", "es", "fr", "it", "nl", "pt"} {
		lists, lorem := mask.Words(locale)
		for name, list := range lists {
			seen := map[string]bool{}
			for _, w := range list {
				if seen[w] {
					t.Errorf("%s.%s: %s is there twice", locale, name, w)
				}
				seen[w] = true
			}
			if least := map[string]int{"first": 60, "last": 60, "city": 40, "street": 20, "company": 10}[name]; len(list) < least {
				t.Errorf("%s.%s has %d words", locale, name, len(list))
			}
		}
		for n := 1; n < len(lorem); n++ {
			if len(lorem[n]) == 0 {
				t.Errorf("no word of free text has %d letters", n)
			}
		}
	}
}

func BenchmarkRewriter(b *testing.B) {
	for name, format := range map[string]mask.Format{"text": mask.TextFormat, "binary": mask.BinaryFormat} {
		in := sample(b, format)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				r, err := mask.NewRewriter(io.Discard, format, fields(b))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := r.Write(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
