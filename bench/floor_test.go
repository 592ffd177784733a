package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

// Whatever the lanes do, a step comes after those that it needs, each comes
// once, and none is left.
func TestFloorSteps(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var order []string
	err := inLanes(t.Context(), 3, floorSteps(), func(_ context.Context, next func() (floorStep, bool), done func(string)) error {
		for {
			s, more := next()
			if !more {
				return nil
			}
			mu.Lock()
			for _, name := range s.after {
				if !slices.Contains(order, name) {
					t.Errorf("%s comes before %s", s.name, name)
				}
			}
			order = append(order, s.name)
			mu.Unlock()
			done(s.name)
		}
	})
	if err != nil || len(order) != len(floorSteps()) {
		t.Errorf("%d of %d steps were taken, %v", len(order), len(floorSteps()), err)
	}
}

func TestFloorEndsWithAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("no room")
	err := inLanes(t.Context(), 2, floorSteps(), func(_ context.Context, next func() (floorStep, bool), _ func(string)) error {
		for {
			s, more := next()
			if !more {
				return nil
			}
			if s.name == "copy orders" { // nobody says done of what the others wait for
				return broken
			}
		}
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
