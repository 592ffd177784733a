package main

import (
	"context"
	"log/slog"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/jobs"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// requireMetrics wants a line for each expression.
func requireMetrics(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(text) {
			t.Errorf("no metric is %s in\n%s", line, text)
		}
	}
}

// What nobody has worked on yet shows in the metrics of any process.
func TestMetricsOfABacklog(t *testing.T) {
	t.Parallel()
	control := pgtest.URL(t)
	pool, err := pgxpool.New(t.Context(), control)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	log := slog.New(slog.DiscardHandler)
	if err := jobs.Migrate(t.Context(), pool, log); err != nil {
		t.Fatal(err)
	}
	inbox, err := jobs.NewInserter(pool, log)
	if err != nil {
		t.Fatal(err)
	}
	for _, guid := range []string{"a", "b"} {
		d := twin.Delivery{GUID: guid, Event: "push", InstallationID: 1, RepositoryID: 2, Body: []byte("{}"), ReceivedAt: time.Now()}
		if err := inbox.Deliver(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Exec(t, control, `
		insert into twin (installation_id, repository_id, owner, repository_name, default_branch, name, config, config_sha, next_run_at)
		values (1, 2, 'acme', 'shop', 'main', 'staging', '{"name": "staging"}', '', now() - interval '100 s');
		insert into sync_run (twin_id, page_key, trigger, ref, sha, at, spec, target, state, attempt, max_attempts, started_at, lease_owner, lease_token, lease_expires_at)
		select id, 'k', 'push', 'main', 'c', now(), '{}', 't', 'running', 1, 3, now() - interval '110 s', 'w', 1, now() - interval '50 s' from twin;
		insert into loading_target (target, generation) values ('t', 'g1'), ('u', 'g2');
		insert into missed_delivery (guid, attempt_id, event, action, installation_id, at) values ('m', 1, 'push', '', 1, now() - interval '90 s');
		insert into check_publication (run_id, sha, role, updated_at) select id, 'c', 'head', now() - interval '70 s' from sync_run;
		insert into check_publication (run_id, sha, role, unreachable_at) select id, 'd', 'merge', now() from sync_run`)
	families, err := newMetrics(pool, store.New(pool)).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"neontwin_waiting deliveries": 2, "neontwin_waiting reports": 1, "neontwin_waiting missed": 1, "neontwin_waiting targets": 1, "neontwin_reports_unreachable": 1,
		"neontwin_queue_jobs webhook available": 2,
		"neontwin_queue_jobs sync available":    0, "neontwin_queue_jobs report available": 0, "neontwin_queue_jobs clean available": 0, "neontwin_twin_runs acme/shop running staging": 1,
	} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for name, want := range map[string]float64{ // and some seconds for a slow machine
		"neontwin_waited_seconds reports": 70, "neontwin_waited_seconds missed": 90, "neontwin_lease_left_seconds acme/shop 1 staging": -80, "neontwin_lease_age_seconds acme/shop 1 staging": 110, "neontwin_twin_due_seconds acme/shop staging": 100,
	} {
		if v := got[name]; v < want || v > want+30 {
			t.Errorf("%s is %v, want about %v", name, v, want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	// A database that does not answer is told, not hidden.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.New(pool).Backlog(ctx); err == nil {
		t.Error("a backlog was counted without asking")
	}
}
