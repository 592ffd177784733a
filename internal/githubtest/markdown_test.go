package githubtest

import (
	"strings"
	"testing"
)

func TestMarkdown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"one\ntwo", "<p>one\ntwo</p>\n"},
		{"# Top\ntext", "<h3>Top</h3>\n<p>text</p>\n"},
		{"###### deep", "<h6>deep</h6>\n"},
		{"- a\n- b `c`\n", "<ul>\n<li>a</li>\n<li>b <code>c</code></li>\n</ul>\n"},
		{"1. a\n2. b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>\n"},
		{"**bold** and *it* and _it_", "<p><strong>bold</strong> and <em>it</em> and <em>it</em></p>\n"},
		{"snake_case_name stays", "<p>snake_case_name stays</p>\n"},
		{"`**not bold** <b>`", "<p><code>**not bold** &lt;b&gt;</code></p>\n"},
		{"[run](https://x.test/a?b=1&c=2)", `<p><a rel="noopener" href="https://x.test/a?b=1&amp;c=2">run</a></p>` + "\n"},
		{"[`code`](http://x.test)", `<p><a rel="noopener" href="http://x.test"><code>code</code></a></p>` + "\n"},
		{"[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"},
		{`[x](https://x.test/"onclick="y)`, `<p><a rel="noopener" href="https://x.test/&#34;onclick=&#34;y">x</a></p>` + "\n"},
		{"<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"},
		{"```sql\nselect '<a>';\n```\nafter", "<pre><code>select &#39;&lt;a&gt;&#39;;</code></pre>\n<p>after</p>\n"},
		{"```\nno end", "<pre><code>no end</code></pre>\n"},
		{"> quoted\n> more", "<blockquote><p>quoted\nmore</p>\n</blockquote>\n"},
		{"---", "<hr>\n"},
		{
			"| a | b |\n|---|--:|\n| x \\| y | **1** |\n| z |",
			"<table><thead><tr><th>a</th><th class=\"right\">b</th></tr>\n</thead><tbody>\n" +
				"<tr><td>x | y</td><td class=\"right\"><strong>1</strong></td></tr>\n" +
				"<tr><td>z</td><td class=\"right\"></td></tr>\n</tbody></table>\n",
		},
		{
			"<details>\n<summary>More <b></summary>\n\ntext\n</details>",
			"<details>\n<summary>More &lt;b&gt;</summary>\n<p>text</p>\n</details>\n",
		},
		{"a<br>b", "<p>a<br>b</p>\n"},
		{`\*not\* \<b\>`, "<p>*not* &lt;b&gt;</p>\n"},
		{"forged \x010\x02 slot", "<p>forged 0 slot</p>\n"},
	} {
		if got := string(markdown(tt.in)); got != tt.want {
			t.Errorf("markdown(%q)\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

// Whatever comes in, no tag comes out that is not one of ours.
func FuzzMarkdown(f *testing.F) {
	for _, seed := range []string{"# a", "| a |\n|-|\n", "[a](http://b)", "<img onerror=x>", "`<`", "> <a href=x>", "<details><summary><i></summary>"} {
		f.Add(seed)
	}
	ours := " a br strong em code p h3 h4 h5 h6 ul ol li pre blockquote hr table thead tbody tr th td details summary "
	f.Fuzz(func(t *testing.T, in string) {
		out := string(markdown(in))
		for _, part := range strings.Split(out, "<")[1:] {
			name := strings.TrimPrefix(part, "/")
			name = name[:strings.IndexFunc(name+">", func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })]
			if name == "" || !strings.Contains(ours, " "+name+" ") {
				t.Fatalf("tag %q in %q", name, out)
			}
			if tag, _, _ := strings.Cut(part, ">"); strings.Contains(tag, " on") && !strings.HasPrefix(tag, "a rel=\"noopener\" href=\"http") {
				t.Fatalf("attribute in %q", tag)
			}
		}
	})
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for title, want := range map[string]int{
		"Copying 31 of 42 tables, 780 MB": 73, "Loading 45 %": 45, "Loading 45%": 45, "400 %": 100,
		"Queued": -1, "0 of 0": -1, "5 of 4": 100,
	} {
		if got := percent(title); got != want {
			t.Errorf("percent(%q) = %d, want %d", title, got, want)
		}
	}
}
