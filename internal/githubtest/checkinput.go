package githubtest

import (
	"fmt"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"
)

// checkInput is the body of a request that creates or changes a check run. A
// nil field was not sent.
type checkInput struct {
	Name        *string    `json:"name"`
	HeadSHA     *string    `json:"head_sha"`
	DetailsURL  *string    `json:"details_url"`
	ExternalID  *string    `json:"external_id"`
	Status      *string    `json:"status"`
	Conclusion  *string    `json:"conclusion"`
	StartedAt   *time.Time `json:"started_at"`
	CompletedAt *time.Time `json:"completed_at"`
	Output      *struct {
		Title       *string      `json:"title"`
		Summary     *string      `json:"summary"`
		Text        *string      `json:"text"`
		Annotations []Annotation `json:"annotations"`
	} `json:"output"`
	Actions *[]Action `json:"actions"`
}

var (
	checkStatuses    = []string{"queued", "in_progress", "completed"}
	checkConclusions = []string{
		"action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out",
	}
	annotationLevels = []string{"notice", "warning", "failure"}
)

// problem names the first field that GitHub would refuse, and why.
func (in *checkInput) problem() (field, why string) {
	switch {
	case in.Name != nil && *in.Name == "":
		return "name", "is empty"
	case in.Status != nil && !slices.Contains(checkStatuses, *in.Status):
		return "status", "is not a status that an App can set"
	case in.Conclusion != nil && !slices.Contains(checkConclusions, *in.Conclusion):
		return "conclusion", "is not a conclusion that an App can set"
	case in.Conclusion == nil && in.Status != nil && *in.Status == "completed":
		return "conclusion", "is required for a completed run"
	case in.Conclusion == nil && in.CompletedAt != nil:
		return "conclusion", "is required together with completed_at"
	case in.DetailsURL != nil && !absolute(*in.DetailsURL):
		return "details_url", "must use the http or https scheme"
	}
	if field, why = in.outputProblem(); field != "" {
		return field, why
	}
	return in.actionsProblem()
}

func absolute(link string) bool {
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func (in *checkInput) outputProblem() (field, why string) {
	o := in.Output
	switch {
	case o == nil:
		return "", ""
	case o.Title == nil || *o.Title == "":
		return "output.title", "is required"
	case o.Summary == nil:
		return "output.summary", "is required"
	case tooLong(o.Summary, 65535):
		return "output.summary", "is longer than 65535 characters"
	case tooLong(o.Text, 65535):
		return "output.text", "is longer than 65535 characters"
	case len(o.Annotations) > 50:
		return "output.annotations", "has more than 50 items"
	}
	for i, a := range o.Annotations {
		if why := a.problem(); why != "" {
			return fmt.Sprintf("output.annotations[%d]", i), why
		}
	}
	return "", ""
}

func tooLong(text *string, limit int) bool {
	return text != nil && utf8.RuneCountInString(*text) > limit
}

func (a Annotation) problem() string {
	switch {
	case a.Path == "" || a.Message == "":
		return "needs path and message"
	case a.StartLine < 1 || a.EndLine < a.StartLine:
		return "needs start_line and end_line, in order, counted from 1"
	case !slices.Contains(annotationLevels, a.Level):
		return "has no annotation_level of notice, warning or failure"
	case a.StartLine != a.EndLine && (a.StartColumn != nil || a.EndColumn != nil):
		return "has columns but spans lines"
	case len(a.Message) > 64<<10 || len(a.RawDetails) > 64<<10:
		return "has a message or raw_details over 64 KB"
	case tooLong(&a.Title, 255):
		return "has a title over 255 characters"
	}
	return ""
}

func (in *checkInput) actionsProblem() (field, why string) {
	if in.Actions == nil {
		return "", ""
	}
	if len(*in.Actions) > 3 {
		return "actions", "has more than 3 items"
	}
	for _, a := range *in.Actions {
		switch {
		case a.Label == "" || tooLong(&a.Label, 20):
			return "actions.label", "must have 1 to 20 characters"
		case a.Description == "" || tooLong(&a.Description, 40):
			return "actions.description", "must have 1 to 40 characters"
		case a.Identifier == "" || tooLong(&a.Identifier, 20):
			return "actions.identifier", "must have 1 to 20 characters"
		}
	}
	return "", ""
}

// apply changes a run as the input says. It reports whether the run was
// completed by it.
func (in *checkInput) apply(run *CheckRun, now time.Time) bool {
	was := run.Status
	for _, f := range []struct{ to, from *string }{
		{&run.Name, in.Name},
		{&run.DetailsURL, in.DetailsURL},
		{&run.ExternalID, in.ExternalID},
		{&run.Status, in.Status},
		{&run.Conclusion, in.Conclusion},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if in.StartedAt != nil {
		run.StartedAt = *in.StartedAt
	}
	if in.Conclusion != nil {
		run.Status = "completed"
		run.CompletedAt = &now
		if in.CompletedAt != nil {
			run.CompletedAt = in.CompletedAt
		}
	}
	if run.Status != "completed" {
		run.Conclusion, run.CompletedAt = "", nil
	}
	if o := in.Output; o != nil {
		run.Title, run.Summary = *o.Title, *o.Summary
		if o.Text != nil {
			run.Text = *o.Text
		}
		run.Annotations = append(run.Annotations, o.Annotations...)
	}
	if in.Actions != nil {
		run.Actions = *in.Actions
	}
	return was != "completed" && run.Status == "completed"
}
