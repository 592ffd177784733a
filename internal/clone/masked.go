package clone

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/twin"
)

// mask makes a plan that masks columns out of one that masks none.
func (p *Plan) mask(s *catalog.Schema, steps map[uint32]*Step, how *privacy.Plan) error {
	if how == nil {
		return nil
	}
	p.Hazards = append(p.Hazards, how.Hazards...)
	for _, t := range s.Tables {
		step := steps[t.OID]
		if err := step.mask(t, s, how.Table(t.OID)); err != nil {
			return err
		}
		if step.Mask == nil {
			continue
		}
		// What is generated may follow from what is masked.
		t.Columns = slices.DeleteFunc(slices.Clone(t.Columns), func(c catalog.Column) bool { return c.Generated != "" || step.masks(c.Name) })
		step.Digest = digest(t, s.Types, p.native)
	}
	if s.LargeObjects > 0 {
		p.LargeObjects, p.bare = 0, true
		p.Hazards = slices.DeleteFunc(p.Hazards, func(h twin.Hazard) bool { return h.ID == HazardLargeObjectsWhole })
		p.Hazards = append(p.Hazards, twin.Hazard{ID: HazardLargeObjectsWhole, Message: fmt.Sprintf("none of the %d large objects is copied: nobody can say what is in them", s.LargeObjects)})
	}
	return nil
}

// mask makes the step one whose columns are masked on their way. A column that
// says whom a row is about travels before those that ask.
func (s *Step) mask(t catalog.Table, schema *catalog.Schema, how *privacy.Table) error {
	if how == nil {
		return nil
	}
	columns := make(map[string]catalog.Column, len(t.Columns))
	for _, c := range t.Columns {
		columns[c.Name] = c
	}
	first := func(name string) bool {
		for _, f := range how.Fields {
			if f.By == name {
				return true
			}
		}
		return false
	}
	slices.SortStableFunc(s.Columns, func(a, b string) int {
		switch x, y := first(a), first(b); {
		case x && !y:
			return -1
		case y && !x:
			return 1
		}
		return 0
	})
	for _, name := range s.Columns {
		f, masked := how.Fields[name]
		if !masked {
			f = mask.Field{Column: mask.ColumnOf(schema, columns[name])}
		}
		s.Mask = append(s.Mask, f)
		s.Labels = append(s.Labels, how.Labels[name])
	}
	s.Root = how.Root
	// What binary can't be masked in travels as text.
	if _, err := mask.NewRewriter(io.Discard, s.wire(), s.Mask); err != nil {
		s.Format = Text
	}
	_, err := mask.NewRewriter(io.Discard, s.wire(), s.Mask)
	return err
}

// wire is the step's format in the words of the maskers.
func (s *Step) wire() mask.Format {
	if s.Format == Binary {
		return mask.BinaryFormat
	}
	return mask.TextFormat
}

// masks reports whether the values of a column are masked.
func (s *Step) masks(column string) bool {
	return slices.ContainsFunc(s.Mask, func(f mask.Field) bool { return f.Masker != nil && f.Column.Name == column })
}

// masking follows one stream through its tries.
type masking struct {
	step  *Step
	whole *mask.Rewriter // of the last try that sent everything
}

// tried is the rewriter of one try.
type tried struct {
	*mask.Rewriter
	of *masking
}

// Close ends the stream; what was sent until then was all of it.
func (t tried) Close() error {
	err := t.Rewriter.Close()
	if err == nil {
		t.of.whole = t.Rewriter
	}
	return err
}

// broken refuses every row.
type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b.error }
func (b broken) Close() error              { return b.error }

// between is put between the two sides of a stream.
func (m *masking) between(w io.Writer) io.WriteCloser {
	r, err := mask.NewRewriter(w, m.step.wire(), m.step.Mask)
	if err != nil { // it was made before, when the plan was
		return broken{err}
	}
	return tried{r, m}
}

// Proof gathers what became of masked columns while parts of tables land. The
// zero Proof is empty, and may be used from any goroutine.
type Proof struct {
	mu      sync.Mutex
	tallies map[proofKey]*mask.Tally
}

type proofKey struct{ table, column string }

// add notes a part that has landed.
func (p *Proof) add(m *masking) error {
	if m == nil {
		return nil
	}
	if p == nil {
		return errors.New("there is nothing to prove it by that a part was masked")
	}
	if m.whole == nil {
		return errors.New("a part has landed of which nothing was masked")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tallies == nil {
		p.tallies = map[proofKey]*mask.Tally{}
	}
	for _, t := range m.whole.Tallies() {
		k := proofKey{m.step.Table.SQL(), t.Count().Column}
		if p.tallies[k] == nil {
			p.tallies[k] = &mask.Tally{}
		}
		p.tallies[k].Merge(t)
	}
	return nil
}

// of gives what is known of a column of one table, nil if nothing.
func (p *Proof) of(table catalog.Name, column string) *mask.Tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tallies[proofKey{table.SQL(), column}]
}

// Columns gives what is known of each masked column of a plan under the name
// that it is reported by. Those of partitions are one.
func (p *Proof) Columns(plan *Plan) map[string]*mask.Tally {
	out := map[string]*mask.Tally{}
	for _, step := range plan.Steps {
		for i, f := range step.Mask {
			t := p.of(step.Table, f.Column.Name)
			if f.Masker == nil || t == nil {
				continue
			}
			label := step.Labels[i]
			if out[label] == nil {
				out[label] = &mask.Tally{}
			}
			out[label].Merge(t)
		}
	}
	return out
}

// judged are the columns of which the target's values are counted: as many as
// were masked, or none where all became NULL. Of arrays the elements were.
func (s *Step) judged() []mask.Field {
	return slices.DeleteFunc(slices.Clone(s.Mask), func(f mask.Field) bool { return f.Masker == nil || f.Column.Elem != nil })
}

// counts are those of the judged columns, as SQL.
func (s *Step) counts() string {
	var b strings.Builder
	for _, f := range s.judged() {
		b.WriteString(", count(" + catalog.Ident(f.Column.Name) + ")")
	}
	return b.String()
}

// wants is how many values a judged column must have in the copy.
func (p *Proof) wants(step *Step, f mask.Field) int64 {
	t := p.of(step.Table, f.Column.Name)
	if t == nil || f.Masker.Null() {
		return 0
	}
	return t.Count().Values
}

// nullDiffs tells masked columns that hold more or fewer NULLs than came. Rows
// that find their partition anew are counted over all of them.
func (p *Plan) nullDiffs(proof *Proof, counted [][]int64) (diffs []string) {
	want, got := map[string]int64{}, map[string]int64{}
	var names []string
	for i := range p.Steps {
		step := &p.Steps[i]
		for k, f := range step.judged() {
			name := step.Table.String() + "." + f.Column.Name
			if step.Root != (catalog.Name{}) {
				name = step.Root.String() + "." + f.Column.Name
			}
			if _, seen := want[name]; !seen {
				names = append(names, name)
			}
			want[name] += proof.wants(step, f)
			got[name] += counted[i][k]
		}
	}
	for _, name := range names {
		if want[name] != got[name] {
			diffs = append(diffs, fmt.Sprintf("masked column %s has %d values in the copy, and %d were masked", name, got[name], want[name]))
		}
	}
	return diffs
}

// numbers reads the counts behind the first two fields of an answer.
func numbers(row [][]byte) ([]int64, error) {
	var out []int64
	for _, field := range row[min(2, len(row)):] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}
