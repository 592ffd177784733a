package checks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// A check run shows the beginning of long lists; the run's page has the rest.
const (
	maxTables   = 15
	maxReasons  = 3 // of one table
	maxMasked   = 40
	maxHazards  = 30
	maxVerified = 30
)

// A writer writes the summary of one run, by one method for each state.
type writer struct {
	strings.Builder
	run  twin.Run
	link string // the run's page; may be empty
	// successor is the page of the run that took this one's place.
	successor string
	now       time.Time
}

func (w *writer) f(format string, args ...any) { fmt.Fprintf(&w.Builder, format, args...) }

func (w *writer) queued() {
	switch {
	case w.run.Failure != nil:
		w.failed()
		return
	case w.run.Behind != 0:
		w.f("Run %d of the same Twin is at work. This one starts when it has ended.\n", w.run.Behind)
	default:
		w.f("The run waits for a worker.\n")
	}
	w.f("Until then the Twin serves what it serves now.\n")
}

// atWork tells that a run is at work, and gives the title. The merge commit's
// check run is not told about progress, so it says nothing that grows old.
func (w *writer) atWork() string {
	w.f("The sync is at work")
	if !w.run.StartedAt.IsZero() {
		w.f(" since %s", twin.HumanTime(w.run.StartedAt))
	}
	w.f(". How far it is stands on the run's page and on the pull request.\n")
	if w.run.StartedAt.IsZero() {
		return "Syncing"
	}
	return fmt.Sprintf("Syncing since %s UTC", w.run.StartedAt.UTC().Format("15:04"))
}

func (w *writer) running() {
	p := w.run.At()
	phases := w.run.Spec.Phases()
	if step := slices.Index(phases, p.Phase); step >= 0 {
		w.f("**Step %d of %d: %s**\n\n", step+1, len(phases), p.Phase.Doing())
	} else {
		w.f("**%s**\n\n", p.Phase.Doing())
	}
	if p.Phase == twin.Select {
		w.f("- Rows found so far: %s\n", twin.HumanCount(p.RowsDone))
	}
	if p.Phase == twin.Load && p.TablesTotal > 0 {
		w.f("- Tables: %d of %d\n- Rows: %s\n- Bytes: %s\n", p.TablesDone, p.TablesTotal,
			twin.HumanOf(p.RowsDone, p.RowsTotal, twin.HumanCount), twin.HumanOf(p.BytesDone, p.BytesTotal, twin.HumanBytes))
		if p.Table != "" {
			w.f("- Now at %s\n", code(p.Table))
		}
		if left := p.CopyingLeft(w.now); left != "" {
			w.f("- Left of copying: %s; indexes, keys and verification follow\n", left)
		}
	}
	if p.Phase == twin.Index && p.IndexesTotal > 0 {
		w.f("- Indexes and keys: %d of %d\n", p.IndexesDone, p.IndexesTotal)
	}
	if w.run.Failure != nil {
		w.f("- The attempt before ended: %s\n", text(w.run.Failure.Message))
	}
	w.f("- As of %s\n", twin.HumanTime(w.now))
}

func (w *writer) succeeded() {
	r := w.run.Report
	if r == nil {
		w.f("The Twin %s was synced for commit %s.\n", strong(w.run.Spec.Name), code(twin.HumanSHA(w.run.SHA)))
		return
	}
	w.f("The Twin %s serves %s as it was at **%s**, synced for commit %s.\n\n",
		strong(w.run.Spec.Name), code(w.run.Spec.Source), twin.HumanTime(r.SnapshotAt), code(twin.HumanSHA(w.run.SHA)))
	w.f("- Database: %s; the connection string is the one it always was\n", code(r.Database))
	if command := w.run.BranchCommand(); command != "" {
		w.f("- Branch from it: %s, in the Neon project of target %s\n", code(command), code(w.run.Spec.Target))
	}
	if !r.PublishedAt.IsZero() {
		w.f("- Published: %s\n", twin.HumanTime(r.PublishedAt))
	}
	w.phases(*r)
	w.selections(r.Selections)
	w.masking(r.Masking)
	w.tables(*r)
	w.verified(r.Verified)
	w.hazards(r.Hazards)
}

func (w *writer) tables(r twin.Report) {
	if len(r.Tables) == 0 {
		return
	}
	largest := r.LargestTables()
	rest := len(largest) - maxTables
	if rest == 1 {
		rest = 0 // a line that says "1 more" is no shorter than the line it hides
	}
	heading := "Tables"
	if rest > 0 {
		heading, largest = "Largest tables", largest[:maxTables]
	}
	w.f("\n### %s\n\n| Table | Rows | Bytes | Time |\n|:--|--:|--:|--:|\n", heading)
	for _, t := range largest {
		w.f("| %s | %s | %s | %s |\n", code(t.Table), twin.HumanCount(t.Rows), twin.HumanBytes(t.Bytes), twin.HumanSeconds(t.Seconds))
	}
	w.f("| **All %d** | **%s** | **%s** | |\n", len(r.Tables), twin.HumanCount(r.Rows()), twin.HumanBytes(r.Bytes()))
	w.rest(rest, "table")
}

// selections tell what a partial Twin keeps of which tables, and why.
func (w *writer) selections(all []twin.Selection) {
	if len(all) == 0 {
		return
	}
	kept, empty := twin.MostKept(all)
	rest := len(kept) - maxTables
	if rest == 1 {
		rest = 0
	}
	w.f("\n### Kept rows\n\n%s are kept", twin.KeptOf(all))
	if len(empty) > 0 {
		w.f("; left empty: %s", twin.HumanPlural(int64(len(empty)), "table"))
	}
	w.f(".\n")
	if len(kept) == 0 {
		return
	}
	w.f("\n| Table | Kept | Rule | Why |\n|:--|--:|:--|:--|\n")
	for _, s := range kept[:len(kept)-max(rest, 0)] {
		w.f("| %s | %s | %s | %s |\n", code(s.Table), s.Kept(), text(string(s.Rule)), text(s.Because(maxReasons)))
	}
	w.rest(rest, "table")
}

// masking proves what was masked, and tells why the rest may pass.
func (w *writer) masking(r *twin.MaskReport) {
	if r == nil {
		return
	}
	w.f("\n### Masking\n\n%s\n", text(r.Words()))
	if len(r.Masked) > 0 {
		w.f("\n| Column | Class | Values | NULL | Different | Unchanged by chance |\n|:--|:--|--:|--:|--:|--:|\n")
	}
	for _, m := range r.Masked[:min(len(r.Masked), maxMasked)] {
		w.f("| %s | %s | %s | %s | %s | %s |\n", code(m.Column), code(m.Class), twin.HumanCount(m.Values), twin.HumanCount(m.Nulls), text(m.Different()), twin.HumanCount(m.Same))
	}
	w.rest(len(r.Masked)-maxMasked, "masked column")
	if len(r.Passed) == 0 {
		return
	}
	w.f("\nPassed as they are:\n\n")
	for _, reason := range r.Reasons() {
		w.f("- %s: %s\n", twin.HumanPlural(reason.Rows, "column"), text(reason.Words))
	}
	w.f("\n%s of them were looked at in the copy", twin.HumanPlural(r.Scanned, "value"))
	odd := r.Suspicious()
	if len(odd) == 0 {
		w.f("; none has the form of an address, a phone number, a card or another identifier.\n")
		return
	}
	w.f(":\n\n")
	for _, p := range odd[:min(len(odd), maxTables)] {
		w.f("- %s has the form of %s\n", code(p.Column), text(p.Form()))
	}
	w.rest(len(odd)-maxTables, "column")
}

func (w *writer) phases(r twin.Report) {
	if len(r.Phases) == 0 {
		return
	}
	w.f("\n### Phases\n\n| Phase | Time |\n|:--|--:|\n")
	for _, p := range r.Phases {
		w.f("| %s | %s |\n", p.Phase.Doing(), twin.HumanSeconds(p.Seconds))
	}
	w.f("| **In all** | **%s** |\n", twin.HumanSeconds(r.Seconds))
}

func (w *writer) verified(lines []string) {
	if len(lines) == 0 {
		return
	}
	w.f("\n### Verified\n\n")
	for _, l := range lines[:min(len(lines), maxVerified)] {
		w.f("- %s\n", text(l))
	}
	w.rest(len(lines)-maxVerified, "line")
}

func (w *writer) hazards(hazards []twin.Hazard) {
	if len(hazards) == 0 {
		return
	}
	w.f("\n### Hazards\n\n")
	for _, h := range hazards[:min(len(hazards), maxHazards)] {
		w.f("- %s", code(h.ID))
		if h.Object != "" {
			w.f(" %s", code(h.Object))
		}
		if h.Accepted {
			w.f(" (accepted)")
		}
		w.f(": %s\n", text(h.Message))
	}
	w.rest(len(hazards)-maxHazards, "hazard")
}

// rest says how much of a list was left out, if any was.
func (w *writer) rest(n int, noun string) {
	if n <= 0 {
		return
	}
	w.f("\nAnd %s", twin.HumanPlural(int64(n), "more "+noun))
	if w.link != "" {
		w.f(" on [the run's page](%s)", w.link)
	}
	w.f(".\n")
}

// failed tells a failure, whether it is the last word or not.
func (w *writer) failed() {
	f := w.run.Trouble()
	_, left := w.run.TwinLeft()
	message, list, _ := strings.Cut(f.Message, "\n")
	w.f("- **What happened**: %s", text(message))
	if !f.Code.NeedsPerson() && !strings.HasPrefix(f.Message, f.Code.Words()) {
		w.f(" (%s)", f.Code.Words())
	}
	w.f("\n")
	for line := range strings.Lines(list) {
		w.f("  - %s\n", text(strings.TrimSuffix(line, "\n")))
	}
	if f.Phase != "" {
		w.f("- **Where**: phase %s\n", code(string(f.Phase)))
	}
	w.f("- **The Twin**: %s\n", left)
	if f.Next != "" {
		w.f("- **Next**: %s\n", text(f.Next))
	}
	w.f("- **Tried again**: %s\n", w.run.TriedAgain())
}

func (w *writer) cancelled() {
	_, left := w.run.TwinLeft()
	w.f("The run was cancelled.\n\n- **The Twin**: %s\n- **Tried again**: %s\n", left, w.run.TriedAgain())
}

func (w *writer) superseded() {
	w.f("A newer commit took this run's place; this one published nothing.\n")
	switch {
	case w.run.SupersededBy == 0:
	case w.successor == "":
		w.f("%s syncs the Twin, and the check of its commit tells how it goes.\n", w.run.Successor())
	default:
		w.f("[%s](%s) syncs the Twin.\n", w.run.Successor(), w.successor)
	}
}

// footer says which run this is, for whoever has to look for it in a log.
func (w *writer) footer() {
	w.f("\n---\nRun %d", w.run.ID)
	if w.run.Attempt > 0 {
		w.f(", attempt %d", w.run.Attempt)
	}
	// What is wrong with a repository's file is told of no Twin of its own.
	if w.run.Spec.Source != "" {
		w.f(": Twin %s from %s", code(w.run.Spec.Name), code(w.run.Spec.Source))
	}
	if w.run.Spec.Mode != "" {
		w.f(", mode %s", code(string(w.run.Spec.Mode)))
	}
	if w.run.SHA != "" {
		w.f(", commit %s", code(twin.HumanSHA(w.run.SHA)))
	}
	if w.link != "" {
		w.f(". [The run's page](%s)", w.link)
	}
	w.f(".\n")
}

// strong emphasizes a name.
func strong(s string) string { return "**" + text(s) + "**" }
