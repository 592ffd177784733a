package spec

import (
	"strings"
	"unicode/utf8"
)

// Match reports whether the whole of name matches a glob pattern. "*" stands
// for any characters but "/", "?" for one of them, "**" for any characters at
// all, and "**/" where a segment begins also for nothing. Every other
// character stands for itself. It takes time in proportion to the product of
// the two lengths, whatever the pattern.
func Match(pattern, name string) bool {
	toks := compile(pattern)
	now, next := make([]bool, len(toks)+1), make([]bool, len(toks)+1)
	now[0] = true
	skip(toks, now)
	for _, r := range name {
		clear(next)
		for i, t := range toks {
			switch {
			case !now[i]:
			case t == anyRun, t == segmentRun && r != '/':
				next[i] = true
			case t == r, t == oneRune && r != '/':
				next[i+1] = true
			}
		}
		skip(toks, next)
		now, next = next, now
	}
	return now[len(toks)]
}

// The wildcards, as runes that no text holds.
const (
	segmentRun rune = -1 - iota // *
	anyRun                      // **
	oneRune                     // ?
	maybe                       // the next two, "**" and "/", or nothing
)

// compile turns a pattern into runes and wildcards.
func compile(pattern string) []rune {
	var toks []rune
	for rest := pattern; rest != ""; {
		starts := len(toks) == 0 || toks[len(toks)-1] == '/'
		switch {
		case starts && strings.HasPrefix(rest, "**/"):
			toks, rest = append(toks, maybe, anyRun, '/'), rest[3:]
		case strings.HasPrefix(rest, "**"):
			toks, rest = append(toks, anyRun), rest[2:]
		case rest[0] == '*':
			toks, rest = append(toks, segmentRun), rest[1:]
		case rest[0] == '?':
			toks, rest = append(toks, oneRune), rest[1:]
		default:
			r, size := utf8.DecodeRuneInString(rest)
			toks, rest = append(toks, r), rest[size:]
		}
	}
	return toks
}

// skip adds the states that are reached without reading anything.
func skip(toks []rune, on []bool) {
	for i, t := range toks {
		if !on[i] {
			continue
		}
		if t == anyRun || t == segmentRun || t == maybe {
			on[i+1] = true
		}
		if t == maybe {
			on[i+3] = true
		}
	}
}
