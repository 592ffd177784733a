package github

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// The bodies of events hold of GitHub's what we read. They are written as well,
// for what no webhook told.
type (
	// envelope is what every event has.
	envelope struct {
		Action       string `json:"action,omitempty"`
		Installation struct {
			ID int64 `json:"id"`
		} `json:"installation"`
		Repository struct {
			ID    int64  `json:"id"`
			Name  string `json:"name"`
			Owner struct {
				Login string `json:"login"`
				Name  string `json:"name,omitempty"` // in some pushes in the place of login
			} `json:"owner"`
			DefaultBranch string    `json:"default_branch"`
			PushedAt      timestamp `json:"pushed_at,omitzero"`
		} `json:"repository"`
	}

	pullRequestBody struct {
		envelope
		Number      int       `json:"number"`
		PullRequest *pullBody `json:"pull_request"`
	}

	pullBody struct {
		Number         int       `json:"number"`
		Merged         bool      `json:"merged"`
		MergedAt       timestamp `json:"merged_at,omitzero"`
		MergeCommitSHA string    `json:"merge_commit_sha"`
		Head           struct {
			SHA string `json:"sha"`
		} `json:"head"`
		Base struct {
			Ref  string `json:"ref"`
			Repo struct {
				ID int64 `json:"id"`
			} `json:"repo"`
		} `json:"base"`
	}

	pushBody struct {
		envelope
		Ref     string       `json:"ref"`
		Before  string       `json:"before"`
		After   string       `json:"after"`
		Created bool         `json:"created"`
		Deleted bool         `json:"deleted"`
		Forced  bool         `json:"forced"`
		Commits []commitBody `json:"commits"`
	}

	checkBody struct {
		envelope
		CheckRun        *checkID `json:"check_run,omitempty"`
		CheckSuite      *checkID `json:"check_suite,omitempty"`
		RequestedAction struct {
			Identifier string `json:"identifier"`
		} `json:"requested_action,omitzero"`
		Sender struct {
			Login string `json:"login"`
		} `json:"sender"`
	}

	checkID struct {
		HeadSHA    string `json:"head_sha"`
		ExternalID string `json:"external_id"`
	}

	commitBody struct {
		Added    []string `json:"added"`
		Removed  []string `json:"removed"`
		Modified []string `json:"modified"`
	}
)

func newEnvelope(action string, repo twin.Repository) envelope {
	e := envelope{Action: action}
	e.Installation.ID = repo.InstallationID
	r := &e.Repository
	r.ID, r.Name, r.Owner.Login, r.DefaultBranch = repo.ID, repo.Name, repo.Owner, repo.DefaultBranch
	return e
}

// Body gives the body of the event which tells that a pull request was closed.
func (p PullRequest) Body(repo twin.Repository) []byte {
	v := pullBody{Number: p.Number, Merged: p.Merged, MergedAt: timestamp{p.MergedAt}, MergeCommitSHA: p.MergeCommitSHA}
	v.Head.SHA, v.Base.Ref, v.Base.Repo.ID = p.HeadSHA, p.BaseRef, p.BaseRepository
	return encode(pullRequestBody{newEnvelope("closed", repo), p.Number, &v})
}

// Body gives the body of the event which tells a push. Where not all paths are
// known it names none.
func (p Push) Body(repo twin.Repository) []byte {
	v := pushBody{
		envelope: newEnvelope("", repo), Ref: p.Ref, Before: p.Before, After: p.After,
		Created: p.Created, Deleted: p.Deleted, Forced: p.Forced, Commits: []commitBody{},
	}
	v.Repository.PushedAt.Time = p.PushedAt
	if p.Complete {
		v.Commits = append(v.Commits, commitBody{Modified: p.Paths})
	}
	return encode(v)
}

// Body gives the body of the check_run event which tells that one was asked for
// again.
func (r Rerequest) Body(repo twin.Repository) []byte {
	v := checkBody{envelope: newEnvelope("rerequested", repo), CheckRun: &checkID{r.HeadSHA, r.ExternalID}}
	v.Sender.Login = r.Sender
	return encode(v)
}

func encode(body any) []byte {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("github: write %T: %v", body, err)) // plain values always marshal
	}
	return text
}

// timestamp reads the forms in which GitHub writes a time, and writes the usual
// one, RFC 3339. One that it can't
// read is the zero time: no event is lost for a field that only orders.
type timestamp struct{ time.Time }

// UnmarshalJSON reads seconds since 1970, RFC 3339, or a date and a time with
// a space between.
func (t *timestamp) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
		t.Time = time.Unix(n, 0).UTC()
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04:05 MST"} {
		if at, err := time.Parse(layout, text); err == nil {
			t.Time = at.UTC()
			return nil
		}
	}
	return nil
}

// MarshalJSON never fails, whatever year it is.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, t.UTC().Format(time.RFC3339)), nil
}
