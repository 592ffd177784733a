package pgtools

import (
	"regexp"
	"strings"
)

// Stage says when an entry is made. The stages follow each other in the order
// of their numbers, and within a stage entries keep the order of the archive.
type Stage int

// The stages of a copy.
const (
	// Skip: never made in a Twin, or made by other means.
	Skip Stage = iota
	// Pre: made before any row is loaded.
	Pre
	// Index: indexes, primary keys, unique and exclusion constraints. Each
	// needs the rows of its own table only.
	Index
	// Attach: the index of a partition becomes part of its parent's.
	Attach
	// ForeignKey: needs the rows and keys of two tables.
	ForeignKey
	// Final: what acts on rows or reads from several tables: triggers, rules,
	// policies, late views, checks that are not valid, comments.
	Final
	// Refresh: fills a materialized view.
	Refresh
	// MatViewIndex: an index of a materialized view, built on what is in it.
	MatViewIndex
)

// Class says at which stage an entry is made and, for Skip, why it is not.
// What it doesn't know is kept: in Pre if it stands before the rows, else in
// Final. It sees one entry alone, so the indexes of materialized views are in
// Index: Archive.Stages tells them apart.
func Class(e Entry) (Stage, string) {
	if reason := skipped(e); reason != "" {
		return Skip, reason
	}
	switch e.Desc {
	case "INDEX":
		return Index, ""
	case "CONSTRAINT":
		if notNull.MatchString(e.Defn) {
			return Final, ""
		}
		return Index, ""
	case "INDEX ATTACH":
		return Attach, ""
	case "FK CONSTRAINT":
		return ForeignKey, ""
	case "MATERIALIZED VIEW DATA":
		return Refresh, ""
	}
	if e.Section == SectionPre {
		return Pre, ""
	}
	return Final, ""
}

// notNull matches the one CONSTRAINT that makes no index: since 18, NOT NULL
// that is not valid.
var notNull = regexp.MustCompile(`(?s)^ALTER [^\n]*\n    ADD CONSTRAINT ("(?:[^"]|"")*"|[^ "][^ ]*) NOT NULL `)

// skipped gives the reason why an entry is never made, or "".
func skipped(e Entry) string {
	switch e.Desc {
	case "ENCODING", "STDSTRINGS", "SEARCHPATH":
		return "a setting of the session that restores"
	case "DATABASE", "DATABASE PROPERTIES":
		return "the Twin's database is made by whoever publishes it"
	case "SCHEMA":
		if e.Tag == "public" && !strings.HasPrefix(e.Defn, "CREATE") {
			return "exists in every new database"
		}
	case "PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA":
		return "a Twin publishes nothing"
	case "SUBSCRIPTION", "SUBSCRIPTION TABLE":
		return "a Twin subscribes to nothing"
	case "EVENT TRIGGER":
		return "acts on the schema changes of developers and needs a superuser"
	case "SECURITY LABEL":
		return "its provider is not on the target"
	case "USER MAPPING":
		return "holds production's credentials for another server"
	case "ACL", "DEFAULT ACL", "ACL LANGUAGE":
		return "grants are those of the generation before"
	case "TABLE DATA", "SEQUENCE SET":
		return "rows are copied from the snapshot"
	case "BLOB", "BLOBS", "BLOB METADATA", "BLOB COMMENTS":
		return "large objects are not part of a schema"
	case "STATISTICS DATA":
		return "holds values of rows"
	case "COMMENT":
		return skippedComment(e.Tag)
	}
	if e.Defn == "" && e.Desc != "MATERIALIZED VIEW DATA" {
		return "has no definition"
	}
	return ""
}

// skippedComment gives the reason why a comment is never made, or "".
func skippedComment(tag string) string {
	for _, about := range []struct{ prefix, reason string }{
		{"EXTENSION ", "belongs to the owner of the extension, who is another role"},
		{"DATABASE ", "a Twin's mark is in its database's comment"},
		{"EVENT TRIGGER ", "what it is about is left out"},
		{"PUBLICATION ", "what it is about is left out"},
		{"SUBSCRIPTION ", "what it is about is left out"},
		{"LARGE OBJECT", "large objects are not part of a schema"},
	} {
		if strings.HasPrefix(tag, about.prefix) {
			return about.reason
		}
	}
	if tag == "SCHEMA public" || tag == `SCHEMA "public"` {
		return "belongs to the owner of schema public, who may be another role"
	}
	return ""
}

// Skipped is an entry that is not made, and why.
type Skipped struct {
	Entry
	Reason string
}

// Stages sorts the archive's entries by stage and keeps their order. What
// depends on an entry of a later stage is made there too: the comment on an
// index of a materialized view, an index that calls a late function.
func (a *Archive) Stages() (map[Stage][]Entry, []Skipped) {
	stages := map[Stage][]Entry{}
	var skips []Skipped
	views := map[int]bool{}
	made := map[int]Stage{} // dependencies come first in an archive
	for _, e := range a.Entries {
		stage, reason := Class(e)
		if stage == Skip {
			skips = append(skips, Skipped{e, reason})
			continue
		}
		if e.Desc == "MATERIALIZED VIEW" {
			views[e.DumpID] = true
		}
		if e.Desc == "INDEX" && dependsOn(e, views) {
			stage = MatViewIndex
		}
		for _, id := range e.Dependencies {
			stage = max(stage, made[id])
		}
		made[e.DumpID] = stage
		stages[stage] = append(stages[stage], e)
	}
	return stages, skips
}

func dependsOn(e Entry, ids map[int]bool) bool {
	for _, id := range e.Dependencies {
		if ids[id] {
			return true
		}
	}
	return false
}

// Session is what to send before any definition: the settings that
// pg_restore makes, with the archive's own encoding and string syntax. The
// connection must not be used for anything else afterwards.
func (a *Archive) Session() string {
	var b strings.Builder
	b.WriteString("SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n" +
		// Newer servers have one more, which older ones don't know.
		"SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout';\n" +
		"SELECT pg_catalog.set_config('search_path', '', false);\n" +
		"SET check_function_bodies = false;\nSET xmloption = content;\nSET client_min_messages = warning;\nSET row_security = off;\n" +
		"SET default_tablespace = '';\nSET default_table_access_method = heap;\n")
	for _, e := range a.Entries {
		if e.Desc == "ENCODING" || e.Desc == "STDSTRINGS" {
			b.WriteString(e.Defn)
		}
	}
	return b.String()
}
