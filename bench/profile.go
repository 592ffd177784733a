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
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pglocal"
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
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var seen [2]*activity
	var errs [2]error
	var g sync.WaitGroup
	for i, c := range []*pglocal.Cluster{b.source, b.target} {
		seen[i] = &activity{began: time.Now(), statements: map[string]*statement{}, ticks: map[int]int64{}}
		g.Go(func() { errs[i] = seen[i].watch(watching, c.URL("postgres")) })
	}
	s, err := b.measure(ctx, database, b.ours(), far)
	stop()
	g.Wait()
	if err := cmp.Or(err, errs[0], errs[1]); err != nil {
		return err
	}
	if s.Failed != "" {
		return fmt.Errorf("the sync failed: %s", s.Failed)
	}
	fmt.Fprintf(w, "\n%.2f s, far %t, load before %.2f; CPU: client %.2f s, source %.2f s, target %.2f s: %.0f %% of the cores\n",
		s.Wall.Seconds(), far, s.Load, s.CPU.Seconds(), s.Source.Seconds(), s.Target.Seconds(), 100*s.busy())
	for _, p := range s.Report.Phases {
		fmt.Fprintf(w, "  phase %-10s %7.2f s\n", p.Phase, p.Seconds)
	}
	for _, t := range s.Report.LargestTables() {
		fmt.Fprintf(w, "  table %-24s %7.2f s %9d rows %6d MB\n", t.Table, t.Seconds, t.Rows, t.Bytes>>20)
	}
	for i, side := range []string{"source", "target"} {
		fmt.Fprintf(w, "  on the %s, seconds of sessions, and of the processor (from - to; what the sessions waited for):\n", side)
		seen[i].tell(w)
	}
	return nil
}

// busy is how much of all cores the run used.
func (s sample) busy() float64 {
	return (s.CPU + s.Source + s.Target).Seconds() / s.Wall.Seconds() / float64(runtime.NumCPU())
}

// activity is what a server's sessions were seen doing.
type activity struct {
	began      time.Time
	statements map[string]*statement
	ticks      map[int]int64 // processor time by process, as it was at the last look
}

// statement is the time that sessions spent on statements that begin alike.
type statement struct {
	spent, cpu  time.Duration
	first, last time.Duration // since the beginning
	waits       map[string]time.Duration
}

// lookEvery is how often the sessions are looked at.
const lookEvery = 50 * time.Millisecond

// watch looks at the server's sessions until the context ends. Each look
// counts for the time since the one before it.
func (a *activity) watch(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	looks := time.NewTicker(lookEvery)
	defer looks.Stop()
	before := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-looks.C:
		}
		rows, err := conn.Query(ctx, `SELECT pid, backend_type, left(query, 300), coalesce(wait_event_type || ':' || wait_event, 'CPU')
			FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'active'
				AND backend_type IN ('client backend', 'parallel worker', 'autovacuum worker')`)
		if err != nil {
			return ended(ctx, err)
		}
		now := time.Now()
		var pid int
		var kind, query, wait string
		_, err = pgx.ForEachRow(rows, []any{&pid, &kind, &query, &wait}, func() error {
			a.add(label(kind, query), wait, now.Sub(before), now.Sub(a.began)).cpu += a.used(pid)
			return nil
		})
		if err != nil {
			return ended(ctx, err)
		}
		before = now
	}
}

// ended drops the error of a query that the end of watching cut off.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// used is the processor time of a process since the last look at it. It tells
// what a statement costs on a machine that has other things to do, too; what a
// process used before it was first seen, or after it was last, is missing.
func (a *activity) used(pid int) time.Duration {
	now := stat(pid, false)
	before, known := a.ticks[pid]
	a.ticks[pid] = now
	if !known {
		before = now
	}
	return time.Duration(now-before) * tick
}

func (a *activity) add(label, wait string, d, at time.Duration) *statement {
	s := a.statements[label]
	if s == nil {
		s = &statement{first: at - d, waits: map[string]time.Duration{}}
		a.statements[label] = s
	}
	s.spent += d
	s.waits[wait] += d
	s.last = at
	return s
}

// label is how a statement begins, without its line breaks.
func label(kind, query string) string {
	const most = 90
	text := strings.Join(strings.Fields(query), " ")
	if rest, ok := strings.CutPrefix(text, "INSERT INTO neontwin.ledger VALUES ("); ok {
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
