package web

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var now = time.Date(2026, 11, 23, 14, 3, 20, 0, time.UTC)

var _ Runs = store.Store{}

// fakeRuns has one page for each key, as the store has.
type fakeRuns struct {
	runs  map[string]twin.Run
	asked []string
	err   error
}

func (f *fakeRuns) RunByPageKey(_ context.Context, key string) (twin.Run, []store.Publication, []store.Event, error) {
	f.asked = append(f.asked, key)
	if f.err != nil {
		return twin.Run{}, nil, nil, f.err
	}
	run, ok := f.runs[key]
	if !ok {
		return twin.Run{}, nil, nil, store.ErrNotFound
	}
	places := []store.Publication{
		{Place: twin.Place{Role: twin.Head, SHA: "1111111aaaaaaaa", PR: 12}, CheckRunID: 1, Wanted: 3, Posted: 3},
		{Place: twin.Place{Role: twin.Merge, SHA: run.SHA, PR: 12}, Wanted: 1},
	}
	events := []store.Event{
		{At: now.Add(-200 * time.Second), Level: store.Info, Message: "attempt 1 started"},
		{At: now.Add(-190 * time.Second), Level: store.Warn, Phase: twin.Prepare, Message: "a database that an earlier run left was dropped"},
	}
	return run, places, events, nil
}

// setup gives a handler whose clock stands still.
func setup(t *testing.T, runs *fakeRuns) http.Handler {
	t.Helper()
	return newAt(runs, slog.New(slog.DiscardHandler), func() time.Time { return now })
}

// get asks h for a path.
func get(t *testing.T, h http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return w
}

func newRun(state twin.State, change func(*twin.Run)) twin.Run {
	r := twin.Run{
		ID: 418, State: state, MaxAttempts: 5, PageKey: "key",
		Repo:    twin.Repository{InstallationID: 1, ID: 2, Owner: "acme", Name: "shop"},
		Spec:    twin.Spec{Name: "staging", Source: "prod", Target: "shop-twin", Mode: twin.Full},
		Trigger: twin.PullRequest, Ref: "refs/heads/main", PR: 12, SHA: "abc1234fffffffffffffff",
		CreatedAt: now.Add(-4 * time.Minute), NeonBranch: "twin",
	}
	if state != twin.Queued && state != twin.Superseded {
		r.Attempt, r.StartedAt = 1, now.Add(-200*time.Second)
	}
	if state.Terminal() {
		r.FinishedAt = now
	}
	if change != nil {
		change(&r)
	}
	return r
}

func report() *twin.Report {
	r := &twin.Report{
		Database: "shop", Publish: twin.Swap, Seconds: 192.3, SnapshotAt: now.Add(-3 * time.Minute), PublishedAt: now.Add(-time.Second),
		Verified: []string{"row counts of all 7 tables equal the snapshot's", "every constraint is valid", "the schema equals the source's"},
		Hazards:  []twin.Hazard{{ID: "no_primary_key", Object: "public.audit_log", Message: "the table has no key: its rows can't be told apart"}, {ID: "large_objects", Message: "2 of 9 can't be read", Accepted: true}},
	}
	for i, p := range (twin.Spec{}).Phases() {
		r.Phases = append(r.Phases, twin.PhaseReport{Phase: p, Seconds: []float64{0.4, 1.2, 3.1, 121, 40, 12.2, 6, 7.9, 0.5}[i]})
	}
	for i, name := range []string{"countries", "customers", "orders", "order_items", "products", "\"Legacy Notes\"", "audit_log"} {
		r.Tables = append(r.Tables, twin.TableReport{
			Table: "public." + name, Rows: []int64{249, 120_034, 1_402_991, 5_120_444, 8_122, 0, 733_201}[i],
			Bytes: []int64{9_200, 31_000_000, 240_000_000, 780_000_000, 4_100_000, 0, 152_000_000}[i], Seconds: float64(i) * 9.3,
		})
	}
	return r
}

// partial makes a run one of a partial Twin.
func partial(r *twin.Run) {
	r.Spec.Mode = twin.Partial
	r.Spec.Subset = &twin.Subset{Roots: []twin.Root{{Table: "public.customers", Limit: 5000}}}
}

func pages() map[string]twin.Run {
	load := twin.Progress{
		Phase: twin.Load, TablesDone: 31, TablesTotal: 42, RowsDone: 5_123_456, RowsTotal: 8_000_000,
		BytesDone: 780_000_000, BytesTotal: 1_200_000_000, Table: "public.order_items", PhaseStarted: now.Add(-3 * time.Minute),
	}
	lost := &twin.Failure{
		Code: twin.CodeSource, Phase: twin.Load, Retry: true,
		Message: "the source closed the connection while a table was copied", Next: "look whether the source was restarted",
	}
	return map[string]twin.Run{
		"queued":    newRun(twin.Queued, func(r *twin.Run) { r.Behind, r.BehindSHA = 417, "fedcba987" }),
		"retry":     newRun(twin.Queued, func(r *twin.Run) { r.Attempt, r.Failure, r.NotBefore = 1, lost, now.Add(time.Minute) }),
		"running":   newRun(twin.Running, func(r *twin.Run) { r.Phase, r.Progress = twin.Load, load }),
		"again":     newRun(twin.Running, func(r *twin.Run) { r.Attempt, r.Phase, r.Failure = 2, twin.Verify, lost }),
		"succeeded": newRun(twin.Succeeded, func(r *twin.Run) { r.Report = report() }),
		"choosing": newRun(twin.Running, func(r *twin.Run) {
			partial(r)
			r.Progress = twin.Progress{Phase: twin.Select, RowsDone: 48_123, PhaseStarted: now.Add(-9 * time.Second)}
		}),
		"partial": newRun(twin.Succeeded, func(r *twin.Run) {
			partial(r)
			r.Report = report()
			r.Report.Mode = twin.Partial
			r.Report.Selections = []twin.Selection{
				{Table: "public.audit_log", Rule: twin.KeptNothing, Of: 733_201, Why: []twin.Reason{{Words: "asked for"}}},
				{Table: "public.customers", Rule: twin.KeptRoot, Rows: 5000, Of: 120_034, Why: []twin.Reason{{Rows: 5000, Words: "asked for"}}, Path: []string{"public.customers"}},
				{
					Table: "public.orders", Rule: twin.KeptReached, Rows: 54_210, Of: 1_402_991,
					Why:  []twin.Reason{{Rows: 54_000, Words: "refers to public.customers by (customer_id)"}, {Rows: 210, Words: "referred to by public.\"<b>\" (order_id)"}},
					Path: []string{"public.customers", "public.orders"},
				},
				{Table: "public.countries", Rule: twin.KeptWhole, Rows: 249, Of: 249, Why: []twin.Reason{{Rows: 249, Words: "small and related to nothing"}}},
			}
		}),
		"anonymized": newRun(twin.Succeeded, func(r *twin.Run) {
			r.Spec.Mode = twin.Anonymized
			r.Report = report()
			r.Report.Mode = twin.Anonymized
			r.Report.Masking = &twin.MaskReport{
				Key: "KEYIDENT", Scanned: 3000,
				Masked: []twin.MaskedColumn{
					{Column: "public.customers.email", Class: "email", Domain: "email", Why: "by its rule", Values: 119_800, Nulls: 234, DistinctIn: 118_000, DistinctOut: 118_000},
					{Column: "public.customers.city", Class: "city", Domain: "city", Why: "by the rule *.*.city", Values: 120_034, DistinctIn: 912, DistinctOut: 410, Same: 17},
				},
				Passed: []twin.PassedColumn{
					{Column: "public.customers.id", Why: "harmless, surrogate_key: a key that the database makes"},
					{Column: "public.orders.ref", Why: "stated safe, by public.orders.*", Scanned: 1000, Found: map[string]int64{"phone": 2}},
					{Column: "public.orders.state", Why: "stated safe by the operator, by public.orders.state", Scanned: 2000},
				},
			}
		}),
		"failed":     newRun(twin.Failed, func(r *twin.Run) { r.Attempt, r.Failure = 5, lost }),
		"refused":    newRun(twin.Failed, func(r *twin.Run) { r.Failure = twin.Refuse("the target is the source", "name another target") }),
		"cancelled":  newRun(twin.Cancelled, func(r *twin.Run) { r.Phase = twin.Index }),
		"superseded": newRun(twin.Superseded, func(r *twin.Run) { r.SupersededBy, r.SupersededBySHA, r.SupersededByKey = 419, "fedcba987", "queued" }),
		"hostile":    newRun(twin.Failed, hostile),
	}
}

const attack = `"'></code></title></script><script>alert(1)</script><img src=x onerror=alert(1)>{{.Twin}}`

// hostile puts markup wherever other people's words are shown.
func hostile(r *twin.Run) {
	r.Spec.Name, r.Spec.Source, r.Spec.Target, r.Spec.Mode = attack, attack, attack, twin.Mode(attack)
	r.Repo.Owner, r.Ref, r.SHA, r.Trigger = attack, "javascript:"+attack, attack, twin.Trigger(attack)
	r.State = twin.Succeeded
	r.Report = report()
	r.Report.Database, r.NeonBranch = attack, attack
	r.Report.Tables[0].Table = attack
	r.Report.Phases[0].Phase = twin.Phase(attack)
	r.Report.Verified = []string{attack}
	r.Report.Hazards = []twin.Hazard{{ID: attack, Object: attack, Message: attack}}
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := setup(t, &fakeRuns{runs: pages()})
	cut := regexp.MustCompile(`(?s)(<style>|<script>).*?(</style>|</script>)`)
	for name, run := range pages() {
		w := get(t, h, http.MethodGet, "/runs/"+name)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %s", name, w.Code, w.Header().Get("Content-Type"))
		}
		body := w.Body.String()
		if live := strings.Contains(body, `http-equiv="refresh"`) && strings.Contains(body, "<script>") &&
			strings.Contains(body, "<main data-live>"); live == run.State.Terminal() {
			t.Errorf("%s: refreshes itself: %v", name, live)
		}
		golden(t, name+".html", cut.ReplaceAllString(body, "$1$2"))
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got:\n%s", name, diff)
	}
}

// TestMarkupStaysText: the page holds no element that the template has not put there.
func TestMarkupStaysText(t *testing.T) {
	t.Parallel()
	runs := pages()
	for name, change := range map[string]func(*twin.Run){
		"message": func(r *twin.Run) {
			r.State, r.Failure = twin.Failed, &twin.Failure{Code: twin.Code(attack), Phase: twin.Phase(attack), Message: attack, Next: attack}
		},
		"table": func(r *twin.Run) {
			r.State, r.Progress = twin.Running, twin.Progress{Phase: twin.Load, TablesTotal: 1, Table: attack}
		},
		"state": func(r *twin.Run) { r.State = twin.State(attack) },
	} {
		run := newRun(twin.Succeeded, hostile)
		change(&run)
		runs[name] = run
	}
	h := setup(t, &fakeRuns{runs: runs})
	for _, name := range []string{"hostile", "message", "table", "state"} {
		body := get(t, h, http.MethodGet, "/runs/"+name).Body.String()
		if !strings.Contains(body, "alert(1)") {
			t.Errorf("%s: the attack is not on the page", name)
		}
		for _, bad := range []string{"<img", "<script>alert", "onerror=alert(1)>", "{{"} {
			if strings.Contains(strings.ReplaceAll(body, "{{.Twin}}", ""), bad) {
				t.Errorf("%s: %q is on the page", name, bad)
			}
		}
		if strings.Count(body, "<script>") > 1 || strings.Count(body, "</title>") != 1 {
			t.Errorf("%s: elements broken open", name)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	h := setup(t, &fakeRuns{runs: pages()})
	inline := regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`)
	for _, path := range []string{"/", "/runs/running", "/runs/nothing", "/favicon.ico"} {
		w := get(t, h, http.MethodGet, path)
		for name, want := range map[string]string{
			"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", path, name, got, want)
			}
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		// What the policy allows by hash is what stands on the page.
		for _, m := range inline.FindAllStringSubmatch(w.Body.String(), -1) {
			if want := m[1] + "-src " + hash(m[2]); !strings.Contains(policy, want) {
				t.Errorf("%s: %s is not allowed by %q", path, want, policy)
			}
		}
		if strings.Contains(w.Body.String(), "style=") {
			t.Errorf("%s: a style attribute, which the policy forbids", path)
		}
	}
}

// TestUnknownKeys: nobody learns from an answer how a key looks.
func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	runs := &fakeRuns{runs: pages()}
	h := setup(t, runs)
	want := get(t, h, http.MethodGet, "/runs/unknown").Body.String()
	for i, path := range []string{
		"/runs/" + strings.Repeat("a", 4000), "/runs/%00", "/runs/%ff", "/runs/a%20b", "/runs/a'--", "/runs/ä", "/runs/..%2f..",
	} {
		w := get(t, h, http.MethodGet, path)
		if w.Code != http.StatusNotFound || w.Body.String() != want {
			t.Errorf("%.40s: %d, another answer than for an unknown key", path, w.Code)
		}
		if len(runs.asked) != i+2 || runs.asked[i+1] != "-" {
			t.Errorf("%.40s: the store was asked %q", path, runs.asked)
		}
	}
	for _, path := range []string{"/runs", "/runs/", "/runs/key/more", "/other"} {
		if w := get(t, h, http.MethodGet, path); w.Code != http.StatusNotFound || w.Body.String() != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestStoreDown(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	h := New(&fakeRuns{err: errors.New("connection refused")}, slog.New(slog.NewTextHandler(&log, nil)))
	w := get(t, h, http.MethodGet, "/runs/topsecretkey")
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "connection") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "connection refused") || strings.Contains(log.String(), "topsecretkey") {
		t.Errorf("log: %s", &log)
	}
}

func TestRootAndMethods(t *testing.T) {
	t.Parallel()
	h := setup(t, &fakeRuns{runs: pages()})
	if w := get(t, h, http.MethodGet, "/"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "copy of a production database") {
		t.Errorf("root: %d", w.Code)
	}
	for path, want := range map[string]int{"/": 200, "/runs/succeeded": 200, "/runs/unknown": 404} {
		if w := get(t, h, http.MethodHead, path); w.Code != want {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
		if w := get(t, h, http.MethodPost, path); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, w.Code)
		}
	}
}

// TestOrderOfTables: all of them, the largest first.
func TestOrderOfTables(t *testing.T) {
	t.Parallel()
	run := newRun(twin.Succeeded, func(r *twin.Run) {
		r.Report = &twin.Report{}
		for i := range 300 {
			r.Report.Tables = append(r.Report.Tables, twin.TableReport{Table: fmt.Sprintf("public.t%03d", i), Bytes: int64(i * 7 % 300)})
		}
	})
	body := get(t, setup(t, &fakeRuns{runs: map[string]twin.Run{"k": run}}), http.MethodGet, "/runs/k").Body.String()
	at := -1
	for i, table := range run.Report.LargestTables() {
		next := strings.Index(body, "<code>"+table.Table+"</code>")
		if next <= at {
			t.Fatalf("table %d (%s) at %d, the one before at %d", i, table.Table, next, at)
		}
		at = next
	}
}

// TestCauseStaysInside: what is meant for the log is not on the page.
func TestCauseStaysInside(t *testing.T) {
	t.Parallel()
	run := newRun(twin.Failed, func(r *twin.Run) { r.Failure = twin.AsFailure(errors.New("dial db.internal.example")) })
	body := get(t, setup(t, &fakeRuns{runs: map[string]twin.Run{"k": run}}), http.MethodGet, "/runs/k").Body.String()
	if strings.Contains(body, "db.internal") || !strings.Contains(body, "an unexpected error stopped the run") {
		t.Error("the page tells the cause, or not the message")
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		part, whole float64
		want        int
	}{{0, 0, 0}, {1, 0, 0}, {0, 5, 0}, {1, 1000, 1}, {37, 100, 37}, {9, 5, 100}, {-1, 5, 0}} {
		if got := share(tt.part, tt.whole); got != tt.want {
			t.Errorf("share(%v, %v) = %d, want %d", tt.part, tt.whole, got, tt.want)
		}
	}
}
