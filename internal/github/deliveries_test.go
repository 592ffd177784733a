package github

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

func TestAttempts(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.mux.HandleFunc("GET /app/hook/deliveries", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("per_page") != "100" || q.Get("status") != "" {
			t.Errorf("asked %s: GitHub's filter does not know all that failed", r.URL.RawQuery)
		}
		if q.Get("cursor") == "" {
			w.Header().Set("Link", `<`+h.URL+`/app/hook/deliveries?per_page=100&cursor=v1_7%2B8>; rel="next"`)
			reply(w, 200, `[{"id":9,"guid":"g","delivered_at":"2026-03-01T12:00:00.123Z","status":"OK","status_code":202,"event":"push","action":null,"installation_id":7},
				{"id":8,"guid":"g","delivered_at":"2026-03-01T11:00:00Z","status":"failed to connect to host","status_code":0,"event":"push","action":null,"installation_id":null}]`)
			return
		}
		if q.Get("cursor") != "v1_7+8" {
			t.Errorf("the cursor is %q", q.Get("cursor"))
		}
		reply(w, 200, `[{"id":7,"guid":"f","delivered_at":"2026-03-01T10:00:00Z","status":"Invalid HTTP Response: 503","status_code":503,"event":"installation","action":"deleted","installation_id":7}]`)
	})
	a := h.app(t)
	first, next, err := a.Attempts(t.Context(), "")
	if err != nil || next != "v1_7+8" {
		t.Fatalf("got %q, %v", next, err)
	}
	second, last, err := a.Attempts(t.Context(), next)
	if err != nil || last != "" {
		t.Fatalf("got %q, %v", last, err)
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	want := []twin.Attempt{
		{ID: 9, GUID: "g", Event: "push", InstallationID: 7, At: noon.Add(123 * time.Millisecond), OK: true},
		{ID: 8, GUID: "g", Event: "push", At: noon.Add(-time.Hour)},
		{ID: 7, GUID: "f", Event: "installation", Action: "deleted", InstallationID: 7, At: noon.Add(-2 * time.Hour)},
	}
	if got := append(first, second...); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRedeliver(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("POST /app/hook/deliveries/1/attempts", 202, `{}`)
	h.answer("POST /app/hook/deliveries/2/attempts", 404, `{"message":"Not Found"}`)
	h.answer("POST /app/hook/deliveries/3/attempts", 502, ``)
	h.answer("POST /app/hook/deliveries/4/attempts", 429, `{}`)
	a := h.app(t)
	for id, want := range []func(error) bool{
		1: func(err error) bool { return err == nil },
		2: func(err error) bool { return errors.Is(err, twin.ErrUnreachable) },
		3: func(err error) bool { return statusOf(err) == 502 && !errors.Is(err, twin.ErrUnreachable) },
		4: func(err error) bool { return errors.As(err, new(*twin.LaterError)) },
	} {
		if id > 0 {
			if err := a.Redeliver(t.Context(), int64(id)); !want(err) {
				t.Errorf("attempt %d: %v", id, err)
			}
		}
	}
}

func TestInstallation(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /app/installations/7", 200, `{"id":7,"suspended_at":null}`)
	h.answer("GET /app/installations/8", 200, `{"id":8,"suspended_at":"2026-03-01T12:00:00Z"}`)
	h.answer("GET /app/installations/9", 404, `{"message":"Not Found"}`)
	h.answer("GET /app/installations/10", 500, ``)
	a := h.app(t)
	for id, suspended := range map[int64]bool{7: false, 8: true} {
		if in, err := a.Installation(t.Context(), id); err != nil || in.ID != id || in.Suspended != suspended {
			t.Errorf("got %+v, %v", in, err)
		}
	}
	for id, gone := range map[int64]bool{9: true, 10: false} {
		if _, err := a.Installation(t.Context(), id); err == nil || errors.Is(err, twin.ErrUnreachable) != gone {
			t.Errorf("installation %d: %v", id, err)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /repos/acme/shop/installation", 200, `{"id":7,"suspended_at":null}`)
	h.answer("GET /repos/acme/asleep/installation", 200, `{"id":8,"suspended_at":"2026-03-01T12:00:00Z"}`)
	h.answer("GET /repos/acme/none/installation", 404, `{"message":"Not Found"}`)
	h.mint = func(w http.ResponseWriter, r *http.Request) {
		reply(w, 201, `{"token":"ghs_1","repositories":[{"id":9,"name":"Shop","owner":{"login":"acme"},"default_branch":"trunk","archived":true}]}`)
	}
	a := h.app(t)
	s, err := a.Find(t.Context(), "acme", "shop")
	want := twin.Sight{Repository: twin.Repository{InstallationID: 7, ID: 9, Owner: "acme", Name: "Shop", DefaultBranch: "trunk"}, Archived: true}
	if err != nil || s != want {
		t.Errorf("got %+v, %v", s, err)
	}
	if h.minted[0] = strings.TrimSpace(h.minted[0]); h.minted[0] != `{"permissions":{"metadata":"read"},"repositories":["shop"]}` {
		t.Errorf("the token is for %s", h.minted[0])
	}
	for _, name := range []string{"asleep", "none"} {
		if _, err := a.Find(t.Context(), "acme", name); !errors.Is(err, twin.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.Find(t.Context(), "acme", "../x"); err == nil || errors.Is(err, twin.ErrUnreachable) {
		t.Errorf("a name that leads elsewhere: %v", err)
	}
}

const shopBody = `{"id":9,"name":"shop","owner":{"login":"acme"},"default_branch":"main"}`

// TestRepository: under whatever name, it is the one of that id.
func TestRepository(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		byName string // the answer under the old name, empty for 404
		byID   string
		want   string
	}{
		"as it was":      {byName: shopBody, want: "acme/shop main"},
		"moved":          {byName: `{"id":9,"name":"boutique","owner":{"login":"umbrella"},"default_branch":"trunk"}`, want: "umbrella/boutique trunk"},
		"name taken":     {byName: `{"id":10,"name":"shop","owner":{"login":"acme"},"default_branch":"main"}`, byID: strings.Replace(shopBody, `"shop"`, `"old"`, 1), want: "acme/old main"},
		"name lost":      {byID: strings.Replace(shopBody, `"shop"`, `"old"`, 1), want: "acme/old main"},
		"gone":           {},
		"not understood": {byName: `{"id":9}`, want: "error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			if c.byName != "" {
				h.answer("GET /repos/acme/shop", 200, c.byName)
			}
			if c.byID != "" {
				h.answer("GET /repositories/9", 200, c.byID)
			}
			s, err := h.app(t).Repository(t.Context(), shop)
			switch {
			case c.want == "error":
				if err == nil || errors.Is(err, twin.ErrUnreachable) {
					t.Errorf("got %+v, %v", s, err)
				}
			case c.want == "":
				if !errors.Is(err, twin.ErrUnreachable) {
					t.Errorf("got %+v, %v", s, err)
				}
			case err != nil || s.FullName()+" "+s.DefaultBranch != c.want || s.ID != 9 || s.InstallationID != 7:
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
}

// TestHeadIsAskedConditionally: what has not changed costs nothing, and another
// token has other ETags.
func TestHeadIsAskedConditionally(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	head, whole := sha, 0
	date := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h.mux.HandleFunc("GET /repos/acme/shop/branches/main", func(w http.ResponseWriter, r *http.Request) {
		tag := `W/"` + r.Header.Get("Authorization") + head + `"`
		w.Header().Set("ETag", tag)
		w.Header().Set("Date", date.Format(http.TimeFormat))
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		whole++
		reply(w, 200, fmt.Sprintf(`{"commit":{"sha":%q,"commit":{"committer":{"date":"2026-03-01T11:00:00Z"}}}}`, head))
	})
	h.answer("GET /repos/acme/shop", 200, shopBody)
	a := h.app(t)
	ask := func(want string, times int) {
		t.Helper()
		got, err := a.Head(t.Context(), shop, "main")
		if err != nil || got.SHA != want || !got.AsOf.Equal(date) || !got.Committed.Equal(date.Truncate(time.Hour).Add(-time.Hour)) || whole != times {
			t.Errorf("got %+v, %v, after %d whole answers; want %s after %d", got, err, whole, want, times)
		}
	}
	ask(sha, 1)
	date = date.Add(time.Minute)
	ask(sha, 1)
	head = strings.Repeat("c", 40)
	ask(head, 2)
	ask(head, 2)
	h.mu.Lock()
	h.revoked["ghs_1"] = true
	h.mu.Unlock()
	ask(head, 3)
	if _, err := a.Head(t.Context(), shop, "gone"); !errors.Is(err, ErrNoBranch) {
		t.Errorf("a branch that is not there: %v", err)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.answer("GET /repos/acme/shop", 200, shopBody)
	files := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"filename":"f%03d"}`, i)
		}
		return strings.Join(list, ",")
	}
	a := h.app(t)
	for n, c := range []struct {
		answer          string
		ahead, complete bool
		paths           int
	}{
		{`{"status":"ahead","files":[{"filename":"new","previous_filename":"old"},{"filename":"b"}]}`, true, true, 3},
		{`{"status":"ahead","files":[` + files(299) + `]}`, true, true, 299},
		{`{"status":"ahead","files":[` + files(300) + `]}`, true, false, 300},
		{`{"status":"diverged","files":[{"filename":"b"}]}`, false, false, 1},
		{`{"status":"behind","files":[]}`, false, false, 0},
	} {
		from := strings.Repeat(fmt.Sprint(n), 40)
		h.answer("GET /repos/acme/shop/compare/"+from+"..."+sha, 200, c.answer)
		got, err := a.Compare(t.Context(), shop, from, sha)
		if err != nil || got.Ahead != c.ahead || got.Complete != c.complete || len(got.Paths) != c.paths || !slices.IsSorted(got.Paths) {
			t.Errorf("case %d: got %+v, %v", n, got, err)
		}
	}
	if got, err := a.Compare(t.Context(), shop, strings.Repeat("f", 40), sha); err != nil || got.Ahead || got.Complete {
		t.Errorf("a commit that is gone: %+v, %v", got, err)
	}
	if _, err := a.Compare(t.Context(), shop, "main", sha); err == nil {
		t.Error("compared the name of a branch")
	}
}

func TestMerged(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	item := func(n int, updated, merged time.Time) string {
		at := "null"
		if !merged.IsZero() {
			at = `"` + merged.Format(time.RFC3339) + `"`
		}
		return fmt.Sprintf(`{"number":%d,"updated_at":%q,"merged_at":%s,"merge_commit_sha":%q,"head":{"sha":%q}}`, n, updated.Format(time.RFC3339), at, sha, sha)
	}
	h.mux.HandleFunc("GET /repos/acme/shop/pulls", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("state") != "closed" || q.Get("sort") != "updated" || q.Get("direction") != "desc" || q.Get("base") != "release/1" {
			t.Errorf("asked %s", r.URL.RawQuery)
		}
		var list []string
		if q.Get("page") == "1" {
			for i := range mergedPerPage - 3 {
				list = append(list, item(1000+i, noon, time.Time{})) // closed without being merged
			}
			list = append(list, item(4, noon, noon.Add(-time.Hour)), item(5, noon, noon), item(3, noon, noon.Add(-48*time.Hour)))
		} else {
			list = append(list, item(2, noon.Add(-30*time.Minute), noon.Add(-2*time.Hour)), item(1, noon.Add(-50*time.Hour), noon.Add(-50*time.Hour)))
		}
		_, _ = io.WriteString(w, "["+strings.Join(list, ",")+"]")
	})
	got, err := h.app(t).Merged(t.Context(), shop, "release/1", noon.Add(-2*time.Hour))
	numbers := []int{}
	for _, p := range got {
		numbers = append(numbers, p.Number)
		if !p.Merged || p.BaseRef != "release/1" || p.BaseRepository != 9 || p.MergeCommitSHA != sha || p.HeadSHA != sha {
			t.Errorf("got %+v", p)
		}
	}
	if err != nil || !slices.Equal(numbers, []int{5, 4, 2}) {
		t.Errorf("got %v, %v", numbers, err)
	}
	if n := len(h.requests()); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

// TestSpare: the last quarter of the hour's requests is for what can't wait.
func TestSpare(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	left := 100
	reset := time.Now().Add(time.Hour)
	h.mux.HandleFunc("GET /repos/acme/shop", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-RateLimit-Limit", "100")
		w.Header().Set("X-RateLimit-Remaining", fmt.Sprint(left))
		w.Header().Set("X-RateLimit-Reset", fmt.Sprint(reset.Unix()))
		reply(w, 200, shopBody)
	})
	a := h.app(t)
	for _, c := range []struct {
		left  int
		spare bool
	}{{100, true}, {25, true}, {24, false}, {100, true}} {
		left = c.left
		if _, err := a.Repository(t.Context(), shop); err != nil {
			t.Fatal(err)
		}
		err := a.Spare(7)
		var later *twin.LaterError
		if (err == nil) != c.spare || err != nil && (!errors.As(err, &later) || later.At.Before(reset.Add(-time.Second))) {
			t.Errorf("%d left: %v", c.left, err)
		}
		if err := a.Spare(8); err != nil {
			t.Errorf("another installation: %v", err)
		}
	}
}
