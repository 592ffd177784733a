package clone

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// relater knows which foreign keys can be made without waiting for a lock: both
// of their tables must be complete, and nobody may be about to add another one
// to either or to validate one of either.
type relater struct {
	mu         sync.Mutex
	left       []ForeignKey
	incomplete map[uint32]bool
	busy       map[uint32]bool
	bytes      map[uint32]int64 // of the plan's tables
	messages   atomic.Int64
}

// expect begins with all of a plan's foreign keys and none of its tables.
func (q *relater) expect(p *Plan) {
	q.left = slices.Clone(p.ForeignKeys)
	q.incomplete, q.busy, q.bytes = make(map[uint32]bool), make(map[uint32]bool), make(map[uint32]int64)
	for _, s := range p.Steps {
		q.incomplete[s.OID], q.bytes[s.OID] = true, s.Bytes
	}
}

// complete says that a table has its rows, keys and indexes.
func (q *relater) complete(table uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.incomplete, table)
}

// take gives what can be added now, and keeps others from its tables.
func (q *relater) take() []ForeignKey {
	q.mu.Lock()
	defer q.mu.Unlock()
	waits := func(table uint32) bool { return q.incomplete[table] || q.busy[table] }
	var out []ForeignKey
	q.left = slices.DeleteFunc(q.left, func(k ForeignKey) bool {
		if waits(k.Table) || waits(k.Parent) {
			return false
		}
		out = append(out, k)
		return true
	})
	for _, k := range out {
		q.busy[k.Table], q.busy[k.Parent] = true, true
	}
	return out
}

// added lets others at the tables again, but for those whose foreign keys are
// going to be validated.
func (q *relater) added(keys []ForeignKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, k := range keys {
		delete(q.busy, k.Table)
		delete(q.busy, k.Parent)
	}
	for _, k := range keys {
		if k.Validate.SQL != "" {
			q.busy[k.Table] = true
		}
	}
}

// validated lets others at the tables again.
func (q *relater) validated(keys []ForeignKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, k := range keys {
		delete(q.busy, k.Table)
	}
}

// relateComplete adds the foreign keys whose tables are complete, and queues
// their validation: table by table, because two of the same wait for each
// other, and over a slow link those of some tables together.
func (r *run) relateComplete(ctx context.Context, s *session) error {
	for keys := r.keys.take(); len(keys) > 0; keys = r.keys.take() {
		var add []Statement
		tables := make(map[uint32][]ForeignKey)
		var order []uint32
		settled := 0
		for _, k := range keys {
			add = append(add, k.Add)
			if k.Validate.SQL == "" {
				settled++
				continue
			}
			if tables[k.Table] == nil {
				order = append(order, k.Table)
			}
			tables[k.Table] = append(tables[k.Table], k)
		}
		if err := r.define(ctx, s, fmt.Sprintf("add%d", r.keys.messages.Add(1)), add); err != nil {
			return err
		}
		r.keys.added(keys)
		for _, some := range r.together(order) {
			b := build{key: fmt.Sprintf("validate%d", r.keys.messages.Add(1))}
			for _, table := range some {
				for _, k := range tables[table] {
					b.keys = append(b.keys, k)
					b.statements = append(b.statements, k.Validate)
				}
			}
			r.builds <- b
		}
		if settled > 0 {
			r.done(settled)
		}
	}
	return nil
}

// together groups tables into messages: large ones are read one by one, side by
// side; of small ones each would cost a round trip.
func (r *run) together(tables []uint32) (groups [][]uint32) {
	var bytes int64
	for _, table := range tables {
		n := r.keys.bytes[table]
		if last := len(groups) - 1; last >= 0 && bytes+n <= maxTogetherBytes && len(groups[last]) < maxTogether {
			groups[last] = append(groups[last], table)
			bytes += n
			continue
		}
		groups = append(groups, []uint32{table})
		bytes = n
	}
	return groups
}
