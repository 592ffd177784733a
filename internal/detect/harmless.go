package detect

// harmless looks for a rule by which a column can be nobody's.
func harmless(_ Column, _ []string, _ saying) Finding { return Finding{} }
