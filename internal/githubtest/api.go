package githubtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const docs = "https://docs.github.com/rest"

// call is one request to the API. It is handled under the server's lock.
type call struct {
	*Server
	w     http.ResponseWriter
	r     *http.Request
	body  []byte
	token *token        // of an installation; nil if the App itself asks
	in    *Installation // that the token belongs to
	repo  *repository   // that the path names
}

// handler answers a call with a status and a body: an obj, a list, raw bytes or
// nil.
type handler func(*call) (int, any)

// raw is an answer that is not JSON.
type raw struct {
	contentType string
	content     []byte
}

// route is one operation of the API. Need says which permission of an
// installation token it takes, as "contents:read"; "app" is a JWT of the App,
// "any" either, "token" any installation token.
type route struct {
	pattern string
	need    string
	handle  handler
}

func problem(status int, message string) obj {
	return obj{"message": message, "documentation_url": docs, "status": strconv.Itoa(status)}
}

func fails(status int, message string) (int, any) { return status, problem(status, message) }

func notFound() (int, any) { return fails(http.StatusNotFound, "Not Found") }

// invalid is a 422 that names a field.
func invalid(resource, field, why string) (int, any) {
	return http.StatusUnprocessableEntity, obj{
		"message": "Validation Failed", "documentation_url": docs, "status": "422",
		"errors": []obj{{"resource": resource, "field": field, "code": "invalid", "message": field + " " + why}},
	}
}

func (s *Server) routes() {
	s.mux = http.NewServeMux()
	for _, list := range [][]route{appRoutes, repositoryRoutes, checkRoutes} {
		for _, rt := range list {
			method, path, _ := strings.Cut(rt.pattern, " ")
			s.mux.HandleFunc(method+" "+apiRoot+path, func(w http.ResponseWriter, r *http.Request) {
				s.serve(rt, w, r)
			})
		}
	}
	s.mux.HandleFunc(apiRoot+"/repositories/{id}", s.byID)
	s.mux.HandleFunc(apiRoot+"/repositories/{id}/{rest...}", s.byID)
	s.mux.HandleFunc(apiRoot+"/", func(w http.ResponseWriter, r *http.Request) {
		s.write(w, r, http.StatusNotFound, problem(http.StatusNotFound, "Not Found"))
	})
	s.page = s.pageRoutes()
}

// ServeHTTP serves the API and the page. Requests that name another host are
// refused, so that a page elsewhere can't reach this server through a name of
// its own that leads here.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if !isLoopback(strings.Trim(host, "[]")) {
		http.Error(w, "this server answers on loopback only", http.StatusMisdirectedRequest)
		return
	}
	w.Header().Set("Date", s.now().Format(http.TimeFormat))
	if r.URL.Path == apiRoot || strings.HasPrefix(r.URL.Path, apiRoot+"/") {
		s.mux.ServeHTTP(w, r)
		return
	}
	s.page.ServeHTTP(w, r)
}

// byID serves /repositories/{id}/..., where renamed repositories redirect to,
// as the request of the repository's present name.
func (s *Server) byID(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	s.mu.Lock()
	repo := s.st.Repositories[id]
	var name string
	if repo != nil {
		name = repo.fullName()
	}
	s.mu.Unlock()
	if err != nil || repo == nil {
		s.write(w, r, http.StatusNotFound, problem(http.StatusNotFound, "Not Found"))
		return
	}
	again := r.Clone(r.Context())
	prefix := fmt.Sprintf("%s/repositories/%d", apiRoot, id)
	again.URL.Path = apiRoot + "/repos/" + name + strings.TrimPrefix(r.URL.Path, prefix)
	if r.URL.RawPath != "" {
		again.URL.RawPath = apiRoot + "/repos/" + name + strings.TrimPrefix(r.URL.RawPath, prefix)
	}
	s.mux.ServeHTTP(w, again)
}

// serve answers one request of a known route.
func (s *Server) serve(rt route, w http.ResponseWriter, r *http.Request) {
	s.fail(s.fault(rt.pattern), w, r, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
		if err != nil {
			s.write(w, r, http.StatusBadRequest, problem(http.StatusBadRequest, "Problems reading the body"))
			return
		}
		if r.Header.Get("User-Agent") == "" {
			s.write(w, r, http.StatusForbidden, problem(http.StatusForbidden,
				"Request forbidden by administrative rules. Please make sure your request has a User-Agent header"))
			return
		}
		status, text, kind := s.handle(rt, &call{Server: s, w: w, r: r, body: body})
		s.send(w, r, r.Header.Get("Authorization"), status, text, kind)
	})
}

func (s *Server) handle(rt route, c *call) (status int, text []byte, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status, answer := c.admit(rt)
	if status == 0 {
		status, answer = rt.handle(c)
	}
	text, kind = encode(answer)
	return status, text, kind
}

// admit authenticates the request, charges its rate limit, and finds the
// repository that it names. A status of 0 lets it pass.
func (c *call) admit(rt route) (int, any) {
	if status, answer := c.authenticate(rt.need); status != 0 {
		return status, answer
	}
	if status, answer := c.charge(rt); status != 0 {
		return status, answer
	}
	owner, name := c.r.PathValue("owner"), c.r.PathValue("repo")
	if owner == "" {
		return 0, nil
	}
	c.repo = c.st.repository(owner, name)
	if c.repo == nil {
		return c.moved(owner, name)
	}
	if c.token == nil {
		return 0, nil
	}
	if !c.token.reaches(c.in, c.repo) {
		return notFound()
	}
	permission, level, ok := strings.Cut(rt.need, ":")
	if ok && !allows(c.token.permissions[permission], level) {
		return fails(http.StatusForbidden, "Resource not accessible by integration")
	}
	if level == "write" && c.repo.Archived {
		return fails(http.StatusForbidden, "Repository was archived so is read-only.")
	}
	return 0, nil
}

// moved redirects from the old name of a repository: 301 for reads, 307 for
// writes.
func (c *call) moved(owner, name string) (int, any) {
	id := c.st.OldNames[strings.ToLower(owner+"/"+name)]
	if c.st.Repositories[id] == nil {
		return notFound()
	}
	path := strings.TrimPrefix(c.r.URL.EscapedPath(), apiRoot+"/repos/"+url.PathEscape(owner)+"/"+url.PathEscape(name))
	target := fmt.Sprintf("%s/repositories/%d%s", c.URL(), id, path)
	if c.r.URL.RawQuery != "" {
		target += "?" + c.r.URL.RawQuery
	}
	status := http.StatusTemporaryRedirect
	if c.r.Method == http.MethodGet {
		status = http.StatusMovedPermanently
	}
	c.w.Header().Set("Location", target)
	return status, obj{"message": "Moved Permanently", "url": target, "documentation_url": docs}
}

// decode reads the request's JSON. An empty body and null leave v as it is.
func (c *call) decode(v any) (int, any) {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return 0, nil
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		if _, isType := err.(*json.UnmarshalTypeError); isType { //nolint:errorlint // json returns it bare
			return invalid("Request", "body", "has a field of another type")
		}
		return fails(http.StatusBadRequest, "Problems parsing JSON")
	}
	return 0, nil
}

// write answers outside of a route: for faults and unknown paths.
func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, answer any) {
	text, kind := encode(answer)
	s.send(w, r, "", status, text, kind)
}

func encode(answer any) (text []byte, contentType string) {
	switch a := answer.(type) {
	case nil:
		return nil, ""
	case raw:
		return a.content, a.contentType
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic(fmt.Sprintf("githubtest: answer: %v", err)) // maps of plain values always marshal
	}
	return text, "application/json; charset=utf-8"
}

// send writes the answer. Successful reads carry an ETag that holds for the
// token that asked, and no other: after a refresh the same resource has a new
// one.
func (s *Server) send(w http.ResponseWriter, r *http.Request, bearer string, status int, text []byte, kind string) {
	h := w.Header()
	h.Set("X-GitHub-Request-Id", strings.ToUpper(guid()[:18]))
	if h.Get("X-RateLimit-Limit") == "" {
		s.mu.Lock()
		s.budget("").headers(h, s.opts.RateLimit)
		s.mu.Unlock()
	}
	if r.Method == http.MethodGet && status == http.StatusOK {
		sum := sha256.Sum256(append([]byte(bearer+"\x00"), text...))
		tag := `W/"` + hex.EncodeToString(sum[:]) + `"`
		h.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			s.refund(bearer, h)
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that has gone is no trouble of ours
}

// page cuts a list to the page that was asked for and links to the others.
func page[T any](c *call, list []T) []T {
	size, number := c.number("per_page", 30), c.number("page", 1)
	size = min(size, 100)
	last := max(1, (len(list)+size-1)/size)
	var links []string
	link := func(rel string, n int) {
		q := c.r.URL.Query()
		q.Set("page", strconv.Itoa(n))
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel="%s"`, c.origin, c.r.URL.EscapedPath(), q.Encode(), rel))
	}
	if number > 1 {
		link("prev", number-1)
	}
	if number < last {
		link("next", number+1)
		link("last", last)
	}
	if number > 1 {
		link("first", 1)
	}
	if len(links) > 0 {
		c.w.Header().Set("Link", strings.Join(links, ", "))
	}
	from := min((number-1)*size, len(list))
	return list[from:min(from+size, len(list))]
}

// number reads a positive number from the query.
func (c *call) number(name string, otherwise int) int {
	n, err := strconv.Atoi(c.r.URL.Query().Get(name))
	if err != nil || n < 1 {
		return otherwise
	}
	return n
}

// pathID reads a numeric part of the path; 0 is no id of anything.
func (c *call) pathID(name string) int64 {
	n, err := strconv.ParseInt(c.r.PathValue(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
