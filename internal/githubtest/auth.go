package githubtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// token is an installation access token. Tokens are kept in memory only.
type token struct {
	value        string
	installation int64
	repositories []int64 // nil means all that the installation has
	permissions  map[string]string
	expires      time.Time
}

func (t *token) reaches(in *Installation, r *repository) bool {
	return in.covers(r) && (t.repositories == nil || slices.Contains(t.repositories, r.ID))
}

// allows compares two levels of a permission.
func allows(has, needs string) bool {
	levels := []string{"", "read", "write", "admin"}
	return slices.Index(levels, has) >= slices.Index(levels, needs)
}

// RevokeTokens ends all access tokens before their time.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// authenticate checks the Authorization header against what the route needs.
func (c *call) authenticate(need string) (int, any) {
	scheme, value, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if value == "" {
		return fails(http.StatusUnauthorized, "Requires authentication")
	}
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "token") {
		return fails(http.StatusUnauthorized, "Bad credentials")
	}
	if need == "app" || need == "any" && !strings.HasPrefix(value, "ghs_") {
		return c.authenticateApp(value)
	}
	t := c.tokens[value]
	if t == nil || !c.opts.Now().Before(t.expires) && !c.opts.AnyClock {
		return fails(http.StatusUnauthorized, "Bad credentials")
	}
	in := c.st.Installations[t.installation]
	if in == nil {
		return fails(http.StatusUnauthorized, "Bad credentials")
	}
	if in.SuspendedAt != nil {
		return fails(http.StatusForbidden, "This installation has been suspended")
	}
	c.token, c.in = t, in
	return 0, nil
}

// authenticateApp verifies a JSON web token as GitHub does: RS256 by the App's
// key, issued by the App and not in the future, ending within ten minutes.
func (c *call) authenticateApp(value string) (int, any) {
	claims := jwt.MapClaims{}
	p := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	_, err := p.ParseWithClaims(value, claims, func(*jwt.Token) (any, error) { return &c.key.PublicKey, nil })
	if err != nil {
		return fails(http.StatusUnauthorized, "A JSON web token could not be decoded")
	}
	if fmt.Sprint(claims["iss"]) != strconv.FormatInt(c.st.App.ID, 10) && !issuedByNumber(claims["iss"], c.st.App.ID) {
		return fails(http.StatusNotFound, "Integration not found")
	}
	if c.opts.AnyClock {
		return 0, nil
	}
	now := c.opts.Now()
	issued, err := claimTime(claims["iat"])
	if err != nil || issued.After(now) {
		return fails(http.StatusUnauthorized,
			"'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	}
	expires, err := claimTime(claims["exp"])
	if err != nil || !expires.After(now) {
		return fails(http.StatusUnauthorized,
			"'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	}
	if expires.After(now.Add(10 * time.Minute)) {
		return fails(http.StatusUnauthorized, "'Expiration time' claim ('exp') is too far in the future")
	}
	return 0, nil
}

func issuedByNumber(claim any, id int64) bool {
	n, ok := claim.(float64)
	return ok && n == float64(id)
}

func claimTime(claim any) (time.Time, error) {
	n, ok := claim.(float64)
	if !ok || n != math.Trunc(n) {
		return time.Time{}, errors.New("claim is no integer")
	}
	return time.Unix(int64(n), 0), nil
}

// mintInput is what may be asked of a token. JSON null asks for everything.
type mintInput struct {
	Repositories  []string          `json:"repositories"`
	RepositoryIDs []int64           `json:"repository_ids"`
	Permissions   map[string]string `json:"permissions"`
}

// mint answers POST /app/installations/{installation_id}/access_tokens.
func (c *call) mint() (int, any) {
	in := c.st.Installations[c.pathID("installation_id")]
	if in == nil {
		return notFound()
	}
	if in.SuspendedAt != nil {
		return fails(http.StatusForbidden, "This installation has been suspended")
	}
	var want mintInput
	if status, answer := c.decode(&want); status != 0 {
		return status, answer
	}
	t := &token{installation: in.ID, permissions: in.Permissions, expires: c.now().Add(time.Hour)}
	t.repositories = append(t.repositories, want.RepositoryIDs...)
	for _, name := range want.Repositories {
		if r := c.st.repository(in.Owner, name); r != nil {
			t.repositories = append(t.repositories, r.ID)
		} else {
			t.repositories = append(t.repositories, 0)
		}
	}
	for _, id := range t.repositories {
		if r := c.st.Repositories[id]; r == nil || !in.covers(r) {
			return fails(http.StatusUnprocessableEntity,
				"There is at least one repository that does not exist or is not accessible to the parent installation.")
		}
	}
	for name, level := range want.Permissions {
		if !allows(in.Permissions[name], level) || level == "" {
			return fails(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
		}
	}
	if want.Permissions != nil {
		t.permissions = want.Permissions
		t.permissions["metadata"] = "read"
	}
	t.value = c.tokenValue()
	c.tokens[t.value] = t
	answer := obj{"token": t.value, "expires_at": stamp(t.expires), "permissions": t.permissions, "repository_selection": "all"}
	if t.repositories != nil || in.Repositories != nil {
		answer["repository_selection"] = "selected"
	}
	if t.repositories != nil {
		list := []obj{}
		for _, id := range t.repositories {
			list = append(list, c.repository(c.st.Repositories[id]))
		}
		answer["repositories"] = list
	}
	return http.StatusCreated, answer
}

// tokenValue makes tokens of both shapes in turn: the short one, and the long
// one that carries a JSON web token.
func (c *call) tokenValue() string {
	c.minted++
	if c.minted%2 == 1 {
		return "ghs_" + (rand.Text() + rand.Text())[:36]
	}
	part := func(n int) string {
		text := ""
		for len(text) < n {
			text += rand.Text()
		}
		return text[:n]
	}
	return fmt.Sprintf("ghs_%d_eyJ%s.eyJ%s.%s-%s", c.st.App.ID, part(120), part(200), part(80), part(90))
}

// revoke answers DELETE /installation/token.
func (c *call) revoke() (int, any) {
	delete(c.tokens, c.token.value)
	return http.StatusNoContent, nil
}

const (
	secondaryText = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
	primaryText   = "API rate limit exceeded for installation."
)

// budget counts the requests of one installation, or of the App.
type budget struct {
	reset  time.Time
	used   int
	writes []time.Time // within the last hour
}

// budget returns the counters of "" or of an installation's id.
func (s *Server) budget(whose string) *budget {
	b := s.budgets[whose]
	if b == nil {
		b = &budget{}
		s.budgets[whose] = b
	}
	if now := s.opts.Now().UTC().Truncate(time.Second); !now.Before(b.reset) {
		b.reset, b.used = now.Add(time.Hour), 0
	}
	return b
}

func (b *budget) headers(h http.Header, limit int) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, limit-b.used)))
	h.Set("X-RateLimit-Used", strconv.Itoa(b.used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(b.reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}

func (c *call) budgetName() string {
	if c.token == nil {
		return ""
	}
	return strconv.FormatInt(c.token.installation, 10)
}

// charge counts a request against the primary limit and a write against the
// limits of 80 a minute and 500 an hour for requests that create content.
func (c *call) charge(rt route) (int, any) {
	b := c.budget(c.budgetName())
	if rt.pattern == rateLimitRoute {
		b.headers(c.w.Header(), c.opts.RateLimit)
		return 0, nil
	}
	b.used++
	b.headers(c.w.Header(), c.opts.RateLimit)
	if b.used > c.opts.RateLimit {
		return http.StatusForbidden, obj{"message": primaryText, "documentation_url": rateLimitDocs}
	}
	if c.token == nil || c.r.Method == http.MethodGet || c.opts.ManyWrites {
		return 0, nil
	}
	now := c.opts.Now()
	b.writes = slices.DeleteFunc(b.writes, func(t time.Time) bool { return now.Sub(t) >= time.Hour })
	lately := 0
	for _, t := range b.writes {
		if now.Sub(t) < time.Minute {
			lately++
		}
	}
	if lately >= 80 || len(b.writes) >= 500 {
		c.w.Header().Set("Retry-After", "60")
		return http.StatusForbidden, obj{"message": secondaryText, "documentation_url": secondaryDocs}
	}
	b.writes = append(b.writes, now)
	return 0, nil
}

// refund gives back what an answer of 304 was charged.
func (s *Server) refund(bearer string, h http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, value, _ := strings.Cut(bearer, " ")
	whose := ""
	if t := s.tokens[value]; t != nil {
		whose = strconv.FormatInt(t.installation, 10)
	}
	b := s.budget(whose)
	b.used = max(0, b.used-1)
	b.headers(h, s.opts.RateLimit)
}
