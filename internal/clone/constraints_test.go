package clone

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtest"
	"github.com/neontwin/neontwin/internal/pgtools"
)

// What a key's index and the constraint that takes it over make must be what
// the dump's own statement makes.
func TestSplitKeyMakesTheSame(t *testing.T) {
	t.Parallel()
	source, whole, split := pgtest.URL(t), pgtest.URL(t), pgtest.URL(t)
	pgtest.Exec(t, source, `create table plain (id int primary key, a int, b text, constraint "two, of them" unique (a, b));
		create table "Quoted ""t""" ("ID" int, "a b" text, primary key ("ID", "a b"));
		create table include (id int, x text, y int, unique (id) include (x, y) with (fillfactor = 70));
		create table late (id int primary key deferrable, b int unique deferrable initially deferred);
		create table clustered (id int primary key, b int not null, constraint replica unique (b));
		alter table clustered cluster on clustered_pkey; alter table clustered replica identity using index replica;
		create table nulls (a int, unique nulls not distinct (a));
		create table odd (a int, c text, exclude using hash (c with =));
		comment on constraint replica on clustered is 'of a key';`)
	tools, err := pgtools.Find(t.Context(), 15, "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := tools.Dump(t.Context(), source, pgtools.DumpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stages, _ := a.Stages()
	for _, e := range stages[pgtools.Pre] {
		pgtest.Exec(t, whole, e.Defn)
		pgtest.Exec(t, split, e.Defn)
	}
	for _, e := range stages[pgtools.Index] {
		pgtest.Exec(t, whole, e.Defn)
		index, key, ok := splitKey(e)
		if ok == strings.HasPrefix(e.Tag, "odd ") {
			t.Errorf("%s: split is %t", e.Tag, ok)
		}
		if ok {
			pgtest.Exec(t, split, index.SQL)
			pgtest.Exec(t, split, key.SQL)
		} else {
			pgtest.Exec(t, split, e.Defn)
		}
	}
	for _, d := range catalog.Compare(objects(t, whole), objects(t, split)) {
		t.Error(d)
	}
	one, err := tools.Dump(t.Context(), whole, pgtools.DumpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := tools.Dump(t.Context(), split, pgtools.DumpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range one.Entries {
		if two.Entries[i].Defn != e.Defn && e.Desc != "DATABASE" {
			t.Errorf("%s %s is\n%s\ninstead of\n%s", e.Desc, e.Tag, two.Entries[i].Defn, e.Defn)
		}
	}
}

func objects(t *testing.T, url string) *catalog.Inventory {
	t.Helper()
	conn := pgtest.Connect(t, url)
	tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	i, err := catalog.Objects(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// What isn't understood in full is used as it is.
func TestSplitKeyIsStrict(t *testing.T) {
	t.Parallel()
	for _, defn := range []string{
		"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c PRIMARY KEY (id, during WITHOUT OVERLAPS);\n",
		"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c EXCLUDE USING gist (a WITH =);\n",
		"ALTER TABLE public.t\n    ADD CONSTRAINT c PRIMARY KEY (id);\n",
		"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c PRIMARY KEY (id) USING INDEX TABLESPACE x;\n",
		"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c UNIQUE (lower(a));\n",
		"ALTER TABLE ONLY t\n    ADD CONSTRAINT c UNIQUE (a);\n",
		"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c NOT NULL a NOT VALID;\n",
		"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT c UNIQUE (a)",
	} {
		if _, _, ok := splitKey(pgtools.Entry{Desc: "CONSTRAINT", Defn: defn}); ok {
			t.Errorf("split: %s", defn)
		}
	}
}
