package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/twin"
)

func printReport(w io.Writer, r twin.Report) {
	fmt.Fprintf(w, "Published %s: %d tables, %d rows, %s in %s\n", r.Database, len(r.Tables), r.Rows(), twin.HumanBytes(r.Bytes()), twin.HumanSeconds(r.Seconds))
	if len(r.Selections) > 0 {
		fmt.Fprintf(w, "Kept %s.\n", twin.KeptOf(r.Selections))
	}
	if r.Masking != nil {
		fmt.Fprintln(w, r.Masking.Words())
		for _, p := range r.Masking.Suspicious() {
			fmt.Fprintf(w, "Passed with the form of personal data: %s, %s\n", p.Column, p.Form())
		}
	}
	fmt.Fprintf(w, "Snapshot of the source: %s (LSN %s), run %s\n", r.SnapshotAt.UTC().Format("2006-01-02 15:04:05 UTC"), r.SnapshotLSN, r.Run)
	for _, v := range r.Verified {
		fmt.Fprintln(w, "Verified: "+v)
	}
	printHazards(w, r.Hazards)
}

func printPlan(w io.Writer, p *clone.Plan) {
	fmt.Fprintf(w, "A sync would copy %d tables, about %d rows and %s on the source's disk, and build %d indexes and keys.\n\n",
		len(p.Steps), p.Rows(), twin.HumanBytes(p.Bytes()), p.Builds())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "table\trows, about\tsize\tparts\tformat\t")
	for _, s := range p.Steps {
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%s\t\n", s.Table, s.Rows, twin.HumanBytes(s.Bytes), len(s.Parts), s.Format)
	}
	_ = t.Flush() // its errors are the writer's
	fmt.Fprintf(w, "\nThen %d foreign keys, %d other definitions, %d sequences, %d statements for materialized views.\n",
		len(p.ForeignKeys)+len(p.Attach), len(p.After), len(p.Sequences), len(p.Refresh))
	printSelections(w, p.Selections)
	printMasking(w, p.Privacy)
	printHazards(w, p.Hazards)
}

// printMasking says what becomes of which columns, and why.
func printMasking(w io.Writer, p *privacy.Plan) {
	if p == nil {
		return
	}
	fmt.Fprintf(w, "\n%d columns would be masked with key %s:\n\n", len(p.Masked), p.Key)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "column\tclass\tdomain\twhy")
	for _, m := range p.Masked {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", m.Column, m.Class, m.Domain, m.Why)
	}
	_ = t.Flush() // its errors are the writer's
	fmt.Fprintf(w, "\nThese would pass as they are:\n\n")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "column\twhy")
	last := ""
	for _, c := range p.Passed {
		if c.Label != last { // partitions are one
			fmt.Fprintf(t, "%s\t%s\n", c.Label, c.Why)
		}
		last = c.Label
	}
	_ = t.Flush() // its errors are the writer's
	fmt.Fprintln(w)
}

// printSelections says which rows are kept of which tables, and why.
func printSelections(w io.Writer, all []twin.Selection) {
	if len(all) == 0 {
		return
	}
	kept, empty := twin.MostKept(all)
	fmt.Fprintf(w, "\n%s are kept:\n\n", twin.KeptOf(all))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "table\tkept\trule\twhy")
	for _, s := range append(kept, empty...) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Table, s.Kept(), s.Rule, s.Because(len(s.Why)))
	}
	_ = t.Flush() // its errors are the writer's
	fmt.Fprintln(w)
}

func printHazards(w io.Writer, hazards []twin.Hazard) {
	for _, h := range hazards {
		word := "Note"
		switch {
		case h.Refuses:
			word = "Refused"
		case h.Accepted:
			word = "Accepted"
		}
		fmt.Fprintf(w, "%s [%s]: %s\n", word, h.ID, h.Message)
	}
}

// planJSON is what plan --json prints.
type planJSON struct {
	Mode    twin.Mode   `json:"mode"`
	Rows    int64       `json:"rows_estimate"`
	Bytes   int64       `json:"bytes_estimate"`
	Indexes int         `json:"indexes"`
	Tables  []planTable `json:"tables"`
	// Selections are those of a partial Twin.
	Selections []twin.Selection `json:"selections,omitempty"`
	Hazards    []twin.Hazard    `json:"hazards"`
	Forbidden  bool             `json:"refused"`
}

type planTable struct {
	Table  string       `json:"table"`
	Rows   int64        `json:"rows_estimate"`
	Bytes  int64        `json:"bytes_estimate"`
	Parts  int          `json:"parts"`
	Format clone.Format `json:"format"`
}

func planDocument(p *clone.Plan) planJSON {
	out := planJSON{
		Mode: p.Mode, Rows: p.Rows(), Bytes: p.Bytes(), Indexes: p.Builds(), Selections: p.Selections,
		Tables: []planTable{}, Hazards: append([]twin.Hazard{}, p.Hazards...), Forbidden: len(p.Refused()) > 0,
	}
	for _, s := range p.Steps {
		out.Tables = append(out.Tables, planTable{s.Table.String(), s.Rows, s.Bytes, len(s.Parts), s.Format})
	}
	return out
}
