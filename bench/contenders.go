package main

import (
	"context"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
)

// contender is one way to copy a database.
type contender struct {
	name string
	// missing says why it can't run here; empty where it can.
	missing string
	// keeps are the rows of each table that its copy must have; nil is all.
	keeps map[string]int64
	// pipelines are its commands for one copy.
	pipelines func(from, to endpoint, staging string) []pipeline
	// before and inside are of what is measured in this process instead: what
	// comes before the time runs, and the copy itself.
	before func(from, to endpoint, staging string) []pipeline
	inside func(ctx context.Context, from, to string) error
}

// The contenders' names, where the report asks for one.
const (
	oursName       = "twin sync"
	documentedName = "pg_dump -Fc, pg_restore --clean"
	parallelName   = "pg_dump -Fd -j2 -Z0, pg_restore -j2"
	zippedName     = "pg_dump -Fd -j2, pg_restore -j2"
	pipeName       = "pg_dump | psql"
	pgcopydbName   = "pgcopydb clone, 2 table and 2 index jobs"
	pgcopydb4Name  = "pgcopydb clone, 4 and 4 jobs, split at 100 MB"
)

// endpoint is a database as PostgreSQL's programs are told of it.
type endpoint struct{ address string }

// env are libpq's variables: no password in an argument.
func (e endpoint) env() []string {
	u, err := url.Parse(e.address)
	if err != nil {
		return nil // not an address of ours
	}
	password, _ := u.User.Password()
	return []string{
		"PGHOST=" + u.Hostname(), "PGPORT=" + u.Port(), "PGUSER=" + u.User.Username(),
		"PGPASSWORD=" + password, "PGDATABASE=" + u.Path[1:], "PGSSLMODE=disable",
	}
}

// contenders are all of them, ours first.
func (b *bench) contenders() []contender {
	bin := b.target.Bin()
	tool := func(e endpoint, name string, args ...string) command {
		return command{program: filepath.Join(bin, name), args: args, env: e.env()}
	}
	directory := func(name string, compression ...string) contender {
		return contender{name: name, pipelines: func(from, to endpoint, staging string) []pipeline {
			dump := filepath.Join(staging, "dump")
			args := append([]string{"-Fd", "-j2", "-f", dump}, compression...)
			return []pipeline{
				{tool(from, "pg_dump", args...)},
				{tool(to, "pg_restore", "-j2", "--no-owner", "--no-acl", "-d", twinDatabase, dump)},
			}
		}}
	}
	list := []contender{
		b.ours(),
		{name: documentedName, pipelines: func(from, to endpoint, staging string) []pipeline {
			dump := filepath.Join(staging, "dump")
			return []pipeline{
				{tool(from, "pg_dump", "-Fc", "-f", dump)},
				{tool(to, "pg_restore", "--clean", "--if-exists", "--no-owner", "--no-acl", "-d", twinDatabase, dump)},
			}
		}},
		{name: pipeName, pipelines: func(from, to endpoint, _ string) []pipeline {
			return []pipeline{{tool(from, "pg_dump", "--no-owner", "--no-acl"), tool(to, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null")}}
		}},
		directory(parallelName, "-Z0"),
		directory(zippedName),
		pgcopydb(pgcopydbName, 2),
		pgcopydb(pgcopydb4Name, 4, "--split-tables-larger-than", "100 MB"),
	}
	if b.only == nil {
		return list
	}
	kept := list[:1]
	for _, c := range list[1:] {
		if b.only.MatchString(c.name) {
			kept = append(kept, c)
		}
	}
	return kept
}

// ours is a whole sync as the command line does it: it verifies and publishes.
func (b *bench) ours(more ...string) contender {
	return contender{name: oursName, pipelines: func(from, to endpoint, _ string) []pipeline {
		args := append([]string{"sync", "--json"}, more...)
		if b.jobs > 0 {
			args = append(args, "--jobs", strconv.Itoa(b.jobs))
		}
		env := []string{"NEONTWIN_SOURCE_URL=" + from.address, "NEONTWIN_TARGET_URL=" + to.address}
		return []pipeline{{{program: b.twin, args: args, env: env}}}
	}}
}

func pgcopydb(name string, jobs int, more ...string) contender {
	c := contender{name: name, pipelines: func(from, to endpoint, staging string) []pipeline {
		n := strconv.Itoa(jobs)
		args := append([]string{
			"clone", "--table-jobs", n, "--index-jobs", n,
			"--dir", filepath.Join(staging, "pgcopydb"), "--no-owner", "--no-acl",
		}, more...)
		env := []string{"PGCOPYDB_SOURCE_PGURI=" + from.address, "PGCOPYDB_TARGET_PGURI=" + to.address}
		return []pipeline{{{program: "pgcopydb", args: args, env: env}}}
	}}
	if _, err := exec.LookPath("pgcopydb"); err != nil {
		c.missing = "pgcopydb is not installed"
	}
	return c
}
