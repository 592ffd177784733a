package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/spec"
)

const tongues = `
create table kunden (id int generated always as identity primary key, vorname text, nachname text, "E-Mail" text unique, plz text, daten jsonb, "odd.name: #1" text, seit timestamptz, status text, aktiv boolean, kette text generated always as (vorname) stored);
insert into kunden (vorname, nachname, "E-Mail", plz, daten, "odd.name: #1", status) select 'Zacharias', 'Canaryberger', 'canary' || i || '@post.example', '0481' || i % 10, '{"kontakt": {"tel": "+49 30 9018201"}, "stufe": 3}', '4242 4242 4242 4242', 'neu' from generate_series(1, 40) i;
create table clients (numero_client text primary key, prenom text, nom text, date_naissance date);
insert into clients values ('C-1', 'Canarine', 'Canaryeau', '1970-01-01');
create table pedidos (id bigint primary key, cliente text, observaciones text, importe numeric(10,2));
insert into pedidos values (1, 'Canaria Canarez', 'llamar a Canaria', 3);
create table "prodotti finiti" (codice text, nome text);
create table eventi (utente_email text, quando date) partition by range (quando);
create table eventi_1 partition of eventi for values from ('2020-01-01') to ('2021-01-01');
create table logs_1 (a text);
create schema crm;
create table crm.leden (bsn text, voornaam text, opmerking text);
create table crm.usuarios (cpf text, senha text, telefone text, "dataNascimento" text);
`

func TestSuggest(t *testing.T) {
	t.Parallel()
	p := newPair(t, tongues)
	code, stdout, stderr := p.command("suggest", "--exclude", "public.logs_*")
	if code != exitPublished || !strings.Contains(stderr, "Suggested:") {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	for _, line := range []string{
		"  public.kunden.vorname: {class: first_name, locale: de} # ",
		"  public.kunden.nachname: {class: last_name, locale: de} # ",
		`  'public.kunden."E-Mail"': email # `,
		"  public.kunden.plz: postal_code # ",
		"  public.kunden.daten: {class: json, paths: {kontakt.tel: phone}} # ",
		`  'public.kunden."odd.name: #1"': card # `,
		"    - public.kunden.status # code, ",
		"  public.clients.numero_client: national_id # ",
		"  public.clients.prenom: {class: first_name, locale: fr} # ",
		"  public.clients.date_naissance: date_shift # ",
		"  public.pedidos.cliente: full_name # ",
		"  public.pedidos.observaciones: {class: free_text, locale: es} # ",
		`  # decide: 'public."prodotti finiti".nome': free_text # text`,
		"  public.eventi.utente_email: email # ",
		"  crm.leden.bsn: national_id # ",
		"  crm.leden.voornaam: {class: first_name, locale: nl} # ",
		"  crm.usuarios.cpf: national_id # ",
		"  crm.usuarios.senha: hash # ",
		"  crm.usuarios.telefone: phone # ",
		"  crm.usuarios.\"dataNascimento\": redact # ",
	} {
		line = strings.ReplaceAll(line, `  crm.usuarios."dataNascimento"`, `  'crm.usuarios."dataNascimento"'`)
		if !strings.Contains(stdout, "\n"+line) {
			t.Errorf("there is no line %q in\n%s", line, stdout)
		}
	}
	for _, never := range []string{"anary", "4242 4242", "9018201", "0481", "1970", "logs_1", "eventi_1", "public.kunden.id", "public.kunden.aktiv", "kette"} {
		if strings.Contains(stdout+stderr, never) {
			t.Errorf("%q is in\n%s%s", never, stdout, stderr)
		}
	}
	if _, again, _ := p.command("suggest", "--exclude", "public.logs_*"); again != stdout {
		t.Errorf("it is another file the second time:\n%s", again)
	}
	if err := parsed(stdout); err != nil {
		t.Errorf("the file is no part of a repository's: %v\n%s", err, stdout)
	}
	if code, only, _ := p.command("suggest", "--schema", "crm"); code != exitPublished || strings.Contains(only, "kunden") || !strings.Contains(only, "leden") {
		t.Errorf("exit %d, %s", code, only)
	}
}

// parsed reads a suggestion as a part of a repository's file.
func parsed(suggestion string) error {
	file := "version: 1\ntwins:\n  one:\n    source: prod\n    target: shop\n    on: {push: {}}\n    mode: anonymized\n    " + strings.ReplaceAll(suggestion, "\n", "\n    ")
	_, err := spec.Parse("neon-twin.yml", []byte(file))
	return err
}

// A database in which nothing is found makes a file that says so.
func TestSuggestNothing(t *testing.T) {
	t.Parallel()
	p := newPair(t, `create table t (id int generated always as identity primary key); create table "a
		b" ("c
		d" text, "e*" text)`)
	code, stdout, stderr := p.command("suggest")
	if code != exitPublished || !strings.Contains(stdout, "\n# mask:\n") || !strings.Contains(stdout, "\n# safe:\n#   columns:\n") {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
	if err := parsed(stdout); err != nil {
		t.Errorf("%v\n%s", err, stdout)
	}
}

func TestSuggestFile(t *testing.T) {
	t.Parallel()
	p := newPair(t, "create table customers (email text)")
	out := filepath.Join(t.TempDir(), "draft.yml")
	if code, stdout, stderr := p.command("suggest", "--out", out); code != exitPublished || stdout != "" {
		t.Fatalf("exit %d, %s%s", code, stdout, stderr)
	}
	text, err := os.ReadFile(out)
	if err != nil || !strings.Contains(string(text), "public.customers.email: email") {
		t.Errorf("%v: %s", err, text)
	}
	if code, _, stderr := p.command("suggest", "--out", out); code != exitUsage || !strings.Contains(stderr, "--force") {
		t.Errorf("a second time: exit %d, %s", code, stderr)
	}
	if code, _, stderr := p.command("suggest", "--out", out, "--force"); code != exitPublished {
		t.Errorf("by force: exit %d, %s", code, stderr)
	}
	for _, args := range [][]string{{"--source", "https://u:hidden-word@h/d"}, {"--exclude", "a.b.c"}, {"--source", "postgres://u:hidden-word@[h/d"}} {
		if code, _, stderr := p.command(append([]string{"suggest"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
	if code, _, stderr := p.command("suggest", "--source", strings.Replace(p.source, "?", "_missing?", 1)); code != exitFailed || !strings.Contains(stderr, "connect to the source") {
		t.Errorf("a source that is not there: exit %d, %s", code, stderr)
	}
}
