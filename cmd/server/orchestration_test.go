package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// file is a repository's file with one Twin of the environment's databases.
func file(on, more string) map[string]string {
	return map[string]string{".github/neon-twin.yml": fmt.Sprintf(
		"version: 1\ntwins:\n  staging: {source: env, target: env, mode: full, on: %s%s}\n", on, more)}
}

// push changes the default branch.
func (w *world) push(p githubtest.Push) string {
	w.t.Helper()
	if p.Repository == "" {
		p.Repository = repo
	}
	p.Branch = "main"
	sha, err := w.github.Push(p)
	if err != nil {
		w.t.Fatal(err)
	}
	return sha
}

// awaitGreen waits until a commit of a repository has n green checks and no other.
func (w *world) awaitGreen(name, sha string, n int) {
	w.t.Helper()
	w.await(fmt.Sprintf("%.7s of %s has %d green checks", sha, name, n), 60*time.Second, func() bool {
		runs := w.github.CheckRuns(name, sha)
		for _, r := range runs {
			if r.Conclusion != "success" {
				return false
			}
		}
		return len(runs) == n
	})
}

// TestScheduleFollowsTheFile: a push that starts no sync changes the schedule,
// which syncs the branch's head and reports there.
func TestScheduleFollowsTheFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	w.start()
	w.push(githubtest.Push{Files: file(`{schedule: {at: "02:30", timezone: Europe/Berlin}}`, "")})
	planned := func() bool {
		return scan[int](w, w.control, "select count(*) from twin where next_run_at > now() and sched_tz = 'Europe/Berlin'") == 1
	}
	w.await("the schedule is stored", 30*time.Second, planned)
	head := w.push(githubtest.Push{Files: map[string]string{"other": "x"}})
	w.await("all deliveries are processed", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from webhook_delivery where processed_at is null") == 0
	})
	if n := scan[int](w, w.control, "select count(*) from sync_run"); n != 0 {
		t.Errorf("%d runs, though nothing is due", n)
	}
	next := scan[time.Time](w, w.control, "select next_run_at from twin")
	if got := w.says(exitOK, "status"); !strings.Contains(got, next.UTC().Format(time.DateOnly)) {
		t.Errorf("status does not say when it is due:\n%s", got)
	}
	for n := 1; n <= 2; n++ { // two nights
		pgtest.Exec(t, w.control, "update twin set next_run_at = now() - interval '1 minute', last_sched_date = null")
		w.awaitGreen(repo, head, n)
	}
	if got := w.commit(); got != head {
		t.Errorf("the Twin is of commit %.7s, want %.7s", got, head)
	}
	if got := w.says(exitOK, "runs"); !strings.Contains(got, "schedule") {
		t.Errorf("runs do not say why:\n%s", got)
	}
	if !planned() {
		t.Error("after its run the schedule is not due again")
	}

	w.push(githubtest.Push{Files: file("{push: {paths: [never]}}", "")})
	w.await("the schedule is gone", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from twin where next_run_at is not null or sched_tz is not null") == 0
	})
}

// TestANewerCommitRestarts: the run under way gives way, says so, and leaves
// nothing behind.
func TestANewerCommitRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked+";"+crawl)
	w.start()
	w.push(githubtest.Push{Files: file("{pull_request: }", ", on_newer: restart")})
	first := w.merge(1, githubtest.Merge{})
	w.awaitCrawling()
	// Before the second is copied, nobody knows what it is: it is the third.
	second, third := w.merge(2, githubtest.Merge{}), w.merge(3, githubtest.Merge{})
	w.awaitChecks(third, 60*time.Second)
	w.requireGreen(third)
	for _, pr := range []githubtest.PullRequest{first, second} {
		for _, c := range w.awaitChecks(pr, 60*time.Second) {
			if c.Conclusion != "skipped" || !strings.HasPrefix(c.Title, "Superseded by ") {
				t.Errorf("the check of %s is %s: %s", pr.Title, c.Conclusion, c.Title)
			}
			if got, want := w.inTheEnd(c), w.checks(third.HeadSHA)[0].DetailsURL; got != want {
				t.Errorf("the check of %s leads to %s, want %s", pr.Title, got, want)
			}
		}
	}
	if n := scan[int](w, w.control, "select count(*) from sync_run where state = 'succeeded'"); n != 1 {
		t.Errorf("%d runs have published, want 1", n)
	}
	if n := scan[int](w, w.target, "select count(*) from people"); n != 2500 {
		t.Errorf("the Twin holds %d people", n)
	}
	w.await("no stray database is left", 60*time.Second, func() bool { return len(w.databases()) == 1 })
}

// inTheEnd follows the links of a check and of pages from run to run, and gives
// the address of the last one's page.
func (w *world) inTheEnd(c githubtest.CheckRun) string {
	w.t.Helper()
	link := regexp.MustCompile(`\]\((\S+)\) syncs the Twin`).FindStringSubmatch(c.Summary + c.Text)
	if link == nil {
		w.t.Fatalf("the check leads nowhere: %s\n%s", c.Title, c.Summary)
	}
	for at := link[1]; ; at = w.url + "/runs/" + link[1] {
		if link = regexp.MustCompile(`<dt>Instead</dt><dd><a href="(\w+)">`).FindStringSubmatch(w.body(at)); link == nil {
			return at
		}
	}
}

// TestOnePushMergesTwo pull requests, the second upon the first: one run, told
// on both.
func TestOnePushMergesTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	w.start()
	var prs []githubtest.PullRequest
	for n, base := range []string{"", "one"} {
		name := []string{"one", "two"}[n]
		if base != "" {
			if _, err := w.github.Push(githubtest.Push{Repository: repo, Branch: name, To: base}); err != nil {
				t.Fatal(err)
			}
		}
		pr, err := w.github.OpenPullRequest(githubtest.NewPullRequest{Repository: repo, Title: name, Head: name, Files: map[string]string{name: "x"}})
		if err != nil {
			t.Fatal(err)
		}
		prs = append(prs, pr)
	}
	// The push is told first: else the first one's run may have begun by then.
	w.github.BreakWebhook(githubtest.WebhookFault{Event: "pull_request", Times: 2, Kind: githubtest.WebhookDelayed, Delay: time.Second})
	head := w.push(githubtest.Push{To: "two"})
	for _, pr := range prs {
		if now, err := w.github.PullRequest(repo, pr.Number); err != nil || !now.Merged {
			t.Fatalf("%s was not merged: %v", pr.Title, err)
		}
		w.awaitGreen(repo, pr.HeadSHA, 1)
	}
	w.awaitGreen(repo, head, 1)
	if n := scan[int](w, w.control, "select count(*) from sync_run where state = 'succeeded'"); n != 1 {
		t.Errorf("%d runs have published, want one that tells all", n)
	}
	if got := w.commit(); got != head {
		t.Errorf("the Twin is of commit %.7s, want %.7s", got, head)
	}
}

// TestForcedBack: a branch that is forced back takes the Twin with it. Moves of
// one second are TestForcedBackWithinASecond's.
func TestForcedBack(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, small, githubtest.Options{AnyClock: true})
	w.start()
	first := w.push(githubtest.Push{Files: map[string]string{"one": "x"}})
	w.awaitGreen(repo, first, 1)
	w.github.SetClock(time.Minute)
	second := w.push(githubtest.Push{Files: map[string]string{"two": "x"}})
	w.awaitGreen(repo, second, 1)
	w.github.SetClock(2 * time.Minute)
	w.push(githubtest.Push{To: first, Force: true})
	w.awaitGreen(repo, first, 2)
	if got := w.commit(); got != first {
		t.Errorf("the Twin is of commit %.7s, want %.7s", got, first)
	}
	w.github.SetClock(3 * time.Minute)
	w.push(githubtest.Push{To: second})
	w.awaitGreen(repo, second, 2)
	if got := w.commit(); got != second {
		t.Errorf("the Twin is of commit %.7s, want %.7s", got, second)
	}
}

// TestForcedBackWithinASecond: GitHub tells whole seconds, so that no webhook
// says which of two moves was the later one. What the branch is at does.
func TestForcedBackWithinASecond(t *testing.T) {
	t.Parallel()
	var held atomic.Pointer[time.Time]
	clock := func() time.Time {
		if at := held.Load(); at != nil {
			return *at
		}
		return time.Now()
	}
	w := watching(newWorldWith(t, small, githubtest.Options{AnyClock: true, Now: clock}))
	w.start()
	w.awaitWatched()
	second, err := w.github.Push(githubtest.Push{Repository: repo, Branch: "side", Files: map[string]string{"two": "x"}})
	must(t, err)
	first := w.push(githubtest.Push{Files: map[string]string{"one": "x"}})
	w.awaitGreen(repo, first, 1)
	now := time.Now()
	held.Store(&now)
	w.push(githubtest.Push{To: second, Force: true})
	w.awaitGreen(repo, second, 1)
	w.push(githubtest.Push{To: first, Force: true})
	w.await("all deliveries are processed", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from webhook_delivery where processed_at is null") == 0
	})
	held.Store(nil)
	w.await("the Twin is of the head", 60*time.Second, func() bool { return w.commit() == first })
	w.rest()
	runs := scan[int](w, w.control, "select count(*) from sync_run")
	w.rest()
	if again := scan[int](w, w.control, "select count(*) from sync_run"); again != runs || runs > 4 {
		t.Errorf("%d runs, and %d later: the head was synced more than once", runs, again)
	}
}

// TestATargetChangesHands: another repository's Twin is refused until the
// operator releases the target.
func TestATargetChangesHands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	const other = "acme/api"
	if _, err := w.github.CreateRepository(githubtest.NewRepository{FullName: other, Files: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "neontwin.yml")
	both := "    repositories: [" + repo + ", " + other + "]\n"
	text := "sources:\n  prod:\n    url: ${PROD}\n" + both + "targets:\n  shop-twin:\n    url: ${SHOP_TWIN}\n" + both
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.setenv("TWIN_REPOSITORY", "")
	w.setenv("SOURCE_DATABASE_URL", "")
	w.setenv("TWIN_DATABASE_URL", "")
	w.env = append(w.env, "NEONTWIN_CONFIG="+path, "PROD="+w.source, "SHOP_TWIN="+w.target)
	w.start()
	twins := map[string]string{".github/neon-twin.yml": "version: 1\ntwins:\n  staging: {source: prod, target: shop-twin, mode: full, on: {push: }}\n"}
	w.awaitGreen(repo, w.push(githubtest.Push{Files: twins}), 1)

	refused := w.push(githubtest.Push{Repository: other, Files: twins})
	w.await("the second Twin is refused", 60*time.Second, func() bool {
		runs := w.github.CheckRuns(other, refused)
		return len(runs) == 1 && runs[0].Conclusion == "action_required" && strings.Contains(runs[0].Title+runs[0].Summary, `"shop-twin" is filled by another Twin`)
	})
	if got := w.says(exitFailed, "release", "nothing"); !strings.Contains(got, "no Twin holds") {
		t.Errorf("release of a target that is none: %s", got)
	}
	if got := w.says(exitOK, "release", "shop-twin"); !strings.Contains(got, "staging of "+repo) {
		t.Errorf("release: %s", got)
	}
	w.awaitGreen(other, w.push(githubtest.Push{Repository: other, Files: map[string]string{"more": "x"}}), 1)
}

// TestKilledBetweenRequestAndStop: a newer commit has asked for the end of a
// run whose worker hangs, and is killed before it has heard of that.
func TestKilledBetweenRequestAndStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked+";"+crawl)
	w.setenv("LEASE_TTL", "8s")
	w.start("serve", "--role=web")
	worker := func() *process {
		admin := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		w.setenv("ADMIN_ADDR", admin)
		p := w.launch("serve", "--role=worker")
		w.await("the worker is ready", 60*time.Second, func() bool { return status("http://"+admin+"/readyz") == http.StatusOK })
		return p
	}
	hangs := worker()
	w.push(githubtest.Push{Files: file("{pull_request: }", ", on_newer: restart")})
	first := w.merge(1, githubtest.Merge{})
	w.awaitCrawling()
	if err := hangs.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	worker()
	second := w.merge(2, githubtest.Merge{})
	w.await("the newer commit waits", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from sync_run where sha = '"+second.MergeSHA+"'") == 1
	})
	hangs.kill()
	w.awaitChecks(second, 90*time.Second)
	w.requireGreen(second)
	for _, c := range w.awaitChecks(first, 60*time.Second) {
		if c.Conclusion != "skipped" || !strings.Contains(c.Title, "Superseded by "+second.MergeSHA[:7]) {
			t.Errorf("the check of the first is %s: %s", c.Conclusion, c.Title)
		}
	}
	w.await("no stray database is left", 60*time.Second, func() bool { return len(w.databases()) == 1 })
}
