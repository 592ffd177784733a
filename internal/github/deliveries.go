package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	gh "github.com/google/go-github/v60/github"

	"github.com/neontwin/neontwin/internal/twin"
)

// asApp makes one call as the App itself and reads the answer into v, if v is
// not nil. It gives the cursor of the page that follows, if there is one.
func (a *App) asApp(ctx context.Context, method, path string, v any) (cursor string, err error) {
	c := a.client(a.appsTransport(a.own))
	req, err := c.NewRequest(method, path, nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(ctx, req, v)
	// The library takes 202 for an error.
	if accepted := (*gh.AcceptedError)(nil); errors.As(err, &accepted) {
		return "", nil
	}
	if err := mapError(err); err != nil {
		return "", err
	}
	return resp.Cursor, nil
}

// Attempts lists a page of the attempts to deliver the App's webhooks, newest
// first: the first page for an empty cursor. next is the cursor of the page
// that follows, empty on the last. GitHub shows three days.
//
// GitHub can filter by status, but what it calls a failure is an answer of 400
// and above: it leaves out what found nobody, or waited in vain. So all are read.
func (a *App) Attempts(ctx context.Context, cursor string) (list []twin.Attempt, next string, err error) {
	path := "app/hook/deliveries?per_page=100"
	if cursor != "" {
		path += "&cursor=" + url.QueryEscape(cursor)
	}
	var items []struct {
		ID             int64     `json:"id"`
		GUID           string    `json:"guid"`
		DeliveredAt    time.Time `json:"delivered_at"`
		Status         string    `json:"status"`
		StatusCode     int       `json:"status_code"`
		Event          string    `json:"event"`
		Action         *string   `json:"action"`
		InstallationID *int64    `json:"installation_id"`
	}
	next, err = a.asApp(ctx, http.MethodGet, path, &items)
	if err != nil {
		return nil, "", fmt.Errorf("list deliveries: %w", err)
	}
	for _, d := range items {
		t := twin.Attempt{ID: d.ID, GUID: d.GUID, Event: d.Event, At: d.DeliveredAt.UTC()}
		t.OK = d.Status == "OK" || d.StatusCode >= 200 && d.StatusCode < 300
		if d.Action != nil {
			t.Action = *d.Action
		}
		if d.InstallationID != nil {
			t.InstallationID = *d.InstallationID
		}
		list = append(list, t)
	}
	return list, next, nil
}

// Redeliver asks GitHub to deliver a webhook again: the one of an attempt, under
// the same GUID. That it will is all that GitHub says. An attempt that GitHub
// does not show any more is twin.ErrUnreachable.
func (a *App) Redeliver(ctx context.Context, attempt int64) error {
	done, err := a.own.write(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = a.asApp(ctx, http.MethodPost, fmt.Sprintf("app/hook/deliveries/%d/attempts", attempt), nil)
	switch {
	case err == nil:
		return nil
	case statusOf(err) == http.StatusNotFound, statusOf(err) == http.StatusUnprocessableEntity:
		err = fmt.Errorf("%w: %w", twin.ErrUnreachable, err)
	}
	return fmt.Errorf("ask for delivery %d again: %w", attempt, err)
}

// Installation says how an installation of the App stands. One that does not
// exist any more is twin.ErrUnreachable.
func (a *App) Installation(ctx context.Context, id int64) (twin.Installation, error) {
	var v struct {
		ID          int64      `json:"id"`
		SuspendedAt *time.Time `json:"suspended_at"`
	}
	_, err := a.asApp(ctx, http.MethodGet, fmt.Sprintf("app/installations/%d", id), &v)
	if statusOf(err) == http.StatusNotFound {
		err = fmt.Errorf("%w: %w", twin.ErrUnreachable, err)
	}
	if err == nil && v.ID != id {
		err = fmt.Errorf("GitHub answered with installation %d", v.ID)
	}
	if err != nil {
		return twin.Installation{}, fmt.Errorf("read installation %d: %w", id, err)
	}
	return twin.Installation{ID: id, Suspended: v.SuspendedAt != nil}, nil
}

// repositoryBody is what we read of a repository.
type repositoryBody struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Owner struct {
		Login string `json:"login"`
	} `json:"owner"`
	DefaultBranch string `json:"default_branch"`
	Archived      bool   `json:"archived"`
}

func (b repositoryBody) sight(installation int64) (twin.Sight, error) {
	s := twin.Sight{
		Repository: twin.Repository{
			InstallationID: installation, ID: b.ID, Owner: b.Owner.Login, Name: b.Name, DefaultBranch: b.DefaultBranch,
		},
		Archived: b.Archived,
	}
	if b.ID <= 0 || !validName(b.Owner.Login) || !validName(b.Name) || b.DefaultBranch == "" {
		return s, errors.New("GitHub does not say all of the repository")
	}
	return s, nil
}

// Find looks for a repository by its name. twin.ErrUnreachable says that the
// App is not installed there, or suspended.
func (a *App) Find(ctx context.Context, owner, name string) (twin.Sight, error) {
	s, err := a.find(ctx, owner, name)
	if err != nil {
		return twin.Sight{}, fmt.Errorf("find repository %s/%s: %w", owner, name, err)
	}
	return s, nil
}

func (a *App) find(ctx context.Context, owner, name string) (twin.Sight, error) {
	if !validName(owner) || !validName(name) {
		return twin.Sight{}, errors.New("no repository can have that name")
	}
	var in struct {
		ID          int64      `json:"id"`
		SuspendedAt *time.Time `json:"suspended_at"`
	}
	_, err := a.asApp(ctx, http.MethodGet, "repos/"+owner+"/"+name+"/installation", &in)
	switch {
	case statusOf(err) == http.StatusNotFound:
		return twin.Sight{}, fmt.Errorf("%w: %w", twin.ErrUnreachable, err)
	case err != nil:
		return twin.Sight{}, err
	case in.SuspendedAt != nil:
		return twin.Sight{}, fmt.Errorf("the App is suspended: %w", twin.ErrUnreachable)
	}
	// A token for the repository by name tells the repository itself.
	c := a.client(a.appsTransport(a.gate(in.ID)))
	req, err := c.NewRequest(http.MethodPost, fmt.Sprintf("app/installations/%d/access_tokens", in.ID), map[string]any{
		"repositories": []string{name}, "permissions": map[string]string{"metadata": "read"},
	})
	if err != nil {
		return twin.Sight{}, err
	}
	var minted struct {
		Repositories []repositoryBody `json:"repositories"`
	}
	_, err = c.Do(ctx, req, &minted)
	err = mapError(err)
	switch s := statusOf(err); {
	case s == http.StatusNotFound, s == http.StatusForbidden, s == http.StatusUnprocessableEntity:
		return twin.Sight{}, fmt.Errorf("%w: %w", twin.ErrUnreachable, err)
	case err != nil:
		return twin.Sight{}, err
	case len(minted.Repositories) != 1:
		return twin.Sight{}, fmt.Errorf("GitHub named %d repositories in place of one", len(minted.Repositories))
	}
	return minted.Repositories[0].sight(in.ID)
}
