package config

import (
	"fmt"
	"strings"
)

// A Problem is one thing that is wrong. It never holds a value that was set:
// somebody may have put a secret under the wrong name.
type Problem struct {
	// Name is what to set: a variable, or the path of a key in the file.
	Name string
	// From is where it was found, or looked for.
	From string
	// What is wrong.
	What string
	// Example is how it could look; may be empty.
	Example string
}

// String is the problem on one line.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s) %s", p.Name, p.From, p.What)
	if p.Example != "" {
		fmt.Fprintf(&b, "; for example %s", p.Example)
	}
	return b.String()
}

// An Error is everything that is wrong with a configuration.
type Error struct{ Problems []Problem }

// Error lists the problems, one a line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("read configuration:")
	for _, p := range e.Problems {
		b.WriteString("\n  ")
		b.WriteString(p.String())
	}
	return b.String()
}
