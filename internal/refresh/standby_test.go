package refresh_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// standby starts a hot standby of a cluster.
func standby(t *testing.T, primary *pglocal.Cluster) *pglocal.Cluster {
	t.Helper()
	dir, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	base := exec.CommandContext(t.Context(), filepath.Join(primary.Bin(), "pg_basebackup"), "--dbname", primary.URL("postgres"),
		"--pgdata", filepath.Join(dir, "data"), "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	if err := pglocal.Unprivileged(base); err != nil {
		t.Fatal(err)
	}
	if err := pglocal.GiveAway(dir); err != nil {
		t.Fatal(err)
	}
	if out, err := base.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(primary.Password()), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := pglocal.Start(t.Context(), pglocal.Options{Dir: dir, Volatile: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.Remove(ctx)
	})
	return c
}

// follow waits until a standby has seen what its primary has.
func follow(t *testing.T, primary, replica *pglocal.Cluster) {
	t.Helper()
	lsn := scan[string](t, primary.URL("postgres"), "select pg_current_wal_insert_lsn()::text")
	for deadline := time.Now().Add(60 * time.Second); !scan[bool](t, replica.URL("postgres"), "select pg_last_wal_replay_lsn() >= $1::text::pg_lsn", lsn); {
		if time.Now().After(deadline) {
			t.Fatal("the standby does not follow")
		}
	}
}

func TestSourceIsAStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.Cluster(t, map[string]string{"wal_level": "replica", "max_wal_senders": "5"})
	pgtest.Exec(t, primary.URL("postgres"), small)
	replica := standby(t, primary)
	target := twinOf(t, pgtest.URL(t))

	report := syncTwin(t, refresh.Job{Source: replica.URL("postgres"), Target: target}, "one")
	judge(t, primary.URL("postgres"), target)
	if report.SnapshotLSN == "" {
		t.Error("the report has no LSN")
	}
	// A part of it, by a role that may only read.
	pgtest.Exec(t, primary.URL("postgres"), `create role reader login password 'pw'; grant select on all tables in schema public to reader`)
	follow(t, primary, replica)
	part := twinOf(t, pgtest.URL(t))
	syncTwin(t, refresh.Job{
		Source: withUser(t, replica.URL("postgres"), "reader", "pw"), Target: part, Mode: twin.Partial,
		Subset: &twin.Subset{Roots: []twin.Root{{Table: "public.notes", Limit: 7}}},
	}, "one")
	if n := scan[int](t, part, "select count(*) from notes n join people p on p.id = n.person where (select count(*) from people) = 7"); n != 7 {
		t.Errorf("%d notes were kept with a person each, want 7", n)
	}

	// And without a personal value, by the same role: what columns hold is
	// looked at there.
	masked := twinOf(t, pgtest.URL(t))
	report = syncTwin(t, refresh.Job{
		Source: withUser(t, replica.URL("postgres"), "reader", "pw"), Target: masked, Mode: twin.Anonymized, MaskKey: maskKey(t),
		Policy:  privacy.Policy{Must: true, Harmless: detect.DefaultRules()},
		Masking: &twin.Masking{Rules: []twin.MaskRule{rule("public.people.name", "full_name"), rule("public.notes.note", "free_text")}},
	}, "one")
	if n := scan[int](t, masked, "select count(*) from notes n join people p on p.id = n.person where name !~ '^person' and note <> 'note'"); n != 500 || report.Masking == nil {
		t.Errorf("%d notes were masked with a person each, want 500", n)
	}

	// The rows of an unlogged table can't be read on a standby, and pg_dump
	// leaves them out without a word.
	pgtest.Exec(t, primary.URL("postgres"), "create unlogged table volatile_thing as select 1 x")
	follow(t, primary, replica)
	_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: replica.URL("postgres"), Target: target}, &lease{token: "two"})
	if f := twin.AsFailure(err); f == nil || f.Code != twin.CodeRefused || !strings.Contains(f.Message, "volatile_thing is unlogged") {
		t.Errorf("got %+v", f)
	}
}
