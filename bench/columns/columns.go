// Package columns holds invented columns in seven languages, labelled by hand
// as personal or harmless, to measure how well personal data is detected.
package columns

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

var (
	//go:embed dev.jsonl
	dev []byte
	//go:embed held.jsonl
	held []byte
)

// Set is one half of the columns.
type Set string

// The halves. No table is in both.
const (
	DevSet  Set = "dev"  // to work with
	HeldSet Set = "held" // to report on, and never to look at
)

// Label is the judgement on a column.
type Label string

// The labels. README.md says by which rules they were given.
const (
	Personal Label = "personal"
	Harmless Label = "harmless"
)

// Column is one labelled column as a catalogue and a small sample show it.
type Column struct {
	Set      Set    `json:"set"`
	Language string `json:"language"` // en, de, fr, es, pt, nl or it
	// Model is the kind of system that the table is modelled on.
	Model        string `json:"model"`
	Schema       string `json:"schema"`
	Table        string `json:"table"`
	TableComment string `json:"table_comment,omitempty"`
	Name         string `json:"column"`
	// Type is the SQL type as format_type writes it, or the name of a domain
	// or an enum.
	Type string `json:"type"`
	// Base is the type under a domain.
	Base string `json:"base,omitempty"`
	// Labels are those of an enum.
	Labels []string `json:"labels,omitempty"`
	// Flags are pk, unique, notnull, identity and fk.
	Flags []string `json:"flags,omitempty"`
	// References is the table and column that a foreign key points to.
	References string `json:"references,omitempty"`
	Comment    string `json:"comment,omitempty"`
	// Values are up to eight values as PostgreSQL writes them. A column without
	// any holds nothing but NULL.
	Values []string `json:"values,omitempty"`
	Label  Label    `json:"label"`
	// Classes are the maskers that suit a personal column, the best one first.
	Classes []string `json:"classes,omitempty"`
}

// Key names the column within both halves.
func (c Column) Key() string {
	return strings.Join([]string{c.TableKey(), c.Name}, "/")
}

// TableKey names the column's table within both halves.
func (c Column) TableKey() string {
	return strings.Join([]string{c.Language, c.Model, c.Schema, c.Table}, "/")
}

// Dev gives the half to work with.
func Dev() ([]Column, error) { return Read(bytes.NewReader(dev), DevSet) }

// Held gives the half to report on.
func Held() ([]Column, error) { return Read(bytes.NewReader(held), HeldSet) }

// Read parses one half, a JSON object for each column, and refuses what breaks
// the form.
func Read(r io.Reader, set Set) ([]Column, error) {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	var out []Column
	seen := map[string]bool{}
	for {
		var c Column
		err := dec.Decode(&c)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read column %d: %w", len(out)+1, err)
		}
		if err := c.check(set); err != nil {
			return nil, fmt.Errorf("read column %d (%s): %w", len(out)+1, c.Key(), err)
		}
		if seen[c.Key()] {
			return nil, fmt.Errorf("read column %d (%s): it is there twice", len(out)+1, c.Key())
		}
		seen[c.Key()] = true
		out = append(out, c)
	}
}

const mostValues = 8

func (c Column) check(set Set) error {
	switch {
	case c.Set != set:
		return fmt.Errorf("its set is %q, not %q", c.Set, set)
	case c.Language == "" || c.Model == "" || c.Schema == "" || c.Table == "" || c.Name == "" || c.Type == "":
		return errors.New("a name or the type is missing")
	case len(c.Values) > mostValues:
		return fmt.Errorf("it has more than %d values", mostValues)
	case c.Label != Personal && c.Label != Harmless:
		return fmt.Errorf("its label is %q", c.Label)
	case (c.Label == Personal) != (len(c.Classes) > 0):
		return errors.New("classes are for personal columns, and all of them")
	}
	return nil
}
