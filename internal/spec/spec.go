// Package spec reads a repository's file, .github/neon-twin.yml, into the
// words of package twin. It is strict: what it does not understand, or what
// this version can't carry out, is an error with its line and column, never
// silently ignored. The file comes from people who are not the operator, so it
// can only name sources and targets, and its size and nesting are bounded
// before it is parsed.
package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/twin"
)

// Path is where a repository keeps its file.
const Path = ".github/neon-twin.yml"

// ReservedName is not for a Twin: what is wrong with a file as a whole is
// reported under it.
const ReservedName = "configuration"

// MaxSize is how large the file may be, in bytes.
const MaxSize = 64 << 10

// What a file may hold at most. A file beyond these is a mistake or an attack.
const (
	maxTwins    = 50
	maxPatterns = 100
	maxPattern  = 256
	maxDepth    = 12
	maxErrors   = 20
)

// File is a repository's file, understood.
type File struct {
	Twins []twin.Spec // in the order of the file
}

// Error is one thing that is wrong with a file, and where.
type Error struct {
	File    string
	Line    int // from 1
	Column  int // from 1
	Message string
}

// Error is file:line:column: message, as editors and compilers write it.
func (e Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Errors is everything that is wrong with a file, in the order of the file. It
// holds at least one Error. Its text never repeats a value that could be an
// address or a secret.
type Errors []Error

// Error lists the errors, one on each line.
func (es Errors) Error() string {
	var b strings.Builder
	for i, e := range es {
		if i == maxErrors {
			fmt.Fprintf(&b, "\nand %d more", len(es)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// sorted gives the errors in the order of the file, each place and message once.
func (es Errors) sorted() Errors {
	slices.SortStableFunc(es, func(a, b Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return slices.Compact(es)
}

// Parse reads a repository's file. The name is only used in errors. An error
// is always an Errors; a File that comes without one is valid as a whole.
func Parse(name string, data []byte) (File, error) {
	p := &parser{file: name}
	root := p.tree(data)
	var f File
	if root != nil {
		f = p.document(root)
	}
	if len(p.errs) > 0 {
		return File{}, p.errs.sorted()
	}
	return f, nil
}
