package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/githubtest"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// anonymized is a repository's file of an anonymized Twin.
func anonymized(mask, safe string) map[string]string {
	return map[string]string{".github/neon-twin.yml": `version: 1
twins:
  staging:
    source: env
    target: env
    on: {pull_request: }
    mode: anonymized
    mask: {` + mask + `}
    safe: {columns: [` + safe + `]}
`}
}

const patients = `create table patients (id int primary key, email text not null unique, note text, born date, token uuid);
	create index on patients (lower(email))`

const (
	allMasked = "public.patients.email: email, public.patients.note: free_text, public.patients.born: date_shift, public.patients.token: uuid"
	onlyKeys  = "public.patients.id"
)

// overheard keeps all that a server sends to GitHub.
func (w *world) overheard() *lockedBuffer {
	w.t.Helper()
	to, err := url.Parse(w.github.URL())
	if err != nil {
		w.t.Fatal(err)
	}
	heard := &lockedBuffer{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		body, err := io.ReadAll(r.In.Body)
		if err != nil {
			w.t.Error(err)
		}
		fmt.Fprintf(heard, "%s %s\n%s\n", r.In.Method, r.In.URL, body)
		r.Out.Body = io.NopCloser(bytes.NewReader(body))
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, to.Host
	}}
	server := httptest.NewServer(proxy)
	w.t.Cleanup(server.Close)
	w.setenv("GITHUB_API_URL", server.URL+to.Path)
	return heard
}

// TestNoOriginalLeaves searches for every original value in all that the service
// says and keeps, while runs are refused, fail and succeed: what it tells
// GitHub, the pages of its runs, its metrics, its log, its database, what its
// commands print, and the Twin.
func TestNoOriginalLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patients)
	canaries := &pgtest.Canaries{}
	batch := &pgx.Batch{}
	for i := range 200 {
		batch.Queue("insert into patients values ($1, $2, $3, $4::int + date '1950-01-01', $5)",
			i, canaries.Text("email")+"@example.net", "call "+canaries.Text("note"), 40*i, canaries.UUID("token"))
	}
	source := pgtest.Connect(t, w.source)
	if err := source.SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
	heard := w.overheard()
	w.setenv("NEONTWIN_MASK_KEY", "8f1d0c6f5b7a4e2d9c3b1a0f7e6d5c4b3a29181716253443526170f8e9dacbbd")
	p := w.start()
	pages := &lockedBuffer{}

	n := 0
	// sync merges a pull request and reads its run's page for as long as it goes on.
	sync := func(files map[string]string) githubtest.CheckRun {
		t.Helper()
		n++
		w.push(githubtest.Push{Files: files})
		pr := w.merge(n, githubtest.Merge{})
		var check githubtest.CheckRun
		w.await("the check has ended", 60*time.Second, func() bool {
			runs := w.checks(pr.HeadSHA)
			if len(runs) == 0 {
				return false
			}
			check = runs[len(runs)-1]
			_, _ = io.WriteString(pages, w.body(check.DetailsURL)+w.body(w.admin+"/metrics"))
			return check.Status == "completed"
		})
		w.awaitChecks(pr, 60*time.Second)
		return check
	}
	// places are all that the service has said and kept until now.
	places := func() map[string][]byte {
		t.Helper()
		out := map[string][]byte{
			"GitHub": []byte(heard.String()), "pages": []byte(pages.String()), "log": []byte(p.log.String()),
			"control database": []byte(pgtest.Dump(t, w.control)),
			"status":           []byte(w.says(exitOK, "status")), "runs": []byte(w.says(exitOK, "runs")),
		}
		if slices.Contains(w.databases(), w.twin()) {
			out["Twin"] = []byte(pgtest.Dump(t, w.target))
		}
		return out
	}
	found := func(in map[string][]byte) map[string][]string {
		out := map[string][]string{}
		for place, text := range in {
			if labels := canaries.Search(text); len(labels) > 0 {
				out[place] = labels
			}
		}
		return out
	}
	requireNone := func(when string) map[string][]byte {
		t.Helper()
		in := places()
		if got := found(in); len(got) > 0 {
			t.Errorf("%s, originals are found: %v", when, got)
		}
		return in
	}

	// A column of which nothing is said: a person must decide.
	check := sync(anonymized("public.patients.email: email", onlyKeys))
	told := check.Title + check.Summary + check.Text
	if check.Conclusion != "action_required" || !strings.Contains(told, "public.patients.note") || !strings.Contains(told, "public.patients.token: uuid") {
		t.Errorf("a column that nobody has classified: %s\n%s", check.Conclusion, told)
	}
	requireNone("refused")

	// A stand-in that the target does not take, and a value that can't be masked:
	// servers quote rows then.
	pgtest.Exec(t, w.source, "alter table patients add constraint called check (note like 'call %')")
	if check = sync(anonymized(allMasked, onlyKeys)); check.Conclusion != "failure" || !strings.Contains(check.Title+check.Summary, "called") {
		t.Errorf("a stand-in that violates a CHECK: %s\n%s", check.Conclusion, check.Summary)
	}
	requireNone("failed on the target")
	pgtest.Exec(t, w.source, "alter table patients drop constraint called; insert into patients (id, email, born) values (1000, 'x', '300123-04-05')")
	if check = sync(anonymized(allMasked, onlyKeys)); check.Conclusion != "failure" || !strings.Contains(check.Title+check.Summary, "born") {
		t.Errorf("a value that can't be masked: %s\n%s", check.Conclusion, check.Summary)
	}
	for place, text := range requireNone("failed while masking") {
		if bytes.Contains(text, []byte("300123")) {
			t.Errorf("%s has the value that can't be masked", place)
		}
	}

	pgtest.Exec(t, w.source, "delete from patients where id = 1000")
	if check = sync(anonymized(allMasked, onlyKeys)); check.Conclusion != "success" || !strings.Contains(check.Summary+check.Text, "public.patients.token") {
		t.Errorf("the check is %s: %s", check.Conclusion, check.Summary)
	}
	if n := scan[int](w, w.target, "select count(*) from patients where note is not null and email like '%@example.%'"); n != 200 {
		t.Errorf("the Twin holds %d patients", n)
	}
	requireNone("published")

	// The search can fail: what is left unmasked is found in the Twin, and nowhere
	// else.
	if check = sync(anonymized(strings.Replace(allMasked, "public.patients.note: free_text, ", "", 1), onlyKeys+", public.patients.note")); check.Conclusion != "success" {
		t.Errorf("with a column left unmasked the check is %s: %s", check.Conclusion, check.Summary)
	}
	last := places()
	if diff := cmp.Diff(map[string][]string{"Twin": {"note"}}, found(last)); diff != "" {
		t.Errorf("with a column left unmasked (-want +found):\n%s", diff)
	}
	if heard := heard.String(); strings.Count(heard, "/check-runs") < 10 || !strings.Contains(heard, "action_required") || !strings.Contains(pages.String(), "public.patients") {
		t.Errorf("too little was overheard to search in:\n%s", heard)
	}
	if empty := slices.DeleteFunc(slices.Collect(maps.Keys(last)), func(place string) bool { return len(last[place]) > 0 }); len(last) != 7 || len(empty) > 0 {
		t.Errorf("of %d places there is nothing to search in: %v", len(last), empty)
	}
}
