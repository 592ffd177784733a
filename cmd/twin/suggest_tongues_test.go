package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/pgtest"
)

// praxis has people in several languages, keys that hold personal values, and
// things that are nobody's.
const praxis = `create table kunden (kundennummer text primary key, vorname text not null, nachname text not null, "E-Mail" text unique, geburtsdatum date, strasse text, plz char(5), telefon text);
	insert into kunden select 'K' || 100000 + i, 'Zyxa', 'Canarymann', 'zyxa' || i || '@canary.example', date '1950-01-01' + i * 20, 'Hauptstraße ' || i, lpad(i::text, 5, '0'), '+49 30 ' || 1000000 + i from generate_series(1, 400) i;
	create table factures (id bigserial primary key, client text not null references kunden, adresse_livraison text, montant numeric(8,2), courriel text, ref text, created_at timestamptz not null default now());
	insert into factures (client, adresse_livraison, montant, courriel, ref) select 'K' || 100001 + i % 400, i || ' rue du Canary', i, 'zyxa' || i % 400 || '@canary.example', 'R-' || i from generate_series(1, 1000) i;
	create table artikel (id int primary key, bezeichnung text, preis numeric(8,2), aktiv boolean not null default true);
	insert into artikel select i, 'Schraube M' || i, i from generate_series(1, 50) i;
	create table seiten (id int primary key, titel text, woerter tsvector not null);
	insert into seiten select i, 'Seite ' || i, to_tsvector('simple', 'canary ' || i) from generate_series(1, 50) i;
	create table misc (col_17 text, "odd: col" jsonb);
	insert into misc select 'zyxa' || i || '@canary.example', jsonb_build_object('contact', jsonb_build_object('email', 'zyxa' || i || '@canary.example'), 'size', i) from generate_series(1, 300) i;
	analyze`

// TestSuggestionIsTaken holds a suggestion to what it is for: with what it leaves open
// taken over too, a sync accepts it, and no personal value arrives.
func TestSuggestionIsTaken(t *testing.T) {
	t.Parallel()
	p := newPair(t, praxis)
	file := filepath.Join(t.TempDir(), "suggestion.yml")
	code, out, errs := p.command("suggest", "--out", file)
	if code != exitPublished || out != "" || !strings.Contains(errs, "Suggested: ") {
		t.Fatalf("exit code %d:\n%s%s", code, out, errs)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^  public\.kunden\.vorname: .*first_name`, `(?m)^  public\.kunden\.nachname: .*last_name`, `(?m)^  'public\.kunden\."E-Mail"': email # 9\d %`,
		`(?m)^  public\.kunden\.geburtsdatum: date_shift`, `(?m)^  public\.factures\.courriel: email`, `(?m)^  public\.misc\.col_17: email`,
		`(?m)^  'public\.misc\."odd: col"': \{class: json, paths: \{contact\.email: email\}\}`,
		`(?m)^  # public\.factures\.client is masked as public\.kunden\.kundennummer|decide: public\.kunden\.kundennummer`,
	} {
		if !regexp.MustCompile(want).Match(text) {
			t.Errorf("the suggestion has no %s", want)
		}
	}
	if regexp.MustCompile(`(?i)zyxa|canary|Hauptstr|Schraube`).Match(text) {
		t.Error("the suggestion holds values")
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
	p.takes(string(text))
	if code, _, errs := p.command("suggest", "--out", file); code != exitUsage || !strings.Contains(errs, "--force") {
		t.Errorf("a file that is there: exit code %d\n%s", code, errs)
	}
}

// takes syncs with a suggestion, what it leaves to decide taken over.
func (p *pair) takes(suggestion string) {
	p.t.Helper()
	all := regexp.MustCompile(`(?m)^  # decide: `).ReplaceAllString(suggestion, "  ")
	all = regexp.MustCompile(`(?m)^# (mask:|safe:|  columns:)$`).ReplaceAllString(all, "$1")
	if !strings.Contains(all, "    - ") {
		all, _, _ = strings.Cut(all, "safe:")
	}
	if !regexp.MustCompile(`(?m)^  [^ #]`).MatchString(all) {
		p.t.Fatalf("nothing is masked:\n%s", all)
	}
	text := "version: 1\ntwins:\n  t:\n    source: a\n    target: b\n    on: {push: {}}\n    mode: anonymized\n    " + strings.ReplaceAll(all, "\n", "\n    ")
	file := filepath.Join(p.t.TempDir(), "twin.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	code, out, errs := p.command("plan", "--file", file)
	if code != exitPublished {
		p.t.Fatalf("plan: exit code %d:\n%s%s\n%s", code, out, errs, text)
	}
	code, out, errs = p.command("sync", "--file", file)
	if code != exitPublished {
		p.t.Fatalf("sync: exit code %d:\n%s%s", code, out, errs)
	}
	dump := pgtest.Dump(p.t, p.target)
	if found := regexp.MustCompile(`(?i).*(?:zyxa|canary).*`).FindAllString(dump, 3); found != nil {
		p.t.Errorf("the Twin holds %q", found)
	}
}
