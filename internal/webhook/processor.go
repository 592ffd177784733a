package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/spec"
	"github.com/neontwin/neontwin/internal/twin"
)

// commitGrace is how long a commit that GitHub tells of may stay unseen.
const commitGrace = 2 * time.Minute

// GitHub is what has to be asked to understand a change.
type GitHub interface {
	// File reads a file at a commit; see github.App for its errors.
	File(ctx context.Context, repo twin.Repository, path, ref string) ([]byte, error)
	// Head gives the commit that a branch is at, and when GitHub said so.
	Head(ctx context.Context, repo twin.Repository, branch string) (github.Head, error)
	// BranchHead gives the commit alone.
	BranchHead(ctx context.Context, repo twin.Repository, branch string) (string, error)
	// PullRequestFiles lists the files a pull request changes, old names of
	// renamed ones included.
	PullRequestFiles(ctx context.Context, repo twin.Repository, number int) (paths []string, complete bool, err error)
	// Order says how one commit lies to another: after it (1), before it (-1) or
	// neither (0).
	Order(ctx context.Context, repo twin.Repository, one, other string) (int, error)
	// MayWrite says whether a person may write to a repository.
	MayWrite(ctx context.Context, repo twin.Repository, login string) (bool, error)
}

// Binder remembers which repository a name that the operator wrote stands for:
// the first one seen under it. It gives the id that the name is bound to, which
// is another than the one asked with if the name has been taken over.
type Binder interface {
	Bind(ctx context.Context, fullName string, repositoryID int64) (boundTo int64, err error)
	// BoundNames gives all names that stand for a repository.
	BoundNames(ctx context.Context, repositoryID int64) ([]string, error)
}

// Processor works out what stored deliveries mean.
type Processor struct {
	github GitHub
	policy Policy
	binder Binder
	runs   Runs
	log    *slog.Logger
}

// NewProcessor makes a Processor.
func NewProcessor(gh GitHub, policy Policy, binder Binder, runs Runs, log *slog.Logger) *Processor {
	return &Processor{github: gh, policy: policy, binder: binder, runs: runs, log: log}
}

// declinedError is the reason why nothing is done.
type declinedError struct{ reason string }

func (e *declinedError) Error() string { return e.reason }

func declined(format string, args ...any) error {
	return &declinedError{fmt.Sprintf(format, args...)}
}

// Decide says what a delivery asks for. A person's mistake (a file with errors,
// a source that is not open to the repository) is a request with a refusal, so
// that it is shown where the person looks. An error is GitHub's or the
// binder's, to be tried again; it is a *twin.LaterError where that is not to be
// before a time.
func (p *Processor) Decide(ctx context.Context, d twin.Delivery) (twin.Decision, error) {
	ev, err := github.ParseEvent(d.GUID, d.Event, d.Body)
	if err != nil {
		return twin.Decision{Reason: "the event can't be read"}, nil //nolint:nilerr // trying again would change nothing
	}
	dec, err := p.understand(ctx, ev, d)
	var no *declinedError
	var later *twin.LaterError
	if errors.Is(err, github.ErrNoCommit) {
		err = p.unseen(ctx, d, err)
	}
	switch {
	case errors.As(err, &no):
		return twin.Decision{Reason: no.reason}, nil
	case errors.Is(err, twin.ErrUnreachable):
		p.log.WarnContext(ctx, "repository is out of reach", "delivery", d.GUID, "repo", ev.Repository.FullName(), "err", err)
		return twin.Decision{Reason: "the App can't reach the repository any more"}, nil
	case errors.As(err, &later):
		return twin.Decision{}, later
	case err != nil:
		return twin.Decision{}, fmt.Errorf("decide on delivery %s: %w", d.GUID, err)
	}
	return dec, nil
}

// unseen gives up a commit that GitHub has not shown for long enough.
func (p *Processor) unseen(ctx context.Context, d twin.Delivery, err error) error {
	now, failed := p.runs.Now(ctx)
	switch {
	case failed != nil:
		return failed
	case now.Sub(d.ReceivedAt) > commitGrace:
		return declined("GitHub does not show the commit")
	}
	return err
}

// understand tells a press on Re-run from a branch that was moved, and both
// from what happens to a repository itself.
func (p *Processor) understand(ctx context.Context, ev github.Event, d twin.Delivery) (twin.Decision, error) {
	switch {
	case ev.Name == "check_run" || ev.Name == "check_suite":
		return p.rerun(ctx, ev, d)
	case lifecycle(ev.Name, ev.Action):
		return twin.Decision{Changed: aboutLifecycle(ev), Reason: "it was time to look at GitHub"}, nil
	}
	ch, reason := About(ev)
	if reason != "" {
		return twin.Decision{Reason: reason}, nil
	}
	if ch.At.IsZero() {
		ch.At = d.ReceivedAt
	}
	dec, err := p.decide(ctx, ch)
	if err != nil && !errors.As(err, new(*declinedError)) {
		return dec, err
	}
	if err != nil {
		dec.Reason = err.Error()
	}
	dec.Fact = &twin.Fact{Repo: ch.Repo, Ref: ch.Ref, SHA: ch.SHA, PR: ch.PR, At: ch.At}
	// Who looks at a branch sees where it is, however it came there.
	if ours(d) && ch.Trigger == twin.Push {
		for i := range dec.Requests {
			dec.Requests[i].Trigger = twin.CatchUp
		}
	}
	return dec, nil
}

// Order says how commit a lies to commit b: after it (1), before it (-1), or
// neither (0). Of a commit that GitHub does not show any more nothing is known.
func (p *Processor) Order(ctx context.Context, repo twin.Repository, a, b string) (int, error) {
	way, err := p.github.Order(ctx, repo, a, b)
	if errors.Is(err, github.ErrNoCommit) || errors.Is(err, twin.ErrUnreachable) {
		p.log.WarnContext(ctx, "commits can't be compared", "repo", repo.FullName(), "err", err)
		return 0, nil
	}
	return way, err
}

// decide finds the Twins of a change and holds them against the policy.
func (p *Processor) decide(ctx context.Context, ch Change) (twin.Decision, error) {
	twins, err := p.twins(ctx, ch)
	declared, failed := p.declaration(ctx, ch, twins, err)
	if failed != nil {
		return twin.Decision{}, failed
	}
	var wrong *twin.Failure
	var no *declinedError
	switch {
	case errors.As(err, &wrong):
		r := request(ch, twin.Spec{Name: spec.ReservedName})
		r.Refusal = wrong
		return twin.Decision{Requests: []twin.Request{r}}, nil
	case errors.As(err, &no):
		return twin.Decision{Reason: no.reason, Declared: declared}, nil
	case err != nil:
		return twin.Decision{}, err
	}
	if ch.Trigger == twin.PullRequest && watchesPaths(ch, twins) {
		ch.Paths, ch.PathsKnown, err = p.github.PullRequestFiles(ctx, ch.Repo, ch.PR)
		if err != nil {
			return twin.Decision{}, err
		}
	}
	d := Decide(ch, twins)
	d.Declared = declared
	// Another branch's file may leave out what the default branch's has.
	if ch.Branch() == ch.Repo.DefaultBranch {
		for i := range d.Requests {
			d.Requests[i].Twins = specNames(twins)
		}
	}
	return d, p.enforce(ctx, ch.Repo, d.Requests)
}

func specNames(twins []twin.Spec) []string {
	all := make([]string, len(twins))
	for i, s := range twins {
		all[i] = s.Name
	}
	return all
}

// watchesPaths reports whether the changed files matter to one of the Twins.
func watchesPaths(ch Change, twins []twin.Spec) bool {
	for _, s := range twins {
		if t := trigger(ch, s); t != nil && len(t.Paths) > 0 {
			return true
		}
	}
	return false
}

// enforce refuses the requests that the operator does not allow.
func (p *Processor) enforce(ctx context.Context, repo twin.Repository, requests []twin.Request) error {
	n, err := p.knownAs(ctx, repo)
	if err != nil {
		return err
	}
	for i := range requests {
		requests[i].Refusal = p.policy.refuse(repo.FullName(), n.names, requests[i].Spec)
		if requests[i].Refusal != nil && n.taken && p.policy.refuse(repo.FullName(), []string{repo.FullName()}, requests[i].Spec) == nil {
			requests[i].Refusal = twin.Refuse(
				fmt.Sprintf("the name %s stood for another repository when it was first used", repo.FullName()),
				"the operator makes sure that this is the repository that is meant, and binds its name anew")
		}
	}
	return nil
}

// Permit asks again whether the operator allows a run that was allowed when it
// was asked for. Since then it may have waited, or changed hands, and the
// operator may have changed his mind. A refusal is a *twin.Failure.
func (p *Processor) Permit(ctx context.Context, run twin.Run) error {
	requests := []twin.Request{{Spec: run.Spec}}
	if err := p.enforce(ctx, run.Repo, requests); err != nil {
		return err
	}
	if refusal := requests[0].Refusal; refusal != nil {
		return refusal
	}
	return nil
}

// twins reads the Twins of a change from a branch that is trusted. The default
// branch is; another one only if the default branch's own file names it, as
// else whoever may push a branch could say what is copied where. The file is
// read at the commit of the change. A *twin.Failure says what is wrong with it.
func (p *Processor) twins(ctx context.Context, ch Change) ([]twin.Spec, error) {
	branch := ch.Branch()
	if branch != ch.Repo.DefaultBranch {
		// Most pushes are to such branches, and most repositories of an
		// organization have no Twin: they must not use up GitHub's limits. On
		// the default branch a file is read all the same, so that its author
		// is told why it has no effect.
		n, err := p.knownAs(ctx, ch.Repo)
		if err != nil {
			return nil, err
		}
		if !p.policy.knows(n.names...) && !n.taken {
			return nil, declined("no source or target is open to the repository")
		}
		head, err := p.github.BranchHead(ctx, ch.Repo, ch.Repo.DefaultBranch)
		if err != nil {
			return nil, err
		}
		f, err := p.file(ctx, ch, head)
		var wrong *twin.Failure
		switch {
		case errors.Is(err, github.ErrNoFile):
			return p.fallback(ctx, ch)
		case errors.As(err, &wrong):
			return nil, declined("branch %s is not trusted while the default branch's file has errors", branch)
		case err != nil:
			return nil, err
		case !names(f, branch):
			return nil, declined("the default branch's file does not name branch %s", branch)
		}
	}
	f, err := p.file(ctx, ch, ch.SHA)
	switch {
	case errors.Is(err, github.ErrNoFile) && branch == ch.Repo.DefaultBranch:
		return p.fallback(ctx, ch)
	case errors.Is(err, github.ErrNoFile):
		return nil, declined("branch %s has no %s", branch, spec.Path)
	case err != nil:
		return nil, err
	}
	return f.Twins, nil
}

// fallback gives the Twin that the operator set up without a file.
func (p *Processor) fallback(ctx context.Context, ch Change) ([]twin.Spec, error) {
	n, err := p.knownAs(ctx, ch.Repo)
	if err != nil {
		return nil, err
	}
	if n.taken { // is refused in words
		n.names = append(n.names, ch.Repo.FullName())
	}
	s, ok := p.policy.fallback(n.names)
	if !ok {
		return nil, declined("the repository has no %s", spec.Path)
	}
	return []twin.Spec{s}, nil
}

// file reads and understands the repository's file at a commit. A
// *twin.Failure says what is wrong with it.
func (p *Processor) file(ctx context.Context, ch Change, sha string) (spec.File, error) {
	data, err := p.github.File(ctx, ch.Repo, spec.Path, sha)
	if errors.Is(err, github.ErrFileTooLarge) {
		err = nil
		data = make([]byte, spec.MaxSize+1) // is refused in the same words as on the command line
	}
	if err != nil {
		return spec.File{}, err
	}
	f, err := spec.Parse(spec.Path, data)
	if err != nil {
		message := err.Error()
		if all := spec.Errors(nil); errors.As(err, &all) && len(all) > 1 {
			message = fmt.Sprintf("%s has %d errors:\n%s", spec.Path, len(all), message)
		}
		return spec.File{}, &twin.Failure{
			Code:    twin.CodeConfig,
			Message: message,
			Next:    fmt.Sprintf("mend the file on branch %s; no Twin of this repository is synced until then", ch.Branch()),
		}
	}
	return f, nil
}

// names reports whether a trigger of the file has a pattern for the branch.
func names(f spec.File, branch string) bool {
	for _, s := range f.Twins {
		for _, t := range []*twin.BranchTrigger{s.On.PullRequest, s.On.Push} {
			if t != nil && matchAny(t.Branches, branch) {
				return true
			}
		}
	}
	return false
}
