package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/twin"
)

func TestCheckRunIsSent(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var got []map[string]any
	take := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var v map[string]any
			if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
				t.Error(err)
			}
			got = append(got, v)
			reply(w, status, `{"id":5}`)
		}
	}
	h.mux.HandleFunc("POST /repos/acme/shop/check-runs", take(201))
	h.mux.HandleFunc("PATCH /repos/acme/shop/check-runs/5", take(200))
	a := h.app(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.FixedZone("", 3600))
	run := CheckRun{
		Name: "Neon Twin / staging", HeadSHA: sha, ExternalID: "417:head", DetailsURL: "https://twin.example/runs/1",
		Status: "in_progress", Title: "Copying", Summary: "*s*", StartedAt: at,
	}
	if id, err := a.CreateCheckRun(t.Context(), shop, run); id != 5 || err != nil {
		t.Fatalf("got %d, %v", id, err)
	}
	run.Buttons = []Button{{Label: "Sync newest", Description: "d", Identifier: SyncNow}}
	run.Status, run.Conclusion, run.Summary, run.CompletedAt, run.DetailsURL = "completed", "success", "", at, "/runs/1"
	if err := a.UpdateCheckRun(t.Context(), shop, 5, run); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{{
		"name": "Neon Twin / staging", "head_sha": sha, "external_id": "417:head", "details_url": "https://twin.example/runs/1",
		"status": "in_progress", "started_at": "2026-03-01T11:00:00Z",
		"output": map[string]any{"title": "Copying", "summary": "*s*"},
	}, {
		"name": "Neon Twin / staging", "external_id": "417:head", "status": "completed", "conclusion": "success",
		"started_at": "2026-03-01T11:00:00Z", "completed_at": "2026-03-01T11:00:00Z",
		"output":  map[string]any{"title": "Copying", "summary": "Copying"},
		"actions": []any{map[string]any{"label": "Sync newest", "description": "d", "identifier": "sync_now"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCheckRunErrors(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /repos/acme/shop", 200, `{"id":9}`)
	h.answer("POST /repos/acme/shop/check-runs", 422, `{"message":"No commit found for SHA: 0123"}`)
	h.answer("PATCH /repos/acme/shop/check-runs/5", 404, `{"message":"Not Found"}`)
	h.answer("PATCH /repos/acme/shop/check-runs/6", 403, `{"message":"Repository was archived so is read-only."}`)
	h.answer("PATCH /repos/acme/shop/check-runs/7", 403, `{"message":"Resource not accessible by integration"}`)
	h.answer("PATCH /repos/acme/shop/check-runs/8", 502, `<html>`)
	a := h.app(t)
	run := CheckRun{Name: "n", HeadSHA: sha, Status: "queued"}
	var later *twin.LaterError
	if _, err := a.CreateCheckRun(t.Context(), shop, run); !errors.As(err, &later) || !errors.Is(err, ErrNoCommit) {
		t.Errorf("commit not shown: got %v", err)
	}
	if err := a.UpdateCheckRun(t.Context(), shop, 5, run); !errors.As(err, &later) || !errors.Is(err, ErrNoCheckRun) {
		t.Errorf("check run not shown: got %v", err)
	}
	for id, unreachable := range map[int64]bool{6: true, 7: false, 8: false} {
		err := a.UpdateCheckRun(t.Context(), shop, id, run)
		if err == nil || errors.Is(err, twin.ErrUnreachable) != unreachable || errors.As(err, &later) {
			t.Errorf("check run %d: got %v", id, err)
		}
	}
	gone := shop
	gone.Name = "gone"
	if _, err := a.CreateCheckRun(t.Context(), gone, run); !errors.Is(err, twin.ErrUnreachable) {
		t.Errorf("repository gone: got %v", err)
	}
	for _, bad := range []CheckRun{
		{Name: "n", Status: "completed"},
		{Name: "n", Status: "queued", Conclusion: "success"},
		{Status: "queued"},
	} {
		if err := a.UpdateCheckRun(t.Context(), shop, 5, bad); err == nil {
			t.Errorf("sent %+v", bad)
		}
	}
	if err := a.UpdateCheckRun(t.Context(), twin.Repository{Owner: "acme", Name: "shop"}, 5, run); err == nil {
		t.Error("called without an installation")
	}
}

func TestFindCheckRun(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	entry := func(id int, external, name string, app int) string {
		return fmt.Sprintf(`{"id":%d,"external_id":%q,"name":%q,"app":{"id":%d}}`, id, external, name, app)
	}
	h.mux.HandleFunc("GET /repos/acme/shop/commits/"+sha+"/check-runs", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("filter") != "all" || q.Get("check_name") != "n" || q.Get("app_id") != "4711" {
			t.Errorf("asked %v", q)
		}
		if q.Get("page") == "1" {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?page=2>; rel="next"`, h.URL, r.URL.Path))
			reply(w, 200, `{"total_count":5,"check_runs":[`+entry(9, "417:head", "n", 99)+","+entry(2, "41", "n", appID)+`]}`)
			return
		}
		reply(w, 200, `{"total_count":5,"check_runs":[`+entry(4, "417:head", "n", appID)+","+
			entry(3, "417:head", "n", appID)+","+entry(5, "417:head", "m", appID)+`]}`)
	})
	a := h.app(t)
	if id, found, err := a.FindCheckRun(t.Context(), shop, sha, "n", "417:head"); id != 4 || !found || err != nil {
		t.Errorf("got %d, %v, %v, want 4", id, found, err)
	}
	if id, found, err := a.FindCheckRun(t.Context(), shop, sha, "n", "40", "41"); id != 2 || !found || err != nil {
		t.Errorf("by one of two external ids: got %d, %v, %v, want 2", id, found, err)
	}
	if id, found, err := a.FindCheckRun(t.Context(), shop, sha, "n", "418:head"); found || err != nil {
		t.Errorf("got %d, %v, %v, want none", id, found, err)
	}
	if _, _, err := a.FindCheckRun(t.Context(), shop, sha, "n", ""); err == nil {
		t.Error("looked for an empty external id")
	}
}

// TestWritesAreSpaced holds that writes of one installation go one at a time
// and not closer than asked for.
func TestWritesAreSpaced(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var mu sync.Mutex
	var at []time.Time
	busy := false
	h.mux.HandleFunc("PATCH /repos/acme/shop/check-runs/5", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if busy {
			t.Error("two writes at once")
		}
		busy = true
		at = append(at, time.Now())
		mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		busy = false
		mu.Unlock()
		reply(w, 200, `{"id":5}`)
	})
	const spacing = 40 * time.Millisecond
	a := h.app(t, func(c *Config) { c.WriteSpacing = spacing })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := a.UpdateCheckRun(t.Context(), shop, 5, CheckRun{Name: "n", Status: "queued"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := 1; i < len(at); i++ {
		if d := at[i].Sub(at[i-1]); d < spacing {
			t.Errorf("write %d came %v after the one before", i, d)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		most int
	}{
		{"short", 255},
		{strings.Repeat("x", 255), 255},
		{strings.Repeat("x", 256), 255},
		{strings.Repeat("ß", 400), 255},
		{strings.Repeat("漢", 30000), maxText},
		{strings.Repeat("🙂", 64), 255},
	} {
		got := cut(c.text, c.most)
		if len(got) > c.most || !utf8.ValidString(got) || len(c.text) <= c.most && got != c.text ||
			len(c.text) > c.most && len(got) < c.most-70 {
			t.Errorf("cut(%.10q, %d) has %d bytes: %.20q", c.text, c.most, len(got), got)
		}
	}
}
