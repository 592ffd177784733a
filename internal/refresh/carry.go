package refresh

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/twin"
)

// heritage is what a generation takes over from the one before it and a dump
// of the source does not hold: who owns and may use what, and the settings of
// the database. Tests of applications rely on it.
type heritage struct {
	// database are statements on the database itself; %s is its quoted name.
	database []string
	// objects are statements inside the database, on what exists in both.
	objects []string
	// absent are roles that the source grants something and the target lacks.
	absent []string
}

// inherit collects what the current generation of the Twin has.
func (t *target) inherit(ctx context.Context, conn *pgx.Conn, tools pgtools.Tools, source *pgtools.Archive) (heritage, error) {
	var h heritage
	var err error
	if h.database, err = databaseState(ctx, conn, t.name); err != nil {
		return h, &targetError{"read the Twin's settings", err}
	}
	if t.before.Marked && t.before.Mark.State == rebuilding {
		// A run emptied it and did not come to its end.
		h.objects = t.before.Mark.Heritage
		return h, nil
	}
	if some, err := bequeaths(ctx, conn); err != nil || !some {
		return h, err
	}
	old, err := tools.Dump(ctx, t.url, pgtools.DumpOptions{ACL: true, LockTimeout: 5 * time.Second, ExcludeSchemas: []string{markSchema}})
	if err != nil {
		return h, err
	}
	var me string
	if err := conn.QueryRow(ctx, "SELECT current_user").Scan(&me); err != nil {
		return h, &targetError{"read the role's name", err}
	}
	h.objects = inheritObjects(old, source, me)
	return h, nil
}

// bequeaths reports whether anything in a database belongs to somebody else
// than us, or has grants that it was not made with. Most Twins have nothing of
// the kind, and a dump takes dozens of round trips to say so.
func bequeaths(ctx context.Context, conn *pgx.Conn) (some bool, err error) {
	// The ones that were there when the server was made have low OIDs.
	const made = 16384
	questions := []string{
		"SELECT FROM pg_catalog.pg_default_acl",
		fmt.Sprintf("SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE c.oid >= %d AND a.attacl IS NOT NULL AND "+notOurs("c.relnamespace"), made),
		"SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public' AND nspowner NOT IN (SELECT oid FROM pg_catalog.pg_roles WHERE rolname IN (current_user, 'pg_database_owner') OR oid = 10)",
	}
	for _, c := range []struct{ table, prefix, ours string }{
		{"pg_class", "rel", notOurs("relnamespace")},
		{"pg_namespace", "nsp", notOurs("oid")},
		{"pg_proc", "pro", ""},
		{"pg_type", "typ", notOurs("typnamespace")},
		{"pg_language", "lan", ""},
		{"pg_largeobject_metadata", "lom", ""},
		{"pg_foreign_data_wrapper", "fdw", ""},
		{"pg_foreign_server", "srv", ""},
	} {
		first := made
		if c.prefix == "lom" { // whoever makes one may choose its number
			first = 0
		}
		q := fmt.Sprintf(`SELECT FROM pg_catalog.%[1]s o WHERE (oid >= %[3]d AND %[2]sowner <> me.oid OR %[2]sacl IS DISTINCT FROM
			(SELECT initprivs FROM pg_catalog.pg_init_privs p WHERE p.classoid = 'pg_catalog.%[1]s'::regclass AND p.objoid = o.oid AND p.objsubid = 0))`, c.table, c.prefix, first)
		if c.ours != "" {
			q += " AND " + c.ours
		}
		questions = append(questions, q)
	}
	for _, column := range []string{
		"pg_operator.oprowner", "pg_opclass.opcowner", "pg_opfamily.opfowner", "pg_collation.collowner", "pg_conversion.conowner",
		"pg_ts_config.cfgowner", "pg_ts_dict.dictowner", "pg_statistic_ext.stxowner",
	} {
		table, owner, _ := strings.Cut(column, ".")
		questions = append(questions, fmt.Sprintf("SELECT FROM pg_catalog.%s WHERE oid >= %d AND %s <> me.oid", table, made, owner))
	}
	err = conn.QueryRow(ctx, "SELECT EXISTS ("+strings.Join(questions, ") OR EXISTS (")+") FROM (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user) me").Scan(&some)
	if err != nil {
		return false, &targetError{"look for owners and grants", err}
	}
	return some, nil
}

// notOurs leaves out the schema of our mark, and the one that every database has
// and no dump tells of.
func notOurs(namespace string) string {
	return namespace + " NOT IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname IN ('" + markSchema + "', 'information_schema'))"
}

// inheritObjects picks from the old generation's dump the owners, grants and
// default privileges of what the source has too. Objects that belong to me
// already are left alone.
func inheritObjects(old, source *pgtools.Archive, me string) []string {
	exists := make(map[pgtools.Key]bool, len(source.Entries))
	for _, e := range source.Entries {
		exists[e.Key()] = true
	}
	gone := make(map[int]bool) // by the old dump's ids
	var owners, grants []string
	for _, e := range old.Entries {
		if e.Desc == "ACL" || e.Desc == "DEFAULT ACL" {
			continue
		}
		identity := pgtools.Identity(e)
		if !exists[e.Key()] {
			gone[e.DumpID] = true
		} else if identity != "" && e.Owner != "" && e.Owner != me {
			owners = append(owners, "ALTER "+identity+" OWNER TO "+catalog.Ident(e.Owner))
		}
	}
	for _, e := range old.Entries {
		if e.Desc != "ACL" && e.Desc != "DEFAULT ACL" {
			continue
		}
		of := false
		for _, id := range e.Dependencies {
			of = of || gone[id]
		}
		if !of {
			grants = append(grants, e.Defn)
		}
	}
	return append(owners, grants...)
}

// databaseState gives the statements that give another database this one's
// owner, grants, connection limit and settings, those for single roles included.
func databaseState(ctx context.Context, conn *pgx.Conn, database string) ([]string, error) {
	var owner string
	var limit int
	var hasACL bool
	err := conn.QueryRow(ctx, `SELECT pg_catalog.pg_get_userbyid(datdba), datconnlimit, datacl IS NOT NULL FROM pg_catalog.pg_database WHERE datname = $1`, database).
		Scan(&owner, &limit, &hasACL)
	if err != nil {
		return nil, err
	}
	set, err := settings(ctx, conn, database, true)
	if err != nil {
		return nil, err
	}
	out := formats(set)
	if limit >= 0 {
		out = append(out, fmt.Sprintf("ALTER DATABASE %%s CONNECTION LIMIT %d", limit))
	}
	if hasACL {
		out = append(out, "REVOKE ALL ON DATABASE %s FROM PUBLIC")
		rows, err := conn.Query(ctx, `SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END, a.privilege_type, a.is_grantable
			FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a WHERE d.datname = $1 AND a.grantee <> d.datdba`, database)
		if err != nil {
			return nil, err
		}
		var grantee, privilege string
		var grantable bool
		_, err = pgx.ForEachRow(rows, []any{&grantee, &privilege, &grantable}, func() error {
			sql := "GRANT " + privilege + " ON DATABASE %s TO " + escape(grantee)
			if grantable {
				sql += " WITH GRANT OPTION"
			}
			out = append(out, sql)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	// Last: afterwards the database may not be ours to change.
	return append(out, "ALTER DATABASE %s OWNER TO "+escape(catalog.Ident(owner))), nil
}

// listSettings hold lists of names: their stored value is quoted already.
var listSettings = map[string]bool{
	"search_path": true, "temp_tablespaces": true, "local_preload_libraries": true,
	"session_preload_libraries": true, "shared_preload_libraries": true,
}

// setting is what a database has been given for all its sessions, or for those
// of a role; format is the statement for it, with a place for the database.
type setting struct{ name, format string }

// formats are the statements for settings.
func formats(set []setting) []string {
	out := make([]string, len(set))
	for i := range set {
		out[i] = set[i].format
	}
	return out
}

// settings reads the settings of a database, with roles also those that hold
// for one role in it.
func settings(ctx context.Context, conn *pgx.Conn, database string, roles bool) ([]setting, error) {
	rows, err := conn.Query(ctx, `SELECT coalesce(pg_catalog.quote_ident(r.rolname), ''), s.setting
		FROM pg_catalog.pg_db_role_setting c JOIN pg_catalog.pg_database d ON d.oid = c.setdatabase
		LEFT JOIN pg_catalog.pg_roles r ON r.oid = c.setrole, pg_catalog.unnest(c.setconfig) s(setting)
		WHERE d.datname = $1 AND ($2 OR c.setrole = 0) ORDER BY 1, 2`, database, roles)
	if err != nil {
		return nil, err
	}
	var out []setting
	var role, config string
	_, err = pgx.ForEachRow(rows, []any{&role, &config}, func() error {
		name, value, _ := strings.Cut(config, "=")
		if !listSettings[strings.ToLower(name)] {
			value = pgcopy.Literal(value)
		} else if value == "" {
			value = "''"
		}
		alter := "ALTER DATABASE %s SET "
		if role != "" {
			alter = "ALTER ROLE " + escape(role) + " IN DATABASE %s SET "
		}
		out = append(out, setting{name, alter + escape(catalog.Ident(strings.Split(name, ".")...)) + " TO " + escape(value)})
		return nil
	})
	return out, err
}

// escape keeps a text from being taken for a place to fill.
func escape(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// HazardNotInherited names what could not be carried over.
const HazardNotInherited = "not_carried_over"

// hazardLocale says that the target lacks the source's locale.
const hazardLocale = "locale"

// pass gives a loaded database its heritage. What can't be passed on, because
// our role may not or a role is gone, is a hazard: the data is good.
func (t *target) pass(ctx context.Context, conn *pgx.Conn, database string, h heritage) ([]twin.Hazard, error) {
	failed, err := refused(ctx, conn, h.objects, h.objects)
	if err != nil {
		return nil, &targetError{"carry owners and grants over", err}
	}
	now, later := make([]string, len(h.database)), make([]string, len(h.database))
	for i, format := range h.database {
		now[i], later[i] = fmt.Sprintf(format, catalog.Ident(database)), fmt.Sprintf(format, catalog.Ident(t.name))
	}
	more, err := refused(ctx, t.conn, now, later)
	if err != nil {
		return nil, &targetError{"carry the database's settings over", err}
	}
	failed = append(failed, more...)
	var hazards []twin.Hazard
	for _, role := range h.absent {
		hazards = append(hazards, twin.Hazard{ID: HazardNotInherited, Object: "role " + catalog.Ident(role), Message: "the target lacks this role: its grants are left out"})
	}
	for _, sql := range failed[:min(len(failed), 20)] {
		hazards = append(hazards, twin.Hazard{
			ID: HazardNotInherited, Object: sql,
			Message: "could not be carried over: the Twin's role may not do it",
		})
	}
	return hazards, nil
}

// refused runs statements and gives the names of those that the server did not
// let us run, as they are written in shown.
func refused(ctx context.Context, conn *pgx.Conn, statements, shown []string) (names []string, err error) {
	each, err := pgcopy.ExecEach(ctx, conn.PgConn(), statements)
	for i, err := range each {
		if err != nil {
			names = append(names, named(shown[i]))
		}
	}
	return names, err
}

// named is enough of a statement to know it by. The value of a setting is cut
// off: applications keep secrets there.
func named(sql string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(sql), "\n")
	if before, _, ok := strings.Cut(line, " TO "); ok && strings.Contains(before, " SET ") {
		return before
	}
	return strings.TrimSuffix(line, ";")
}

// grantee matches whom a statement of a dump is about: the last name in it.
var grantee = regexp.MustCompile(` (?:TO|FROM) (?:GROUP )?("(?:[^"]|"")*"|[^" ]+?)(?: WITH GRANT OPTION)?(?: GRANTED BY .*)?$`)

// sourceGrants picks from the source's dump the grants for roles that the
// target has, one statement each, and names the roles that it lacks.
func sourceGrants(source *pgtools.Archive, roles map[string]bool) (grants, absent []string) {
	for _, e := range source.Entries {
		if e.Desc != "ACL" && e.Desc != "DEFAULT ACL" {
			continue
		}
		for _, sql := range splitStatements(e.Defn) {
			m := grantee.FindStringSubmatch(sql)
			if m == nil { // SET SESSION AUTHORIZATION: whoever granted it there
				continue
			}
			role := m[1]
			if q, ok := strings.CutPrefix(role, `"`); ok {
				role = strings.ReplaceAll(strings.TrimSuffix(q, `"`), `""`, `"`)
			}
			if role == "PUBLIC" || roles[role] {
				grants = append(grants, sql)
			} else if !slices.Contains(absent, role) {
				absent = append(absent, role)
			}
		}
	}
	return grants, absent
}

// splitStatements cuts where a semicolon stands outside of quotes. Grants have
// no other quotes than those of names.
func splitStatements(sql string) []string {
	var out []string
	quoted, from := false, 0
	for i, c := range sql {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			out = append(out, strings.TrimSpace(sql[from:i]))
			from = i + 1
		}
	}
	return out
}
