// Command server is the service: it takes GitHub's webhooks, keeps Twins in
// sync and reports to GitHub.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules name time zones, and an image may hold none
)

// version is set when a release is built.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], environment{getenv: os.Getenv, readFile: os.ReadFile, stdout: os.Stdout, stderr: os.Stderr})
	stop()
	os.Exit(code)
}
