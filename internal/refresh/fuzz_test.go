package refresh_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
)

// FuzzCopy makes a random schema with rows from a seed, copies it and holds the
// copy to the judge. NEONTWIN_FUZZ_SEEDS says how many seeds, NEONTWIN_SEED the
// first one.
func FuzzCopy(f *testing.F) {
	first, n, limit := uint64(1), 25, 10*time.Second
	if pgtest.Everything() {
		limit = time.Minute
	}
	if many, err := strconv.Atoi(os.Getenv("NEONTWIN_FUZZ_SEEDS")); err == nil {
		n, limit = many, 24*time.Hour
	}
	if os.Getenv("NEONTWIN_SEED") != "" {
		first = seedOf(f)
	}
	if fuzzing := flag.Lookup("test.fuzz"); fuzzing != nil && fuzzing.Value.String() != "" {
		n, limit = 2, 24*time.Hour // it makes more of them by itself
	}
	for i := range n {
		f.Add(first + uint64(i))
	}
	deadline := time.Now().Add(limit)
	var shrunk atomic.Bool
	f.Fuzz(func(t *testing.T, seed uint64) {
		t.Parallel()
		if time.Now().After(deadline) {
			t.Skip("time is up: other runs reach it")
		}
		statements := generate(seed)
		source, failed := random(t, statements)
		if len(failed)*10 > len(statements) {
			t.Errorf("%d of %d statements failed:\n%s", len(failed), len(statements), strings.Join(failed, "\n"))
		}
		target := twinOf(t, source)
		_, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target}, &lease{token: "one"})
		if err != nil {
			t.Errorf("sync: %v", err)
		} else {
			judge(t, source, target)
		}
		if t.Failed() {
			t.Logf("again: NEONTWIN_SEED=%d NEONTWIN_FUZZ_SEEDS=1 go test -run FuzzCopy ./internal/refresh", seed)
		}
		if t.Failed() && !shrunk.Swap(true) { // the first one will do
			t.Logf("less of seed %d goes wrong too:\n%s", seed, strings.Join(shrink(t, statements), ";\n"))
		}
	})
}

// random makes a database of the statements. Those that the server refused are
// left out and given back.
func random(t *testing.T, statements []string) (address string, failed []string) {
	t.Helper()
	address = pgtest.URL(t)
	conn := pgtest.Connect(t, address)
	for _, sql := range statements {
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			failed = append(failed, fmt.Sprintf("%v\n\tin: %.300s", err, sql))
		}
	}
	return address, failed
}

// shrink leaves out statements for as long as the copy still goes wrong, and
// for no more than half a minute.
func shrink(t *testing.T, statements []string) []string {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for size := len(statements) / 2; size > 0; size /= 2 {
		for at := 0; at < len(statements); {
			less := slices.Delete(slices.Clone(statements), at, min(at+size, len(statements)))
			if time.Now().After(deadline) {
				return statements
			}
			if goesWrong(t, less) {
				statements = less
			} else {
				at += size
			}
		}
	}
	return statements
}

// goesWrong is the test in short: whether the sync fails or the Twin differs.
func goesWrong(t *testing.T, statements []string) bool {
	t.Helper()
	source, _ := random(t, statements)
	target := twinOf(t, source)
	if _, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target}, &lease{token: "one"}); err != nil {
		return true
	}
	a, errA := outline(t.Context(), source)
	b, errB := outline(t.Context(), target)
	return errA == nil && errB == nil && a != b
}

// outline is a database's schema and how many rows its tables have.
func outline(ctx context.Context, address string) (string, error) {
	out, err := exec.CommandContext(ctx, "pg_dump", "--inserts", "--no-owner", "--no-privileges", "--exclude-schema=neontwin", address).Output()
	if err != nil {
		return "", err
	}
	lines := slices.DeleteFunc(strings.Split(string(out), "\n"), func(line string) bool {
		return strings.HasPrefix(line, `\restrict `) || strings.HasPrefix(line, `\unrestrict `)
	})
	slices.Sort(lines) // rows have no order
	return strings.Join(lines, "\n"), nil
}
