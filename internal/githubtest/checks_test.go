package githubtest_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const runsPath = "/repos/acme/shop/check-runs"

// js writes a value as JSON.
func js(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return string(text)
}

type m = map[string]any

func TestCheckRunLife(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	p := k.pull()
	k.settle()
	k.inbox.take()

	created := k.want(201, "POST", runsPath, token, js(t, m{
		"name": "Neon Twin / staging", "head_sha": p.HeadSHA, "external_id": "r1:head", "details_url": "http://127.0.0.1:1/runs/r1",
	})).object(t)
	equal(t, "status", created["status"], any("queued"))
	equal(t, "conclusion", created["conclusion"], nil)
	if n := len(created["pull_requests"].([]any)); n != 1 {
		t.Errorf("pull_requests = %d, want 1", n)
	}
	one := fmt.Sprintf("%s/%.0f", runsPath, created["id"])

	running := k.want(200, "PATCH", one, token, `{"status":"in_progress","output":{"title":"Copying 1 of 2","summary":"*now*"}}`).object(t)
	equal(t, "status", running["status"], any("in_progress"))
	equal(t, "title", dig(running, "output", "title"), any("Copying 1 of 2"))
	equal(t, "external_id", running["external_id"], any("r1:head"))

	done := k.want(200, "PATCH", one, token, `{"conclusion":"success","output":{"title":"Synced","summary":"ok"},
		"actions":[{"label":"Sync newest","description":"Copy again","identifier":"sync_now"}]}`).object(t)
	equal(t, "status", done["status"], any("completed"))
	if done["completed_at"] == nil {
		t.Error("completed_at is null")
	}
	got := k.took("check_run.created", "check_run.completed", "check_suite.completed")
	equal(t, "sender", dig(got[0].payload, "sender", "type"), any("Bot"))
	equal(t, "suite", dig(got[2].payload, "check_suite", "conclusion"), any("success"))

	// Press Re-run, the button, and Re-run all.
	id := int64(created["id"].(float64))
	must(t, k.gh.PressButton("acme/shop", id, "sync_now"))
	must(t, k.gh.Rerun("acme/shop", id))
	must(t, k.gh.RerunAll("acme/shop", p.HeadSHA))
	got = k.took("check_run.requested_action", "check_run.rerequested", "check_suite.rerequested")
	equal(t, "identifier", dig(got[0].payload, "requested_action", "identifier"), any("sync_now"))
	equal(t, "external_id", dig(got[1].payload, "check_run", "external_id"), any("r1:head"))
	equal(t, "run stays completed", dig(got[1].payload, "check_run", "status"), any("completed"))
	if err := k.gh.PressButton("acme/shop", id, "rollback"); err == nil {
		t.Error("pressed a button that isn't there")
	}
	k.want(201, "POST", one+"/rerequest", token, "")
	k.took("check_run.rerequested")
	if runs := k.gh.CheckRuns("acme/shop", p.HeadSHA); len(runs) != 1 || runs[0].Conclusion != "success" {
		t.Errorf("runs = %+v, want the one, still successful", runs)
	}
}

func TestCheckRunRefusals(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	output := func(more m) m {
		o := m{"title": "T", "summary": "S"}
		for key, v := range more {
			o[key] = v
		}
		return m{"output": o}
	}
	note := func(more m) m {
		a := m{"path": "f", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "m"}
		for key, v := range more {
			a[key] = v
		}
		return output(m{"annotations": []m{a}})
	}
	button := func(label, description, identifier string) m {
		return m{"label": label, "description": description, "identifier": identifier}
	}
	ok := button("L", "D", "I")
	run := k.want(201, "POST", runsPath, token, js(t, m{"name": "x", "head_sha": k.repo.Head})).object(t)
	one := fmt.Sprintf("%s/%.0f", runsPath, run["id"])
	for name, tt := range map[string]struct {
		body m
		fine bool
	}{
		"completed without conclusion":    {m{"status": "completed"}, false},
		"completed_at without conclusion": {m{"completed_at": "2026-01-01T00:00:00Z"}, false},
		"stale":                           {m{"conclusion": "stale"}, false},
		"unknown status":                  {m{"status": "waiting"}, false},
		"empty name":                      {m{"name": ""}, false},
		"relative details_url":            {m{"details_url": "/runs/1"}, false},
		"other scheme":                    {m{"details_url": "ftp://127.0.0.1/"}, false},
		"output without title":            {m{"output": m{"summary": "s"}}, false},
		"output without summary":          {m{"output": m{"title": "t"}}, false},
		"longest summary":                 {output(m{"summary": strings.Repeat("é", 65535)}), true},
		"summary too long":                {output(m{"summary": strings.Repeat("a", 65536)}), false},
		"text too long":                   {output(m{"text": strings.Repeat("a", 65536)}), false},
		"51 annotations":                  {output(m{"annotations": slices.Repeat([]m{{"path": "f", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}}, 51)}), false},
		"annotation":                      {note(nil), true},
		"annotation of another level":     {note(m{"annotation_level": "error"}), false},
		"annotation of no line":           {note(m{"start_line": 0}), false},
		"columns over lines":              {note(m{"end_line": 2, "start_column": 1}), false},
		"long annotation title":           {note(m{"title": strings.Repeat("a", 256)}), false},
		"long annotation message":         {note(m{"message": strings.Repeat("a", 64<<10+1)}), false},
		"three buttons":                   {m{"actions": []m{ok, ok, ok}}, true},
		"no buttons":                      {m{"actions": []m{}}, true},
		"four buttons":                    {m{"actions": []m{ok, ok, ok, ok}}, false},
		"long label":                      {m{"actions": []m{button(strings.Repeat("a", 21), "D", "I")}}, false},
		"long description":                {m{"actions": []m{button("L", strings.Repeat("a", 41), "I")}}, false},
		"long identifier":                 {m{"actions": []m{button("L", "D", strings.Repeat("a", 21))}}, false},
		"wrong type":                      {m{"name": 1}, false},
	} {
		want := 422
		if tt.fine {
			want = 200
		}
		if r := k.do("PATCH", one, token, js(t, tt.body)); r.status != want {
			t.Errorf("%s: PATCH = %d, want %d: %.200s", name, r.status, want, r.body)
		}
	}
	k.want(422, "POST", runsPath, token, `{"head_sha":"x"}`)
	k.want(422, "POST", runsPath, token, `{"name":"x"}`)
	r := k.want(422, "POST", runsPath, token, js(t, m{"name": "x", "head_sha": strings.Repeat("0", 40)}))
	if !strings.Contains(string(r.body), "No commit found for SHA") {
		t.Errorf("body = %s", r.body)
	}
	k.want(400, "POST", runsPath, token, `{`)
	k.want(404, "PATCH", runsPath+"/1", token, `{}`)
	if runs := k.gh.CheckRuns("acme/shop", "main"); len(runs) != 1 || runs[0].Status != "queued" {
		t.Errorf("refused requests left traces: %+v", runs)
	}
}

func TestAnnotationsAreAppended(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	body := m{"name": "x", "head_sha": k.repo.Head, "output": m{"title": "t", "summary": "s", "annotations": slices.Repeat(
		[]m{{"path": "f", "start_line": 1, "end_line": 2, "annotation_level": "warning", "message": "m"}}, 50)}}
	run := k.want(201, "POST", runsPath, token, js(t, body)).object(t)
	one := fmt.Sprintf("%s/%.0f", runsPath, run["id"])
	again := k.want(200, "PATCH", one, token, js(t, m{"output": body["output"]})).object(t)
	equal(t, "annotations_count", dig(again, "output", "annotations_count"), any(100.0))
	list := k.want(200, "GET", one+"/annotations?per_page=100", token, "").list(t)
	equal(t, "annotations", len(list), 100)
}

func TestListCheckRuns(t *testing.T) {
	t.Parallel()
	k := setup(t)
	token := k.token("")
	foreign, err := k.gh.AddForeignCheckRun("acme/shop", "main", "Neon Twin / staging")
	must(t, err)
	for _, id := range []string{"r1:head", "r2:head"} {
		k.want(201, "POST", runsPath, token, js(t, m{"name": "Neon Twin / staging", "head_sha": k.repo.Head, "external_id": id}))
	}
	k.want(201, "POST", runsPath, token, js(t, m{"name": "lint", "head_sha": k.repo.Head, "status": "in_progress"}))
	app := fmt.Sprint(k.gh.App().ID)
	for query, want := range map[string]int{
		"":           3, // newest of each name and App
		"filter=all": 4,
		"filter=all&check_name=Neon%20Twin%20%2F%20staging":               3,
		"filter=all&check_name=Neon%20Twin%20%2F%20staging&app_id=" + app: 2,
		"filter=latest&app_id=" + app:                                     2,
		"status=in_progress":                                              1,
		"filter=all&check_name=Neon":                                      0,
		"filter=all&per_page=2&page=2":                                    2,
		"filter=all&per_page=100&page=9":                                  0,
	} {
		got := k.want(200, "GET", "/repos/acme/shop/commits/"+k.repo.Head+"/check-runs?"+query, token, "").object(t)
		equal(t, "runs for "+query, len(got["check_runs"].([]any)), want)
	}
	byBranch := k.want(200, "GET", "/repos/acme/shop/commits/"+url.PathEscape("heads/main")+"/check-runs", token, "").object(t)
	newest := byBranch["check_runs"].([]any)[1]
	equal(t, "newest of a name", dig(newest, "external_id"), any("r2:head"))
	k.want(422, "GET", "/repos/acme/shop/commits/"+strings.Repeat("1", 40)+"/check-runs", token, "")

	r := k.want(403, "PATCH", fmt.Sprintf("%s/%d", runsPath, foreign.ID), token, `{"status":"in_progress"}`)
	if !strings.Contains(string(r.body), "can only be modified by the GitHub App that created it") {
		t.Errorf("body = %s", r.body)
	}
	k.want(403, "POST", fmt.Sprintf("%s/%d/rerequest", runsPath, foreign.ID), token, "")
	if err := k.gh.Rerun("acme/shop", foreign.ID); err == nil {
		t.Error("re-ran a foreign check run for our App")
	}

	suites := k.want(200, "GET", "/repos/acme/shop/commits/main/check-suites", token, "").object(t)
	equal(t, "suites", suites["total_count"], any(2.0))
	mine := suites["check_suites"].([]any)[1]
	path := fmt.Sprintf("/repos/acme/shop/check-suites/%.0f", dig(mine, "id"))
	equal(t, "suite status", k.want(200, "GET", path, token, "").object(t)["status"], any("in_progress"))
	equal(t, "runs of the suite", k.want(200, "GET", path+"/check-runs", token, "").object(t)["total_count"], any(2.0))
	k.want(201, "POST", path+"/rerequest", token, "")
	equal(t, "suite status", k.want(200, "GET", path, token, "").object(t)["status"], any("queued"))
}
