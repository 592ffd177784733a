package twin

import "time"

// Progress is how far a run has come. It is a snapshot: later ones replace it.
type Progress struct {
	Phase        Phase `json:"phase"`
	TablesDone   int   `json:"tables_done"`
	TablesTotal  int   `json:"tables_total"`
	RowsDone     int64 `json:"rows_done"`   // in Select: that were found so far
	RowsTotal    int64 `json:"rows_total"`  // the planner's estimate, not a count
	BytesDone    int64 `json:"bytes_done"`  // as they went over the wire
	BytesTotal   int64 `json:"bytes_total"` // an estimate, from the tables' size on the source
	IndexesDone  int   `json:"indexes_done"`
	IndexesTotal int   `json:"indexes_total"`
	// Table is one of the tables being loaded, for a person to read.
	Table string `json:"table,omitempty"`
	// Rebuilding is set once the Twin is broken until a run ends: under in_place.
	Rebuilding bool `json:"rebuilding,omitempty"`
	// PhaseStarted is when the current phase began.
	PhaseStarted time.Time `json:"phase_started"`
}

// Percent is an honest guess of how much of the whole run is done, 0 to 100.
// Loading rows counts for 60, indexes and keys for 25, the rest is shared by
// the short phases. It never reaches 100 before the run has published.
func (p Progress) Percent() int {
	switch p.Phase {
	case Preflight:
		return 1
	case Select:
		return 2
	case Prepare:
		return 3
	case Schema:
		return 4
	case Load:
		return 5 + int(60*fraction(p.BytesDone, p.BytesTotal, p.TablesDone, p.TablesTotal))
	case Index:
		return 65 + int(20*fraction(int64(p.IndexesDone), int64(p.IndexesTotal), 0, 0))
	case Relate:
		return 86
	case Finish:
		return 90
	case Verify:
		return 94
	case Publish:
		return 98
	}
	return 0
}

// fraction is done/total, held below 1: estimates are exceeded by real data.
// Where the first total is unknown, the second pair decides.
func fraction(done, total int64, done2, total2 int) float64 {
	if total <= 0 {
		done, total = int64(done2), int64(total2)
	}
	if total <= 0 {
		return 0
	}
	return min(float64(done)/float64(total), 1)
}
