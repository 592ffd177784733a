package refresh_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/twin"
)

// chaos is a source and a Twin on two servers, and somebody who looks at the
// Twin all the time.
type chaos struct {
	t   *testing.T
	rnd *rand.Rand
	dir string

	// sourceURL is the source, the others are Twins of it; server is where they
	// can be looked at while they are renamed.
	sourceURL, targetURL, inPlaceURL, server string
	sourceWay, targetWay                     *pgtest.Relay
	// gen is the source's state: every table of it has a row for each one.
	gen int
	// whole is how long a sync takes, publish its last phase.
	whole, publish time.Duration

	job    childJob // of this round
	others []*child // that this round started beside its first one
	look   *lookout
}

// unhurried is a source that takes about a second to copy: some rows, index
// entries and checks of constraints are made with a pause.
const unhurried = `
	create function unhurried(n int) returns int language plpgsql immutable as $$ begin if n % 8 = 0 then perform pg_sleep(0.001); end if; return n; end $$;
	create table marker (gen int not null);
	insert into marker values (0);
	create table people (id int primary key, name text not null, check (public.unhurried(id) = id) not valid);
	create table orders (id int primary key, person int not null references people, note text, check (public.unhurried(id) = id) not valid);
	create table events (id int primary key, seen int references orders, at timestamptz default now());
	create index on people (name);
	create index on people (public.unhurried(id));
	create index on orders (person) where id % 2 = 0;
	create index on events (public.unhurried(id));
	alter table people add boss int references people;
	insert into people select i, 'person ' || i, nullif(i / 2, 0) from generate_series(1, 500) i;
	insert into orders select i, 1 + i % 500, 'note' from generate_series(1, 700) i;
	insert into events select i, 1 + i % 700 from generate_series(1, 500) i;
	update pg_constraint set convalidated = true where contype = 'c';
	create materialized view totals as select count(*) from marker;
	create view of_people as select name from people;`

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	c := &chaos{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir()}
	// What is committed outlives a crash, as production's rows do.
	settings := map[string]string{"restart_after_crash": "on", "synchronous_commit": "on"}
	source, target := pgtest.Cluster(t, settings), pgtest.Cluster(t, settings)
	pgtest.Exec(t, source.URL("postgres"), "create database production")
	c.sourceURL, c.targetURL, c.inPlaceURL = source.URL("production"), target.URL("staging"), target.URL("rebuilt")
	c.server = target.URL("postgres")
	pgtest.Exec(t, c.sourceURL, unhurried)
	c.sourceWay, _ = pgtest.Through(t, c.sourceURL, 0)
	c.targetWay, _ = pgtest.Through(t, c.targetURL, 0)

	job := childJob{Source: c.sourceURL, Target: c.inPlaceURL, Token: "zero", Commit: "0"}
	startChild(t, job).wait(t)
	job.Target = c.targetURL
	for i := range 2 { // the second one has a generation to replace, as all that follow
		job.Token = fmt.Sprintf("zero%d", i)
		began := time.Now()
		p := startChild(t, job)
		p.wait(t)
		if !p.published() {
			t.Fatalf("the first sync: %s\n%s", p.outcome, p.stderr.String())
		}
		c.whole, c.publish = time.Since(began), time.Since(p.began(twin.Publish))
	}
	t.Logf("seed %d: a sync takes %s, its publishing %s", seed, c.whole.Round(time.Millisecond), c.publish.Round(time.Millisecond))
	c.look = newLookout(t, c.targetURL)
	return c
}

// bump makes the source's next state.
func (c *chaos) bump() {
	c.t.Helper()
	c.gen++
	pgtest.Exec(c.t, c.sourceURL, fmt.Sprintf(`update marker set gen = %[1]d;
		insert into people values (500 + %[1]d, 'new');
		insert into orders values (700 + %[1]d, 500 + %[1]d);
		insert into events values (500 + %[1]d, 700 + %[1]d)`, c.gen))
	c.look.between(-1, c.gen)
	c.others = nil
}

// served notes that the Twin must be of a state from now on.
func (c *chaos) served(gen int) { c.look.between(gen, gen) }

// give hands the lease over.
func (c *chaos) give(token string) {
	c.t.Helper()
	if c.job.Lease == "" {
		return
	}
	if err := os.WriteFile(c.job.Lease, []byte(token), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// ours are the sessions of syncs on a server, pg_dump's included.
const ours = "select pid from pg_stat_activity where application_name like 'neontwin%'"

// endSession ends one of our sessions.
func (c *chaos) endSession(address string) {
	pids := c.pids(address)
	if len(pids) > 0 {
		pgtest.Exec(c.t, address, fmt.Sprintf("select pg_terminate_backend(%d)", pids[c.rnd.IntN(len(pids))]))
	}
}

func (c *chaos) endSessions(address string) {
	pgtest.Exec(c.t, address, "select pg_terminate_backend(pid) from ("+ours+") s")
}

// crash kills one of our sessions' processes: the server ends all sessions and
// recovers from its log.
func (c *chaos) crash(address string) {
	pids := c.pids(address)
	if len(pids) > 0 {
		_ = syscall.Kill(int(pids[c.rnd.IntN(len(pids))]), syscall.SIGKILL) // it may have ended
	}
}

func (c *chaos) pids(address string) []int32 {
	c.t.Helper()
	conn, err := pgx.Connect(c.t.Context(), address)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(c.t.Context(), ours)
	if err != nil {
		c.t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		c.t.Fatal(err)
	}
	return pids
}

// unharmed holds what the lookout saw to what may be: the Twin can't be
// reached only where a sync was publishing, or its server was hit.
func (c *chaos) unharmed(f fault, p *child) {
	c.t.Helper()
	wrong, outages := c.look.report()
	for _, w := range wrong {
		c.t.Errorf("seen: %s", w)
	}
	publishing := time.Time{}
	for _, one := range append(c.others, p) {
		if at := one.began(twin.Publish); !at.IsZero() && (publishing.IsZero() || at.Before(publishing)) {
			publishing = at
		}
	}
	for _, o := range outages {
		if !f.outage && (publishing.IsZero() || o.at.Before(publishing)) {
			c.t.Errorf("the Twin could not be used at %s, publishing began at %s: %v", o.at.Format(clock), publishing.Format(clock), o.err)
			return
		}
	}
}

const clock = "15:04:05.000"

// noStrays asks that no database but the Twins is left.
func (c *chaos) noStrays(patience time.Duration) {
	c.t.Helper()
	var left []string
	c.await(patience, func() bool {
		left = nil
		for _, name := range databases(c.t, c.server, "") {
			if strings.Contains(name, "__") {
				left = append(left, name)
			}
		}
		return len(left) == 0
	})
	if len(left) > 0 {
		c.t.Errorf("left behind: %v", left)
	}
}

// nothingLeft asks that neither server has a session or a lock of ours. A
// server notices that a client is gone when it next has to do with it.
func (c *chaos) nothingLeft() {
	c.t.Helper()
	const what = `select coalesce(string_agg(application_name || ' ' || state || ' ' || left(query, 80), '; '), '') from pg_stat_activity where application_name like 'neontwin%'`
	const locks = "select count(*) from pg_locks where locktype = 'advisory'"
	for side, address := range map[string]string{"source": c.sourceURL, "target": c.server} {
		var left string
		c.await(8*time.Second, func() bool { left = scan[string](c.t, address, what); return left == "" })
		if left != "" {
			c.t.Errorf("sessions on the %s: %s", side, left)
		}
		if n := scan[int](c.t, address, locks); n != 0 {
			c.t.Errorf("%d advisory locks on the %s", n, side)
		}
	}
}

func (c *chaos) await(patience time.Duration, done func() bool) {
	for deadline := time.Now().Add(patience); !done() && time.Now().Before(deadline); {
		<-time.After(50 * time.Millisecond)
	}
}

// lookout queries the Twin all the time.
type lookout struct {
	address string

	mu       sync.Mutex
	lo, hi   int
	wrong    []string
	outages  []outage
	lookings int
}

// outage is a moment at which the Twin could not be used.
type outage struct {
	at  time.Time
	err error
}

func newLookout(t *testing.T, address string) *lookout {
	t.Helper()
	l := &lookout{address: address}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			if err := l.connection(ctx); err != nil && ctx.Err() == nil {
				l.mu.Lock()
				l.outages = append(l.outages, outage{time.Now(), err})
				l.mu.Unlock()
				<-time.After(5 * time.Millisecond)
			}
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
		if l.lookings == 0 {
			t.Error("nobody looked at the Twin")
		}
	})
	return l
}

// between says which states the Twin may be in; -1 leaves a bound as it is.
func (l *lookout) between(lo, hi int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lo >= 0 {
		l.lo = max(l.lo, lo)
	}
	l.hi = hi
}

func (l *lookout) report() ([]string, []outage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wrong, outages := l.wrong, l.outages
	l.wrong, l.outages = nil, nil
	return wrong, outages
}

// reachable reports whether a database can be used now.
func reachable(address string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return false
	}
	_ = conn.Close(ctx)
	return true
}

// connection looks some times through one connection, which must see one
// generation only.
func (l *lookout) connection(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, l.address)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	first := -1
	for range 40 {
		var gen, people, orders, events, indexes int
		var commit string
		lo, _ := l.bounds()
		err := conn.QueryRow(ctx, `select gen, (select count(*) - 500 from people), (select count(*) - 700 from orders), (select count(*) - 500 from events),
			(select count(*) from pg_index i join pg_class c on c.oid = i.indrelid where relnamespace = 'public'::regnamespace and indisvalid),
			(select commit_sha from neontwin.generation) from marker`).Scan(&gen, &people, &orders, &events, &indexes, &commit)
		if err != nil {
			return err
		}
		_, hi := l.bounds()
		l.mu.Lock()
		l.lookings++
		switch {
		case people != gen || orders != gen || events != gen || commit != fmt.Sprint(gen) || indexes != 7:
			l.wrong = append(l.wrong, fmt.Sprintf("generation %d of commit %s has %d, %d, %d new rows and %d indexes", gen, commit, people, orders, events, indexes))
		case gen < lo || gen > hi:
			l.wrong = append(l.wrong, fmt.Sprintf("generation %d, want %d to %d", gen, lo, hi))
		case first >= 0 && gen != first:
			l.wrong = append(l.wrong, fmt.Sprintf("one connection saw generations %d and %d", first, gen))
		}
		first, l.lo = gen, max(l.lo, gen) // never back again
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func (l *lookout) bounds() (lo, hi int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lo, l.hi
}
