package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
)

// watching makes the server look at GitHub often.
func watching(w *world) *world {
	w.env = append(w.env, "CATCH_UP_EVERY=500ms")
	return w
}

// silent makes GitHub send no webhook that anybody would ever hear of.
func silent(w *world, kind githubtest.WebhookTrouble) {
	w.github.BreakWebhook(githubtest.WebhookFault{Times: -1, Kind: kind})
}

// awaitWatched waits until the branch is known as it stands: what comes after
// that can be missed.
func (w *world) awaitWatched() {
	w.t.Helper()
	w.await("the repository is watched", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from judged") > 0 && scan[int](w, w.control, "select count(*) from repository where looked_at is not null") > 0
	})
}

// commit gives the commit that the Twin is of, as its last run says.
func (w *world) commit() string {
	return scan[string](w, w.control, "select coalesce((select sha from sync_run where state = 'succeeded' order by finished_at desc limit 1), '')")
}

// TestEveryDeliveryFailed: nobody took any webhook. GitHub knows, and is asked
// for them again.
func TestEveryDeliveryFailed(t *testing.T) {
	t.Parallel()
	w := watching(newWorld(t, small))
	silent(w, githubtest.WebhookFailed)
	// Whatever GitHub shows of branches helps nobody.
	w.github.Break(githubtest.Fault{Route: "GET /repos/{owner}/{repo}/branches/{branch...}", Times: -1, Kind: githubtest.ServerError})
	var prs []githubtest.PullRequest
	for i := range 3 {
		prs = append(prs, w.merge(i, githubtest.Merge{}))
	}
	if err := w.github.WaitForWebhooks(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.await("webhooks are asked for again", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from missed_delivery where tries > 0") > 0
	})
	w.github.ClearFaults()
	w.github.Break(githubtest.Fault{Route: "GET /repos/{owner}/{repo}/branches/{branch...}", Times: -1, Kind: githubtest.ServerError})
	for _, pr := range prs {
		w.awaitChecks(pr, 60*time.Second)
	}
	last := prs[len(prs)-1]
	w.requireGreen(last)
	w.await("the Twin is of the last commit", 60*time.Second, func() bool { return w.commit() == last.MergeSHA })
	w.await("nothing is missed any more", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from missed_delivery where event in ('push', 'pull_request')") == 0
	})
	if n := scan[int](w, w.control, "select count(*) from webhook_delivery where guid like 'catchup-%'"); n > 0 {
		t.Errorf("%d deliveries were made, though GitHub had them all", n)
	}
}

// TestEveryWebhookLost: nothing was sent, nothing is listed. The heads of the
// branches tell, and each merged pull request has its check.
func TestEveryWebhookLost(t *testing.T) {
	t.Parallel()
	w := watching(newWorld(t, small))
	silent(w, githubtest.WebhookLost)
	server := w.start()
	w.awaitWatched()
	first := w.merge(1, githubtest.Merge{})
	w.awaitChecks(first, 60*time.Second)
	w.requireGreen(first)
	if got := w.commit(); got != first.MergeSHA {
		t.Errorf("the Twin is of commit %.7s, want %.7s", got, first.MergeSHA)
	}

	// While nobody is there, two are merged and something is pushed.
	server.kill()
	var prs []githubtest.PullRequest
	for i, m := range []githubtest.Method{githubtest.Squash, githubtest.Rebase} {
		prs = append(prs, w.merge(2+i, githubtest.Merge{Method: m}))
	}
	head, err := w.github.Push(githubtest.Push{Repository: repo, Branch: "main", Files: map[string]string{"direct": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	w.start()
	w.await("the Twin is of the head", 60*time.Second, func() bool { return w.commit() == head })
	for _, pr := range prs {
		for _, c := range w.awaitChecks(pr, 60*time.Second) {
			if c.Conclusion != "success" && c.Conclusion != "skipped" {
				t.Errorf("the check of pull request %d is %s: %s", pr.Number, c.Conclusion, c.Title)
			}
		}
	}
	if runs := w.checks(head); len(runs) != 1 {
		t.Errorf("the head has %d checks, want 1", len(runs))
	}
	runs := scan[int](w, w.control, "select count(*) from sync_run")
	w.rest()
	if again := scan[int](w, w.control, "select count(*) from sync_run"); again != runs || again > 4 {
		t.Errorf("%d runs, and %d later: a fact was synced twice", runs, again)
	}
	if n := scan[int](w, w.control, "select count(*) from webhook_delivery where guid not like 'catchup-%'"); n > 0 {
		t.Errorf("%d webhooks came in, though all were lost", n)
	}
}

// rest waits until the repository was looked at twice more, so that what would
// be found has been.
func (w *world) rest() {
	w.t.Helper()
	for range 2 {
		before := scan[time.Time](w, w.control, "select max(looked_at) from repository")
		w.await("the repository is looked at again", 60*time.Second, func() bool {
			return scan[time.Time](w, w.control, "select max(looked_at) from repository").After(before)
		})
	}
}

// TestScheduleOfANewRepository: what a repository's file says of schedules is
// taken over when the repository is first seen, whatever no webhook told.
func TestScheduleOfANewRepository(t *testing.T) {
	t.Parallel()
	w := watching(newWorld(t, small))
	silent(w, githubtest.WebhookLost)
	w.push(githubtest.Push{Files: file(`{schedule: {at: "02:30", timezone: Europe/Berlin}}`, "")})
	w.start()
	w.await("the schedule is stored", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from twin where next_run_at > now() and sched_tz = 'Europe/Berlin'") == 1
	})
	w.awaitWatched()
	if n := scan[int](w, w.control, "select count(*) from sync_run"); n != 0 {
		t.Errorf("%d runs, though nothing is due", n)
	}
}

// TestSuspendedWhileCopying: the sync goes on. When access comes back, the
// check is told, and what was merged meanwhile is synced.
func TestSuspendedWhileCopying(t *testing.T) {
	t.Parallel()
	w := watching(newWorld(t, checked))
	letGo := w.hold()
	w.start()
	w.awaitWatched()
	pr := w.merge(1, githubtest.Merge{})
	w.awaitCopying()
	must(t, w.github.Suspend("acme"))
	w.await("the Twin is paused", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from twin where paused_at is not null and pause_reason = 'lost'") == 1
	})
	letGo()
	w.await("the run has succeeded", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from sync_run where state = 'succeeded'") == 1
	})
	during := w.merge(2, githubtest.Merge{}) // GitHub tells a suspended App nothing
	must(t, w.github.Unsuspend("acme"))
	for _, p := range []githubtest.PullRequest{pr, during} {
		w.awaitChecks(p, 60*time.Second)
		w.requireGreen(p)
	}
	if n := scan[int](w, w.control, "select count(*) from twin where paused_at is null"); n != 1 {
		t.Error("the Twin is still paused")
	}
}

// TestPermissionsAcceptedLater: what was merged while GitHub gave us no token is
// synced and told once it does.
func TestPermissionsAcceptedLater(t *testing.T) {
	t.Parallel()
	w := watching(newWorld(t, small))
	granted := map[string]string{"metadata": "read", "contents": "read", "pull_requests": "read"}
	must(t, w.github.AcceptPermissions("acme", granted))
	w.start()
	pr := w.merge(1, githubtest.Merge{})
	w.await("the webhook can't be processed", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from webhook_delivery where error like '%not granted%' and processed_at is null") > 0
	})
	granted["checks"] = "write"
	must(t, w.github.AcceptPermissions("acme", granted))
	w.awaitChecks(pr, 60*time.Second)
	w.requireGreen(pr)
}

// TestSuspendToldLate: GitHub's events come in any order. What they say is
// looked up.
func TestSuspendToldLate(t *testing.T) {
	t.Parallel()
	w := watching(newWorld(t, small))
	w.start()
	w.awaitWatched()
	w.github.BreakWebhook(githubtest.WebhookFault{Event: "installation", Action: "suspend", Kind: githubtest.WebhookOvertaken})
	w.github.BreakWebhook(githubtest.WebhookFault{Event: "installation", Action: "unsuspend", Kind: githubtest.WebhookDoubled})
	must(t, w.github.Suspend("acme"))
	must(t, w.github.Unsuspend("acme"))
	if err := w.github.WaitForWebhooks(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.await("all three are processed", 60*time.Second, func() bool {
		return scan[int](w, w.control, "select count(*) from webhook_delivery where event = 'installation' and processed_at is not null") == 2
	})
	w.rest()
	if state := scan[string](w, w.control, "select state from repository"); state != "active" {
		t.Errorf("the repository is %s", state)
	}
	pr := w.merge(1, githubtest.Merge{})
	w.awaitChecks(pr, 60*time.Second)
	w.requireGreen(pr)
}

// TestUninstalledWhileCopying: the run ends, nothing of it is half made, and
// nothing that was kept of the tenant is left. Installed again, it is served.
func TestUninstalledWhileCopying(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		t.Run(fmt.Sprintf("told=%t", told), func(t *testing.T) {
			t.Parallel()
			w := watching(newWorld(t, checked))
			letGo := w.hold()
			w.start()
			w.awaitWatched()
			w.merge(1, githubtest.Merge{})
			w.awaitCopying()
			if !told {
				silent(w, githubtest.WebhookLost)
			}
			must(t, w.github.Uninstall("acme"))
			w.await("everything is purged", 60*time.Second, func() bool {
				return scan[int](w, w.control, `select (select count(*) from twin) + (select count(*) from sync_run) + (select count(*) from check_publication)
					+ (select count(*) from sync_run_event) + (select count(*) from judged) + (select count(*) from repository)
					+ (select count(*) from webhook_delivery) + (select count(*) from repository_file)`) == 0
			})
			if n := scan[int](w, w.control, "select count(*) from repository_binding"); n != 1 {
				t.Errorf("%d names are bound, want the one: whoever takes over the name must get nothing", n)
			}
			w.await("nothing half made is left", 60*time.Second, func() bool { return len(w.databases()) == 0 })
			letGo()
			w.github.ClearFaults()
			if _, err := w.github.Install("acme"); err != nil {
				t.Fatal(err)
			}
			w.awaitWatched()
			pr := w.merge(2, githubtest.Merge{})
			w.awaitChecks(pr, 60*time.Second)
			w.requireGreen(pr)
		})
	}
}

// TestRemovedWhileCopying: a repository that is not ours to see any more is not
// synced any more, however that came about, told or not.
func TestRemovedWhileCopying(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(w *world) error{
		"deleted":     func(w *world) error { return w.github.DeleteRepository(repo) },
		"transferred": func(w *world) error { return w.github.Transfer(repo, "umbrella") },
		"deselected": func(w *world) error {
			if _, err := w.github.CreateRepository(githubtest.NewRepository{FullName: "acme/blog"}); err != nil {
				return err
			}
			return w.github.SelectRepositories("acme", "blog")
		},
		"untold": func(w *world) error {
			silent(w, githubtest.WebhookLost)
			return w.github.DeleteRepository(repo)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watching(newWorld(t, checked+";"+crawl))
			w.start()
			w.awaitWatched()
			pr := w.merge(1, githubtest.Merge{})
			w.awaitCrawling()
			must(t, act(w))
			w.await("the run is cancelled", 60*time.Second, func() bool {
				return scan[int](w, w.control, "select count(*) from sync_run where state = 'cancelled'") == 1
			})
			w.await("both places are recorded as unreachable", 60*time.Second, func() bool {
				return scan[int](w, w.control, "select count(*) from check_publication where unreachable_at is not null") == 2
			})
			w.await("its Twin has let go", 60*time.Second, func() bool {
				return scan[int](w, w.control, "select count(*) from twin where target is null and pause_reason = 'removed'") == 1
			})
			w.await("nothing half made is left", 60*time.Second, func() bool { return len(w.databases()) == 0 })
			if name != "deselected" {
				return
			}
			// Given back, the Twin is synced after all, and the checks are told.
			must(t, w.github.SelectRepositories("acme", "blog", "shop"))
			w.await("the Twin is synced", 60*time.Second, func() bool { return w.commit() == pr.MergeSHA })
			for _, sha := range []string{pr.HeadSHA, pr.MergeSHA} {
				w.await("the newest check is green", 60*time.Second, func() bool {
					runs := w.checks(sha)
					return len(runs) > 0 && runs[len(runs)-1].Conclusion == "success" && !slices.ContainsFunc(runs, func(c githubtest.CheckRun) bool { return c.Status != "completed" })
				})
			}
		})
	}
}

// TestRenamedKeepsAndTransferredLoses: the operator's words go with the
// repository to another name, but not to another owner.
func TestRenamedKeepsAndTransferredLoses(t *testing.T) {
	t.Parallel()
	w := watching(newWorld(t, small))
	if _, err := w.github.CreateRepository(githubtest.NewRepository{FullName: "umbrella/lab"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.github.Install("umbrella"); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.awaitWatched()
	first := w.merge(1, githubtest.Merge{})
	w.awaitChecks(first, 60*time.Second)

	merge := func(name string, n int) githubtest.PullRequest {
		t.Helper()
		pr, err := w.github.OpenPullRequest(githubtest.NewPullRequest{Repository: name, Title: "x", Files: map[string]string{fmt.Sprint("f", n): "x"}})
		must(t, err)
		pr, err = w.github.Merge(name, pr.Number, githubtest.Merge{})
		must(t, err)
		return pr
	}
	must(t, w.github.Rename(repo, "boutique"))
	second := merge("acme/boutique", 2)
	w.await("the renamed repository's Twin is synced", 60*time.Second, func() bool { return w.commit() == second.MergeSHA })
	w.await("its name is known", 60*time.Second, func() bool {
		return scan[string](w, w.control, "select repository_name from twin") == "boutique"
	})

	// Another one of the old name gets nothing.
	if _, err := w.github.CreateRepository(githubtest.NewRepository{FullName: repo, Files: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	refused := func(name string, pr githubtest.PullRequest, words string) {
		t.Helper()
		w.await("the check of "+name+" is refused", 60*time.Second, func() bool {
			runs := w.github.CheckRuns(name, pr.HeadSHA)
			return len(runs) == 1 && runs[0].Conclusion == "action_required" && strings.Contains(runs[0].Title+runs[0].Summary, words)
		})
	}
	refused(repo, merge(repo, 3), "stood for another repository")

	must(t, w.github.Transfer("acme/boutique", "umbrella"))
	w.await("the transfer is known", 60*time.Second, func() bool {
		return scan[string](w, w.control, "select owner from repository where name = 'boutique'") == "umbrella"
	})
	last := merge("umbrella/boutique", 4)
	w.rest()
	if runs := w.github.CheckRuns("umbrella/boutique", last.HeadSHA); len(runs) > 0 {
		t.Errorf("a repository without a file and without a source has a check: %+v", runs)
	}
	if got := w.commit(); got != second.MergeSHA {
		t.Errorf("the Twin is of commit %.7s: the new owner was served", got)
	}
}

// TestAnotherDefaultBranch: Twins follow the default branch, whichever it is.
func TestAnotherDefaultBranch(t *testing.T) {
	t.Parallel()
	w := watching(newWorld(t, small))
	w.start()
	w.awaitWatched()
	head, err := w.github.Push(githubtest.Push{Repository: repo, Branch: "trunk", Files: map[string]string{"t": "x"}})
	must(t, err)
	must(t, w.github.SetDefaultBranch(repo, "trunk"))
	w.await("the Twin is of the new default branch", 60*time.Second, func() bool { return w.commit() == head })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
