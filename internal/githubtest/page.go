package githubtest

import (
	"bytes"
	"context"
	"crypto/subtle"
	"embed"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page
var pageFiles embed.FS

// pages are the templates; they are parsed at the start of the program, so that
// a mistake in one fails every test.
var pages = template.Must(template.ParseFS(pageFiles, "page/*.html"))

// pageRoutes serves the page. It lives on a mux of its own: /{owner}/{repo}
// would clash with the API's paths.
func (s *Server) pageRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.showHome)
	mux.HandleFunc("GET /assets/{file}", showAsset)
	mux.HandleFunc("GET /{owner}/{repo}", s.showRepository)
	mux.HandleFunc("GET /{owner}/{repo}/{kind}/{id...}", s.showPart)
	mux.HandleFunc("POST /{owner}/{repo}/merge", s.form(func(name string, r *http.Request) error {
		n, err := strconv.Atoi(r.PostFormValue("number"))
		if err != nil {
			return fmt.Errorf("read number of the pull request: %w", err)
		}
		_, err = s.Merge(name, n, Merge{Method: Method(r.PostFormValue("method"))})
		return err
	}))
	mux.HandleFunc("POST /{owner}/{repo}/propose", s.form(func(name string, _ *http.Request) error {
		_, err := s.Propose(name)
		return err
	}))
	mux.HandleFunc("POST /{owner}/{repo}/rerun", s.form(func(name string, r *http.Request) error {
		id, err := strconv.ParseInt(r.PostFormValue("run"), 10, 64)
		if err != nil {
			return fmt.Errorf("read id of the check run: %w", err)
		}
		if button := r.PostFormValue("button"); button != "" {
			return s.PressButton(name, id, button)
		}
		return s.Rerun(name, id)
	}))
	return http.NewCrossOriginProtection().Handler(mux)
}

// Propose opens the next pull request of Options.Propose.
func (s *Server) Propose(fullName string) (PullRequest, error) {
	if s.opts.Propose == nil {
		return PullRequest{}, fmt.Errorf("propose a change to %s: nothing to propose", fullName)
	}
	s.mu.Lock()
	r, err := s.st.named(fullName)
	n := 1
	if err == nil {
		n = len(r.Pulls) + 1
	}
	s.mu.Unlock()
	if err != nil {
		return PullRequest{}, err
	}
	title, files := s.opts.Propose(n)
	return s.OpenPullRequest(NewPullRequest{Repository: fullName, Title: title, Files: files})
}

// form runs an act that a button asks for and leads back to the page. The
// browser's word on the origin is checked before; the token proves that the
// form came from this server.
func (s *Server) form(act func(fullName string, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if subtle.ConstantTimeCompare([]byte(r.PostFormValue("token")), []byte(s.formKey)) != 1 {
			http.Error(w, "this form is not from this server; reload the page", http.StatusForbidden)
			return
		}
		name := r.PathValue("owner") + "/" + r.PathValue("repo")
		if err := act(name, r); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		http.Redirect(w, r, "/"+name, http.StatusSeeOther)
	}
}

func showAsset(w http.ResponseWriter, r *http.Request) {
	types := map[string]string{"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8"}
	kind := types[r.PathValue("file")]
	raw, err := pageFiles.ReadFile("page/" + r.PathValue("file"))
	if kind == "" || err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(raw)
}

// showPart leads the addresses that the API hands out (a pull request, a check
// run, a commit) to their place on the repository's page.
func (s *Server) showPart(w http.ResponseWriter, r *http.Request) {
	to := "/" + r.PathValue("owner") + "/" + r.PathValue("repo")
	switch r.PathValue("kind") {
	case "pull":
		to += "#pull-" + r.PathValue("id")
	case "runs":
		to += "#run-" + r.PathValue("id")
	case "commit", "tree", "blob":
	default:
		http.NotFound(w, r)
		return
	}
	http.Redirect(w, r, to, http.StatusFound)
}

type homeView struct{ Repositories []repositoryLine }

type repositoryLine struct {
	FullName     string
	Open, Merged int
}

func (s *Server) showHome(w http.ResponseWriter, r *http.Request) {
	var v homeView
	s.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(s.st.Repositories)) {
		repo := s.st.Repositories[id]
		line := repositoryLine{FullName: repo.fullName()}
		for _, p := range repo.Pulls {
			switch {
			case p.State == "open":
				line.Open++
			case p.Merged:
				line.Merged++
			}
		}
		v.Repositories = append(v.Repositories, line)
	}
	s.mu.Unlock()
	s.render(w, r, "home.html", v)
}

func (s *Server) showRepository(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	repo := s.st.repository(r.PathValue("owner"), r.PathValue("repo"))
	var v repositoryView
	if repo != nil {
		v = s.repositoryView(repo)
	}
	s.mu.Unlock()
	if repo == nil {
		http.NotFound(w, r)
		return
	}
	if s.opts.Panel != nil {
		ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
		defer cancel()
		v.Panels = s.opts.Panel(ctx, v.FullName)
	}
	if r.URL.Query().Has("live") {
		s.render(w, r, "live", v)
		return
	}
	s.render(w, r, "repository.html", v)
}

func (s *Server) render(w http.ResponseWriter, r *http.Request, name string, v any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		s.log.ErrorContext(r.Context(), "page not rendered", "page", name, "err", err)
		http.Error(w, "the page could not be rendered", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "+
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: with that, browsers send the page's own forms with an
	// origin of "null".
	h.Set("Referrer-Policy", "same-origin")
	_, _ = w.Write(b.Bytes())
}

func short(sha string) string {
	return sha[:min(len(sha), 7)]
}

// plural counts things in words.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
