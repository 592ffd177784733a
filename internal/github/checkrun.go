package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	gh "github.com/google/go-github/v60/github"

	"github.com/neontwin/neontwin/internal/twin"
)

// What GitHub takes of a check run at most, in characters.
const (
	maxTitle = 255
	maxText  = 65535
)

// CheckRun is what a check run says. Name, HeadSHA and ExternalID are what it
// is found again by; they never change.
type CheckRun struct {
	Name       string
	HeadSHA    string
	ExternalID string
	DetailsURL string // absolute, or empty
	Status     string // queued, in_progress, completed
	Conclusion string // only with completed
	Title      string
	Summary    string // Markdown
	Text       string // Markdown

	StartedAt   time.Time // zero: not said
	CompletedAt time.Time // zero: not said

	// Buttons are shown once it is completed; three at most. Those that were
	// sent stay.
	Buttons []Button
}

// Button is one that a person may press. GitHub takes 20 characters of its label,
// 40 of its description and 20 of its identifier, which Rerequest reads.
type Button struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Identifier  string `json:"identifier"`
}

// SyncNow identifies the button that asks for another sync.
const SyncNow = "sync_now"

// checkRunBody is a check run as it is sent. The library's own type for
// changes has no started_at and would send an empty name.
type checkRunBody struct {
	Name        string         `json:"name,omitempty"`
	HeadSHA     string         `json:"head_sha,omitempty"`
	ExternalID  string         `json:"external_id,omitempty"`
	DetailsURL  string         `json:"details_url,omitempty"`
	Status      string         `json:"status,omitempty"`
	Conclusion  string         `json:"conclusion,omitempty"`
	StartedAt   *time.Time     `json:"started_at,omitempty"`
	CompletedAt *time.Time     `json:"completed_at,omitempty"`
	Output      *checkRunWords `json:"output,omitempty"`
	Actions     []Button       `json:"actions,omitempty"`
}

type checkRunWords struct {
	Title   string `json:"title"`
	Summary string `json:"summary"`
	Text    string `json:"text,omitempty"`
}

// body makes what is sent. What GitHub would refuse a whole report for (a
// relative address, too long a text) is left out or cut: a report with less is
// better than none.
func (c CheckRun) body() (checkRunBody, error) {
	switch {
	case (c.Status == "completed") != (c.Conclusion != ""):
		return checkRunBody{}, errors.New("a check run has a conclusion if, and only if, it is completed")
	case c.Name == "":
		return checkRunBody{}, errors.New("a check run needs a name")
	}
	b := checkRunBody{
		Name: c.Name, ExternalID: c.ExternalID, Status: c.Status, Conclusion: c.Conclusion,
		StartedAt: moment(c.StartedAt), CompletedAt: moment(c.CompletedAt), Actions: c.Buttons,
	}
	if u, err := url.Parse(c.DetailsURL); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		b.DetailsURL = c.DetailsURL
	}
	if c.Title != "" || c.Summary != "" || c.Text != "" {
		b.Output = &checkRunWords{
			Title:   cut(cmp.Or(c.Title, c.Name), maxTitle),
			Summary: cut(cmp.Or(c.Summary, c.Title, c.Name), maxText), // GitHub wants both
			Text:    cut(c.Text, maxText),
		}
	}
	return b, nil
}

// moment is a time as GitHub reads it, or nil.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// cut shortens a text to a number of bytes, which is never more characters,
// at the beginning of a character, and says so where there is room.
func cut(s string, most int) string {
	const note = "\n\n(cut here: the text is longer than GitHub takes)"
	if len(s) <= most {
		return s
	}
	tail := "..."
	if most > 10*len(note) {
		tail = note
	}
	end := most - len(tail)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + tail
}

// CreateCheckRun opens a check run and gives its id. Where the outcome is
// unknown (a broken connection), FindCheckRun tells whether there is one: a
// second call would open a second. A commit that GitHub does not show yet is a
// twin.LaterError of ErrNoCommit.
func (a *App) CreateCheckRun(ctx context.Context, repo twin.Repository, run CheckRun) (id int64, err error) {
	b, err := run.body()
	if err != nil {
		return 0, fmt.Errorf("open check run: %w", err)
	}
	b.HeadSHA = run.HeadSHA
	var v struct {
		ID int64 `json:"id"`
	}
	err = a.send(ctx, repo, http.MethodPost, repoPath(repo, "/check-runs"), b, &v)
	if statusOf(err) == http.StatusNotFound || noCommit(err) {
		err = a.notShown(ctx, repo, ErrNoCommit, err)
	}
	if err != nil {
		return 0, fmt.Errorf("open check run on %s: %w", repo.FullName(), err)
	}
	if v.ID == 0 {
		return 0, fmt.Errorf("open check run on %s: GitHub named no id", repo.FullName())
	}
	return v.ID, nil
}

// UpdateCheckRun says anew what a check run says. One that GitHub does not
// show is a twin.LaterError of ErrNoCheckRun: it may be too new to be seen
// everywhere, or gone.
func (a *App) UpdateCheckRun(ctx context.Context, repo twin.Repository, id int64, run CheckRun) error {
	b, err := run.body()
	if err != nil {
		return fmt.Errorf("change check run: %w", err)
	}
	err = a.send(ctx, repo, http.MethodPatch, repoPath(repo, "/check-runs/%d", id), b, nil)
	if statusOf(err) == http.StatusNotFound {
		err = a.notShown(ctx, repo, ErrNoCheckRun, err)
	}
	if err != nil {
		return fmt.Errorf("change check run %d on %s: %w", id, repo.FullName(), err)
	}
	return nil
}

// send writes JSON to a repository and reads the answer into v, if v is not nil.
func (a *App) send(ctx context.Context, repo twin.Repository, method, path string, body, v any) error {
	return a.doWrite(ctx, repo, func(ctx context.Context, c *gh.Client) error {
		req, err := c.NewRequest(method, path, body)
		if err != nil {
			return err
		}
		_, err = c.Do(ctx, req, v)
		return err
	})
}

// FindCheckRun looks for our own check run on a commit by its name and by one
// of the exact external ids that it may have. Of several, made by a repeated
// call, it gives the newest, which is the one that GitHub shows.
func (a *App) FindCheckRun(ctx context.Context, repo twin.Repository, sha, name string, externalIDs ...string) (id int64, found bool, err error) {
	if len(externalIDs) == 0 || slices.Contains(externalIDs, "") {
		return 0, false, errors.New("find check run: no external id")
	}
	for page := 1; page != 0; {
		var list *gh.ListCheckRunsResults
		next := 0
		err := a.do(ctx, repo, func(ctx context.Context, c *gh.Client) error {
			l, resp, err := c.Checks.ListCheckRunsForRef(ctx, repo.Owner, repo.Name, sha, &gh.ListCheckRunsOptions{
				CheckName: gh.String(name), Filter: gh.String("all"), AppID: gh.Int64(a.cfg.AppID),
				ListOptions: gh.ListOptions{Page: page, PerPage: 100},
			})
			if err == nil {
				list, next = l, resp.NextPage
			}
			return err
		})
		if statusOf(err) == http.StatusNotFound || noCommit(err) {
			err = a.notShown(ctx, repo, ErrNoCommit, err)
		}
		if err != nil {
			return 0, false, fmt.Errorf("find check run on %s: %w", repo.FullName(), err)
		}
		for _, c := range list.CheckRuns {
			if slices.Contains(externalIDs, c.GetExternalID()) && c.GetName() == name && c.GetApp().GetID() == a.cfg.AppID && c.GetID() > id {
				id, found = c.GetID(), true
			}
		}
		if next <= page {
			break
		}
		page = next
	}
	return id, found, nil
}

// Identity is what GitHub knows of the App.
type Identity struct {
	ID          int64             `json:"id"`
	Slug        string            `json:"slug"`
	Name        string            `json:"name"`
	Permissions map[string]string `json:"permissions"`
	Events      []string          `json:"events"`
	// ClockAhead is how far this machine's clock is ahead of GitHub's. Half a
	// minute ahead or a minute and a half behind, and no key is accepted.
	ClockAhead time.Duration `json:"-"`
}

// Check asks GitHub who the App is: that the id and the key fit.
func (a *App) Check(ctx context.Context) (Identity, error) {
	c := a.client(a.appsTransport(a.own))
	req, err := c.NewRequest(http.MethodGet, "app", nil)
	if err != nil {
		return Identity{}, fmt.Errorf("ask for the App: %w", err)
	}
	var id Identity
	resp, err := c.Do(ctx, req, &id)
	if err := mapError(err); err != nil {
		return Identity{}, fmt.Errorf("ask for the App: %w", err)
	}
	if id.ID != a.cfg.AppID {
		return Identity{}, fmt.Errorf("ask for the App: the key belongs to App %d, not %d", id.ID, a.cfg.AppID)
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		id.ClockAhead = a.cfg.Now().Sub(at).Truncate(time.Second)
	}
	return id, nil
}
