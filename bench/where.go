package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// where is the page's part on where the time goes and what nobody can get
// below. What it says of a bar is made from the figures; of a bar that was
// reached it says nothing.
func (r *results) where(w *strings.Builder) {
	ours := find(r.Near, oursName)
	if len(ours.good()) == 0 {
		return
	}
	w.WriteString("\n## Where the time goes and what the floor is\n\n")
	fmt.Fprintf(w, "The floor of each contender on loopback is the processor time of its client and of both servers, divided by %s: what it would take if no core ever waited. How busy the machine was is the floor's share of the time it took.\n\n",
		twin.HumanPlural(int64(r.Machine.Cores), "core"))
	rows := [][]string{{"", "CPU of the client", "of the source", "of the target", "Floor", "Wall", "Busy"}}
	all := slices.Clone(r.Near)
	if len(r.Floor.good()) > 0 {
		all = append(all, r.Floor)
	}
	for _, s := range all {
		if len(s.good()) > 0 {
			rows = append(rows, []string{
				s.Name, seconds(s.median(func(s sample) float64 { return s.CPU.Seconds() })),
				seconds(s.median(func(s sample) float64 { return s.Source.Seconds() })),
				seconds(s.median(func(s sample) float64 { return s.Target.Seconds() })),
				seconds(r.floor(s)), seconds(s.wall()), percent(r.floor(s) / s.wall()),
			})
		}
	}
	table(w, rows)
	if f := r.Floor; len(f.good()) > 0 {
		fmt.Fprintf(w, "\nThe last line is no contender. It copies the same rows with COPY and makes the same indexes and keys, %s at a time, in an order that a person chose for this database. It reads no catalog, gathers no statistics, counts, verifies and publishes nothing, and its tables are there before its time begins. It took %s of our time",
			fmt.Sprint(floorLanes), times(f.wall()/ours.wall()))
		if best := fastest(r.Near, pgcopydbName, pgcopydb4Name); best.wall() > 0 {
			fmt.Fprintf(w, " and %s of the faster pgcopydb's", times(f.wall()/best.wall()))
		}
		w.WriteString(".\n")
	}
	r.excuse(w)
	r.watched(w)
}

// floor is a contender's processor time divided by the cores.
func (r *results) floor(s series) float64 {
	return s.median(func(s sample) float64 { return s.used().Seconds() }) / float64(max(1, r.Machine.Cores))
}

// excuse says of each bar that was not reached whether anybody could reach it
// here, by the figures.
func (r *results) excuse(w *strings.Builder) {
	ours := find(r.Near, oursName)
	for _, b := range r.bars() {
		if b.reached() || b.got == 0 {
			continue
		}
		fmt.Fprintf(w, "\n**%s: %.2f instead of %.2f.** ", upper(b.what), b.got, b.limit)
		if b.against.wall() > 0 {
			limit := b.limit * b.against.wall()
			fmt.Fprintf(w, "%.2f of its %s would be %s. ", b.limit, seconds(b.against.wall()), seconds(limit))
			if r.floor(ours) > limit {
				fmt.Fprintf(w, "The processor time of ours alone is more than that on %s, %s. ", twin.HumanPlural(int64(r.Machine.Cores), "core"), seconds(r.floor(ours)))
			} else {
				fmt.Fprintf(w, "Ours would get there with the processor time that it uses, if it kept the cores %s busy instead of %s. ",
					percent(r.floor(ours)/limit), percent(r.floor(ours)/ours.wall()))
			}
			switch f := r.Floor.wall(); {
			case f == 0:
			case f > limit:
				fmt.Fprintf(w, "COPY and CREATE INDEX alone take %s, which is more than the bar allows for everything.", seconds(f))
			default:
				fmt.Fprintf(w, "COPY and CREATE INDEX alone take %s: that leaves %s for all that a sync does beside them, and what ours does takes %s.",
					seconds(f), seconds(limit-f), seconds(ours.wall()-f))
			}
		}
		if b.near > 0 {
			fmt.Fprintf(w, "Without the relay the same takes %s: so much of it is the servers' work, and %s are round trips.", seconds(b.near), seconds(max(0, b.got-b.near)))
		}
		if b.why != nil {
			w.WriteString(b.why())
		}
		w.WriteString("\n")
	}
}

// farther says what the relay adds to ours.
func (r *results) farther() string {
	near, far := r.Beside, find(r.Far, oursName)
	if len(near.good()) == 0 || len(far.good()) == 0 {
		return ""
	}
	of := func(s series, what func(sample) time.Duration) float64 {
		return s.median(func(s sample) float64 { return what(s).Seconds() })
	}
	relay := max(0, of(far, func(s sample) time.Duration { return s.Own })-of(near, func(s sample) time.Duration { return s.Own }))
	more := of(far, func(s sample) time.Duration { return s.used() }) - of(near, func(s sample) time.Duration { return s.used() })
	cores := float64(max(1, r.Machine.Cores))
	var grew []string
	for _, p := range twin.Phases() {
		if d := far.phase(p) - near.phase(p); d >= 0.1 {
			grew = append(grew, fmt.Sprintf("%s %s", p, seconds(d)))
		}
	}
	out := fmt.Sprintf("In turn, ours took %s on loopback and %s over the relay. The relay itself takes %s of processor time from the same cores, which no cable would, and client and servers take %s more than without it: together that is %s of the %s that ours takes longer.",
		seconds(near.wall()), seconds(far.wall()), seconds(relay), seconds(more), seconds((relay+more)/cores), seconds(far.wall()-near.wall()))
	if still := r.Through; len(still.good()) > 0 {
		out += fmt.Sprintf(" Over the same relay without any delay ours took %s: of that, the time over the relay is %s, and this is what the way itself costs.", seconds(still.wall()), times(far.wall()/still.wall()))
	}
	if len(grew) > 0 {
		out += " By phases it takes longer in " + strings.Join(grew, ", ") + "."
	}
	return out
}

// masking says what masking adds to ours.
func (r *results) masking() string {
	plain, masked := find(r.Masked, oursName), find(r.Masked, maskedName)
	if len(plain.good()) == 0 || len(masked.good()) == 0 {
		return ""
	}
	cpu := func(s series) float64 { return s.median(func(s sample) float64 { return s.CPU.Seconds() }) }
	used := func(s series) float64 { return s.median(func(s sample) float64 { return s.used().Seconds() }) }
	var values int64
	for _, m := range masked.good()[0].Report.Masking.Masked {
		values += m.Values
	}
	more := cpu(masked) - cpu(plain)
	return fmt.Sprintf("The client takes %s instead of %s of processor time, %.0f ns for each of %s, long texts among them; with the servers' it is %s more on %s that were busy before.",
		seconds(cpu(masked)), seconds(cpu(plain)), 1e9*more/float64(max(1, values)), twin.HumanPlural(values, "value"), seconds(used(masked)-used(plain)), twin.HumanPlural(int64(r.Machine.Cores), "core"))
}

// watched are the tables of what was watched.
func (r *results) watched(w *strings.Builder) {
	if len(r.Watched) == 0 {
		return
	}
	if first := r.Watched[0]; len(first.Phases) > 0 {
		fmt.Fprintf(w, "\nWhere ours spends it, in a run of %s that was watched and counts for nothing else. The client's %s are not in it:\n\n",
			seconds(first.Sample.Wall.Seconds()), seconds(first.Sample.CPU.Seconds()))
		rows := [][]string{{"Phase", "Wall", "CPU of the servers", "They kept busy"}}
		for _, p := range first.Phases {
			busy := 0.0
			if p.Seconds > 0 {
				busy = min(1, p.CPU/p.Seconds/float64(max(1, r.Machine.Cores)))
			}
			rows = append(rows, []string{string(p.Phase), seconds(p.Seconds), seconds(p.CPU), percent(busy)})
		}
		table(w, rows)
	}
	w.WriteString("\nWhat the servers' processor time went to, in one watched run of each; the sessions are looked at " + fmt.Sprint(int(1/lookEvery.Seconds())) + " times a second, and the rest is what no look found: the writers of log and pages, and processes that begin and end:\n\n")
	rows := [][]string{{"", ""}}
	for _, one := range r.Watched {
		rows[0] = append(rows[0], one.Name)
	}
	for i, side := range sides {
		kinds := map[string]float64{} // the most that one of them uses
		for _, one := range r.Watched {
			for kind, used := range one.Kinds[i] {
				kinds[kind] = max(kinds[kind], used)
			}
		}
		order := slices.SortedFunc(maps.Keys(kinds), func(a, b string) int {
			return strings.Compare(fmt.Sprintf("%09.3f", kinds[b]), fmt.Sprintf("%09.3f", kinds[a]))
		})
		for _, kind := range order {
			row := []string{side, kind}
			for _, one := range r.Watched {
				row = append(row, seconds(one.Kinds[i][kind]))
			}
			rows = append(rows, row)
		}
	}
	table(w, rows)
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

func times(ratio float64) string { return fmt.Sprintf("%.2f", ratio) }

// upper begins a sentence with what stands in a table.
func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
