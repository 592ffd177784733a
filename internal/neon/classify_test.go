package neon

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	const conflict = "project already has running conflicting operations, scheduling of new ones is prohibited"
	for _, c := range []struct {
		status        int
		code, message string
		get, post     Class
	}{
		{400, "", "settings must not be nil", BadRequest, BadRequest},
		{401, "", "", Auth, Auth},
		{403, "", "", Auth, Auth},
		{404, "", "branch not found", NotFound, NotFound},
		{400, "PROJECT_NOT_FOUND", "", NotFound, NotFound},
		{408, "", "", Transient, Ambiguous},
		{409, "", "database already exists", BadRequest, BadRequest},
		{409, "", "branch not ready yet", Locked, Locked},
		{422, "", "Branch not ready yet", Locked, Locked},
		{422, "", conflict, Locked, Locked},
		{422, "", "endpoint is in some transitive state, could not suspend", Locked, Locked},
		{409, "BRANCHES_LIMIT_EXCEEDED", "", Capacity, Capacity},
		{422, "ROOT_BRANCHES_LIMIT_EXCEEDED", "", Capacity, Capacity},
		{403, "COMPUTE_TIME_EXCEEDED", "", Capacity, Capacity},
		{422, "BRANCH_SIZE_LIMIT_EXCEEDED_THRESHOLD", "", Capacity, Capacity},
		{422, "WRITTEN_DATA_QUOTA_EXCEEDED", "", Capacity, Capacity},
		{422, "", "branches limit exceeded", Capacity, Capacity},
		{422, "ROLE_PROTECTED", "", BadRequest, BadRequest},
		{412, "", "passwords are not stored", Precondition, Precondition},
		{423, "", conflict, Locked, Locked},
		{409, "RUNNING_OPERATIONS", "", Locked, Locked},
		{409, "LOCK_ALREADY_TAKEN", "", Locked, Locked},
		{429, "", "", RateLimited, RateLimited},
		{429, "RATE_LIMIT_EXCEEDED", "", RateLimited, RateLimited},
		{429, "CONCURRENCY_LIMIT_REACHED", "", Locked, Locked},
		{500, "", "internal error", Transient, Ambiguous},
		{500, "RATE_LIMIT_EXCEEDED", "", Transient, Ambiguous},
		{502, "", "", Transient, Ambiguous},
		{503, "", "", Transient, Transient},
		{504, "", "", Transient, Ambiguous},
		{524, "", "", Transient, Ambiguous},
		{301, "", "", Unexpected, Unexpected},
		{418, "", "", BadRequest, BadRequest},
	} {
		if got := classify(http.MethodGet, c.status, c.code, c.message); got != c.get {
			t.Errorf("GET %d %s %q is %q, want %q", c.status, c.code, c.message, got, c.get)
		}
		for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete} {
			if got := classify(method, c.status, c.code, c.message); got != c.post {
				t.Errorf("%s %d %s %q is %q, want %q", method, c.status, c.code, c.message, got, c.post)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for h, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 2 ": 2 * time.Second, "-1": 0, "soon": 0, "99999999999": 24 * time.Hour,
		"Wed, 01 Jul 2026 12:00:30 GMT": 30 * time.Second, "Wed, 01 Jul 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(h, now); got != want {
			t.Errorf("Retry-After %q is %s, want %s", h, got, want)
		}
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	const key = "napi_secret"
	for in, want := range map[string]string{
		"key napi_secret is bad":                       "key [redacted] is bad",
		"can't reach postgres://u:p%40w@ep-1.host/db ": "can't reach postgres://[redacted]@ep-1.host/db ",
		"two\nlines\x1b[31m":                           "two lines [31m",
		strings.Repeat("ä", 300):                       strings.Repeat("ä", 200) + "...",
	} {
		if got := scrub(in, key); got != want {
			t.Errorf("scrub(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDirect(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"postgresql://u:p@ep-a-1.eu.neon.tech/db?sslmode=require":        "postgresql://u:p@ep-a-1.eu.neon.tech/db?sslmode=require",
		"postgresql://u:p@ep-a-1-pooler.eu.neon.tech/db?sslmode=require": "postgresql://u:p@ep-a-1.eu.neon.tech/db?sslmode=require",
		"postgresql://u:p@ep-a-1-pooler.eu.neon.tech:5432/db-pooler.x":   "postgresql://u:p@ep-a-1.eu.neon.tech:5432/db-pooler.x",
		"postgresql://u:p@ep-b-2.eu.neon.tech/db":                        "",
		"postgresql://u:p@ep-b-2-pooler.eu.neon.tech/db":                 "",
		"postgresql://u:p@127.0.0.1:54321/db?sslmode=disable":            "postgresql://u:p@127.0.0.1:54321/db?sslmode=disable",
		"https://u:p@ep-a-1.eu.neon.tech/db":                             "",
		"postgresql://ep-a-1.eu.neon.tech/db":                            "",
		"postgresql:///db":                                               "",
		"":                                                               "",
		"postgresql://u:secret@ep-a-1.eu.neon.tech/%zz":                  "",
	} {
		got := ""
		u, err := direct(uri, "ep-a-1")
		if err == nil {
			got = u.String()
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
		if got != want {
			t.Errorf("direct(%q) = %q, want %q", uri, got, want)
		}
	}
}

func TestChooseRole(t *testing.T) {
	t.Parallel()
	roles := func(names ...string) (all []Role) {
		for _, n := range names {
			all = append(all, Role{Name: n, Protected: n == "web_access"})
		}
		return all
	}
	databases := func(pairs ...string) (all []Database) {
		for _, p := range pairs {
			name, owner, _ := strings.Cut(p, ":")
			all = append(all, Database{Name: name, OwnerName: owner})
		}
		return all
	}
	for name, c := range map[string]struct {
		databases []Database
		roles     []Role
		asked     string
		want      string // empty: a LookupError
	}{
		"asked for":            {databases("shop:a"), roles("a", "b"), "b", "b"},
		"asked for, not there": {databases("shop:a"), roles("a", "b"), "c", ""},
		"the owner":            {databases("other:b", "shop:a"), roles("a", "b"), "", "a"},
		"the only role":        {nil, roles("neon_superuser", "cloud_admin", "web_access", "a"), "", "a"},
		"the only owner":       {databases("x:a", "y:a"), roles("a", "b"), "", "a"},
		"two owners":           {databases("x:a", "y:b"), roles("a", "b"), "", ""},
		"no owner, two roles":  {nil, roles("a", "b"), "", ""},
		"no role at all":       {nil, roles("neon_superuser"), "", ""},
		"owned by Neon":        {databases("x:cloud_admin", "y:b"), roles("cloud_admin", "a", "b"), "", "b"},
	} {
		got, err := chooseRole(Branch{Name: "twin"}, c.databases, c.roles, "shop", c.asked)
		if got != c.want || (err == nil) == (c.want == "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}
