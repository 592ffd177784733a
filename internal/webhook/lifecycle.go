package webhook

import (
	"context"
	"fmt"
	"strings"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/twin"
)

// lifecycle reports whether an event tells that the standing of an installation
// or a repository has changed.
func lifecycle(event, action string) bool {
	switch event {
	case "installation":
		switch action {
		case "created", "deleted", "suspend", "unsuspend", "new_permissions_accepted":
			return true
		}
	case "installation_repositories":
		return action == "added" || action == "removed"
	case "installation_target":
		return action == "renamed"
	case "repository":
		switch action {
		case "renamed", "transferred", "deleted", "archived", "unarchived", "edited", "privatized", "publicized":
			return true
		}
	}
	return false
}

// ofInstallation reports whether an event is about an installation and names no
// repository.
func ofInstallation(event string) bool { return strings.HasPrefix(event, "installation") }

// aboutLifecycle says whose standing has changed. It does not say how: events
// come late and in any order, so that only GitHub itself can say what is true.
func aboutLifecycle(ev github.Event) *twin.Changed {
	c := &twin.Changed{InstallationID: ev.InstallationID}
	switch ev.Name + "." + ev.Action {
	case "installation.created", "installation.unsuspend", "installation.new_permissions_accepted",
		"installation_repositories.added", "repository.unarchived":
		c.Returned = true
	}
	if ev.Name == "repository" {
		c.Repo = ev.Repository
	}
	return c
}

// knownAs are the names under which the operator may have given a repository
// something: its name, and earlier names of the same repository under the same
// owner. A repository that is renamed keeps what it was given; one that passes
// to another owner does not, and whoever takes over a name gets nothing with it.
type knownAs struct {
	names []string
	// taken is set where the present name was first used by another repository.
	taken bool
}

// knownAs gives the names of a repository. Its present one, if the operator wrote
// it, is pinned to the repository that comes with it first.
func (p *Processor) knownAs(ctx context.Context, repo twin.Repository) (n knownAs, err error) {
	now := strings.ToLower(repo.FullName())
	if p.policy.knows(now) {
		bound, err := p.binder.Bind(ctx, now, repo.ID)
		if err != nil {
			return knownAs{}, fmt.Errorf("bind %s: %w", repo.FullName(), err)
		}
		n.taken = bound != repo.ID
	}
	if !n.taken {
		n.names = append(n.names, now)
	}
	earlier, err := p.binder.BoundNames(ctx, repo.ID)
	if err != nil {
		return knownAs{}, fmt.Errorf("look for names of %s: %w", repo.FullName(), err)
	}
	for _, name := range earlier {
		if owner, _, _ := strings.Cut(name, "/"); name != now && strings.EqualFold(owner, repo.Owner) {
			n.names = append(n.names, name)
		}
	}
	return n, nil
}
