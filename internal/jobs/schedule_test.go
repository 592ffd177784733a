package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// wallClock is a clock that tests set.
type wallClock struct{ at atomic.Int64 }

func clockAt(text string) *wallClock {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	c := &wallClock{}
	c.at.Store(at.Unix())
	return c
}

func (c *wallClock) now(context.Context) (time.Time, error) { return time.Unix(c.at.Load(), 0), nil }

func (c *wallClock) move(d time.Duration) { c.at.Add(int64(d / time.Second)) }

// declares says that the file has these Twins as of commit n.
func declares(n int, twins ...twin.Spec) *twin.Declaration {
	r := request(n)
	return &twin.Declaration{Repo: r.Repo, SHA: r.SHA, At: r.At, Twins: twins}
}

func nightly(name, at, zone string, days ...time.Weekday) twin.Spec {
	return twin.Spec{
		Name: name, Source: "prod", Target: name + "-twin", Mode: twin.Full,
		On: twin.Triggers{Schedule: &twin.Timetable{At: at, Timezone: zone, Days: days}},
	}
}

// planOf gives what is stored of a Twin's schedule.
func planOf(t *testing.T, pool *pgxpool.Pool, name string) string {
	t.Helper()
	// A Twin that only older files name may have no row at all.
	return one[string](t, pool, `SELECT coalesce((SELECT to_char(sched_local_time, 'HH24:MI') || ' ' || sched_tz || ' ' || sched_days
		FROM twin WHERE name = $1), 'none')`, name)
}

func nextOf(t *testing.T, pool *pgxpool.Pool, name string) time.Time {
	t.Helper()
	return one[time.Time](t, pool, `SELECT coalesce(next_run_at, '2000-01-01') FROM twin WHERE name = $1`, name)
}

func tellFile(t *testing.T, q *Queue, d *twin.Declaration) {
	t.Helper()
	if err := q.declare(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// TestTheFileSaysTheSchedules: in whatever order its commits are told, the
// newest one counts, for all Twins at once.
func TestTheFileSaysTheSchedules(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	clock := clockAt("2026-01-15T12:00:00Z")
	q.cfg.Now = clock.now
	plain := request(1).Spec

	tellFile(t, q, declares(1)) // a repository without Twins leaves no trace
	if n := one[int](t, pool, "SELECT count(*) FROM repository_file"); n != 0 {
		t.Errorf("%d files are kept of repositories without Twins", n)
	}
	tellFile(t, q, declares(2, nightly("a", "02:30", "Europe/Berlin"), nightly("b", "05:00", "UTC", time.Monday, time.Saturday), plain))
	if got := planOf(t, pool, "a") + ", " + planOf(t, pool, "b"); got != "02:30 Europe/Berlin 0, 05:00 UTC 66" {
		t.Errorf("plans %s", got)
	}
	if n := one[int](t, pool, "SELECT count(*) FROM twin"); n != 2 {
		t.Errorf("%d Twins: one without a schedule is made by its first run", n)
	}
	first := nextOf(t, pool, "a")
	if wait := first.Sub(time.Date(2026, 1, 16, 1, 30, 0, 0, time.UTC)); wait < 0 || wait > maxJitter {
		t.Errorf("due at %s", first)
	}
	// The same again, and at the very moment that it is due, changes nothing.
	clock.at.Store(first.Unix() + 5)
	tellFile(t, q, declares(3, nightly("a", "02:30", "Europe/Berlin"), nightly("b", "05:00", "UTC", time.Monday, time.Saturday)))
	if got := nextOf(t, pool, "a"); !got.Equal(first) {
		t.Errorf("told again, it is due at %s instead of %s", got, first)
	}
	// Removed: the whole Twin, or its schedule; and an older commit told late.
	withoutPlan := nightly("b", "05:00", "UTC")
	withoutPlan.On = twin.Triggers{Push: &twin.BranchTrigger{}}
	tellFile(t, q, declares(5, withoutPlan))
	tellFile(t, q, declares(4, nightly("a", "04:00", "UTC"), nightly("b", "04:00", "UTC")))
	tellFile(t, q, declares(2, nightly("a", "02:30", "Europe/Berlin")))
	if got := planOf(t, pool, "a") + ", " + planOf(t, pool, "b"); got != "none, none" {
		t.Errorf("after the removal: %s", got)
	}
	if got := one[string](t, pool, "SELECT config_sha FROM twin WHERE name = 'b'"); got != request(5).SHA {
		t.Errorf("b is configured as of %s", got)
	}
	// A forced push back to the older file brings it back, and what it left is old.
	back := declares(2, nightly("a", "02:30", "Europe/Berlin"))
	back.At, back.Forced, back.Before = request(6).At, true, request(5).SHA
	tellFile(t, q, back)
	tellFile(t, q, declares(5, withoutPlan))
	if got := planOf(t, pool, "a"); got != "02:30 Europe/Berlin 0" {
		t.Errorf("after the forced push: %s", got)
	}
	// Two commits of one second: the history decides.
	late, early := declares(8, nightly("a", "08:00", "UTC")), declares(7, nightly("a", "07:00", "UTC"))
	late.At = early.At
	tellFile(t, q, late)
	tellFile(t, q, early)
	if got := planOf(t, pool, "a"); got != "08:00 UTC 0" {
		t.Errorf("of one second: %s", got)
	}
	// The file itself is gone.
	tellFile(t, q, declares(9))
	if got := planOf(t, pool, "a"); got != "none" {
		t.Errorf("without a file: %s", got)
	}
}

func TestFilesToldAtOnce(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	var group errgroup.Group
	for n := range 40 {
		group.Go(func() error {
			return q.declare(t.Context(), declares(n+1, nightly("a", fmt.Sprintf("%02d:00", n%24), "UTC"), nightly(fmt.Sprint("b", n%3), "01:00", "UTC")))
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := planOf(t, pool, "a"); got != "15:00 UTC 0" {
		t.Errorf("the newest file says 15:00, stored is %s", got)
	}
	for n, want := range []string{"01:00 UTC 0", "none", "none"} {
		if got := planOf(t, pool, fmt.Sprint("b", n)); got != want {
			t.Errorf("b%d: %s, want %s", n, got, want)
		}
	}
}

// head decides a schedule as the default branch at commit n says.
func head(n int, twins ...twin.Spec) decider {
	return func(_ context.Context, d twin.Delivery) (twin.Decision, error) {
		if d.Event != "schedule" {
			return twin.Decision{Reason: "not a schedule"}, nil
		}
		dec := twin.Decision{Declared: declares(n, twins...)}
		for _, s := range twins {
			if s.Name == d.Action && s.On.Schedule != nil {
				r := push(n)
				r.Spec, r.Trigger, r.At = s, twin.Schedule, day.Add(time.Hour)
				dec.Requests = []twin.Request{r}
			}
		}
		return dec, nil
	}
}

// TestOncePerDate: three workers, a clock that runs through both changes to and
// from summer time in several zones, and a file whose schedules change.
func TestOncePerDate(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	twins := []twin.Spec{
		nightly("berlin", "02:30", "Europe/Berlin"), nightly("york", "01:30", "America/New_York"),
		nightly("beirut", "00:10", "Asia/Beirut"), nightly("weekly", "02:30", "Europe/Berlin", time.Sunday),
	}
	clock := clockAt("2026-03-27T12:00:00Z")
	var mu sync.Mutex
	dates := map[string][]string{}
	cfg := fast(pool)
	cfg.SweepEvery, cfg.Now = 20*time.Millisecond, clock.now
	cfg.Decider = decider(func(ctx context.Context, d twin.Delivery) (twin.Decision, error) {
		for _, s := range twins {
			if s.Name == d.Action {
				zone, err := time.LoadLocation(s.On.Schedule.Timezone)
				if err != nil {
					return twin.Decision{}, err
				}
				now, _ := clock.now(ctx)
				mu.Lock()
				dates[s.Name] = append(dates[s.Name], now.In(zone).Format("01-02"))
				mu.Unlock()
			}
		}
		return head(1, twins...)(ctx, d)
	})
	q := work(t, cfg)
	work(t, cfg)
	work(t, cfg)
	tellFile(t, q, declares(1, twins...))

	step := func(d time.Duration) {
		clock.move(d)
		eventually(t, "what is due has been asked for", func() bool {
			now, _ := clock.now(t.Context())
			return one[int](t, pool, "SELECT count(*) FROM twin WHERE next_run_at <= $1 OR due_date IS NOT NULL", now) == 0
		})
	}
	for range 4 * 4 { // 27 to 31 March: Berlin and Beirut
		step(6 * time.Hour)
	}
	want := map[string][]string{
		"berlin": {"03-28", "03-29", "03-30", "03-31"}, "york": {"03-28", "03-29", "03-30", "03-31"},
		"beirut": {"03-28", "03-29", "03-30", "03-31"}, "weekly": {"03-29"},
	}
	check := func() {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(want, dates); diff != "" {
			t.Errorf("dates -want +got:\n%s", diff)
		}
		clear(dates)
	}
	check()
	// Down for months: each runs once, whatever it has missed.
	clock.at.Store(clockAt("2026-10-24T12:00:00Z").at.Load())
	step(0)
	want = map[string][]string{"berlin": {"10-24"}, "york": {"10-24"}, "beirut": {"10-24"}, "weekly": {"10-24"}}
	check()
	for range 9 * 4 { // to 2 November: Berlin, Beirut, New York
		step(6 * time.Hour)
	}
	all := []string{"10-25", "10-26", "10-27", "10-28", "10-29", "10-30", "10-31", "11-01", "11-02"}
	want = map[string][]string{"berlin": all, "york": all, "beirut": all, "weekly": {"10-25", "11-01"}}
	check()

	eventually(t, "all runs have ended", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM sync_run WHERE state IN ('queued', 'running')") == 0
	})
	if n := one[int](t, pool, "SELECT count(*) FROM sync_run WHERE trigger = 'schedule' AND state <> 'succeeded'"); n != 0 {
		t.Errorf("%d scheduled runs have not succeeded", n)
	}
	if n := one[int](t, pool, "SELECT count(*) FROM check_publication"); n == 0 {
		t.Error("no check was asked for")
	}
}

// TestAChangedScheduleRunsNoDateTwice, and a new one not for a time that is over.
func TestAChangedScheduleRunsNoDateTwice(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	clock := clockAt("2026-01-15T12:00:00Z")
	q.cfg.Now = clock.now
	tellFile(t, q, declares(1, nightly("a", "13:00", "UTC")))
	clock.move(2 * time.Hour)
	if err := q.sweepSchedules(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := one[time.Time](t, pool, "SELECT due_date FROM twin"); !got.Equal(date("2026-01-15")) {
		t.Errorf("due is %s", got)
	}
	tellFile(t, q, declares(2, nightly("a", "18:00", "UTC")))
	if got := nextOf(t, pool, "a"); got.Before(date("2026-01-16")) {
		t.Errorf("the date had its run, and the schedule is due again at %s", got)
	}
	tellFile(t, q, declares(3, nightly("a", "18:00", "UTC"), nightly("b", "11:00", "UTC"), nightly("c", "18:00", "UTC")))
	if got := nextOf(t, pool, "b"); got.Before(date("2026-01-16")) {
		t.Errorf("a new schedule is due for a time that is over: %s", got)
	}
	if got := nextOf(t, pool, "c"); got.After(date("2026-01-16")) {
		t.Errorf("a new schedule whose time is still to come is due at %s", got)
	}
	// Removed while its date is due: it stops.
	tellFile(t, q, declares(4))
	if n := one[int](t, pool, "SELECT count(*) FROM twin WHERE due_date IS NOT NULL OR next_run_at IS NOT NULL"); n != 0 {
		t.Errorf("%d Twins still have something due", n)
	}
	// And comes back on the same date: not twice.
	tellFile(t, q, declares(5, nightly("a", "18:00", "UTC")))
	if got := nextOf(t, pool, "a"); got.Before(date("2026-01-16")) {
		t.Errorf("removed and added again, it is due at %s", got)
	}
}

func TestManyWorkersFindOneScheduleDue(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	clock := clockAt("2026-01-15T12:00:00Z")
	q.cfg.Now = clock.now
	var twins []twin.Spec
	for n := range 20 {
		twins = append(twins, nightly(fmt.Sprint("t", n), "02:30", "UTC"))
	}
	tellFile(t, q, declares(1, twins...))
	execute(t, pool, "UPDATE twin SET paused_at = now() WHERE name = 't0'")
	clock.move(24 * time.Hour)
	var group errgroup.Group
	for range 8 {
		group.Go(func() error { return q.sweepSchedules(t.Context()) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, pool, "SELECT count(*) FROM river.river_job WHERE kind = 'schedule_due'"); n != 19 {
		t.Errorf("%d jobs for 19 Twins that are not paused", n)
	}
}

// TestASchedulesJobIsLost: with its process, or when its attempts are used up.
func TestASchedulesJobIsLost(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	plan := nightly("a", "02:30", "UTC")
	clock := clockAt("2026-01-15T12:00:00Z")
	q := idle(t, pool)
	q.cfg.Now = clock.now
	tellFile(t, q, declares(1, plan))
	clock.move(24 * time.Hour)
	if err := q.sweepSchedules(t.Context()); err != nil {
		t.Fatal(err)
	}
	execute(t, pool, "DELETE FROM river.river_job")
	cfg := fast(pool)
	cfg.Now, cfg.Decider = clock.now, head(1, plan)
	work(t, cfg)
	eventually(t, "the run is made all the same", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM sync_run WHERE state = 'succeeded' AND trigger = 'schedule'") == 1
	})
}

// TestTroubleWithGitHubDelaysASchedule, and does not cost its run.
func TestTroubleWithGitHubDelaysASchedule(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	plan := nightly("a", "02:30", "UTC")
	clock := clockAt("2026-01-15T12:00:00Z")
	cfg := fast(pool)
	cfg.Now = clock.now
	var asked atomic.Int32
	cfg.Decider = decider(func(ctx context.Context, d twin.Delivery) (twin.Decision, error) {
		switch asked.Add(1) {
		case 1:
			return twin.Decision{}, errors.New("502")
		case 2:
			return twin.Decision{}, &twin.LaterError{At: time.Now().Add(time.Second), Err: errors.New("429")}
		}
		return head(1, plan)(ctx, d)
	})
	q := work(t, cfg)
	tellFile(t, q, declares(1, plan))
	clock.move(24 * time.Hour)
	eventually(t, "the run succeeds", func() bool {
		return one[int](t, pool, "SELECT count(*) FROM sync_run WHERE state = 'succeeded'") == 1
	})
}

// TestARefusedScheduleIsToldOncePerCommit: a red check each night on the same
// commit would say nothing new.
func TestARefusedScheduleIsToldOncePerCommit(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	plan := nightly("a", "02:30", "UTC")
	clock := clockAt("2026-01-15T12:00:00Z")
	var commit atomic.Int32
	commit.Store(1)
	cfg := fast(pool)
	cfg.Now = clock.now
	cfg.Decider = decider(func(ctx context.Context, d twin.Delivery) (twin.Decision, error) {
		dec, err := head(int(commit.Load()), plan)(ctx, d)
		dec.Requests[0].Refusal = twin.Refuse("the source is not open", "ask the operator")
		return dec, err
	})
	q := work(t, cfg)
	tellFile(t, q, declares(1, plan))
	for _, want := range []int{1, 1, 2} {
		if want == 2 {
			commit.Store(2)
		}
		clock.move(24 * time.Hour)
		eventually(t, "the date has been asked for", func() bool {
			now, _ := clock.now(t.Context())
			return one[int](t, pool, "SELECT count(*) FROM twin WHERE next_run_at <= $1 OR due_date IS NOT NULL", now) == 0
		})
		if n := one[int](t, pool, "SELECT count(*) FROM sync_run WHERE state = 'failed'"); n != want {
			t.Errorf("%d refusals are told, want %d", n, want)
		}
	}
}

// TestAScheduledRunIsNotNewerThanItsCommit: what the clock asks for does not
// make a commit old that was pushed before, and is told later.
func TestAScheduledRunIsNotNewerThanItsCommit(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	i := inserter(t, pool)
	serves := func() string { return settleAll(t, i, "staging", "none") }
	enqueue(t, i, push(1))
	serves()
	for night := range 2 {
		r := push(1)
		r.Trigger, r.At = twin.Schedule, day.AddDate(0, 0, night+1)
		enqueue(t, i, r)
		if got := serves(); got != push(1).SHA {
			t.Errorf("night %d synced %s", night, got)
		}
	}
	enqueue(t, i, push(2)) // pushed before the nights, by GitHub's clock
	if got := serves(); got != push(2).SHA {
		t.Errorf("the newer commit was taken for an older one: %s", got)
	}
	// A scheduled request for the commit that waits is answered by what waits.
	waiting := enqueue(t, i, push(3))
	r := push(3)
	r.Trigger, r.At = twin.Schedule, day.AddDate(0, 0, 5)
	if got := enqueue(t, i, r); got != waiting {
		t.Errorf("run %d, while run %d waits for the same commit", got, waiting)
	}
}

// TestNextDatesAreListed for the operator.
func TestNextDatesAreListed(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	q := idle(t, pool)
	tellFile(t, q, declares(1, nightly("a", "02:30", "UTC")))
	twins, err := store.New(pool).Twins(t.Context())
	if err != nil || len(twins) != 1 || twins[0].NextAt.Before(time.Now()) || twins[0].Spec.On.Schedule == nil {
		t.Errorf("listed %+v, %v", twins, err)
	}
	if !slices.ContainsFunc(twins, func(s store.TwinStatus) bool { return strings.HasPrefix(s.NextAt.UTC().Format("15:04"), "02:3") }) {
		t.Errorf("next is %s", twins[0].NextAt)
	}
}
