"""Hostile texts, and a parser of rendered tables."""

from html.parser import HTMLParser

from markdown_it import MarkdownIt

# What GitHub makes links of where it stands at the beginning of a word, whatever follows.
LINKS = ["www.evil.example", "see www.127.0.0.1 now", "buy www.5-cent today", "(www.1.2)", "WWW.-", "the www. prefix"]


# What GitHub reads in the source, and what it looks for in the rendered text.
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</td></tr></table><h1>Ship it",
    "<script>alert(1)</script>",
    "a <!-- b",
    "![](https://evil.example/beacon.png)",
    "[reset password](https://evil.example)",
    "[a][b]",
    "[^1]",
    "<https://evil.example>",
    "see https://evil.example, ftp://evil.example or www.evil.example",
    "evil.example",
    *LINKS,
    "http://1.2, https://1.2, ftp://1.2",
    "mailto:me@1.2 or xmpp:me@1.2/x",
    "me@evil.example",
    "@octocat closes #1 please",
    "@org/team",
    "fixes owner/repo#1",
    "GH-1",
    "CVE-2021-44228",
    "at 0123456789abcdef0123456789abcdef01234567",
    "at deadbee",
    "*a* **b** _c_ __d__ ~~e~~",
    "snake_case_name",
    "`a` ``b`` ```c",
    "`",
    "a `",
    "`" * 100,
    "$x^2$ and $$y$$ and $`z`$",
    ":smile: :+1:",
    "- [ ] task",
    "# heading",
    "> quote",
    "1) one",
    "---",
    "&lt;b&gt; &#64;octocat &copy;",
    "\\*a\\* \\",
    "a|b",
    "a \\| b | c \\",
    "||",
    " | ",
    "`a | b`",
    "tf|idf",
    "a\nb\r\nc\td\u2028e",
    "{{ title }} {% if %}",
    "日本語 😀 é",
]


INVISIBLE = {
    "a\x00b": "a\\x00b",
    "a\x1b[31mb": "a\\x1b[31mb",
    "a\u202eb": "a\\u202eb",
    "a\u200bb": "a\\u200bb",
    "a\ud800b": "a\\ud800b",
}


RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Cells(HTMLParser):
    """Return what a rendered table shows: the text of its cells, the part outside of code, and the elements."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.loose, self.elements, self.inside = [], [], set(), []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag == "td":
            self.texts.append("")
            self.loose.append("")
        elif "td" in self.inside:
            self.elements.add(tag)
        self.inside.append(tag)

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        if "td" in self.inside:
            self.texts[-1] += data
            self.loose[-1] += "" if "code" in self.inside else data
