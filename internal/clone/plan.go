// Package clone turns a schema and a specification into a plan, which is plain
// data, and runs it. There is one executor for all modes: what differs is what
// a plan says of each table.
package clone

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/subset"
	"github.com/neontwin/neontwin/internal/twin"
)

// Plan is what a run will do, in the order in which it does it. It is made by
// New, can be printed, and is not changed by Run.
type Plan struct {
	Mode twin.Mode
	// Session is sent once to each connection that makes definitions.
	Session string
	// Before are the definitions that must stand before rows are loaded.
	Before []Statement
	// Steps fill the tables: those of extensions first, each after those that it
	// refers to, then the largest first.
	Steps []Step
	// Parents are the indexes and keys of partitioned tables. Their leaves'
	// must be there first; they hold nothing themselves.
	Parents []Statement
	// ForeignKeys need the rows and keys of two tables each, and are made as soon
	// as both are complete.
	ForeignKeys []ForeignKey
	// Attach are the foreign keys from and to partitioned tables, which need
	// those of the partitions to be valid.
	Attach []Statement
	// After is all else: triggers, which must not fire while rows are loaded,
	// rules, policies, late views, comments.
	After []Statement
	// Refresh fills materialized views and builds their indexes.
	Refresh []Statement
	// Analyze are relations that are no step but need statistics.
	Analyze []catalog.Name
	// Sequences are set to where the source's stand.
	Sequences []catalog.Sequence
	// Restart leaves a sequence at its start, unless its column has values.
	Restart bool
	// LargeObjects is how many are copied.
	LargeObjects int64
	// Selections say which rows are kept of each table, and why; nil for a plan
	// that keeps all.
	Selections []twin.Selection
	// Privacy says what becomes of the columns; nil where all values pass.
	Privacy *privacy.Plan
	Hazards []twin.Hazard

	// bare is set where large objects are left behind on purpose.
	bare bool
	// native is set where both servers hash a row alike.
	native bool
}

// Statement is one definition and what it makes, for progress and errors.
type Statement struct {
	What string // such as "INDEX public.orders_customer_idx"
	SQL  string
}

// Step fills one table and builds what belongs to it alone.
type Step struct {
	OID     uint32
	Table   catalog.Name
	Columns []string // those that are copied, in order: generated ones are not
	Format  Format
	// Digest is the hash of a row's content, as SQL of both sides.
	Digest string
	// Where restricts the rows, on both sides. It is SQL; empty means all rows.
	Where string
	// Pick are the rows that a partial Twin keeps; nil means all.
	Pick *subset.Pick
	// Mask says of each of the columns how it is masked, and Labels under which
	// name; nil where none is.
	Mask   []mask.Field
	Labels []string
	// Root, if set, is the partitioned table that rows are written through: masked,
	// they may belong to another partition.
	Root catalog.Name
	// Keep is set where rows may be there already: an extension's own.
	Keep bool
	// Parts are copied side by side. There is at least one.
	Parts []Part
	// Indexes may be built side by side once all parts have landed. Keys, which
	// need the table for themselves, come after them.
	Indexes, Keys []Statement
	// Rows and Bytes are the source's estimates.
	Rows, Bytes int64
}

// Part is a range of a table's pages: from First up to Limit, which is not
// included. A Limit of 0 means to the end, whatever was added meanwhile.
type Part struct{ First, Limit int64 }

// Target is what a plan must know of the server it will run on.
type Target struct {
	ServerVersion int // such as 170006
	// Extensions are those that can be installed, with their default version.
	Extensions map[string]string
	// Roles are those of its server; nil where nobody has looked. MakesRoles
	// is set where its role may create more.
	Roles      map[string]bool
	MakesRoles bool
	// Room is how many bytes more the server may hold, if Limited.
	Room    int64
	Limited bool
}

// Options are the parts of a plan that aren't in the schema.
type Options struct {
	Mode twin.Mode
	// Jobs is how many tables are loaded at once: it sizes the parts.
	Jobs int
	// Standby is set where the source is in recovery.
	Standby bool
	// Rows are those that a partial Twin keeps; nil keeps all.
	Rows *subset.Result
	// Privacy says which columns are masked; nil masks none.
	Privacy *privacy.Plan
}

const (
	// minPart is the size below which splitting a table doesn't pay.
	minPart = 64 << 20
	// minSideBySide is the size from which the indexes of a table are worth a
	// worker each. Below it, all of them are made in one message.
	minSideBySide = 32 << 20
	// maxSmall is the size up to which tables travel many to a message.
	maxSmall = 256 << 10
	// tidRangeScan is the first version that finds a range of pages without
	// reading the whole table.
	tidRangeScan = 140000
)

// New makes the plan. The archive is a dump of the same schema under the same
// snapshot. It fails where the two don't fit together.
func New(s *catalog.Schema, a *pgtools.Archive, target Target, o Options) (*Plan, error) {
	p := &Plan{
		Mode: o.Mode, Privacy: o.Privacy, Session: a.Session(), Sequences: s.Sequences, LargeObjects: s.LargeObjects - s.LargeObjectsUnreadable,
		Hazards: Check(s, target, o), native: sameHashes(s.ServerVersion, target.ServerVersion),
	}
	stages, skipped := a.Stages()
	p.Hazards = append(p.Hazards, skippedHazards(skipped)...)
	p.Before = append(statements(stages[pgtools.Pre]), nullable(s)...)

	var total int64
	for _, t := range s.Tables {
		total += t.Bytes
	}
	steps := make(map[uint32]*Step, len(s.Tables))
	for _, t := range s.Tables {
		step := newStep(t, s, max(minPart, total/int64(4*max(o.Jobs, 1))))
		step.Digest = digest(t, s.Types, p.native)
		steps[t.OID] = &step
	}
	if o.Rows != nil {
		p.restrict(s, steps, o.Rows)
	}
	if err := p.mask(s, steps, o.Privacy); err != nil {
		return nil, err
	}
	tables := make(map[int]uint32) // dump id -> OID
	for _, e := range a.Entries {
		if e.Desc == "TABLE" {
			tables[e.DumpID] = e.OID
		}
	}
	for _, e := range stages[pgtools.Index] {
		step := steps[tableOf(e, tables)]
		switch {
		case step == nil:
			p.Parents = append(p.Parents, statement(e))
		case e.Desc == "INDEX":
			step.Indexes = append(step.Indexes, statement(e))
		default:
			step.Keys = append(step.Keys, statement(e))
		}
	}
	p.Parents = append(p.Parents, statements(stages[pgtools.Attach])...)
	p.ForeignKeys, p.Attach = relate(s, a, stages[pgtools.ForeignKey])
	p.After = append(statements(stages[pgtools.Final]), validChecks(s)...)
	// A dump without rows says nothing of what is in materialized views.
	for _, view := range s.MatViews {
		if view.Populated {
			p.Refresh = append(p.Refresh, Statement{What: "MATERIALIZED VIEW " + view.Name.String(), SQL: "REFRESH MATERIALIZED VIEW " + view.Name.SQL()})
			p.Analyze = append(p.Analyze, view.Name)
		}
	}
	p.Refresh = append(p.Refresh, statements(stages[pgtools.MatViewIndex])...)

	for _, step := range steps {
		p.Steps = append(p.Steps, *step)
	}
	if o.Mode != twin.Full {
		p.Hazards = append(p.Hazards, roomHazards(p.Bytes(), target)...)
	}
	rank := ranks(s.Tables)
	slices.SortFunc(p.Steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(rank[a.OID], rank[b.OID]), cmp.Compare(b.work(), a.work()), cmp.Compare(a.Table.SQL(), b.Table.SQL()))
	})
	for _, parent := range s.Parents {
		p.Analyze = append(p.Analyze, parent.Name)
	}
	return p, nil
}

// tableOf finds the table that an index or constraint belongs to, 0 if none
// of the archive's.
func tableOf(e pgtools.Entry, tables map[int]uint32) uint32 {
	for _, id := range e.Dependencies {
		if oid, ok := tables[id]; ok {
			return oid
		}
	}
	return 0
}

func newStep(t catalog.Table, s *catalog.Schema, partBytes int64) Step {
	step := Step{
		OID: t.OID, Table: t.Name, Format: format(t, s.Types), Keep: t.Extension != "",
		Where: strings.TrimSpace(t.Condition), Rows: int64(max(t.Rows, 0)), Bytes: t.Bytes,
	}
	// Extensions write their condition with the keyword.
	if len(step.Where) >= 6 && strings.EqualFold(step.Where[:6], "where ") {
		step.Where = step.Where[6:]
	}
	for _, c := range t.Columns {
		if c.Generated == "" {
			step.Columns = append(step.Columns, c.Name)
		}
	}
	n := int64(1)
	if s.ServerVersion >= tidRangeScan && t.Pages > 0 && !step.Keep {
		// Never more parts than pages: what is large may lie in TOAST.
		n = max(1, min(t.Pages, (t.Bytes+partBytes-1)/partBytes))
	}
	for i := range n {
		step.Parts = append(step.Parts, Part{First: t.Pages * i / n, Limit: t.Pages * (i + 1) / n})
	}
	step.Parts[n-1].Limit = 0
	return step
}

// work weighs a step by the time until its table is complete. Some kinds of
// index are built by a single process, for longer than their table was copied:
// begun last, one would be all that is left to wait for.
func (s *Step) work() int64 {
	n := s.Bytes
	for _, index := range s.Indexes {
		for _, kind := range []string{" USING gin ", " USING gist ", " USING spgist "} {
			if strings.Contains(index.SQL, kind) {
				n += 2 * s.Bytes
			}
		}
	}
	return n
}

// share is the part's share of the step's size, by estimate.
func (s *Step) share(part Part) int64 {
	for i, p := range s.Parts {
		if p == part {
			n := int64(len(s.Parts))
			return s.Bytes*int64(i+1)/n - s.Bytes*int64(i)/n
		}
	}
	return 0
}

func statements(entries []pgtools.Entry) []Statement {
	out := make([]Statement, 0, len(entries))
	for _, e := range entries {
		if strings.TrimSpace(e.Defn) != "" {
			out = append(out, statement(e))
		}
	}
	return out
}

func statement(e pgtools.Entry) Statement {
	what := e.Desc + " "
	if e.Namespace != "" {
		what += e.Namespace + "."
	}
	return Statement{What: what + e.Tag, SQL: e.Defn}
}

// Refused lists the hazards that forbid the run.
func (p *Plan) Refused() []twin.Hazard { return Refusing(p.Hazards) }

// Refusing picks the hazards that forbid a run.
func Refusing(hazards []twin.Hazard) []twin.Hazard {
	var out []twin.Hazard
	for _, h := range hazards {
		if h.Refuses {
			out = append(out, h)
		}
	}
	return out
}

// Rows is the estimate of all rows that will be copied.
func (p *Plan) Rows() (n int64) {
	for _, s := range p.Steps {
		n += s.Rows
	}
	return n
}

// Bytes is the size of all tables that will be copied, on the source's disk.
func (p *Plan) Bytes() (n int64) {
	for _, s := range p.Steps {
		n += s.Bytes
	}
	return n
}

// Builds counts the keys and indexes to build.
func (p *Plan) Builds() int {
	n := len(p.Parents)
	for _, s := range p.Steps {
		n += len(s.Keys) + len(s.Indexes)
	}
	return n
}

// out is the COPY of one part on the source.
func (s *Step) out(part Part) string {
	var where []string
	if s.Pick != nil {
		where = append(where, picked(s.Pick.Rows, part))
	} else {
		if part.First > 0 {
			where = append(where, fmt.Sprintf("ctid >= '(%d,0)'", part.First))
		}
		if part.Limit > 0 {
			where = append(where, fmt.Sprintf("ctid < '(%d,0)'", part.Limit))
		}
	}
	if s.Where != "" {
		where = append(where, "("+s.Where+")")
	}
	sql := "COPY (SELECT " + strings.Join(s.expressions(part), ", ") + " FROM ONLY " + s.Table.SQL()
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	return sql + ") TO STDOUT (FORMAT " + string(s.Format) + ")"
}

// in is the COPY of one part on the target. A table of a single part is
// emptied in the same message, which makes FREEZE legal: its rows need no
// second write later. A small one is not: to empty it costs more than to fill it.
func (s *Step) in() string {
	table := s.Table.SQL()
	if s.Root != (catalog.Name{}) {
		table = s.Root.SQL()
	}
	columns := ""
	if len(s.Columns) > 0 {
		columns = " (" + s.list() + ")"
	}
	if s.Keep || s.small() || len(s.Parts) > 1 || s.Root != (catalog.Name{}) {
		return "COPY " + table + columns + " FROM STDIN (FORMAT " + string(s.Format) + ")"
	}
	return "TRUNCATE ONLY " + table + "; COPY " + table + columns + " FROM STDIN (FORMAT " + string(s.Format) + ", FREEZE)"
}

func (s *Step) list() string {
	quoted := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		quoted[i] = catalog.Ident(c)
	}
	return strings.Join(quoted, ", ")
}
