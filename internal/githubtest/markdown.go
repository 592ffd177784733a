package githubtest

import (
	"html"
	"html/template"
	"regexp"
	"strconv"
	"strings"
)

// markdown renders the part of GitHub's Markdown that check summaries use:
// headings, paragraphs, lists, tables, quotes, fenced code, details, bold,
// italic, code and links. Everything else is text. All text is escaped before
// any tag is written, and links lead to http and https only.
func markdown(text string) template.HTML {
	m := &md{lines: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")}
	m.blocks()
	return template.HTML(m.out.String())
}

type md struct {
	lines []string
	at    int
	out   strings.Builder
}

var (
	headingRE = regexp.MustCompile(`^(#{1,6})\s+(.*?)\s*#*$`)
	bulletRE  = regexp.MustCompile(`^\s*[-*+]\s+(.*)$`)
	numberRE  = regexp.MustCompile(`^\s*\d+[.)]\s+(.*)$`)
	ruleRE    = regexp.MustCompile(`^\s*(-{3,}|\*{3,}|_{3,})\s*$`)
	alignRE   = regexp.MustCompile(`^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$`)
	detailsRE = regexp.MustCompile(`^\s*<(/?)details( open)?>\s*(?:<summary>(.*)</summary>)?\s*$`)
	summaryRE = regexp.MustCompile(`^\s*<summary>(.*)</summary>\s*$`)
)

func (m *md) line() string { return m.lines[m.at] }

func (m *md) blocks() {
	for m.at < len(m.lines) {
		m.block()
	}
}

func (m *md) block() {
	l := m.line()
	if h := headingRE.FindStringSubmatch(l); h != nil {
		// The page has headings of its own above these.
		tag := "h" + strconv.Itoa(min(len(h[1])+2, 6))
		m.write("<" + tag + ">" + inline(h[2]) + "</" + tag + ">\n")
		m.at++
		return
	}
	if d := detailsRE.FindStringSubmatch(l); d != nil {
		m.details(d)
		return
	}
	switch {
	case strings.TrimSpace(l) == "" || strings.HasPrefix(strings.TrimSpace(l), "<!--"):
		m.at++
	case strings.HasPrefix(strings.TrimSpace(l), "```"):
		m.fence()
	case ruleRE.MatchString(l):
		m.write("<hr>\n")
		m.at++
	case summaryRE.MatchString(l):
		m.write("<summary>" + inline(summaryRE.FindStringSubmatch(l)[1]) + "</summary>\n")
		m.at++
	case strings.HasPrefix(l, ">"):
		m.quote()
	case bulletRE.MatchString(l):
		m.list("ul", bulletRE)
	case numberRE.MatchString(l):
		m.list("ol", numberRE)
	case m.tableStarts():
		m.table()
	default:
		m.paragraph()
	}
}

func (m *md) write(text string) { m.out.WriteString(text) }

func (m *md) details(d []string) {
	m.at++
	if d[1] == "/" {
		m.write("</details>\n")
		return
	}
	m.write("<details" + d[2] + ">")
	if d[3] != "" {
		m.write("<summary>" + inline(d[3]) + "</summary>")
	}
	m.write("\n")
}

func (m *md) fence() {
	m.at++
	var code []string
	for m.at < len(m.lines) && !strings.HasPrefix(strings.TrimSpace(m.line()), "```") {
		code = append(code, m.line())
		m.at++
	}
	m.at++
	m.write("<pre><code>" + html.EscapeString(strings.Join(code, "\n")) + "</code></pre>\n")
}

func (m *md) quote() {
	var inner []string
	for m.at < len(m.lines) && strings.HasPrefix(m.line(), ">") {
		inner = append(inner, strings.TrimPrefix(strings.TrimPrefix(m.line(), ">"), " "))
		m.at++
	}
	m.write("<blockquote>" + string(markdown(strings.Join(inner, "\n"))) + "</blockquote>\n")
}

func (m *md) list(tag string, item *regexp.Regexp) {
	m.write("<" + tag + ">\n")
	for m.at < len(m.lines) && item.MatchString(m.line()) && !ruleRE.MatchString(m.line()) {
		m.write("<li>" + inline(item.FindStringSubmatch(m.line())[1]) + "</li>\n")
		m.at++
	}
	m.write("</" + tag + ">\n")
}

func (m *md) tableStarts() bool {
	return m.at+1 < len(m.lines) && strings.Contains(m.line(), "|") &&
		strings.Contains(m.lines[m.at+1], "-") && alignRE.MatchString(m.lines[m.at+1])
}

func (m *md) table() {
	head := cells(m.line())
	var align []string
	for _, c := range cells(m.lines[m.at+1]) {
		switch {
		case strings.HasPrefix(c, ":") && strings.HasSuffix(c, ":"):
			align = append(align, ` class="center"`)
		case strings.HasSuffix(c, ":"):
			align = append(align, ` class="right"`)
		default:
			align = append(align, "")
		}
	}
	m.at += 2
	row := func(tag string, list []string) {
		m.write("<tr>")
		for i := range head {
			text, class := "", ""
			if i < len(list) {
				text = list[i]
			}
			if i < len(align) {
				class = align[i]
			}
			m.write("<" + tag + class + ">" + inline(text) + "</" + tag + ">")
		}
		m.write("</tr>\n")
	}
	m.write("<table><thead>")
	row("th", head)
	m.write("</thead><tbody>\n")
	for m.at < len(m.lines) && strings.Contains(m.line(), "|") {
		row("td", cells(m.line()))
		m.at++
	}
	m.write("</tbody></table>\n")
}

// cells splits a row of a table at the bars that are not escaped.
func cells(row string) []string {
	row = strings.TrimSpace(strings.ReplaceAll(row, `\|`, "\x00"))
	row = strings.TrimSuffix(strings.TrimPrefix(row, "|"), "|")
	out := strings.Split(row, "|")
	for i := range out {
		out[i] = strings.TrimSpace(strings.ReplaceAll(out[i], "\x00", "|"))
	}
	return out
}

func (m *md) paragraph() {
	var text []string
	start := m.at
	for m.at < len(m.lines) && (m.at == start || !m.blockStarts()) {
		text = append(text, inline(strings.TrimSpace(m.line())))
		m.at++
	}
	m.write("<p>" + strings.Join(text, "\n") + "</p>\n")
}

// blockStarts reports whether the current line ends a paragraph.
func (m *md) blockStarts() bool {
	l := m.line()
	trimmed := strings.TrimSpace(l)
	return trimmed == "" || headingRE.MatchString(l) || strings.HasPrefix(trimmed, "```") ||
		strings.HasPrefix(l, ">") || bulletRE.MatchString(l) || detailsRE.MatchString(l) || m.tableStarts()
}

var (
	codeRE   = regexp.MustCompile("`([^`]+)`")
	linkRE   = regexp.MustCompile(`\[([^\]\[]+)\]\((https?://[^\s()]+)\)`)
	boldRE   = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	italicRE = regexp.MustCompile(`(^|[\s(])[_*]([^_*\s](?:[^_*]*[^_*\s])?)[_*]($|[\s.,:;!?)])`)
	slotRE   = regexp.MustCompile("\x01(\\d+)\x02")
	escapeRE = regexp.MustCompile(`\\([\\*_{}\[\]()#+\-.!|<>~])`)
)

// inline renders a line. Code and links are set aside first, so that nothing
// inside them is read as emphasis.
func inline(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == 1 || r == 2 {
			return -1
		}
		return r
	}, text)
	var kept []string
	keep := func(s string) string {
		kept = append(kept, s)
		return "\x01" + strconv.Itoa(len(kept)-1) + "\x02"
	}
	text = codeRE.ReplaceAllStringFunc(text, func(s string) string {
		return keep("<code>" + html.EscapeString(s[1:len(s)-1]) + "</code>")
	})
	text = escapeRE.ReplaceAllStringFunc(text, func(s string) string { return keep(html.EscapeString(s[1:])) })
	text = linkRE.ReplaceAllStringFunc(text, func(s string) string {
		part := linkRE.FindStringSubmatch(s)
		return keep(`<a rel="noopener" href="`+html.EscapeString(part[2])+`">`) + part[1] + keep("</a>")
	})
	text = html.EscapeString(text)
	text = boldRE.ReplaceAllString(text, "<strong>$1</strong>")
	text = italicRE.ReplaceAllString(text, "$1<em>$2</em>$3")
	text = strings.ReplaceAll(text, "&lt;br&gt;", "<br>")
	return slotRE.ReplaceAllStringFunc(text, func(s string) string {
		n, err := strconv.Atoi(s[1 : len(s)-1])
		if err != nil || n >= len(kept) {
			return ""
		}
		return kept[n]
	})
}
