package checks

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names of tables and the messages about them come from databases and files
// that other people write. Nothing of them may become markup, a link or a
// mention: prose passes through text, names through code.

// zeroWidth between two characters keeps GitHub from making a mention or a
// link of them. Nobody sees it.
const zeroWidth = "\u200b"

// text escapes s for prose in Markdown, on one line.
func text(s string) string {
	var b strings.Builder
	for _, r := range oneLine(s) {
		switch r {
		case '\\', '`', '*', '_', '[', ']', '#', '|', '~', '$':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '&':
			b.WriteString("&amp;")
		case '@':
			b.WriteString("@" + zeroWidth)
		default:
			b.WriteRune(r)
		}
	}
	return links.Replace(b.String())
}

// links breaks what GitHub would turn into a link by itself.
var links = strings.NewReplacer("://", ":"+zeroWidth+"//", "www.", "www"+zeroWidth+".")

// code shows s as code, fit for a cell of a table. In a code span only the
// backtick and, in a table, the pipe and a backslash before it have a meaning;
// a name that holds one of them is written with entities instead.
func code(s string) string {
	s = oneLine(s)
	if s != "" && s == strings.TrimSpace(s) && !strings.ContainsAny(s, "`|\\") {
		return "`" + s + "`"
	}
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf && (unicode.IsPunct(r) || unicode.IsSymbol(r)) {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return "<code>" + b.String() + "</code>"
}

// oneLine folds white space to single blanks where it breaks lines, and shows
// what a reader could not see, such as a change of the writing direction.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// cut shortens s to at most limit characters.
func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return strings.TrimRight(string([]rune(s)[:limit-1]), " ,;:") + "…"
}

// cutNote ends a summary that was too long.
const cutNote = "\n\n*Cut here: the rest does not fit on a check run.*\n"

// cutSummary keeps s within limit bytes and ends it at a line, so that no
// character, markup or row of a table is torn.
func cutSummary(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len(cutNote)]
	if i := strings.LastIndexByte(s, '\n'); i > 0 {
		return s[:i] + cutNote
	}
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + cutNote
}
