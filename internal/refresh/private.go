package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/detect"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/subset"
	"github.com/neontwin/neontwin/internal/twin"
)

// masked reports whether no personal value may stand in the Twin.
func (j Job) masked() bool { return j.Mode == twin.Anonymized || j.Masking != nil }

// checkMasking refuses a job that passes values on where none may, and one that
// would mask without a key.
func (j Job) checkMasking() error {
	switch {
	case j.masked() && j.MaskKey.IsZero():
		return configFailure("the columns of this Twin are to be masked, and there is no masking key",
			"make one with openssl rand -hex 32 and give it as NEONTWIN_MASK_KEY, or as mask_key of the target in the operator's file; keep it: with another key every stand-in changes")
	case j.Mode == twin.Full && j.Masking != nil:
		return twin.Refuse("a Twin of mode full passes every value on, and yet says what is masked", "write mode: anonymized, or take mask and safe out")
	case j.Policy.Must && !j.masked() && j.Mode != twin.SchemaOnly:
		return twin.Refuse(fmt.Sprintf("the source may only be used with masking, and the mode of this Twin is %s", j.Mode), "write mode: anonymized, and say under mask and safe what becomes of the columns; twin suggest writes a draft")
	}
	return nil
}

// decide says what becomes of each column, nil where all values pass.
func (s *sync) decide(ctx context.Context, conn *pgx.Conn, rows *subset.Plan) (*privacy.Plan, error) {
	if !s.masked() {
		return nil, nil
	}
	facts, err := catalog.ReadFacts(ctx, conn, s.schema)
	if err != nil {
		return nil, &sourceError{"read the source's catalog", err}
	}
	found, err := detect.Schema(ctx, conn, s.schema, detect.Options{})
	if err != nil {
		return nil, &sourceError{"look at the source's columns", err}
	}
	in := privacy.Input{Schema: s.schema, Facts: facts, Policy: s.Policy, Find: found.Of, Secret: s.MaskKey}
	if s.Masking != nil {
		in.Masking = *s.Masking
	}
	if s.Subset != nil {
		in.References = s.Subset.References
	}
	if rows != nil {
		in.Empty = rows.Empty
	}
	return privacy.New(in)
}

// literals are hazards for definitions in which personal data seems to stand:
// defaults, CHECKs, labels, bounds, views, functions, comments, and settings of
// the database where the Twin is given those of the source. They are copied as
// they are.
func (s *sync) literals() []twin.Hazard {
	var out []twin.Hazard
	look := func(object, definition string) {
		classes := detect.Literals(definition)
		if len(classes) == 0 {
			return
		}
		words := make([]string, len(classes))
		for i, c := range classes {
			words[i] = string(c)
		}
		out = append(out, twin.Hazard{
			ID: privacy.HazardLiteral, Object: object, Refuses: true,
			Message: fmt.Sprintf("the definition of the %s has what looks like %s in it, and definitions are copied as they are: change it, or acknowledge that it is nobody's", object, strings.Join(words, ", ")),
		})
	}
	for _, e := range s.archive.Entries {
		// The comment on the schema public is made by hand.
		if stage, _ := pgtools.Class(e); stage == pgtools.Skip && e.Desc != "COMMENT" {
			continue
		}
		look(strings.ToLower(e.Desc)+" "+strings.TrimPrefix(e.Namespace+"."+e.Tag, "."), e.Defn)
	}
	if !s.target.before.Exists {
		for _, set := range s.sourceSettings {
			look("setting "+set.name+" of the database", set.format)
		}
	}
	return out
}

// withhold leaves out of the source's settings what only its application reads:
// these have a dot in their name, and are where secrets are kept.
func (s *sync) withhold() []twin.Hazard {
	if s.target.before.Exists {
		return nil
	}
	var out []twin.Hazard
	var kept []setting
	for _, set := range s.sourceSettings {
		if !strings.Contains(set.name, ".") {
			kept = append(kept, set)
			continue
		}
		out = append(out, twin.Hazard{
			ID: HazardNotInherited, Object: "setting " + set.name,
			Message: "the application's own settings of the source's database may be secrets, and are left out of a Twin that holds no personal value; set them on the Twin once, and each refresh keeps them",
		})
	}
	s.sourceSettings = kept
	return out
}

// prove makes the report of what was masked, and fails where a value came out
// as it went in, more often than chance has it.
func (s *sync) prove(proof *clone.Proof, scanned map[string]twin.PassedColumn) (*twin.MaskReport, error) {
	if s.private == nil {
		return nil, nil
	}
	report := &twin.MaskReport{Key: s.private.Key, Masked: slices.Clone(s.private.Masked)}
	tallies := proof.Columns(s.plan)
	var leaks []string
	for i := range report.Masked {
		m := &report.Masked[i]
		t := tallies[m.Column]
		if t == nil { // no row of it was copied
			continue
		}
		c := t.Count()
		m.Values, m.Nulls, m.DistinctIn, m.DistinctOut, m.Same = c.Values, c.Nulls, c.DistinctIn, c.DistinctOut, c.Same
		if t.Leaks() {
			leaks = append(leaks, fmt.Sprintf("%s (%s: %d of about %d different values)", m.Column, m.Class, c.DistinctSame, c.DistinctIn))
		}
	}
	if len(leaks) > 0 {
		return nil, &twin.Failure{
			Code: twin.CodeVerify, Message: "values came out of masking as they went in, more often than chance has it: " + strings.Join(leaks, "; "),
			Next: "nothing was published; choose another class for these columns, or report this as a defect",
		}
	}
	for _, p := range s.private.Passed {
		one := twin.PassedColumn{Column: p.Label, Why: p.Why}
		if n := len(report.Passed); n > 0 && report.Passed[n-1].Column == p.Label { // another partition
			continue
		}
		if seen, ok := scanned[p.Label]; ok {
			one.Scanned, one.Found = seen.Scanned, seen.Found
			report.Scanned += seen.Scanned
		}
		report.Passed = append(report.Passed, one)
	}
	return report, nil
}

// perScan is how many values of a column are looked at, and of how long a part
// of each.
const (
	perScan    = 1000
	scanLength = 2000
	// tooMany is how many of the values that were looked at may have the form of
	// personal data by accident: one in a hundred, and never less than a few.
	tooMany = 3
)

// scan looks at values of the new generation that were not masked, for what has
// the form of personal data. Where the source must be masked, finding much of it
// in a column that its operator has not called safe fails the run.
func (s *sync) scan(ctx context.Context, database string) (seen map[string]twin.PassedColumn, notes []twin.Hazard, err error) {
	if s.private == nil {
		return nil, nil, nil
	}
	conn, err := pgcopy.Connect(ctx, database, s.app, firstConnect)
	if err != nil {
		return nil, nil, &targetError{"connect to the new generation", err}
	}
	defer pgcopy.Close(conn)
	seen = map[string]twin.PassedColumn{}
	var leaks []string
	for _, p := range s.private.Passed {
		if p.Kind&(mask.Text|mask.JSON|mask.XML|mask.HStore|mask.Other) == 0 {
			continue
		}
		values, err := sample(ctx, conn, p)
		if err != nil {
			return nil, nil, &targetError{"look at " + p.Label, err}
		}
		class, n := detect.Values(values)
		one := seen[p.Label]
		one.Scanned += int64(len(values))
		if n > 0 {
			if one.Found == nil {
				one.Found = map[string]int64{}
			}
			one.Found[string(class)] += int64(n)
		}
		seen[p.Label] = one
		if n >= max(tooMany, len(values)/100) && !p.Trusted {
			leaks = append(leaks, fmt.Sprintf("%s (%d of %d have the form of %s)", p.Label, n, len(values), class))
			notes = append(notes, twin.Hazard{
				ID: privacy.HazardStatedSafe, Object: p.Label,
				Message: fmt.Sprintf("%s passed as it is (%s), and %d of %d of its values that were looked at have the form of %s", p.Label, p.Why, n, len(values), class),
			})
		}
	}
	if s.Policy.Must && len(leaks) > 0 {
		return nil, nil, &twin.Failure{
			Code: twin.CodeRefused, Message: "columns that were not masked hold what looks personal: " + strings.Join(leaks, "; "),
			Next: "nothing was published; mask these columns, or the operator adds them to safe of the source",
		}
	}
	return seen, notes, nil
}

// sample reads values of a column, from all over a large table.
func sample(ctx context.Context, conn *pgx.Conn, p privacy.Passed) ([]string, error) {
	column := catalog.Ident(p.Name)
	from := "ONLY " + p.Table.SQL()
	for _, part := range []string{" TABLESAMPLE SYSTEM (1)", ""} {
		rows, err := conn.Query(ctx, fmt.Sprintf("SELECT pg_catalog.left(%s::pg_catalog.text, %d) FROM %s%s WHERE %s IS NOT NULL LIMIT %d", column, scanLength, from, part, column, perScan))
		if err != nil {
			return nil, err
		}
		values, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(values) >= perScan/2 {
			return values, err
		}
		if part == "" {
			return values, nil
		}
	}
	return nil, nil
}

// hush keeps what a server said about a Twin whose values are nobody's to read
// out of logs: it may quote rows.
type hush struct{ err error }

// Error says what can be said without a value.
func (h hush) Error() string {
	var pg *pgconn.PgError
	var dump *pgtools.DumpError
	switch {
	case errors.As(h.err, &dump):
		return strings.TrimSpace("dump schema (" + string(dump.Kind) + ") " + dump.Object)
	case !errors.As(h.err, &pg):
		return h.err.Error()
	}
	at := ""
	if pg.ConstraintName != "" {
		at = ", constraint " + pg.ConstraintName
	}
	return "SQLSTATE " + pg.Code + at + "; the rest of the server's text is left out, as it may quote rows"
}

// Unwrap gives the error itself, for those who look at its class alone.
func (h hush) Unwrap() error { return h.err }
