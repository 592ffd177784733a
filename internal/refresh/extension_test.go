package refresh_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// An extension with tables that hold what its users have set up: of one of them
// all rows, of another those alone that the extension does not bring itself.
const (
	confControl = "default_version = '1.0'\nrelocatable = false\nschema = conf\n"
	confScript  = `create table rules (id int primary key, name text not null, builtin bool not null default false);
		insert into rules values (1, 'shipped', true), (2, 'shipped too', true);
		create table options (name text primary key, value jsonb, rule int references rules);
		create sequence numbers;
		create table own (v int); insert into own values (1);
		select pg_catalog.pg_extension_config_dump('rules', 'WHERE NOT builtin OR name = ''a "where" in it''');
		select pg_catalog.pg_extension_config_dump('options', '');
		select pg_catalog.pg_extension_config_dump('numbers', '');`
)

// The rows of an extension's configuration arrive once, those that it brings
// itself included.
func TestExtensionConfiguration(t *testing.T) {
	t.Parallel()
	server := serverWith(t, map[string]string{"conf.control": confControl, "conf--1.0.sql": confScript})
	source, target := server.URL("source"), server.URL("source_twin")
	pgtest.Exec(t, server.URL("postgres"), "create database source")
	pgtest.Exec(t, source, `create schema conf; create extension conf; insert into conf.rules values (10, 'ours', false), (11, 'a "where" in it', true);
		insert into conf.options select 'o' || i, '{"a": 1}'::jsonb, 10 from generate_series(1, 1000) i; insert into conf.options values ('of a shipped one', null, 1);
		select nextval('conf.numbers') from generate_series(1, 7); create table uses (rule int references conf.rules); insert into uses values (1), (10)`)
	for i, publish := range []twin.Strategy{twin.Swap, twin.Swap, twin.InPlace} {
		report := syncTwin(t, refresh.Job{Source: source, Target: target, Publish: publish, Deep: true}, "run"+string(rune('a'+i)))
		if got := hazardLines(report.Hazards); len(got) != 0 {
			t.Errorf("hazards: %v", got)
		}
		if diff := cmp.Diff(pgtest.Schema(t, source), pgtest.Schema(t, target)); diff != "" {
			t.Errorf("the schemas differ (-source +twin):\n%s", diff)
		}
		if diff := cmp.Diff(contentOf(t, source), contentOf(t, target)); diff != "" {
			t.Errorf("the rows differ (-source +twin):\n%s", diff)
		}
		if got := answer(t, target, "select last_value, is_called from conf.numbers"); !slices.Equal(got, []string{"7|true"}) {
			t.Errorf("the extension's sequence stands at %v", got)
		}
	}
	got, err := refresher(t).Verify(t.Context(), refresh.Job{Source: source, Target: target, Deep: true}, true)
	if err != nil || !got.Equal {
		t.Errorf("compared: %+v, %v", got, err)
	}
	// What the extension brings itself is not compared: a Twin has its own.
	pgtest.Exec(t, target, "update conf.rules set name = 'mended' where id = 1; update conf.rules set name = 'theirs' where id = 10")
	got, err = refresher(t).Verify(t.Context(), refresh.Job{Source: source, Target: target, Deep: true}, false)
	if diff := cmp.Diff([]string{"table conf.rules has other contents in the copy"}, got.Differences); err != nil || diff != "" {
		t.Errorf("%v, differences (-want +got):\n%s", err, diff)
	}
}

// serverWith starts a server that has further extensions. Its programs stand
// in a folder of their own: they look for everything else beside themselves.
func serverWith(t *testing.T, files map[string]string) *pglocal.Cluster {
	t.Helper()
	bin, err := pglocal.Find(os.Getenv("NEONTWIN_PG_BIN"))
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	version := filepath.Base(filepath.Dir(bin))
	share := filepath.Join("/usr/share/postgresql", version)
	if _, err := os.Stat(share); err != nil || bin != filepath.Join("/usr/lib/postgresql", version, "bin") {
		t.Skip("SKIPPED, NOT TESTED: knows Debian's folders alone")
	}
	root, err := pgtest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	extensions := filepath.Join(root, share, "extension")
	do(os.MkdirAll(extensions, 0o755))
	do(os.MkdirAll(filepath.Join(root, bin), 0o755))
	do(os.Symlink(filepath.Join(filepath.Dir(bin), "lib"), filepath.Join(root, filepath.Dir(bin), "lib")))
	for _, program := range []string{"initdb", "postgres"} {
		from, err := os.Open(filepath.Join(bin, program))
		do(err)
		to, err := os.OpenFile(filepath.Join(root, bin, program), os.O_CREATE|os.O_WRONLY, 0o755)
		do(err)
		_, err = io.Copy(to, from)
		do(err)
		do(to.Close())
		do(from.Close())
	}
	for _, folder := range []string{share, filepath.Join(share, "extension")} {
		entries, err := os.ReadDir(folder)
		do(err)
		for _, e := range entries {
			if e.Name() != "extension" {
				do(os.Symlink(filepath.Join(folder, e.Name()), filepath.Join(root, folder, e.Name())))
			}
		}
	}
	for name, text := range files {
		do(os.WriteFile(filepath.Join(extensions, name), []byte(text), 0o644))
	}
	dir, err := pgtest.Dir()
	do(err)
	c, err := pglocal.Start(t.Context(), pglocal.Options{Dir: dir, Bin: filepath.Join(root, bin), Volatile: true})
	do(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.Remove(ctx)
	})
	return c
}
