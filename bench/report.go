package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/neontwin/neontwin/internal/twin"
)

// bar is what ours must reach: the measured figure is at most the limit.
type bar struct {
	what  string
	unit  string
	limit float64
	got   float64 // 0 where it could not be measured
	// against is whose time the figure is a share of; near is the same figure
	// without the relay. Either may be missing.
	against series
	near    float64
	// why says where the time goes, if neither of them does.
	why func() string
}

func (b bar) reached() bool { return b.got > 0 && b.got <= b.limit }

func (b bar) verdict() string {
	switch {
	case b.got == 0:
		return "not measured"
	case b.reached():
		return "reached"
	}
	return "**not reached**"
}

// bars holds the figures against what was set out to reach. Against several
// settings of one tool the fastest of them counts.
func (r *results) bars() []bar {
	ours := find(r.Near, oursName).wall()
	bars := []bar{
		{what: "the documented way, `" + documentedName + "`", unit: "of its time", limit: 0.50, against: fastest(r.Near, documentedName)},
		{what: "`pg_dump -Fd -j` with `pg_restore -j`, the faster of two", unit: "of its time", limit: 1.00, against: fastest(r.Near, parallelName, zippedName)},
		{what: "pgcopydb, the faster of two", unit: "of its time", limit: 0.85, against: fastest(r.Near, pgcopydbName, pgcopydb4Name)},
		{what: "our own time on loopback, with " + r.trip() + " to the target", unit: "of it", limit: 1.10, got: ratio(find(r.Far, oursName).wall(), r.Beside.wall()), why: r.farther},
		{what: "a schema of 1,000 objects at " + r.trip() + ", phase schema", unit: "s", limit: 1.0, got: find(r.Objects, oursName).phase(twin.Schema), near: r.ObjectsNear.phase(twin.Schema)},
		{what: "our own phase load, with ten columns masked", unit: "of it", limit: 1.10, got: r.maskedRatio(), why: r.masking},
		{what: "a value that a dictionary or a hash masks, the slowest class", unit: "ns", limit: 100, got: r.slowestQuick()},
		{what: "100 small tables at " + r.trip() + ", phase load", unit: "s", limit: 0.5, got: find(r.Small, oursName).phase(twin.Load)},
	}
	for i, b := range bars {
		if b.against.wall() > 0 {
			bars[i].got = ratio(ours, b.against.wall())
		}
	}
	return bars
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (r *results) trip() string {
	return fmt.Sprintf("%d ms of round trip", r.Machine.RoundTrip.Milliseconds())
}

// markdown is the page of figures. It is made whole each time, so nothing in
// it is written by hand.
func (r *results) markdown() string {
	var w strings.Builder
	m := r.Machine
	w.WriteString("# Benchmarks\n\nA sync against what people run instead. `make bench` measures and writes this page; don't edit it.\n\n## What was to be reached\n\n")
	rows := [][]string{{"Against", "At most", "Measured", ""}}
	missed := 0
	for _, b := range r.bars() {
		got := "-"
		if b.got > 0 {
			got = fmt.Sprintf("%.2f %s", b.got, b.unit)
		}
		if !b.reached() {
			missed++
		}
		rows = append(rows, []string{b.what, fmt.Sprintf("%.2f %s", b.limit, b.unit), got, b.verdict()})
	}
	table(&w, rows)
	if missed > 0 {
		fmt.Fprintf(&w, "\n%d of %d were not reached in this measurement.\n", missed, len(rows)-1)
	}
	fmt.Fprintf(&w, "\n## The database on loopback\n\nMedians of %s.\n\n", twin.HumanPlural(int64(m.Runs), "run"))
	table(&w, comparison(r.Near))
	r.ours(&w)
	r.where(&w)
	r.partial(&w)
	r.maskedPart(&w)
	r.valuesPart(&w)
	fmt.Fprintf(&w, "\n## With %s to the target\n\nMedians of %s. The source stays near.", r.trip(), twin.HumanPlural(int64(m.FarRuns), "run"))
	if n := len(r.Beside.good()); n > 0 {
		fmt.Fprintf(&w, " Ours ran %s over the relay, each after one on loopback: these took %s, and are what the bar is about.", twin.HumanPlural(int64(n), "time"), seconds(r.Beside.wall()))
	}
	w.WriteString("\n\n")
	table(&w, comparison(r.Far))
	r.small(&w)
	detectionPart(&w, r.Detected)
	r.conditions(&w)
	r.remarks(&w)
	return w.String()
}

// comparison is a row for each contender.
func comparison(all []series) [][]string {
	rows := [][]string{{"", "Wall", "From - to", "Ours / it", "CPU of the client", "CPU of the servers", "Memory", "On disk"}}
	ours := all[0].wall()
	for _, s := range all {
		good := s.good()
		if len(good) == 0 {
			rows = append(rows, []string{s.Name, s.why(), "", "", "", "", "", ""})
			continue
		}
		low, high, memory, staged := good[0].Wall, good[0].Wall, int64(0), int64(0)
		for _, g := range good {
			low, high = min(low, g.Wall), max(high, g.Wall)
			memory, staged = max(memory, g.Memory), max(staged, g.Staged)
		}
		rows = append(rows, []string{
			s.Name, seconds(s.wall()), fmt.Sprintf("%.1f - %.1f", low.Seconds(), high.Seconds()), fmt.Sprintf("%.2f", ratio(ours, s.wall())),
			seconds(s.median(func(s sample) float64 { return s.CPU.Seconds() })),
			seconds(s.median(func(s sample) float64 { return (s.Source + s.Target).Seconds() })),
			twin.HumanBytes(memory), twin.HumanBytes(staged),
		})
	}
	return rows
}

// why says why a contender has no figures.
func (s series) why() string {
	switch {
	case s.Missing != "":
		return "left out"
	case len(s.Samples) == 0:
		return "not measured"
	}
	return "failed"
}

// ours tells where a sync's time on loopback went.
func (r *results) ours(w *strings.Builder) {
	s := find(r.Near, oursName)
	if len(s.good()) == 0 {
		return
	}
	fmt.Fprintf(w, "\nOurs had the rows and indexes in after %.1f s, the foreign keys after %.1f s; then come sequences, statistics, counting every table on both sides, and publishing. Its phases:\n\n",
		s.through(twin.Index), s.through(twin.Relate))
	head, times := []string{}, []string{}
	for _, p := range s.good()[0].Report.Phases {
		if !slices.Contains(head, string(p.Phase)) {
			head, times = append(head, string(p.Phase)), append(times, seconds(s.phase(p.Phase)))
		}
	}
	table(w, [][]string{head, times})
	w.WriteString("\nThe tables of its first run, by size; their copies overlap:\n\n")
	rows := [][]string{{"Table", "Rows", "On the wire", "Copied in"}}
	for _, t := range s.good()[0].Report.LargestTables() {
		rows = append(rows, []string{"`" + t.Table + "`", fmt.Sprint(t.Rows), twin.HumanBytes(t.Bytes), seconds(t.Seconds)})
	}
	table(w, rows)
}

// partial is the page's part on copies of a part.
func (r *results) partial(w *strings.Builder) {
	ours := find(r.Partial, partialName)
	if len(ours.good()) == 0 {
		return
	}
	report := ours.good()[0].Report
	fmt.Fprintf(w, "\n## A part of the database\n\nThe orders of the last months with all that they need: %s rows of %d tables. Ours is told the orders alone and finds the rest; by hand a person has written a query for each table, with a recursive one for the circle of users and tenants. Medians of %s.\n\n",
		twin.HumanCount(report.Rows()), kept(report), twin.HumanPlural(int64(r.Machine.Runs), "run"))
	table(w, comparison(r.Partial))
	fmt.Fprintf(w, "\nOurs chose the rows in %s. Greenmask, which can subset too, was not measured.\n", seconds(ours.phase(twin.Select)))
}

// kept counts the tables of which something was kept.
func kept(r *twin.Report) (n int) {
	for _, t := range r.Tables {
		if t.Rows > 0 {
			n++
		}
	}
	return n
}

// small is the page's part on what is all round trips.
func (r *results) small(w *strings.Builder) {
	if len(r.Objects) == 0 && len(r.Small) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## Many small things, with %s to the target\n\n", r.trip())
	w.WriteString("A schema of 1,000 objects (10 schemas, 90 enums, 50 domains, 150 functions, 250 tables and their sequences, 100 views, 100 comments) without rows, and with 500 indexes and 250 foreign keys; and 100 tables of 200 rows. The phases are ours; the bars are on the phase schema of the first and the phase load of the second.\n\n")
	phases := []twin.Phase{twin.Schema, twin.Load, twin.Index, twin.Relate}
	rows := [][]string{{"", "", "Whole", "schema", "load", "index", "relate"}}
	for _, part := range []struct {
		what string
		all  []series
	}{{"1,000 objects", r.Objects}, {"100 small tables", r.Small}} {
		for _, s := range part.all {
			done := len(s.good()) > 0
			row := []string{part.what, s.Name, s.why()}
			if done {
				row[2] = seconds(s.wall())
			}
			for _, p := range phases {
				cell := ""
				if done && s.Name == oursName {
					cell = seconds(s.phase(p))
				}
				row = append(row, cell)
			}
			rows = append(rows, row)
		}
	}
	table(w, rows)
}

// conditions says what the figures are true of.
func (r *results) conditions(w *strings.Builder) {
	m := r.Machine
	w.WriteString("\n## How it was measured\n\n")
	fmt.Fprintf(w, "- %s, version %s, Linux %s, %s of %s, %s of memory. Source, target and client share them: what one of them uses, the others lack.\n",
		m.Date.Format("2006-01-02 15:04 UTC"), m.Version, m.System, twin.HumanPlural(int64(m.Cores), "core"), m.CPU, twin.HumanBytes(m.Memory))
	low, high := r.loads()
	fmt.Fprintf(w, "- The load average before the runs was %.2f to %.2f. What is above about one is somebody else's work or the run before.\n", low, high)
	fmt.Fprintf(w, "- PostgreSQL %s on both sides, default settings but for %s; commits are durable.\n", m.Postgres, strings.Join(m.Settings, ", "))
	if m.Pgcopydb != "" {
		fmt.Fprintf(w, "- pgcopydb %s, as Debian packages it; newer ones were not measured.\n", m.Pgcopydb)
	}
	fmt.Fprintf(w, "- The database: %s, %d rows, %d tables, %d indexes with the partitioned ones, %d foreign keys with the circle between tenants and users. [bench/sql/shop.sql](../bench/sql/shop.sql) makes it.\n",
		twin.HumanBytes(m.Bytes), m.Rows, m.Tables, m.Indexes, m.ForeignKeys)
	jobs := "its default of jobs"
	if m.Jobs > 0 {
		jobs = twin.HumanPlural(int64(m.Jobs), "job")
	}
	fmt.Fprintf(w, "- `twin sync` ran with %s, published by swap and verified what it published. One run came first that does not count. Each contender then ran in turn, each round beginning with another one, on an empty target after a checkpoint. Rows of every table, indexes and foreign keys were counted afterwards; a copy that lacks some counts as failed.\n", jobs)
	fmt.Fprintf(w, "- Memory is the most that the client's processes held at once, shared pages counted once, looked at every %d ms. CPU is theirs, children included; the servers' is apart. On disk is what was staged beside the servers.\n", sampleEvery.Milliseconds())
	w.WriteString("- The relay delays each chunk by half a round trip in either direction and limits no bandwidth, so it is kinder than a real link. A handshake costs a round trip.\n")
}

// remarks are the news that a table doesn't tell.
func (r *results) remarks(w *strings.Builder) {
	w.WriteString("\n## What to know beside the figures\n\n")
	w.WriteString("- The target is empty at the start. A real refresh finds the generation before: `pg_restore --clean` then drops it first and the application sees half a database meanwhile, while a swap needs room for two and reads the old one's grants.\n")
	w.WriteString("- Ours gathers statistics, counts every table on both sides, compares catalogs and publishes. pg_restore does none of it, and its first queries run without statistics; pgcopydb runs VACUUM ANALYZE and does not count.\n")
	w.WriteString("- With few cores, building indexes is everybody's floor. More cores favour whoever builds and copies side by side; this page does not show it.\n")
	for _, part := range []struct {
		where string
		all   []series
	}{{"on loopback", append(slices.Clone(r.Near), r.Floor)}, {"over the relay", r.Far}, {"with 1,000 objects", r.Objects}, {"with small tables", r.Small}, {"with a part", r.Partial}, {"masked", r.Masked}} {
		for _, s := range part.all {
			if s.Missing != "" {
				fmt.Fprintf(w, "- %s was left out %s: %s.\n", s.Name, part.where, s.Missing)
			}
			for _, one := range s.Samples {
				if one.Failed != "" {
					fmt.Fprintf(w, "- %s failed %s: %s.\n", s.Name, part.where, strings.Join(strings.Fields(one.Failed), " "))
				}
			}
		}
	}
}

// loads are the least and the most load before a run.
func (r *results) loads() (low, high float64) {
	var all []float64
	for _, s := range slices.Concat(r.Near, r.Far, r.Objects, r.Small, r.Partial, r.Masked, []series{r.Floor, r.ObjectsNear}) {
		for _, one := range s.Samples {
			all = append(all, one.Load)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	return slices.Min(all), slices.Max(all)
}

func seconds(s float64) string {
	if s < 10 {
		return fmt.Sprintf("%.2f s", s)
	}
	return fmt.Sprintf("%.1f s", s)
}

// table writes rows with columns that line up: the page is read as text too.
func table(w *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(escape(cell)), 3)
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			cell = escape(cell)
			fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		w.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				w.WriteString("|" + strings.Repeat("-", width+2))
			}
			w.WriteString("|\n")
		}
	}
}

// escape keeps a pipe in a cell from ending it.
func escape(cell string) string { return strings.ReplaceAll(cell, "|", `\|`) }
