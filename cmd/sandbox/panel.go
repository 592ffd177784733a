package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/githubtest"
)

// panel shows, beside the pull requests, what is in production and in the Twin.
type panel struct {
	twin       string // address of the Twin
	production *pgxpool.Pool

	mu       sync.Mutex
	troubles []string
}

func newPanel(ctx context.Context, w *world) (*panel, error) {
	twin, err := w.twinURL(ctx)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.New(ctx, w.production.URL(database))
	if err != nil {
		return nil, err
	}
	return &panel{twin: twin, production: pool}, nil
}

func (p *panel) close() { p.production.Close() }

// trouble notes something that the reader should know.
func (p *panel) trouble(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.troubles = append(p.troubles, text)
}

func (p *panel) show(ctx context.Context, _ string) []githubtest.Panel {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	production := githubtest.Panel{Title: "Production", Note: "A PostgreSQL of its own. The service reads it with a role that can't write."}
	if f, err := read(ctx, p.production); err == nil {
		production.Rows = f.rows()
	}
	twin := githubtest.Panel{Title: "Neon Twin / " + twinName, Rows: [][2]string{{"Connect", "psql '" + p.twin + "'"}}}
	conn, err := pgx.Connect(ctx, p.twin)
	if err != nil {
		twin.Note = "Not there yet: the first merge makes it."
	} else {
		defer conn.Close(ctx)
		if f, err := read(ctx, conn); err == nil {
			twin.Rows = append(twin.Rows, f.rows()...)
		}
		var at time.Time
		var commit string
		if err := conn.QueryRow(ctx, "SELECT snapshot_at, commit_sha FROM neontwin.generation").Scan(&at, &commit); err == nil {
			twin.Rows = append(twin.Rows,
				[2]string{"Production as of", fmt.Sprintf("%s, %s ago", at.UTC().Format("15:04:05 UTC"), time.Since(at).Round(time.Second))},
				[2]string{"Commit", commit[:min(7, len(commit))]})
		}
		twin.Note = "Break it as you like: the next merge makes it new."
	}
	panels := []githubtest.Panel{twin, production}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.troubles {
		panels = append(panels, githubtest.Panel{Title: "Trouble", Note: t})
	}
	return panels
}

// facts are what can be seen at a glance to be the same.
type facts struct {
	Migration         string
	Tables, Customers int
}

// querier is a pool or a connection.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func read(ctx context.Context, q querier) (f facts, err error) {
	err = q.QueryRow(ctx, `SELECT (SELECT max(version) FROM schema_migrations), (SELECT count(*) FROM customers),
		(SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'billing'))`).
		Scan(&f.Migration, &f.Customers, &f.Tables)
	return f, err
}

func (f facts) rows() [][2]string {
	return [][2]string{
		{"Newest migration", f.Migration}, {"Tables", fmt.Sprint(f.Tables)}, {"Customers", fmt.Sprint(f.Customers)},
	}
}

// decode reads a JSON answer that must be a success.
func decode(res *http.Response, v any) error {
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return json.NewDecoder(res.Body).Decode(v)
}
