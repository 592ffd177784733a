package detect

import (
	"context"

	"github.com/neontwin/neontwin/internal/catalog"
)

// Options say how much is read.
type Options struct {
	// Rows is the most rows of a table that are looked at; 0 is 300.
	Rows int
}

// Findings are those of a schema's columns.
type Findings struct {
	of map[address]Finding
}

type address struct {
	table  uint32
	column string
}

// Of is the finding of a column; the zero Finding, undecided, of one that is
// not known.
func (f *Findings) Of(table uint32, column string) Finding { return f.of[address{table, column}] }

// Schema looks at all columns of a schema under the caller's transaction.
func Schema(_ context.Context, _ catalog.Querier, s *catalog.Schema, _ Options) (*Findings, error) {
	f := &Findings{of: map[address]Finding{}}
	for _, t := range s.Tables {
		for _, c := range t.Columns {
			f.of[address{t.OID, c.Name}] = Look(columnOf(s, t, c), nil)
		}
	}
	return f, nil
}
