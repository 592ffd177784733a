package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// The exit codes. Scripts rely on them.
const (
	exitPublished = 0
	exitFailed    = 1 // the Twin is as it was, but for --publish in_place
	exitUsage     = 2 // wrong flags or configuration
	exitRefused   = 3 // a person must decide or mend something first
)

// commandLine is what the command takes.
type commandLine struct {
	Version kong.VersionFlag `help:"Print the version and end."`

	Sync syncCommand `cmd:"" help:"Make the Twin a fresh copy of the source and publish it."`
	Plan planCommand `cmd:"" help:"Say what a sync would do, and change nothing."`

	Verify verifyCommand `cmd:"" help:"Compare the Twin with the source as it is now. Exits with 0 if they are equal, 1 if they differ, 3 if that can't be told."`

	Suggest suggestCommand `cmd:"" help:"Look at the source and write which columns to mask, and how, for a person to review."`
}

// job are the flags that sync and plan share.
type job struct {
	Source  string         `help:"Address of the source, postgres://user:password@host:5432/database. Better given as NEONTWIN_SOURCE_URL: a command line can be read by everybody on the machine." placeholder:"URL"`
	Target  string         `help:"Address of the Twin's database, which need not exist. Better given as NEONTWIN_TARGET_URL." placeholder:"URL"`
	File    string         `help:"Take mode, subset, mask and safe from a Twin of a repository's file, such as .github/neon-twin.yml. Its source and target are only names here; addresses come from the flags or the environment." placeholder:"PATH"`
	Twin    string         `help:"Which Twin of the file; may be left out if it has one." placeholder:"NAME"`
	Mode    string         `help:"What the Twin holds (${modes}), full by default; partial needs --file, which excludes --mode; anonymized needs NEONTWIN_MASK_KEY." placeholder:"MODE"`
	Publish string         `help:"How the new generation takes its place: swap loads beside the Twin and renames; in_place rebuilds the Twin where it stands and leaves it broken until the end." default:"swap" enum:"swap,in_place"`
	Adopt   bool           `help:"Allow a target that holds tables but was not made by neontwin. It is replaced."`
	Jobs    int            `help:"How many tables are copied at once; as many indexes are built beside that. 0 chooses by cores and by the connections that both servers have left." default:"0"`
	MaxRate bytesPerSecond `help:"Read no more than this from the source in a second, such as 50MB. Unbounded when absent." placeholder:"SIZE"`
	Verify  string         `help:"What of the rows is compared before publishing: counts, or hash for their contents too." default:"counts" enum:"counts,hash"`
	Accept  []string       `help:"Acknowledge a hazard by the name that plan prints; it no longer refuses the sync. May be repeated." placeholder:"ID"`
	Grants  string         `help:"Grants of the first generation: none, or source for those of the source's that are for roles of the target. Later ones keep the generation before's." default:"none" enum:"none,source"`
	PgBin   string         `help:"Folder of pg_dump; empty looks for the newest one installed." placeholder:"DIR"`
	JSON    bool           `name:"json" help:"Print one JSON document on standard output and nothing else there."`

	// maskKey is only taken from the environment: a command line can be read.
	maskKey    mask.Secret
	maskKeyErr error
}

type syncCommand struct {
	job `embed:""`
}

type planCommand struct {
	job `embed:""`
}

// run is the program.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	var cl commandLine
	exited := -1
	parser, err := kong.New(&cl, kong.Name("twin"), kong.Writers(stdout, stderr),
		kong.Description("Keep a copy of a production Postgres that developers may break."),
		kong.Vars{"version": version, "modes": joined(twin.Modes())}, kong.Exit(func(code int) { exited = code }))
	if err != nil {
		fmt.Fprintln(stderr, "twin:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // help was printed
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "twin: %v\nRun \"twin --help\" for what it takes.\n", err)
		return exitUsage
	}
	p := program{stdout: stdout, stderr: stderr}
	switch parsed.Command() {
	case "suggest":
		return p.suggest(ctx, cl.Suggest, getenv)
	case "verify":
		return p.verify(ctx, cl.Verify, getenv)
	case "plan":
		return p.plan(ctx, cl.Plan.resolve(getenv))
	default:
		return p.sync(ctx, cl.Sync.resolve(getenv))
	}
}

func joined[T ~string](words []T) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return strings.Join(out, ",")
}

// resolve fills in what the environment says. Flags overrule it.
func (j job) resolve(getenv func(string) string) job {
	if j.Source == "" {
		j.Source = getenv("NEONTWIN_SOURCE_URL")
	}
	if j.Target == "" {
		j.Target = getenv("NEONTWIN_TARGET_URL")
	}
	if text := getenv("NEONTWIN_MASK_KEY"); text != "" {
		j.maskKey, j.maskKeyErr = mask.ParseSecret(text)
	}
	return j
}

// check finds everything that is missing, at once.
func (j job) check() error {
	var missing []error
	if j.Source == "" {
		missing = append(missing, errors.New("no source: set NEONTWIN_SOURCE_URL, or give --source"))
	}
	if j.Target == "" {
		missing = append(missing, errors.New("no target: set NEONTWIN_TARGET_URL, or give --target"))
	}
	switch {
	case j.Mode != "" && !twin.Mode(j.Mode).Valid():
		missing = append(missing, fmt.Errorf("--mode %s is no mode: write one of %s", j.Mode, joined(twin.Modes())))
	case j.File != "" && j.Mode != "":
		missing = append(missing, errors.New("--mode and --file both say what the Twin holds: leave out --mode"))
	case j.File == "" && j.Twin != "":
		missing = append(missing, errors.New("--twin names a Twin of a file: give --file, too"))
	case j.File == "" && twin.Mode(j.Mode) == twin.Partial:
		missing = append(missing, errors.New("--mode partial does not say which rows: write a file with a subset, and give --file .github/neon-twin.yml --twin NAME instead"))
	}
	if j.maskKeyErr != nil {
		missing = append(missing, fmt.Errorf("NEONTWIN_MASK_KEY: %w", j.maskKeyErr))
	}
	if j.Jobs < 0 || j.Jobs > 64 {
		missing = append(missing, errors.New("--jobs must be 0 to 64"))
	}
	return errors.Join(missing...)
}

func (j job) toRefresh(s twin.Spec, token string) refresh.Job {
	return refresh.Job{
		Source: j.Source, Target: j.Target, Mode: s.Mode, Subset: s.Subset, Masking: s.Masking, MaskKey: j.maskKey,
		Policy: privacy.Policy{Harmless: detect.DefaultRules()}, Publish: twin.Strategy(j.Publish),
		Adopt: j.Adopt, Jobs: j.Jobs, MaxRate: int64(j.MaxRate), Run: token, Accept: j.Accept, Deep: j.Verify == verifyHash, Grants: grants(j.Grants),
	}
}

// verifyHash asks for the contents of rows to be compared.
const verifyHash = "hash"

func grants(word string) refresh.Grants {
	if word == string(refresh.GrantsSource) {
		return refresh.GrantsSource
	}
	return refresh.GrantsNone
}

type program struct{ stdout, stderr io.Writer }

func (p program) sync(ctx context.Context, j job) int {
	s, err := j.spec()
	if err != nil {
		return p.usage(err)
	}
	show := newDisplay(p.stderr)
	lease := &handLease{token: newToken(), progress: show.progress}
	report, err := p.refresher(j).Sync(ctx, j.toRefresh(s, lease.token), lease)
	show.end(err == nil)
	if err != nil {
		return p.failed(err)
	}
	if j.JSON {
		return p.printJSON(report)
	}
	printReport(p.stdout, report)
	return exitPublished
}

func (p program) plan(ctx context.Context, j job) int {
	s, err := j.spec()
	if err != nil {
		return p.usage(err)
	}
	plan, err := p.refresher(j).Plan(ctx, j.toRefresh(s, "plan"))
	if err != nil {
		return p.failed(err)
	}
	code := exitPublished
	if len(plan.Refused()) > 0 {
		code = exitRefused
	}
	if j.JSON {
		if c := p.printJSON(planDocument(plan)); c != exitPublished {
			return c
		}
		return code
	}
	printPlan(p.stdout, plan)
	return code
}

func (p program) refresher(j job) *refresh.Refresher {
	return &refresh.Refresher{ToolsDir: j.PgBin, Logger: slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
}

func (p program) usage(err error) int {
	fmt.Fprintln(p.stderr, "twin: "+strings.ReplaceAll(err.Error(), "\n", "\ntwin: "))
	return exitUsage
}

// failed tells what happened and what to do, and chooses the exit code.
func (p program) failed(err error) int {
	if errors.Is(err, twin.ErrLeaseLost) {
		err = &twin.Failure{Code: twin.CodeConflict, Cause: err, Message: "another sync replaced the Twin meanwhile", Next: "sync again"}
	}
	f := twin.AsFailure(err)
	word, code := "failed", exitFailed
	if f.Code == twin.CodeRefused {
		word, code = "refused", exitRefused
	}
	if f.Code == twin.CodeConfig {
		word, code = "wrong configuration", exitUsage
	}
	where := ""
	if f.Phase != "" {
		where = " in phase " + string(f.Phase)
	}
	fmt.Fprintf(p.stderr, "twin: %s%s: %s\n", word, where, f.Message)
	if f.Cause != nil && code == exitFailed {
		fmt.Fprintf(p.stderr, "  cause: %v\n", f.Cause)
	}
	if f.Next != "" {
		fmt.Fprintf(p.stderr, "  next:  %s\n", f.Next)
	}
	if f.Changed {
		fmt.Fprintln(p.stderr, "  The Twin was being rebuilt in place: it may be incomplete until a sync succeeds.")
	} else {
		fmt.Fprintln(p.stderr, "  The Twin is as it was.")
	}
	return code
}

func (p program) printJSON(v any) int {
	e := json.NewEncoder(p.stdout)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		fmt.Fprintln(p.stderr, "twin: print the report:", err)
		return exitFailed
	}
	return exitPublished
}

// handLease is the hold of a person's own sync: it lasts as long as the
// process does. The lock in the target keeps others away.
type handLease struct {
	token    string
	progress func(twin.Progress)
}

func (l *handLease) Token() string                   { return l.token }
func (l *handLease) Progress(p twin.Progress)        { l.progress(p) }
func (l *handLease) Check(ctx context.Context) error { return ctx.Err() }

// newToken is a random word for the names and marks of one sync.
func newToken() string { return strings.ToLower(rand.Text()[:12]) }
