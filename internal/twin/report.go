package twin

import (
	"cmp"
	"slices"
	"time"
)

// Report is what a published run did. It is stored with the run, printed by
// the command line's --json, and shown on the check run, so it holds no host,
// no credential and no value from a row.
type Report struct {
	Run         string    `json:"run"` // the run's token, as it stands in the Twin's mark
	Mode        Mode      `json:"mode"`
	Publish     Strategy  `json:"publish"`
	Database    string    `json:"database"` // the Twin's database
	SnapshotAt  time.Time `json:"snapshot_at"`
	SnapshotLSN string    `json:"snapshot_lsn"`
	PublishedAt time.Time `json:"published_at"`

	Tables []TableReport `json:"tables"`
	// Selections say which rows a partial Twin keeps of each table, and why;
	// nil for one that keeps all.
	Selections []Selection `json:"selections,omitempty"`
	// Masking is the proof that no personal value passed; nil where none was
	// asked for.
	Masking *MaskReport `json:"masking,omitempty"`

	Phases  []PhaseReport `json:"phases"`
	Hazards []Hazard      `json:"hazards"`
	// Verified lists in words what was compared before publishing.
	Verified []string `json:"verified"`
	// Seconds is the wall time of the whole run.
	Seconds float64 `json:"seconds"`
}

// TableReport is what happened to one table.
type TableReport struct {
	Table   string  `json:"table"` // schema.name, quoted where SQL would ask for it
	Rows    int64   `json:"rows"`
	Bytes   int64   `json:"bytes"`   // as they went over the wire
	Seconds float64 `json:"seconds"` // of its copy
}

// PhaseReport is how long one phase took.
type PhaseReport struct {
	Phase   Phase   `json:"phase"`
	Seconds float64 `json:"seconds"`
}

// Rows is the sum over all tables.
func (r Report) Rows() int64 {
	var n int64
	for _, t := range r.Tables {
		n += t.Rows
	}
	return n
}

// Bytes is the sum over all tables.
func (r Report) Bytes() int64 {
	var n int64
	for _, t := range r.Tables {
		n += t.Bytes
	}
	return n
}

// LargestTables lists the tables by the bytes that were copied, largest first.
func (r Report) LargestTables() []TableReport {
	return slices.SortedStableFunc(slices.Values(r.Tables), func(a, b TableReport) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Table, b.Table))
	})
}

// Hazard is something about a plan that a person should know before it runs.
type Hazard struct {
	// ID is stable: an operator acknowledges a hazard by it.
	ID string `json:"id"`
	// Object is what it is about: a table, a column, an extension. May be empty.
	Object string `json:"object,omitempty"`
	// Message says what will happen and what to do about it.
	Message string `json:"message"`
	// Refuses is set where the run must not go on.
	Refuses bool `json:"refuses"`
	// Accepted is set where the operator has acknowledged it.
	Accepted bool `json:"accepted,omitempty"`
}
