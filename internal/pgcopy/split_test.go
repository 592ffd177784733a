package pgcopy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func message(kind byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(b, body...)
}

func TestSplitterKeepsEveryByte(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	var in, rows, others []byte
	for range 200 {
		body := make([]byte, rnd.IntN(200))
		if rnd.IntN(20) == 0 {
			body = make([]byte, maxCopyData-1+rnd.IntN(3*maxCopyData))
		}
		for i := range body {
			body[i] = byte(rnd.Uint32())
		}
		if rnd.IntN(4) == 0 {
			in = append(in, message('D', body)...)
			others = append(others, message('D', body)...)
		} else {
			in = append(in, message(copyData, body)...)
			rows = append(rows, body...)
		}
	}
	for name, r := range map[string]io.Reader{
		"at once":      bytes.NewReader(in),
		"one by one":   iotest.OneByteReader(bytes.NewReader(in)),
		"with timeout": iotest.TimeoutReader(iotest.HalfReader(bytes.NewReader(in))),
	} {
		out, err := readAll(&splitter{r: bufio.NewReaderSize(r, 4096)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var gotRows, gotOthers []byte
		for len(out) > 0 {
			length := int(binary.BigEndian.Uint32(out[1:])) + 1
			if out[0] == copyData {
				if length > maxCopyData+headSize {
					t.Fatalf("%s: a message of %d bytes", name, length)
				}
				gotRows = append(gotRows, out[headSize:length]...)
			} else {
				gotOthers = append(gotOthers, out[:length]...)
			}
			out = out[length:]
		}
		if !bytes.Equal(gotRows, rows) || !bytes.Equal(gotOthers, others) {
			t.Errorf("%s: %d bytes of rows and %d of others differ from %d and %d", name, len(gotRows), len(gotOthers), len(rows), len(others))
		}
	}
}

// readAll reads on after a time-out, as a connection does.
func readAll(r io.Reader) ([]byte, error) {
	var out []byte
	b := make([]byte, 1000)
	for {
		n, err := r.Read(b)
		out = append(out, b[:n]...)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil && !errors.Is(err, iotest.ErrTimeout):
			return out, err
		}
	}
}

func TestSplitterTellsACutMessage(t *testing.T) {
	t.Parallel()
	in := message(copyData, make([]byte, 100))
	if _, err := readAll(&splitter{r: bufio.NewReader(bytes.NewReader(in[:3]))}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want an unexpected end", err)
	}
}
