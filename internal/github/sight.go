package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	gh "github.com/google/go-github/v60/github"

	"github.com/neontwin/neontwin/internal/twin"
)

// What is asked again and again is asked with the ETag of the answer before:
// "nothing has changed" is free of the hourly limit. An ETag is good for one
// token, so that the first answer of each hour comes whole.

// remembered is what was read of an answer, and its ETag.
type remembered struct {
	etag string
	body []byte
}

// memoryKey is what an answer was given to.
type memoryKey struct {
	client *gh.Client
	path   string
}

// maxMemory bounds the answers that are kept; beyond it all are dropped.
const maxMemory = 2000

// memory keeps answers with their ETags. The zero value is ready.
type memory struct {
	mu      sync.Mutex
	answers map[memoryKey]remembered
}

func (m *memory) get(key memoryKey) remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answers[key]
}

func (m *memory) put(key memoryKey, r remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers == nil || len(m.answers) >= maxMemory {
		m.answers = make(map[memoryKey]remembered)
	}
	m.answers[key] = r
}

// again reads JSON of a repository into v as get does, conditionally. It gives
// the time by GitHub's clock.
func (a *App) again(ctx context.Context, repo twin.Repository, path string, v any) (asOf time.Time, err error) {
	err = a.do(ctx, repo, func(ctx context.Context, c *gh.Client) error {
		req, err := c.NewRequest(http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		key := memoryKey{c, path}
		had := a.memory.get(key)
		if had.etag != "" {
			req.Header.Set("If-None-Match", had.etag)
		}
		resp, err := c.Do(ctx, req, v)
		if resp == nil {
			return err
		}
		if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			asOf = at.UTC()
		}
		if resp.StatusCode == http.StatusNotModified && had.etag != "" {
			return json.Unmarshal(had.body, v)
		}
		if err != nil || resp.Header.Get("ETag") == "" {
			return err
		}
		// Of an answer, which may have megabytes, only what we read is kept.
		body, err := json.Marshal(v)
		if err == nil {
			a.memory.put(key, remembered{resp.Header.Get("ETag"), body})
		}
		return err
	})
	return asOf, err
}

// Spare gives a twin.LaterError where an installation has few requests left in
// this hour. Who asks for what can wait asks here first.
func (a *App) Spare(installation int64) error { return a.gate(installation).spare() }

// Repository says how a repository stands now, whatever it was called before.
// One that the App can't see any more is twin.ErrUnreachable.
func (a *App) Repository(ctx context.Context, repo twin.Repository) (twin.Sight, error) {
	var b repositoryBody
	_, err := a.again(ctx, repo, repoPath(repo, ""), &b)
	// The token reaches this one repository alone. If its old name leads
	// nowhere, or to a successor, its id still leads to it.
	if statusOf(err) == http.StatusNotFound || err == nil && b.ID != repo.ID {
		b = repositoryBody{}
		_, err = a.again(ctx, repo, fmt.Sprintf("repositories/%d", repo.ID), &b)
		if statusOf(err) == http.StatusNotFound {
			err = fmt.Errorf("the repository has gone: %w: %w", twin.ErrUnreachable, err)
		}
	}
	if err == nil && b.ID != repo.ID {
		err = fmt.Errorf("GitHub answered with repository %d", b.ID)
	}
	var s twin.Sight
	if err == nil {
		s, err = b.sight(repo.InstallationID)
	}
	if err != nil {
		return twin.Sight{}, fmt.Errorf("look at repository %s: %w", repo.FullName(), err)
	}
	return s, nil
}

// Head is where a branch stands.
type Head struct {
	SHA string
	// Committed is when the commit was made, by the clock of who made it.
	Committed time.Time
	// AsOf is when GitHub said so, by its own clock.
	AsOf time.Time
}

// Head gives the head of a branch, conditionally. ErrNoBranch says that there
// is no such branch.
func (a *App) Head(ctx context.Context, repo twin.Repository, branch string) (Head, error) {
	var v struct {
		Commit struct {
			SHA    string `json:"sha"`
			Commit struct {
				Committer struct {
					Date timestamp `json:"date"`
				} `json:"committer"`
			} `json:"commit"`
		} `json:"commit"`
	}
	asOf, err := a.again(ctx, repo, repoPath(repo, "/branches/%s", escapePath(branch)), &v)
	if statusOf(err) == http.StatusNotFound {
		if err = a.gone(ctx, repo, err); statusOf(err) == http.StatusNotFound {
			err = fmt.Errorf("%w: %w", ErrNoBranch, err)
		}
	}
	if err == nil && !commitSHA.MatchString(v.Commit.SHA) {
		err = errors.New("GitHub named no commit")
	}
	if err != nil {
		return Head{}, fmt.Errorf("read branch of %s: %w", repo.FullName(), err)
	}
	if asOf.IsZero() {
		asOf = a.cfg.Now().UTC()
	}
	return Head{SHA: v.Commit.SHA, Committed: v.Commit.Commit.Committer.Date.Time, AsOf: asOf}, nil
}

// maxCompareFiles is how many files GitHub lists of a comparison.
const maxCompareFiles = 300

// Comparison is the way from one commit to another.
type Comparison struct {
	// Ahead is set where the way only adds commits; else the branch was moved
	// by force.
	Ahead bool
	// Paths are the files that differ, sorted; a renamed one is there twice.
	Paths []string
	// Complete is set where Paths is everything; GitHub cuts long lists.
	Complete bool
}

// Compare says what lies between two commits. One that GitHub does not know any
// more, as after a forced push, makes the way unknown.
func (a *App) Compare(ctx context.Context, repo twin.Repository, from, to string) (Comparison, error) {
	if !commitSHA.MatchString(from) || !commitSHA.MatchString(to) {
		return Comparison{}, errors.New("compare commits: not the full name of a commit")
	}
	var v struct {
		Status string           `json:"status"`
		Files  []*gh.CommitFile `json:"files"`
	}
	err := a.get(ctx, repo, repoPath(repo, "/compare/%s...%s?per_page=1", from, to), &v)
	if statusOf(err) == http.StatusNotFound {
		if err = a.gone(ctx, repo, err); statusOf(err) == http.StatusNotFound {
			return Comparison{}, nil
		}
	}
	if err != nil {
		return Comparison{}, fmt.Errorf("compare commits of %s: %w", repo.FullName(), err)
	}
	c := Comparison{Ahead: v.Status == "ahead", Complete: v.Status == "ahead" && len(v.Files) < maxCompareFiles}
	for _, f := range v.Files {
		c.Paths = append(c.Paths, f.GetFilename())
		if old := f.GetPreviousFilename(); old != "" {
			c.Paths = append(c.Paths, old)
		}
	}
	slices.Sort(c.Paths)
	c.Paths = slices.Compact(c.Paths)
	return c, nil
}

// Bounds of looking for merged pull requests. GitHub says so much of each that
// large pages would be large indeed.
const (
	mergedPerPage  = 50
	maxMergedPages = 5
)

// Merged lists the pull requests that were merged into a branch since a time,
// latest first. Of more than some hundred that were touched since only the
// latest are seen.
func (a *App) Merged(ctx context.Context, repo twin.Repository, branch string, since time.Time) ([]PullRequest, error) {
	var all []PullRequest
	for page := 1; page <= maxMergedPages; page++ {
		var list []struct {
			Number         int       `json:"number"`
			UpdatedAt      timestamp `json:"updated_at"`
			MergedAt       timestamp `json:"merged_at"`
			MergeCommitSHA string    `json:"merge_commit_sha"`
			Head           struct {
				SHA string `json:"sha"`
			} `json:"head"`
		}
		path := repoPath(repo, "/pulls?state=closed&sort=updated&direction=desc&per_page=%d&base=%s&page=%d", mergedPerPage, url.QueryEscape(branch), page)
		if _, err := a.again(ctx, repo, path, &list); err != nil {
			if statusOf(err) == http.StatusNotFound {
				err = a.gone(ctx, repo, err)
			}
			return nil, fmt.Errorf("list pull requests of %s: %w", repo.FullName(), err)
		}
		older := false
		for _, p := range list {
			older = older || p.UpdatedAt.Before(since)
			if p.MergedAt.IsZero() || p.MergedAt.Before(since) || !commitSHA.MatchString(p.MergeCommitSHA) || !commitSHA.MatchString(p.Head.SHA) {
				continue
			}
			all = append(all, PullRequest{
				Number: p.Number, Merged: true, MergedAt: p.MergedAt.Time, BaseRef: branch, BaseRepository: repo.ID,
				HeadSHA: p.Head.SHA, MergeCommitSHA: p.MergeCommitSHA,
			})
		}
		if older || len(list) < mergedPerPage {
			break
		}
	}
	slices.SortStableFunc(all, func(x, y PullRequest) int { return y.MergedAt.Compare(x.MergedAt) })
	return all, nil
}
