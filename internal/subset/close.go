package subset

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Close finds the rows.
func (p *Plan) Close(ctx context.Context, open func(context.Context) (*pgx.Conn, error), workers int, progress func(rows int64)) (*Result, error) {
	return nil, errors.New("not yet")
}
