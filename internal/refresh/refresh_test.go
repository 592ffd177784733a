package refresh_test

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// lease is one that is held for ever, unless a test says otherwise.
type lease struct {
	token string
	check func(context.Context) error

	mu     sync.Mutex
	phases []twin.Phase
	last   twin.Progress
}

func (l *lease) Token() string { return l.token }

func (l *lease) Progress(p twin.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.phases) == 0 || l.phases[len(l.phases)-1] != p.Phase {
		l.phases = append(l.phases, p.Phase)
	}
	l.last = p
}

func (l *lease) Check(ctx context.Context) error {
	if l.check != nil {
		return l.check(ctx)
	}
	return ctx.Err()
}

func refresher(t *testing.T) *refresh.Refresher {
	t.Helper()
	return &refresh.Refresher{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func syncTwin(t *testing.T, job refresh.Job, token string) twin.Report {
	t.Helper()
	report, err := refresher(t).Sync(t.Context(), job, &lease{token: token})
	if err != nil {
		t.Fatalf("sync: %v\n%+v", err, twin.AsFailure(err))
	}
	return report
}

// twinOf names a database that does not exist yet, beside the one at url.
func twinOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path += "_twin"
	t.Cleanup(func() {
		for _, name := range databases(t, address, strings.TrimPrefix(u.Path, "/")) {
			pgtest.Exec(t, address, "drop database "+pgx.Identifier{name}.Sanitize()+" with (force)")
		}
	})
	return u.String()
}

// databases lists the databases whose names begin with prefix.
func databases(t *testing.T, address, prefix string) []string {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(context.Background(), "select datname from pg_database where starts_with(datname, $1) order by 1", prefix)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// contentOf is a digest of every table's rows, by name.
func contentOf(t *testing.T, address string) map[string]string {
	t.Helper()
	conn := pgtest.Connect(t, address)
	// By column name: a restored inheritance child has another order.
	rows, err := conn.Query(t.Context(), `select format('%I.%I', n.nspname, c.relname),
		(select coalesce(string_agg(quote_ident(a.attname), ', ' order by a.attname collate "C"), '') from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'm') and c.relispopulated and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'neontwin')`)
	if err != nil {
		t.Fatal(err)
	}
	columns := make(map[string]string)
	var name, list string
	if _, err := pgx.ForEachRow(rows, []any{&name, &list}, func() error {
		columns[name] = list
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for name, list := range columns {
		var digest string
		sql := "select count(*) || ' ' || coalesce(md5(string_agg(h, '' order by h)), '') from (select md5(row(" + list + ")::text) h from only " + name + " t) s"
		if err := conn.QueryRow(t.Context(), sql).Scan(&digest); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = digest
	}
	return out
}

// judge holds a Twin against its source.
func judge(t *testing.T, source, copied string) {
	t.Helper()
	if diff := cmp.Diff(pgtest.Schema(t, source), pgtest.Schema(t, copied)); diff != "" {
		t.Errorf("the schemas differ (-source +twin):\n%s", diff)
	}
	if diff := cmp.Diff(contentOf(t, source), contentOf(t, copied)); diff != "" {
		t.Errorf("the rows differ (-source +twin):\n%s", diff)
	}
}

func scan[T any](t *testing.T, address, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func TestSyncShop(t *testing.T) {
	t.Parallel()
	source := pgtest.URL(t)
	sql, err := os.ReadFile("../../cmd/sandbox/shop.sql")
	if err != nil {
		t.Fatal(err)
	}
	shop, customers, orders := string(sql), int64(20000), int64(40000)
	if !pgtest.Everything() { // a twentieth of it has the same schema
		shop = strings.NewReplacer("20000", "1000", "25999", "1299", "26000", "1300", "40000", "2000", "12000", "600", "25000", "1250").Replace(shop)
		customers, orders = customers/20, orders/20
	}
	pgtest.Exec(t, source, shop)
	target := twinOf(t, source)
	l := &lease{token: "first"}
	report, err := refresher(t).Sync(t.Context(), refresh.Job{Source: source, Target: target, Run: "7", Commit: "abc"}, l)
	if err != nil {
		t.Fatalf("%v", err)
	}
	judge(t, source, target)
	if diff := cmp.Diff(twin.Spec{}.Phases(), l.phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	if l.last.TablesDone != len(report.Tables) || l.last.RowsDone != report.Rows() || l.last.BytesDone != report.Bytes() || l.last.BytesTotal != l.last.BytesDone || l.last.IndexesDone != l.last.IndexesTotal {
		t.Errorf("the last progress %+v does not agree with the report", l.last)
	}
	if n := scan[int64](t, source, "select count(*) from customers"); report.Rows() < 10*customers || n != customers {
		t.Errorf("%d rows copied, %d customers", report.Rows(), n)
	}
	if got := scan[string](t, target, "select run || token || commit_sha || mode from neontwin.generation"); got != "7firstabcfull" {
		t.Errorf("the generation's mark is %q", got)
	}
	// A trigger that fired during the load would have noted 2,000 prices.
	if n := scan[int](t, target, "select count(*) from audit_log where action = 'price'"); n != 0 {
		t.Errorf("the trigger on products fired %d times during the load", n)
	}
	if n := scan[int64](t, target, "select nextval('order_number')"); n != orders+1 {
		t.Errorf("the next order number is %d, want %d", n, orders+1)
	}
}
