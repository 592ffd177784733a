package clone

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/subset"
	"github.com/neontwin/neontwin/internal/twin"
)

// perPart is how many rows of a partial table are asked for at once. They are
// named one by one in the question, at about a dozen bytes each.
const perPart = 20_000

// pick restricts a step to the rows that a partial Twin keeps. Its parts are
// cut by those rows.
func (s *Step) pick(p subset.Pick) {
	kept := p.Rows.Len()
	s.Bytes = int64(float64(s.Bytes) * float64(kept) / float64(max(s.Rows, kept, 1)))
	s.Pick, s.Rows, s.Parts = &p, kept, nil
	for _, r := range p.Rows.Ranges(perPart) {
		s.Parts = append(s.Parts, Part{First: r.First, Limit: r.Limit})
	}
	if len(s.Parts) == 0 {
		s.Parts = []Part{{}}
	}
}

// picked is the condition that names a part's rows one by one.
func picked(rows *subset.Rows, part Part) string {
	literal := rows.AppendLiteral([]byte("ctid = ANY ('"), part.First, part.Limit)
	return string(literal) + "'::pg_catalog.tid[])"
}

// columns are the step's as an expression of the source each: NULL stands for
// a reference to a row that is not kept.
func (s *Step) expressions(part Part) []string {
	out := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		out[i] = catalog.Ident(c)
		if s.Pick == nil {
			continue
		}
		at := slices.IndexFunc(s.Pick.Null, func(n subset.NullPick) bool { return n.Column == c })
		if at >= 0 {
			out[i] = "CASE WHEN " + picked(s.Pick.Null[at].Rows, part) + " THEN NULL ELSE " + out[i] + " END AS " + out[i]
		}
	}
	return out
}

// pickedSums are the questions that give the hashes of what a partial step
// copied, on the source. How many rows those are was known before the copy.
func (s *Step) pickedSums() []string {
	var out []string
	for _, part := range s.Parts {
		from := "ONLY " + s.Table.SQL()
		where := " WHERE " + picked(s.Pick.Rows, part)
		if len(s.Pick.Null) > 0 {
			from, where = "(SELECT "+strings.Join(s.expressions(part), ", ")+" FROM "+from+where+") AS kept", ""
		}
		out = append(out, "SELECT count(*), coalesce(sum("+s.Digest+"), 0)::text FROM "+from+where)
	}
	return out
}

// total adds up the answers about a step's parts.
func total(answers []*pgconn.Result) sum {
	out := sum{count: "0", hash: "0"}
	for _, a := range answers {
		out = plus(out, sum{count: string(a.Rows[0][0]), hash: string(a.Rows[0][1])})
	}
	return out
}

// plus adds two sums, which are the servers' own.
func plus(a, b sum) sum {
	add := func(a, b string) string {
		x, _ := new(big.Int).SetString(a, 10)
		y, _ := new(big.Int).SetString(b, 10)
		return x.Add(x, y).String()
	}
	return sum{count: add(a.count, b.count), hash: add(a.hash, b.hash)}
}

// restrict makes a plan that keeps some rows out of one that keeps all.
func (p *Plan) restrict(s *catalog.Schema, steps map[uint32]*Step, rows *subset.Result) {
	p.Selections = rows.Selections
	p.Hazards = append(p.Hazards, rows.Hazards...)
	for _, t := range s.Tables {
		pick, whole := rows.Pick(t.OID)
		if whole {
			continue
		}
		steps[t.OID].pick(pick)
		if len(pick.Null) > 0 { // what is generated may follow from what is NULL now
			t.Columns = slices.DeleteFunc(slices.Clone(t.Columns), func(c catalog.Column) bool { return c.Generated != "" })
			steps[t.OID].Digest = digest(t, s.Types, p.native)
		}
	}
	if p.Mode == twin.SchemaOnly {
		p.Restart = true
	}
	if s.LargeObjects == 0 {
		return
	}
	h := twin.Hazard{ID: HazardLargeObjectsWhole, Message: fmt.Sprintf("all %d large objects are copied: which of them belong to the rows that are kept is not known", p.LargeObjects)}
	if p.Mode == twin.SchemaOnly {
		h.Message = fmt.Sprintf("none of the %d large objects is copied", s.LargeObjects)
		p.LargeObjects, p.bare = 0, true
	}
	p.Hazards = append(p.Hazards, h)
}
