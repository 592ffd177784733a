package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/githubtest"
)

// once merges the proposed pull request, follows its check until it has ended,
// and looks into the Twin.
func once(ctx context.Context, w *world, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	pr, err := w.github.Merge(repository, 1, githubtest.Merge{})
	if err != nil {
		return err
	}
	merged := time.Now()
	fmt.Fprintf(out, "Merged pull request #%d, %q.\n", pr.Number, pr.Title)
	told := ""
	err = w.github.Until(ctx, func() bool {
		done := true
		for _, sha := range []string{pr.HeadSHA, pr.MergeSHA} {
			run, ok := latest(w.github.CheckRuns(repository, sha))
			if line := run.Status + " " + run.Title; ok && sha == pr.HeadSHA && line != told {
				told = line
				fmt.Fprintf(out, "%5.1f s  %-11s  %s\n", time.Since(merged).Seconds(), run.Status, run.Title)
			}
			done = done && ok && run.Status == "completed"
		}
		return done
	})
	if err != nil {
		return fmt.Errorf("wait for the check: %w", err)
	}
	for place, sha := range map[string]string{"head of the pull request": pr.HeadSHA, "merge commit": pr.MergeSHA} {
		runs := w.github.CheckRuns(repository, sha)
		run, _ := latest(runs)
		if run.Conclusion != "success" || len(runs) != 1 {
			return fmt.Errorf("the check on the %s is %s, and there are %d: %s", place, run.Conclusion, len(runs), run.Title)
		}
	}
	run, _ := latest(w.github.CheckRuns(repository, pr.HeadSHA))
	fmt.Fprintf(out, "\n%s: %s\n%s\n\n%s\n", run.Name, run.Conclusion, run.Title, strings.TrimSpace(run.Summary))
	return compare(ctx, w, out)
}

func latest(runs []githubtest.CheckRun) (githubtest.CheckRun, bool) {
	if len(runs) == 0 {
		return githubtest.CheckRun{}, false
	}
	return runs[len(runs)-1], true
}

// compare holds the Twin against production with its own eyes.
func compare(ctx context.Context, w *world, out io.Writer) error {
	production, err := read(ctx, w.panel.production)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, w.panel.twin)
	if err != nil {
		return fmt.Errorf("connect to the Twin: %w", err)
	}
	defer conn.Close(ctx)
	twin, err := read(ctx, conn)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nProduction: migration %s, %d tables, %d customers\nTwin:       migration %s, %d tables, %d customers\n",
		production.Migration, production.Tables, production.Customers, twin.Migration, twin.Tables, twin.Customers)
	if production != twin {
		return errors.New("the Twin is not what production is")
	}
	return nil
}
