package refresh_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// Each test here reaches one of the windows that TestChaos hits by chance.

// only asks that the Twin is of the run token, and that nothing is beside it.
func only(t *testing.T, target, token string) {
	t.Helper()
	if got := scan[string](t, target, "select token from neontwin.generation"); got != token {
		t.Errorf("the Twin is of run %s, want %s", got, token)
	}
	if got := databases(t, postgresOf(t, target), name(t, target)); len(got) != 1 {
		t.Errorf("there are the databases %v, want the Twin alone", got)
	}
}

// postgresOf is the maintenance database beside an address.
func postgresOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/postgres"
	return u.String()
}

// holding gives a stream hook that waits: reached tells that it does.
func holding() (between func(catalog.Name, io.Writer) io.WriteCloser, reached chan struct{}, release chan struct{}) {
	reached, release = make(chan struct{}, 10), make(chan struct{})
	return func(_ catalog.Name, w io.Writer) io.WriteCloser {
		return &hold{WriteCloser: w.(io.WriteCloser), reached: reached, release: release}
	}, reached, release
}

// A process that is killed before it could mark its database leaves one that
// is known by how it was made. One that an operator closed is not ours.
func TestKilledBeforeTheMark(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	twinName := name(t, target)
	pgtest.Exec(t, source, fmt.Sprintf("create database %s__killed allow_connections false connection limit 734291", twinName))
	pgtest.Exec(t, source, fmt.Sprintf("create database %s__archive allow_connections false", twinName))
	syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
	got := strings.Join(databases(t, source, twinName), " ")
	if want := twinName + " " + twinName + "__archive"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
}

// Where the session is lost while it makes the database, and where the run is
// interrupted then, nothing stays behind.
func TestLostWhileCreating(t *testing.T) {
	t.Parallel()
	for title, interrupted := range map[string]bool{"interrupted": true, "connection lost": false} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			source, target := smallSource(t)
			syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var seen atomic.Bool
			r, relayed := pgtest.Through(t, target, 0)
			r.Watch(func(sent []byte) pgtest.Fate {
				if !bytes.Contains(sent, []byte("CREATE DATABASE")) || seen.Swap(true) {
					return pgtest.Pass
				}
				if interrupted {
					time.AfterFunc(3*time.Millisecond, stop)
					return pgtest.Pass
				}
				return pgtest.Hang
			})
			_, err := refresher(t).Sync(ctx, refresh.Job{Source: source, Target: relayed}, &lease{token: "two"})
			f := twin.AsFailure(err)
			if err == nil || !f.Retry || interrupted != (f.Code == twin.CodeInterrupted) {
				t.Errorf("got %+v", f)
			}
			only(t, target, "one")
		})
	}
}

// A commit whose answer is lost is never guessed: the Twin says who made it.
func TestLostAtTheCommit(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		before bool // the commit never reaches the server
		fate   pgtest.Fate
	}{
		"the commit was not sent":                     {before: true, fate: pgtest.Lose},
		"the answer was lost":                         {fate: pgtest.Lose},
		"the answer was lost, and the session hangs":  {fate: pgtest.Hang},
		"it was not sent, and the old session hangs":  {before: true, fate: pgtest.Hang},
		"it was interrupted while the answer was due": {},
	}
	for title, c := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			source, target := smallSource(t)
			syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var renaming, done atomic.Bool
			r, relayed := pgtest.Through(t, target, 0)
			r.Watch(func(sent []byte) pgtest.Fate {
				if bytes.Contains(sent, []byte("RENAME TO")) {
					renaming.Store(true)
				}
				if !renaming.Load() || !bytes.Contains(sent, []byte("commit\x00")) || done.Swap(true) {
					return pgtest.Pass
				}
				if c.before {
					copy(sent, make([]byte, len(sent))) // no message of the protocol
				}
				if c.fate == pgtest.Pass {
					stop()
				}
				return c.fate
			})
			report, err := refresher(t).Sync(ctx, refresh.Job{Source: source, Target: relayed}, &lease{token: "two"})
			if !done.Load() {
				t.Fatal("no commit was seen")
			}
			if c.before {
				if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeTarget || !f.Retry {
					t.Errorf("got %v", err)
				}
				only(t, target, "one")
				return
			}
			if err != nil || report.Database == "" {
				t.Errorf("published, but the sync says %v", err)
			}
			only(t, target, "two")
		})
	}
}

// A connection that is lost while the generation is marked costs a second
// mark, not the run.
func TestLostWhileMarking(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"CREATE SCHEMA neontwin;", "INSERT INTO neontwin.generation"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			source, target := smallSource(t)
			var lost atomic.Bool
			r, relayed := pgtest.Through(t, target, 0)
			r.Watch(func(sent []byte) pgtest.Fate {
				if !bytes.Contains(sent, []byte(part)) || lost.Swap(true) {
					return pgtest.Pass
				}
				return pgtest.Lose
			})
			if _, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: relayed}, &lease{token: "one"}); err != nil {
				t.Fatal(err)
			}
			if !lost.Load() {
				t.Fatal("nothing was lost")
			}
			only(t, target, "one")
		})
	}
}

// A generation that could not be dropped after the publishing, because the
// process was killed then or because it may not be, goes with a later sync and
// keeps none from succeeding.
func TestKilledBeforeTheDrop(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
	pgtest.Exec(t, target, "create subscription s connection 'host=127.0.0.1' publication p with (connect = false, slot_name = none)")
	pgtest.Exec(t, source, "alter database "+name(t, target)+" is_template true")
	syncTwin(t, refresh.Job{Source: source, Target: target}, "two")
	old := name(t, target) + "__two_old"
	if got := databases(t, source, name(t, target)); len(got) != 2 || got[1] != old {
		t.Fatalf("there are the databases %v", got)
	}
	report := syncTwin(t, refresh.Job{Source: source, Target: target}, "three")
	if len(report.Hazards) != 1 || report.Hazards[0].ID != refresh.HazardStray || report.Hazards[0].Object != old {
		t.Errorf("hazards %+v", report.Hazards)
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + old
	pgtest.Exec(t, u.String(), "drop subscription s")
	if report := syncTwin(t, refresh.Job{Source: source, Target: target}, "four"); len(report.Hazards) != 0 {
		t.Errorf("hazards %+v", report.Hazards)
	}
	only(t, target, "four")
}

// endLock ends the session that holds the lock of a Twin: those of other tests
// are on the same server, so it is known by its run.
func endLock(t *testing.T, target, app string) {
	t.Helper()
	if n := scan[int](t, postgresOf(t, target), "select count(pg_terminate_backend(pid)) from pg_stat_activity join pg_locks l using (pid) where l.locktype = 'advisory' and application_name = $1", app); n != 1 {
		t.Fatalf("%d sessions hold the lock, want 1", n)
	}
}

// The session that holds the lock is lost while rows are copied.
func TestLockLostWhileLoading(t *testing.T) {
	t.Parallel()
	load := func(t *testing.T, target string, job refresh.Job) (finish chan struct{}, result chan error) {
		t.Helper()
		between, reached, release := holding()
		job.Between = between
		result = make(chan error, 1)
		go func() {
			_, err := refresher(t).Sync(t.Context(), job, &lease{token: "two"})
			result <- err
		}()
		<-reached
		endLock(t, target, "neontwin/two")
		return release, result
	}
	held := func(t *testing.T, target string) bool {
		t.Helper()
		return scan[int](t, postgresOf(t, target), "select count(*) from pg_stat_activity join pg_locks l using (pid) where l.locktype = 'advisory' and application_name = 'neontwin/two'") == 1
	}
	t.Run("it is taken again", func(t *testing.T) {
		t.Parallel()
		source, target := chaosSource(t)
		syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
		finish, result := load(t, target, refresh.Job{Source: source, Target: target})
		for deadline := time.Now().Add(20 * time.Second); !held(t, target); {
			if time.Now().After(deadline) {
				t.Fatal("the lock was not taken again")
			}
			<-time.After(50 * time.Millisecond)
		}
		close(finish)
		if err := <-result; err != nil {
			t.Errorf("the sync failed: %v", err)
		}
		only(t, target, "two")
	})
	t.Run("somebody else came", func(t *testing.T) {
		t.Parallel()
		for _, publish := range []twin.Strategy{twin.Swap, twin.InPlace} {
			source, target := chaosSource(t)
			syncTwin(t, refresh.Job{Source: source, Target: target, Publish: publish}, "one")
			finish, result := load(t, target, refresh.Job{Source: source, Target: target, Publish: publish})
			// It may be taken again before the other one comes.
			var err error
			for {
				if _, err = refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Publish: publish}, &lease{token: "three"}); err == nil {
					break
				}
				if twin.AsFailure(err).Code != twin.CodeConflict {
					t.Fatalf("the other sync: %v", err)
				}
				endLock(t, target, "neontwin/two")
			}
			close(finish)
			if err := <-result; err == nil {
				t.Error("a sync whose target was taken published")
			}
			only(t, target, "three")
			judge(t, source, target)
		}
	})
}

// A sync that was replaced without knowing it tries its lost transfers again,
// beside its successor. None of its rows may get into the successor's.
func TestLateRowsStayOut(t *testing.T) {
	t.Parallel()
	pgtest.Long(t)
	for _, publish := range []twin.Strategy{twin.Swap, twin.InPlace} {
		t.Run(string(publish), func(t *testing.T) {
			t.Parallel()
			source, target := smallSource(t)
			syncTwin(t, refresh.Job{Source: source, Target: target, Publish: publish}, "one")
			start := func(token string) (release chan struct{}, result chan error) {
				between, reached, release := holding()
				result = make(chan error, 1)
				go func() {
					_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Publish: publish, Exclusive: true, Between: between}, &lease{token: token})
					result <- err
				}()
				<-reached
				return release, result
			}
			releaseLate, late := start("late")
			pgtest.Exec(t, source, "insert into people (name) values ('only the successor knows'); delete from notes where person < 50")
			releaseNext, next := start("successor")
			close(releaseLate)
			if err := <-late; err == nil {
				t.Error("the late worker published")
			}
			close(releaseNext)
			if err := <-next; err != nil {
				t.Errorf("the successor: %v", err)
			}
			only(t, target, "successor")
			judge(t, source, target)
		})
	}
}

// The same, at the moment when the successor has emptied the Twin and copied
// nothing yet: the late worker must not be the first to write.
func TestLateRowsMeetAnotherLedger(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	syncTwin(t, refresh.Job{Source: source, Target: target, Publish: twin.InPlace}, "one")
	var once atomic.Bool
	_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Publish: twin.InPlace, Between: func(_ catalog.Name, w io.Writer) io.WriteCloser {
		if !once.Swap(true) {
			pgtest.Exec(t, target, `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and application_name = 'neontwin/late';
				truncate people, notes; drop schema neontwin cascade; create schema neontwin; create table neontwin.ledger (done text primary key, run text not null check (run = 'neontwin/successor'))`)
		}
		return w.(io.WriteCloser)
	}}, &lease{token: "late"})
	if f := twin.AsFailure(err); err == nil || !f.Changed {
		t.Errorf("got %v", err)
	}
	if n := scan[int](t, target, "select (select count(*) from people) + (select count(*) from notes)"); n != 0 {
		t.Errorf("%d rows came in", n)
	}
}

// chaosSource is smallSource on a server of its own: its sessions are counted.
func chaosSource(t *testing.T) (source, target string) {
	t.Helper()
	c := pgtest.Cluster(t, nil)
	pgtest.Exec(t, c.URL("postgres"), "create database production")
	pgtest.Exec(t, c.URL("production"), small)
	return c.URL("production"), c.URL("staging")
}

// The lock is lost in the last moment before the publishing.
func TestLockLostBeforePublishing(t *testing.T) {
	t.Parallel()
	source, target := chaosSource(t)
	syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
	l := &lease{token: "two", check: func(context.Context) error {
		endLock(t, target, "neontwin/two") //nolint:contextcheck // the test's own
		return nil
	}}
	_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target}, l)
	if f := twin.AsFailure(err); err == nil || f.Code != twin.CodeTarget || !f.Retry {
		t.Errorf("got %v", err)
	}
	only(t, target, "one")
}

// A worker loses its lease to a successor in the last moment before it
// publishes. It does nothing more, and does not end its successor's session.
func TestLeaseLostBeforePublishing(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
	between, reached, release := holding()
	successor := make(chan error, 1)
	var lost atomic.Bool
	l := &lease{token: "late", check: func(ctx context.Context) error {
		if lost.Swap(true) {
			return fmt.Errorf("another worker came: %w", twin.ErrLeaseLost)
		}
		go func() { //nolint:contextcheck // another worker's
			_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Exclusive: true, Between: between}, &lease{token: "successor"})
			successor <- err
		}()
		<-reached
		return ctx.Err()
	}}
	_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Exclusive: true}, l)
	if err == nil {
		t.Error("the late worker published")
	}
	close(release)
	if err := <-successor; err != nil {
		t.Errorf("the successor: %v", err)
	}
	only(t, target, "successor")
}

// A worker that hangs on a frozen network keeps its sessions on the server. Its
// successor ends the one with the lock; a person's sync is never ended.
func TestTakeOverFromAFrozenSession(t *testing.T) {
	t.Parallel()
	pgtest.Long(t)
	for _, publish := range []twin.Strategy{twin.Swap, twin.InPlace} {
		t.Run(string(publish), func(t *testing.T) {
			t.Parallel()
			source, target := smallSource(t)
			syncTwin(t, refresh.Job{Source: source, Target: target, Publish: publish}, "one")
			r, relayed := pgtest.Through(t, target, 0)
			between, reached, release := holding()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			frozen := make(chan error, 1)
			go func() {
				_, err := refresher(t).Sync(ctx, refresh.Job{Source: source, Target: relayed, Publish: publish, Exclusive: true, Between: between}, &lease{token: "frozen"})
				frozen <- err
			}()
			<-reached
			r.Freeze()
			if _, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Publish: publish}, &lease{token: "person"}); twin.AsFailure(err) == nil || twin.AsFailure(err).Code != twin.CodeConflict {
				t.Errorf("a person's sync beside the service's: %v", err)
			}
			syncTwin(t, refresh.Job{Source: source, Target: target, Publish: publish, Exclusive: true}, "successor")
			close(release)
			stop()
			if err := <-frozen; err == nil {
				t.Error("the frozen worker published")
			}
			only(t, target, "successor")
			judge(t, source, target)
		})
	}
}

// Two syncs of a Twin that does not exist yet begin at the same moment.
func TestTwoAtTheSameMoment(t *testing.T) {
	t.Parallel()
	source, target := smallSource(t)
	results := make(chan error, 2)
	for _, token := range []string{"a", "b"} {
		go func() {
			_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target}, &lease{token: token})
			results <- err
		}()
	}
	var published int
	for range 2 {
		if err := <-results; err == nil {
			published++
		} else if twin.AsFailure(err).Code != twin.CodeConflict {
			t.Errorf("got %v", err)
		}
	}
	if published == 0 {
		t.Error("neither published")
	}
	judge(t, source, target)
	only(t, target, scan[string](t, target, "select token from neontwin.generation"))
}

// A snapshot whose holder is gone is not trusted, also when all has been read:
// without the locks, a table that is emptied looks empty to it. What was read
// is thrown away, and read again under a new one.
func TestSnapshotLostAtTheEnd(t *testing.T) {
	t.Parallel()
	source, target := chaosSource(t)
	syncTwin(t, refresh.Job{Source: source, Target: target}, "one")
	var hit atomic.Bool
	report, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Between: func(table catalog.Name, w io.Writer) io.WriteCloser {
		if table.Name == "people" && !hit.Swap(true) {
			// The holder's transaction is the oldest. Once it has gone, nobody
			// gives way to the other statement.
			if !scan[bool](t, source, `select pg_terminate_backend(pid, 60000) from pg_stat_activity where application_name = 'neontwin/two'
				and datname = current_database() and xact_start is not null order by xact_start limit 1`) {
				t.Error("the holder was not ended")
			}
			pgtest.Exec(t, source, "set lock_timeout = '60s'; truncate notes")
		}
		return w.(io.WriteCloser)
	}}, &lease{token: "two"})
	if err != nil || len(report.Hazards) != 1 || report.Hazards[0].ID != refresh.HazardStartedAgain {
		t.Fatalf("got %+v, %v", report.Hazards, err)
	}
	only(t, target, "two")
	judge(t, source, target)
}
