package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	gh "github.com/google/go-github/v60/github"

	"github.com/neontwin/neontwin/internal/twin"
)

// MaxFile is how large a file is read, in bytes.
const MaxFile = 64 << 10

// maxPullFiles is how many files GitHub lists of a pull request.
const maxPullFiles = 3000

// File reads a file of a repository at a commit or branch. ErrNoFile says that
// the file is not there, ErrFileTooLarge that it is above MaxFile. A commit
// that GitHub does not show (yet) is a twin.LaterError of ErrNoCommit, as a
// file missing from a commit must not be confused with a commit not seen.
func (a *App) File(ctx context.Context, repo twin.Repository, path, ref string) ([]byte, error) {
	var data []byte
	err := a.do(ctx, repo, func(ctx context.Context, c *gh.Client) error {
		u := repoPath(repo, "/contents/%s?ref=%s", escapePath(path), url.QueryEscape(ref))
		req, err := c.NewRequest(http.MethodGet, u, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", "application/vnd.github.raw+json")
		resp, err := c.BareDo(ctx, req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		data, err = io.ReadAll(io.LimitReader(resp.Body, MaxFile+1))
		return err
	})
	if statusOf(err) == http.StatusNotFound {
		err = a.missing(ctx, repo, ref, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", path, repo.FullName(), err)
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("read %s of %s: %w", path, repo.FullName(), ErrFileTooLarge)
	}
	return data, nil
}

// missing finds out what a 404 for something at a ref means: that the thing is
// not there, that the commit is not shown, or that the repository has gone.
func (a *App) missing(ctx context.Context, repo twin.Repository, ref string, cause error) error {
	if !noCommit(cause) {
		what := ""
		if commitSHA.MatchString(ref) {
			what = "/commits/" + ref + "?per_page=1" // of its files, which nobody reads
		}
		err := a.get(ctx, repo, repoPath(repo, "%s", what), nil)
		if err == nil {
			return ErrNoFile
		}
		if s := statusOf(err); s != http.StatusNotFound && s != http.StatusUnprocessableEntity {
			return err
		}
	}
	return a.notShown(ctx, repo, ErrNoCommit, cause)
}

// notShown gives the error for something that GitHub does not show, ErrNoCommit
// or ErrNoCheckRun, if the repository itself answers, and else
// twin.ErrUnreachable.
func (a *App) notShown(ctx context.Context, repo twin.Repository, what, cause error) error {
	switch err := a.get(ctx, repo, repoPath(repo, ""), nil); {
	case err == nil:
		return &twin.LaterError{At: a.cfg.Now().Add(notShownPause), Err: fmt.Errorf("%w: %w", what, cause)}
	case statusOf(err) == http.StatusNotFound:
		return fmt.Errorf("the repository has gone: %w: %w", twin.ErrUnreachable, err)
	default:
		return err
	}
}

// noCommit reports whether an answer says that a commit is not known.
func noCommit(err error) bool {
	var e *answerError
	return errors.As(err, &e) && strings.Contains(strings.ToLower(e.message), "no commit found")
}

// get reads JSON of a repository into v, if v is not nil.
func (a *App) get(ctx context.Context, repo twin.Repository, path string, v any) error {
	return a.do(ctx, repo, func(ctx context.Context, c *gh.Client) error {
		req, err := c.NewRequest(http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		_, err = c.Do(ctx, req, v)
		return err
	})
}

// PullRequestFiles lists the files that a pull request changes, sorted; a
// renamed file comes under both its names. The list is complete unless GitHub
// has cut it.
func (a *App) PullRequestFiles(ctx context.Context, repo twin.Repository, number int) (paths []string, complete bool, err error) {
	n := 0
	for page := 1; page != 0; {
		var files []*gh.CommitFile
		next := 0
		err := a.do(ctx, repo, func(ctx context.Context, c *gh.Client) error {
			list, resp, err := c.PullRequests.ListFiles(ctx, repo.Owner, repo.Name, number,
				&gh.ListOptions{Page: page, PerPage: 100})
			if err == nil {
				files, next = list, resp.NextPage
			}
			return err
		})
		if statusOf(err) == http.StatusNotFound {
			err = a.gone(ctx, repo, err)
		}
		if err != nil {
			return nil, false, fmt.Errorf("list files of pull request %d of %s: %w", number, repo.FullName(), err)
		}
		for _, f := range files {
			paths = append(paths, f.GetFilename())
			if old := f.GetPreviousFilename(); old != "" {
				paths = append(paths, old)
			}
		}
		n += len(files)
		if next <= page {
			break
		}
		page = next
	}
	slices.Sort(paths)
	return slices.Compact(paths), n < maxPullFiles, nil
}

// BranchHead gives the commit that a branch is at.
func (a *App) BranchHead(ctx context.Context, repo twin.Repository, branch string) (string, error) {
	var v struct {
		Commit struct {
			SHA string `json:"sha"`
		} `json:"commit"`
	}
	err := a.get(ctx, repo, repoPath(repo, "/branches/%s", escapePath(branch)), &v)
	if statusOf(err) == http.StatusNotFound {
		err = a.gone(ctx, repo, err)
	}
	if err != nil {
		return "", fmt.Errorf("read branch of %s: %w", repo.FullName(), err)
	}
	if !commitSHA.MatchString(v.Commit.SHA) {
		return "", fmt.Errorf("read branch of %s: GitHub named no commit", repo.FullName())
	}
	return v.Commit.SHA, nil
}

// Order says how one commit lies to another: after it (1), before it (-1), or
// neither (0): in lines of their own, as after a forced push, or the same.
func (a *App) Order(ctx context.Context, repo twin.Repository, one, other string) (int, error) {
	if !commitSHA.MatchString(one) || !commitSHA.MatchString(other) {
		return 0, errors.New("compare commits: not the full name of a commit")
	}
	var v struct {
		Status string `json:"status"`
	}
	err := a.get(ctx, repo, repoPath(repo, "/compare/%s...%s?per_page=1", other, one), &v)
	if statusOf(err) == http.StatusNotFound || noCommit(err) {
		err = a.notShown(ctx, repo, ErrNoCommit, err)
	}
	if err != nil {
		return 0, fmt.Errorf("compare commits of %s: %w", repo.FullName(), err)
	}
	switch v.Status {
	case "ahead":
		return 1, nil
	case "behind":
		return -1, nil
	}
	return 0, nil
}

// gone makes a 404 twin.ErrUnreachable where the repository itself does not
// answer any more; else it stays what it was.
func (a *App) gone(ctx context.Context, repo twin.Repository, cause error) error {
	err := a.get(ctx, repo, repoPath(repo, ""), nil)
	if statusOf(err) == http.StatusNotFound {
		return fmt.Errorf("the repository has gone: %w: %w", twin.ErrUnreachable, err)
	}
	if err != nil {
		return err
	}
	return cause
}

// escapePath escapes a path with its slashes kept.
func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// messageOf reads the message of an error that GitHub answered with.
func messageOf(r io.Reader) string {
	var v struct {
		Message string `json:"message"`
	}
	if err := json.NewDecoder(io.LimitReader(r, 64<<10)).Decode(&v); err != nil {
		return "no message"
	}
	return v.Message
}
