package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/config"
	"github.com/neontwin/neontwin/internal/jobs"
	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
	"github.com/neontwin/neontwin/internal/webhook"
)

// withControl connects to the control database for a command that a person runs.
func withControl(ctx context.Context, env environment, do func(*pgxpool.Pool) error) error {
	cfg, err := config.Load(config.RoleMigrate, env.getenv, env.readFile)
	if err != nil {
		return err
	}
	pool, err := connect(ctx, cfg.Database.Reveal(), 2)
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(pool)
}

// showStatus prints every Twin with what it serves and does, and the queue.
func showStatus(ctx context.Context, env environment) error {
	return withControl(ctx, env, func(pool *pgxpool.Pool) error {
		twins, err := store.New(pool).Twins(ctx)
		if err != nil {
			return err
		}
		depths, err := jobs.Depths(ctx, pool)
		if err != nil {
			return err
		}
		printTwins(env.stdout, twins, time.Now())
		if len(depths) > 0 {
			fmt.Fprintln(env.stdout)
			t := table(env.stdout, "QUEUE", "STATE", "JOBS")
			for _, d := range depths {
				fmt.Fprintf(t, "%s\t%s\t%d\n", d.Queue, d.State, d.Jobs)
			}
			_ = t.Flush() // its errors are the writer's
		}
		return nil
	})
}

func printTwins(w io.Writer, twins []store.TwinStatus, now time.Time) {
	if len(twins) == 0 {
		fmt.Fprintln(w, "There are no Twins yet: the first merged pull request or push makes one.")
		return
	}
	t := table(w, "TWIN", "REPOSITORY", "TARGET", "SERVES PRODUCTION AS OF", "COMMIT", "NEXT", "NOW")
	for _, s := range twins {
		asOf, commit, doing := "never published", "-", "-"
		if p := s.Published; p != nil && p.Report != nil {
			asOf = fmt.Sprintf("%s (%s ago)", twin.HumanTime(p.Report.SnapshotAt), twin.HumanDuration(now.Sub(p.Report.SnapshotAt)))
			commit = twin.HumanSHA(p.SHA)
		}
		if s.Current != nil {
			doing = fmt.Sprintf("run %d: %s", s.Current.ID, s.Current.Headline())
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Spec.Name, s.Repo.FullName(), cmp.Or(s.Target, "-"), asOf, commit, next(s), doing)
	}
	_ = t.Flush() // its errors are the writer's
}

// next says when a Twin's schedule is due.
func next(s store.TwinStatus) string {
	switch {
	case s.NextAt.IsZero():
		return "-"
	case s.Paused:
		return "paused"
	}
	return twin.HumanTime(s.NextAt)
}

// releaseTarget makes the Twin that holds a target let go of it.
func releaseTarget(ctx context.Context, env environment, target string) error {
	return withControl(ctx, env, func(pool *pgxpool.Pool) error {
		inbox, err := jobs.NewInserter(pool, slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
		if err != nil {
			return err
		}
		repo, name, err := inbox.Release(ctx, target)
		var busy *jobs.BusyError
		switch {
		case errors.Is(err, store.ErrNotFound):
			return fmt.Errorf(`no Twin holds a target %s; "server status" lists them`, target)
		case errors.As(err, &busy):
			return fmt.Errorf(`run %d is %s and fills the target: wait for its end, or end it with "server cancel %d"`, busy.Run, busy.State, busy.Run)
		case err != nil:
			return err
		}
		fmt.Fprintf(env.stdout, "Twin %s of %s has let go of target %s. The next Twin that asks for it gets it: "+
			"this one too, while the operator's file still gives it the target.\n", name, repo.FullName(), target)
		return nil
	})
}

// showRuns prints the newest runs.
func showRuns(ctx context.Context, env environment, limit int) error {
	return withControl(ctx, env, func(pool *pgxpool.Pool) error {
		all, err := store.New(pool).Runs(ctx, limit)
		if err != nil {
			return err
		}
		t := table(env.stdout, "RUN", "TWIN", "REPOSITORY", "COMMIT", "WHY", "STATE", "QUEUED", "")
		for _, r := range all {
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Spec.Name, r.Repo.FullName(), twin.HumanSHA(r.SHA),
				r.Trigger, r.State, twin.HumanTime(r.CreatedAt), r.Headline())
		}
		return t.Flush()
	})
}

// cancelRun ends a run that waits or works.
func cancelRun(ctx context.Context, env environment, run int64) error {
	return withControl(ctx, env, func(pool *pgxpool.Pool) error {
		inbox, err := jobs.NewInserter(pool, slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
		if err != nil {
			return err
		}
		switch err := inbox.Cancel(ctx, run, "on the command line"); {
		case errors.Is(err, store.ErrNotFound):
			return fmt.Errorf(`there is no run %d; "server runs" lists them`, run)
		case err != nil:
			return err
		}
		fmt.Fprintf(env.stdout, "Run %d is cancelled, or will be within seconds. The Twin is as it was.\n", run)
		return nil
	})
}

// rerun asks for a run again. A worker looks at GitHub and does the rest.
func rerun(ctx context.Context, env environment, id int64) error {
	return withControl(ctx, env, func(pool *pgxpool.Pool) error {
		s := store.New(pool)
		run, err := s.Run(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf(`there is no run %d; "server runs" lists them`, id)
		}
		if err != nil {
			return err
		}
		places, err := s.Publications(ctx, id)
		if err != nil {
			return err
		}
		if len(places) == 0 {
			return fmt.Errorf("run %d is reported nowhere; ask for the one that took its place", id)
		}
		inbox, err := jobs.NewInserter(pool, slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
		if err != nil {
			return err
		}
		if err := inbox.Deliver(ctx, webhook.Rerun(run, places[0].Place)); err != nil {
			return err
		}
		fmt.Fprintf(env.stdout, "Twin %s of %s will be synced again; \"server runs\" shows the run within seconds.\n", run.Spec.Name, run.Repo.FullName())
		return nil
	})
}

func table(w io.Writer, columns ...string) *tabwriter.Writer {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, c := range columns {
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, c)
	}
	fmt.Fprintln(t)
	return t
}
