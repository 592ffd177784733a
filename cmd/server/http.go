package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/neontwin/neontwin/internal/config"
	"github.com/neontwin/neontwin/internal/web"
	"github.com/neontwin/neontwin/internal/webhook"
)

// servers are the two listeners: the public one, and the one for machines of
// the operator's.
type servers struct {
	public, admin                 *http.Server
	publicListener, adminListener net.Listener
	log                           *slog.Logger
}

// listen binds the addresses. A worker has no public one.
func (s *service) listen(ctx context.Context) (*servers, error) {
	var lc net.ListenConfig
	out := &servers{log: s.log}
	admin, err := lc.Listen(ctx, "tcp", s.cfg.AdminAddr)
	if err != nil {
		return nil, err
	}
	out.adminListener, out.admin = admin, s.newServer(s.adminRoutes())
	if s.role == config.RoleWorker {
		return out, nil
	}
	routes, err := s.publicRoutes()
	if err == nil {
		out.publicListener, err = lc.Listen(ctx, "tcp", s.cfg.ListenAddr)
	}
	if err != nil {
		return nil, errors.Join(err, admin.Close())
	}
	out.public = s.newServer(routes)
	out.public.WriteTimeout = 30 * time.Second // whoever reads slowly holds nothing for long
	return out, nil
}

func (s *service) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// publicRoutes are what the internet may reach.
func (s *service) publicRoutes() (http.Handler, error) {
	secrets := [][]byte{[]byte(s.cfg.GitHub.WebhookSecret.Reveal())}
	if previous := s.cfg.GitHub.WebhookSecretPrevious; !previous.IsZero() {
		secrets = append(secrets, []byte(previous.Reveal()))
	}
	hooks, err := webhook.NewHandler(secrets, s.inbox, s.log, s.metrics.webhook)
	if err != nil {
		return nil, err
	}
	r := chi.NewRouter()
	r.Handle("/webhooks/github", hooks)
	s.healthRoutes(r)
	r.Mount("/", web.New(locatedRuns{s.store, branches(s.cfg)}, s.log))
	return r, nil
}

func (s *service) adminRoutes() http.Handler {
	r := chi.NewRouter()
	s.healthRoutes(r)
	r.Handle("/metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
	}))
	// A profile shows the memory of a process that holds secrets: it is for
	// somebody on this machine, wherever the listener is bound.
	r.Route("/debug/pprof", func(r chi.Router) {
		r.Use(loopbackOnly)
		r.HandleFunc("/", pprof.Index)
		r.HandleFunc("/cmdline", pprof.Cmdline)
		r.HandleFunc("/profile", pprof.Profile)
		r.HandleFunc("/symbol", pprof.Symbol)
		r.HandleFunc("/trace", pprof.Trace)
		r.HandleFunc("/{profile}", pprof.Index)
	})
	return r
}

func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil || !isLoopback(host) {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *service) healthRoutes(r chi.Router) {
	r.Get("/livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive") })
	r.Get("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if reason := s.health.unready(r.Context()); reason != "" {
			answer(w, http.StatusServiceUnavailable, reason)
			return
		}
		answer(w, http.StatusOK, "ready")
	})
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // who asked may be gone
}

func (s *servers) publicAddr() string {
	if s.publicListener == nil {
		return ""
	}
	return s.publicListener.Addr().String()
}

func (s *servers) adminAddr() string { return s.adminListener.Addr().String() }

// serve answers on all listeners, and tells of one that fails.
func (s *servers) serve(failed func(error)) {
	start := func(server *http.Server, l net.Listener) {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed(err)
		}
	}
	go start(s.admin, s.adminListener)
	if s.public != nil {
		go start(s.public, s.publicListener)
	}
}

// stop lets requests end, for some seconds.
func (s *servers) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, server := range []*http.Server{s.public, s.admin} {
		if server == nil {
			continue
		}
		if err := server.Shutdown(ctx); err != nil {
			s.log.WarnContext(ctx, "requests were cut off", slog.Any("err", err))
		}
	}
}

// health is what /readyz tells. Its answers hold no detail: anybody may ask.
type health struct {
	pool     *pgxpool.Pool
	log      *slog.Logger
	current  atomic.Bool // the schema is up to date and work has been taken up
	draining atomic.Bool
}

func (h *health) ready() { h.current.Store(true) }
func (h *health) drain() { h.draining.Store(true) }

// unready gives the reason why this process should get no requests.
func (h *health) unready(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	switch {
	case h.draining.Load():
		return "stopping"
	case h.pool.Ping(ctx) != nil:
		return "the control database does not answer"
	case !h.current.Load():
		return "the control database is not up to date"
	}
	return ""
}
