package catalog_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtest"
)

// TestFacts tells what a schema demands of values beside their types, where it
// is said in an expression or a predicate too.
func TestFacts(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	pgtest.Exec(t, url, `
		CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
		CREATE DOMAIN zip AS varchar(10) NOT NULL CHECK (VALUE ~ '^[0-9]+$');
		CREATE TABLE people (id int PRIMARY KEY, mail text, login text, born date, code zip, feels mood,
			CONSTRAINT adult CHECK (born < '2010-01-01' AND char_length(mail) <= 60),
			UNIQUE (login, born), EXCLUDE USING btree (mail WITH =));
		CREATE UNIQUE INDEX people_low ON people (lower(mail)) WHERE login IS NOT NULL;
		CREATE TABLE events (at date, kind text, region text) PARTITION BY RANGE (lower(region), at);
		CREATE TABLE events_rest PARTITION OF events DEFAULT;
		INSERT INTO people SELECT i, 'm' || i, 'l' || i % 10, date '2000-01-01' + i, '1', 'ok' FROM generate_series(1, 100) i;
		ANALYZE people`)
	s := read(t, url)
	f := inTx(t, url, func(ctx context.Context, q catalog.Querier) (*catalog.Facts, error) {
		return catalog.ReadFacts(ctx, q, s)
	})
	var got []string
	for _, table := range slices.Concat(s.Tables, s.Parents) {
		for _, u := range f.Uniques[table.OID] {
			got = append(got, fmt.Sprintf("%s %s %s %v %s %v", table.Name.Name, u.Kind, u.Name, u.Columns, u.Strategy, u.Default))
		}
		for _, c := range f.Checks[table.OID] {
			got = append(got, fmt.Sprintf("%s %s %v %s", table.Name.Name, c.Name, c.Columns, c.Expression))
		}
	}
	for _, ty := range s.Types {
		if d, ok := f.Domains[ty.OID]; ok {
			got = append(got, fmt.Sprintf("domain %s %s %v %s", ty.Name.Name, d.Base, d.NotNull, f.Checks[ty.OID][0].Expression))
		}
		if labels := f.Labels[ty.OID]; labels != nil {
			got = append(got, fmt.Sprintf("enum %s %v", ty.Name.Name, labels))
		}
	}
	people := s.Tables[slices.IndexFunc(s.Tables, func(t catalog.Table) bool { return t.Name.Name == "people" })]
	got = append(got, fmt.Sprint(f.Distinct[people.OID]))
	slices.Sort(got)
	want := []string{
		"domain zip character varying(10) true ((VALUE)::text ~ '^[0-9]+$'::text)",
		"enum mood [sad ok happy]",
		"events partition RANGE (lower(region), at) [at region] r true",
		"map[born:100 code:1 feels:1 id:100 login:10 mail:100]",
		"people adult [born mail] ((born < '2010-01-01'::date) AND (char_length(mail) <= 60))",
		"people exclusion people_mail_excl [mail]  false",
		"people primary key people_pkey [id]  false",
		"people unique people_login_born_key [login born]  false",
		"people unique people_low [login mail]  false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
