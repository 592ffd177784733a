package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/spec"
	"github.com/neontwin/neontwin/internal/twin"
)

// Runs remembers what was reported where.
type Runs interface {
	// Reported gives what was asked for by the latest run of each Twin that is
	// reported on a commit of a repository, with all of its places; of one Twin
	// alone where run, one of its runs, is not 0.
	Reported(ctx context.Context, repositoryID int64, sha string, run int64) ([]twin.Request, error)
	// Now is the time by the clock that says when deliveries were received: no
	// process's own.
	Now(ctx context.Context) (time.Time, error)
}

// Rerun makes the delivery that asks for a run again as a press on Re-run would,
// at one of the places where it is reported. Nobody is asked whether that is
// allowed: it is for whoever has the control database.
func Rerun(run twin.Run, place twin.Place) twin.Delivery {
	press := github.Rerequest{HeadSHA: place.SHA, ExternalID: strconv.FormatInt(run.ID, 10)}
	return twin.Delivery{
		GUID: ownGUID + strings.ToLower(rand.Text()), Event: "check_run", Action: "rerequested",
		InstallationID: run.Repo.InstallationID, RepositoryID: run.Repo.ID, Body: press.Body(run.Repo),
	}
}

// rerun answers a press on Re-run. Whoever may write to the repository may ask
// for it; that is looked up now. It syncs the newest commit of the branch, by
// the file as it stands there, and reports where the check was that was pressed.
func (p *Processor) rerun(ctx context.Context, ev github.Event, d twin.Delivery) (twin.Decision, error) {
	press, err := ev.Rerequest()
	if err != nil {
		return twin.Decision{}, declined("the event is no press on Re-run")
	}
	told, err := p.runs.Reported(ctx, ev.Repository.ID, press.HeadSHA, runOf(press.ExternalID))
	switch {
	case err != nil:
		return twin.Decision{}, fmt.Errorf("look for runs on the commit: %w", err)
	case len(told) == 0:
		return twin.Decision{}, declined("no run is reported on the commit")
	}
	may := ours(d)
	if !may {
		may, err = p.github.MayWrite(ctx, ev.Repository, press.Sender)
	}
	switch {
	case err != nil:
		return twin.Decision{}, err
	case !may:
		p.log.WarnContext(ctx, "Re-run by somebody who may not write", "delivery", d.GUID, "repo", ev.Repository.FullName(), "sender", press.Sender)
		return twin.Decision{}, declined("who pressed Re-run may not write to the repository")
	}
	var all twin.Decision
	for _, was := range told {
		requests, err := p.again(ctx, ev.Repository, d, was)
		if err != nil {
			return twin.Decision{}, err
		}
		for _, r := range requests {
			if !slices.ContainsFunc(all.Requests, func(o twin.Request) bool { return o.Spec.Name == r.Spec.Name && o.Ref == r.Ref }) {
				all.Requests = append(all.Requests, r)
			}
		}
	}
	return all, nil
}

// again asks anew for what a run was for.
func (p *Processor) again(ctx context.Context, repo twin.Repository, d twin.Delivery, was twin.Request) ([]twin.Request, error) {
	ch := Change{Repo: repo, Trigger: twin.Rerun, Ref: was.Ref, PR: was.PR, AskedAt: d.ReceivedAt, Places: was.Places}
	head, err := p.github.Head(ctx, repo, ch.Branch())
	if errors.Is(err, github.ErrNoBranch) {
		return nil, declined("branch %s is gone", ch.Branch())
	}
	if err != nil {
		return nil, err
	}
	ch.SHA, ch.At = head.SHA, head.AsOf
	twins, err := p.twins(ctx, ch)
	var wrong *twin.Failure
	var no *declinedError
	switch {
	case errors.As(err, &wrong):
		r := request(ch, twin.Spec{Name: spec.ReservedName})
		r.Refusal = wrong
		return []twin.Request{r}, nil
	case errors.As(err, &no):
		r := request(ch, was.Spec)
		r.Refusal = twin.Refuse(no.reason, "push a file that says what to sync")
		return []twin.Request{r}, nil
	case err != nil:
		return nil, err
	}
	if was.Spec.Name != spec.ReservedName {
		at := slices.IndexFunc(twins, func(s twin.Spec) bool { return s.Name == was.Spec.Name })
		if at < 0 {
			r := request(ch, was.Spec)
			r.Refusal = twin.Refuse(fmt.Sprintf("%s on branch %s no longer has a Twin %s", spec.Path, ch.Branch(), was.Spec.Name), "add it again, or leave the Twin as it is")
			return []twin.Request{r}, nil
		}
		twins = twins[at : at+1]
	}
	requests := make([]twin.Request, len(twins))
	for i, s := range twins {
		requests[i] = request(ch, s)
	}
	return requests, p.enforce(ctx, repo, requests)
}

// runOf reads a run's number from the external id that we gave its check run;
// 0 if it is none of ours.
func runOf(externalID string) int64 {
	number, _, _ := strings.Cut(externalID, ":")
	run, err := strconv.ParseInt(number, 10, 64)
	if err != nil || run < 0 {
		return 0
	}
	return run
}
