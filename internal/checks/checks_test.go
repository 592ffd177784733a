package checks

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/twin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	base    = "https://twin.example"
	pageKey = "k3yk3yk3yk3yk3yk3yk3yk3y"
)

var (
	now  = time.Date(2026, 11, 23, 14, 3, 20, 0, time.UTC)
	head = twin.Place{Role: twin.Head, SHA: "1111111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", PR: 12}
)

// newRun is a run with everything that stands from its first moment.
func newRun(state twin.State, change func(*twin.Run)) twin.Run {
	r := twin.Run{
		ID: 418, TwinID: 3, PageKey: pageKey, State: state, MaxAttempts: 5,
		Repo:    twin.Repository{InstallationID: 1, ID: 2, Owner: "acme", Name: "shop", DefaultBranch: "main"},
		Spec:    twin.Spec{Name: "staging", Source: "prod", Target: "shop-twin", Mode: twin.Full},
		Trigger: twin.PullRequest, Ref: "refs/heads/main", PR: 12,
		SHA:       "abc1234fffffffffffffffffffffffffffffffff",
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

// report is what a run of n tables did.
func report(n int) *twin.Report {
	r := &twin.Report{
		Run: "t7", Mode: twin.Full, Publish: twin.Swap, Database: "shop", Seconds: 192.3,
		SnapshotAt: now.Add(-190 * time.Second), SnapshotLSN: "0/1A2B3C4", PublishedAt: now.Add(-time.Second),
		Verified: []string{"row counts of all tables", "every constraint is valid", "the schema equals the source's"},
	}
	for i, p := range (twin.Spec{}).Phases() {
		r.Phases = append(r.Phases, twin.PhaseReport{Phase: p, Seconds: []float64{0.4, 1.2, 3.1, 121, 40, 12.2, 6, 7.9, 0.5}[i]})
	}
	for i := range n {
		r.Tables = append(r.Tables, twin.TableReport{
			Table: fmt.Sprintf("public.table_%02d", i), Rows: int64(1000*i + 7), Bytes: int64(i) * 1_394_000, Seconds: float64(i) / 3,
		})
	}
	return r
}

// partial makes a run one of a partial Twin.
func partial(r *twin.Run) {
	r.Spec.Mode = twin.Partial
	r.Spec.Subset = &twin.Subset{Roots: []twin.Root{{Table: "public.customers", Limit: 5000}}}
}

// selections are what a partial Twin keeps of n tables, one of them by a name
// that could be taken for markup.
func selections(n int) []twin.Selection {
	all := []twin.Selection{
		{Table: "public.customers", Rule: twin.KeptRoot, Rows: 5000, Of: 812_000, Why: []twin.Reason{{Rows: 5000, Words: "asked for"}}, Path: []string{"public.customers"}},
		{
			Table: "public.order_items", Rule: twin.KeptReached, Rows: 161_000, Of: 24_000_000, Why: []twin.Reason{{Rows: 161_000, Words: "refers to public.orders by (order_id)"}},
			Path: []string{"public.customers", "public.orders", "public.order_items"},
		},
		{Table: "public.orders", Rule: twin.KeptReached, Rows: 54_210, Of: 8_100_000, Why: []twin.Reason{
			{Rows: 51_000, Words: "refers to public.customers by (customer_id)"},
			{Rows: 2_200, Words: "referred to by public.refunds (order_id)"},
			{Rows: 1_000, Words: "referred to by public.orders (parent_id)"},
			{Rows: 10, Words: "referred to by public.\"x|@octocat\" (order_id)"},
		}, Path: []string{"public.customers", "public.orders"}},
		{Table: "public.countries", Rule: twin.KeptWhole, Rows: 249, Of: 249, Why: []twin.Reason{{Rows: 249, Words: "small and related to nothing"}}},
		{Table: "public.audit_log", Rule: twin.KeptNothing, Of: 9_000_000, Why: []twin.Reason{{Words: "asked for"}}},
		{Table: "public.queue", Rule: twin.KeptNothing, Of: -1, Why: []twin.Reason{{Words: "not related to any root"}}},
	}
	for i := len(all); i < n; i++ {
		all = append(all, twin.Selection{Table: fmt.Sprintf("public.part_%02d", i), Rule: twin.KeptReached, Of: 1000})
	}
	return all
}

func cases() map[string]twin.Run {
	load := twin.Progress{
		Phase: twin.Load, TablesDone: 31, TablesTotal: 42, RowsDone: 5_123_456, RowsTotal: 8_000_000,
		BytesDone: 780_000_000, BytesTotal: 1_200_000_000, Table: "public.order_items", PhaseStarted: now.Add(-3 * time.Minute),
	}
	lost := &twin.Failure{
		Code: twin.CodeSource, Phase: twin.Load, Retry: true,
		Message: "the source closed the connection while table public.order_items was copied",
		Next:    "nothing, if the source was restarted; else look at its log",
	}
	return map[string]twin.Run{
		"queued":        newRun(twin.Queued, nil),
		"queued-behind": newRun(twin.Queued, func(r *twin.Run) { r.Behind, r.BehindSHA = 417, "fedcba987" }),
		"queued-retry": newRun(twin.Queued, func(r *twin.Run) {
			r.Attempt, r.Failure, r.NotBefore = 1, lost, now.Add(100*time.Second)
		}),
		"running-starting":   newRun(twin.Running, nil),
		"running-load":       newRun(twin.Running, func(r *twin.Run) { r.Phase, r.Progress = twin.Load, load }),
		"running-load-merge": newRun(twin.Running, func(r *twin.Run) { r.Phase, r.Progress = twin.Load, load }),
		"running-load-early": newRun(twin.Running, func(r *twin.Run) {
			p := load
			p.TablesDone, p.BytesDone, p.RowsDone, p.PhaseStarted = 0, 0, 0, now.Add(-time.Second)
			r.Phase, r.Progress = twin.Load, p
		}),
		"running-load-more-than-expected": newRun(twin.Running, func(r *twin.Run) {
			p := load
			p.BytesDone, p.RowsDone = 1_300_000_000, 9_000_000
			r.Phase, r.Progress = twin.Load, p
		}),
		"running-index": newRun(twin.Running, func(r *twin.Run) {
			r.Progress = twin.Progress{Phase: twin.Index, IndexesDone: 12, IndexesTotal: 40}
		}),
		"running-again": newRun(twin.Running, func(r *twin.Run) {
			r.Attempt, r.Failure, r.Phase = 2, lost, twin.Verify
		}),
		"running-select": newRun(twin.Running, func(r *twin.Run) {
			partial(r)
			r.Progress = twin.Progress{Phase: twin.Select, RowsDone: 48_123}
		}),
		"succeeded-partial": newRun(twin.Succeeded, func(r *twin.Run) {
			partial(r)
			r.Report = report(3)
			r.Report.Mode, r.Report.Selections = twin.Partial, selections(22)
		}),
		"succeeded-schema-only": newRun(twin.Succeeded, func(r *twin.Run) {
			r.Spec.Mode = twin.SchemaOnly
			r.Report = report(2)
			r.Report.Mode = twin.SchemaOnly
			r.Report.Selections = []twin.Selection{{Table: "public.table_00", Rule: twin.KeptNothing, Of: 7}, {Table: "public.table_01", Rule: twin.KeptNothing, Of: 1007}}
		}),
		"succeeded-anonymized": newRun(twin.Succeeded, func(r *twin.Run) {
			r.Spec.Mode = twin.Anonymized
			r.Report = report(2)
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
		"succeeded":         newRun(twin.Succeeded, func(r *twin.Run) { r.Report = report(42) }),
		"succeeded-hazards": newRun(twin.Succeeded, succeededWithHazards),
		"failed": newRun(twin.Failed, func(r *twin.Run) {
			r.Attempt, r.Failure = 5, lost
		}),
		"failed-publish": newRun(twin.Failed, func(r *twin.Run) {
			r.Failure = &twin.Failure{Code: twin.CodeTarget, Phase: twin.Publish, Message: "the target's answer was lost", Next: "run it again"}
		}),
		"failed-in-place": newRun(twin.Failed, func(r *twin.Run) {
			r.Failure = &twin.Failure{Code: twin.CodeData, Phase: twin.Load, Changed: true, Message: "a row did not fit", Next: "run it again"}
		}),
		"failed-without-a-word": newRun(twin.Failed, nil),
		"refused-list": newRun(twin.Failed, func(r *twin.Run) {
			r.Attempt, r.StartedAt, r.Spec = 0, time.Time{}, twin.Spec{Name: "configuration"}
			r.Failure = &twin.Failure{
				Code: twin.CodeConfig, Next: "mend the file on branch main; no Twin of this repository is synced until then",
				Message: ".github/neon-twin.yml has 2 errors:\n.github/neon-twin.yml:3:5: \"half\" is no mode; write mode: full\n.github/neon-twin.yml:7:1: @octocat is not known here",
			}
		}),
		"refused": newRun(twin.Failed, func(r *twin.Run) {
			r.Failure = twin.Refuse("the target holds tables but not our mark", "name an empty database, or adopt this one")
			r.Failure.Phase = twin.Preflight
		}),
		"cancelled":           newRun(twin.Cancelled, func(r *twin.Run) { r.Phase = twin.Index }),
		"succeeded-elsewhere": newRun(twin.Succeeded, func(r *twin.Run) { r.Report, r.NeonBranch = report(1), "" }),
		"superseded": newRun(twin.Superseded, func(r *twin.Run) {
			r.SupersededBy, r.SupersededBySHA, r.SupersededByKey = 419, "fedcba987", strings.Repeat("w1n", 8)
		}),
		"hostile": newRun(twin.Succeeded, hostile),
	}
}

func succeededWithHazards(r *twin.Run) {
	r.Report = report(2)
	r.Report.Publish = twin.Branch
	r.Report.Hazards = []twin.Hazard{
		{ID: "large_objects", Message: "the source's role may not read 2 of 9 large objects", Accepted: true},
		{ID: "no_primary_key", Object: "public.log", Message: "the table has no key; its rows can't be told apart"},
		{ID: "extension_missing", Message: "the target lacks an extension that nothing uses"},
	}
}

// hostile fills a run with names that would be markup.
func hostile(r *twin.Run) {
	r.Spec.Name = "sta|ging**\n# @octocat"
	r.Report = report(1)
	r.Report.Database, r.NeonBranch = "`shop`", "`<b>`"
	r.Report.Tables = []twin.TableReport{
		{Table: "public.\"a|b\"", Rows: 1},
		{Table: "public.\"a\\|b\"", Rows: 2},
		{Table: "public.\"`x` <img src=x>\"", Rows: 3},
		{Table: "public.\"<script>alert(1)</script>\"", Rows: 4},
		{Table: "public.\"@octocat\"", Rows: 5},
		{Table: "public.\"two\n| lines\"", Rows: 6},
		{Table: "public.\"\u202eevil\"", Rows: 7},
		{Table: "", Rows: 8},
	}
	r.Report.Verified = []string{"[click](https://evil.example) www.evil.example @octocat/team <b>*bold*</b> `code` #1\n\n# Heading"}
	r.Report.Hazards = []twin.Hazard{{ID: "x`y", Object: "@octocat `|", Message: "&lt;<!-- gone --> ~~struck~~ ![i](x)"}}
}

// show writes a check run as the golden files hold it.
func show(c github.CheckRun) string {
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	s := ""
	for _, line := range [][2]string{
		{"name", c.Name},
		{"head_sha", c.HeadSHA},
		{"external_id", c.ExternalID},
		{"details_url", c.DetailsURL},
		{"status", c.Status},
		{"conclusion", c.Conclusion},
		{"started_at", stamp(c.StartedAt)},
		{"completed_at", stamp(c.CompletedAt)},
		{"title", c.Title},
		{"text", c.Text},
	} {
		s += strings.TrimRight(line[0]+": "+line[1], " ") + "\n"
	}
	for _, b := range c.Buttons {
		s += fmt.Sprintf("button %s: %s (%s)\n", b.Identifier, b.Label, b.Description)
	}
	return s + "\n" + c.Summary
}

func TestRender(t *testing.T) {
	t.Parallel()
	for name, run := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := head
			if strings.HasSuffix(name, "-merge") {
				place = twin.Place{Role: twin.Merge, SHA: run.SHA, PR: 12}
			}
			got := show(Render(run, place, base+"/", now))
			file := filepath.Join("testdata", name+".golden")
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
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestRules holds every rendering to what GitHub takes and to our own style.
func TestRules(t *testing.T) {
	t.Parallel()
	runs := cases()
	runs["long"] = newRun(twin.Failed, func(r *twin.Run) {
		r.Failure = twin.Refuse(strings.Repeat("ä ", 50_000), strings.Repeat("ö", 50_000))
	})
	runs["long-name"] = newRun(twin.Queued, func(r *twin.Run) { r.Spec.Name = strings.Repeat("é", 400) })
	for name, run := range runs {
		c := Render(run, head, base, now)
		if n := utf8.RuneCountInString(c.Title); n == 0 || n > titleLimit {
			t.Errorf("%s: title of %d characters: %q", name, n, c.Title)
		}
		if strings.ContainsAny(c.Title, "\n\r") {
			t.Errorf("%s: title of several lines: %q", name, c.Title)
		}
		if n := len(c.Summary); n == 0 || n > summaryLimit {
			t.Errorf("%s: summary of %d bytes", name, n)
		}
		if !utf8.ValidString(c.Summary) {
			t.Errorf("%s: summary is not UTF-8", name)
		}
		if utf8.RuneCountInString(c.Name) > nameLimit {
			t.Errorf("%s: name too long", name)
		}
		if (c.Status == "completed") != (c.Conclusion != "") {
			t.Errorf("%s: status %q with conclusion %q", name, c.Status, c.Conclusion)
		}
		for _, r := range c.Title + c.Summary {
			if r >= 0x1F000 || r >= 0x2600 && r < 0x2800 {
				t.Errorf("%s: emoji %q", name, r)
			}
		}
	}
}

func TestConclusions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state              twin.State
		code               twin.Code
		status, conclusion string
	}{
		{twin.Queued, "", "queued", ""},
		{twin.Queued, twin.CodeSource, "queued", ""},
		{twin.Running, "", "in_progress", ""},
		{twin.Succeeded, "", "completed", "success"},
		{twin.Failed, twin.CodeVerify, "completed", "failure"},
		{twin.Failed, twin.CodeRefused, "completed", "action_required"},
		{twin.Failed, twin.CodeConfig, "completed", "action_required"},
		{twin.Cancelled, "", "completed", "cancelled"},
		{twin.Superseded, "", "completed", "skipped"},
	} {
		run := newRun(tt.state, nil)
		if tt.code != "" {
			run.Failure = &twin.Failure{Code: tt.code}
		}
		c := Render(run, twin.Place{Role: twin.Merge, SHA: "b"}, base, now)
		if c.Status != tt.status || c.Conclusion != tt.conclusion {
			t.Errorf("%s %s: %s/%s, want %s/%s", tt.state, tt.code, c.Status, c.Conclusion, tt.status, tt.conclusion)
		}
		if c.ExternalID != "418:merge" || c.HeadSHA != "b" {
			t.Errorf("%s: external id %q at %q", tt.state, c.ExternalID, c.HeadSHA)
		}
	}
}

func TestCauseStaysInside(t *testing.T) {
	t.Parallel()
	run := newRun(twin.Failed, func(r *twin.Run) {
		r.Failure = twin.AsFailure(fmt.Errorf("dial db.internal.example: %w", os.ErrDeadlineExceeded))
	})
	if c := Render(run, head, base, now); strings.Contains(c.Title+c.Summary, "db.internal") {
		t.Errorf("the cause is told:\n%s", c.Summary)
	}
}

func TestDetailsURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ base, key, want string }{
		{"https://twin.example", "abc", "https://twin.example/runs/abc"},
		{"http://127.0.0.1:8080/twin/", "abc", "http://127.0.0.1:8080/twin/runs/abc"},
		{"https://twin.example", "", ""},
		{"https://twin.example", "a/b?c", "https://twin.example/runs/a%2Fb%3Fc"},
		{"", "abc", ""},
		{"/twin", "abc", ""},
		{"twin.example", "abc", ""},
		{"//twin.example", "abc", ""},
		{"ftp://twin.example", "abc", ""},
		{"https://", "abc", ""},
		{"https://:443", "abc", ""},
		{"https://user:pw@twin.example", "abc", ""},
		{"https://twin.example/?a=b", "abc", ""},
	} {
		if got := detailsURL(tt.base, tt.key); got != tt.want {
			t.Errorf("detailsURL(%q, %q) = %q, want %q", tt.base, tt.key, got, tt.want)
		}
	}
}
