package clone

import (
	"fmt"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/privacy"
	"github.com/neontwin/neontwin/internal/subset"
	"github.com/neontwin/neontwin/internal/twin"
)

// The stable names of hazards.
const (
	HazardMode             = "mode_not_supported"
	HazardOlderTarget      = "target_older_than_source"
	HazardExtensionMissing = "extension_missing"
	HazardExtensionVersion = "extension_version"
	HazardUnreadable       = "table_unreadable"
	HazardRowSecurity      = "row_security"
	HazardUnloggedStandby  = "unlogged_on_standby"
	HazardLargeObjects     = "large_objects"
	HazardForeignTable     = "foreign_table"
	HazardSequence         = "sequence_unreadable"
	HazardNotCopied        = "not_copied"
	HazardUnlogged         = "unlogged"
	HazardColumnOrder      = "column_order"
	HazardTablespace       = "tablespace"
	HazardRoom             = "too_little_room"
	HazardRoleMissing      = "role_missing"
	HazardRoleMade         = "role_made"
	HazardNullable         = "nullable_child"
	// HazardLargeObjectsWhole says that a partial Twin gets all large objects, or
	// one without rows none.
	HazardLargeObjectsWhole = "large_objects_whole"
)

// hard are the hazards that no acknowledgement can lift: a run could not
// succeed, or would leave rows out without a word.
var hard = []string{HazardMode, HazardExtensionMissing, HazardUnreadable, HazardRowSecurity, HazardUnloggedStandby, HazardRoleMissing, HazardNullable}

// HazardIDs lists all of them.
func HazardIDs() []string {
	return append([]string{
		HazardMode, HazardOlderTarget, HazardExtensionMissing, HazardExtensionVersion, HazardUnreadable, HazardRowSecurity,
		HazardUnloggedStandby, HazardLargeObjects, HazardForeignTable, HazardSequence, HazardNotCopied, HazardUnlogged,
		HazardColumnOrder, HazardTablespace, HazardRoom, HazardRoleMissing, HazardRoleMade, HazardNullable,
		HazardLargeObjectsWhole,
	}, append(subset.HazardIDs(), privacy.HazardIDs()...)...)
}

// Acceptable reports whether an operator may acknowledge a hazard by its id.
// What only informs can always be acknowledged.
func Acceptable(id string) bool {
	return !slices.Contains(hard, id) && !slices.Contains(privacy.Hard(), id)
}

// Accept marks the hazards that the operator has acknowledged: they no longer
// refuse a run.
func Accept(hazards []twin.Hazard, ids []string) []twin.Hazard {
	out := slices.Clone(hazards)
	for i := range out {
		if h := &out[i]; Acceptable(h.ID) && slices.Contains(ids, h.ID) {
			h.Accepted, h.Refuses = true, false
		}
	}
	return out
}

// Check finds what can be known to be dangerous before a dump is taken: a
// single table that can't be read makes pg_dump fail as a whole.
func Check(s *catalog.Schema, target Target, o Options) []twin.Hazard {
	var out []twin.Hazard
	add := func(refuses bool, id, object, format string, args ...any) {
		out = append(out, twin.Hazard{ID: id, Object: object, Message: fmt.Sprintf(format, args...), Refuses: refuses})
	}
	if !slices.Contains([]twin.Mode{twin.Full, twin.Partial, twin.Anonymized, twin.SchemaOnly}, o.Mode) {
		add(true, HazardMode, string(o.Mode), "this version of neontwin copies Twins of the modes full, partial, anonymized and schema_only")
	}
	if target.ServerVersion/10000 < s.ServerVersion/10000 {
		add(true, HazardOlderTarget, "", "the source is PostgreSQL %d and the target %d: use a target that is as new as the source",
			s.ServerVersion/10000, target.ServerVersion/10000)
	}
	for _, e := range s.Extensions {
		switch version, ok := target.Extensions[e.Name]; {
		case !ok:
			add(true, HazardExtensionMissing, e.Name, "the target has no extension %s: enable it there, or drop it from the source", e.Name)
		case version != e.Version:
			add(false, HazardExtensionVersion, e.Name, "the source has %s %s, the target will have %s", e.Name, e.Version, version)
		}
	}
	for _, t := range s.Tables {
		name := t.Name.String()
		switch {
		case !t.Readable:
			add(true, HazardUnreadable, name, "the source's role may not read %s: grant it SELECT, and USAGE on the schema", name)
		case t.Filtered:
			add(true, HazardRowSecurity, name, "row-level security hides rows of %s from the source's role: use a role with BYPASSRLS, or the table's owner", name)
		case t.Unlogged && o.Standby:
			add(true, HazardUnloggedStandby, name, "%s is unlogged and can't be read on a standby: use the primary as the source", name)
		case t.Unlogged:
			add(false, HazardUnlogged, name, "%s is unlogged: its rows are lost when the target's compute restarts", name)
		}
	}
	for _, t := range s.Tables {
		if t.Reordered {
			add(false, HazardColumnOrder, t.Name.String(), "%s inherits: in the Twin, as in any restored dump, its parents' columns come first", t.Name)
		}
	}
	for _, t := range s.Parents {
		if !t.Readable {
			add(true, HazardUnreadable, t.Name.String(), "the source's role may not read %s: grant it SELECT", t.Name)
		}
	}
	for _, t := range s.Foreign {
		add(false, HazardForeignTable, t.Name.String(), "%s is a foreign table: its definition is copied, its rows stay where they are", t.Name)
	}
	for _, q := range s.Sequences {
		if !q.Readable {
			add(false, HazardSequence, q.Name.String(), "the source's role may not read the sequence %s: it is set past the largest value of its column", q.Name)
		}
	}
	if n := s.LargeObjectsUnreadable; n > 0 {
		add(true, HazardLargeObjects, "", "the source's role may not read %d of %d large objects: grant it SELECT on them, or accept that they stay behind", n, s.LargeObjects)
	}
	if o.Mode == twin.Full {
		out = append(out, roomHazards(s.Bytes, target)...)
	}
	return append(out, besideHazards(s, target)...)
}

// roomHazards says whether the target has room for so much.
func roomHazards(bytes int64, target Target) []twin.Hazard {
	if !target.Limited || bytes <= target.Room {
		return nil
	}
	return []twin.Hazard{{ID: HazardRoom, Refuses: true, Message: fmt.Sprintf("what is copied takes %s at the source and the target has room for %s more: raise its limit, or drop what is not needed there",
		twin.HumanBytes(bytes), twin.HumanBytes(max(0, target.Room)))}}
}

// besideHazards tells what no dump does: what is left out on purpose, and the
// roles that policies name and the target lacks.
func besideHazards(s *catalog.Schema, target Target) []twin.Hazard {
	reasons := map[string]string{
		"publication":    "a Twin publishes nothing",
		"subscription":   "a Twin subscribes to nothing",
		"security label": "its provider may not be on the target",
		"comment":        "an extension belongs to the server, not to the Twin",
	}
	var out []twin.Hazard
	for _, b := range s.Beside {
		if b.Kind == "tablespace" {
			out = append(out, twin.Hazard{ID: HazardTablespace, Object: b.Name, Message: "what lies in the tablespace " + b.Name + " goes to the target's default one"})
			continue
		}
		out = append(out, twin.Hazard{ID: HazardNotCopied, Object: b.Kind + " " + b.Name, Message: "left out on purpose: " + reasons[b.Kind]})
	}
	if target.ServerVersion >= 180000 {
		for _, column := range s.Nullable {
			name := strings.Replace(column, " ALTER ", ".", 1)
			out = append(out, twin.Hazard{ID: HazardNullable, Object: name, Refuses: true, Message: fmt.Sprintf("the column %s takes NULL, and the one that it inherits from doesn't, which PostgreSQL 18 forbids: make them alike", name)})
		}
	}
	for _, role := range MissingRoles(s, target) {
		h := twin.Hazard{ID: HazardRoleMade, Object: role, Message: fmt.Sprintf("a policy is for the role %s, which the target lacks: it is created there without login", catalog.Ident(role))}
		if !target.MakesRoles || strings.HasPrefix(role, "pg_") {
			h = twin.Hazard{ID: HazardRoleMissing, Object: role, Refuses: true, Message: fmt.Sprintf("a policy is for the role %s, which the target lacks and its role may not create: create it there", catalog.Ident(role))}
		}
		out = append(out, h)
	}
	return out
}

// MissingRoles are the roles that policies name and the target lacks.
func MissingRoles(s *catalog.Schema, target Target) []string {
	var out []string
	for _, role := range s.PolicyRoles {
		if target.Roles != nil && !target.Roles[role] {
			out = append(out, role)
		}
	}
	return out
}

// skippedHazards tells what of the dump is left out on purpose, one hazard for
// each reason. What is made by other means is no hazard.
func skippedHazards(skipped []pgtools.Skipped) []twin.Hazard {
	quiet := []string{"ACL", "DEFAULT ACL", "ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES", "TABLE DATA", "SEQUENCE SET"}
	objects := make(map[string][]string)
	var order []string
	for _, s := range skipped {
		// A server before 15 has its schema public in every dump.
		if slices.Contains(quiet, s.Desc) || s.Desc == "COMMENT" || s.Desc == "SCHEMA" && s.Tag == "public" {
			continue
		}
		if _, ok := objects[s.Reason]; !ok {
			order = append(order, s.Reason)
		}
		objects[s.Reason] = append(objects[s.Reason], strings.ToLower(s.Desc)+" "+strings.TrimPrefix(s.Tag, s.Desc+" "))
	}
	var out []twin.Hazard
	for _, reason := range order {
		names := objects[reason]
		shown := strings.Join(names[:min(len(names), 5)], ", ")
		if len(names) > 5 {
			shown += fmt.Sprintf(" and %d more", len(names)-5)
		}
		out = append(out, twin.Hazard{ID: HazardNotCopied, Object: shown, Message: "left out on purpose: " + reason})
	}
	return out
}
