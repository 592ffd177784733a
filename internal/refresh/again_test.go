package refresh_test

import (
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/refresh"
	"github.com/neontwin/neontwin/internal/twin"
)

// What makes all that was loaded worthless costs the load, not the run. It
// begins again with what the source holds by then.
func TestLoadingBeginsAgain(t *testing.T) {
	t.Parallel()
	for _, publish := range []twin.Strategy{twin.Swap, twin.InPlace} {
		for name, hit := range map[string]func(t *testing.T, source, twinURL, token string){
			"the snapshot is lost": func(t *testing.T, source, _, token string) {
				t.Helper()
				pgtest.Exec(t, source, `insert into t values (3);
					select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'neontwin/`+token+`' and datname = current_database()`)
			},
			"the target forgets": func(t *testing.T, source, twinURL, token string) {
				t.Helper()
				database := twinURL
				if publish == twin.Swap {
					database = beside(t, twinURL, databaseOf(t, twinURL)+"__"+token)
				}
				pgtest.Exec(t, source, "insert into t values (3)")
				pgtest.Exec(t, database, "delete from neontwin.ledger")
			},
		} {
			t.Run(string(publish)+", "+name, func(t *testing.T) {
				t.Parallel()
				source, target := pgtest.URL(t), pgtest.URL(t)
				pgtest.Exec(t, source, "create table t (n int primary key); insert into t values (1), (2)")
				job := refresh.Job{Source: source, Target: target, Publish: publish}
				syncTwin(t, job, "again0")
				pgtest.Exec(t, target, "create role again"+databaseOf(t, target)+"; grant select on t to again"+databaseOf(t, target))
				t.Cleanup(func() { pgtest.Exec(t, source, "drop role if exists again"+databaseOf(t, target)) })
				t.Cleanup(func() { pgtest.Exec(t, target, "drop owned by again"+databaseOf(t, target)) })
				var once sync.Once
				job.Between = func(_ catalog.Name, w io.Writer) io.WriteCloser {
					return &tap{w: w.(io.WriteCloser), see: func() { once.Do(func() { hit(t, source, target, "again1") }) }}
				}
				report := syncTwin(t, job, "again1")
				if report.Rows() != 3 {
					t.Errorf("%d rows were copied, want the 3 of the second snapshot", report.Rows())
				}
				told := 0
				for _, h := range report.Hazards {
					if h.ID == refresh.HazardStartedAgain {
						told++
					}
				}
				if told != 1 {
					t.Errorf("the report tells %d times that loading began again: %+v", told, report.Hazards)
				}
				var n int
				if err := pgtest.Connect(t, target).QueryRow(t.Context(),
					"select count(*) from t where has_table_privilege('again"+databaseOf(t, target)+"', 't', 'select')").Scan(&n); err != nil || n != 3 {
					t.Errorf("the Twin holds %d rows that its reader may see, %v", n, err)
				}
			})
		}
	}
}

// tap passes all on and calls see at each row.
type tap struct {
	w   io.WriteCloser
	see func()
}

func (p *tap) Write(b []byte) (int, error) { p.see(); return p.w.Write(b) }
func (p *tap) Close() error                { return p.w.Close() }

// databaseOf is the name of the database at an address.
func databaseOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// beside is the address of another database of the same server.
func beside(t *testing.T, address, database string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	return u.String()
}
