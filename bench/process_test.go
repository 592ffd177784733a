package main

import (
	"context"
	"strings"
	"testing"
	"time"
)

func sh(script string, env ...string) command {
	return command{program: "/bin/sh", args: []string{"-c", script}, env: env}
}

func TestExecAllAddsUpAndPipes(t *testing.T) {
	t.Parallel()
	u, out, err := execAll(t.Context(), []pipeline{
		{sh("dd if=/dev/zero of=staged bs=1M count=3 2>/dev/null; sleep 0.3; rm staged")},
		{sh("echo carried"), sh("tr a-z A-Z")},
	}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != "CARRIED" {
		t.Errorf("the last program wrote %q", got)
	}
	if u.Wall < 300*time.Millisecond {
		t.Errorf("wall time %v is less than the first pipeline's", u.Wall)
	}
	if u.Staged < 3<<20 {
		t.Errorf("staged %d bytes at most; it was 3 MB for a while", u.Staged)
	}
}

// What counts is the whole tree: here a child of a child holds the memory and
// uses the processor.
func TestUsageIsThatOfTheTree(t *testing.T) {
	t.Parallel()
	u, _, err := execAll(t.Context(), []pipeline{{
		sh(`sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; head -c 40000000 /dev/zero | tail -c 40000000 | (sleep 0.6; wc -c)'; true`),
	}}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if u.Memory < 40_000_000 {
		t.Errorf("memory %d, want at least the 40 MB of a grandchild", u.Memory)
	}
	if u.CPU < 20*time.Millisecond {
		t.Errorf("processor time %v, want the grandchild's", u.CPU)
	}
}

func TestAFailureSaysWhyWithoutSecrets(t *testing.T) {
	t.Parallel()
	_, _, err := execAll(t.Context(), []pipeline{{
		sh(`echo "no login with $PGPASSWORD at $PLACE" >&2; exit 3`, "PGPASSWORD=sesame", "PLACE=postgres://u:sesame2@h/d"),
	}, {sh("echo never > /dev/tty")}}, t.TempDir())
	if err == nil {
		t.Fatal("exit status 3 was no error")
	}
	if text := err.Error(); strings.Contains(text, "sesame") || !strings.Contains(text, "no login with [redacted] at [redacted]") {
		t.Errorf("the error says %q", text)
	}
}

func TestStoppedFromOutside(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, _, err := execAll(ctx, []pipeline{{{program: "/bin/sleep", args: []string{"20"}}}}, t.TempDir()); err == nil {
		t.Error("a program that was stopped is no error")
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %v to stop", took)
	}
}
