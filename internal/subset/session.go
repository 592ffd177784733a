package subset

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/twin"
)

// prepare is for all sessions. Joins of many rows want memory, and the text of
// a value, which percent goes by, must be the same in every run. Rows that are
// named by where they lie come in order, many from a page: they cost far less
// than the planner's random pages, for which it would read whole tables. And no
// query may take more of the source's processors than its session.
const prepare = `SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; SET LOCAL random_page_cost = 0.1; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL search_path = ''; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD';
	SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'`

// session is one connection that sees the snapshot.
type session struct {
	conn *pgx.Conn
	buf  []byte // of parameters
}

// exec runs statements that give nothing.
func (s *session) exec(ctx context.Context, sql string) error {
	_, err := s.conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// query gives each row's columns in binary, until each says that it is enough.
// They are only good until the next. Rows number first up to limit of rows are
// the parameter, if there are any, and after it the first and last of them.
func (s *session) query(ctx context.Context, sql string, rows *Rows, first, limit int64, each func([][]byte) error) error {
	var params [][]byte
	var types []uint32
	if rows != nil {
		var err error
		if s.buf, err = rows.appendArray(s.buf[:0], first, limit); err != nil {
			return err
		}
		params = [][]byte{s.buf, s.buf[tidArrayHeader+4 : tidArrayHeader+10], s.buf[len(s.buf)-6:]}
		types = []uint32{tidArrayOID, tidOID, tidOID}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	rr := s.conn.PgConn().ExecParams(ctx, sql, params, types, []int16{1}, []int16{1})
	for rr.NextRow() {
		if err := each(rr.Values()); err != nil {
			stop() // else the rest of the rows would be read
			_, _ = rr.Close()
			return err
		}
	}
	_, err := rr.Close()
	return err
}

// sessions are opened as they are needed, and kept until the search ends.
type sessions struct {
	open func(context.Context) (*pgx.Conn, error)
	most int

	mu   sync.Mutex
	idle []*session
	all  []*session
}

func (p *sessions) take(ctx context.Context) (*session, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		s := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return s, nil
	}
	p.mu.Unlock()
	conn, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn}
	p.mu.Lock()
	p.all = append(p.all, s)
	p.mu.Unlock()
	return s, s.exec(ctx, prepare)
}

func (p *sessions) give(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, s)
}

func (p *sessions) closeAll(ctx context.Context) {
	for _, s := range p.all {
		_ = s.conn.Close(ctx) // it only read
	}
}

// each does n things side by side, and stops all of them at the first error.
func (p *sessions) each(ctx context.Context, n int, do func(ctx context.Context, s *session, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.most)
	for i := range n {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s, err := p.take(ctx)
			if err != nil {
				return err
			}
			if err := do(ctx, s, i); err != nil {
				return err // a session in a failed transaction reads nothing more
			}
			p.give(s)
			return nil
		})
	}
	return g.Wait()
}

// probe is a statement that shows whether the server takes a person's words.
type probe struct {
	table         catalog.Name
	setting, text string
	sql           string
}

// probes are all statements that a person's SQL can be tried by, each in the
// scope that it will have.
func (p *Plan) probes() []probe {
	var out []probe
	add := func(table catalog.Name, from, setting, text, format string) {
		if text != "" {
			out = append(out, probe{table: table, setting: setting, text: text, sql: "SELECT FROM " + from + fmt.Sprintf(format, text)})
		}
	}
	for _, r := range p.Roots {
		add(r.Table, r.from, "where", r.Where, " WHERE (%s)")
		add(r.Table, r.from, "order_by", r.OrderBy, " ORDER BY %s, ctid")
	}
	for _, e := range p.wrote {
		from := e.child.from()
		add(e.Table, from, "when", e.When, " WHERE (%s)")
		add(e.Table, from, "where", e.Where, " WHERE (%s)")
		add(e.Table, from, "order_by", e.OrderBy, " ORDER BY %s, ctid")
		if e.Constraint == "" {
			out = append(out, probe{
				table: e.Table, setting: "columns", text: fmt.Sprintf("(%s) can't be compared with %s (%s)", names(e.Columns), e.Parent, names(e.ParentColumns)),
				sql: "SELECT FROM " + e.source(from, "") + " JOIN " + e.parent.from() + " AS p ON " + e.on("p", e.keys()),
			})
		}
	}
	return out
}

// try has the server parse what a person wrote, before anything is read.
func (p *Plan) try(ctx context.Context, s *session) error {
	var problems []string
	for _, x := range p.probes() {
		if err := s.exec(ctx, "SAVEPOINT probe"); err != nil {
			return err
		}
		_, err := s.conn.PgConn().Prepare(ctx, "", x.sql, nil)
		var said *pgconn.PgError
		switch {
		case err == nil:
		case !errors.As(err, &said) || !persons(said.Code):
			return err
		case x.setting == "columns":
			problems = append(problems, fmt.Sprintf("%s: %s: name columns of types that compare", x.table, x.text))
		case strings.HasPrefix(said.Code, "42"):
			// The text of these is about the SQL, not about a row.
			problems = append(problems, fmt.Sprintf("%s of %s: %s (%s)", x.setting, x.table, said.Message, said.Code))
		default:
			problems = append(problems, fmt.Sprintf("%s of %s is not taken by the source (SQLSTATE %s)", x.setting, x.table, said.Code))
		}
		if err := s.exec(ctx, "ROLLBACK TO probe; RELEASE probe"); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return twin.Refuse("the source does not take the subset's SQL: "+strings.Join(problems, "; "), "correct the subset in the Twin's file")
	}
	return nil
}

// persons reports whether an error is about what was asked, so that it comes
// again however often one tries.
func persons(code string) bool {
	if len(code) != 5 {
		return false
	}
	switch code[:2] {
	case "0A", "20", "21", "22", "2F", "38", "39", "42", "P0":
		return true
	}
	return code == "25006" // something was to be written
}

// blame makes a refusal of an error that a person's SQL has caused. The text of
// it may quote a row, so that only its code is told.
func blame(err error, table catalog.Name, settings []string) error {
	var said *pgconn.PgError
	if len(settings) == 0 || !errors.As(err, &said) {
		return err
	}
	what := strings.Join(settings, " or ") + " of " + table.String()
	switch {
	case said.Code == "57014":
		return twin.Refuse(fmt.Sprintf("%s took the source longer than %s", what, sqlLimit), "write it so that an index helps, or leave it out")
	// A function may raise this code, too, with words of its own.
	case said.Code == "42501" && said.Routine == "aclcheck_error":
		return twin.Refuse(fmt.Sprintf("%s needs more than the source's role may do: %s", what, said.Message), "grant the role what it needs, or write it otherwise")
	case persons(said.Code):
		return twin.Refuse(fmt.Sprintf("%s failed at the source (SQLSTATE %s)", what, said.Code), "correct the subset in the Twin's file; run it at the source to see what it says")
	}
	return err
}
