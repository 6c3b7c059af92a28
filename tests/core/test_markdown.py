"""Markdown renders any text as the text itself."""

import random

import pytest

from potstill.core.markdown import clip, code, escape
from potstill.evaluate import table
from tests.markup import HOSTILE, INVISIBLE, LINKS, RENDERER, Cells


def cells(*shown):
    return Cells(RENDERER.render(f"| a | b |\n| --- | --- |\n| {shown[0]} | joy |\n"))


@pytest.mark.parametrize("show", [escape, code])
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
    assert escape(text) == f"`{text}`"


@pytest.mark.parametrize("text", INVISIBLE)
def test_invisible_characters_are_escaped(text):
    assert cells(escape(text)).texts[0] == INVISIBLE[text]


@pytest.mark.parametrize(
    "text", ["minilm-2", "bigru-2.5K", "awww... 3.5 www", "i feel happy today", "no. 5, it's fine (really)!"]
)
def test_plain_words_stay_as_they_are(text):
    assert escape(text) == text
    assert code(text) == f"`{text}`"


def test_nothing_made_of_hostile_parts_escapes():
    rng = random.Random(0)
    parts = [*"`|\\ *_<>[]()!#@:/$&~a", "``", "\\|", "&#64;", "www.", "http://", "-->", "</td>"]
    for _ in range(1500):
        text = "".join(rng.choices(parts, k=rng.randint(1, 9)))
        found = cells(escape(text))
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


def test_a_long_text_is_cut_and_stays_on_one_line():
    assert clip("a\nb  c") == "a b c"
    assert len(clip("a" * 1000)) == 240
