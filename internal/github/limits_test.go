package github

import (
	"net/http"
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const secondary = `{"message":"You have exceeded a secondary rate limit. Please wait."}`
	for _, c := range []struct {
		name    string
		status  int
		headers map[string]string
		body    string
		strikes int
		want    time.Duration // 0: no limit
	}{
		{"ok", 200, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1772366460"}, "", 0, 0},
		{"unavailable", 503, map[string]string{"Retry-After": "5"}, "", 0, 0},
		{
			"permission", 403,
			map[string]string{"X-RateLimit-Remaining": "4000", "X-RateLimit-Reset": "1772366460"},
			`{"message":"Resource not accessible by integration"}`, 0, 0,
		},
		{"403 seconds", 403, map[string]string{"Retry-After": "17"}, secondary, 0, 17 * time.Second},
		{"429 seconds", 429, map[string]string{"Retry-After": "17"}, "", 0, 17 * time.Second},
		{"zero seconds", 429, map[string]string{"Retry-After": "0"}, "", 0, time.Second},
		{"date", 403, map[string]string{"Retry-After": "Sun, 01 Mar 2026 12:01:30 GMT"}, secondary, 0, 90 * time.Second},
		{"date gone by", 403, map[string]string{"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, secondary, 0, time.Second},
		{
			"retry-after wins", 403,
			map[string]string{"Retry-After": "9", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1772366460"},
			"", 0, 9 * time.Second,
		},
		{"primary 403", 403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1772366460"}, "", 0, 61 * time.Second},
		{"primary 429", 429, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1772366460"}, "", 0, 61 * time.Second},
		{"primary far away", 403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9999999999"}, "", 0, 2 * time.Hour},
		{"remaining without reset", 403, map[string]string{"X-RateLimit-Remaining": "0"}, `{"message":"no"}`, 0, 0},
		{"secondary in words", 403, nil, secondary, 0, 67500 * time.Millisecond},
		{"abuse in words", 403, nil, `{"message":"You have triggered an abuse detection mechanism."}`, 0, 67500 * time.Millisecond},
		{"primary in words", 403, nil, `{"message":"API rate limit exceeded for installation."}`, 0, 67500 * time.Millisecond},
		{"doubles", 403, nil, secondary, 2, 4 * 67500 * time.Millisecond},
		{"does not double for ever", 403, nil, secondary, 60, 32 * 67500 * time.Millisecond},
		{"429 without a word", 429, nil, "", 0, 67500 * time.Millisecond},
		{"garbage", 429, map[string]string{"Retry-After": "soon"}, "", 0, 67500 * time.Millisecond},
		{"negative", 429, map[string]string{"Retry-After": "-5"}, "", 0, 67500 * time.Millisecond},
		{"absurd", 429, map[string]string{"Retry-After": "99999999"}, "", 0, 2 * time.Hour},
	} {
		h := http.Header{}
		for k, v := range c.headers {
			h.Set(k, v)
		}
		until, limited := limit(c.status, h, []byte(c.body), now, c.strikes, 0.5)
		got := time.Duration(0)
		if limited {
			got = until.Sub(now)
		}
		if got != c.want || limited != (c.want != 0) {
			t.Errorf("%s: got %v (%v), want %v", c.name, got, limited, c.want)
		}
	}
}
