package subset

import (
	"errors"
	"strings"
)

// checkExpression says why a person's SQL is not one expression that stays
// where it is put: between parentheses or after ORDER BY. Whether it is SQL at
// all the server decides.
func checkExpression(sql string) error {
	if strings.TrimSpace(sql) == "" {
		return errors.New("it is empty")
	}
	s := scanner{sql: sql}
	for s.at < len(sql) {
		if err := s.step(); err != nil {
			return err
		}
	}
	if len(s.open) > 0 {
		return errors.New("a parenthesis is not closed")
	}
	return nil
}

// scanner walks over SQL as PostgreSQL's own does, as far as it must to tell
// what is quoted.
type scanner struct {
	sql  string
	at   int
	open []byte // the closing halves that are due
}

func (s *scanner) rest() string { return s.sql[s.at:] }

func (s *scanner) step() error {
	c := s.sql[s.at]
	switch {
	case c == 0:
		return errors.New("it holds a NUL")
	case c == ';':
		return errors.New("it holds a semicolon: write a single expression")
	case strings.HasPrefix(s.rest(), "--"), strings.HasPrefix(s.rest(), "/*"):
		return errors.New("it holds a comment: leave that out")
	case c == '(' || c == '[':
		s.open = append(s.open, map[byte]byte{'(': ')', '[': ']'}[c])
	case c == ')' || c == ']':
		if len(s.open) == 0 || s.open[len(s.open)-1] != c {
			return errors.New("a parenthesis is closed that is not open")
		}
		s.open = s.open[:len(s.open)-1]
	case c == '\'':
		return s.quoted(false)
	case c == '"':
		return s.until('"', false, "a quoted name does not end")
	case c == '$':
		return s.dollar()
	case isWord(c):
		return s.word()
	}
	s.at++
	return nil
}

// word skips a name or a number. An E before a quote makes backslashes count.
func (s *scanner) word() error {
	from := s.at
	for s.at < len(s.sql) && (isWord(s.sql[s.at]) || s.sql[s.at] >= '0' && s.sql[s.at] <= '9' || s.sql[s.at] == '$') {
		s.at++
	}
	if strings.EqualFold(s.sql[from:s.at], "e") && strings.HasPrefix(s.rest(), "'") {
		return s.quoted(true)
	}
	return nil
}

// isWord reports whether a name can begin so.
func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// quoted skips a string. One that goes on in another line would keep the
// meaning of its backslashes: nobody needs that.
func (s *scanner) quoted(backslashes bool) error {
	if err := s.until('\'', backslashes, "a string does not end"); err != nil {
		return err
	}
	if strings.HasPrefix(strings.TrimLeft(s.rest(), " \t\n\r\f\v"), "'") {
		return errors.New("a string follows a string: write them as one")
	}
	return nil
}

// until skips from a quote to the one that ends it. A doubled one doesn't.
func (s *scanner) until(quote byte, backslashes bool, otherwise string) error {
	for s.at++; s.at < len(s.sql); s.at++ {
		switch c := s.sql[s.at]; {
		case c == 0:
			return errors.New("it holds a NUL")
		case c == '\\' && backslashes:
			s.at++
		case c == quote && s.at+1 < len(s.sql) && s.sql[s.at+1] == quote:
			s.at++
		case c == quote:
			s.at++
			return nil
		}
	}
	return errors.New(otherwise)
}

// dollar skips a string between dollars.
func (s *scanner) dollar() error {
	end := s.at + 1
	for end < len(s.sql) && (isWord(s.sql[end]) || end > s.at+1 && s.sql[end] >= '0' && s.sql[end] <= '9') {
		end++
	}
	if end == len(s.sql) || s.sql[end] != '$' {
		return errors.New("it holds a $: there are no parameters")
	}
	tag := s.sql[s.at : end+1]
	_, after, found := strings.Cut(s.sql[end+1:], tag)
	if !found {
		return errors.New("a string does not end")
	}
	if strings.ContainsRune(s.sql[end+1:len(s.sql)-len(after)], 0) {
		return errors.New("it holds a NUL")
	}
	s.at = len(s.sql) - len(after)
	return nil
}
