package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/neontwin/neontwin/internal/twin"
)

// display shows progress on standard error: one bar for each phase on a
// terminal, plain lines elsewhere.
type display struct {
	w        io.Writer
	terminal bool
	now      twin.Progress
	told     time.Time // when a plain line was last written
}

// lineEvery bounds the plain lines of one long phase.
const lineEvery = 10 * time.Second

func newDisplay(w io.Writer) *display {
	f, ok := w.(*os.File)
	return &display{w: w, terminal: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
}

// progress is called by one goroutine at a time.
func (d *display) progress(p twin.Progress) {
	if p.Phase != d.now.Phase {
		d.finish()
		d.told = time.Time{}
	}
	d.now = p
	switch {
	case d.terminal:
		fmt.Fprintf(d.w, "\r\x1b[K%s", d.bar())
	case time.Since(d.told) >= lineEvery:
		d.told = time.Now()
		fmt.Fprintf(d.w, "%-9s %3d %%%s\n", p.Phase, p.Percent(), detail(p))
	}
}

// finish closes the line of a phase that is over.
func (d *display) finish() {
	if d.now.Phase == "" || !d.terminal {
		return
	}
	took := twin.HumanDuration(time.Since(d.now.PhaseStarted))
	fmt.Fprintf(d.w, "\r\x1b[K  %-9s %s%s\n", d.now.Phase, took, detail(d.now))
}

// end closes the display.
func (d *display) end(published bool) {
	if published {
		d.finish()
	} else if d.terminal && d.now.Phase != "" {
		fmt.Fprint(d.w, "\r\x1b[K")
	}
}

func (d *display) bar() string {
	const width = 24
	percent := d.now.Percent()
	full := width * percent / 100
	return fmt.Sprintf("  %-9s [%s%s] %3d %%%s", d.now.Phase, strings.Repeat("#", full), strings.Repeat(".", width-full), percent, detail(d.now))
}

// detail says what a phase has done, where there is something to count.
func detail(p twin.Progress) string {
	switch p.Phase {
	case twin.Load:
		s := fmt.Sprintf("  %d of %d tables, %d rows, %s", p.TablesDone, p.TablesTotal, p.RowsDone, twin.HumanBytes(p.BytesDone))
		if took := time.Since(p.PhaseStarted); took > time.Second {
			s += fmt.Sprintf(", %s/s", twin.HumanBytes(int64(float64(p.BytesDone)/took.Seconds())))
		}
		return s
	case twin.Index:
		return fmt.Sprintf("  %d of %d indexes and keys", p.IndexesDone, p.IndexesTotal)
	case twin.Select:
		if p.RowsDone > 0 {
			return fmt.Sprintf("  %s found", twin.HumanPlural(p.RowsDone, "row"))
		}
	case twin.Preflight, twin.Prepare, twin.Schema, twin.Relate, twin.Finish, twin.Verify, twin.Publish:
	}
	return ""
}
