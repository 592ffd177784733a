package refresh

import (
	"context"
	"errors"
	"fmt"

	"github.com/neontwin/neontwin/internal/twin"
)

// cleanSession is the name of a session that cleans: one of the service's, so
// that a run that begins meanwhile ends it and has the target.
const cleanSession = servicePrefix + "clean"

// Clean drops what syncs have left half loaded on a target that no run of the
// service has. The Twin stays, and so does the generation before. A session of
// the attempt generation that still holds the target is ended, nobody else's,
// and only while idle says that the target is nobody's.
func (s *Service) Clean(ctx context.Context, name, generation string, idle func(context.Context) error) error {
	target, ok := s.Targets[name]
	if !ok {
		return twin.Refuse(fmt.Sprintf("the operator's file names no target %q any more", name), "drop by hand what is half loaded there")
	}
	address, err := target.Locate(ctx)
	if err != nil {
		return locateFailure(ctx, err)
	}
	if err := checkAddress("target", address); err != nil {
		return err
	}
	t, err := reachTarget(ctx, address, cleanSession, idle)
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.lock(ctx, servicePrefix+generation); err != nil {
		return err
	}
	// Whoever has begun since has ended this session, or does so before it makes
	// anything.
	if err := idle(ctx); err != nil {
		return err
	}
	left, err := t.sweep(ctx, loading)
	if err != nil || len(left) == 0 {
		return err
	}
	return errors.New(left[0].Message)
}
