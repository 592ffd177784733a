// Command webhooks measures how many deliveries a second the service takes, and
// how soon it answers, beside River's bare InsertTx on the same database. Then
// it kills the server under load and counts whether what was answered is there.
// "make bench/webhooks" runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	each    time.Duration
	rounds  int
	clients int
	cache   string
	write   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "webhooks:", err)
		os.Exit(1)
	}
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("webhooks", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.DurationVar(&o.each, "each", 8*time.Second, "how long each measurement takes")
	f.IntVar(&o.rounds, "rounds", 3, "how often bare inserts and deliveries are measured in turn")
	f.IntVar(&o.clients, "clients", 32, "deliveries and inserts under way at once")
	f.StringVar(&o.cache, "cache", ".cache/bench/webhooks", "folder of the server, which is kept")
	f.StringVar(&o.write, "write", "", "file for the figures, in Markdown")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if o.each < time.Second || o.rounds < 1 || o.clients < 1 {
		return o, errors.New("-each must be a second or more, -rounds and -clients one or more")
	}
	return o, nil
}

// run is the program. It fails where a delivery was lost, whatever the figures.
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
	var r results
	for range o.rounds {
		bare, err := b.bare(ctx)
		if err != nil {
			return err
		}
		r.Bare = append(r.Bare, bare)
		ours, err := b.deliveries(ctx, 0)
		if err != nil {
			return err
		}
		r.Ours = append(r.Ours, ours)
	}
	if r.Half, err = b.deliveries(ctx, median(r.Ours)/2); err != nil {
		return err
	}
	if r.Killed, err = b.kill(ctx); err != nil {
		return err
	}
	text := r.markdown(o)
	if _, err := io.WriteString(stdout, text); err != nil {
		return err
	}
	if o.write != "" {
		if err := os.WriteFile(o.write, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if r.Killed.Lost > 0 {
		return fmt.Errorf("%d deliveries were answered and are not there", r.Killed.Lost)
	}
	return nil
}
