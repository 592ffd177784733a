package clone

import (
	"fmt"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/pgtools"
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
)

// Check finds what can be known to be dangerous before a dump is taken: a
// single table that can't be read makes pg_dump fail as a whole.
func Check(s *catalog.Schema, target Target, o Options) []twin.Hazard {
	var out []twin.Hazard
	add := func(refuses bool, id, object, format string, args ...any) {
		out = append(out, twin.Hazard{ID: id, Object: object, Message: fmt.Sprintf(format, args...), Refuses: refuses})
	}
	if o.Mode != twin.Full {
		add(true, HazardMode, string(o.Mode), "this version of neontwin copies Twins of mode full only")
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
	if s.LargeObjects > 0 {
		add(false, HazardLargeObjects, "", "%d large objects stay behind: this version of neontwin does not copy them", s.LargeObjects)
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
		if slices.Contains(quiet, s.Desc) || s.Desc == "COMMENT" {
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
