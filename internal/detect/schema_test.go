package detect

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const manyTongues = `
create extension if not exists hstore;
create domain correo as text;
create type geschlecht as enum ('w', 'm', 'd');
create type bestellstatus as enum ('offen', 'bezahlt');
create table kunden (id int generated always as identity primary key, vorname text, nachname text, geburtsdatum date, "E-Mail" text unique,
	geschlecht geschlecht, newsletter boolean, erstellt_am timestamptz default now(), ref text, tags text[], extra jsonb, eigenschaften hstore);
insert into kunden (vorname, nachname, geburtsdatum, "E-Mail", geschlecht, newsletter, ref, tags, extra, eigenschaften)
	select 'Anna', 'Schmidt', date '1970-01-01' + i, 'anna' || i || '@post.example', 'w', true, 'DE89370400440532013000', array['anna@post.example', 'x'],
	jsonb_build_object('kontakt', jsonb_build_object('mail', 'a' || i || '@post.example'), 'stufe', i), hstore('telefon', '+49 30 90182' || i)
	from generate_series(100, 160) i;
create table bestellungen (nr bigint primary key, kunde_id int references kunden, kunde_mail text references kunden ("E-Mail"), status bestellstatus, menge int);
insert into bestellungen select i, 1, 'anna100@post.example', 'offen', 2 from generate_series(1, 5) i;
create table articulos (id uuid primary key, nombre text, precio numeric(10,2));
insert into articulos select gen_random_uuid(), 'Mesa ' || i, 3 from generate_series(1, 20) i;
create table messages (id int, sent_at date, body text) partition by range (sent_at);
create table messages_1 partition of messages for values from ('2020-01-01') to ('2021-01-01');
create table messages_2 partition of messages for values from ('2021-01-01') to ('2022-01-01');
insert into messages select i, date '2020-02-01' + i * 4, 'Please call me again tomorrow, number ' || i from generate_series(1, 100) i;
create table hidden (id int primary key, email text, telefono text);
insert into hidden values (1, 'x', 'y');
create table slow (a text, email text);
insert into slow values ('x', 'newsletter');
create table big (code text, note text, pad text);
insert into big select 'c' || i % 3, 'ring me at +44 20 7946 ' || 1000 + i, repeat('x', 1000) from generate_series(1, 4000) i;
analyze;
create role READER login;
grant select on kunden, bestellungen, articulos, messages, messages_1, messages_2, slow, big to READER;
`

// look reads the catalog and looks at it as somebody who may only read.
func lookAt(t *testing.T, address, role string, o Options) (*catalog.Schema, *Findings) {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "set session authorization "+role); err != nil {
		t.Fatal(err)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	s, err := catalog.Read(ctx, tx)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Schema(ctx, tx, s, o)
	if err != nil {
		t.Fatal(err)
	}
	var timeout string
	if err := tx.QueryRow(ctx, "select current_setting('statement_timeout')").Scan(&timeout); err != nil || timeout != "0" {
		t.Errorf("the transaction is left with a time limit of %s (%v)", timeout, err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	return s, f
}

func TestSchema(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t)
	role := fmt.Sprintf("reader_%d", time.Now().UnixNano())
	pgtest.Exec(t, address, strings.ReplaceAll(manyTongues, "READER", role))
	t.Cleanup(func() { pgtest.Exec(t, address, "drop owned by "+role+"; drop role "+role) })
	s, f := lookAt(t, address, role, Options{})
	want := map[string]string{
		"kunden.id": "harmless surrogate_key", "kunden.vorname": "first_name", "kunden.nachname": "last_name", "kunden.geburtsdatum": "date_shift",
		"kunden.E-Mail": "email", "kunden.geschlecht": "enum", "kunden.newsletter": "harmless boolean", "kunden.erstellt_am": "harmless row_timestamp",
		"kunden.ref": "iban", "kunden.tags": "email", "kunden.extra": "json", "kunden.eigenschaften": "hstore",
		"bestellungen.nr": "harmless surrogate_key", "bestellungen.kunde_id": "harmless surrogate_key", "bestellungen.kunde_mail": "email",
		"bestellungen.status": "harmless enum", "bestellungen.menge": "harmless counter",
		"articulos.id": "harmless surrogate_key", "articulos.nombre": "", "articulos.precio": "harmless counter",
		"messages.id": "harmless surrogate_key", "messages.sent_at": "harmless row_timestamp", "messages.body": "free_text",
		"messages_1.body": "free_text", "messages_2.body": "free_text",
		"hidden.email": "email", "hidden.telefono": "phone", "slow.email": "email", "big.note": "free_text",
	}
	for _, table := range append(s.Tables, s.Parents...) {
		for _, c := range table.Columns {
			name := table.Name.Name + "." + c.Name
			finding := f.Of(table.OID, c.Name)
			got := string(finding.Class)
			if finding.Harmless != "" {
				got = "harmless " + string(finding.Harmless)
			}
			if expected, ok := want[name]; ok && got != expected {
				t.Errorf("%s: got %q (%s), want %q", name, got, finding.Reason, expected)
			}
			delete(want, name)
			if finding.Personal && (finding.Harmless != "" || finding.Class == "" || finding.Reason == "" || finding.Confidence <= 0 || finding.Confidence > 1) {
				t.Errorf("%s: the finding is not whole: %+v", name, finding)
			}
		}
	}
	for name := range want {
		t.Errorf("%s was not looked at", name)
	}
	if len(f.Unread) != 1 || f.Unread[0].Name != "hidden" {
		t.Errorf("unread are %v", f.Unread)
	}
	if p := f.Of(tableID(t, s, "kunden"), "extra").Paths; len(p) != 1 || p[0].Path != "kontakt.mail" || p[0].Rule.Class != mask.Email {
		t.Errorf("the paths are %v", p)
	}
	if r := f.Of(tableID(t, s, "bestellungen"), "kunde_mail").Reason; strings.Contains(r, "anna") {
		t.Errorf("a value is in a reason: %s", r)
	}
}

func tableID(t *testing.T, s *catalog.Schema, name string) uint32 {
	t.Helper()
	for _, table := range s.Tables {
		if table.Name.Name == name {
			return table.OID
		}
	}
	t.Fatalf("there is no table %s", name)
	return 0
}

// What can't be read in time is judged by its names.
func TestImpatience(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t)
	pgtest.Exec(t, address, "create table people (email text, x text); insert into people select 'n' || i, repeat('x', 300) from generate_series(1, 30000) i; create table later (telefono text)")
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := catalog.Read(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	blocked, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer blocked.Close(context.WithoutCancel(t.Context()))
	if _, err := blocked.Exec(t.Context(), "begin; lock table people in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	f, err := Schema(t.Context(), tx, s, Options{Patience: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Unread) == 0 || f.Of(tableID(t, s, "people"), "email").Class != mask.Email || f.Of(tableID(t, s, "later"), "telefono").Class != mask.Phone {
		t.Errorf("unread are %v", f.Unread)
	}
}
