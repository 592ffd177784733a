// Package migrations holds the SQL that makes and changes our own tables, for
// goose. River's tables are not here: River brings its own migrations.
//
// A migration that has been released is never edited. Old processes meet the
// new schema during a deploy, so a change expands first and contracts in a
// later release.
package migrations

import "embed"

// FS holds the migrations, one file each, in the order of their numbers.
//
//go:embed *.sql
var FS embed.FS
