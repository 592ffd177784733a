package twin

// Masking says what becomes of the columns of a Twin in which no personal value
// may stand. Every column is masked by a rule, or stated safe, or detected as
// harmless; a column of which nothing is said refuses the run.
//
// Columns are named as SQL names them: schema, table and column, in full. In a
// pattern "*" matches any run of characters of its part.
type Masking struct {
	// Rules mask columns. A rule that names a column counts before one whose
	// pattern matches it, and of several patterns the first.
	Rules []MaskRule `json:"rules,omitempty"`
	// Safe are patterns of columns whose values may pass as they are.
	Safe []string `json:"safe,omitempty"`
	// SafeTypes are types, as SQL writes them, whose values may.
	SafeTypes []string `json:"safe_types,omitempty"`
}

// MaskRule masks the columns that a pattern matches.
type MaskRule struct {
	Column string `json:"column"`
	Mask
}

// Mask is how values are masked: the name of a class and what it takes beside
// it. What the fields mean is said by mask.Rule.
type Mask struct {
	Class      string     `json:"class"`
	Domain     string     `json:"domain,omitempty"`
	By         string     `json:"by,omitempty"` // the column that says whom a row is about
	Value      string     `json:"value,omitempty"`
	Values     []string   `json:"values,omitempty"`
	Keep       int        `json:"keep,omitempty"`
	KeepDomain bool       `json:"keep_domain,omitempty"`
	Locale     string     `json:"locale,omitempty"`
	Days       int        `json:"days,omitempty"`
	Percent    int        `json:"percent,omitempty"`
	Unit       string     `json:"unit,omitempty"`
	Max        int64      `json:"max,omitempty"`
	Paths      []MaskPath `json:"paths,omitempty"`
	Rest       *Mask      `json:"rest,omitempty"`
}

// MaskPath is how one place of a document is masked.
type MaskPath struct {
	Path string `json:"path"`
	Mask
}

// MaskReport is the proof of one run: which columns were masked and how, which
// were not and why. It holds no value.
type MaskReport struct {
	// Key names the secret, so that a rotation can be seen.
	Key     string         `json:"key"`
	Masked  []MaskedColumn `json:"masked"`
	Passed  []PassedColumn `json:"passed"`
	Scanned int64          `json:"scanned"` // values of the new generation that were looked at
}

// MaskedColumn is what happened to one column. Of partitions all are counted
// under the table that they belong to.
type MaskedColumn struct {
	Column string `json:"column"`
	Class  string `json:"class"`
	Domain string `json:"domain"`
	// Why names the rule, or the column that this one is tied to.
	Why string `json:"why"`
	// Values came in and stand-ins went out, Nulls stayed NULL. Of an array its
	// elements count.
	Values int64 `json:"values"`
	Nulls  int64 `json:"nulls"`
	// DistinctIn and DistinctOut are about how many different values there were,
	// and how many different stand-ins.
	DistinctIn  int64 `json:"distinct_in"`
	DistinctOut int64 `json:"distinct_out"`
	// Same came out as they went in, by chance.
	Same int64 `json:"same"`
}

// PassedColumn is a column whose values passed as they were, and why they may.
type PassedColumn struct {
	Column string `json:"column"`
	Why    string `json:"why"`
	// Scanned values of the new generation were looked at, of which Found had
	// the form of personal data: a count for each form.
	Scanned int64            `json:"scanned,omitempty"`
	Found   map[string]int64 `json:"found,omitempty"`
}
