package githubtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Installation is the App installed on one account.
type Installation struct {
	ID           int64
	Owner        string
	Repositories []int64 // nil means all
	Permissions  map[string]string
	Events       []string
	CreatedAt    time.Time
	UpdatedAt    time.Time
	SuspendedAt  *time.Time
}

// Install installs the App on an owner: on all of its repositories, or on the
// named ones (without the owner). It sends installation.created.
func (s *Server) Install(owner string, repositories ...string) (Installation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.st.installed(owner) != nil {
		return Installation{}, fmt.Errorf("install on %s: it is installed already", owner)
	}
	ids, err := s.st.repositoryIDs(owner, repositories)
	if err != nil {
		return Installation{}, err
	}
	in := &Installation{
		ID: s.st.id(), Owner: s.st.account(owner, "Organization").Login, Repositories: ids,
		Permissions: maps.Clone(s.st.App.Permissions), Events: slices.Clone(s.st.App.Events),
		CreatedAt: s.now(), UpdatedAt: s.now(),
	}
	s.st.Installations[in.ID] = in
	s.queue(s.installationEvent(in, "created", obj{
		"repositories": s.repositoryStubs(s.st.repositoriesOf(in)), "requester": nil,
	}))
	return *in, nil
}

// Uninstall removes the App from an owner and sends installation.deleted.
func (s *Server) Uninstall(owner string) error {
	return s.changeInstallation(owner, func(in *Installation) {
		s.queue(s.installationEvent(in, "deleted", obj{
			"repositories": s.repositoryStubs(s.st.repositoriesOf(in)),
		}))
		delete(s.st.Installations, in.ID)
	})
}

// Suspend takes the App's access to an owner away and sends
// installation.suspend. While it is suspended no other event is sent.
func (s *Server) Suspend(owner string) error {
	return s.changeInstallation(owner, func(in *Installation) {
		now := s.now()
		in.SuspendedAt = &now
		s.queue(s.installationEvent(in, "suspend", nil))
	})
}

// Unsuspend gives it back and sends installation.unsuspend.
func (s *Server) Unsuspend(owner string) error {
	return s.changeInstallation(owner, func(in *Installation) {
		in.SuspendedAt = nil
		s.queue(s.installationEvent(in, "unsuspend", nil))
	})
}

// AcceptPermissions gives an installation the permissions named and sends
// installation.new_permissions_accepted.
func (s *Server) AcceptPermissions(owner string, permissions map[string]string) error {
	return s.changeInstallation(owner, func(in *Installation) {
		in.Permissions = maps.Clone(permissions)
		s.queue(s.installationEvent(in, "new_permissions_accepted", nil))
	})
}

// SelectRepositories restricts an installation to the named repositories
// (without the owner) and sends installation_repositories.
func (s *Server) SelectRepositories(owner string, repositories ...string) error {
	if len(repositories) == 0 {
		return errors.New("select repositories: none named")
	}
	s.mu.Lock()
	ids, err := s.st.repositoryIDs(owner, repositories)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.changeInstallation(owner, func(in *Installation) {
		before := s.st.repositoriesOf(in)
		in.Repositories = ids
		after := s.st.repositoriesOf(in)
		added, removed := minus(after, before), minus(before, after)
		more := func() obj {
			return obj{
				"repository_selection": "selected", "requester": nil,
				"repositories_added":   s.repositoryStubs(added),
				"repositories_removed": s.repositoryStubs(removed),
			}
		}
		if len(added) > 0 {
			s.queue(s.installationMessage(in, "installation_repositories", "added", more()))
		}
		if len(removed) > 0 {
			s.queue(s.installationMessage(in, "installation_repositories", "removed", more()))
		}
	})
}

func (s *Server) changeInstallation(owner string, change func(*Installation)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.st.installed(owner)
	if in == nil {
		return fmt.Errorf("find installation of %s: there is none", owner)
	}
	in.UpdatedAt = s.now()
	change(in)
	s.touch()
	return nil
}

// installed finds the installation of an owner, or nil.
func (st *state) installed(owner string) *Installation {
	for _, in := range st.Installations {
		if strings.EqualFold(in.Owner, owner) {
			return in
		}
	}
	return nil
}

// covers reports whether the installation reaches the repository.
func (in *Installation) covers(r *repository) bool {
	return strings.EqualFold(in.Owner, r.Owner) &&
		(in.Repositories == nil || slices.Contains(in.Repositories, r.ID))
}

// repositoriesOf lists what an installation reaches, by id.
func (st *state) repositoriesOf(in *Installation) []*repository {
	var out []*repository
	for _, id := range slices.Sorted(maps.Keys(st.Repositories)) {
		if in.covers(st.Repositories[id]) {
			out = append(out, st.Repositories[id])
		}
	}
	return out
}

func (st *state) repositoryIDs(owner string, names []string) ([]int64, error) {
	var ids []int64
	for _, n := range names {
		r, err := st.named(owner + "/" + n)
		if err != nil {
			return nil, err
		}
		ids = append(ids, r.ID)
	}
	return ids, nil
}

func minus(a, b []*repository) []*repository {
	return slices.DeleteFunc(slices.Clone(a), func(r *repository) bool { return slices.Contains(b, r) })
}
