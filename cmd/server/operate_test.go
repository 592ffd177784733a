package main

import (
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// says runs a command to its end and gives what it printed.
func (w *world) says(wantCode int, args ...string) string {
	w.t.Helper()
	p := w.launch(args...)
	<-p.done
	if code := p.ProcessState.ExitCode(); code != wantCode {
		w.t.Errorf("%v ended with %d, want %d:\n%s", args, code, wantCode, p.log)
	}
	return p.log.String()
}

func TestOperatorsView(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked+";"+crawl)
	w.start()
	if got := w.says(exitOK, "status"); !strings.Contains(got, "no Twins yet") {
		t.Errorf("status of nothing: %s", got)
	}
	pr := w.merge(1, githubtest.Merge{})
	w.awaitCrawling()
	if got := w.says(exitOK, "runs"); !strings.Contains(got, "running") || !strings.Contains(got, repo) {
		t.Errorf("runs: %s", got)
	}
	if got := w.says(exitFailed, "cancel", "77"); !strings.Contains(got, "no run 77") {
		t.Errorf("cancel of a run that never was: %s", got)
	}
	w.says(exitOK, "cancel", "1")
	for _, run := range w.awaitChecks(pr, 60*time.Second) {
		if run.Conclusion != "cancelled" {
			t.Errorf("the check says %s: %s", run.Conclusion, run.Title)
		}
	}
	w.await("nothing is left on the target", 60*time.Second, func() bool { return len(w.databases()) == 0 })

	pgtest.Exec(t, w.source, "create table more ()")
	w.awaitChecks(w.merge(2, githubtest.Merge{}), 60*time.Second)
	got := w.says(exitOK, "status")
	for _, want := range []string{"staging", repo, "ago)", "QUEUE", "sync     available", "webhook  available"} {
		if !strings.Contains(got, want) {
			t.Errorf("status does not say %q:\n%s", want, got)
		}
	}
	if got := w.says(exitFailed, "cancel", "2"); !strings.Contains(got, "ended already") {
		t.Errorf("cancel of a run that is over: %s", got)
	}
}

// TestCancelOfARunThatPublishes is refused, in words.
func TestCancelOfARunThatPublishes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, small)
	w.says(exitOK, "migrate")
	pgtest.Exec(t, w.control, `
		insert into twin (installation_id, repository_id, owner, repository_name, default_branch, name, config, config_sha)
		values (1, 2, 'acme', 'shop', 'main', 'staging', '{"name": "staging"}', '');
		insert into sync_run (twin_id, page_key, trigger, ref, sha, at, spec, target, state, phase, attempt, max_attempts, started_at, lease_owner, lease_token, lease_expires_at)
		select id, 'k', 'push', 'main', 'c', now(), '{"name": "staging"}', 't', 'running', 'publish', 1, 3, now(), 'w', 1, now() + interval '1 h' from twin`)
	if got := w.says(exitFailed, "cancel", "1"); !strings.Contains(got, "is publishing and can't be cancelled") {
		t.Errorf("cancel of a run that publishes: %s", got)
	}
	if n := scan[int](w, w.control, "select count(*) from sync_run where cancel_requested_at is null and state = 'running'"); n != 1 {
		t.Error("its end was asked for")
	}
	for command, want := range map[string]string{"status": "run 1: ", "runs": "running"} {
		if got := w.says(exitOK, command); !strings.Contains(got, want) {
			t.Errorf("%s does not say %q:\n%s", command, want, got)
		}
	}
}
