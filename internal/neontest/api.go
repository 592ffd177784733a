package neontest

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/neontwin/neontwin/internal/pglocal"
)

const basePath = "/api/v2"

// apiError is an error as Neon tells it. Codes are often empty there too.
type apiError struct {
	status        int
	code, message string
}

// Error is for callers in Go; HTTP sends the parts.
func (e *apiError) Error() string { return fmt.Sprintf("%d %s %s", e.status, e.code, e.message) }

func refuse(status int, format string, args ...any) *apiError {
	return &apiError{status: status, message: fmt.Sprintf(format, args...)}
}

// locked is Neon's own sentence.
func locked() *apiError {
	return refuse(http.StatusLocked, "project already has running conflicting operations, scheduling of new ones is prohibited")
}

// answer is a handler's result: a status and what becomes JSON, or an error.
type answer func(*http.Request) (status int, body any, err error)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]answer{
		"GET /projects/{project}":                                                s.getProject,
		"GET /projects/{project}/branches":                                       s.listBranches,
		"POST /projects/{project}/branches":                                      s.createBranch,
		"GET /projects/{project}/branches/{branch}":                              s.getBranch,
		"DELETE /projects/{project}/branches/{branch}":                           s.deleteBranch,
		"GET /projects/{project}/branches/{branch}/endpoints":                    s.listBranchEndpoints,
		"GET /projects/{project}/branches/{branch}/databases":                    s.listDatabases,
		"POST /projects/{project}/branches/{branch}/databases":                   s.createDatabase,
		"GET /projects/{project}/branches/{branch}/roles":                        s.listRoles,
		"GET /projects/{project}/branches/{branch}/roles/{role}/reveal_password": s.revealPassword,
		"GET /projects/{project}/endpoints":                                      s.listEndpoints,
		"GET /projects/{project}/endpoints/{endpoint}":                           s.getEndpoint,
		"GET /projects/{project}/connection_uri":                                 s.connectionURI,
		"GET /projects/{project}/operations":                                     s.listOperations,
		"GET /projects/{project}/operations/{operation}":                         s.getOperation,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.Handle(method+" "+basePath+path, s.serve(h))
	}
	mux.Handle("/", s.serve(func(r *http.Request) (int, any, error) {
		return 0, nil, refuse(http.StatusNotFound, "this sandbox has no %s %s", r.Method, r.URL.Path)
	}))
	return mux
}

// maxRequest bounds a request's body.
const maxRequest = 1 << 20

// serve checks the key and turns an answer into HTTP.
func (s *Server) serve(h answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-ID")
		if id == "" {
			id = newUUID()
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		var (
			status int
			body   any
			err    error
		)
		if !s.authorized(r) {
			err = refuse(http.StatusUnauthorized, "the API key is missing or not valid")
		} else {
			status, body, err = h(r)
		}
		if err != nil {
			var api *apiError
			if !errors.As(err, &api) {
				s.log.ErrorContext(r.Context(), "sandbox neon request failed", slog.String("path", r.URL.Path), slog.Any("err", err))
				api = refuse(http.StatusInternalServerError, "internal error")
			}
			status = api.status
			body = map[string]string{"request_id": id, "code": api.code, "message": api.message}
		}
		w.Header().Set("X-Request-ID", id)
		if status == http.StatusNoContent {
			w.WriteHeader(status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the client has gone
	})
}

func (s *Server) authorized(r *http.Request) bool {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(key), []byte(s.APIKey())) == 1
}

// read decodes a request's body strictly: a misspelled field is an error here,
// where Neon would ignore it. An empty body is allowed where optional is set.
func read(r *http.Request, into any, optional bool) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return refuse(http.StatusBadRequest, "the body can not be read: %v", err)
	}
	if optional && len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refuse(http.StatusBadRequest, "the body is not as described: %v", err)
	}
	return nil
}

// find gives the project that the path names, and its branch if it names one.
// s.mu is held.
func (s *Server) find(r *http.Request) (*project, *branch, error) {
	p := s.state.project(r.PathValue("project"))
	if p == nil {
		return nil, nil, refuse(http.StatusNotFound, "project not found")
	}
	id := r.PathValue("branch")
	if id == "" {
		return p, nil, nil
	}
	b := p.branch(id)
	if b == nil {
		return nil, nil, refuse(http.StatusNotFound, "branch not found")
	}
	return p, b, nil
}

// server gives a branch and the PostgreSQL behind it, for the answers that are
// read live.
func (s *Server) server(r *http.Request) (*branch, *pglocal.Cluster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, b, err := s.find(r)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.cluster(b)
	return b, c, err
}

// cluster gives the PostgreSQL of a branch. s.mu is held.
func (s *Server) cluster(b *branch) (*pglocal.Cluster, error) {
	c := s.clusters[b.ID]
	if c == nil || b.State != ready {
		return nil, refuse(http.StatusUnprocessableEntity, "branch not ready yet")
	}
	return c, nil
}
