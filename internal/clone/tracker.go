package clone

import (
	"sync"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// Tracker knows how far a run has come and how long each phase took. Its
// methods may be called from any goroutine.
type Tracker struct {
	report func(twin.Progress)

	mu     sync.Mutex
	now    twin.Progress
	told   time.Time
	phases []twin.PhaseReport
}

// tellEvery bounds how often progress is reported while a phase lasts.
const tellEvery = 200 * time.Millisecond

// NewTracker makes a tracker that tells report, which must not block.
func NewTracker(report func(twin.Progress)) *Tracker { return &Tracker{report: report} }

// Begin ends the phase before and starts p.
func (t *Tracker) Begin(p twin.Phase) {
	t.update(true, func(now *twin.Progress) {
		t.end()
		now.Phase, now.PhaseStarted, now.Table = p, time.Now(), ""
	})
}

// Rebuild notes that the Twin is broken from now on, until a run ends.
func (t *Tracker) Rebuild() {
	t.update(true, func(now *twin.Progress) { now.Rebuilding = true })
}

// Found notes how many rows have been chosen.
func (t *Tracker) Found(rows int64) {
	t.update(false, func(now *twin.Progress) { now.RowsDone = rows })
}

// Finish ends the last phase and gives the time that each one took.
func (t *Tracker) Finish() []twin.PhaseReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end()
	t.now.Phase = ""
	return t.phases
}

// Phase is the current one.
func (t *Tracker) Phase() twin.Phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now.Phase
}

// end notes how long the current phase took. The caller holds the lock.
func (t *Tracker) end() {
	if t.now.Phase != "" {
		t.phases = append(t.phases, twin.PhaseReport{Phase: t.now.Phase, Seconds: time.Since(t.now.PhaseStarted).Seconds()})
	}
}

// update changes the progress and tells it, at once or when it is due.
func (t *Tracker) update(atOnce bool, change func(*twin.Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.now)
	if atOnce || time.Since(t.told) >= tellEvery {
		t.told = time.Now()
		t.report(t.now)
	}
}
