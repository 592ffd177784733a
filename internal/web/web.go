// Package web serves the pages that people open in a browser: the page of a
// run, at an address that can't be guessed. It shows what the run's check run
// shows and the whole of its lists. There is no secret on it.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/neontwin/neontwin/internal/store"
	"github.com/neontwin/neontwin/internal/twin"
)

// Runs is where pages come from: the store.
type Runs interface {
	// RunByPageKey reads the run whose page has this key, the places it is
	// reported to, and what happened to it, oldest first. Where there is no
	// such run, the error is store.ErrNotFound.
	RunByPageKey(ctx context.Context, key string) (twin.Run, []store.Publication, []store.Event, error)
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// New makes the handler of all pages, to be mounted at the root of the public
// address: GET / and GET /runs/{key}.
func New(runs Runs, log *slog.Logger) http.Handler { return newAt(runs, log, time.Now) }

// newAt is New with a clock.
func newAt(runs Runs, log *slog.Logger, now func() time.Time) http.Handler {
	s := &server{
		runs: runs, log: log, now: now,
		pages: template.Must(template.New("").Funcs(template.FuncMap{"count": twin.HumanCount}).Parse(pageHTML)),
	}
	r := chi.NewRouter()
	r.Use(headers)
	r.NotFound(s.notFound)
	r.Get("/", s.root)
	r.Head("/", s.root)
	r.Get("/runs/{key}", s.run)
	r.Head("/runs/{key}", s.run)
	return r
}

type server struct {
	runs  Runs
	log   *slog.Logger
	now   func() time.Time
	pages *template.Template
}

// headers lets a page load nothing, be framed by nobody, be stored nowhere,
// and tell no other site its address. The page's own style and script are
// allowed by their hashes.
func headers(next http.Handler) http.Handler {
	policy := "default-src 'none'; style-src " + hash(pageCSS) + "; script-src " + hash(pageJS) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// hash is what a content security policy calls the source of an inline element.
func hash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// wellFormed holds for every key that a run can have, and for keys that the
// database can take without an error.
var wellFormed = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func (s *server) run(w http.ResponseWriter, r *http.Request) {
	key := chi.URLParam(r, "key")
	if !wellFormed.MatchString(key) {
		// Looked up all the same, so that a malformed key takes as long as a
		// wrong one. No run has this key.
		key = "-"
	}
	run, places, events, err := s.runs.RunByPageKey(r.Context(), key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.notFound(w, r)
	case err != nil:
		// The key opens the page, so it stays out of the log.
		s.log.ErrorContext(r.Context(), "read run for its page", "err", err)
		s.message(w, r, http.StatusServiceUnavailable, "Not available just now",
			"The run can't be read at the moment. The sync itself goes on. Try again in a minute.")
	default:
		s.render(w, r, http.StatusOK, "run", newView(run, places, events, s.now()))
	}
}

func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	s.message(w, r, http.StatusNotFound, "Not found",
		"There is no such page. The address of a run's page stands on its check run.")
}

func (s *server) root(w http.ResponseWriter, r *http.Request) {
	s.message(w, r, http.StatusOK, "Neon Twin",
		"A Twin is a copy of a production database that developers may break. This service keeps Twins in sync: "+
			"when a pull request is merged, it copies, verifies, and then publishes in one step.",
		"How a sync goes is told by the check “Neon Twin” on the pull request. Its details link leads to the run's page.")
}

func (s *server) message(w http.ResponseWriter, r *http.Request, status int, title string, paragraphs ...string) {
	s.render(w, r, status, "message", struct {
		Title      string
		Paragraphs []string
		CSS        template.CSS
	}{title, paragraphs, css()})
}

// render answers with a page, or, since it is made before it is sent, with a
// clean error.
func (s *server) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, data); err != nil {
		s.log.ErrorContext(r.Context(), "render page", "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := w.Write(b.Bytes()); err != nil {
		s.log.DebugContext(r.Context(), "send page", "err", err)
	}
}

// css and js are verbatim what headers allows by hash.
func css() template.CSS { return template.CSS(pageCSS) } //nolint:gosec // our own file, embedded

func js() template.JS { return template.JS(pageJS) } //nolint:gosec // our own file, embedded
