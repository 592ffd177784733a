package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// machine is what the figures are true of.
type machine struct {
	Date      time.Time     `json:"date"`
	Version   string        `json:"version"` // of the checkout
	CPU       string        `json:"cpu"`
	Cores     int           `json:"cores"`
	Memory    int64         `json:"memory"`
	System    string        `json:"system"`
	Postgres  string        `json:"postgres"`
	Pgcopydb  string        `json:"pgcopydb,omitempty"`
	Settings  []string      `json:"settings"`
	RoundTrip time.Duration `json:"round_trip"`
	Jobs      int           `json:"jobs"` // 0 for the sync's default
	Runs      int           `json:"runs"`
	FarRuns   int           `json:"far_runs"`
	// The database that is copied.
	Scale       float64 `json:"scale"`
	Bytes       int64   `json:"bytes"`
	Rows        int64   `json:"rows"`
	Tables      int     `json:"tables"`
	Indexes     int     `json:"indexes"`
	ForeignKeys int     `json:"foreign_keys"`
}

func (b *bench) describe(ctx context.Context, database string) (machine, error) {
	m := machine{
		Date: time.Now().UTC(), Cores: runtime.NumCPU(), System: first("/proc/sys/kernel/osrelease", ""),
		CPU: first("/proc/cpuinfo", "model name"), RoundTrip: b.roundTrip, Jobs: b.jobs, Runs: b.runs, FarRuns: b.far, Scale: b.scale,
	}
	kb, _ := strconv.ParseInt(strings.TrimSuffix(first("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	m.Memory = kb << 10
	for name, setting := range serverSettings() {
		m.Settings = append(m.Settings, name+" = "+setting)
	}
	slices.Sort(m.Settings)
	// Without git there is no version to tell; the figures are true all the same.
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		m.Version = strings.TrimSpace(string(out))
	}
	if out, err := exec.CommandContext(ctx, "pgcopydb", "--version").Output(); err == nil {
		line, _, _ := strings.Cut(string(out), "\n")
		m.Pgcopydb = strings.TrimPrefix(line, "pgcopydb version ")
	}
	url := b.source.URL(database)
	if err := value(ctx, url, "SELECT current_setting('server_version')", &m.Postgres); err != nil {
		return m, err
	}
	if err := value(ctx, url, "SELECT pg_database_size(current_database())", &m.Bytes); err != nil {
		return m, err
	}
	c, err := count(ctx, url)
	if err != nil {
		return m, fmt.Errorf("count the source: %w", err)
	}
	b.counted[database] = c
	m.Tables, m.Indexes, m.ForeignKeys = len(c.rows), c.indexes, c.foreignKeys
	for _, n := range c.rows {
		m.Rows += n
	}
	return m, nil
}

// first is the value of the first line of a file that has the key, or the
// first line itself.
func first(path, key string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key == "" {
			return strings.TrimSpace(line)
		}
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
