package pgtools_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/pgtools"
)

func TestDumpUnderASnapshot(t *testing.T) {
	t.Parallel()
	found, url := tools(t), pgtest.URL(t)
	pgtest.Exec(t, url, `CREATE TABLE before (id int PRIMARY KEY); GRANT SELECT ON before TO PUBLIC;
		CREATE SCHEMA "odd*"; CREATE TABLE "odd*".left_out (); CREATE SCHEMA oddity; CREATE TABLE oddity.kept ()`)
	holder := pgtest.Connect(t, url)
	tx, err := holder.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	var snapshot string
	if err := tx.QueryRow(t.Context(), "SELECT pg_export_snapshot()").Scan(&snapshot); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, url, "CREATE TABLE after ()")

	a, err := found.Dump(t.Context(), url, pgtools.DumpOptions{Snapshot: snapshot, ExcludeSchemas: []string{"odd*"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tables(a), "before kept"; got != want {
		t.Errorf("tables %q, want %q", got, want)
	}
	if n := count(a, "ACL"); n != 0 {
		t.Errorf("%d grants", n)
	}
	a, err = found.Dump(t.Context(), url, pgtools.DumpOptions{ACL: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tables(a), "after before kept left_out"; got != want {
		t.Errorf("tables %q, want %q", got, want)
	}
	if n := count(a, "ACL"); n != 1 {
		t.Errorf("%d grants, want 1", n)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = found.Dump(t.Context(), url, pgtools.DumpOptions{Snapshot: snapshot})
	wantKind(t, err, pgtools.KindSnapshot, "")
}

func tables(a *pgtools.Archive) string {
	var names []string
	for _, e := range a.Entries {
		if e.Desc == "TABLE" {
			names = append(names, e.Tag)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func count(a *pgtools.Archive, desc string) (n int) {
	for _, e := range a.Entries {
		if e.Desc == desc {
			n++
		}
	}
	return n
}

func wantKind(t *testing.T, err error, kind pgtools.Kind, object string) {
	t.Helper()
	var de *pgtools.DumpError
	if !errors.As(err, &de) || de.Kind != kind || de.Object != object {
		t.Errorf("error %v, want kind %s about %q", err, kind, object)
	}
}

// locked makes a database with a table that is locked until the test ends.
func locked(t *testing.T) string {
	t.Helper()
	url := pgtest.URL(t)
	pgtest.Exec(t, url, "CREATE TABLE busy ()")
	conn := pgtest.Connect(t, url)
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE busy"); err != nil {
		t.Fatal(err)
	}
	return url
}

func TestDumpGivesUpOnALock(t *testing.T) {
	t.Parallel()
	_, err := tools(t).Dump(t.Context(), locked(t), pgtools.DumpOptions{LockTimeout: 100 * time.Millisecond})
	wantKind(t, err, pgtools.KindLock, "table public.busy")
}

// TestCancelledDumpLeavesNothing cancels a dump that waits for a lock: the
// server must not go on waiting, and no secret may have been on show.
func TestCancelledDumpLeavesNothing(t *testing.T) {
	t.Parallel()
	found, url := tools(t), locked(t)
	watcher := pgtest.Connect(t, url)
	waiting := func(want int) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		deadline := time.After(10 * time.Second)
		for {
			var n int
			if err := watcher.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'neontwin'`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n == want {
				return
			}
			select {
			case <-deadline:
				t.Fatalf("%d sessions of pg_dump, want %d", n, want)
			case <-tick.C:
			}
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := found.Dump(ctx, url, pgtools.DumpOptions{})
		done <- err
	}()
	waiting(1)
	secret := password(t, url)
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	seen := false
	for _, f := range lines {
		b, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(b), "--schema-only") || !strings.Contains(string(b), database(t, url)) {
			continue
		}
		seen = true
		if strings.Contains(string(b), secret) {
			t.Error("the password is on the command line")
		}
	}
	if !seen && len(lines) > 0 {
		t.Error("pg_dump's command line was not found")
	}
	because := errors.New("enough")
	cancel(because)
	select {
	case err := <-done:
		if !errors.Is(err, because) {
			t.Errorf("error %v, want the cause", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the dump did not end")
	}
	waiting(0)
}

func password(t *testing.T, s string) string {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := u.User.Password()
	if len(p) < 8 {
		t.Fatal("the test needs a password")
	}
	return p
}

func database(t *testing.T, s string) string {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path
}

func TestDumpErrors(t *testing.T) {
	t.Parallel()
	found, base := tools(t), pgtest.URL(t)
	role := "reader_" + strings.TrimPrefix(database(t, base), "/")
	pgtest.Exec(t, base, "CREATE SCHEMA s; CREATE TABLE s.hidden (); CREATE ROLE "+role+" LOGIN PASSWORD 'reader-password'; GRANT USAGE ON SCHEMA s TO "+role)
	defer pgtest.Exec(t, base, "DROP OWNED BY "+role+"; DROP ROLE "+role)
	at := func(change func(u *url.URL)) string {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	for _, c := range []struct {
		name, url, object string
		kind              pgtools.Kind
	}{
		{"no read", at(func(u *url.URL) { u.User = url.UserPassword(role, "reader-password") }), "table hidden", pgtools.KindPermission},
		{"password", at(func(u *url.URL) { u.User = url.UserPassword(role, "wrong-p@ssword") }), "", pgtools.KindLogin},
		{"no password", at(func(u *url.URL) { u.User = url.User(role) }), "", pgtools.KindLogin},
		{"no database", at(func(u *url.URL) { u.Path = "/none" }), "", pgtools.KindLogin},
		{"no server", at(func(u *url.URL) { u.Host = "127.0.0.1:1" }), "", pgtools.KindConnection},
		{"no host", at(func(u *url.URL) { u.Host = "db.invalid" }), "", pgtools.KindConnection},
		{"no address", "postgres://u:wrong-p@ssword@[", "", pgtools.KindConnection},
		{"no url", "host=x password=wrong-p@ssword", "", pgtools.KindConnection},
	} {
		_, err := found.Dump(t.Context(), c.url, pgtools.DumpOptions{})
		wantKind(t, err, c.kind, c.object)
		for _, secret := range []string{"wrong-p@ssword", "wrong-p%40ssword", "reader-password", password(t, base)} {
			if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
				t.Errorf("%s: the error shows a password", c.name)
			}
		}
	}
	// What only the driver knows is no reason to fail.
	if _, err := found.Dump(t.Context(), base+"&pool_max_conns=3&statement_timeout=1&password="+password(t, base), pgtools.DumpOptions{}); err != nil {
		t.Error(err)
	}
}

// program makes a shell script in the place of pg_dump.
func program(t *testing.T, script string) pgtools.Tools {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pg_dump")
	// A process that another test starts meanwhile would inherit the open file,
	// and a file that is open for writing can't be run.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return pgtools.Tools{PgDump: path, Major: 15, Version: "15.1"}
}

func TestDumpOfAnotherKind(t *testing.T) {
	t.Parallel()
	const url = "postgres://u:a-secret@localhost/d"
	for _, c := range []struct {
		name, script string
		kind         pgtools.Kind
		object       string
	}{
		{"newer server", `echo "pg_dump: error: aborting because of server version mismatch" >&2
			echo "pg_dump: detail: server version: 17.2 (Debian 17.2-1); pg_dump version: 15.14" >&2; exit 1`, pgtools.KindVersion, ""},
		{"no archive", `echo "-- PostgreSQL database dump"`, pgtools.KindArchive, ""},
		{"silent", `exit 0`, pgtools.KindArchive, ""},
		{"silent failure", `exit 3`, pgtools.KindOther, ""},
		{"lock table", `echo "pg_dump: error: query failed: ERROR:  out of shared memory" >&2; exit 1`, pgtools.KindLocks, ""},
		{"cut off", `echo "pg_dump: error: query failed: server closed the connection unexpectedly" >&2; exit 1`, pgtools.KindConnection, ""},
		{"sequence", `echo 'pg_dump: error: query failed: ERROR:  permission denied for sequence "s x"' >&2; exit 1`, pgtools.KindPermission, `sequence "s x"`},
		{"talks of itself", `echo "$PGPASSWORD and $PGPASSWORD; $*" >&2; exit 1`, pgtools.KindOther, ""},
		{"talks a lot", `i=0; while [ $i -lt 3000 ]; do echo "$i ..............................." >&2; i=$((i+1)); done; exit 1`, pgtools.KindOther, ""},
	} {
		_, err := program(t, c.script).Dump(t.Context(), url, pgtools.DumpOptions{})
		var de *pgtools.DumpError
		if !errors.As(err, &de) || de.Kind != c.kind || de.Object != c.object {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if strings.Contains(err.Error(), "a-secret") || len(err.Error()) > 20000 {
			t.Errorf("%s: the error shows the password or %d bytes", c.name, len(err.Error()))
		}
		if c.kind == pgtools.KindVersion && (de.Server != "17.2" || de.Tool != "15.14") {
			t.Errorf("%s: versions %q and %q", c.name, de.Server, de.Tool)
		}
	}
}

// TestCancelKillsTheGroup cancels a program that does not want to end and has
// a child that holds its output.
func TestCancelKillsTheGroup(t *testing.T) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	stubborn := program(t, `trap "" TERM; sleep 60 & echo $! > `+ready+`.new; mv `+ready+`.new `+ready+`; wait; sleep 60`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for ctx.Err() == nil {
			if _, err := os.Stat(ready); err == nil {
				return
			}
			<-time.After(5 * time.Millisecond)
		}
	}()
	began := time.Now()
	_, err := stubborn.Dump(ctx, "postgres://u@localhost/d", pgtools.DumpOptions{})
	if !errors.Is(err, context.Canceled) || time.Since(began) > 10*time.Second {
		t.Errorf("error %v after %v", err, time.Since(began))
	}
	pid, err := os.ReadFile(ready)
	if err != nil {
		t.Fatal(err)
	}
	stat := "/proc/" + strings.TrimSpace(string(pid)) + "/stat"
	deadline := time.After(5 * time.Second)
	for {
		b, err := os.ReadFile(stat)
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
		select {
		case <-deadline:
			t.Fatal("a child of the program is still there")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	got, err := pgtools.Find(t.Context(), 15, filepath.Dir(program(t, `echo "pg_dump (PostgreSQL) 17beta2 (Debian 17~beta2-1)"`).PgDump))
	if err != nil || got.Major != 17 || got.Version != "17beta2" {
		t.Errorf("%+v, %v", got, err)
	}
	old := filepath.Dir(program(t, `echo "pg_dump (PostgreSQL) 15.14"`).PgDump)
	_, err = pgtools.Find(t.Context(), 17, old)
	var tooOld *pgtools.TooOldError
	if !errors.As(err, &tooOld) || tooOld.Found.Major != 15 ||
		!strings.Contains(err.Error(), "pg_dump 15 can't read server 17; install postgresql-client-17") {
		t.Errorf("too old: %v", err)
	}
	_, err = pgtools.Find(t.Context(), 17, t.TempDir())
	if !errors.As(err, &tooOld) || tooOld.Found.Major != 0 || !strings.Contains(err.Error(), "no pg_dump found") {
		t.Errorf("none: %v", err)
	}
	if found := tools(t); found.Major < 13 || !filepath.IsAbs(found.PgDump) {
		t.Errorf("on this machine: %+v", found)
	}
}
