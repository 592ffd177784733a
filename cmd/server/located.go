package main

import (
	"context"

	"github.com/neontwin/neontwin/internal/config"
	"github.com/neontwin/neontwin/internal/jobs"
	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
	"github.com/neontwin/neontwin/internal/web"
)

// branches are the Neon branches that Twins live on, by target.
func branches(cfg config.Config) map[string]string {
	out := make(map[string]string)
	for name, target := range cfg.Targets {
		if target.Neon != nil {
			out[name] = target.Neon.Branch
		}
	}
	return out
}

// located is a Reporter that knows where Twins live.
type located struct {
	jobs.Reporter
	branches map[string]string
}

// Report tells a run with the branch of its Twin.
func (l located) Report(ctx context.Context, run twin.Run, place twin.Place, checkRunID int64) (int64, error) {
	run.NeonBranch = l.branches[run.Spec.Target]
	return l.Reporter.Report(ctx, run, place, checkRunID)
}

// locatedRuns are Runs that know where Twins live.
type locatedRuns struct {
	web.Runs
	branches map[string]string
}

// RunByPageKey reads a run with the branch of its Twin.
func (l locatedRuns) RunByPageKey(ctx context.Context, key string) (twin.Run, []store.Publication, []store.Event, error) {
	run, places, events, err := l.Runs.RunByPageKey(ctx, key)
	run.NeonBranch = l.branches[run.Spec.Target]
	return run, places, events, err
}
