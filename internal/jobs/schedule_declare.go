package jobs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// declare makes the Twins of a repository what its file says, in one
// transaction: settings and schedules of those that it has, no schedule for
// those that it has not. What an older commit says is left alone, in whatever
// order it is told.
func (q *Queue) declare(ctx context.Context, d *twin.Declaration) error {
	if d == nil {
		return nil
	}
	now, err := q.cfg.Now(ctx)
	if err != nil {
		return err
	}
	err = q.knowing(ctx, d.Repo, d.SHA, func(h history) error {
		return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
			newest, err := newestFile(ctx, store.New(tx), *d, h)
			if err != nil || !newest {
				return err
			}
			return q.setPlans(ctx, store.New(tx), *d, now)
		})
	})
	if err != nil {
		return fmt.Errorf("declare the Twins of %s as of %.12s: %w", d.Repo.FullName(), d.SHA, err)
	}
	return nil
}

// newestFile locks what is known of a repository's file and reports whether a
// declaration is as new as that.
func newestFile(ctx context.Context, s store.Store, d twin.Declaration, h history) (bool, error) {
	// Most repositories of an organization have no Twin.
	if len(d.Twins) == 0 {
		if known, err := s.KnowsRepository(ctx, d.Repo.ID); err != nil || !known {
			return false, err
		}
	}
	f, err := s.LockFile(ctx, d)
	if err != nil {
		return false, err
	}
	told := move{sha: d.SHA, at: d.At, before: d.Before, forced: d.Forced}
	if f.SHA == d.SHA {
		if d.Forced && d.At.After(f.At) {
			return true, s.SetFile(ctx, d)
		}
		return true, nil
	}
	way, err := told.against(store.Rival{SHA: f.SHA, At: f.At, ForcedFrom: f.ForcedFrom}, h)
	if way == 0 {
		way = d.At.Compare(f.At)
	}
	if err != nil || way < 0 {
		return false, err
	}
	return true, s.SetFile(ctx, d)
}

// setPlans gives all Twins of a repository their settings and schedules.
func (q *Queue) setPlans(ctx context.Context, s store.Store, d twin.Declaration, now time.Time) error {
	have, err := s.LockTwinsOf(ctx, d.Repo.ID)
	if err != nil {
		return err
	}
	for _, spec := range d.Twins {
		at := slices.IndexFunc(have, func(p store.Planned) bool { return p.Name == spec.Name })
		if at < 0 {
			if spec.On.Schedule == nil {
				continue // its first run makes it
			}
			id, err := s.LockTwin(ctx, twin.Request{Repo: d.Repo, Spec: spec, SHA: d.SHA})
			if err != nil {
				return err
			}
			have = append(have, store.Planned{TwinID: id, Repo: d.Repo, Name: spec.Name})
			at = len(have) - 1
		} else if err := s.Configure(ctx, have[at].TwinID, spec, d.SHA); err != nil {
			return err
		}
		if err := q.setPlan(ctx, s, have[at], spec.On.Schedule, now); err != nil {
			return err
		}
	}
	for _, p := range have {
		if !slices.ContainsFunc(d.Twins, func(s twin.Spec) bool { return s.Name == p.Name }) {
			if err := q.setPlan(ctx, s, p, nil, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// setPlan gives a Twin its schedule. One that has not changed is left alone:
// it may be due this very moment.
func (q *Queue) setPlan(ctx context.Context, s store.Store, p store.Planned, plan *twin.Timetable, now time.Time) error {
	if samePlan(p.Plan, plan) {
		return nil
	}
	q.log.InfoContext(ctx, "schedule changed", "repo", p.Repo.FullName(), "twin", p.Name, "scheduled", plan != nil)
	if plan == nil {
		return s.SetPlan(ctx, p.TwinID, nil, time.Time{})
	}
	t, err := newTimetable(*plan, p.Repo.ID, p.Name)
	if err != nil {
		return err
	}
	return s.SetPlan(ctx, p.TwinID, plan, t.next(p.Last, now))
}

func samePlan(a, b *twin.Timetable) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.At == b.At && a.Timezone == b.Timezone && slices.Equal(a.Days, b.Days)
}
