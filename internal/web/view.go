package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// A view is a run and its events in the words that the template places.
type view struct {
	CSS template.CSS
	JS  template.JS

	ID                     int64
	Title, Colour          string
	Live                   bool
	Repository, Twin       string
	State, Class, Headline string
	Percent                int
	TroubleHeading         string
	Trouble                []fact
	NowHeading             string
	Now                    []fact
	Facts                  []fact
	Phases                 []phaseRow
	Took                   string
	Tables                 []tableRow
	Rows, Bytes            string
	Kept                   string
	Selections             []selectionRow
	Masking                *twin.MaskReport
	Verified               []string
	Hazards                []twin.Hazard
	Events                 []eventRow
}

type fact struct {
	Label, Value string
	Code         bool
	Link         string // where the value leads
}

type phaseRow struct {
	Name, Note, Time, Class string
	Share                   int // percent of the whole time
}

type tableRow struct {
	Name, Rows, Bytes, Time string
	Share                   int // percent of the largest
}

type selectionRow struct {
	Name, Kept, Rule, Why string
}

type eventRow struct {
	Machine, Time, Level, Phase, Message string
}

func newView(run twin.Run, places []store.Publication, events []store.Event, now time.Time) view {
	v := view{
		CSS: css(), JS: js(),
		ID: run.ID, Live: !run.State.Terminal(), Percent: run.At().Percent(),
		Repository: run.Repo.FullName(), Twin: run.Spec.Name, Headline: run.Headline(),
		Facts: facts(run, now),
	}
	for _, p := range places {
		v.Facts = append(v.Facts, fact{Label: "Check on " + string(p.Role) + " commit", Value: twin.HumanSHA(p.SHA) + told(p)})
	}
	v.State, v.Class, v.Colour = state(run)
	v.Title = v.Headline + " · Neon Twin / " + v.Twin
	v.trouble(run)
	v.doing(run, now)
	v.phases(run, now)
	v.tables(run)
	v.selections(run)
	if run.Report != nil {
		v.Verified, v.Hazards, v.Masking = run.Report.Verified, run.Report.Hazards, run.Report.Masking
	}
	for _, e := range events {
		v.Events = append(v.Events, eventRow{
			Machine: e.At.UTC().Format(time.RFC3339), Time: e.At.UTC().Format("15:04:05"),
			Level: string(e.Level), Phase: string(e.Phase), Message: e.Message,
		})
	}
	return v
}

// state names the run's state, the class that colours it, and the colour of
// the icon in the browser's tab.
func state(run twin.Run) (name, class, colour string) {
	switch run.State {
	case twin.Queued:
		if run.Failure != nil {
			return "Waiting to retry", "refused", "b45309"
		}
		return "Queued", "queued", "6b7280"
	case twin.Running:
		return "Running", "running", "2563eb"
	case twin.Succeeded:
		return "Synced", "succeeded", "15803d"
	case twin.Failed:
		if run.Trouble().Code.NeedsPerson() {
			return "Refused", "refused", "b45309"
		}
		return "Failed", "failed", "c62828"
	case twin.Cancelled:
		return "Cancelled", "cancelled", "6b7280"
	case twin.Superseded:
		return "Superseded", "superseded", "6b7280"
	}
	return string(run.State), "queued", "6b7280"
}

// trouble tells what went wrong, what it left, and what to do.
func (v *view) trouble(run twin.Run) {
	f := run.Trouble()
	_, left := run.TwinLeft()
	switch {
	case run.State == twin.Failed, run.State == twin.Queued && run.Failure != nil:
		v.TroubleHeading = "What went wrong"
		v.Trouble = append(v.Trouble, fact{Label: "What happened", Value: f.Message})
		if !f.Code.NeedsPerson() && !strings.HasPrefix(f.Message, f.Code.Words()) {
			v.Trouble = append(v.Trouble, fact{Label: "Kind", Value: f.Code.Words()})
		}
		if f.Phase != "" {
			v.Trouble = append(v.Trouble, fact{Label: "Where", Value: "phase " + string(f.Phase)})
		}
		v.Trouble = append(v.Trouble, fact{Label: "The Twin", Value: left})
		if f.Next != "" {
			v.Trouble = append(v.Trouble, fact{Label: "Next", Value: f.Next})
		}
		v.Trouble = append(v.Trouble, fact{Label: "Tried again", Value: run.TriedAgain()})
	case run.State == twin.Cancelled:
		v.TroubleHeading = "Cancelled"
		v.Trouble = []fact{{Label: "The Twin", Value: left}, {Label: "Tried again", Value: run.TriedAgain()}}
	case run.State == twin.Running && run.Failure != nil:
		v.TroubleHeading = "The attempt before this one"
		v.Trouble = []fact{{Label: "What happened", Value: f.Message}}
	}
}

// doing tells what the Twin serves now, or what the run is at.
func (v *view) doing(run twin.Run, now time.Time) {
	switch {
	case run.State == twin.Succeeded && run.Report != nil:
		r := run.Report
		v.NowHeading = "What the Twin serves"
		v.Now = []fact{
			{Label: "Data", Value: run.Spec.Source + " as it was at " + twin.HumanTime(r.SnapshotAt)},
			{Label: "Database", Value: r.Database, Code: true},
			{Label: "Published", Value: twin.HumanTime(r.PublishedAt)},
			{Label: "Connection", Value: "The connection string is the one it always was."},
		}
		if command := run.BranchCommand(); command != "" {
			v.Now = append(v.Now, fact{Label: "A branch of it", Value: command, Code: true},
				fact{Label: "Where", Value: "in the Neon project of target " + run.Spec.Target})
		}
	case run.State == twin.Running && run.At().Phase == twin.Load:
		p := run.At()
		v.NowHeading = "Copying"
		v.Now = []fact{
			{Label: "Tables", Value: fmt.Sprintf("%d of %d", p.TablesDone, p.TablesTotal)},
			{Label: "Rows", Value: twin.HumanOf(p.RowsDone, p.RowsTotal, twin.HumanCount)},
			{Label: "Bytes", Value: twin.HumanOf(p.BytesDone, p.BytesTotal, twin.HumanBytes)},
		}
		if p.Table != "" {
			v.Now = append(v.Now, fact{Label: "Now at", Value: p.Table, Code: true})
		}
		if left := p.CopyingLeft(now); left != "" {
			v.Now = append(v.Now, fact{Label: "Left", Value: left + "; indexes, keys and verification follow"})
		}
	case run.State == twin.Running && run.At().Phase == twin.Select:
		v.NowHeading = twin.Select.Doing()
		v.Now = []fact{{Label: "Found so far", Value: twin.HumanPlural(run.At().RowsDone, "row")}}
	case run.State == twin.Superseded:
		v.NowHeading = "A newer commit took this run's place"
		switch {
		case run.SupersededByKey != "":
			v.Now = []fact{{Label: "Instead", Value: run.Successor(), Link: run.SupersededByKey}} // the pages of runs stand side by side
		case run.SupersededBy != 0:
			v.Now = []fact{{Label: "Instead", Value: run.Successor() + " syncs the Twin; the check of its commit tells how it goes."}}
		default:
			v.Now = []fact{{Label: "Twin", Value: "This run published nothing."}}
		}
	case run.State == twin.Queued && run.Behind != 0:
		v.NowHeading = "Waiting"
		v.Now = []fact{{Label: "For", Value: fmt.Sprintf("run %d of the same Twin, which is at work", run.Behind)}}
	}
}

// facts are what stands about every run.
func facts(run twin.Run, now time.Time) []fact {
	fs := []fact{
		{Label: "Source", Value: run.Spec.Source, Code: true},
		{Label: "Target", Value: run.Spec.Target, Code: true},
		{Label: "Mode", Value: string(run.Spec.Mode)},
		{Label: "Commit", Value: twin.HumanSHA(run.SHA), Code: true},
		{Label: "Branch", Value: strings.TrimPrefix(run.Ref, "refs/heads/"), Code: true},
		{Label: "Trigger", Value: trigger(run)},
		{Label: "Queued", Value: twin.HumanTime(run.CreatedAt)},
	}
	if !run.StartedAt.IsZero() {
		fs = append(fs, fact{Label: "Started", Value: twin.HumanTime(run.StartedAt)})
	}
	if !run.FinishedAt.IsZero() {
		fs = append(fs, fact{Label: "Ended", Value: twin.HumanTime(run.FinishedAt)})
	} else if run.State == twin.Running && !run.StartedAt.IsZero() {
		fs = append(fs, fact{Label: "At work for", Value: twin.HumanDuration(now.Sub(run.StartedAt))})
	}
	if run.Attempt > 0 {
		fs = append(fs, fact{Label: "Attempt", Value: fmt.Sprintf("%d of at most %d", run.Attempt, max(run.Attempt, run.MaxAttempts))})
	}
	return slices.DeleteFunc(fs, func(f fact) bool { return f.Value == "" })
}

// told says whether GitHub knows what is true of a run, where it does not.
func told(p store.Publication) string {
	switch {
	case !p.UnreachableAt.IsZero():
		return ", can't be told any more"
	case p.Posted < p.Wanted:
		return ", about to be told"
	}
	return ""
}

func trigger(run twin.Run) string {
	switch run.Trigger {
	case twin.PullRequest:
		if run.PR != 0 {
			return fmt.Sprintf("pull request #%d merged", run.PR)
		}
		return "pull request merged"
	case twin.Push:
		return "push"
	case twin.Schedule:
		return "schedule"
	case twin.Rerun:
		return "a person asked for it again"
	case twin.CatchUp:
		return "catching up"
	case twin.Command:
		return "command line"
	}
	return string(run.Trigger)
}

// phases shows the way of a run: what it took once it is over, where it is
// before that. A phase that a report leaves out took no time worth telling.
func (v *view) phases(run twin.Run, now time.Time) {
	if r := run.Report; r != nil && run.State == twin.Succeeded {
		for _, p := range r.Phases {
			v.Phases = append(v.Phases, phaseRow{
				Name: p.Phase.Doing(), Class: "done", Time: twin.HumanSeconds(p.Seconds), Share: share(p.Seconds, r.Seconds),
			})
		}
		v.Took = twin.HumanSeconds(r.Seconds)
		return
	}
	at, class := run.At(), "now"
	switch run.State {
	case twin.Running:
	case twin.Failed, twin.Cancelled:
		class = "broken"
		if f := run.Trouble(); f.Phase != "" {
			at.Phase = f.Phase
		}
	case twin.Queued, twin.Superseded, twin.Succeeded:
		return
	}
	phases := run.Spec.Phases()
	here := slices.Index(phases, at.Phase)
	if here < 0 {
		return
	}
	for i, p := range phases {
		row := phaseRow{Name: p.Doing(), Class: "next"}
		if i < here {
			row.Class = "done"
		}
		if i == here {
			row.Class = class
			if class == "broken" {
				row.Note = "ended here"
			} else if !at.PhaseStarted.IsZero() {
				row.Time = twin.HumanDuration(now.Sub(at.PhaseStarted))
			}
		}
		v.Phases = append(v.Phases, row)
	}
}

func (v *view) tables(run twin.Run) {
	if run.Report == nil || len(run.Report.Tables) == 0 {
		return
	}
	tables := run.Report.LargestTables()
	for _, t := range tables {
		v.Tables = append(v.Tables, tableRow{
			Name: t.Table, Rows: twin.HumanCount(t.Rows), Bytes: twin.HumanBytes(t.Bytes),
			Time: twin.HumanSeconds(t.Seconds), Share: share(float64(t.Bytes), float64(tables[0].Bytes)),
		})
	}
	v.Rows, v.Bytes = twin.HumanCount(run.Report.Rows()), twin.HumanBytes(run.Report.Bytes())
}

// selections show what a partial Twin keeps, what is empty last.
func (v *view) selections(run twin.Run) {
	if run.Report == nil || len(run.Report.Selections) == 0 {
		return
	}
	kept, empty := twin.MostKept(run.Report.Selections)
	for _, s := range append(kept, empty...) {
		v.Selections = append(v.Selections, selectionRow{Name: s.Table, Kept: s.Kept(), Rule: string(s.Rule), Why: s.Because(len(s.Why))})
	}
	v.Kept = twin.KeptOf(run.Report.Selections)
}

// share is part of whole in percent, at least 1 where there is any part.
func share(part, whole float64) int {
	if part <= 0 || whole <= 0 {
		return 0
	}
	return max(1, min(100, int(100*part/whole+0.5)))
}
