package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/neontwin/neontwin/internal/twin"
)

// The same copy with ten columns masked and with none.
const maskedName = "twin sync --file, mode anonymized"

// maskedFile is the repository's file of ours: the columns of the shop that
// hold most of its bytes among them.
const maskedFile = `version: 1
twins:
  masked:
    source: bench
    target: bench
    on: {push: {}}
    mode: anonymized
    mask:
      public.users.email: email
      public.users.full_name: full_name
      public.users.last_ip: ip
      public.orders.address: street
      public.orders.note: free_text
      public.orders.reference: uuid
      public.comments.body: free_text
      public.documents.title: free_text
      public.documents.body: free_text
      public.events.id: uuid
    safe: {columns: ["public.*.*"]}
`

// benchKey is no secret: what it masks is invented.
const benchKey = "8f1d0c6f5b7a4e2d9c3b1a0f7e6d5c4b3a29181716253443526170f8e9dacbbd"

// masked are a full copy and one of which ten columns are masked.
func (b *bench) masked() ([]contender, error) {
	file := filepath.Join(b.cache, "masked.yml")
	if err := os.WriteFile(file, []byte(maskedFile), 0o600); err != nil {
		return nil, err
	}
	ours := b.ours("--file", file, "--twin", "masked")
	ours.name = maskedName
	plain := ours.pipelines
	ours.pipelines = func(from, to endpoint, staging string) []pipeline {
		list := plain(from, to, staging)
		list[0][0].env = append(list[0][0].env, "NEONTWIN_MASK_KEY="+benchKey)
		return list
	}
	return []contender{b.ours(), ours}, nil
}

// maskedRounds measures both.
func (b *bench) maskedRounds(ctx context.Context, r *results, database string) error {
	list, err := b.masked()
	if err != nil {
		return err
	}
	if r.MaskedShare, err = b.maskedShare(ctx, database); err != nil {
		return err
	}
	r.Masked, err = b.rounds(ctx, database, list, b.runs, false)
	return err
}

// maskedShare is how much of what is copied as text the masked columns are.
func (b *bench) maskedShare(ctx context.Context, database string) (float64, error) {
	var masked, all float64
	columns := map[string][]string{}
	for line := range strings.Lines(maskedFile) {
		name, _, found := strings.Cut(strings.TrimSpace(line), ": ")
		if part := strings.Split(name, "."); found && len(part) == 3 {
			columns[part[1]] = append(columns[part[1]], part[2])
		}
	}
	counted, err := count(ctx, b.source.URL(database))
	if err != nil {
		return 0, err
	}
	for table := range counted.rows {
		sizes := []string{"0::numeric"}
		for _, c := range columns[table] {
			sizes = append(sizes, "coalesce(octet_length("+c+"::text), 0)")
		}
		var bytes []float64
		sql := "SELECT ARRAY[coalesce(sum(" + strings.Join(sizes, " + ") + "), 0), coalesce(sum(octet_length(t::text)), 0)]::float8[] FROM " + table + " t"
		if err := value(ctx, b.source.URL(database), sql, &bytes); err != nil {
			return 0, fmt.Errorf("measure the columns of %s: %w", table, err)
		}
		masked, all = masked+bytes[0], all+bytes[1]
	}
	return masked / all, nil
}

// maskedPart is the page's part on masked copies.
func (r *results) maskedPart(w *strings.Builder) {
	plain, masked := find(r.Masked, oursName), find(r.Masked, maskedName)
	if len(plain.good()) == 0 || len(masked.good()) == 0 {
		return
	}
	report := masked.good()[0].Report
	var values int64
	for _, m := range report.Masking.Masked {
		values += m.Values
	}
	fmt.Fprintf(w, "\n## Masked on the way\n\nThe whole database with %d columns masked, %s in all and %.0f %% of the bytes as text, beside the same copy unmasked. Medians of %s, in turn.\n\n",
		len(report.Masking.Masked), twin.HumanPlural(values, "value"), 100*r.MaskedShare, twin.HumanPlural(int64(r.Machine.Runs), "run"))
	table(w, comparison(r.Masked))
	rows := [][]string{{"", "Rows landed in", "Copying and building in"}}
	for _, s := range []series{plain, masked} {
		rows = append(rows, []string{s.Name, seconds(s.phase(twin.Load)), seconds(s.through(twin.Index))})
	}
	w.WriteString("\n")
	table(w, rows)
	w.WriteString("\nMasking also looks at a sample of each column beforehand and of those that pass afterwards, which the wall time holds. Greenmask, which masks too, was not measured.\n")
}

// maskedRatio is what masking makes of the time in which rows land.
func (r *results) maskedRatio() float64 {
	return ratio(find(r.Masked, maskedName).phase(twin.Load), find(r.Masked, oursName).phase(twin.Load))
}
