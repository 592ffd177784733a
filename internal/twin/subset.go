package twin

// Subset says which rows a partial Twin keeps. What it asks for is the least
// that is kept: each kept row brings the rows that it refers to.
//
// Tables are named as SQL names them, schema and name, in full.
type Subset struct {
	// Roots are the rows that are asked for. Everything else follows from them.
	Roots []Root `json:"roots"`
	// References are rules for the schema's references, and references that the
	// schema does not declare.
	References []Reference `json:"references,omitempty"`
	// Whole are patterns of tables that are copied whole, Empty of tables of
	// which nothing is copied. "*" matches any run of characters of a name.
	Whole []string `json:"whole,omitempty"`
	Empty []string `json:"empty,omitempty"`
	// MaxRows refuses the run if more rows would be kept; 0 is no bound.
	MaxRows int64 `json:"max_rows,omitempty"`
}

// Root names rows of one table. Without Where, Limit and Percent it is all of
// them.
type Root struct {
	Table string `json:"table"`
	// Where is an SQL expression over the table's columns.
	Where string `json:"where,omitempty"`
	// OrderBy is what Limit takes the first of; empty means by the table's key.
	OrderBy string `json:"order_by,omitempty"`
	Limit   int64  `json:"limit,omitempty"`
	// Percent keeps that share of the rows, the same ones in every run; 0 means
	// all. It lies between 0 and 100.
	Percent float64 `json:"percent,omitempty"`
}

// Reference is a rule for a reference from Columns of Table: for the foreign
// key that is declared on these columns, or, if To is set, for a reference that
// the schema does not declare.
type Reference struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
	// To and ToColumns are what is referred to, of an undeclared reference.
	To        string   `json:"to,omitempty"`
	ToColumns []string `json:"to_columns,omitempty"`
	// When is an SQL expression over Table's columns: only rows that satisfy it
	// refer to To. A column that refers to several tables takes one Reference
	// for each.
	When string `json:"when,omitempty"`
	// Follow says whether the rows that refer to a kept row are kept too. Nil
	// leaves it to the rule: yes, unless the reference is part of a cycle.
	Follow *bool `json:"follow,omitempty"`
	// Where, Limit and OrderBy restrict the rows that are followed: Limit is
	// for each row that is referred to.
	Where   string `json:"where,omitempty"`
	OrderBy string `json:"order_by,omitempty"`
	Limit   int64  `json:"limit,omitempty"`
	// Nullify leaves the row that is referred to out, and writes NULL instead,
	// unless it is kept for another reason.
	Nullify bool `json:"nullify,omitempty"`
}

// UsesSQL reports whether a person's SQL is part of it.
func (s Subset) UsesSQL() bool {
	for _, r := range s.Roots {
		if r.Where != "" || r.OrderBy != "" {
			return true
		}
	}
	for _, r := range s.References {
		if r.When != "" || r.Where != "" || r.OrderBy != "" {
			return true
		}
	}
	return false
}

// Rule is why a table's rows are kept.
type Rule string

// The rules.
const (
	KeptRoot    Rule = "root"    // asked for by name
	KeptReached Rule = "reached" // through references alone
	KeptWhole   Rule = "whole"   // all of it, asked for or small and unrelated
	KeptNothing Rule = "nothing" // empty, asked for or not related to any root
)

// Selection is what a partial Twin keeps of one table, and why.
type Selection struct {
	Table string `json:"table"`
	Rule  Rule   `json:"rule"`
	// Rows are kept, of so many by the source's estimate; Of is -1 where the
	// source does not know.
	Rows int64 `json:"rows"`
	Of   int64 `json:"of"`
	// Why lists what brought the rows, most first. A row counts for what brought
	// it first.
	Why []Reason `json:"why,omitempty"`
	// Path leads from a root to this table, as tables.
	Path []string `json:"path,omitempty"`
}

// Reason is one thing that brought rows of a table.
type Reason struct {
	Rows int64 `json:"rows"`
	// Words say it, such as "referred to by public.orders (customer_id)".
	Words string `json:"words"`
}
