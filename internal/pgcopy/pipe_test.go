package pgcopy

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
	"time"
)

func TestPipeCarriesEveryByte(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 3*chunkSize*chunksInFlight+17)
	for i := range want {
		want[i] = byte(rnd.Uint32())
	}
	p := newPipe()
	go func() {
		for rest := want; len(rest) > 0; {
			n := min(1+rnd.IntN(3*chunkSize/2), len(rest))
			if _, err := p.Write(rest[:n]); err != nil {
				p.abort(err)
				return
			}
			rest = rest[n:]
		}
		if err := p.Close(); err != nil {
			p.abort(err)
		}
	}()
	got, err := io.ReadAll(iotest.HalfReader(p))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("read %d bytes that differ from the %d written", len(got), len(want))
	}
}

func TestPipeAbortReachesBothSides(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		act  func(p *pipe) error
	}{
		{"a waiting reader", func(p *pipe) error { _, err := p.Read(make([]byte, 1)); return err }},
		{"a waiting writer", func(p *pipe) error {
			_, err := p.Write(make([]byte, 2*chunkSize*(chunksInFlight+2)))
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPipe()
			result := make(chan error, 1)
			go func() { result <- c.act(p) }()
			p.abort(boom)
			p.abort(errors.New("later"))
			select {
			case err := <-result:
				if !errors.Is(err, boom) {
					t.Errorf("got %v, want the first abort's error", err)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("still waiting after the abort")
			}
		})
	}
}

// A writer that ends without Close must not look like the end of the data: the
// target would commit the part that it has.
func TestPipeWithoutCloseNeverEnds(t *testing.T) {
	t.Parallel()
	p := newPipe()
	if _, err := p.Write([]byte("half of the rows")); err != nil {
		t.Fatal(err)
	}
	p.abort(nil)
	if _, err := io.ReadAll(p); !errors.Is(err, errPipeClosed) {
		t.Errorf("reading gave %v, want an error", err)
	}
}
