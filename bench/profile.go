package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"
)

// profile runs ours alone and tells where its time goes: by phase and table as
// its report has them, and by statement as both servers see them.
func (b *bench) profile(ctx context.Context, w io.Writer) error {
	shop, err := b.database(ctx, "shop", shopSQL)
	if err != nil {
		return err
	}
	if _, err := b.describe(ctx, shop); err != nil { // warms the cache
		return err
	}
	for _, far := range []bool{false, true} {
		for range map[bool]int{false: b.runs, true: b.far}[far] {
			if err := b.profileOnce(ctx, w, shop, far); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) profileOnce(ctx context.Context, w io.Writer, database string, far bool) error {
	s, seen, err := b.watched(ctx, database, b.ours(), far)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%.2f s, far %t, load before %.2f; CPU: client %.2f s, source %.2f s, target %.2f s: %.0f %% of the cores\n",
		s.Wall.Seconds(), far, s.Load, s.CPU.Seconds(), s.Source.Seconds(), s.Target.Seconds(), 100*s.busy())
	for _, p := range phaseUses(s, seen) {
		fmt.Fprintf(w, "  phase %-10s %7.2f s, the servers' CPU %6.2f s\n", p.Phase, p.Seconds, p.CPU)
	}
	for _, t := range s.Report.LargestTables() {
		fmt.Fprintf(w, "  table %-24s %7.2f s %9d rows %6d MB\n", t.Table, t.Seconds, t.Rows, t.Bytes>>20)
	}
	for i, side := range sides {
		fmt.Fprintf(w, "  on the %s, seconds of sessions, and of the processor (from - to; what the sessions waited for):\n", side)
		seen[i].tell(w)
	}
	return nil
}

// busy is how much of all cores the run used.
func (s sample) busy() float64 {
	return s.used().Seconds() / s.Wall.Seconds() / float64(runtime.NumCPU())
}

// used is the processor time of all three.
func (s sample) used() time.Duration { return s.CPU + s.Source + s.Target }

// label is how a statement begins, without its line breaks.
func label(kind, query string) string {
	const most = 90
	text := strings.Join(strings.Fields(query), " ")
	if rest, ok := strings.CutPrefix(text, insideLedger); ok {
		text = rest // what follows is the work
	}
	if kind != "client backend" {
		text = "(" + kind + ") " + text
	}
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}

// tell lists what took longest.
func (a *activity) tell(w io.Writer) {
	labels := slices.SortedFunc(maps.Keys(a.statements), func(x, y string) int {
		return cmp.Compare(a.statements[y].spent, a.statements[x].spent)
	})
	var spent, cpu time.Duration
	for _, s := range a.statements {
		spent, cpu = spent+s.spent, cpu+s.cpu
	}
	fmt.Fprintf(w, "  %7.2f s, CPU %6.2f s in all\n", spent.Seconds(), cpu.Seconds())
	const most = 40
	for _, l := range labels[:min(len(labels), most)] {
		s := a.statements[l]
		waits := slices.SortedFunc(maps.Keys(s.waits), func(x, y string) int { return cmp.Compare(s.waits[y], s.waits[x]) })
		var words []string
		for _, wait := range waits[:min(3, len(waits))] {
			words = append(words, fmt.Sprintf("%s %.0f %%", wait, 100*float64(s.waits[wait])/float64(s.spent)))
		}
		fmt.Fprintf(w, "  %7.2f s, CPU %6.2f s (%5.1f - %5.1f) %-90s %s\n", s.spent.Seconds(), s.cpu.Seconds(), s.first.Seconds(), s.last.Seconds(), l, strings.Join(words, ", "))
	}
}
