package main

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/githubtest"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// TestStrayOfTheLastRun: a worker is killed while it loads, and its run is
// cancelled before another one takes it over. No sync follows that would find
// what was left; it goes all the same, and nothing else does.
func TestStrayOfTheLastRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked)
	w.setenv("LEASE_TTL", "12s")
	p := w.start()
	w.awaitChecks(w.merge(1, githubtest.Merge{}), 90*time.Second)
	pgtest.Exec(t, w.source, "insert into people (name) values ('new');"+crawl)
	pr := w.merge(2, githubtest.Merge{})
	w.awaitCrawling()
	p.kill()
	kept := w.twin() + "__before_old" // as a publish leaves it for a rollback
	pgtest.Exec(t, w.control, "create database "+pgx.Identifier{kept}.Sanitize())
	pgtest.Exec(t, w.control, "comment on database "+pgx.Identifier{kept}.Sanitize()+` is '{"neontwin":1,"state":"previous","token":"before","twin":"`+w.twin()+`"}'`)
	want := []string{w.twin(), kept}
	if got := w.databases(); len(got) != 3 {
		t.Fatalf("there are the databases %v, want the half loaded one beside %v", got, want)
	}
	w.says(exitOK, "cancel", scan[string](w, w.control, "select max(id)::text from sync_run"))
	w.start()
	for _, c := range w.awaitChecks(pr, 90*time.Second) {
		if c.Conclusion != "cancelled" {
			t.Errorf("the check says %s: %s", c.Conclusion, c.Title)
		}
	}
	w.await("what was half loaded is gone", 60*time.Second, func() bool { return len(w.databases()) < 3 })
	got := w.databases()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("there are the databases %v, want %v", got, want)
	}
	if n := scan[int](w, w.target, "select count(*) from people"); n != 2500 {
		t.Errorf("the Twin holds %d people, want the 2500 of the generation before", n)
	}
	if n := scan[int](w, w.control, "select sum(attempt)::int from sync_run"); n != 2 {
		t.Errorf("%d attempts, want the two that there were before the kill: a sync cleans by itself", n)
	}
}
