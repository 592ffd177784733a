package webhook

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/spec"
	"github.com/neontwin/neontwin/internal/twin"
)

// declaration is what a change tells of all Twins of its repository, schedules
// included; nil if it tells nothing. Only the default branch is asked: whoever
// may push another one must not say when production is read. err is that of
// reading the file; one that can't be read leaves all as it was.
func (p *Processor) declaration(ctx context.Context, ch Change, twins []twin.Spec, err error) (*twin.Declaration, error) {
	var none *declinedError // there is no file
	if ch.Branch() != ch.Repo.DefaultBranch || err != nil && !errors.As(err, &none) {
		return nil, nil
	}
	// Nothing is kept for repositories that the operator gave nothing.
	n, err := p.knownAs(ctx, ch.Repo)
	if err != nil {
		return nil, err
	}
	if !p.policy.knows(n.names...) {
		twins = nil
	}
	return &twin.Declaration{Repo: ch.Repo, SHA: ch.SHA, Before: ch.Before, Forced: ch.Forced, At: ch.At, Twins: twins}, nil
}

// Scheduled says what the schedule of a Twin asks for now: a sync of the head
// of the default branch, as the file there says. Where the file no longer has
// such a schedule there is a reason, and the decision declares what it has. A
// repository that is out of reach is an error like any other: one wrong answer
// must not cost a night, and schedules rest once it is known to be so.
func (p *Processor) Scheduled(ctx context.Context, repo twin.Repository, name string) (twin.Decision, error) {
	d, err := p.scheduled(ctx, repo, name)
	switch {
	case errors.Is(err, github.ErrNoBranch):
		return twin.Decision{Reason: "GitHub does not show the default branch"}, nil
	case err != nil:
		return twin.Decision{}, fmt.Errorf("look at the default branch for a schedule: %w", err)
	}
	return d, nil
}

func (p *Processor) scheduled(ctx context.Context, repo twin.Repository, name string) (twin.Decision, error) {
	head, err := p.github.Head(ctx, repo, repo.DefaultBranch)
	if err != nil {
		return twin.Decision{}, err
	}
	ch := Change{Repo: repo, Trigger: twin.Schedule, Ref: heads + repo.DefaultBranch, SHA: head.SHA, At: head.AsOf}
	ch.Places = []twin.Place{{Role: twin.Merge, SHA: ch.SHA}}
	twins, err := p.twins(ctx, ch)
	declared, failed := p.declaration(ctx, ch, twins, err)
	if failed != nil {
		return twin.Decision{}, failed
	}
	d := twin.Decision{Declared: declared}
	var wrong *twin.Failure
	var no *declinedError
	switch {
	case errors.As(err, &wrong):
		r := request(ch, twin.Spec{Name: spec.ReservedName})
		r.Refusal = wrong
		d.Requests = []twin.Request{r}
		return d, nil
	case errors.As(err, &no):
		d.Reason = no.reason
		return d, nil
	case err != nil:
		return twin.Decision{}, err
	}
	at := slices.IndexFunc(twins, func(s twin.Spec) bool { return s.Name == name && s.On.Schedule != nil })
	if at < 0 {
		d.Reason = fmt.Sprintf("%s has no schedule for a Twin %s any more", spec.Path, name)
		return d, nil
	}
	r := request(ch, twins[at])
	r.Twins = specNames(twins)
	d.Requests = []twin.Request{r}
	return d, p.enforce(ctx, repo, d.Requests)
}
