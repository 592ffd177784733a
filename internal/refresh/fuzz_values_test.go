package refresh_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/jackc/pgx/v5"
)

// randomType is a type of a column and where its values come from.
type randomType struct {
	sql    string
	values []string // expressions, without the cast; odd ones
	// methods are the index methods that take it with their default class:
	// b-tree, hash, gin, gist, spgist, brin by first letter (s for gist, p for spgist).
	methods string
}

// texts are hard to quote, to align or to tell from NULL.
var texts = []string{
	"", " ", "NULL", `\N`, `\.`, `\\`, `\`, "tab\there", "line\nbreak", "cr\rhere", "\r\n", `quote ' and "`, "$$", "comma, semicolon; colon:",
	"Größe", "日本語", "🐘🐘", "e\u0301", "\u200f\u202e", "\u0001\u007f", "\uffff", "\U0010ffff", "{}", "{a,\"b\"}", "(1,2)", "<a>&amp;</a>", "%s %d", "--", "/* */", "0", "-0",
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func quotedAll(list ...string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quoted(s)
	}
	return out
}

func baseTypes() []randomType {
	return []randomType{
		{"smallint", quotedAll("-32768", "32767", "0", "7"), "bhr"},
		{"integer", quotedAll("-2147483648", "2147483647", "0", "42"), "bhr"},
		{"bigint", quotedAll("-9223372036854775808", "9223372036854775807", "0"), "bhr"},
		{"numeric", quotedAll("NaN", "Infinity", "-Infinity", "0.000", "1e-300", "-1e300", "12345678901234567890.123456789", "1.10"), "bhr"},
		{"numeric(12,3)", quotedAll("NaN", "-999999999.999", "0.001", "5"), "bhr"},
		{"real", quotedAll("NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38", "0.1"), "bhr"},
		{"double precision", quotedAll("NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1"), "bhr"},
		{"money", quotedAll("-92233720368547758.08", "92233720368547758.07", "0"), "br"},
		{"text", append(quotedAll(texts...), "repeat('long ', 20000)", "(select string_agg(md5(i::text), '') from generate_series(1, 300) i)"), "bhp"},
		{`text collate "C"`, quotedAll(texts...), "bhp"},
		{"varchar(30)", quotedAll(texts...), "bhp"},
		{"char(9)", quotedAll("", "a", "  b", "wide  ", "🐘"), "bhr"},
		{`"char"`, quotedAll("", "a", `\377`, `\`), "br"},
		{"name", quotedAll("", "a name", "Größe"), "bhr"},
		{"bytea", append(quotedAll("", `\x00`, `\x5c2e0a`, `\xff00ff`), "decode(repeat('00ff', 9000), 'hex')"), "bhr"},
		{"date", quotedAll("infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "2024-02-29"), "bhr"},
		{"time", quotedAll("00:00", "24:00:00", "23:59:59.999999"), "bhr"},
		{"timetz", quotedAll("00:00+14", "24:00:00-12", "12:34:56.789+05:30"), "bhr"},
		{"timestamp", quotedAll("infinity", "-infinity", "4713-01-01 00:00 BC", "294276-12-31 23:59:59.999999"), "bhr"},
		{"timestamptz(3)", quotedAll("infinity", "-infinity", "1900-01-01 00:00+00:19:32", "2024-03-31 02:30 Europe/Berlin"), "bhr"},
		{"interval", quotedAll("178000000 years", "-178000000 years", "1 mon -1 day 00:00:00.000001", "0"), "bhr"},
		{"boolean", quotedAll("t", "f"), "bh"},
		{"uuid", append(quotedAll("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"), "md5('1')"), "bhr"},
		{"json", quotedAll("null", ` {"a" : [1, 1.0, "\u0041\\n"], "a": 2} `, `"\ud83d\udc18"`, "[]"), ""},
		{"jsonb", quotedAll("null", `{"a": [1, 1.0, "\u0041\\n"], "b": {}}`, "1e400", `""`), "bhg"},
		{"xml", quotedAll("<a/>", "text only", "<a>\n<b c='1'>&lt;</b></a>", "<!-- c --><x/>"), ""},
		{"bit(5)", quotedAll("00000", "10101"), "b"},
		{"bit varying(9)", quotedAll("", "1", "000000001"), "b"},
		{"inet", quotedAll("::1", "192.168.0.1/24", "0.0.0.0/0", "::ffff:1.2.3.4"), "bhpr"},
		{"cidr", quotedAll("10.0.0.0/8", "2001:db8::/32"), "bhr"},
		{"macaddr", quotedAll("08:00:2b:01:02:03"), "bhr"},
		{"macaddr8", quotedAll("08:00:2b:01:02:03:04:05"), "bhr"},
		{"point", quotedAll("(0,0)", "(-1e308,NaN)", "(Infinity,-0)"), "sp"},
		{"box", quotedAll("(1,1),(0,0)", "(1e300,0),(-1e300,0)"), "sp"},
		{"circle", quotedAll("<(0,0),1>", "<(1,2),0>"), "s"},
		{"polygon", quotedAll("((0,0),(0,1),(1,1))"), "sp"},
		{"path", quotedAll("[(0,0),(1,1)]", "((0,0),(1,1))"), ""},
		{"line", quotedAll("{1,2,3}"), ""},
		{"lseg", quotedAll("[(0,0),(1,1)]"), ""},
		{"tsvector", append(quotedAll("", "'it''s' 'a b':1A,2", `'\\'`), "to_tsvector('english', 'The quick brown foxes')"), "gs"},
		{"tsquery", quotedAll("a & !b | 'c d':*A"), "bs"},
		{"int4range", quotedAll("empty", "(,)", "[1,1]", "[-5,7)"), "bhsp"},
		{"numrange", quotedAll("empty", "(,1.5]", "[NaN,NaN]", "[0.0,1.00)"), "bhsp"},
		{"tstzrange", quotedAll("empty", "(,)", "[2024-01-01 00:00+02,infinity]"), "bhsp"},
		{"daterange", quotedAll("empty", "[2024-01-01,2024-01-01]", "(-infinity,)"), "bhsp"},
		{"nummultirange", quotedAll("{}", "{(,1],[2,3)}"), "bhs"},
		{"pg_lsn", quotedAll("0/0", "FFFFFFFF/FFFFFFFF"), "bhr"},
		{"oid", quotedAll("0", "4294967295"), "bhr"},
		{"regclass", quotedAll("pg_class", "pg_catalog.pg_type", "-"), "b"},
		{"regtype", quotedAll("integer", "text[]", `"char"`), "b"},
		{"regprocedure", quotedAll("lower(text)", "-"), "b"},
		{"jsonpath", quotedAll(`$.a[*] ? (@ > 1)`, `strict $`), ""},
		{"xid8", quotedAll("0", "18446744073709551615"), "bh"},
		{"pg_snapshot", quotedAll("10:20:10,14"), ""},
	}
}

// value gives an expression for a column, NULL now and then.
func (t randomType) value(r *rand.Rand) string {
	if r.IntN(5) == 0 {
		return "NULL"
	}
	base, _, _ := strings.Cut(t.sql, " collate ")
	return t.values[r.IntN(len(t.values))] + "::" + base
}

// array is the type of arrays of t, with several dimensions and bounds.
func (t randomType) array(r *rand.Rand) randomType {
	base, collation, _ := strings.Cut(t.sql, " collate ")
	if collation != "" {
		collation = " collate " + collation
	}
	of := func(n int) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(t.value(r))
		}
		return b.String()
	}
	methods := "g"
	if !strings.ContainsAny(t.methods, "b") {
		methods = ""
	}
	return randomType{base + "[]" + collation, []string{
		"'{}'", "array[" + of(3) + "]", "array[[" + of(2) + "], [" + of(2) + "]]", "array[NULL]", "array_fill(" + t.value(r) + "::" + base + ", array[2], array[-3])",
	}, methods}
}

// oddNames are what identifiers may look like.
var oddNames = []string{
	"plain", "two words", `qu"ote`, "it's", "Größe", "日本", "🐘", "select", "UPPER", "dot.ted", `back\slash`, "per%cent", "$dollar$", "--dash", "tab\tname", "line\nname",
	"a long name that fills nearly all of the sixty-three by", "semi;colon", "(paren", "@at", "public", "1digit",
}

func ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// fresh gives an identifier that was not given before.
func (g *generator) fresh(kind string) string {
	g.serial++
	if g.r.IntN(2) == 0 {
		return fmt.Sprintf("%s%d", kind, g.serial)
	}
	return fmt.Sprintf("%d%s %s", g.serial, kind[:1], oddNames[g.r.IntN(len(oddNames))])
}
