package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/bench/columns"
	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/mask"
)

// What the detection must reach.
const (
	leastRecall    = 0.95
	leastPrecision = 0.85
)

// detection is how well one half of the labelled columns is judged.
type detection struct {
	Set               columns.Set `json:"set"`
	Columns, Personal int
	Found, Alarms     int // personal columns that were found, harmless ones that were taken for such
	Classes           int // found with a class that suits
	Leaked            int // personal columns that a rule calls harmless
	Cleared           int // harmless columns that a rule calls so
}

func (d detection) recall() float64 { return part(d.Found, d.Personal) }

func (d detection) precision() float64 { return part(d.Found, d.Found+d.Alarms) }

func part(n, of int) float64 { return ratio(float64(n), float64(of)) }

// detections judges both halves.
func detections() ([]detection, error) {
	var out []detection
	for _, half := range []struct {
		set  columns.Set
		read func() ([]columns.Column, error)
	}{{columns.DevSet, columns.Dev}, {columns.HeldSet, columns.Held}} {
		list, err := half.read()
		if err != nil {
			return nil, fmt.Errorf("read the labelled columns: %w", err)
		}
		d := detection{Set: half.set}
		for from := 0; from < len(list); {
			to := from + 1
			for to < len(list) && list[to].TableKey() == list[from].TableKey() {
				to++
			}
			d.table(list[from:to])
			from = to
		}
		out = append(out, d)
	}
	return out, nil
}

// table judges the columns of a table, as they are in a database.
func (d *detection) table(list []columns.Column) {
	cols, values := make([]detect.Column, len(list)), make([][]string, len(list))
	for i, c := range list {
		cols[i], values[i] = labelled(c)
	}
	for i, f := range detect.Table(cols, values) {
		d.judge(list[i], f)
	}
}

// judge counts one finding.
func (d *detection) judge(c columns.Column, f detect.Finding) {
	d.Columns++
	personal := c.Label == columns.Personal
	switch {
	case personal:
		d.Personal++
		if f.Personal {
			d.Found++
		}
		if f.Personal && slices.Contains(c.Classes, string(f.Class)) {
			d.Classes++
		}
		if slices.Contains(detect.DefaultRules(), f.Harmless) {
			d.Leaked++
		}
	case f.Personal:
		d.Alarms++
	case slices.Contains(detect.DefaultRules(), f.Harmless):
		d.Cleared++
	}
}

// labelled is a column as the detection takes it, with its values.
func labelled(c columns.Column) (detect.Column, []string) {
	typ := c.Type
	if c.Base != "" {
		typ = c.Base
	}
	elem, array := strings.CutSuffix(typ, "[]")
	flag := func(name string) bool { return slices.Contains(c.Flags, name) }
	out := detect.Column{
		Schema: c.Schema, Table: c.Table, Name: c.Name, Type: c.Type, Kind: kindOf(elem), Array: array, Comment: c.Comment, Labels: c.Labels,
		Primary: flag("pk"), Refers: flag("fk"), Unique: flag("unique"), NotNull: flag("notnull"), Identity: flag("identity"),
	}
	if len(c.Labels) > 0 {
		out.Kind = mask.Enum
	}
	if !array {
		return out, c.Values
	}
	var elements []string
	for _, v := range c.Values {
		for e := range strings.SplitSeq(strings.Trim(v, "{}"), ",") {
			elements = append(elements, strings.Trim(e, `"`))
		}
	}
	return out, elements
}

// kindOf is the kind of a type that is written as SQL does.
func kindOf(typ string) mask.Kind {
	name, _, _ := strings.Cut(typ, "(")
	if kind, ok := map[string]mask.Kind{
		"text": mask.Text, "character varying": mask.Text, "varchar": mask.Text, "character": mask.Text, "char": mask.Text, "bpchar": mask.Text, "citext": mask.Text, "name": mask.Text,
		"smallint": mask.Int, "integer": mask.Int, "bigint": mask.Int, "numeric": mask.Numeric, "real": mask.Float, "double precision": mask.Float,
		"boolean": mask.Bool, "uuid": mask.UUID, "date": mask.Moment, "bytea": mask.Bytes, "inet": mask.IP, "cidr": mask.IP,
		"macaddr": mask.MAC, "macaddr8": mask.MAC, "json": mask.JSON, "jsonb": mask.JSON, "xml": mask.XML, "hstore": mask.HStore,
	}[name]; ok {
		return kind
	}
	if strings.HasPrefix(name, "timestamp") {
		return mask.Moment
	}
	return mask.Other
}

// detectionPart is the page's part on how well personal data is detected.
func detectionPart(w *strings.Builder, all []detection) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## Detection of personal data\n\nColumns of tables in seven languages, modelled on public schemas and labelled by hand before the detection was written ([bench/columns](../bench/columns/README.md)). One half was worked with; the other was only counted. Recall is the part of the personal columns that are detected, to be at least %.2f; precision the part of the detected ones that are personal, to be at least %.2f. What is neither detected nor harmless by a rule refuses a run until a person decides.\n\n", leastRecall, leastPrecision)
	rows := [][]string{{"Half", "Columns", "Personal", "Recall", "Precision", "Fitting masker", "Personal, yet passed by default", "Harmless, passed by default", ""}}
	for _, d := range all {
		verdict := "reached"
		if d.recall() < leastRecall || d.precision() < leastPrecision {
			verdict = "**not reached**"
		}
		rows = append(rows, []string{
			string(d.Set), fmt.Sprint(d.Columns), fmt.Sprint(d.Personal), fmt.Sprintf("%.3f", d.recall()), fmt.Sprintf("%.3f", d.precision()),
			fmt.Sprintf("%.3f", part(d.Classes, d.Found)), fmt.Sprint(d.Leaked), fmt.Sprintf("%d of %d", d.Cleared, d.Columns-d.Personal), verdict,
		})
	}
	table(w, rows)
}
