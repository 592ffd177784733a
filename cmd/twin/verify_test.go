package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
)

func TestVerifyCommand(t *testing.T) {
	t.Parallel()
	p := newPair(t, people)
	if code, _, stderr := p.command("verify"); code != exitNotCompared || !strings.Contains(stderr, "not compared") {
		t.Errorf("without a Twin: exit %d, %s", code, stderr)
	}
	if code, _, stderr := p.command("sync", "--verify=hash", "--grants=source"); code != exitPublished {
		t.Fatalf("sync: exit %d, %s", code, stderr)
	}
	code, stdout, stderr := p.command("verify")
	if code != exitEqual || !strings.Contains(stdout, "equals the source") || !strings.Contains(stdout, "pg_dump") {
		t.Errorf("equal: exit %d, %s%s", code, stdout, stderr)
	}
	pgtest.Exec(t, p.target, "update people set name = 'somebody' where id = 3")
	if code, _, _ := p.command("verify", "--verify=counts", "--no-pg-dump"); code != exitEqual {
		t.Errorf("the counts are equal, and the exit code is %d", code)
	}
	code, stdout, _ = p.command("verify", "--no-pg-dump", "--json")
	var c refresh.Comparison
	if err := json.Unmarshal([]byte(stdout), &c); err != nil || code != exitDifferent || c.Equal || len(c.Differences) != 1 || strings.Contains(stdout, "somebody") {
		t.Errorf("different: exit %d, %v, %s", code, err, stdout)
	}
	code, stdout, _ = p.command("verify", "--no-pg-dump")
	if code != exitDifferent || !strings.Contains(stdout, "Different: table public.people has other contents") {
		t.Errorf("different: exit %d, %s", code, stdout)
	}
	if code, _, _ := p.command("verify", "--source="); code != exitEqual && code != exitDifferent {
		t.Errorf("an empty flag overrules nothing, and the exit code is %d", code)
	}
	if code, _, stderr := p.command("verify", "--verify=sometimes"); code != exitUsage {
		t.Errorf("a wrong flag: exit %d, %s", code, stderr)
	}
}

func TestAcceptFlag(t *testing.T) {
	t.Parallel()
	p := newPair(t, people+"; create unlogged table quick (a int)")
	if code, _, stderr := p.command("sync", "--accept=no_such_hazard"); code != exitUsage || !strings.Contains(stderr, "no_such_hazard") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if code, stdout, _ := p.command("plan", "--accept=unlogged"); code != exitPublished || !strings.Contains(stdout, "Accepted [unlogged]") {
		t.Errorf("exit %d, %s", code, stdout)
	}
}
