package privacy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/neontwin/neontwin/internal/mask"
)

// understood reads what a CHECK says of one column into col, and reports whether
// that is all it says of it. The expression is as PostgreSQL writes it. Alike
// reports whether the values of another column move as far as those of this one,
// so that what lies between them stays.
func understood(expression, name string, col *mask.Column, alike func(other token) bool) bool {
	all := true
	for _, term := range conjuncts(tokens(expression)) {
		if !slices.ContainsFunc(term, func(t token) bool { return t.names(name) }) || simple(term, name, col) {
			continue
		}
		if len(term) != 3 || !slices.Contains([]token{"<", "<=", ">", ">=", "="}, term[1]) || !alike(term[0]) || !alike(term[2]) {
			all = false
		}
	}
	return all
}

// token is a word of an expression: a name, a number, a text in its quotes, or
// a sign.
type token string

var tokenForm = regexp.MustCompile(`'(?:[^']|'')*'|"(?:[^"]|"")*"|[\p{L}_][\p{L}\p{N}_$]*|[0-9]+(?:\.[0-9]+)?|::|[-+*/<>=~!@#%^&|?]+|[^\s]`)

func (t token) names(column string) bool {
	return string(t) == column || strings.HasPrefix(string(t), `"`) && strings.ReplaceAll(strings.Trim(string(t), `"`), `""`, `"`) == column
}

func (t token) word() bool {
	return t != "" && (t[0] == '_' || t[0] == '"' || t[0] >= 0x80 || t[0]|0x20 >= 'a' && t[0]|0x20 <= 'z')
}

// literal is the value of a text or a number.
func (t token) literal() (string, bool) {
	switch {
	case strings.HasPrefix(string(t), "'"):
		return strings.ReplaceAll(string(t[1:len(t)-1]), "''", "'"), true
	case t != "" && (t[0] >= '0' && t[0] <= '9' || len(t) > 1 && t[0] == '-'):
		return string(t), true
	}
	return "", false
}

// tokens reads an expression and leaves out what carries no meaning here: casts,
// and parentheses around a single word.
func tokens(expression string) []token {
	var in []token
	for _, text := range tokenForm.FindAllString(expression, -1) {
		in = append(in, token(text))
	}
	out := make([]token, 0, len(in))
	for i := 0; i < len(in); i++ {
		switch {
		case in[i] == "::":
			i = afterType(in, i+1) - 1
		case in[i] == "-" && i+1 < len(in) && in[i+1][0] >= '0' && in[i+1][0] <= '9' && (len(out) == 0 || !out[len(out)-1].word() && out[len(out)-1] != ")"):
			out = append(out, "-"+in[i+1])
			i++
		case in[i] == ")" && len(out) >= 2 && out[len(out)-2] == "(" && out[len(out)-1] != ")" && (len(out) < 3 || !out[len(out)-3].word() || keyword(out[len(out)-3])):
			out = append(out[:len(out)-2], out[len(out)-1])
		default:
			out = append(out, in[i])
		}
	}
	return out
}

// keyword reports whether a parenthesis after a word does not make it a call.
func keyword(t token) bool { return slices.Contains([]token{"AND", "OR", "NOT", "IS"}, t) }

// afterType is the place behind the name of a type: some words, perhaps with a
// length and brackets.
func afterType(in []token, i int) int {
	for i < len(in) && in[i].word() && !slices.Contains([]token{"AND", "OR", "IS", "NOT", "THEN", "ELSE", "WHEN", "END"}, in[i]) {
		i++
		if i < len(in) && in[i] == "." {
			i++
		}
	}
	if i < len(in) && in[i] == "(" {
		for i < len(in) && in[i] != ")" {
			i++
		}
		i++
		for i < len(in) && slices.Contains([]token{"without", "with", "time", "zone"}, in[i]) {
			i++
		}
	}
	for i+1 < len(in) && in[i] == "[" && in[i+1] == "]" {
		i += 2
	}
	return min(i, len(in))
}

// bare takes the parentheses off that go around all of an expression.
func bare(in []token) []token {
	for len(in) >= 2 && in[0] == "(" {
		depth, end := 0, -1
		for i, t := range in {
			if t == "(" {
				depth++
			} else if t == ")" {
				if depth--; depth == 0 {
					end = i
					break
				}
			}
		}
		if end != len(in)-1 {
			break
		}
		in = in[1 : len(in)-1]
	}
	return in
}

// conjuncts are the terms that all must hold.
func conjuncts(in []token) [][]token {
	in = bare(in)
	depth, from := 0, 0
	var out [][]token
	for i, t := range in {
		switch t {
		case "(", "[":
			depth++
		case ")", "]":
			depth--
		case "AND":
			if depth == 0 && !between(in[from:i]) {
				out = append(out, conjuncts(in[from:i])...)
				from = i + 1
			}
		}
	}
	if from == 0 {
		return [][]token{in}
	}
	return append(out, conjuncts(in[from:])...)
}

// between reports whether an AND after in belongs to a BETWEEN.
func between(in []token) bool {
	return slices.Contains(in, "BETWEEN") && !slices.Contains(in, "AND")
}

// simple reads one term into col, if it is of a form that is understood.
func simple(term []token, name string, col *mask.Column) bool {
	switch {
	case len(term) == 4 && term[0].names(name) && term[1] == "IS" && term[2] == "NOT" && term[3] == "NULL":
		col.NotNull = true
		return true
	case len(term) >= 3 && term[0].names(name) && col.Kind == mask.Moment && movesWithTime(term[2:]):
		return moving(term[1], col)
	case len(term) == 3 && term[0].names(name):
		return compared(term[1], term[2], col)
	case len(term) == 6 && slices.Contains([]token{"length", "char_length", "character_length"}, term[0]) && term[1] == "(" && term[2].names(name) && term[3] == ")":
		return measured(term[4], term[5], col)
	case len(term) > 6 && term[0].names(name) && term[1] == "=" && term[2] == "ANY":
		return listed(term[3:], col)
	}
	return false
}

// compared reads a comparison of the column with a constant.
func compared(sign, with token, col *mask.Column) bool {
	value, ok := with.literal()
	if !ok {
		return false
	}
	if sign == "=" {
		col.Allowed = []string{value}
		return true
	}
	if sign == "<>" && value == "" { // stand-ins are never empty but for empty text
		return true
	}
	if col.Kind == mask.Moment {
		span, ok := col.SpanOf(string(sign), value)
		if ok {
			within(span, col)
		}
		return ok
	}
	if _, err := strconv.ParseFloat(value, 64); err != nil || col.Kind&(mask.Int|mask.Numeric|mask.Float) == 0 {
		return false
	}
	whole, err := strconv.ParseInt(value, 10, 64)
	integer := err == nil && col.Kind == mask.Int
	switch {
	case sign == ">=":
		col.Least = tighter(col.Least, value, 1)
	case sign == "<=":
		col.Most = tighter(col.Most, value, -1)
	case sign == ">" && integer:
		col.Least = tighter(col.Least, strconv.FormatInt(whole+1, 10), 1)
	case sign == "<" && integer:
		col.Most = tighter(col.Most, strconv.FormatInt(whole-1, 10), -1)
	default:
		return false
	}
	return true
}

// within narrows a date's span.
func within(span mask.Span, col *mask.Column) {
	if col.Span != nil {
		span = span.And(*col.Span)
	}
	col.Span = &span
}

// movesWithTime reports whether an expression says nothing but when it is, or
// some time before or after that.
func movesWithTime(in []token) bool {
	now := false
	for _, t := range in {
		switch _, literal := t.literal(); {
		case slices.Contains([]token{"CURRENT_DATE", "CURRENT_TIMESTAMP", "LOCALTIMESTAMP", "now"}, t):
			now = true
		case !literal && !slices.Contains([]token{"(", ")", "+", "-"}, t):
			return false
		}
	}
	return now
}

// moving reads a bound that moves with time.
func moving(sign token, col *mask.Column) bool {
	span := mask.AnyTime()
	switch sign {
	case "<", "<=":
		span.NoLater = true
	case ">", ">=":
		span.NoEarlier = true
	default:
		return false
	}
	within(span, col)
	return !(col.Span.NoLater && col.Span.NoEarlier)
}

// measured reads a comparison of the column's length.
func measured(sign, with token, col *mask.Column) bool {
	n, err := strconv.Atoi(string(with))
	if err != nil || col.Kind != mask.Text {
		return false
	}
	switch sign {
	case "<":
		n--
	case ">":
		n++
	}
	if (sign == "<" || sign == "<=" || sign == "=") && n > 0 && (col.MaxLen == 0 || n < col.MaxLen) {
		col.MaxLen = n
	}
	if sign == ">" || sign == ">=" || sign == "=" {
		col.MinLen = max(col.MinLen, n)
	}
	return slices.Contains([]token{"<", "<=", "=", ">", ">="}, sign) && n > 0
}

// listed reads (ARRAY['a', 'b']).
func listed(in []token, col *mask.Column) bool {
	in = bare(in)
	if len(in) < 4 || in[0] != "ARRAY" || in[1] != "[" || in[len(in)-1] != "]" {
		return false
	}
	var values []string
	for i, t := range in[2 : len(in)-1] {
		value, ok := t.literal()
		switch {
		case i%2 == 1 && t == ",":
		case i%2 == 0 && ok:
			values = append(values, value)
		default:
			return false
		}
	}
	col.Allowed = values
	return true
}
