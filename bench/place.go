package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// What is copied.
var (
	//go:embed sql/shop.sql
	shopSQL string
	//go:embed sql/schema.sql
	schemaSQL string
	//go:embed sql/small.sql
	smallSQL string
)

// twinDatabase is the target of every run.
const twinDatabase = "bench_twin"

// serverSettings differ from PostgreSQL's own: the defaults are for a machine
// that is much smaller, and checkpoints would drown every difference.
func serverSettings() map[string]string {
	return map[string]string{"shared_buffers": "1GB", "max_wal_size": "8GB"}
}

// bench holds what all measurements share: two servers that stay the same, the
// relay before the target, and a folder for what contenders put on disk.
type bench struct {
	options
	log            io.Writer
	lock           *os.File
	source, target *pglocal.Cluster
	relay          *pgtest.Relay
	staging, twin  string
	counted        map[string]contents // of source databases, by name
	// observe, if set, is begun with a contender's run, and its end with it.
	observe func(context.Context) (end func() error)
}

// open starts the servers and builds what is measured.
func open(ctx context.Context, o options, log io.Writer) (*bench, error) {
	var err error
	if o.cache, err = filepath.Abs(o.cache); err != nil {
		return nil, err
	}
	// The servers' user passes through; nothing secret lies here in the open.
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return nil, err
	}
	b := &bench{options: o, log: log, staging: filepath.Join(o.cache, "staging"), twin: o.binary, counted: map[string]contents{}}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.close(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (b *bench) start(ctx context.Context) error {
	lock, err := os.OpenFile(filepath.Join(b.cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("another measurement uses %s: %w", b.cache, err), lock.Close())
	}
	b.lock = lock
	if b.twin == "" {
		if err := b.build(ctx); err != nil {
			return err
		}
	}
	if b.source, err = b.server(ctx, "source"); err != nil {
		return err
	}
	if b.target, err = b.server(ctx, "target"); err != nil {
		return err
	}
	b.relay, err = pgtest.NewRelay(b.target.Host(), b.roundTrip)
	return err
}

// build makes the command from the checkout in the current folder.
func (b *bench) build(ctx context.Context) error {
	b.twin = filepath.Join(b.cache, "twin")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", b.twin, "github.com/neontwin/neontwin/cmd/twin").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build twin: %w\n%s", err, out)
	}
	return nil
}

// server starts one of the two.
func (b *bench) server(ctx context.Context, name string) (*pglocal.Cluster, error) {
	c, err := pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(b.cache, name), Settings: serverSettings(), Volatile: b.volatile})
	if err != nil {
		return nil, err
	}
	// A server left by a killed run is adopted with the settings it has.
	for setting, want := range serverSettings() {
		var got string
		if err := value(ctx, c.URL("postgres"), "SELECT current_setting($1)", &got, setting); err != nil {
			return c, err
		}
		if got != want {
			return c, fmt.Errorf("the server in %s runs with %s = %s, not %s: stop it", c.Dir(), setting, got, want)
		}
	}
	return c, nil
}

// close stops the servers and keeps their data.
func (b *bench) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if b.relay != nil {
		b.relay.Close()
	}
	if b.lock == nil {
		return nil // all of it is somebody else's
	}
	err := os.RemoveAll(b.staging)
	for _, c := range []*pglocal.Cluster{b.source, b.target} {
		if c != nil {
			err = errors.Join(err, c.Stop(ctx))
		}
	}
	return errors.Join(err, b.lock.Close())
}

// database makes a source database out of SQL, unless it is there from an
// earlier run, and gives its name.
func (b *bench) database(ctx context.Context, kind, sql string) (string, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(sql)) // never fails
	family := fmt.Sprintf("%s_%s_", kind, strings.ReplaceAll(fmt.Sprint(b.scale), ".", "p"))
	name := fmt.Sprintf("%s%08x", family, h.Sum32())
	admin := b.source.URL("postgres")
	var there bool
	if err := value(ctx, admin, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", &there, name); err != nil || there {
		return name, err
	}
	began := time.Now()
	fmt.Fprintf(b.log, "bench: making the database %s\n", name)
	// What earlier versions of the SQL made, or a run that was killed.
	if err := dropDatabases(ctx, b.source, family); err != nil {
		return "", err
	}
	half := family + "making"
	if err := execute(ctx, admin, "CREATE DATABASE "+half); err != nil {
		return "", err
	}
	url := b.source.URL(half)
	if err := execute(ctx, url, fmt.Sprintf("SET bench.scale = '%g';\n%s", b.scale, sql)); err != nil {
		return "", fmt.Errorf("make the database %s: %w", name, err)
	}
	for _, s := range []string{"VACUUM (FREEZE, ANALYZE)", "CHECKPOINT"} {
		if err := execute(ctx, url, s); err != nil {
			return "", err
		}
	}
	if err := execute(ctx, admin, fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", half, name)); err != nil {
		return "", err
	}
	fmt.Fprintf(b.log, "bench: made in %.0f s\n", time.Since(began).Seconds())
	return name, nil
}

// clean leaves the target with one empty database, the staging folder empty
// and nothing to write out on either server, so that no run pays for the one
// before it.
func (b *bench) clean(ctx context.Context) error {
	if err := dropDatabases(ctx, b.target, ""); err != nil {
		return err
	}
	if err := execute(ctx, b.target.URL("postgres"), "CREATE DATABASE "+twinDatabase); err != nil {
		return err
	}
	if err := os.RemoveAll(b.staging); err != nil {
		return err
	}
	if err := os.Mkdir(b.staging, 0o700); err != nil {
		return err
	}
	for _, c := range []*pglocal.Cluster{b.source, b.target} {
		if err := execute(ctx, c.URL("postgres"), "CHECKPOINT"); err != nil {
			return err
		}
	}
	return nil
}

// warm reads a source once, TOAST included: whoever runs first must not be the
// one who waits for the disk.
func (b *bench) warm(ctx context.Context, database string) error {
	url := b.source.URL(database)
	c, err := count(ctx, url)
	if err != nil {
		return err
	}
	b.counted[database] = c
	for table := range c.rows {
		if err := execute(ctx, url, "COPY "+table+" TO '/dev/null'"); err != nil {
			return err
		}
	}
	return nil
}

// dropDatabases drops a server's databases whose names begin so, except for
// those that every server has.
func dropDatabases(ctx context.Context, c *pglocal.Cluster, prefix string) error {
	var names []string
	admin := c.URL("postgres")
	err := value(ctx, admin, `SELECT array(SELECT datname::text FROM pg_database
		WHERE datname NOT IN ('postgres', 'template0', 'template1') AND starts_with(datname::text, $1))`, &names, prefix)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := execute(ctx, admin, "DROP DATABASE "+pgx.Identifier{n}.Sanitize()+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}

// contents is what a copy must have: its rows by table, and what was built.
type contents struct {
	rows                 map[string]int64
	indexes, foreignKeys int
}

// count reads contents, without our mark.
func count(ctx context.Context, url string) (contents, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return contents{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	c := contents{rows: map[string]int64{}}
	var tables []string
	err = conn.QueryRow(ctx, `WITH t AS (SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname NOT IN ('information_schema', 'neontwin') AND n.nspname !~ '^pg_')
		SELECT array(SELECT oid::regclass::text FROM t WHERE relkind = 'r' ORDER BY 1),
			(SELECT count(*) FROM pg_index WHERE indrelid IN (SELECT oid FROM t) AND indisvalid),
			(SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated AND conrelid IN (SELECT oid FROM t))`).
		Scan(&tables, &c.indexes, &c.foreignKeys)
	for _, t := range tables {
		var n int64
		if err == nil {
			err = conn.QueryRow(ctx, "SELECT count(*) FROM "+t).Scan(&n)
			c.rows[t] = n
		}
	}
	return c, err
}

// judge compares the copy with what it must have, for every contender alike.
func (b *bench) judge(ctx context.Context, want contents) error {
	got, err := count(ctx, b.target.URL(twinDatabase))
	if err != nil {
		return fmt.Errorf("count the copy: %w", err)
	}
	for table, n := range want.rows {
		if got.rows[table] != n {
			return fmt.Errorf("the copy of %s has %d rows, not %d", table, got.rows[table], n)
		}
	}
	if got.indexes != want.indexes || got.foreignKeys != want.foreignKeys {
		return fmt.Errorf("the copy has %d indexes and %d foreign keys, not %d and %d", got.indexes, got.foreignKeys, want.indexes, want.foreignKeys)
	}
	return nil
}

// execute runs SQL on a connection of its own.
func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// value reads one value on a connection of its own.
func value(ctx context.Context, url, sql string, into any, args ...any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, sql, args...).Scan(into)
}
