package main

import (
	"context"
	"testing"

	"github.com/neontwin/neontwin/internal/twin"
)

// filled counts the runs that reached it.
type filled struct{ runs int }

func (f *filled) Fill(context.Context, twin.Run, twin.Lease) (twin.Report, error) {
	f.runs++
	return twin.Report{}, nil
}

// TestPermitted holds that what the operator does not allow reaches no database.
func TestPermitted(t *testing.T) {
	t.Parallel()
	inner := &filled{}
	refusal := twin.Refuse("not open", "ask the operator")
	p := permitted{inner, func(_ context.Context, run twin.Run) error {
		if run.ID == 1 {
			return refusal
		}
		return nil
	}}
	if _, err := p.Fill(t.Context(), twin.Run{ID: 1}, nil); twin.AsFailure(err) != refusal || inner.runs != 0 {
		t.Errorf("refused: %v, %d runs", err, inner.runs)
	}
	if _, err := p.Fill(t.Context(), twin.Run{ID: 2}, nil); err != nil || inner.runs != 1 {
		t.Errorf("allowed: %v, %d runs", err, inner.runs)
	}
}
