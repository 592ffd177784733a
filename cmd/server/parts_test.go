package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/config"
	"github.com/neontwin/neontwin/internal/jobs"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// TestMetricsOfTwoRepositoriesOfOneName: one was renamed, and another took its
// name. Prometheus refuses an answer that tells the same thing twice.
func TestMetricsOfTwoRepositoriesOfOneName(t *testing.T) {
	t.Parallel()
	pool, err := connect(t.Context(), pgtest.URL(t), 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	quiet := slog.New(slog.DiscardHandler)
	if err := jobs.Migrate(t.Context(), pool, quiet); err != nil {
		t.Fatal(err)
	}
	inbox, err := jobs.NewInserter(pool, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for id := range int64(2) {
		if _, err := inbox.Enqueue(t.Context(), twin.Request{
			Repo:    twin.Repository{InstallationID: 1, ID: 1 + id, Owner: "acme", Name: "shop", DefaultBranch: "main"},
			Spec:    twin.Spec{Name: "staging", Source: "prod", Target: fmt.Sprint("target-", id), Mode: twin.Full},
			Trigger: twin.Push, Ref: "refs/heads/main", SHA: strings.Repeat("a", 40),
		}); err != nil {
			t.Fatal(err)
		}
	}
	families, err := newMetrics(pool, store.New(pool)).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "neontwin_twin_runs" && len(f.GetMetric()) == 1 {
			return
		}
	}
	t.Error("the Twin's runs are not told")
}

func TestLinger(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		role  config.Role
		addr  string
		drain time.Duration
		want  time.Duration
	}{
		{config.RoleWeb, ":8080", time.Minute, 5 * time.Second},
		{config.RoleAll, "0.0.0.0:8080", 2 * time.Second, 2 * time.Second},
		{config.RoleWeb, "127.0.0.1:8080", time.Minute, 0},
		{config.RoleWorker, ":8080", time.Minute, 0},
	} {
		s := &service{role: c.role, cfg: config.Config{ListenAddr: c.addr, ShutdownDrain: c.drain}}
		if got := s.linger(); got != c.want {
			t.Errorf("%s on %s: %s, want %s", c.role, c.addr, got, c.want)
		}
	}
}

// TestClosePool: a job that does not end keeps its connection, not the process.
func TestClosePool(t *testing.T) {
	t.Parallel()
	pool, err := connect(t.Context(), pgtest.URL(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	held, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(held.Release)
	var log bytes.Buffer
	closePool(t.Context(), pool, 50*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), "left behind") {
		t.Errorf("the log says %q", log.String())
	}
}

// TestEnded: who is told to stop and hands everything over ends well.
func TestEnded(t *testing.T) {
	t.Parallel()
	broken, late := errors.New("a listener failed"), errors.New("wait for the queue to stop")
	for _, c := range []struct {
		cause, left error
		want        []error
	}{
		{context.Canceled, nil, nil},
		{context.Canceled, late, []error{errLeft, late}},
		{broken, nil, []error{broken}},
		{broken, late, []error{broken, errLeft, late}},
	} {
		got := ended(c.cause, c.left)
		if (got == nil) != (c.want == nil) {
			t.Errorf("%v, %v: %v", c.cause, c.left, got)
		}
		for _, want := range c.want {
			if !errors.Is(got, want) {
				t.Errorf("%v, %v: %v", c.cause, c.left, got)
			}
		}
	}
}
