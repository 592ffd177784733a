package refresh

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/subset"
	"github.com/neontwin/neontwin/internal/twin"
)

// checkSubset refuses what says one thing by its mode and another one by its
// subset: it would copy more than somebody meant to, or less.
func (j Job) checkSubset() error {
	switch {
	case j.Mode == twin.Partial && (j.Subset == nil || len(j.Subset.Roots) == 0):
		return twin.Refuse("a partial Twin needs to be told which rows to keep", "name at least one root in the Twin's file: subset: {roots: [{table: public.customers, limit: 1000}]}")
	case j.Mode == twin.SchemaOnly && j.Subset != nil && len(j.Subset.Roots) > 0:
		return twin.Refuse("a Twin of mode schema_only keeps no rows but of tables that it names whole", "take the roots out of its subset, or write mode: partial")
	case j.Mode == twin.Full && j.Subset != nil:
		return twin.Refuse("a Twin of mode full keeps all rows, and yet has a subset", "write mode: partial, or take the subset out")
	}
	return nil
}

// planSubset says how the rows of a partial Twin will be found, nil where all
// are kept.
func (s *sync) planSubset() (*subset.Plan, error) {
	var what twin.Subset
	switch {
	case s.Subset != nil:
		what = *s.Subset
	case s.Mode != twin.SchemaOnly:
		return nil, nil
	}
	p, err := subset.New(s.schema, what)
	if err != nil {
		return nil, err
	}
	// What costs the source too much is refused before it costs anything.
	if refused := clone.Refusing(clone.Accept(p.Hazards(), s.Accept)); len(refused) > 0 {
		return nil, refusal(refused)
	}
	return p, nil
}

// choose finds the rows that a partial Twin keeps.
func (s *sync) choose(ctx context.Context, p *subset.Plan) (*subset.Result, error) {
	if p == nil {
		return nil, nil
	}
	s.track.Begin(twin.Select)
	open := func(ctx context.Context) (*pgx.Conn, error) {
		return pgcopy.Reader(ctx, s.Source, s.app, s.holder.Snapshot.ID)
	}
	rows, err := p.Close(ctx, open, s.Jobs, s.track.Found)
	if err != nil && !errors.As(err, new(*twin.Failure)) {
		err = &sourceError{"choose the rows to keep", err}
	}
	return rows, err
}
