package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pglocal"
	"github.com/neontwin/neontwin/internal/twin"
)

// sides are the two servers, as the report and the profile name them.
var sides = [2]string{"source", "target"}

// watched is a run whose servers were looked at all the time.
type watched struct {
	Name   string     `json:"name"`
	Sample sample     `json:"sample"`
	Phases []phaseUse `json:"phases,omitempty"` // ours alone
	// Kinds are the seconds of processor time on the source and on the target,
	// by kind of statement.
	Kinds [2]map[string]float64 `json:"kinds"`
}

// phaseUse is what the servers used of the processor in one phase.
type phaseUse struct {
	Phase        twin.Phase
	Seconds, CPU float64
}

// watch runs a contender once and says where the servers' processor time went.
func (b *bench) watch(ctx context.Context, database string, c contender) (watched, error) {
	s, seen, err := b.watched(ctx, database, c, false)
	if err != nil {
		return watched{}, err
	}
	w := watched{Name: c.name, Sample: s, Phases: phaseUses(s, seen)}
	for i, all := range []time.Duration{s.Source, s.Target} {
		w.Kinds[i] = map[string]float64{}
		rest := all
		for kind, used := range seen[i].kinds {
			w.Kinds[i][kind] += used.Seconds()
			rest -= used
		}
		w.Kinds[i][kindRest] = max(0, rest).Seconds()
	}
	return w, nil
}

// watched measures one run that succeeds, and gives what both servers did
// meanwhile.
func (b *bench) watched(ctx context.Context, database string, c contender, far bool) (sample, [2]*activity, error) {
	var seen [2]*activity
	b.observe = func(ctx context.Context) (end func() error) {
		ctx, stop := context.WithCancel(ctx)
		var errs [2]error
		var g sync.WaitGroup
		for i, c := range []*pglocal.Cluster{b.source, b.target} {
			a := &activity{
				began: time.Now(), postmaster: postmaster(c.DataDir()),
				statements: map[string]*statement{}, kinds: map[string]time.Duration{}, processes: map[int]process{},
			}
			seen[i] = a
			g.Go(func() { errs[i] = a.watch(ctx, c.URL("postgres")) })
		}
		return func() error {
			stop()
			g.Wait()
			return cmp.Or(errs[0], errs[1])
		}
	}
	defer func() { b.observe = nil }()
	s, err := b.measure(ctx, database, c, far)
	if err == nil && s.Failed != "" {
		err = fmt.Errorf("%s failed: %s", c.name, s.Failed)
	}
	return s, seen, err
}

// activity is what a server's sessions were seen doing.
type activity struct {
	began      time.Time
	postmaster int
	statements map[string]*statement
	kinds      map[string]time.Duration // processor time
	processes  map[int]process
	curve      []reading
}

// process is a session as it was at the last look.
type process struct {
	ticks int64
	// doing is the statement that it was at, and its kind.
	doing *statement
	kind  string
}

// reading is the processor time that the server had used at a moment.
type reading struct{ at, used time.Duration }

// statement is the time that sessions spent on statements that begin alike.
type statement struct {
	spent, cpu  time.Duration
	first, last time.Duration // since the beginning
	waits       map[string]time.Duration
}

// lookEvery is how often the sessions are looked at.
const lookEvery = 50 * time.Millisecond

// watch looks at the server's sessions until the context ends. Each look
// counts for the time since the one before it.
func (a *activity) watch(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return ended(ctx, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	looks := time.NewTicker(lookEvery)
	defer looks.Stop()
	before := time.Now()
	a.read()
	for {
		select {
		case <-ctx.Done():
			a.read()
			return nil
		case <-looks.C:
		}
		// A message may hold several statements: what is being built or analyzed
		// is told apart by the progress of it.
		rows, err := conn.Query(ctx, `SELECT pid, backend_type, left(query, 300), coalesce(wait_event_type || ':' || wait_event, 'CPU'),
				EXISTS (SELECT FROM pg_stat_progress_analyze p WHERE p.pid = a.pid), EXISTS (SELECT FROM pg_stat_progress_vacuum p WHERE p.pid = a.pid)
			FROM pg_stat_activity a WHERE pid <> pg_backend_pid() AND state = 'active'
				AND backend_type IN ('client backend', 'parallel worker', 'autovacuum worker')`)
		if err != nil {
			return ended(ctx, err)
		}
		now := time.Now()
		active := map[int]bool{}
		var pid int
		var backend, query, wait string
		var analyzes, vacuums bool
		_, err = pgx.ForEachRow(rows, []any{&pid, &backend, &query, &wait, &analyzes, &vacuums}, func() error {
			active[pid] = true
			a.see(pid, a.add(label(backend, query), wait, now.Sub(before), now.Sub(a.began)), kind(query, analyzes, vacuums))
			return nil
		})
		if err != nil {
			return ended(ctx, err)
		}
		for pid := range a.processes {
			if !active[pid] {
				a.see(pid, nil, "")
			}
		}
		a.read()
		before = now
	}
}

// ended drops the error of a query that the end of watching cut off.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// see books what a process has used since the last look to what it did then,
// and if it did nothing, to what it does now. Processor time tells what a
// statement costs on a machine that has other things to do, too; what a process
// used after it was last seen is missing.
func (a *activity) see(pid int, doing *statement, kind string) {
	before := a.processes[pid]
	now := process{ticks: stat(pid, false), doing: doing, kind: kind}
	if now.ticks == 0 { // it has ended, or just begun
		now.ticks = before.ticks
	}
	used := time.Duration(now.ticks-before.ticks) * tick
	if before.doing != nil {
		doing, kind = before.doing, before.kind
	}
	if doing != nil {
		doing.cpu += used
		a.kinds[kind] += used
	}
	a.processes[pid] = now
}

func (a *activity) add(label, wait string, d, at time.Duration) *statement {
	s := a.statements[label]
	if s == nil {
		s = &statement{first: at - d, waits: map[string]time.Duration{}}
		a.statements[label] = s
	}
	s.spent += d
	s.waits[wait] += d
	s.last = at
	return s
}

// read notes what the whole server has used.
func (a *activity) read() {
	a.curve = append(a.curve, reading{time.Since(a.began), serverCPU(a.postmaster)})
}

// until is what the server had used at a moment.
func (a *activity) until(at time.Duration) time.Duration {
	if len(a.curve) == 0 {
		return 0
	}
	last := a.curve[0]
	for _, r := range a.curve {
		if r.at >= at {
			if r.at == last.at {
				return r.used
			}
			share := float64(at-last.at) / float64(r.at-last.at)
			return last.used + time.Duration(share*float64(r.used-last.used))
		}
		last = r
	}
	return last.used
}

// phaseUses lays the report's phases beside what the servers used. The time
// that the report leaves out is that of the program's beginning.
func phaseUses(s sample, seen [2]*activity) (out []phaseUse) {
	if s.Report == nil {
		return nil
	}
	at := s.Wall
	for _, p := range s.Report.Phases {
		at -= time.Duration(p.Seconds * float64(time.Second))
	}
	at = max(0, at)
	for _, p := range s.Report.Phases {
		end := at + time.Duration(p.Seconds*float64(time.Second))
		use := phaseUse{Phase: p.Phase, Seconds: p.Seconds}
		for _, a := range seen {
			use.CPU += (a.until(end) - a.until(at)).Seconds()
		}
		out, at = append(out, use), end
	}
	return out
}

// The kinds of statements.
const (
	kindCopy     = "COPY"
	kindGIN      = "GIN indexes"
	kindIndex    = "other indexes and keys"
	kindRelate   = "foreign keys"
	kindAnalyze  = "ANALYZE"
	kindVacuum   = "VACUUM"
	kindCount    = "count(*)"
	kindOther    = "other statements"
	kindRest     = "the rest of the server"
	insideLedger = "INSERT INTO neontwin.ledger VALUES ("
)

// kind says what a statement is for.
func kind(query string, analyzes, vacuums bool) string {
	text := strings.ToUpper(query)
	has := func(word string) bool { return strings.Contains(text, word) }
	switch {
	case analyzes:
		return kindAnalyze
	case vacuums:
		return kindVacuum
	case has("COPY "):
		return kindCopy
	case has(" USING GIN "):
		return kindGIN
	case has("CREATE INDEX"), has("CREATE UNIQUE INDEX"), has(" PRIMARY KEY"), has(" UNIQUE"):
		return kindIndex
	case has("VALIDATE CONSTRAINT"), has("FOREIGN KEY"):
		return kindRelate
	case has("ANALYZE "):
		return kindAnalyze
	case has("COUNT(*)"):
		return kindCount
	}
	return kindOther
}
