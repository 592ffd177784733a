package main

import (
	"context"
	"fmt"

	"github.com/neontwin/neontwin/internal/jobs"
	"github.com/neontwin/neontwin/internal/twin"
)

// permitted is a Filler that carries out only what the operator allows at that
// moment: a run was allowed when it was enqueued, by what he said then.
type permitted struct {
	jobs.Filler
	permit func(ctx context.Context, run twin.Run) error
}

// Fill asks before either database is reached.
func (p permitted) Fill(ctx context.Context, run twin.Run, lease twin.Lease) (twin.Report, error) {
	if err := p.permit(ctx, run); err != nil {
		return twin.Report{}, fmt.Errorf("ask whether the run is allowed: %w", err)
	}
	return p.Filler.Fill(ctx, run, lease)
}
