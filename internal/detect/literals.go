package detect

import (
	"regexp"
	"slices"
	"strings"

	"github.com/neontwin/neontwin/internal/mask"
)

// inside are forms as they are found within a text.
var inside = regexp.MustCompile(`[^\s"'<>()\[\]{},;:|=]+@[^\s"'<>()\[\]{},;:|=]+|[+]?[\p{L}\p{N}][^\s"'<>\[\]{},;|=]*(?:[ ][(]?\d[\d()./-]*)*`)

// Literals gives the forms of personal data that are found in the quoted
// literals of a definition, sorted; nil if there are none. A literal is
// '..', E'..' or what stands between dollar quotes; comments are not looked at.
func Literals(sql string) []mask.Class {
	found := map[mask.Class]bool{}
	for _, text := range quoted(sql) {
		for _, class := range within(text) {
			found[class] = true
		}
	}
	var out []mask.Class
	for class := range found {
		out = append(out, class)
	}
	slices.Sort(out)
	return out
}

// within gives the forms of a text and of the pieces of it.
func within(text string) []mask.Class {
	var out []mask.Class
	note := func(s string) bool {
		f, ok := formOf(strict(), strings.Trim(s, " .!?"))
		if ok && !(f.class == mask.Email && isRole(s)) && !(f.class == mask.IPClass && !public(s)) {
			out = append(out, f.class)
		}
		return ok
	}
	if note(text) {
		return out
	}
	if len(text) > 1<<16 {
		text = text[:1<<16]
	}
	for _, piece := range inside.FindAllString(text, 512) {
		note(piece)
	}
	return out
}

// quoted gives the literals of a piece of SQL. The body of a function is a
// literal, comments and all, and those in it are too.
func quoted(sql string) []string {
	var out []string
	for i := 0; i < len(sql); {
		rest := sql[i:]
		switch {
		case strings.HasPrefix(rest, "--"):
			i += after(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			i += after(rest, "*/")
		case rest[0] == '"':
			i += 1 + after(rest[1:], `"`)
		case rest[0] == '\'':
			escapes := i > 0 && (sql[i-1] == 'E' || sql[i-1] == 'e') && (i < 2 || !wordy(sql[i-2]))
			text, n := literal(rest[1:], escapes)
			out = append(out, text)
			i += 1 + n
		case rest[0] == '$' && (i == 0 || !wordy(sql[i-1])):
			tag := dollar(rest)
			if tag == "" {
				i++
				continue
			}
			body := rest[len(tag):]
			n := after(body, tag)
			body = strings.TrimSuffix(body[:n], tag)
			out = append(append(out, body), quoted(body)...)
			i += len(tag) + n
		default:
			i++
		}
	}
	return out
}

// after is where the text goes on behind the next end.
func after(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

func wordy(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}

// dollar is the quote that s begins with, such as $$ or $body$.
func dollar(s string) string {
	for i := 1; i < len(s); i++ {
		if s[i] == '$' {
			return s[:i+1]
		}
		if !wordy(s[i]) || i == 1 && s[i] >= '0' && s[i] <= '9' {
			break
		}
	}
	return ""
}

// literal reads on to the closing quote and says how much that was.
func literal(s string, escapes bool) (string, int) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
			b.WriteByte('\'')
		case s[i] == '\'':
			return b.String(), i + 1
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), len(s)
}
