package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Facts are what a schema demands of the values of its columns beside their
// types. Whoever writes other values than the source's must know them.
type Facts struct {
	// Uniques are what tells rows apart or says where they belong, by table.
	Uniques map[uint32][]Unique
	// Checks are the CHECKs of tables by table, and of domains by type.
	Checks map[uint32][]Check
	// Domains are by type.
	Domains map[uint32]Domain
	// Labels are the enums' by type, in their order.
	Labels map[uint32][]string
	// Distinct are about how many different values columns have, by table and
	// column, where statistics tell.
	Distinct map[uint32]map[string]int64
}

// UniqueKind says what a Unique is.
type UniqueKind string

// The kinds of Unique.
const (
	UniquePrimary   UniqueKind = "primary key"
	UniqueIndex     UniqueKind = "unique"
	UniqueExclusion UniqueKind = "exclusion"
	UniquePartition UniqueKind = "partition" // the key of a partitioned table
)

// Unique are columns of which not every combination may stand in every row.
type Unique struct {
	Name    string // the index's; of a partition key its definition
	Kind    UniqueKind
	Columns []string
	// Strategy is a partition key's: "r" (range), "l" (list) or "h" (hash).
	Strategy string
	// Default is set if a partition takes what no other one does.
	Default bool
}

// Check is a CHECK constraint.
type Check struct {
	Name string
	// Expression is what must not be false. A domain's speaks of VALUE.
	Expression string
	Columns    []string
}

// Domain is what a domain adds to its base type.
type Domain struct {
	// Base is the type that it is made of, with its modifier.
	Base    string
	NotNull bool
}

// ReadFacts reads them. q must be in a transaction in which Read was called.
func ReadFacts(ctx context.Context, q Querier, s *Schema) (*Facts, error) {
	f := &Facts{
		Uniques: map[uint32][]Unique{}, Checks: map[uint32][]Check{}, Domains: map[uint32]Domain{},
		Labels: map[uint32][]string{}, Distinct: map[uint32]map[string]int64{},
	}
	major := s.ServerVersion / 10000
	one := func(name string, scan func(pgx.Rows) error) func() error {
		return func() error {
			_, err := collect(ctx, q, name, major, func(rows pgx.Rows, _ *struct{}) error { return scan(rows) })
			return err
		}
	}
	for _, step := range []func() error{
		one("uniques", f.unique), one("checks", f.check), one("domains", f.domain), one("labels", f.label), one("distinct", f.distinct),
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("read facts about columns: %w", err)
		}
	}
	return f, nil
}

func (f *Facts) unique(rows pgx.Rows) error {
	var table uint32
	var u Unique
	err := rows.Scan(&table, &u.Name, &u.Kind, &u.Strategy, &u.Columns, &u.Default)
	f.Uniques[table] = append(f.Uniques[table], u)
	return err
}

func (f *Facts) check(rows pgx.Rows) error {
	var table, domain uint32
	var c Check
	err := rows.Scan(&table, &domain, &c.Name, &c.Expression, &c.Columns)
	of := max(table, domain) // the other one is 0
	f.Checks[of] = append(f.Checks[of], c)
	return err
}

func (f *Facts) domain(rows pgx.Rows) error {
	var oid uint32
	var d Domain
	err := rows.Scan(&oid, &d.Base, &d.NotNull)
	f.Domains[oid] = d
	return err
}

func (f *Facts) label(rows pgx.Rows) error {
	var oid uint32
	var labels []string
	err := rows.Scan(&oid, &labels)
	f.Labels[oid] = labels
	return err
}

// distinct takes what the planner does: below zero it is a share of the rows.
// The statistics of a parent with all its children come last and count.
func (f *Facts) distinct(rows pgx.Rows) error {
	var table uint32
	var column string
	var n float32
	var tuples float32
	if err := rows.Scan(&table, &column, &n, &tuples); err != nil {
		return err
	}
	if n < 0 {
		n = -n * max(tuples, 0)
	}
	if f.Distinct[table] == nil {
		f.Distinct[table] = map[string]int64{}
	}
	f.Distinct[table][column] = int64(n)
	return nil
}
