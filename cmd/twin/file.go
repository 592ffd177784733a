package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/neontwin/neontwin/internal/spec"
	"github.com/neontwin/neontwin/internal/twin"
)

// spec is what the Twin is told to be, by the flags or by a file. Its error is
// a mistake of whoever wrote them.
func (j job) spec() (twin.Spec, error) {
	if err := j.check(); err != nil {
		return twin.Spec{}, err
	}
	if j.File == "" {
		return twin.Spec{Mode: twin.Mode(j.Mode)}, nil
	}
	f, err := readFile(j.File)
	if err != nil {
		return twin.Spec{}, err
	}
	names := make([]string, len(f.Twins))
	for i, s := range f.Twins {
		if s.Name == j.Twin || j.Twin == "" && len(f.Twins) == 1 {
			return s, nil
		}
		names[i] = s.Name
	}
	if j.Twin == "" {
		return twin.Spec{}, fmt.Errorf("%s has several Twins: choose one with --twin: %s", j.File, strings.Join(names, ", "))
	}
	return twin.Spec{}, fmt.Errorf("%s has no Twin %q: it has %s", j.File, j.Twin, strings.Join(names, ", "))
}

// readFile reads a repository's file as the service would.
func readFile(path string) (spec.File, error) {
	r, err := os.Open(path)
	if err != nil {
		return spec.File{}, fmt.Errorf("read the Twin's file: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(r, spec.MaxSize+1)) // one more is too large
	if err := errors.Join(err, r.Close()); err != nil {
		return spec.File{}, fmt.Errorf("read the Twin's file: %w", err)
	}
	return spec.Parse(path, data)
}
