package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// results are all that was measured.
type results struct {
	Bare, Ours []measured
	Half       measured
	Killed     killed
}

// The bars.
const (
	wantShare = 0.7
	wantP99   = 250 * time.Millisecond
)

func (r results) markdown(o options) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	verdict := func(ok bool) string {
		if ok {
			return "reached"
		}
		return "**not reached**"
	}
	share, p99 := median(r.Ours)/median(r.Bare), r.Half.quantile(0.99)
	p("# Benchmark of webhooks\n")
	p("How many deliveries the service takes, beside River's bare `InsertTx` on the same database. `make bench/webhooks` measures and writes this page; don't edit it.\n")
	p("| What was to be reached | Bar | Measured | |")
	p("|---|---|---|---|")
	p("| deliveries a second, as a share of bare inserts | %.2f or more | %.2f | %s |", wantShare, share, verdict(share >= wantShare))
	p("| 99th percentile of the answer at half of the maximum | below %d ms | %.1f ms | %s |", wantP99.Milliseconds(), ms(p99), verdict(p99 < wantP99))
	p("| deliveries that were answered and lost when the server was killed | 0 | %d of %d | %s |\n", r.Killed.Lost, r.Killed.Answered, verdict(r.Killed.Lost == 0))
	p("| Round | A second | Median | 99th percentile |")
	p("|---|---|---|---|")
	row := func(name string, m measured) {
		p("| %s | %.0f | %.2f ms | %.2f ms |", name, m.rate(), ms(m.quantile(0.5)), ms(m.quantile(0.99)))
	}
	for i := range r.Bare {
		row("bare InsertTx", r.Bare[i])
		row("deliveries", r.Ours[i])
	}
	row(fmt.Sprintf("deliveries, %.0f a second asked for", r.Half.Asked), r.Half)
	p("\nA delivery is a signed push of %.1f kB over HTTP. Its signature is checked, it is read, and stored whole beside its job in one transaction; a bare insert sends nothing, reads nothing and stores some hundred bytes. Both have %d connections to the database and %d under way at once; each round takes %s after a second that is not counted. The server runs in the role `web`: nobody works on the jobs meanwhile. At half of the maximum a time counts from when the delivery was due.\n",
		float64(len(push(newGUID())))/1000, connections, o.clients, o.each)
	p("%s, %s, %d processors, which sender, server and database share. The database waits for its disk at every commit.", time.Now().UTC().Format(time.DateOnly), machine(), runtime.NumCPU())
	return b.String()
}

// machine is the processor's name.
func machine() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				return strings.Trim(name, " \t:\n")
			}
		}
	}
	return runtime.GOARCH
}
