package twin

import (
	"testing"
	"time"
)

func TestHeadline(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 14, 5, 0, 0, time.UTC)
	for want, run := range map[string]Run{
		"Queued":                                {State: Queued},
		"Queued behind run 417":                 {State: Queued, Behind: 417},
		"Attempt 2 of 5 at 14:05 UTC: it broke": {State: Queued, Attempt: 1, MaxAttempts: 5, NotBefore: at, Failure: &Failure{Message: "it broke"}},
		"Attempt 2 soon: it broke":              {State: Queued, Attempt: 1, Failure: &Failure{Message: "it broke"}},
		"Starting, 0 % overall":                 {State: Running},
		"Publishing, 98 % overall":              {State: Running, Phase: Publish},
		"Copying 1 of 2 tables, 50.0 MB of 100 MB, 35 % overall": {State: Running, Progress: Progress{
			Phase: Load, TablesDone: 1, TablesTotal: 2, BytesDone: 50_000_000, BytesTotal: 100_000_000,
		}},
		"Choosing rows, 2 % overall":                           {State: Running, Phase: Select},
		"Choosing rows, 54,210 rows found so far, 2 % overall": {State: Running, Progress: Progress{Phase: Select, RowsDone: 54210}},
		"Building 1 of 4 indexes and keys, 70 % overall": {State: Running, Progress: Progress{
			Phase: Index, IndexesDone: 1, IndexesTotal: 4,
		}},
		"Synced":                            {State: Succeeded},
		"Synced: 1 table, 1.2 GB, 3 m 12 s": {State: Succeeded, Report: &Report{Tables: []TableReport{{Bytes: 1_200_000_000}}, Seconds: 192}},
		"Synced, partial: 54,210 of about 8,100,000 rows, 12.0 MB, 9.0 s": {State: Succeeded, Report: &Report{
			Mode: Partial, Seconds: 9, Tables: []TableReport{{Bytes: 12_000_000}},
			Selections: []Selection{{Rule: KeptRoot, Rows: 54210, Of: 8100000}},
		}},
		"Synced, schema only: 1 table, 9.0 s":                                     {State: Succeeded, Report: &Report{Mode: SchemaOnly, Seconds: 9, Tables: []TableReport{{}}}},
		"Refused: the file has 2 errors":                                          {State: Failed, Failure: Refuse("the file has 2 errors:\nx:1: a\nx:2: b", "")},
		"Refused: two columns have no rule":                                       {State: Failed, Failure: Refuse("two columns have no rule", "")},
		"Failed in phase load: the source was not available; Twin unchanged":      {State: Failed, Failure: &Failure{Code: CodeSource, Phase: Load}},
		"Failed in phase load: rows did not arrive as they left; Twin incomplete": {State: Failed, Failure: &Failure{Code: CodeData, Phase: Load, Changed: true}},
		"Failed in phase publish: an unexpected error; Twin intact":               {State: Failed, Phase: Publish},
		"Cancelled; Twin unchanged":                                               {State: Cancelled, Phase: Load},
		"Superseded by run 418":                                                   {State: Superseded, SupersededBy: 418},
		"Superseded by abc1234 (run 418)":                                         {State: Superseded, SupersededBy: 418, SupersededBySHA: "abc12345"},
		"Queued behind run 417 (abc1234)":                                         {State: Queued, Behind: 417, BehindSHA: "abc12345"},
		"Superseded by a newer commit":                                            {State: Superseded},
	} {
		if got := run.Headline(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTriedAgain(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 14, 5, 0, 0, time.UTC)
	for want, run := range map[string]Run{
		"Attempt 2 of 5 starts at 2026-11-23 14:05:00 UTC.":  {State: Queued, Attempt: 1, MaxAttempts: 5, NotBefore: at},
		"Attempt 2 of 5 starts as soon as a worker is free.": {State: Queued, Attempt: 1, MaxAttempts: 5},
		"No: a person has to change something first.":        {State: Failed, Failure: Refuse("", "")},
		"No: all 5 attempts are used up.":                    {State: Failed, Attempt: 5, MaxAttempts: 5},
		"No, not by itself.":                                 {State: Failed, Attempt: 1, MaxAttempts: 5},
	} {
		if got := run.TriedAgain(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCopyingLeft(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 14, 3, 20, 0, time.UTC)
	for _, tt := range []struct {
		done, total int64
		took        time.Duration
		want        string
	}{
		{50, 100, 9 * time.Second, ""},
		{4, 100, time.Hour, ""},
		{100, 100, time.Hour, ""},
		{0, 0, time.Hour, ""},
		{0, 10, time.Hour, ""},
		{50, 100, 59 * time.Second, "less than a minute"},
		{50, 100, 2 * time.Minute, "about 2 min"},
		{25, 100, 30 * time.Minute, "about 90 min"},
		{10, 100, time.Hour, "about 9 h"},
	} {
		p := Progress{Phase: Load, BytesDone: tt.done, BytesTotal: tt.total, PhaseStarted: now.Add(-tt.took)}
		if got := p.CopyingLeft(now); got != tt.want {
			t.Errorf("%d of %d after %v: %q, want %q", tt.done, tt.total, tt.took, got, tt.want)
		}
	}
	if got := (Progress{Phase: Load, BytesDone: 1, BytesTotal: 2}).CopyingLeft(now); got != "" {
		t.Errorf("without a start: %q", got)
	}
}
