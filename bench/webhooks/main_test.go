package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestParse(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"-each 10ms", "-rounds 0", "-clients 0", "more", "-unknown"} {
		if _, err := parse(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	m := func(done int, slow time.Duration) measured {
		return measured{Done: done, Took: time.Second, Times: []time.Duration{time.Millisecond, slow}}
	}
	good := results{
		Bare: []measured{m(100, 1), m(1000, 1), m(1100, 1)}, Ours: []measured{m(10, 1), m(700, 1), m(800, 1)},
		Half: m(350, 249*time.Millisecond), Killed: killed{Answered: 5, There: 5},
	}
	if text := good.markdown(options{}); strings.Count(text, "| reached |") != 3 || !strings.Contains(text, "0.70") {
		t.Errorf("all bars are reached, but the report says\n%s", text)
	}
	bad := good
	bad.Ours, bad.Half, bad.Killed = []measured{m(10, 1), m(10, 1), m(900, 1)}, m(5, 250*time.Millisecond), killed{Answered: 5, There: 4, Lost: 1}
	if text := bad.markdown(options{}); strings.Count(text, "**not reached**") != 3 {
		t.Errorf("no bar is reached, but the report says\n%s", text)
	}
}

// The whole of it, for a second each.
func TestMeasurement(t *testing.T) {
	t.Parallel()
	pgtest.Long(t)
	dir, err := pglocal.Scratch("neontwin-webhooks-test-") // the server's user passes through
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"-each", "1s", "-rounds", "1", "-clients", "4", "-cache", dir}, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	if !strings.Contains(out.String(), "| deliveries that were answered and lost when the server was killed | 0 | 0 of ") {
		t.Errorf("the report says\n%s", out.String())
	}
}
