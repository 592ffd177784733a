package refresh_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// TestMain is also the program that TestChaos kills: one sync in a process of
// its own.
func TestMain(m *testing.M) {
	if text := os.Getenv(chaosJob); text != "" {
		os.Exit(chaosChild(text))
	}
	pgtest.Main(m)
}

const chaosJob = "NEONTWIN_CHAOS_JOB"

// childJob is what a child process is told.
type childJob struct {
	Source, Target, Token, Commit string
	Publish                       twin.Strategy
	Exclusive                     bool
	// Lease is a file that names the token of whoever holds the lease.
	Lease string
}

// chaosChild carries out a sync and tells on standard output how far it is.
func chaosChild(text string) int {
	var c childJob
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		fmt.Println("failed", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := &refresh.Refresher{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	_, err := r.Sync(ctx, refresh.Job{
		Source: c.Source, Target: c.Target, Publish: c.Publish, Exclusive: c.Exclusive, Run: c.Token, Commit: c.Commit,
	}, &childLease{token: c.Token, file: c.Lease})
	if err != nil {
		fmt.Println("failed", twin.AsFailure(err).Code, err)
		return 1
	}
	fmt.Println("published")
	return 0
}

// childLease prints the phases, and is lost once the file names another.
type childLease struct {
	token, file string
	phase       twin.Phase
}

func (l *childLease) Token() string { return l.token }

func (l *childLease) Progress(p twin.Progress) {
	if p.Phase != l.phase {
		l.phase = p.Phase
		fmt.Println("phase", p.Phase)
	}
}

func (l *childLease) Check(ctx context.Context) error {
	if l.file == "" {
		return ctx.Err()
	}
	holder, err := os.ReadFile(l.file)
	if err != nil {
		return err
	}
	if string(holder) != l.token {
		return twin.ErrLeaseLost
	}
	return nil
}

// child is a sync in a process of its own.
type child struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu      sync.Mutex
	phases  map[twin.Phase]time.Time
	reached map[twin.Phase]chan struct{}
	outcome string
	stderr  strings.Builder
}

func startChild(t *testing.T, job childJob) *child {
	t.Helper()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{
		cmd: exec.Command(os.Args[0]), done: make(chan struct{}),
		phases: make(map[twin.Phase]time.Time), reached: make(map[twin.Phase]chan struct{}),
	}
	for _, p := range twin.Phases() {
		c.reached[p] = make(chan struct{})
	}
	c.cmd.Env = append(os.Environ(), chaosJob+"="+string(text))
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go c.listen(out)
	return c
}

func (c *child) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		c.mu.Lock()
		switch p := twin.Phase(rest); {
		case word != "phase":
			c.outcome = lines.Text()
		case c.phases[p].IsZero():
			c.phases[p] = time.Now()
			close(c.reached[p])
		}
		c.mu.Unlock()
	}
	_ = c.cmd.Wait()
	close(c.done)
}

// published reports whether the sync says so. Call it after the end.
func (c *child) published() bool { return c.outcome == "published" }

// began is when the child entered a phase, zero if it did not.
func (c *child) began(p twin.Phase) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phases[p]
}

func (c *child) signal(s os.Signal) { _ = c.cmd.Process.Signal(s) } // it may have ended

// wait returns when the process has ended; one that hangs fails the test.
func (c *child) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(60 * time.Second):
		c.signal(syscall.SIGQUIT) // tells where it hangs
		<-c.done
		t.Fatalf("the sync hangs:\n%s", c.stderr.String())
	}
}

// pause waits unless the child ends before.
func (c *child) pause(d time.Duration) {
	select {
	case <-c.done:
	case <-time.After(d):
	}
}

// fault is something that happens to a sync.
type fault struct {
	title string
	// strike lets it happen to a child that has just been started, and returns
	// when the child has ended.
	strike func(*chaos, *child)
	// clean is set where the child is told of its end and must leave nothing.
	clean bool
	// outage is set where the Twin's server itself is hit.
	outage bool
	// service is set where it can only happen to the service's syncs: those of
	// the command line are not taken over.
	service bool
}

func faults() []fault {
	killed := func(c *chaos, p *child) { c.later(p); p.signal(syscall.SIGKILL) }
	return []fault{
		{title: "kill -9", strike: killed},
		{title: "kill -9", strike: killed},
		{title: "kill -9", strike: killed},
		{title: "interrupt", clean: true, strike: func(c *chaos, p *child) { c.later(p); p.signal(os.Interrupt) }},
		{title: "a session on the source ended", clean: true, strike: func(c *chaos, p *child) { c.later(p); c.endSession(c.sourceURL) }},
		{title: "a session on the target ended", clean: true, strike: func(c *chaos, p *child) { c.later(p); c.endSession(c.server) }},
		{title: "all sessions on the target ended", clean: true, strike: func(c *chaos, p *child) { c.later(p); c.endSessions(c.server) }},
		{title: "the way to the source cut", clean: true, strike: func(c *chaos, p *child) { c.later(p); c.cut(p, c.sourceWay) }},
		{title: "the way to the target cut", clean: true, strike: func(c *chaos, p *child) { c.later(p); c.cut(p, c.targetWay) }},
		{title: "the way to the target frozen, then kill -9", strike: func(c *chaos, p *child) {
			c.later(p)
			c.targetWay.Freeze()
			p.pause(time.Duration(c.rnd.Int64N(int64(c.whole))))
			p.signal(syscall.SIGKILL)
			p.wait(c.t)
		}},
		{title: "the source crashed", strike: func(c *chaos, p *child) { c.later(p); c.crash(c.sourceURL) }},
		{title: "the target crashed", outage: true, strike: func(c *chaos, p *child) { c.later(p); c.crash(c.server) }},
		{title: "stopped, and woken beside its successor", service: true, strike: (*chaos).succeed},
		{title: "stopped, and woken beside its successor", service: true, strike: (*chaos).succeed},
		{title: "two at once", strike: (*chaos).race},
		{title: "in place, kill -9", strike: killed},
	}
}

const inPlaceTitle = "in place, kill -9"

// TestChaos lets random faults happen to a sync at random moments. Through all
// of it the Twin serves one generation or the next, whole; the sync after it
// succeeds; and nothing is left behind.
//
// NEONTWIN_CHAOS_ROUNDS says how many, NEONTWIN_SEED which ones.
func TestChaos(t *testing.T) {
	t.Parallel()
	rounds, limit := 10, 45*time.Second // ten, unless the machine is very busy
	if pgtest.Everything() {
		limit = time.Minute
	}
	if n, err := strconv.Atoi(os.Getenv("NEONTWIN_CHAOS_ROUNDS")); err == nil {
		rounds, limit = n, 24*time.Hour
	}
	seed := seedOf(t)
	c := newChaos(t, seed)
	all := faults()
	order := c.rnd.Perm(len(all))
	began := time.Now()
	for i := range rounds {
		if time.Since(began) > limit {
			t.Logf("%d of %d rounds in %s", i, rounds, limit)
			break
		}
		f := all[order[i%len(order)]]
		c.round(i, f)
		if t.Failed() {
			t.Fatalf("in round %d: %s\nagain: NEONTWIN_SEED=%d NEONTWIN_CHAOS_ROUNDS=%d go test -run '^TestChaos$' ./internal/refresh", i, f.title, seed, rounds)
		}
	}
}

// seedOf is the seed that is asked for, or a new one.
func seedOf(t testing.TB) uint64 {
	t.Helper()
	text := os.Getenv("NEONTWIN_SEED")
	if text == "" {
		return rand.Uint64N(1e6)
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("NEONTWIN_SEED: %v", err)
	}
	return seed
}

// round lets f happen to one sync, and holds what follows to the guarantees.
func (c *chaos) round(i int, f fault) {
	c.t.Helper()
	c.bump()
	job := childJob{
		Source: by(c.t, c.sourceWay, c.sourceURL), Target: by(c.t, c.targetWay, c.targetURL),
		Token: fmt.Sprintf("r%d", i), Commit: strconv.Itoa(c.gen), Exclusive: f.service || c.rnd.IntN(2) == 0,
		Lease: filepath.Join(c.dir, fmt.Sprintf("lease%d", i)),
	}
	inPlace := f.title == inPlaceTitle
	if inPlace {
		job.Publish, job.Target = twin.InPlace, c.inPlaceURL
	}
	c.job = job
	c.give(job.Token)
	began := time.Now()
	p := startChild(c.t, job)
	f.strike(c, p)
	p.wait(c.t)
	for _, way := range []*pgtest.Relay{c.sourceWay, c.targetWay} {
		way.Cut()
		way.Mend()
	}
	c.t.Logf("round %d: %s: %s after %s, %.100s", i, f.title, c.where(p), time.Since(began).Round(time.Millisecond), p.outcome)
	if p.published() && !inPlace {
		c.served(c.gen)
	}
	if f.outage {
		c.await(20*time.Second, func() bool { return reachable(c.targetURL) })
	}
	c.await(20*time.Second, func() bool { return reachable(c.sourceURL) })
	c.unharmed(f, p)
	if f.clean {
		c.noStrays(0)
	}
	c.recover(i, f, inPlace, job)
}

// by is an address by way of a relay.
func by(t *testing.T, way *pgtest.Relay, direct string) string {
	t.Helper()
	address, err := way.URL(direct)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// recover runs the sync after the fault, which must succeed and set all right.
func (c *chaos) recover(i int, f fault, inPlace bool, before childJob) {
	c.t.Helper()
	c.bump()
	job := childJob{
		Source: c.sourceURL, Target: c.targetURL, Token: fmt.Sprintf("n%d", i), Commit: strconv.Itoa(c.gen),
		Exclusive: before.Exclusive, Lease: before.Lease,
	}
	if inPlace {
		job.Publish, job.Target = twin.InPlace, c.inPlaceURL
	}
	c.give(job.Token)
	began := time.Now()
	p := startChild(c.t, job)
	p.wait(c.t)
	c.whole = time.Since(began) // as the machine is now
	if !p.published() {
		c.t.Errorf("the sync after it: %s\n%s", p.outcome, p.stderr.String())
		return
	}
	if !inPlace {
		c.served(c.gen)
	}
	c.unharmed(fault{}, p)
	judge(c.t, c.sourceURL, job.Target)
	c.noStrays(0)
	c.nothingLeft()
}

// where says in which phase the child ended.
func (c *chaos) where(p *child) twin.Phase {
	var last twin.Phase
	for _, ph := range twin.Phases() {
		if !p.began(ph).IsZero() {
			last = ph
		}
	}
	return last
}

// later returns at a random moment of the child's life, often a late one: what
// can go wrong goes wrong around the publishing.
func (c *chaos) later(p *child) {
	if c.rnd.IntN(5) < 2 {
		select {
		case <-p.reached[twin.Publish]:
		case <-p.done:
		}
		p.pause(time.Duration(c.rnd.Int64N(int64(c.publish) * 5 / 4)))
		return
	}
	p.pause(time.Duration(c.rnd.Int64N(int64(c.whole))))
}

// cut takes a way away for up to a second.
func (c *chaos) cut(p *child, way *pgtest.Relay) {
	way.Cut()
	p.pause(time.Duration(c.rnd.Int64N(int64(time.Second))))
	way.Mend()
}

// succeed stops the child, lets another one take its run over as the service
// does, and wakes the first one at some moment of the other's life.
func (c *chaos) succeed(p *child) {
	c.later(p)
	p.signal(syscall.SIGSTOP)
	job := c.job
	job.Token += "b"
	c.give(job.Token)
	next := startChild(c.t, job)
	c.others = append(c.others, next)
	next.pause(time.Duration(c.rnd.Int64N(int64(c.whole) * 5 / 4)))
	p.signal(syscall.SIGCONT)
	next.wait(c.t)
	p.wait(c.t)
	if !next.published() {
		c.t.Errorf("the successor: %s\n%s\nbeside it: %s\n%s", next.outcome, next.stderr.String(), p.outcome, p.stderr.String())
		return
	}
	c.served(c.gen)
	if got := scan[string](c.t, c.targetURL, "select token from neontwin.generation"); got != job.Token {
		c.t.Errorf("the Twin is of run %s, not of the successor %s", got, job.Token)
	}
}

// race starts a second sync beside the child. One of them waits or gives up.
func (c *chaos) race(p *child) {
	job := c.job
	job.Token += "b"
	job.Lease, job.Exclusive = "", false
	p.pause(time.Duration(c.rnd.Int64N(int64(c.whole) / 3)))
	other := startChild(c.t, job)
	c.others = append(c.others, other)
	other.wait(c.t)
	p.wait(c.t)
	if !p.published() && !other.published() {
		c.t.Errorf("of two syncs none published: %s\n%s", p.outcome, other.outcome)
		return
	}
	c.served(c.gen)
}
