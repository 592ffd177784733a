package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// TestKeys tells what rows can be told apart and found by, and what tables
// inherit from: of all tables, with rows and with partitions.
func TestKeys(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pgtest.Exec(t, url, `
		CREATE TABLE a_primary (a int UNIQUE, b int, c text COLLATE "C", PRIMARY KEY (c, b));
		CREATE INDEX ON a_primary (b, lower(c), a); CREATE INDEX ON a_primary (lower(c)); CREATE INDEX ON a_primary (a) WHERE b > 0;
		CREATE INDEX ON a_primary USING hash (c); CREATE INDEX ON a_primary USING brin (b);
		CREATE TABLE b_unique (a int UNIQUE, b int NOT NULL, c int NOT NULL, d int NOT NULL, UNIQUE (c, d) INCLUDE (a));
		CREATE UNIQUE INDEX ON b_unique ((b + 1)); CREATE UNIQUE INDEX ON b_unique (b) WHERE c > 0;
		CREATE TABLE c_none (a int UNIQUE, b int);
		CREATE TABLE d_parts (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);
		CREATE TABLE d_parts_x PARTITION OF d_parts FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
		CREATE TABLE d_parts_1 PARTITION OF d_parts_x FOR VALUES FROM (0) TO (5);
		CREATE INDEX ON ONLY d_parts (t);
		CREATE TABLE e_heir (own text) INHERITS (c_none, b_unique)`)
	s := read(t, url)
	names := make(map[uint32]string)
	for _, list := range [][]catalog.Table{s.Parents, s.Tables} {
		for _, x := range list {
			names[x.OID] = x.Name.Name
		}
	}
	var got []string
	for _, list := range [][]catalog.Table{s.Parents, s.Tables} {
		for _, x := range list {
			line := fmt.Sprintf("%s key %v indexes %v", x.Name.Name, x.Key, x.Indexes)
			for _, up := range x.Inherits {
				line += " of " + names[up]
			}
			for _, c := range x.Columns {
				if c.Collation != "" {
					line += " " + c.Name + " by " + c.Collation
				}
			}
			got = append(got, line)
		}
	}
	want := []string{
		`d_parts key [id] indexes [[id]] t by pg_catalog."default"`,
		`d_parts_x key [id] indexes [[id]] of d_parts t by pg_catalog."default"`,
		`a_primary key [c b] indexes [[c b] [a] [c] [b]] c by pg_catalog."C"`,
		`b_unique key [c d] indexes [[a] [c d]]`,
		`c_none key [] indexes [[a]]`,
		`d_parts_1 key [id] indexes [[id]] of d_parts_x t by pg_catalog."default"`,
		`e_heir key [] indexes [] of c_none of b_unique own by pg_catalog."default"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s.BlockSize != 8192 {
		t.Errorf("pages of %d bytes", s.BlockSize)
	}
	var equal []string
	for _, name := range []string{"int4", "text"} {
		for _, x := range s.Types {
			if x.Name.Name == name {
				equal = append(equal, x.Equal)
			}
		}
	}
	if strings.Join(equal, " ") != "OPERATOR(pg_catalog.=) OPERATOR(pg_catalog.=)" {
		t.Errorf("compared by %v", equal)
	}
}
