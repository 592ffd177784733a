package neontest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/pglocal"
)

// owner is the role that Neon makes in a new project, and neondb its database.
const (
	owner     = "neondb_owner"
	superRole = "neon_superuser"
	firstDB   = "neondb"
)

func (s *Server) branchDir(id string) string { return filepath.Join(s.dir, "branches", id) }

// startCluster starts a branch's server, or adopts the one that a killed
// process left running.
func (s *Server) startCluster(ctx context.Context, id string) (*pglocal.Cluster, error) {
	parent := filepath.Dir(s.branchDir(id))
	if err := os.MkdirAll(parent, 0o711); err != nil { // PostgreSQL's user must pass
		return nil, err
	}
	return pglocal.Start(ctx, pglocal.Options{Dir: s.branchDir(id), Bin: s.bin, Volatile: true})
}

// createRoot makes a branch out of nothing: a cluster with Neon's roles.
func (s *Server) createRoot(ctx context.Context, b *branch) error {
	c, err := s.startCluster(ctx, b.ID)
	if err != nil {
		return err
	}
	if err := furnish(ctx, c, b.Passwords[owner]); err != nil {
		return fmt.Errorf("make the roles of branch %s: %w", b.ID, err)
	}
	s.adopt(b, c, "")
	return nil
}

// furnish makes what a new Neon project has: a group with almost all rights,
// and in it the owner of the first database. Attributes are not inherited
// from the group, so the owner has them too, but is no superuser.
func furnish(ctx context.Context, c *pglocal.Cluster, password string) error {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	const rights = " CREATEDB CREATEROLE BYPASSRLS REPLICATION "
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", owner).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		// One transaction: all or nothing is left by a kill.
		sql := "BEGIN; CREATE ROLE " + superRole + " NOLOGIN" + rights + ";" +
			"GRANT pg_read_all_data, pg_write_all_data, pg_signal_backend TO " + superRole + ";" +
			"CREATE ROLE " + owner + " LOGIN" + rights + "IN ROLE " + superRole + " PASSWORD " + quote(password) + "; COMMIT"
		if _, err := conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
	}
	return createDatabase(ctx, c, firstDB, owner)
}

// createChild copies the parent's present data into a server of its own.
func (s *Server) createChild(ctx context.Context, b *branch, parent *pglocal.Cluster) error {
	var lsn string
	err := query(ctx, parent, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&lsn)
	})
	if err != nil {
		return fmt.Errorf("read the parent's position: %w", err)
	}
	if err := s.copyData(ctx, b.ID, parent); err != nil {
		return err
	}
	c, err := s.startCluster(ctx, b.ID)
	if err != nil {
		return err
	}
	// They differ from the parent's where that is protected.
	err = query(ctx, c, func(conn *pgx.Conn) error {
		for role, password := range b.Passwords {
			sql := "ALTER ROLE " + pgx.Identifier{role}.Sanitize() + " PASSWORD " + quote(password)
			if _, err := conn.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set the passwords of branch %s: %w", b.ID, err)
	}
	s.adopt(b, c, lsn)
	return nil
}

// copyData fills a branch's folder by pg_basebackup, unless that has been done.
func (s *Server) copyData(ctx context.Context, id string, parent *pglocal.Cluster) error {
	dir := s.branchDir(id)
	data := filepath.Join(dir, "data")
	if _, err := os.Stat(data); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// A copy that a killed process had begun may go on for a while, so each has
	// a folder of its own.
	half, err := os.MkdirTemp(dir, "half-")
	if err != nil {
		return err
	}
	// The copy has the parent's superuser with the parent's password.
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(parent.Password()+"\n"), 0o600); err != nil {
		return err
	}
	where := fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=postgres sslmode=disable", parent.Port(), pglocal.Superuser)
	cmd := exec.CommandContext(ctx, filepath.Join(parent.Bin(), "pg_basebackup"), "--dbname", where, "--pgdata", half,
		"--wal-method", "stream", "--checkpoint", "fast", "--no-sync", "--no-manifest", "--no-password")
	cmd.Dir = dir
	if err := pglocal.Unprivileged(cmd); err != nil {
		return err
	}
	if c := cmd.SysProcAttr.Credential; c != nil {
		for _, folder := range []string{dir, half} {
			if err := os.Chown(folder, int(c.Uid), int(c.Gid)); err != nil {
				return err
			}
		}
	}
	cmd.Env = append(cmd.Environ(), "PGPASSWORD="+parent.Password())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copy the parent of branch %s: %w\n%s", id, err, out)
	}
	return os.Rename(half, data)
}

// adopt makes a branch ready on its server.
func (s *Server) adopt(b *branch, c *pglocal.Cluster, lsn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clusters[b.ID] = c
	b.State, b.ParentLSN, b.UpdatedAt = ready, lsn, time.Now().UTC()
}

// removeBranch deletes a branch's server and all its data.
func (s *Server) removeBranch(ctx context.Context, id string, c *pglocal.Cluster) error {
	if _, err := os.Stat(filepath.Join(s.branchDir(id), "data")); c == nil && err == nil {
		// A killed process may have left it running: take it over to end it.
		if c, err = s.startCluster(ctx, id); err != nil {
			return err
		}
	}
	if c == nil {
		return os.RemoveAll(s.branchDir(id))
	}
	if err := c.Remove(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clusters, id)
	return nil
}

// query runs f on a connection as superuser.
func query(ctx context.Context, c *pglocal.Cluster, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return f(conn)
}

func createDatabase(ctx context.Context, c *pglocal.Cluster, name, role string) error {
	return query(ctx, c, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" OWNER "+pgx.Identifier{role}.Sanitize())
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "42P04" {
			return nil // made before a kill
		}
		return err
	})
}

type liveDatabase struct {
	OID         int64
	Name, Owner string
}

// liveDatabases are those that a user of Neon sees.
func liveDatabases(ctx context.Context, c *pglocal.Cluster) (all []liveDatabase, err error) {
	err = query(ctx, c, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT d.oid::bigint, datname, rolname FROM pg_database d JOIN pg_roles r ON r.oid = datdba
			WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY d.oid`)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[liveDatabase])
		return err
	})
	return all, err
}

// liveRoles are those that a user of Neon sees: no superuser and no group of
// PostgreSQL's or Neon's.
func liveRoles(ctx context.Context, c *pglocal.Cluster) (all []string, err error) {
	err = query(ctx, c, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT rolname FROM pg_roles
			WHERE NOT rolsuper AND rolname !~ '^pg_' AND rolname <> $1 ORDER BY oid`, superRole)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return all, err
}

// quote makes an SQL literal of a string without backslashes.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
