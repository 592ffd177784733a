package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/twin"
)

// shop has customers with orders, who refer to countries and each other, and a
// table that nothing refers to.
const shop = `create table countries (code text primary key);
	insert into countries values ('de'), ('fr'), ('nz');
	create table customers (id int primary key, country text not null references countries, referred_by int references customers);
	insert into customers select i, (array['de', 'fr'])[1 + i % 2], case when i > 1 then i - 1 end from generate_series(1, 50) i;
	insert into customers select i, 'nz', null from generate_series(51, 500) i;
	create table orders (id int generated always as identity primary key, customer_id int not null references customers);
	insert into orders (customer_id) select 1 + i % 500 from generate_series(1, 5000) i;
	create table audit_log (id int primary key, what text);
	insert into audit_log select i, 'x' from generate_series(1, 1000) i;
	analyze`

// TestPartial plans and syncs a partial Twin as a repository's file describes it.
func TestPartial(t *testing.T) {
	t.Parallel()
	p := newPair(t, shop)
	args := []string{"--file", "testdata/partial.yml", "--twin", "small"}

	code, out, errs := p.command(append([]string{"plan"}, args...)...)
	if code != exitPublished {
		t.Fatalf("plan: exit code %d:\n%s%s", code, out, errs)
	}
	for _, want := range []string{
		`public\.customers +65 of about 500 +root +45: referred to by public\.customers \(referred_by\); 20: asked for`,
		`public\.orders +40 of about 5,000 +reached +refers to public\.customers by \(customer_id\)`,
		`public\.countries +3 of about 3 +reached +referred to by public\.customers \(country\)`,
		`public\.audit_log +0 of about 1,000 +nothing `,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the plan has no %s:\n%s", want, out)
		}
	}
	var plan planJSON
	_, out, _ = p.command(append([]string{"plan", "--json"}, args...)...)
	decodeStrictly(t, out, &plan)
	if plan.Mode != twin.Partial || len(plan.Selections) != 4 || plan.Rows != 108 {
		t.Errorf("the plan: %+v", plan)
	}

	code, out, errs = p.command(append([]string{"sync"}, args...)...)
	if code != exitPublished || !regexp.MustCompile(`Kept 108 of about 6,503 rows`).MatchString(out) {
		t.Fatalf("sync: exit code %d:\n%s%s", code, out, errs)
	}
	if !regexp.MustCompile(`(?m)^select +2 %`).MatchString(errs) {
		t.Errorf("progress does not name the choosing of rows:\n%s", errs)
	}
	if n := p.count(p.target, "select count(*) from customers"); n != 65 {
		t.Errorf("the Twin holds %d customers", n)
	}
	if n := p.count(p.target, "select count(*) from orders o join customers c on c.id = o.customer_id"); n != 40 {
		t.Errorf("the Twin holds %d orders of its customers", n)
	}
	if n := p.count(p.target, "select count(*) from pg_constraint where contype = 'f' and not convalidated"); n != 0 {
		t.Errorf("%d foreign keys are not valid", n)
	}
	code, out, errs = p.command("verify")
	if code != exitEqual || !strings.Contains(out, "Not compared: the rows") {
		t.Errorf("verify: exit code %d:\n%s%s", code, out, errs)
	}
}

// TestSchemaOnly makes Twins without rows, and without rows but of a lookup.
func TestSchemaOnly(t *testing.T) {
	t.Parallel()
	p := newPair(t, shop)
	if code, out, errs := p.command("sync", "--mode", "schema_only"); code != exitPublished {
		t.Fatalf("exit code %d:\n%s%s", code, out, errs)
	}
	for _, table := range []string{"countries", "customers", "orders", "audit_log"} {
		if n := p.count(p.target, "select count(*) from "+pgx.Identifier{table}.Sanitize()); n != 0 {
			t.Errorf("the Twin holds %d rows of %s", n, table)
		}
	}
	if code, out, errs := p.command("sync", "--file", "testdata/partial.yml", "--twin", "bare"); code != exitPublished {
		t.Fatalf("exit code %d:\n%s%s", code, out, errs)
	}
	if n := p.count(p.target, "select count(*) from countries"); n != 3 {
		t.Errorf("the Twin holds %d countries", n)
	}
	if n := p.count(p.target, "select count(*) from customers"); n != 0 {
		t.Errorf("the Twin holds %d customers", n)
	}
}
