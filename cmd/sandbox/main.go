// Command sandbox is the whole product on a laptop, without any account: a
// GitHub with a Merge button, a Neon, a production database with a shop in it,
// and between them the real server. Everything listens on loopback and is gone
// when it ends.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type commandLine struct {
	Once bool   `help:"Merge one pull request, wait for its check, print it and end: 0 if it is green."`
	Addr string `help:"Where the page is served; loopback only." default:"127.0.0.1:0"`
	Keep bool   `help:"Leave the folder with databases and logs behind when it ends."`
}

// run is the program.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cl commandLine
	exited := -1
	parser, err := kong.New(&cl, kong.Name("sandbox"), kong.Writers(stdout, stderr),
		kong.Description("neontwin on this machine, with a GitHub and a Neon of its own."),
		kong.Exit(func(code int) { exited = code }))
	if err != nil {
		fmt.Fprintln(stderr, "sandbox:", err)
		return 1
	}
	if _, err = parser.Parse(args); exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "sandbox: %v\n", err)
		return 2
	}
	began := time.Now()
	w, err := build(ctx, cl, stdout)
	defer w.close(ctx)
	if err != nil {
		fmt.Fprintf(stderr, "sandbox: %v\n%s", err, w.lastWords())
		return 1
	}
	fmt.Fprintf(stdout, "Ready after %.1f s.\n\n", time.Since(began).Seconds())
	if cl.Once {
		if err := once(ctx, w, stdout); err != nil {
			fmt.Fprintf(stderr, "sandbox: %v\n%s", err, w.lastWords())
			return 1
		}
		return 0
	}
	fmt.Fprintf(stdout, `Open    %s/%s

        and press "Merge" on the pull request. Production gets its migration, GitHub
        sends a webhook, and the check "Neon Twin / staging" goes from queued to green:
        the Twin is then a fresh copy of production.

Log of the server: %s
Stop with Ctrl-C; nothing stays behind.
`, w.github.PageURL(), repository, w.serverLog())
	select {
	case <-ctx.Done():
		fmt.Fprintln(stdout, "\nStopping.")
		return 0
	case <-w.serverEnded:
		fmt.Fprintf(stderr, "sandbox: the server has ended: %v\n%s", w.serverErr, w.lastWords())
		return 1
	}
}
