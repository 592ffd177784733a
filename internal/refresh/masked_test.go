package refresh_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/twin"
)

func maskKey(t *testing.T) mask.Secret {
	t.Helper()
	s, err := mask.ParseSecret("8f1d0c6f5b7a4e2d9c3b1a0f7e6d5c4b3a29181716253443526170f8e9dacbbd")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judgeMasked holds a Twin whose columns were masked against its source: the
// schema is the same, so are all columns that the report does not name, and of
// those that it does no value is left but what it says came out by chance.
func judgeMasked(t *testing.T, report *twin.MaskReport, source, target string) {
	t.Helper()
	if diff := cmp.Diff(pgtest.Schema(t, source), pgtest.Schema(t, target)); diff != "" {
		t.Errorf("the schemas differ (-source +twin):\n%s", diff)
	}
	masked := map[string]twin.MaskedColumn{}
	for _, m := range report.Masked {
		masked[m.Column] = m
	}
	const list = `select format('%I.%I', n.nspname, c.relname) || chr(10) || quote_ident(a.attname) || chr(10) || a.attgenerated::text
		from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'neontwin')
			and not exists (select from pg_inherits i where i.inhrelid = c.oid) order by 1, a.attnum`
	kept := map[string][]string{}
	var tables []string
	for _, row := range answer(t, source, list) {
		part := strings.Split(row, "\n")
		table, column := part[0], part[1]
		if kept[table] == nil {
			kept[table] = []string{"0"}
			tables = append(tables, table)
		}
		m, is := masked[table+"."+column]
		switch {
		case is:
			judgeColumn(t, m, table, column, source, target)
		case part[2] == "": // what is generated may follow from what is masked
			kept[table] = append(kept[table], column+"::text")
		}
	}
	for _, table := range tables {
		sql := "select md5(row(" + strings.Join(kept[table], ", ") + ")::text) from " + table + " order by 1"
		if diff := cmp.Diff(answer(t, source, sql), answer(t, target, sql)); diff != "" {
			t.Errorf("the columns of %s that were not masked differ (-source +twin):\n%s", table, diff)
		}
	}
}

func judgeColumn(t *testing.T, m twin.MaskedColumn, table, column, source, target string) {
	t.Helper()
	sql := "select distinct " + column + "::text from " + table + " where " + column + "::text ~ '[[:alnum:]]'"
	before, after := answer(t, source, sql), answer(t, target, sql)
	same := 0
	for _, v := range after {
		if slices.Contains(before, v) {
			same++
		}
	}
	loose := []string{"boolean", "enum", "choice", "noise", "date_shift", "date_generalise", "postal_code"} // small ranges: a stand-in may be another row's value
	if !slices.Contains(loose, m.Class) && int64(same) > m.Same {
		t.Errorf("%s (%s): %d values are the source's, and the report says %d", m.Column, m.Class, same, m.Same)
	}
	if nulls := "select count(*) - count(" + column + ") from " + table; m.Class != "null" && answer(t, source, nulls)[0] != answer(t, target, nulls)[0] {
		t.Errorf("%s: other NULLs", m.Column)
	}
	if m.Values == 0 && len(before) > 0 {
		t.Errorf("%s: the report counts no value", m.Column)
	}
}
