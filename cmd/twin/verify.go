package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// The exit codes of verify besides exitUsage.
const (
	exitEqual       = 0
	exitDifferent   = 1
	exitNotCompared = 3 // a side can't be reached, or not all of it be read
)

type verifyCommand struct {
	Source string `help:"Address of the source. Better given as NEONTWIN_SOURCE_URL." placeholder:"URL"`
	Target string `help:"Address of the Twin's database. Better given as NEONTWIN_TARGET_URL." placeholder:"URL"`
	Verify string `help:"What of the rows is compared: counts, or hash for their contents too." default:"hash" enum:"counts,hash"`
	PgDump bool   `name:"pg-dump" help:"Let pg_dump compare the definitions too." default:"true" negatable:""`
	Jobs   int    `help:"How many tables are compared at once." default:"4"`
	PgBin  string `help:"Folder of pg_dump; empty looks for the newest one installed." placeholder:"DIR"`
	JSON   bool   `name:"json" help:"Print one JSON document on standard output and nothing else there."`
}

// verify compares the Twin with the source as it is now.
func (p program) verify(ctx context.Context, c verifyCommand, getenv func(string) string) int {
	j := job{Source: c.Source, Target: c.Target, Jobs: c.Jobs, PgBin: c.PgBin}.resolve(getenv)
	if err := j.check(); err != nil {
		return p.usage(err)
	}
	task := refresh.Job{Source: j.Source, Target: j.Target, Jobs: j.Jobs, Deep: c.Verify == verifyHash}
	result, err := p.refresher(j).Verify(ctx, task, c.PgDump)
	if err != nil {
		return p.notCompared(err)
	}
	code := exitEqual
	if !result.Equal {
		code = exitDifferent
	}
	if c.JSON {
		if c := p.printJSON(result); c != exitPublished {
			return exitNotCompared
		}
		return code
	}
	p.printComparison(result)
	return code
}

func (p program) printComparison(c refresh.Comparison) {
	word := "The Twin equals the source"
	if !c.Equal {
		word = "The Twin differs from the source"
	}
	fmt.Fprintf(p.stdout, "%s as it was at %s.\n", word, c.SnapshotAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	for _, d := range c.Differences {
		fmt.Fprintln(p.stdout, "Different: "+d)
	}
	for _, v := range c.Verified {
		fmt.Fprintln(p.stdout, "Verified: "+v)
	}
	for _, v := range c.Skipped {
		fmt.Fprintln(p.stdout, "Not compared: "+v)
	}
}

// notCompared tells why nothing can be said.
func (p program) notCompared(err error) int {
	f := twin.AsFailure(err)
	fmt.Fprintln(p.stderr, "twin: not compared: "+f.Message)
	if f.Cause != nil && !errors.Is(err, twin.ErrRefused) {
		fmt.Fprintf(p.stderr, "  cause: %v\n", f.Cause)
	}
	if f.Next != "" {
		fmt.Fprintf(p.stderr, "  next:  %s\n", f.Next)
	}
	if f.Code == twin.CodeConfig {
		return exitUsage
	}
	return exitNotCompared
}
