"""Markdown renders any text as the text itself."""

import random
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from potstill.advise import report as advice
from potstill.core.markdown import clip, code, inert
from potstill.evaluate import table

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


def cells(*shown):
    return Cells(RENDERER.render(f"| a | b |\n| --- | --- |\n| {shown[0]} | joy |\n"))


@pytest.mark.parametrize("show", [inert, code])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_shown_as_it_is(text, show):
    found = cells(show(text))
    assert found.texts == [" ".join(text.split()), "joy"]
    assert found.elements <= {"code"}
    # What GitHub would make a link, a mention or a picture of is in code, which it leaves alone.
    assert not set(found.loose[0]) & set("@#:/$&<>[]_*~`\\")
    heading = RENDERER.render(f"# x {show(text)}\n")
    assert heading.startswith("<h1>x ")
    assert heading.count("<") == 2 + heading.count("<code>") + heading.count("</code>")


@pytest.mark.parametrize("text", ["deadbee", "GH-1", "CVE-2021-44228", "evil.example", *LINKS])
def test_what_github_would_link_is_code(text):
    assert inert(text) == f"`{text}`"


@pytest.mark.parametrize("text", INVISIBLE)
def test_invisible_characters_are_escaped(text):
    assert cells(inert(text)).texts[0] == INVISIBLE[text]


@pytest.mark.parametrize(
    "text", ["minilm-2", "bigru-2.5K", "awww... 3.5 www", "i feel happy today", "no. 5, it's fine (really)!"]
)
def test_plain_words_stay_as_they_are(text):
    assert inert(text) == text
    assert code(text) == f"`{text}`"


def test_nothing_made_of_hostile_parts_escapes():
    rng = random.Random(0)
    parts = [*"`|\\ *_<>[]()!#@:/$&~a", "``", "\\|", "&#64;", "www.", "http://", "-->", "</td>"]
    for _ in range(1500):
        text = "".join(rng.choices(parts, k=rng.randint(1, 9)))
        found = cells(inert(text))
        assert found.texts == [clip(text), "joy"], text
        assert found.elements <= {"code"}, text


def test_names_of_models_are_shown_as_they_are():
    name = "<b>@me|you</b>"
    scores = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "bytes": 1, "parameters": 1}
    row = {"name": name, "kind": "teacher", **scores}
    timing = {name: {"texts_per_second": 2.0, "milliseconds_per_text": 1.0}}
    for markdown in (table.markdown([row]), table.speeds(timing, name)):
        found = Cells(RENDERER.render(markdown))
        assert found.texts[0] == name
        assert found.elements == {"code"}


def test_the_teacher_of_an_advice_is_shown_as_it_is():
    scores = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "matthews": 0.1}
    model = {"name": "TF-IDF", "training": "hard", "texts": 1, "parameters": 1, **scores}
    rows = {"sample": 1, "train": 1, "transfer": 1, "validation": 1}
    measured = {"rows": rows, "train_as_unlabelled": False, "teacher": "a`<b>", "models": [model], "majority": 0.5}
    assert "<code>a`&lt;b&gt;</code>" in RENDERER.render(advice.markdown(measured, []))
