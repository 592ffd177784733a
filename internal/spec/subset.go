package spec

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/neontwin/neontwin/internal/twin"
)

// What a subset may hold at most.
const (
	maxRoots      = 100
	maxReferences = 200
	maxColumns    = 32 // of a key, as in PostgreSQL
	maxSQL        = 2000
	maxCount      = 1_000_000_000_000
)

const (
	subsetExample    = `{roots: [{table: public.customers, limit: 1000}]}`
	rootExample      = `{table: public.customers, limit: 1000}`
	referenceExample = `{table: public.orders, columns: [customer_id], limit: 100}`
)

// subset reads which rows a Twin keeps, and where each part of it stands. What
// the parts mean together with the mode is checked by fits.
func (p *parser) subset(e entry) *twin.Subset {
	s := &twin.Subset{}
	list := p.mapping(e, subsetExample)
	if m, ok := e.value.(ast.MapNode); e.value == nil || ok && !m.MapRange().Next() {
		p.fail(e.at, "subset is empty; write subset: %s", subsetExample)
	}
	for _, f := range list {
		switch f.key {
		case "roots":
			for _, item := range p.items(f, maxRoots, rootExample) {
				s.Roots = append(s.Roots, p.root(item))
			}
		case "references":
			s.References = p.references(f)
		case "whole":
			s.Whole = p.tablePatterns(f)
		case "empty":
			s.Empty = p.tablePatterns(f)
		case "max_rows":
			s.MaxRows = p.count(f)
		default:
			p.unknown(f, "roots", "references", "whole", "empty", "max_rows")
		}
	}
	for _, pattern := range s.Whole {
		if slices.Contains(s.Empty, pattern) {
			p.fail(e.at, "whole and empty both name %s; keep one", quoted(pattern))
		}
	}
	return s
}

// fits checks the subset of a Twin and its masking, which stand at rows and
// columns, against its mode. The mode is empty where it has an error of its own.
func (p *parser) fits(twinAt *token.Token, s twin.Spec, rows, columns entry) {
	switch s.Mode {
	case twin.Partial:
		if s.Subset == nil {
			p.fail(twinAt, "the Twin %s has no subset, and mode: partial keeps what it says; write subset: %s", quoted(s.Name), subsetExample)
		}
		p.rooted(rows)
	case twin.Anonymized:
		p.rooted(rows)
	case twin.SchemaOnly:
		p.wholeOnly(rows)
	case twin.Full:
		if s.Subset != nil {
			p.fail(rows.at, "a subset is for mode: partial, and mode: full keeps every row; write mode: partial, or leave the subset out")
		}
		if s.Masking != nil {
			p.fail(columns.at, "%s is for mode: anonymized, and mode: full passes every value on; write mode: anonymized, or leave it out", columns.key)
		}
	case twin.Synthetic: // not carried out yet, which is said
	}
}

// rooted notes a subset without a root.
func (p *parser) rooted(rows entry) {
	inner := p.within(rows)
	if len(inner) > 0 && !slices.ContainsFunc(inner, func(f entry) bool { return f.key == "roots" }) {
		p.fail(rows.at, "subset has no roots, so that nothing would be kept; write roots: [%s]", rootExample)
	}
}

// wholeOnly holds the subset of a Twin without rows to the tables that are
// copied all the same.
func (p *parser) wholeOnly(rows entry) {
	for _, f := range p.within(rows) {
		if slices.Contains([]string{"roots", "references", "empty", "max_rows"}, f.key) {
			p.fail(f.at, "mode: schema_only copies no rows but those of tables under whole; leave %s out, or write mode: partial", f.key)
		}
	}
}

// within gives the keys of a value, none where it is no mapping. What is wrong
// with them has been said, and is not said twice.
func (p *parser) within(e entry) []entry {
	m, ok := e.value.(ast.MapNode)
	if !ok {
		return nil
	}
	return p.entries(m)
}

// root reads one table whose rows are asked for.
func (p *parser) root(item entry) (r twin.Root) {
	seen := p.each(item, func(f entry) bool {
		switch f.key {
		case "table":
			r.Table = p.tableName(f)
		case "where":
			r.Where = p.sql(f, `"created_at > now() - interval '90 days'"`)
		case "order_by":
			r.OrderBy = p.sql(f, `"created_at desc"`)
		case "limit":
			r.Limit = p.count(f)
		case "percent":
			r.Percent = p.percent(f)
		default:
			return false
		}
		return true
	}, "table", "where", "percent", "limit", "order_by")
	if seen == nil {
		return r
	}
	if seen["table"] == nil {
		p.fail(item.at, "the root has no table; write %s", rootExample)
	}
	p.ordersLimit(seen)
	return r
}

// ordersLimit notes an order of rows of which all are taken.
func (p *parser) ordersLimit(seen map[string]*token.Token) {
	if at := seen["order_by"]; at != nil && seen["limit"] == nil {
		p.fail(at, "order_by says which rows a limit takes first; add a limit, or leave order_by out")
	}
}

// references reads the rules for references; two for the same one are an error.
func (p *parser) references(e entry) []twin.Reference {
	var out []twin.Reference
	lines := map[string]int{}
	for _, item := range p.items(e, maxReferences, referenceExample) {
		r := p.reference(item)
		out = append(out, r)
		if r.Table == "" || len(r.Columns) == 0 {
			continue
		}
		key := fmt.Sprintf("%q", []any{r.Table, r.Columns, r.To, r.ToColumns, r.When})
		if line, dup := lines[key]; dup {
			p.fail(item.at, "the same reference has a rule on line %d; make them one", line)
			continue
		}
		lines[key] = item.at.Position.Line
	}
	return out
}

// reference reads one rule.
func (p *parser) reference(item entry) (r twin.Reference) {
	seen := p.each(item, func(f entry) bool {
		switch f.key {
		case "table":
			r.Table = p.tableName(f)
		case "columns":
			r.Columns = p.columns(f)
		case "to":
			r.To = p.tableName(f)
		case "to_columns":
			r.ToColumns = p.columns(f)
		case "when":
			r.When = p.sql(f, `"subject_type = 'order'"`)
		case "follow":
			r.Follow = p.boolean(f)
		case "where":
			r.Where = p.sql(f, `"status <> 'draft'"`)
		case "order_by":
			r.OrderBy = p.sql(f, `"id desc"`)
		case "limit":
			r.Limit = p.count(f)
		case "on_missing":
			r.Nullify = p.onMissing(f)
		default:
			return false
		}
		return true
	}, "table", "columns", "to", "to_columns", "when", "follow", "where", "limit", "order_by", "on_missing")
	if seen == nil {
		return r
	}
	for _, need := range []string{"table", "columns"} {
		if seen[need] == nil {
			p.fail(item.at, "the reference has no %s; write %s", need, referenceExample)
		}
	}
	p.meansSomething(item, r, seen)
	return r
}

// meansSomething notes parts of a rule that are without effect.
func (p *parser) meansSomething(item entry, r twin.Reference, seen map[string]*token.Token) {
	to, toColumns := seen["to"], seen["to_columns"]
	switch {
	case to != nil && toColumns == nil:
		p.fail(to, "to names a table without its columns; add to_columns: [id]")
	case to == nil && toColumns != nil:
		p.fail(toColumns, "to_columns are columns of the table under to; add to: public.orders")
	case len(r.ToColumns) != 0 && len(r.Columns) != 0 && len(r.ToColumns) != len(r.Columns):
		p.fail(toColumns, "columns has %d and to_columns %d; each column needs the one it refers to", len(r.Columns), len(r.ToColumns))
	}
	if at := seen["when"]; at != nil && to == nil {
		p.fail(at, "when is for a reference that the schema does not declare; add to and to_columns, or leave it out")
	}
	if r.Follow != nil && !*r.Follow {
		for _, key := range []string{"where", "limit"} {
			if at := seen[key]; at != nil {
				p.fail(at, "%s restricts rows that are followed, and follow is false; keep one of the two", key)
			}
		}
	}
	p.ordersLimit(seen)
	for _, key := range []string{"to", "to_columns", "when", "follow", "where", "limit", "order_by", "on_missing"} {
		if seen[key] != nil {
			return
		}
	}
	p.fail(item.at, "the rule says nothing about the reference; add follow, limit, where, on_missing or to, or leave it out")
}

// onMissing reads what becomes of a reference to a row that is not kept.
func (p *parser) onMissing(e entry) bool {
	v, ok := p.text(e, "nullify")
	if ok && v != "nullify" {
		p.fail(e.value.GetToken(), "%s is nothing that on_missing can be; write on_missing: nullify, or leave it out to keep the row that is referred to", quoted(v))
	}
	return ok
}
