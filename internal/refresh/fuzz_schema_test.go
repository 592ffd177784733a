package refresh_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// generator makes a schema with rows from a seed, as statements. Each of them
// is sent by itself; some may fail, and then what builds on them does too.
type generator struct {
	r       *rand.Rand
	serial  int
	sql     []string
	schemas []string
	types   []randomType
	tables  []*randomTable
	// relations are what views can be made of.
	relations []string
}

// randomTable is a table with a key of one to three columns; the values of the
// key of row i follow from i, so that foreign keys can be filled.
type randomTable struct {
	schema, name string
	key          []keyColumn
	rows         int
	unique       bool // the key is UNIQUE, not PRIMARY
	parted       string
	columns      []randomColumn
	refs         []reference
	// identity is set where the first key column is an identity.
	identity string
	// referenced is set where another table's foreign key leads here.
	referenced bool
}

type keyColumn struct {
	name, sql string
	value     func(i int) string
}

type randomColumn struct {
	name string
	randomType
	more      string
	generated bool
}

// reference is a foreign key to be.
type reference struct {
	to      *randomTable
	columns []string
}

func (t *randomTable) full() string { return ident(t.schema, t.name) }

func generate(seed uint64) []string {
	g := &generator{r: rand.New(rand.NewPCG(seed, 7)), schemas: []string{"public"}}
	for range g.r.IntN(3) {
		s := g.fresh("schema")
		g.schemas = append(g.schemas, s)
		g.emit("create schema %s", ident(s))
	}
	g.makeTypes()
	g.makeFunctions()
	for range 2 + g.r.IntN(5) {
		g.planTable()
	}
	for _, t := range g.tables {
		g.planReferences(t)
	}
	for _, t := range g.tables {
		g.makeTable(t)
	}
	for _, t := range g.tables {
		g.makeRows(t)
	}
	for _, t := range g.tables {
		g.makeConstraints(t)
		g.makeIndexes(t)
		g.adorn(t)
	}
	for _, t := range g.tables {
		g.makeForeignKeys(t)
	}
	g.makeViews()
	g.makeSequences()
	g.makeOdds()
	return g.sql
}

func (g *generator) emit(format string, args ...any) {
	g.sql = append(g.sql, fmt.Sprintf(format, args...))
}

func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *generator, from ...T) T { return from[g.r.IntN(len(from))] }

func (g *generator) schema() string { return pick(g, g.schemas...) }

func (g *generator) makeTypes() {
	g.types = baseTypes()
	enum := ident(g.schema(), g.fresh("enum"))
	labels := quotedAll("a", "B c", "it's", "日本", "")
	g.emit("create type %s as enum (%s)", enum, strings.Join(labels[:4], ", "))
	g.emit("alter type %s add value 'between' after 'a'", enum)
	g.types = append(g.types, randomType{enum, append(labels[:4:4], "'between'"), "bh"})

	for range 1 + g.r.IntN(3) {
		base := pick(g, g.types...)
		domain := ident(g.schema(), g.fresh("domain"))
		check := pick(g, "", " check (value is null or value::text <> 'never')", " check (length(value::text) >= 0) check (value::text is distinct from 'x')", " default null")
		g.emit("create domain %s as %s%s", domain, base.sql, check)
		g.types = append(g.types, randomType{domain, base.values, strings.ReplaceAll(base.methods, "g", "")})
	}
	composite := ident(g.schema(), g.fresh("composite"))
	a, b := pick(g, g.types...), pick(g, g.types...)
	g.emit("create type %s as (%s %s, gone int, %s %s, %s text[])", composite, ident(g.fresh("a")), a.sql, ident(g.fresh("b")), b.sql, ident(g.fresh("c")))
	if g.chance(50) {
		g.emit("alter type %s drop attribute gone", composite)
		g.types = append(g.types, randomType{composite, []string{"row(" + a.value(g.r) + ", " + b.value(g.r) + ", '{x,NULL,\"\"}')", "row(null, null, null)"}, ""})
	} else {
		g.types = append(g.types, randomType{composite, []string{"row(" + a.value(g.r) + ", 3, " + b.value(g.r) + ", '{}')"}, ""})
	}
	if g.chance(60) {
		ranged := ident(g.schema(), g.fresh("range"))
		g.emit("create type %s as range (subtype = float8, subtype_diff = float8mi)", ranged)
		g.types = append(g.types, randomType{ranged, quotedAll("empty", "[NaN,NaN]", "(-Infinity,1.5]"), "bhs"})
	}
	if g.chance(40) {
		c := ident(g.schema(), g.fresh("collation"))
		g.emit(`create collation %s (locale = 'C')`, c)
		g.types = append(g.types, randomType{"text collate " + c, quotedAll(texts...), "bh"})
	}
	for range 8 {
		t := pick(g, g.types...)
		if !strings.HasSuffix(t.sql, "]") {
			g.types = append(g.types, t.array(g.r))
		}
	}
}

func (g *generator) makeFunctions() {
	g.emit("create function public.same(i int) returns int language sql immutable strict as 'select i'")
	g.emit("create function public.never() returns trigger language plpgsql as $$ begin raise exception 'a trigger fired'; end $$")
	g.emit("create function public.body(t text) returns text language sql immutable begin atomic select lower(t) || 'x'; end")
	g.emit(`create procedure public."a procedure"(inout a int, b text default 'x;y') language plpgsql as $$ begin a := a + 1; -- a comment
		end $$`)
	g.emit("create aggregate public.total(int) (sfunc = int4pl, stype = int, initcond = '0')")
	g.emit("create operator public.=== (leftarg = int, rightarg = int, function = int4eq, commutator = operator(public.===))")
}

func (g *generator) planTable() {
	t := &randomTable{schema: g.schema(), name: g.fresh("table"), rows: pick(g, 0, 1, 3, 12, 30), unique: g.chance(20)}
	kinds := []keyColumn{
		{sql: pick(g, "int", "bigint", "smallint", "numeric"), value: func(i int) string { return fmt.Sprint(i) }},
		{sql: pick(g, "text", "varchar(20)", `text collate "C"`), value: func(i int) string { return quoted(fmt.Sprintf("key %d ü", i)) }},
		{sql: "date", value: func(i int) string { return fmt.Sprintf("(date '2020-01-01' + %d)", i) }},
		{sql: "uuid", value: func(i int) string { return fmt.Sprintf("md5('%d')::uuid", i) }},
	}
	n := 1 + g.r.IntN(3)
	for i := range n {
		k := kinds[i]
		k.name = g.fresh("key")
		t.key = append(t.key, k)
	}
	if n == 1 && g.chance(40) {
		t.key[0].sql, t.identity = pick(g, "int", "bigint"), pick(g, "generated always as identity", "generated by default as identity (increment 3 start 100)", "generated always as identity (minvalue -5 cache 7)")
	}
	if g.chance(30) && t.identity == "" {
		t.parted = pick(g, "range", "list", "hash")
	}
	for range g.r.IntN(9) {
		c := randomColumn{name: g.fresh("column"), randomType: pick(g, g.types...)}
		if g.chance(15) {
			base, _, _ := strings.Cut(c.sql, " collate ")
			c.more = " default " + pick(g, c.values...) + "::" + base
			if strings.HasPrefix(pick(g, c.values...), "(select") {
				c.more = ""
			}
		}
		t.columns = append(t.columns, c)
	}
	if g.chance(35) {
		t.columns = append(t.columns, randomColumn{
			name: g.fresh("generated"), generated: true, randomType: randomType{sql: "text", methods: "b"},
			more: " generated always as (upper(" + ident(t.key[0].name) + "::text) || 'x') stored",
		})
	}
	if g.chance(20) {
		t.columns = append(t.columns, randomColumn{name: g.fresh("serial"), randomType: randomType{"bigserial", []string{"5", "900"}, ""}})
	}
	g.tables = append(g.tables, t)
}

func (g *generator) planReferences(t *randomTable) {
	for range g.r.IntN(3) {
		to := pick(g, g.tables...) // itself too
		ref := reference{to: to}
		to.referenced = true
		for _, k := range to.key {
			c := randomColumn{name: g.fresh("ref"), randomType: randomType{sql: k.sql, methods: "b"}, generated: true}
			ref.columns = append(ref.columns, c.name)
			t.columns = append(t.columns, c) // filled by makeRows, as a whole
		}
		t.refs = append(t.refs, ref)
	}
}

func (g *generator) makeTable(t *randomTable) {
	var defs []string
	for _, k := range t.key {
		def := ident(k.name) + " " + k.sql + " not null"
		if t.identity != "" {
			def += " " + t.identity
		}
		defs = append(defs, def)
	}
	for _, c := range t.columns {
		defs = append(defs, ident(c.name)+" "+c.sql+c.more)
	}
	gone := g.chance(25)
	if gone {
		defs = slices.Insert(defs, g.r.IntN(len(defs)+1), "gone int")
	}
	var kind, tail string
	if t.parted == "" {
		if !t.referenced && g.chance(25) { // only unlogged tables may refer to one
			kind = "unlogged "
		}
		tail = pick(g, "", "", " with (fillfactor = 70)", " with (autovacuum_enabled = off, toast.autovacuum_enabled = off)")
	} else {
		tail = " partition by " + t.parted + " (" + ident(t.key[0].name) + ")"
	}
	g.emit("create %stable %s (%s)%s", kind, t.full(), strings.Join(defs, ", "), tail)
	if gone {
		g.emit("alter table %s drop column gone", t.full())
	}
	g.makePartitions(t)
	g.relations = append(g.relations, t.full())
}

func (g *generator) makePartitions(t *randomTable) {
	part := func() string { return ident(t.schema, g.fresh("part")) }
	sub := func() string {
		if !g.chance(30) {
			return ""
		}
		return " partition by hash (" + ident(t.key[0].name) + ")"
	}
	bounds := map[string][]string{
		"range": {"for values from (minvalue) to (5)", "for values from (5) to (15)", "default"},
		"list":  {"for values in (0, 1, 2)", "for values in (3, 7)", "default"},
		"hash":  {"for values with (modulus 2, remainder 0)", "for values with (modulus 2, remainder 1)"},
	}
	for _, b := range bounds[t.parted] {
		name, below := part(), sub()
		g.emit("create table %s partition of %s %s%s", name, t.full(), b, below)
		if below != "" {
			for i := range 2 {
				g.emit("create table %s partition of %s for values with (modulus 2, remainder %d)", part(), name, i)
			}
		} else if g.chance(30) {
			g.emit("create index on %s (%s)", name, ident(t.key[0].name))
		}
	}
}

// inserted are the columns that rows are made with.
func (t *randomTable) inserted() []string {
	var names []string
	for _, k := range t.key {
		names = append(names, ident(k.name))
	}
	for _, c := range t.columns {
		if !c.generated {
			names = append(names, ident(c.name))
		}
	}
	for _, ref := range t.refs {
		for _, c := range ref.columns {
			names = append(names, ident(c))
		}
	}
	return names
}

func (g *generator) makeRows(t *randomTable) {
	if t.rows == 0 {
		return
	}
	names := t.inserted()
	rows := make([]string, t.rows)
	for i := range rows {
		var values []string
		for _, k := range t.key {
			values = append(values, k.value(i))
		}
		for _, c := range t.columns {
			if !c.generated {
				values = append(values, strings.TrimSuffix(c.value(g.r), "::bigserial"))
			}
		}
		for _, ref := range t.refs {
			null, to := ref.to.rows == 0 || g.chance(25), g.r.IntN(max(1, ref.to.rows))
			for _, k := range ref.to.key {
				if null {
					values = append(values, "NULL")
				} else {
					values = append(values, k.value(to))
				}
			}
		}
		rows[i] = "(" + strings.Join(values, ", ") + ")"
	}
	g.emit("insert into %s (%s) overriding system value values %s", t.full(), strings.Join(names, ", "), strings.Join(rows, ",\n"))
	if g.chance(30) {
		g.emit("delete from %s where %s = 0 and false", t.full(), ident(t.key[0].name))
		g.emit("update %s set %s = %s where false", t.full(), names[len(names)-1], names[len(names)-1])
	}
}

func (t *randomTable) keyList() string {
	var names []string
	for _, k := range t.key {
		names = append(names, ident(k.name))
	}
	return strings.Join(names, ", ")
}

func (g *generator) makeConstraints(t *randomTable) {
	name := ident(g.fresh("pk"))
	switch {
	case t.unique:
		g.emit("alter table %s add constraint %s unique (%s)%s", t.full(), name, t.keyList(), pick(g, "", "", " with (fillfactor = 60)"))
	case t.parted == "" && len(t.columns) > 0 && !t.columns[0].generated && strings.Contains(t.columns[0].methods, "b") && g.chance(20):
		g.emit("alter table %s add constraint %s primary key (%s) include (%s)", t.full(), name, t.keyList(), ident(t.columns[0].name))
	default:
		g.emit("alter table %s add constraint %s primary key (%s)", t.full(), name, t.keyList())
	}
	k := ident(t.key[0].name)
	for range g.r.IntN(3) {
		g.emit("alter table %s add constraint %s check (%s)%s", t.full(), ident(g.fresh("check")),
			pick(g, k+"::numeric >= -5", "public.same(1) = 1", k+" is not null or "+k+"::text <> 'it''s'"), pick(g, "", " not valid"))
	}
	if g.chance(15) { // one that does not hold
		g.emit("alter table %s add constraint %s check (%s is null)%s not valid", t.full(), ident(g.fresh("broken")), k, pick(g, "", " no inherit"))
	}
	for _, c := range t.columns {
		if strings.Contains(c.methods, "s") && t.parted == "" && !c.generated && g.chance(25) && strings.HasSuffix(c.sql, "range") {
			g.emit("alter table %s add constraint %s exclude using gist (%s with &&) where (%s::numeric < 0)%s", t.full(), ident(g.fresh("exclude")), ident(c.name), k, pick(g, "", " deferrable initially deferred"))
		}
	}
	if g.chance(25) && t.parted == "" {
		g.emit("alter table %s add constraint %s unique (%s) deferrable%s", t.full(), ident(g.fresh("unique")), t.keyList(), pick(g, "", " initially deferred"))
	}
}

var methodNames = map[rune]string{'b': "btree", 'h': "hash", 'g': "gin", 's': "gist", 'p': "spgist", 'r': "brin"}

func (g *generator) makeIndexes(t *randomTable) {
	k := ident(t.key[0].name)
	for _, c := range t.columns {
		if c.methods == "" || !g.chance(50) {
			continue
		}
		m := []rune(c.methods)[g.r.IntN(len(c.methods))]
		column, tail := ident(c.name), ""
		if strings.HasPrefix(c.sql, "text") || strings.HasPrefix(c.sql, "varchar") || strings.HasPrefix(c.sql, "bytea") || strings.Contains(c.sql, "domain") || strings.Contains(c.sql, "jsonb") {
			if m != 'h' {
				m, column = 'b', "md5("+column+"::text)" // a long value doesn't fit
			}
		} else if m == 'b' {
			column += pick(g, "", " desc", " nulls first", " desc nulls last")
		}
		if g.chance(30) {
			tail = " where " + k + "::numeric % 2 = 0"
		}
		if m == 'b' && g.chance(20) {
			tail = " include (" + k + ")" + tail
		}
		g.emit("create index %s on %s using %s (%s)%s", ident(g.fresh("index")), t.full(), methodNames[m], column, tail)
	}
	if g.chance(40) {
		g.emit("create unique index %s on %s ((%s::text || 'x'), %s)", ident(g.fresh("index")), t.full(), k, t.keyList())
	}
	if g.chance(20) {
		g.emit("create index on only %s (%s)", t.full(), k)
	}
}

// adorn gives a table what hangs on it.
func (g *generator) adorn(t *randomTable) {
	k := ident(t.key[0].name)
	some := []string{
		fmt.Sprintf("create trigger %s before insert or update on %s for each row execute function public.never()", ident(g.fresh("trigger")), t.full()),
		fmt.Sprintf("create trigger %s after truncate on %s execute function public.never()", ident(g.fresh("trigger")), t.full()),
		fmt.Sprintf("create rule %s as on delete to %s do instead nothing", ident(g.fresh("rule")), t.full()),
		fmt.Sprintf("alter table %s enable row level security", t.full()),
		fmt.Sprintf("create policy %s on %s for select using (%s is not null)", ident(g.fresh("policy")), t.full(), k),
		fmt.Sprintf("comment on table %s is %s", t.full(), quoted(pick(g, texts...)+"x")),
		fmt.Sprintf("comment on column %s.%s is %s", t.full(), k, quoted(pick(g, texts...)+"x")),
		fmt.Sprintf("alter table %s alter %s set statistics 500", t.full(), k),
		fmt.Sprintf("create statistics %s on %s, (%s::text) from %s", ident(t.schema, g.fresh("statistics")), k, k, t.full()),
		fmt.Sprintf("alter table %s replica identity full", t.full()),
	}
	for _, sql := range some {
		if g.chance(20) {
			g.emit("%s", sql)
		}
	}
	for _, c := range t.columns {
		if strings.HasPrefix(c.sql, "text") && !c.generated && g.chance(30) {
			g.emit("alter table %s alter %s set storage %s", t.full(), ident(c.name), pick(g, "external", "main", "extended"))
			g.emit("alter table %s alter %s set compression pglz", t.full(), ident(c.name))
		}
	}
	if t.parted == "" && g.chance(25) {
		child := ident(g.schema(), g.fresh("child"))
		g.emit("create table %s (%s text default 'c') inherits (%s)", child, ident(g.fresh("extra")), t.full())
		list := strings.Join(t.inserted(), ", ")
		g.emit("insert into %s (%s) overriding system value select %s from only %s limit 3", child, list, list, t.full())
		g.relations = append(g.relations, child)
	}
}

func (g *generator) makeForeignKeys(t *randomTable) {
	for _, ref := range t.refs {
		var columns []string
		for _, c := range ref.columns {
			columns = append(columns, ident(c))
		}
		tail := pick(g, "", " match full", " on delete cascade", " on update set null on delete restrict", " deferrable", " deferrable initially deferred")
		if t.parted == "" && ref.to.parted == "" {
			tail += pick(g, "", "", " not valid")
		}
		g.emit("alter table %s add constraint %s foreign key (%s) references %s (%s)%s", t.full(), ident(g.fresh("fk")), strings.Join(columns, ", "), ref.to.full(), ref.to.keyList(), tail)
	}
}

func (g *generator) makeViews() {
	for range 1 + g.r.IntN(4) {
		of := pick(g, g.relations...)
		name := ident(g.schema(), g.fresh("view"))
		switch g.r.IntN(5) {
		case 0:
			g.emit("create materialized view %s as select *, 1 as %s from %s", name, ident(g.fresh("one")), of)
			g.emit("comment on materialized view %s is 'a view'", name)
			g.relations = append(g.relations, name)
			continue
		case 1:
			g.emit("create materialized view %s as select count(*) n from %s with no data", name, of)
			continue
		case 2:
			g.emit("create view %s with (security_barrier) as select * from %s where true", name, of)
		case 3:
			g.emit("create recursive view %s (n) as values (1) union all select n + 1 from %s where n < 3", name, name[strings.LastIndex(name, `"."`)+2:])
			continue
		default:
			g.emit("create view %s as select t, 'x' || %s as u from %s t", name, quoted(pick(g, texts...)), of)
		}
		g.emit("comment on view %s is 'a view'", name)
		g.relations = append(g.relations, name)
	}
}

func (g *generator) makeSequences() {
	for range g.r.IntN(4) {
		name := ident(g.tables[0].schema, g.fresh("sequence"))
		g.emit("create sequence %s %s", name, pick(g, "", "increment -3", "as smallint maxvalue 10 cycle", "minvalue -9223372036854775808 start -9223372036854775808", "cache 20"))
		switch g.r.IntN(4) {
		case 0:
			g.emit("select nextval(%s)", quoted(name))
		case 1:
			g.emit("select setval(%s, nextval(%s), false)", quoted(name), quoted(name))
		case 2:
			g.emit("alter sequence %s owned by %s.%s", name, g.tables[0].full(), ident(g.tables[0].key[0].name))
		}
	}
}

// makeOdds makes what stands beside tables.
func (g *generator) makeOdds() {
	some := []string{
		"create table public.no_columns ()",
		"create table public.only_generated (a int generated always as (1) stored)",
		"create text search configuration public.simple_copy (copy = simple)",
		"alter default privileges revoke execute on functions from public",
		"create function public.rows_of() returns table (a int, b text) language sql as 'select 1, $$x$$::text'",
		"create schema empty",
		"comment on schema public is 'another word'",
	}
	if g.chance(30) {
		g.emit("create type public.casted as enum ('c')")
		g.emit("create cast (text as public.casted) with inout")
	}
	if g.chance(30) {
		g.emit("create type public.typed_by as (a int, b text)")
		g.emit("create table public.typed of public.typed_by (primary key (a))")
	}
	for _, sql := range some {
		if g.chance(30) {
			g.emit("%s", sql)
		}
	}
	if slices.Contains(g.sql, some[0]) {
		g.emit("insert into public.no_columns default values")
		g.emit("insert into public.no_columns default values")
	}
	if slices.Contains(g.sql, some[1]) {
		g.emit("insert into public.only_generated default values")
	}
}
