"""The report page: texts and names as they are, and its layout in a browser."""

import re
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import escape
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from potstill.core.errors import visible
from potstill.core.markdown import clip, cut
from potstill.report.experiments import recommend
from potstill.report.facts import CLASSES, collect, two_digits
from potstill.report.page import digits, render
from tests.browser import requested
from tests.markup import RENDERER, Cells
from tests.report.inputs import LADDER, PARAMS, hostile, make, page
from tests.tasks import make_transfer


def test_markdown_shows_texts_and_labels_as_they_are():
    inputs = hostile()
    html = RENDERER.render(page(inputs, "page.md", pictures=False))
    found = Cells(html)
    assert found.elements <= {"code", "strong"}
    picture = '<img src="ladder.png" alt="Validation accuracy of the candidates against their size" />'
    assert picture in html
    html = html.replace(picture, "")
    assert all(f"<{tag}" not in html for tag in ("a ", "img", "script", "h1>Ship", "em>"))
    assert {clip(label) for label in inputs.labels} <= {text.removesuffix(" – below average") for text in found.texts}
    assert "<h1><code>bigru-2.5K: @a closes #1, &lt;img src=x&gt;</code>|<code>[b](" in html
    # Each table has its number of cells in every row, whatever the texts hold.
    for part in html.split("<table>")[1:]:
        rows = part.split("</table>")[0].split("<tr>")[1:]
        assert len({row.count("<th") + row.count("<td") for row in rows}) == 1


def test_the_page_quotes_texts_and_its_markdown_version_does_not():
    # Git holds the Markdown version, and a workflow may post it.
    inputs = make(texts=300)
    facts = collect(inputs, PARAMS)
    quoted = [row["text"] for row in facts["error_analysis"]["errors"] + facts["label_errors"]["rows"]]
    quoted += [row["text"] for row in facts["samples"]]
    assert len(quoted) > 5
    html, markdown = page(inputs, pictures=False), page(inputs, "page.md", pictures=False)
    assert all(str(escape(clip(text))) in html for text in quoted)
    assert not any(text in markdown for text in quoted)
    assert "`index.html` in the same folder, shows the most confident errors" in markdown


def test_html_shows_texts_and_labels_as_they_are():
    inputs = hostile()
    facts, html = collect(inputs, PARAMS), page(inputs, pictures=False)
    shown = {visible(clip(row["text"])) for row in facts["error_analysis"]["errors"] + facts["label_errors"]["rows"]}
    assert len(shown) > 3
    assert all(str(escape(text)) in html for text in shown)
    assert "<img" not in html
    assert "@a closes #1" in html
    assert "\\x1b[31m`d`" in html
    assert not set(html) & set("\x00\x1b\u202e\u200b\u2028")


@pytest.mark.parametrize("template", ["compare.md", "compare.html"])
def test_names_of_experiments_are_shown_as_they_are(template):
    scores = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "macro_f1": 0.5, "bytes": 10, "parameters": 5}
    name = "a<b>#1|@me"
    row = {
        "name": name,
        "changes": {"teacher.checkpoints": ["<i>"]},
        "decision": "ship",
        "best": True,
        "p": 1.0,
        **scores,
    }
    rows = [row | {"teacher": None, "milliseconds_per_text": 0.1}]
    chosen, ships, why = recommend(rows)
    assert (chosen, ships) == (name, True)
    charts = {"size": "", "size_narrow": ""}
    facts = {"title": "One", "chosen": chosen, "ships": ships, "why": why, "rows": rows, "reference": "x"}
    text = render(template, facts | {"charts": charts})
    html = RENDERER.render(text) if template.endswith(".md") else text
    assert "<b>" not in html
    assert "<i>" not in html
    found = Cells(html if template.endswith(".md") else html[html.index("<h2>All") : html.index("<div id")])
    assert found.texts[:2] == [name, "teacher.checkpoints=['<i>'] "[: None if template.endswith("html") else -1]]


def test_of_many_classes_those_with_the_most_errors_are_shown():
    inputs = make(texts=300)
    names = [f"class {i}" for i in range(1000)]
    rng = np.random.default_rng(0)
    splits = {}
    for name in ("validation", "test"):
        labels = rng.integers(0, 1000, 300)
        sure = np.full((300, 1000), 1e-4)
        chosen = np.where(rng.random(300) < 0.5, labels, 7)
        sure[np.arange(300), chosen] = 1 - 999e-4
        probabilities = dict.fromkeys(inputs.test.probabilities, sure)
        splits[name] = replace(
            inputs.test, labels=labels, probabilities=probabilities, texts=[f"{i}" for i in range(300)]
        )
    transfer_set = make_transfer(["made"], ["generated"], np.zeros((1, 1000)))
    inputs = replace(
        inputs,
        labels=names,
        transfer_set=transfer_set,
        transfer_probabilities=np.full((1, 1000), 1e-3),
        train=inputs.train[:0],
        **splits,
    )
    facts = collect(inputs, PARAMS)
    analysis = facts["error_analysis"]
    assert len(analysis["classes"]) == 1000
    assert len(analysis["shown"]) == CLASSES
    assert analysis["shown"][0]["name"] == "class 7"  # it is predicted in every error
    assert [row["texts"] for row in analysis["pairs"]] == sorted(
        (row["texts"] for row in analysis["pairs"]), reverse=True
    )
    assert {row["predicted"] for row in analysis["pairs"]} == {"class 7"}
    for template in ("page.html", "page.md"):
        text = page(inputs, template, pictures=False)
        assert text.count("class ") < 300
        assert "of 1,000" in text
        assert "classes.csv" in text


@pytest.mark.parametrize("template", ["page.html", "page.md"])
def test_what_to_do_next_is_below_the_verdict_and_above_all_figures(template):
    text = page(template=template, pictures=False)
    order = ["Do not ship", "What to do next", "dvc exp run -S student.rung=three", "Choice of the student"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert places[2] < text.find("<figure") or template == "page.md"


@pytest.mark.parametrize("template", ["page.html", "page.md"])
def test_the_ladder_shows_every_candidate_and_what_a_transformer_cannot_do(template):
    text = page(template=template, pictures=False)
    start, end = text.index("Choice of the student"), text.index("All models")
    part = RENDERER.render(text[start:end]) if template == "page.md" else text[start - 4 : end - 4]
    rows = Cells(part).texts
    place = rows.index("one")
    assert rows[place : place + 7] == [
        "one", "bigru", "2,000", "1 kB", "85.0", "−8.0 (−8.5 to −7.5)", "too inaccurate",
    ]  # fmt: skip
    place = rows.index("<three>")
    assert rows[place : place + 7] == ["<three>", "bigru", "–", "–", "–", "–", "not needed"]
    assert "unavailable: The teacher is a table of | probabilities." in rows
    assert "no QR code" in text
    by_hand = page(replace(make(), ladder=LADDER[1:2]), template, pictures=False)
    assert "was set by hand" in by_hand
    assert "no QR code" not in by_hand
    assert "ladder.png" not in by_hand


@pytest.mark.parametrize(
    ("decision", "look"), [("ship", "verdict ship"), ("do not ship", "verdict"), ("cannot tell yet", "verdict unsure")]
)
def test_each_decision_has_its_look(decision, look):
    inputs = make(texts=300)
    html = page(replace(inputs, verdict=inputs.verdict | {"decision": decision}), pictures=False)
    assert f'<section class="{look}" aria-label="Verdict">\n  <strong>{decision.capitalize()}</strong>' in html


@pytest.mark.slow
def test_the_page_shows_text_as_text():
    html = page()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<b>anger" not in html
    assert "a: &lt;1&gt;" in html


@pytest.mark.slow
def test_the_page_shows_the_share_of_truncated_texts():
    assert "at most 25.0% of a split for the teacher, 0.0% for the student" in page()


@pytest.mark.slow
def test_the_page_without_predictions_of_a_teacher():
    html = page(make(with_teacher=False))
    assert "the teacher has no predictions for the test split" in html
    assert "labels are probably wrong" not in html


def test_the_headline_follows_from_the_table():
    lines = page(template="page.md", pictures=False).splitlines()
    columns, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.count("|") == 12]
    found = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    assert (found["student"]["parameters"], found["minilm"]["parameters"]) == ("2,500", "22.0M")
    assert "It has 1/8,800 of the teacher's parameters" in lines[2]
    student, teacher = (float(found[name]["texts per second"]) for name in ("student", "minilm"))
    assert f"and classifies {two_digits(student / teacher)} times as many texts per second." in lines[2]


def test_long_names_are_cut_on_the_page_and_whole_in_a_tooltip():
    names = [letter * 3000 for letter in ("a", "<", "\x1b")]
    inputs = replace(make(texts=300), labels=names)
    html = page(inputs, pictures=False)
    shown = re.sub(r' title="[^"]*"', "", html[html.index("</h1>") :])
    assert "a" * 49 + "…" in shown
    assert "&lt;" * 49 + "…" in shown
    assert not any(part * 50 in shown for part in ("a", "&lt;", "\\x1b"))
    assert f'<th><span title="{"a" * 3000}">' in html  # of the matrix
    assert f'<td><span title="{"&lt;" * 3000}">' in html  # of the classes
    title = ", ".join(map(cut, names))
    facts = {
        "title": title,
        "labels": names,
        "chosen": "b" * 300,
        "ships": True,
        "why": "",
        "rows": [],
        "reference": "c" * 300,
    }
    text = render("compare.html", facts | {"charts": {"size": "", "size_narrow": ""}})
    assert not any(letter * 50 in re.sub(r' title="[^"]*"', "", text) for letter in "bc")


def test_seconds_have_three_digits():
    expected = {None: "–", 0.00423: "0.00423", 11.23: "11.2", 999.4: "999", 999.6: "1,000", 1934.2: "1,934"}
    assert [digits(value) for value in expected] == list(expected.values())


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Return the address of a report."""
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(page(), "utf-8")
    return path.as_uri()


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_the_report_fits_the_screen_and_no_names_overlap(chromium, reported, width):
    chromium.get_log("browser")
    chromium.get_log("performance")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chromium.get(reported)
    assert requested(chromium) == {reported}
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    overlaps = """
        const found = [];
        for (const svg of document.querySelectorAll("svg")) {
          const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent.trim());
          const boxes = texts.map((text) => text.getBoundingClientRect());
          boxes.forEach((a, i) => boxes.slice(0, i).forEach((b, j) => {
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (a.width && wide > 1 && high > 2) found.push([texts[i].textContent, texts[j].textContent]);
          }));
        }
        return found;
    """
    assert chromium.execute_script(overlaps) == []
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_a_mark_in_the_report_has_a_tooltip(chromium, reported):
    chromium.set_window_size(1000, 900)
    chromium.get(reported)
    mark = chromium.find_element(By.CSS_SELECTOR, "[data-tip^='bigru-2.5K: 9']")
    tip = chromium.find_element(By.ID, "tip")
    assert not tip.is_displayed()
    ActionChains(chromium).move_to_element(mark).perform()
    assert tip.is_displayed()
    assert tip.text == mark.get_attribute("data-tip")
    assert "2,500 parameters" in tip.text
    ActionChains(chromium).send_keys(Keys.ESCAPE).perform()
    assert not tip.is_displayed()


@pytest.mark.slow
def test_the_report_is_readable_in_the_dark(chromium, reported):
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    chromium.get(reported)
    colours = "return [...document.querySelectorAll('body, svg text')].map((e) => getComputedStyle(e))"
    back, *inks = chromium.execute_script(f"{colours}.map((s, i) => i ? s.fill : s.backgroundColor)")
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in inks]
    assert sum(map(int, re.findall(r"\d+", back)[:3])) < 150
    assert min(brightness) > 250
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
