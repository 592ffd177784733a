package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/neontwin/neontwin/internal/pglocal"
)

// connections is how many the service has to its database; bare inserts get as
// many.
const connections = 20

// bench is a PostgreSQL that waits for its disk, a database with the service's
// tables and River's, and the built server.
type bench struct {
	options
	log     io.Writer
	cluster *pglocal.Cluster
	pool    *pgxpool.Pool
	binary  string
	secret  string
	key     string // an App's, which nobody asks for
	client  *http.Client
}

const database = "webhooks"

func open(ctx context.Context, o options, log io.Writer) (b *bench, err error) {
	if o.cache, err = filepath.Abs(o.cache); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return nil, err
	}
	secret := make([]byte, 20)
	_, _ = rand.Read(secret) // never fails
	b = &bench{options: o, log: log, binary: filepath.Join(o.cache, "server"), secret: hex.EncodeToString(secret)}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	b.key = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	b.client = &http.Client{Timeout: 15 * time.Second}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close(context.WithoutCancel(ctx)))
		}
	}()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "github.com/neontwin/neontwin/cmd/server").CombinedOutput(); err != nil {
		return b, fmt.Errorf("build server: %w\n%s", err, out)
	}
	if b.cluster, err = pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(o.cache, "postgres")}); err != nil {
		return b, err
	}
	conn, err := pgx.Connect(ctx, b.cluster.URL("postgres"))
	if err != nil {
		return b, err
	}
	defer conn.Close(ctx)
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + database + " WITH (FORCE)", "CREATE DATABASE " + database} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return b, err
		}
	}
	migrate := exec.CommandContext(ctx, b.binary, "migrate")
	migrate.Env = []string{"DATABASE_URL=" + b.cluster.URL(database)}
	if out, err := migrate.CombinedOutput(); err != nil {
		return b, fmt.Errorf("migrate: %w\n%s", err, out)
	}
	cfg, err := pgxpool.ParseConfig(b.cluster.URL(database))
	if err != nil {
		return b, err
	}
	cfg.MaxConns = connections
	b.pool, err = pgxpool.NewWithConfig(ctx, cfg)
	return b, err
}

func (b *bench) close(ctx context.Context) error {
	if b.pool != nil {
		b.pool.Close()
	}
	if b.cluster == nil {
		return nil
	}
	return b.cluster.Stop(ctx)
}

// settle empties the tables and writes them out, so that each measurement
// begins with the same database.
func (b *bench) settle(ctx context.Context) error {
	for _, sql := range []string{
		"TRUNCATE webhook_delivery, river.river_job", "CHECKPOINT",
	} {
		if _, err := b.pool.Exec(ctx, sql); err != nil {
			return fmt.Errorf("settle: %w", err)
		}
	}
	return nil
}

// server is a process that takes webhooks and works on none.
type server struct {
	*exec.Cmd
	addr  string
	wires chan *wire // those that nobody uses
	log   *os.File
}

func (b *bench) serve(ctx context.Context) (*server, error) {
	port, err := pglocal.FreePort()
	if err != nil {
		return nil, err
	}
	admin, err := pglocal.FreePort()
	if err != nil {
		return nil, err
	}
	s := &server{Cmd: exec.CommandContext(ctx, b.binary, "serve", "--role", "web"), addr: fmt.Sprintf("127.0.0.1:%d", port), wires: make(chan *wire, b.clients)}
	if s.log, err = os.Create(filepath.Join(b.cache, "server.log")); err != nil {
		return nil, err
	}
	s.Env = []string{
		"DATABASE_URL=" + b.cluster.URL(database), "GITHUB_WEBHOOK_SECRET=" + b.secret, "GITHUB_APP_ID=1", "GITHUB_PRIVATE_KEY=" + b.key,
		fmt.Sprintf("LISTEN_ADDR=127.0.0.1:%d", port), fmt.Sprintf("ADMIN_ADDR=127.0.0.1:%d", admin), fmt.Sprintf("PUBLIC_URL=http://127.0.0.1:%d", port),
	}
	s.Stdout, s.Stderr = s.log, s.log
	if err := s.Start(); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", admin), nil)
		if err != nil {
			return nil, err
		}
		res, err := b.client.Do(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			s.kill()
			text, _ := os.ReadFile(s.log.Name())
			return nil, fmt.Errorf("the server is not ready: %s", strings.TrimSpace(string(text)))
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// kill is kill -9.
func (s *server) kill() {
	_ = s.Process.Kill()
	_ = s.Wait()
	_ = s.log.Close()
	for len(s.wires) > 0 {
		_ = (<-s.wires).Close()
	}
}
