package refresh

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/neon"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/twin"
)

// Service syncs Twins whose source and target are the operator's, by name.
type Service struct {
	*Refresher
	Sources map[string]Source
	Targets map[string]Target
}

// Source is what Twins are copied from.
type Source struct {
	Address string
	// MaxRate and Policy are as in Job.
	MaxRate int64
	Policy  privacy.Policy
}

// Target is where a Twin lives.
type Target struct {
	// Locate gives the address of the Twin's database. For a database on Neon
	// it asks the API, each time anew.
	Locate  func(ctx context.Context) (string, error)
	Publish twin.Strategy
	Adopt   bool
	// MaskKey, Accept, SourceGrants, Deep and Jobs are as in Job.
	MaskKey      mask.Secret
	Accept       []string
	SourceGrants bool
	Deep         bool
	Jobs         int
}

// Fill carries out one run of the queue.
func (s *Service) Fill(ctx context.Context, run twin.Run, lease twin.Lease) (twin.Report, error) {
	source, ok := s.Sources[run.Spec.Source]
	if !ok {
		return twin.Report{}, configFailure(fmt.Sprintf("the operator's file names no source %q", run.Spec.Source), "add it there, or correct the Twin's file")
	}
	target, ok := s.Targets[run.Spec.Target]
	if !ok {
		return twin.Report{}, configFailure(fmt.Sprintf("the operator's file names no target %q", run.Spec.Target), "add it there, or correct the Twin's file")
	}
	address, err := target.Locate(ctx)
	if err != nil {
		return twin.Report{}, locateFailure(ctx, err)
	}
	grants := GrantsNone
	if target.SourceGrants {
		grants = GrantsSource
	}
	return s.Sync(ctx, Job{
		Accept: target.Accept, Grants: grants, Deep: target.Deep,
		Source: source.Address, Target: address, Mode: run.Spec.Mode, Subset: run.Spec.Subset, Masking: run.Spec.Masking, Policy: source.Policy, MaskKey: target.MaskKey, Publish: target.Publish, Adopt: target.Adopt,
		Jobs: target.Jobs, MaxRate: source.MaxRate, Run: strconv.FormatInt(run.ID, 10), Commit: run.SHA, Exclusive: true,
	}, lease)
}

// locateFailure says why the Neon API did not tell where the Twin is. Nothing
// else is ever taken in its place.
func locateFailure(ctx context.Context, err error) error {
	f := &twin.Failure{
		Code: twin.CodeNeon, Phase: twin.Preflight, Cause: err,
		Message: "the Neon API did not tell the Twin's address",
		Next:    "check project, branch and key of the target; the service's log has the answer",
	}
	var lookup *neon.LookupError
	var api *neon.APIError
	var later *twin.LaterError
	switch {
	case ctx.Err() != nil:
		f.Code, f.Message, f.Next, f.Retry = twin.CodeInterrupted, "the sync was interrupted", "sync again", true
	case errors.As(err, &lookup):
		f.Message, f.Next = lookup.Error(), "correct the target's settings"
	case errors.As(err, &later):
		f.Message, f.Next, f.Retry = "the Neon API is busy with this project", "it is tried again", true
	case errors.As(err, &api):
		f.Message = fmt.Sprintf("the Neon API answered %s (status %d)", api.Class, api.Status)
		f.Retry = api.Class.Retryable() || api.Class == neon.Ambiguous
	default:
		f.Retry = true
	}
	return f
}
