package githubtest

import (
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// repositoryView is what the page of a repository shows.
type repositoryView struct {
	FullName   string
	Branch     string
	Head       string
	HeadTitle  string
	Token      string
	Proposes   bool
	OpenPulls  int
	Step       int        // of the three on top: where the newest merge stands
	Pulls      []pullView // newest first
	Panels     []Panel
	Deliveries []deliveryView
}

type pullView struct {
	FullName, Token string
	Number          int
	Title, Author   string
	Body            template.HTML
	State           string // Open, Merged or Closed
	Class           string
	From, Into      string
	HeadSHA         string
	Mergeable       bool
	Expanded        bool
	Files           []fileView
	FileCount       string
	Sections        []checkSection
	Verdict         string
}

type fileView struct {
	ID             string
	Path, Status   string
	Added, Removed int
	Lines          []diffLine
	Expanded       bool
}

type diffLine struct{ Class, Text string }

// checkSection is the checks of one commit.
type checkSection struct {
	Title, SHA, Empty string
	Checks            []checkView
}

type checkView struct {
	FullName, Token string
	ID              int64
	Name, Title     string
	Class, Word     string // success and "Successful", ...
	Percent         int    // below 0: unknown
	Took            string
	Details         string
	Summary, Text   template.HTML
	Rerun           bool
	Tells, Expanded bool // it has a summary; the summary is open
	Actions         []Action
}

type deliveryView struct {
	Time, Event, Answer, Took string
	Good, Again               bool
}

func (s *Server) repositoryView(r *repository) repositoryView {
	v := repositoryView{
		FullName: r.fullName(), Branch: r.DefaultBranch, Token: s.formKey, Proposes: s.opts.Propose != nil,
	}
	if c := r.Commits[r.Branches[r.DefaultBranch]]; c != nil {
		v.Head, v.HeadTitle = short(c.SHA), firstLine(c.Message)
	}
	merged := 0
	for _, p := range slices.Backward(r.Pulls) {
		expanded := p.State == "open"
		if p.State == "open" {
			v.OpenPulls++
		}
		if p.Merged {
			merged++
			expanded = merged == 1
		}
		pv := s.pullView(r, p)
		pv.Expanded = expanded
		if p.Merged && merged == 1 {
			v.Step = 2
			if pv.Verdict == "success" {
				v.Step = 3
			}
		}
		v.Pulls = append(v.Pulls, pv)
	}
	if v.OpenPulls > 0 && v.Step != 2 {
		v.Step = 1
	}
	for _, d := range slices.Backward(s.st.Deliveries) {
		if len(v.Deliveries) == 8 {
			break
		}
		if d.Repository == r.ID && d.Event != "check_run" && d.Event != "check_suite" {
			v.Deliveries = append(v.Deliveries, newDeliveryView(d))
		}
	}
	return v
}

func newDeliveryView(d *Delivery) deliveryView {
	v := deliveryView{
		Time: d.DeliveredAt.Local().Format("15:04:05"), Event: d.Event, Answer: d.Status,
		Took: max(d.Duration.Round(time.Millisecond), time.Millisecond).String(), Good: d.Status == "OK", Again: d.Redelivery,
	}
	if d.Action != "" {
		v.Event += "." + d.Action
	}
	if d.StatusCode != 0 {
		v.Answer = strconv.Itoa(d.StatusCode)
	}
	return v
}

func (s *Server) pullView(r *repository, p *PullRequest) pullView {
	v := pullView{
		FullName: r.fullName(), Token: s.formKey, Number: p.Number, Title: p.Title, Author: p.Author,
		Body: markdown(p.Body), State: "Open", Class: "open", From: p.HeadBranch, Into: p.BaseBranch,
		HeadSHA: short(p.HeadSHA), Mergeable: p.MergeSHA != "",
	}
	if p.HeadRepository != r.ID {
		v.From = s.headOwner(r, p) + ":" + p.HeadBranch
	}
	switch {
	case p.Merged:
		v.State, v.Class = "Merged", "merged"
	case p.State == "closed":
		v.State, v.Class = "Closed", "closed"
	}
	for _, ch := range r.pullChanges(p) {
		v.Files = append(v.Files, s.fileView(p, ch))
	}
	v.FileCount = plural(len(v.Files), "file") + " changed"
	head := checkSection{
		Title: "Checks", SHA: short(p.HeadSHA), Checks: s.checkViews(r, p.HeadSHA, true),
		Empty: "No checks yet. Merge the pull request, and they appear here.",
	}
	if p.Merged {
		head.Empty = "No check yet. It appears within seconds, unless no watched file changed."
	}
	v.Sections = []checkSection{head}
	if p.Merged && p.MergeSHA != p.HeadSHA {
		v.Sections = append(v.Sections, checkSection{
			Title: "Checks of the merge commit on " + p.BaseBranch, SHA: short(p.MergeSHA),
			Checks: s.checkViews(r, p.MergeSHA, false), Empty: "None yet.",
		})
	}
	v.Verdict = verdictOf(head.Checks)
	return v
}

// verdictOf is the class of the least good check.
func verdictOf(checks []checkView) string {
	worst := ""
	for _, class := range []string{"success", "neutral", "failure", "queued", "running"} {
		if slices.ContainsFunc(checks, func(c checkView) bool { return c.Class == class }) {
			worst = class
		}
	}
	return worst
}

func (s *Server) fileView(p *PullRequest, ch change) fileView {
	text, added, removed := s.st.patch(ch)
	v := fileView{
		ID: fmt.Sprintf("file-%d-%s", p.Number, objectID("path", []byte(ch.Path))[:8]), Path: ch.Path, Status: ch.Status,
		Added: added, Removed: removed, Expanded: p.State == "open" && added+removed <= 12,
	}
	all := strings.Split(text, "\n")
	for _, l := range all[:min(len(all), 200)] {
		class := map[byte]string{'+': "add", '-': "del", '@': "hunk"}[l[0]]
		v.Lines = append(v.Lines, diffLine{class, l})
	}
	return v
}

// checkViews shows the newest check run of each name. The summary is open on a
// pull request's head; on the merge commit it says the same again.
func (s *Server) checkViews(r *repository, sha string, onHead bool) []checkView {
	var out []checkView
	seen := map[string]bool{}
	for _, run := range slices.Backward(s.st.runsOf(r.ID, sha)) {
		if !seen[run.Name] {
			seen[run.Name] = true
			out = append(out, s.checkView(r, run, onHead))
		}
	}
	slices.SortFunc(out, func(a, b checkView) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s *Server) checkView(r *repository, run *CheckRun, onHead bool) checkView {
	v := checkView{
		FullName: r.fullName(), Token: s.formKey, ID: run.ID, Name: run.Name, Title: run.Title,
		Details: run.DetailsURL, Summary: markdown(run.Summary), Text: markdown(run.Text), Percent: -1,
	}
	v.Class, v.Word = outcome(run)
	if run.Status == "in_progress" {
		v.Percent = percent(run.Title)
	}
	if run.CompletedAt != nil {
		if took := run.CompletedAt.Sub(run.StartedAt).Round(time.Second); took > 0 {
			v.Took = took.String()
		}
		v.Rerun = run.AppID == s.st.App.ID
		v.Actions = run.Actions
	}
	v.Tells = run.Summary != "" || run.Text != ""
	v.Expanded = onHead && run.Status != "queued"
	return v
}

// outcome tells the state of a run as a CSS class and as a word.
func outcome(run *CheckRun) (class, word string) {
	switch run.Status {
	case "queued":
		return "queued", "Queued"
	case "in_progress":
		return "running", "In progress"
	}
	switch run.Conclusion {
	case "success":
		return "success", "Successful"
	case "neutral", "skipped", "cancelled":
		return "neutral", strings.ToUpper(run.Conclusion[:1]) + run.Conclusion[1:]
	case "timed_out":
		return "failure", "Timed out"
	case "action_required":
		return "failure", "Action required"
	}
	return "failure", "Failed"
}

var (
	percentRE = regexp.MustCompile(`(\d{1,3}) ?%`)
	ofRE      = regexp.MustCompile(`(\d+) of (\d+)`)
)

// percent reads progress out of a title such as "Copying 31 of 42 tables".
func percent(title string) int {
	if m := percentRE.FindStringSubmatch(title); m != nil {
		n, _ := strconv.Atoi(m[1]) // at most three digits
		return min(n, 100)
	}
	if m := ofRE.FindStringSubmatch(title); m != nil {
		done, err1 := strconv.Atoi(m[1])
		all, err2 := strconv.Atoi(m[2])
		if err1 == nil && err2 == nil && all > 0 {
			return min(100*done/all, 100)
		}
	}
	return -1
}
