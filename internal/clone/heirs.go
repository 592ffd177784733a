package clone

import "github.com/neontwin/neontwin/internal/catalog"

// validChecks come after a parent's CHECK that is not valid: its children get it
// in the same state, and may have had a better one.
func validChecks(s *catalog.Schema) []Statement {
	out := make([]Statement, len(s.ValidChecks))
	for i, sql := range s.ValidChecks {
		out[i] = Statement{What: "CHECK of a child table", SQL: sql + ";\n"}
	}
	return out
}

// nullable lets the columns of heirs take NULL whose parents' don't.
func nullable(s *catalog.Schema) []Statement {
	out := make([]Statement, len(s.Nullable))
	for i, column := range s.Nullable {
		out[i] = Statement{What: "a child table's column", SQL: "ALTER TABLE ONLY " + column + " DROP NOT NULL;\n"}
	}
	return out
}
