package subset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/twin"
)

// finding is what a task has found that was not known before.
type finding struct {
	rows map[int]*Rows // by table
	n    int64         // of those that will be copied
}

// run runs tasks side by side and puts what they found into the sets, in the
// order of the tasks. It gives the rows that are new, by table.
func (s *search) run(ctx context.Context, tasks []task) ([]*Rows, error) {
	findings := make([]finding, len(tasks))
	err := s.sessions.each(ctx, len(tasks), func(ctx context.Context, c *session, i int) error { return s.find(ctx, c, tasks[i], &findings[i]) })
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	fresh := make([]*Rows, len(s.sets))
	for n, f := range findings {
		for i := range s.p.Tables {
			if rows := f.rows[i]; rows != nil {
				s.merge(i, rows, tasks[n], fresh)
			}
		}
	}
	if s.progress != nil && len(tasks) > 0 {
		s.progress(s.total)
	}
	return fresh, s.bounded()
}

// find runs one task.
func (s *search) find(ctx context.Context, c *session, t task, f *finding) error {
	f.rows = make(map[int]*Rows)
	limited := len(t.settings) > 0
	if limited {
		if err := c.exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", sqlLimit.Milliseconds())); err != nil {
			return err
		}
	}
	err := c.query(ctx, t.sql, t.rows, t.first, t.limit, func(row [][]byte) error {
		i, ok := s.p.byOID[binary.BigEndian.Uint32(row[0])]
		if !ok || !s.wanted(i) || s.sets[i].contains(row[1]) {
			return nil
		}
		if f.rows[i] == nil {
			f.rows[i] = newRows(s.p.shift)
		}
		if f.rows[i].addNew(row[1]) && !s.p.Tables[i].whole() {
			f.n++
		}
		if most := s.p.MaxRows; most > 0 && s.total+f.n > most {
			return errEnough
		}
		return nil
	})
	if err == nil && limited {
		err = c.exec(ctx, "SET LOCAL statement_timeout = 0")
	}
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("%s: %w", t.table, blame(err, t.table, t.settings))
	}
	return err
}

// wanted reports whether it matters which rows of a table are kept.
func (s *search) wanted(i int) bool {
	t := &s.p.Tables[i]
	return !t.empty && !(s.ascent && t.whole())
}

// merge puts rows into a set and notes what brought them.
func (s *search) merge(i int, rows *Rows, t task, fresh []*Rows) {
	if s.sets[i] == nil {
		s.sets[i] = newRows(s.p.shift)
		s.from[i], s.by[i] = t.from, t.down
	} else {
		rows = rows.minus(s.sets[i]) // another task may have found them too
	}
	n := s.sets[i].merge(rows)
	if n == 0 {
		return
	}
	if s.by[i] != t.down {
		s.by[i] = nil
	}
	if fresh[i] == nil {
		fresh[i] = rows
	} else {
		fresh[i].merge(rows)
	}
	if !s.p.Tables[i].whole() {
		s.total += n
	}
	at := slices.IndexFunc(s.why[i], func(r twin.Reason) bool { return r.Words == t.words })
	if at < 0 {
		at = len(s.why[i])
		s.why[i] = append(s.why[i], twin.Reason{Words: t.words})
	}
	s.why[i][at].Rows += n
}

// bounded refuses a subset that has grown larger than it may.
func (s *search) bounded() error {
	if s.p.MaxRows == 0 || s.total <= s.p.MaxRows {
		return nil
	}
	var largest []twin.Selection
	for i := range s.p.Tables {
		if x := s.selection(i); x.Rows > 0 {
			largest = append(largest, x)
		}
	}
	slices.SortStableFunc(largest, func(a, b twin.Selection) int { return int(min(max(b.Rows-a.Rows, -1), 1)) })
	var told []string
	for _, x := range largest[:min(len(largest), 5)] {
		text := fmt.Sprintf("%s %d", x.Table, x.Rows)
		if len(x.Why) > 0 {
			text += " (" + x.Why[0].Words + ")"
		}
		told = append(told, text)
	}
	return twin.Refuse(fmt.Sprintf("the subset has more than %d rows, the most that max_rows allows: the search stopped at %s", s.p.MaxRows, strings.Join(told, ", ")),
		"narrow the roots, restrict references by follow, where or limit, or raise max_rows")
}

// number asks for a single number.
func (s *session) number(ctx context.Context, sql string, rows *Rows, first, limit int64) (int64, error) {
	var n int64
	err := s.query(ctx, sql, rows, first, limit, func(row [][]byte) error {
		n = int64(binary.BigEndian.Uint64(row[0])) //nolint:gosec // a count
		return nil
	})
	return n, err
}
