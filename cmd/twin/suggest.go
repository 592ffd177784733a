package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/twin"
)

type suggestCommand struct {
	Source  string   `help:"Address of the source. Better given as NEONTWIN_SOURCE_URL. A role that may only read is enough." placeholder:"URL"`
	Out     string   `help:"Write the file here instead of to standard output." placeholder:"PATH"`
	Force   bool     `help:"Replace the file that is there."`
	Schema  []string `help:"Look only at the tables of this schema. May be repeated." placeholder:"NAME"`
	Exclude []string `help:"Leave out tables, as in public.log_*. May be repeated." placeholder:"PATTERN"`
}

// check finds everything that is wrong, at once. It repeats no address.
func (c suggestCommand) check() error {
	var wrong []error
	switch u, err := url.Parse(c.Source); {
	case c.Source == "":
		wrong = append(wrong, errors.New("no source: set NEONTWIN_SOURCE_URL, or give --source"))
	case err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql":
		wrong = append(wrong, errors.New("the source's address is not a postgres:// URL: write postgres://user:password@host:5432/database"))
	}
	for _, pattern := range c.Exclude {
		if _, err := catalog.ParsePattern(pattern, 2); err != nil {
			wrong = append(wrong, fmt.Errorf("--exclude %s: %w", pattern, err))
		}
	}
	if _, err := os.Lstat(c.Out); c.Out != "" && !c.Force && err == nil {
		wrong = append(wrong, fmt.Errorf("--out %s is there already: choose another name, or replace it with --force", c.Out))
	}
	return errors.Join(wrong...)
}

// suggest looks at the source and writes what a person then reviews.
func (p program) suggest(ctx context.Context, c suggestCommand, getenv func(string) string) int {
	c.Source = cmp.Or(c.Source, getenv("NEONTWIN_SOURCE_URL"))
	if err := c.check(); err != nil {
		return p.usage(err)
	}
	plan, err := p.look(ctx, c)
	if err != nil {
		fmt.Fprintln(p.stderr, "twin: suggest:", err)
		return exitFailed
	}
	d := draft{}
	text := d.text(plan)
	if err := p.write(c, text); err != nil {
		fmt.Fprintln(p.stderr, "twin: suggest:", err)
		return exitFailed
	}
	fmt.Fprintf(p.stderr, "Suggested: %d columns to mask, %d that may pass, %d to decide.\n", d.masked, d.safe+len(plan.Passed), d.open)
	return exitPublished
}

func (p program) write(c suggestCommand, text string) error {
	if c.Out == "" {
		_, err := io.WriteString(p.stdout, text)
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path.Clean(c.Out), flags, 0o644) //nolint:gosec // it is to be read, and holds no value
	if err != nil {
		return fmt.Errorf("write the suggestion: %w", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the suggestion: %w", err)
	}
	return nil
}

// look reads the catalog and a sample of each table, in one transaction that
// only reads, and decides as a sync would to which nothing has been said.
func (p program) look(ctx context.Context, c suggestCommand) (*privacy.Plan, error) {
	conn, err := pgcopy.Connect(ctx, c.Source, "neontwin suggest", 15*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connect to the source: %w", err)
	}
	defer pgcopy.Close(conn)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("begin to read the source: %w", err)
	}
	s, err := catalog.Read(ctx, tx)
	if err != nil {
		return nil, err
	}
	c.restrict(s)
	tables, looked := len(s.Tables), 0
	fmt.Fprintf(p.stderr, "Looking at %s.\n", twin.HumanPlural(int64(tables), "table"))
	facts, err := catalog.ReadFacts(ctx, tx, s)
	if err != nil {
		return nil, err
	}
	found, err := detect.Schema(ctx, tx, s, detect.Options{Progress: func(catalog.Name) {
		if looked++; looked%100 == 0 {
			fmt.Fprintf(p.stderr, "Looked at %d of them.\n", looked)
		}
	}})
	if err != nil {
		return nil, err
	}
	for _, name := range found.Unread {
		fmt.Fprintf(p.stderr, "Not read, and judged by its names alone: %s\n", name)
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, fmt.Errorf("end to read the source: %w", err)
	}
	secret, err := anyKey()
	if err != nil {
		return nil, err
	}
	return privacy.New(privacy.Input{
		Schema: s, Facts: facts, Policy: privacy.Policy{Harmless: detect.DefaultRules()}, Find: found.Of, Secret: secret,
	})
}

// anyKey is a key by which can be told which classes hold for a column. Nothing
// is masked with it.
func anyKey() (mask.Secret, error) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return mask.ParseSecret(hex.EncodeToString(b[:]))
}

// restrict leaves out the tables that were not asked for.
func (c suggestCommand) restrict(s *catalog.Schema) {
	out := func(t catalog.Table) bool {
		if len(c.Schema) > 0 && !slices.Contains(c.Schema, t.Schema) {
			return true
		}
		return slices.ContainsFunc(c.Exclude, func(pattern string) bool {
			p, err := catalog.ParsePattern(pattern, 2)
			return err == nil && p.Match(t.Schema, t.Name.Name)
		})
	}
	s.Tables = slices.DeleteFunc(s.Tables, out)
	s.Parents = slices.DeleteFunc(s.Parents, out)
}

// draft is the file that is suggested. It holds names, never values.
type draft struct{ masked, safe, open int }

const draftHead = `# What the columns of this database probably hold, as twin suggest sees it: by
# names, types and a small sample that was forgotten at once. Review each line,
# then put mask and safe under a Twin in .github/neon-twin.yml.
# Lines with "decide" are columns of which nothing can be told: mask them, or
# name them under safe. Columns that a rule of the policy lets pass are left out.
`

// text is the file, the same for the same findings.
func (d *draft) text(plan *privacy.Plan) string {
	open := slices.Clone(plan.Open)
	slices.SortStableFunc(open, func(a, b privacy.Open) int { return cmp.Compare(a.Table, b.Table) })
	var rules, safe strings.Builder
	for len(open) > 0 {
		table := open[0].Table
		n := slices.IndexFunc(open, func(o privacy.Open) bool { return o.Table != table })
		if n < 0 {
			n = len(open)
		}
		var lines, passed []string
		for _, o := range open[:n] {
			f := o.Finding
			switch {
			case f.Harmless != "":
				d.safe++
				passed = append(passed, fmt.Sprintf("    - %s # %s, %s", privacy.QuoteYAML(o.Label), f.Harmless, because(f)))
			case f.Personal && o.Tied != "":
				d.masked++
				lines = append(lines, fmt.Sprintf("  # %s is masked as %s, whose values it holds", oneLine(o.Label), oneLine(o.Tied)))
			case f.Personal:
				d.masked++
				lines = append(lines, fmt.Sprintf("  %s: %s # %s", privacy.QuoteYAML(o.Label), privacy.RuleYAML(o.Rule), because(f)))
			default:
				d.open++
				lines = append(lines, fmt.Sprintf("  # decide: %s: %s # %s", privacy.QuoteYAML(o.Label), privacy.RuleYAML(o.Rule), o.Type))
			}
		}
		section(&rules, "  ", table, lines)
		section(&safe, "    ", table, passed)
		open = open[n:]
	}
	return draftHead + part("mask:\n", d.masked, rules.String()) + part("safe:\n  columns:\n", d.safe, safe.String())
}

// part writes a key and what is below it; all as comments where no line counts:
// nothing may not stand below a key.
func part(head string, counts int, body string) string {
	if counts == 0 {
		head = "# " + strings.ReplaceAll(strings.TrimSuffix(head, "\n"), "\n", "\n# ") + "\n"
	}
	return "\n" + head + body
}

func section(w *strings.Builder, indent, table string, lines []string) {
	if len(lines) > 0 {
		fmt.Fprintf(w, "%s# %s\n%s\n", indent, oneLine(table), strings.Join(lines, "\n"))
	}
}

// because is for the reviewer.
func because(f detect.Finding) string { return fmt.Sprintf("%.0f %%: %s", 100*f.Confidence, f.Reason) }

// oneLine is a name for a comment.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
