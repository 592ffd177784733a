package twin

import (
	"fmt"
	"strings"
	"time"
)

// Headline says in one line what is true of the run: counts first, fit for a
// title. It is plain text of any length and holds what Failure.Message holds.
func (r Run) Headline() string {
	switch r.State {
	case Queued:
		return r.waitingFor()
	case Running:
		p := r.At()
		return fmt.Sprintf("%s, %d %% overall", p.Doing(), p.Percent())
	case Succeeded:
		if r.Report == nil {
			return "Synced"
		}
		switch r.Report.Mode {
		case Partial:
			return fmt.Sprintf("Synced, partial: %s, %s, %s", KeptOf(r.Report.Selections), HumanBytes(r.Report.Bytes()), HumanSeconds(r.Report.Seconds))
		case SchemaOnly:
			return fmt.Sprintf("Synced, schema only: %s, %s", HumanPlural(int64(len(r.Report.Tables)), "table"), HumanSeconds(r.Report.Seconds))
		case Full, Anonymized, Synthetic:
		}
		return fmt.Sprintf("Synced: %s, %s, %s", HumanPlural(int64(len(r.Report.Tables)), "table"),
			HumanBytes(r.Report.Bytes()), HumanSeconds(r.Report.Seconds))
	case Failed:
		return r.failedBy()
	case Cancelled:
		state, _ := r.TwinLeft()
		return "Cancelled; Twin " + state
	case Superseded:
		if r.SupersededBy == 0 {
			return "Superseded by a newer commit"
		}
		if r.SupersededBySHA == "" {
			return fmt.Sprintf("Superseded by run %d", r.SupersededBy)
		}
		return fmt.Sprintf("Superseded by %s (run %d)", HumanSHA(r.SupersededBySHA), r.SupersededBy)
	}
	return "In state " + string(r.State)
}

func (r Run) waitingFor() string {
	switch {
	case r.Failure != nil && r.NotBefore.IsZero():
		return fmt.Sprintf("%s soon: %s", r.nextAttempt(), r.Failure.Message)
	case r.Failure != nil:
		return fmt.Sprintf("%s at %s UTC: %s", r.nextAttempt(), r.NotBefore.UTC().Format("15:04"), r.Failure.Message)
	case r.Behind != 0:
		return "Queued behind " + r.behind()
	}
	return "Queued"
}

// Successor names the run that took this one's place: "Run 418 of commit
// abc1234".
func (r Run) Successor() string {
	if r.SupersededBySHA == "" {
		return fmt.Sprintf("Run %d", r.SupersededBy)
	}
	return fmt.Sprintf("Run %d of commit %s", r.SupersededBy, HumanSHA(r.SupersededBySHA))
}

// behind names the run that this one waits for.
func (r Run) behind() string {
	if r.BehindSHA == "" {
		return fmt.Sprintf("run %d", r.Behind)
	}
	return fmt.Sprintf("run %d (%s)", r.Behind, HumanSHA(r.BehindSHA))
}

func (r Run) failedBy() string {
	f := r.Trouble()
	if f.Code.NeedsPerson() {
		first, _, _ := strings.Cut(f.Message, "\n") // the rest is a list
		return "Refused: " + strings.TrimSuffix(first, ":")
	}
	state, _ := r.TwinLeft()
	if f.Phase == "" {
		return fmt.Sprintf("Failed: %s; Twin %s", f.Code.Words(), state)
	}
	return fmt.Sprintf("Failed in phase %s: %s; Twin %s", f.Phase, f.Code.Words(), state)
}

// At is the run's progress, with its phase filled in where only the run knows it.
func (r Run) At() Progress {
	p := r.Progress
	if p.Phase == "" {
		p.Phase = r.Phase
	}
	return p
}

// Trouble is the run's failure, and for a run that failed without one, words
// that say so.
func (r Run) Trouble() Failure {
	if r.Failure != nil {
		return *r.Failure
	}
	return Failure{
		Code: CodeInternal, Phase: r.Phase,
		Message: "the run ended without saying why", Next: "look into the service's log",
	}
}

// TwinLeft says what a run that has not succeeded left of the Twin, in a word
// and in a sentence. Where the answer to the publishing transaction was lost,
// both generations are possible; either is whole.
func (r Run) TwinLeft() (word, sentence string) {
	f := r.Trouble()
	switch {
	case f.Changed:
		return "incomplete", "Incomplete: it was being rebuilt in place. Don't use it before a run has succeeded."
	case f.Phase == Publish:
		return "intact", "Intact: it serves one whole generation, the one before this run or this run's."
	}
	return "unchanged", "Unchanged: it serves what it served before this run."
}

// TriedAgain says whether and when a run that has failed is tried again.
func (r Run) TriedAgain() string {
	switch {
	case r.State == Queued && r.NotBefore.IsZero():
		return r.nextAttempt() + " starts as soon as a worker is free."
	case r.State == Queued:
		return fmt.Sprintf("%s starts at %s.", r.nextAttempt(), HumanTime(r.NotBefore))
	case r.State == Failed && r.Trouble().Code.NeedsPerson():
		return "No: a person has to change something first."
	case r.State == Failed && r.MaxAttempts > 1 && r.Attempt >= r.MaxAttempts:
		return fmt.Sprintf("No: all %d attempts are used up.", r.MaxAttempts)
	}
	return "No, not by itself."
}

func (r Run) nextAttempt() string {
	if r.MaxAttempts <= 0 {
		return fmt.Sprintf("Attempt %d", r.Attempt+1)
	}
	return fmt.Sprintf("Attempt %d of %d", r.Attempt+1, r.MaxAttempts)
}

// Doing says what is going on, with numbers where there are any:
// "Copying 31 of 42 tables, 780 MB of 1.2 GB".
func (p Progress) Doing() string {
	switch {
	case p.Phase == Select && p.RowsDone > 0:
		return fmt.Sprintf("%s, %s found so far", p.Phase.Doing(), HumanPlural(p.RowsDone, "row"))
	case p.Phase == Load && p.TablesTotal > 0:
		s := fmt.Sprintf("Copying %d of %s", p.TablesDone, HumanPlural(int64(p.TablesTotal), "table"))
		if p.BytesDone > 0 {
			s += ", " + HumanOf(p.BytesDone, p.BytesTotal, HumanBytes)
		}
		return s
	case p.Phase == Index && p.IndexesTotal > 0:
		return fmt.Sprintf("Building %d of %s and keys", p.IndexesDone, HumanPlural(int64(p.IndexesTotal), "index"))
	}
	return p.Phase.Doing()
}

// CopyingLeft says at now how long the copying will take if it goes on as it
// went: "about 2 min". It is empty where too little is done, or too little is
// known, for that to mean something.
func (p Progress) CopyingLeft(now time.Time) string {
	took := now.Sub(p.PhaseStarted)
	if p.Phase != Load || p.PhaseStarted.IsZero() || took < 10*time.Second ||
		p.BytesTotal <= 0 || p.BytesDone*20 < p.BytesTotal || p.BytesDone >= p.BytesTotal {
		return ""
	}
	left := time.Duration(float64(took) * float64(p.BytesTotal-p.BytesDone) / float64(p.BytesDone))
	switch {
	case left < time.Minute:
		return "less than a minute"
	case left < 100*time.Minute:
		return fmt.Sprintf("about %d min", int(left.Round(time.Minute)/time.Minute))
	}
	return fmt.Sprintf("about %d h", int(left.Round(time.Hour)/time.Hour))
}
