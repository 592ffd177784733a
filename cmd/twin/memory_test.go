package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pgtest"
)

// mostMemory is what a sync may take at 8 jobs, whatever it copies.
const mostMemory = 200 << 20

// A sync takes as much memory for a database of nearly a gigabyte, with fields
// of a hundred megabytes, as for any other.
func TestMemoryIsFlat(t *testing.T) {
	t.Parallel()
	pgtest.Long(t)
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED, NOT TESTED: Linux alone tells a process's peak")
	}
	p := newPair(t, `do $$ begin
		for i in 1..4 loop
			execute format('create table wide%s (id int, v text); alter table wide%1$s alter v set storage external', i);
			execute format('insert into wide%s select 1, repeat(chr(96 + %1$s), 100000000)', i);
			execute format('create table raw%s (id int, v bytea); alter table raw%1$s alter v set storage external', i);
			execute format('insert into raw%s select 1, decode(repeat(''0%1$s'', 50000000), ''hex'')', i);
		end loop;
		for i in 1..8 loop
			execute format('create table rows%s (id int primary key, v text)', i);
			execute format('insert into rows%s select g, repeat(''x'', 200) from generate_series(1, 100000) g', i);
		end loop;
	end $$; create table parts as select g id, repeat('y', 1000) v from generate_series(1, 100000) g;
	select lo_from_bytea(i, decode(repeat('ab', 30000000), 'hex')) from generate_series(1, 2) i; analyze`)
	if size := p.count(p.source, "select pg_database_size(current_database())"); size < 4*mostMemory {
		t.Fatalf("the source has %d bytes only", size)
	}
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "sync", "--jobs=8", "--verify=hash")
	cmd.Env = append(os.Environ(), "NEONTWIN_SOURCE_URL="+p.source, "NEONTWIN_TARGET_URL="+p.target)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	peak := 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("sync: %v\n%s", err, said.String())
			}
			running = false
		case <-tick.C:
			peak = max(peak, highWater(cmd.Process.Pid))
		}
	}
	t.Logf("the sync took %d MB at most", peak>>20)
	if peak == 0 || peak > mostMemory {
		t.Errorf("the sync took %d MB, want at most %d", peak>>20, mostMemory>>20)
	}
	if n := p.count(p.target, "select sum(length(v))::int / 1000000 from wide4"); n != 100 {
		t.Errorf("a field has %d MB, want 100", n)
	}
}

var vmHWM = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// highWater is the most memory that a process has had, in bytes, 0 once it has
// ended.
func highWater(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := vmHWM.FindSubmatch(status)
	if err != nil || m == nil {
		return 0
	}
	kilobytes, _ := strconv.Atoi(string(m[1])) // digits, says the pattern
	return kilobytes << 10
}
