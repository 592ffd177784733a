package refresh

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/twin"
)

// describe tells what a plan must know of the target's server. replaced is
// set where the Twin's own database is emptied before it is filled. slots are
// the connections that it has to spare.
func (t *target) describe(ctx context.Context, replaced bool) (on clone.Target, slots int, err error) {
	on = clone.Target{ServerVersion: t.server, Extensions: make(map[string]string), Roles: make(map[string]bool)}
	var extensions, versions, roles []string
	var limit *string
	err = t.conn.QueryRow(ctx, `SELECT
		array(SELECT name::text FROM pg_catalog.pg_available_extensions ORDER BY name),
		array(SELECT coalesce(default_version, '') FROM pg_catalog.pg_available_extensions ORDER BY name),
		array(SELECT rolname::text FROM pg_catalog.pg_roles),
		(SELECT rolsuper OR rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user),
		current_setting('neon.max_cluster_size', true), (`+freeSlots+`)`).
		Scan(&extensions, &versions, &roles, &on.MakesRoles, &limit, &slots)
	if err != nil {
		return on, 0, &targetError{"look at the target's extensions, roles and limits", err}
	}
	for i, name := range extensions {
		on.Extensions[name] = versions[i]
	}
	for _, name := range roles {
		on.Roles[name] = true
	}
	if limit != nil {
		on.Room, on.Limited, err = t.room(ctx, *limit, replaced)
	}
	return on, slots, err
}

// room is how many bytes more the server may hold, where it tells: Neon's does.
// What a sync drops before it loads is not counted.
func (t *target) room(ctx context.Context, size string, replaced bool) (bytes int64, limited bool, err error) {
	if size == "" || strings.HasPrefix(size, "-") {
		return 0, false, nil
	}
	if strings.Trim(size, "0123456789") == "" {
		size += " MB"
	}
	rows, err := t.conn.Query(ctx, `SELECT datname, coalesce(pg_catalog.shobj_description(oid, 'pg_database'), ''),
		CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT') THEN pg_catalog.pg_database_size(oid) ELSE 0 END,
		pg_catalog.pg_size_bytes($1) FROM pg_catalog.pg_database`, size)
	if err != nil {
		return 0, false, &targetError{"ask for the target's size", err}
	}
	var used, all, of int64
	var name, comment string
	_, err = pgx.ForEachRow(rows, []any{&name, &comment, &of, &all}, func() error {
		m, marked := parseMark(comment)
		swept := marked && m.Twin == t.name && (m.State == loading || m.State == previous)
		if !swept && !(replaced && name == t.name) {
			used += of
		}
		return nil
	})
	if err != nil {
		return 0, false, &targetError{"ask for the target's size", err}
	}
	return all - used, true, nil
}

// makeRoles creates the roles that the source's policies name and the target
// lacks: nobody can log in as one.
func (s *sync) makeRoles(ctx context.Context, missing []string) error {
	for _, role := range missing {
		if _, err := s.target.conn.Exec(ctx, "CREATE ROLE "+catalog.Ident(role)+" NOLOGIN"); err != nil {
			return &targetError{"create the role " + role, err}
		}
		s.madeRoles = append(s.madeRoles, role)
	}
	return nil
}

// dropRoles takes back what makeRoles made. A role that something uses by now
// stays: it can't do anything.
func (s *sync) dropRoles(ctx context.Context) {
	for _, role := range s.madeRoles {
		if _, err := s.target.conn.Exec(ctx, "DROP ROLE "+catalog.Ident(role)); err != nil {
			return
		}
	}
}

// checkAccept refuses to acknowledge what does not exist or can't be lifted.
func checkAccept(ids []string) error {
	for _, id := range ids {
		switch {
		case !slices.Contains(append(clone.HazardIDs(), HazardNotInherited, HazardClient, hazardLocale), id):
			return configFailure(fmt.Sprintf("there is no hazard called %q to accept", id), "take the name from what twin plan prints")
		case !clone.Acceptable(id):
			return configFailure(fmt.Sprintf("the hazard %s can't be accepted: a sync could not succeed, or would lose rows", id), "mend what it names instead")
		}
	}
	return nil
}

// allHazards are those found so far, as the operator takes them.
func (s *sync) allHazards() []twin.Hazard {
	return clone.Accept(slices.Concat([]twin.Hazard{}, s.hazards, s.plan.Hazards), s.Accept)
}

// dumpEncoding keeps the bytes of a database that does not say what they mean.
func dumpEncoding(d catalog.Database) string {
	if d.Encoding == "SQL_ASCII" {
		return d.Encoding
	}
	return ""
}
