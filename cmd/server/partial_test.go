package main

import (
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/githubtest"
)

const shop = `create table customers (id int primary key, name text);
	insert into customers select i, 'customer ' || i from generate_series(1, 500) i;
	create table orders (id int primary key, customer int not null references customers);
	insert into orders select i, 1 + i % 500 from generate_series(1, 2000) i;
	create table log (id int primary key, customer int references customers);
	insert into log select i, i from generate_series(1, 500) i;
	analyze`

// partial is a repository's file with a partial Twin of so many customers.
func partial(root string) map[string]string {
	return map[string]string{".github/neon-twin.yml": `version: 1
twins:
  staging:
    source: env
    target: env
    on: {pull_request: }
    mode: partial
    subset:
      roots: [` + root + `]
      empty: [public.log]
`}
}

// TestPartialTwin: a merged pull request brings a part of the database, and its
// check says which. A subset that does not fit the source waits for a person
// and leaves the Twin as it was.
func TestPartialTwin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop)
	w.start()
	w.push(githubtest.Push{Files: partial("{table: public.customers, limit: 20}")})
	pr := w.merge(1, githubtest.Merge{})
	checks := w.awaitChecks(pr, 60*time.Second)
	w.requireGreen(pr)
	for _, want := range []string{"public.orders", "80", "20 of about 500", "asked for", "refers to public.customers"} {
		if got := checks[0].Title + checks[0].Summary; !strings.Contains(got, want) {
			t.Errorf("the check does not say %q:\n%s", want, got)
		}
	}
	kept := func() string {
		return scan[string](w, w.target, `select concat_ws(' ', (select count(*) from customers), (select count(*) from orders o join customers c on c.id = o.customer), (select count(*) from log))`)
	}
	if got := kept(); got != "20 80 0" {
		t.Errorf("the Twin has %s customers, orders and lines of the log, want 20 80 0", got)
	}

	w.push(githubtest.Push{Files: partial("{table: public.custommers, limit: 20}")})
	for _, c := range w.awaitChecks(w.merge(2, githubtest.Merge{}), 60*time.Second) {
		if c.Conclusion != "action_required" || !strings.Contains(c.Title+c.Summary, "public.custommers") {
			t.Errorf("the check is %s: %s\n%s", c.Conclusion, c.Title, c.Summary)
		}
	}
	if got := kept(); got != "20 80 0" {
		t.Errorf("after a refusal the Twin has %s", got)
	}
}
