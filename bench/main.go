// Command bench measures a sync against what people run instead: the same
// database, the same two private servers, in turn. It also measures over a
// relay that makes the target far away, and says where a sync's time goes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	scale     float64
	runs, far int
	roundTrip time.Duration
	jobs      int
	cache     string
	binary    string
	write     string
	only      *regexp.Regexp // nil for all
	profile   bool
	micro     bool
	volatile  bool // for tests: servers that don't wait for the disk
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Float64Var(&o.scale, "scale", 1, "size of the database; 1 is about 1.5 GB, and the only one whose figures are written")
	f.IntVar(&o.runs, "runs", 3, "runs of each contender on loopback, and of the small benchmarks; 0 leaves them out")
	f.IntVar(&o.far, "far-runs", -1, "runs of each contender over the relay; -1 means as many as -runs")
	f.DurationVar(&o.roundTrip, "round-trip", 40*time.Millisecond, "what the relay adds to a round trip to the target")
	f.IntVar(&o.jobs, "jobs", 0, "--jobs of the sync; 0 leaves it its default")
	f.StringVar(&o.cache, "cache", ".cache/bench", "folder of the two servers, which are kept")
	f.StringVar(&o.binary, "binary", "", "the twin to measure; empty builds it from the checkout")
	f.StringVar(&o.write, "write", "", "file for the figures, in Markdown")
	f.Func("only", "regular expression: measure the contenders whose names it matches, and ours", func(text string) (err error) {
		o.only, err = regexp.Compile(text)
		return err
	})
	f.BoolVar(&o.profile, "profile", false, "run ours alone and say where its time goes")
	f.BoolVar(&o.micro, "micro", true, "measure 1,000 objects and 100 small tables too")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.far < 0 {
		o.far = o.runs
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	case o.scale <= 0 || o.scale > 100:
		return o, errors.New("-scale must lie between 0 and 100")
	case o.write != "" && (o.scale != 1 || o.only != nil || o.profile || !o.micro || o.runs == 0 || o.far == 0):
		return o, errors.New("-write takes the figures of a whole measurement only: no -scale, -only, -profile, -micro=false or runs of 0")
	case runtime.GOOS != "linux":
		return o, errors.New("memory and processor time are read from /proc, which needs Linux")
	}
	return o, nil
}

// run is the program.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	b, err := open(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(context.WithoutCancel(ctx))) }()
	if o.profile {
		return b.profile(ctx, stdout)
	}
	results, err := b.everything(ctx)
	if err != nil {
		return err
	}
	if err := results.save(filepath.Join(o.cache, "results.json")); err != nil {
		return err
	}
	text := results.markdown()
	if _, err := io.WriteString(stdout, text); err != nil {
		return err
	}
	if o.write == "" {
		return nil
	}
	return os.WriteFile(o.write, []byte(text), 0o644)
}
