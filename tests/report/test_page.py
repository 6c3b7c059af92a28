"""The report page: texts and names as they are, and its layout in a browser."""

import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from potstill.core.errors import visible
from potstill.core.markdown import clip, cut
from potstill.data.dataset import SPLITS
from potstill.report.experiments import recommend
from potstill.report.facts import CLASSES, collect
from potstill.report.glossary import TERMS
from potstill.report.page import digits, render
from potstill.report.params import ReportParams
from potstill.runtime.model import Student
from tests.browser import emulate, faint_texts, requested, violations
from tests.markup import RENDERER, Cells
from tests.report.inputs import LADDER, PARAMS, hostile, make, page
from tests.students import promising
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
        "differs": {"teacher.checkpoints": ["<i>"]},
        "decision": "ship",
        "best": True,
        "p": 1.0,
        "score": "accuracy",
        **scores,
    }
    rows = [row | {"teacher": None, "milliseconds_per_text": 0.1}]
    chosen, ships, why = recommend(rows)
    assert (chosen, ships) == (name, True)
    charts = {"size": "", "accuracy": ""}
    facts = {"title": "One", "chosen": chosen, "ships": ships, "why": why, "rows": rows, "differing": ["<i>"]}
    text = render(template, facts | {"charts": charts, "changes": None, "score": "accuracy"})
    html = RENDERER.render(text) if template.endswith(".md") else text
    assert "<b>" not in html
    assert "<i>" not in html
    found = Cells(html if template.endswith(".md") else html[html.index("<h2>All") : html.index("</main>")])
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


def test_the_first_screen_has_verdict_figures_data_and_the_next_step():
    html = page(pictures=False)
    first = html[html.index("<header>") : html.index("</header>")]
    for part in (
        "1 May 2026",
        "&lt;data&gt;",
        "<strong>Do not ship</strong>",
        "student.rung=three",
        "2,000 test texts",
    ):
        assert part in first
    figures = collect(make(), PARAMS)["key_figures"]
    assert [figure["name"] for figure in figures] == ["test accuracy", "size of the file", "texts per second"]
    assert figures[1]["value"] == "5 kB"
    assert figures[1]["note"] == "teacher 44 MB, 8,800 times as large"
    assert figures[2]["note"] == "8,800 times as fast as the teacher, on one thread"
    assert all(figure["value"] in first for figure in figures)


def test_the_contents_lead_to_all_sections():
    html = page(pictures=False)
    links = re.findall(r'<li><a href="#(\w+)">([^<]+)</a>', html)
    assert re.findall(r'<h2 id="(\w+)">([^<]+)</h2>', html[html.index("<main>") :]) == links


def test_the_page_holds_the_model_and_the_tables():
    inputs = make()
    html, facts = page(inputs, pictures=False), collect(inputs, PARAMS)
    links = dict(re.findall(r'download="([^"]+)" href="data:[^,]+;base64,([^"]+)"', html))
    assert set(links) == {"student.pot", "errors.csv", "suspects.csv"}
    assert html.count("base64,") == len(links)  # each is there once
    assert Student.from_bytes(b64decode(links["student.pot"])).labels
    errors = pd.read_csv(BytesIO(b64decode(links["errors.csv"])))
    assert len(errors) == facts["error_analysis"]["wrong"] == (~inputs.test.correct("student")).sum()
    assert list(errors["text"][:5]) == [row["text"] for row in facts["error_analysis"]["errors"]]
    suspects = pd.read_csv(BytesIO(b64decode(links["suspects.csv"])))
    assert len(suspects) == len(facts["label_errors"]["all_rows"]) > len(facts["label_errors"]["rows"])


def test_a_page_that_quotes_no_texts_has_none_to_download():
    nothing = ReportParams(examples=0, differences=0, samples=0, errors=0, suspects=0, k_anonymity=5)
    html = page(make(texts=300), pictures=False, params=nothing)
    assert "test text 1" not in html
    assert "train 1" not in html
    assert "data:text/csv" not in html
    assert "They predict different labels for" in html


def test_a_transformer_does_not_run_in_the_page():
    html = page(pictures=False, runs=False)
    assert "This student is a Transformer, which runs in onnxruntime and not in a page." in html
    assert "<textarea" not in html
    assert "DecompressionStream" not in html
    assert 'download="student.pot"' in html


@pytest.mark.parametrize("template", ["page.html", "page.md"])
def test_the_page_says_what_the_student_promises(template):
    inputs = make(texts=300)
    promise = "Answers 75% of texts; on those it is right on at least 98%, with 95% confidence."
    assert promise not in page(inputs, template, pictures=False)
    inputs = replace(inputs, student=promising(inputs.student, ["the"]))
    assert promise in page(inputs, template, pictures=False)


def test_the_page_says_what_held_out_texts_are_for():
    inputs = make(texts=300)
    said = (
        "has 100 texts. The student predicts its teacher's label for 97.5% of 400 held-out unlabelled texts, which it "
        "did not learn from (95% CI 95.5 to 98.6%): how faithful it is, not how accurate. They differ from the "
        "validation texts (length, class), so a guarantee is not based on them."
    )
    assert str(escape(said)) in page(inputs, pictures=False)
    none = replace(inputs, held_out={"texts": 0, "agree": 0, "differs_in": ""})
    assert "held-out" not in page(none, pictures=False)


def test_the_page_has_no_line_about_nothing():
    nothing = replace(
        make(texts=300), prepared={"removed": 0, "two_labels": 0}, truncated={"teacher": 0.0, "student": 0.0}
    )
    notes = collect(nothing, PARAMS)["task_profile"]["notes"]
    assert [note.split(":")[0] for note in notes] == ["Out-of-vocabulary words"]
    assert (
        "Duplicates: 1 train text was removed because it is in validation or test."
        in collect(make(), PARAMS)["task_profile"]["notes"]
    )
    for template in ("page.html", "page.md"):
        text = page(nothing, template, pictures=False)
        assert not re.search(r"\b0(\.0%)? (train|texts|of|were|labels)\b", text.split('<h2 id="resources"')[0])


@pytest.mark.parametrize("template", ["page.html", "page.md"])
def test_the_ladder_shows_every_candidate_and_what_a_transformer_cannot_do(template):
    text = page(template=template, pictures=False)
    heading = '<h2 id="{}"' if template == "page.html" else "## {}"
    names = ("choice", "models") if template == "page.html" else ("Choice of the student", "All models")
    start, end = (text.index(heading.format(name)) for name in names)
    part = RENDERER.render(text[start:end]) if template == "page.md" else text[start:end]
    rows = Cells(part).texts
    place = rows.index("one")
    assert rows[place : place + 7] == [
        "one", "1 kB", "85.0", "−8.0 (−8.5 to −7.5)", "too inaccurate", "bigru", "2,000",
    ]  # fmt: skip
    place = rows.index("<three>")
    assert rows[place : place + 7] == ["<three>", "–", "–", "–", "not needed", "bigru", "–"]
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
    assert "truncated at max_length: at most 25.0% of a split for the teacher.</li>" in page()


def test_the_page_shows_the_share_of_texts_that_are_read_in_windows():
    said = "Long texts: 12.5% of the train texts have more than `teacher.max_length` tokens."
    notes = collect(replace(make(), windowed=0.125), PARAMS)["task_profile"]["notes"]
    assert any(note.startswith(said) for note in notes)


def test_what_an_llm_has_not_answered_is_counted_and_no_difference():
    inputs = make(texts=300)
    scores = inputs.test.probabilities["minilm"].copy()
    scores[~inputs.test.correct("student")] = np.nan
    silent = int(np.isnan(scores).any(1).sum())
    test = replace(inputs.test, probabilities=inputs.test.probabilities | {"minilm": scores})
    inputs = replace(inputs, test=test, unanswered={"validation": 0, "test": silent})
    facts = collect(inputs, PARAMS)
    notes = " ".join(facts["task_profile"]["notes"])
    assert f"the teacher has none for {silent} test texts; they are left out of its agreement" in notes
    assert "In its test accuracy they count as wrong." in notes
    assert facts["differences"]["neither"] == 0
    assert {row["teacher"] for row in facts["error_analysis"]["errors"]} == {""}
    assert "nan%" not in page(inputs, pictures=False)
    unlabelled = np.full(len(inputs.transfer_set.texts), "unlabelled")
    for labelled, expected in ((SPLITS, True), (["test"], False)):
        transfer_set = replace(inputs.transfer_set, sources=unlabelled)
        changed = replace(inputs, transfer_set=transfer_set, labelled=labelled)
        assert bool(collect(changed, PARAMS)["to_label"]) == expected


@pytest.mark.slow
def test_the_page_without_predictions_of_a_teacher():
    html = page(make(with_teacher=False))
    assert "the teacher has no predictions for the test split" in html
    assert "labels are probably wrong" not in html


def test_the_headline_follows_from_the_table():
    lines = page(template="page.md", pictures=False).splitlines()
    columns, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.count("|") == 10]
    found = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    assert (found["student"]["parameters"], found["minilm"]["parameters"]) == ("2,500", "22.0M")
    assert "It has 1/8,800 of the teacher's parameters" in lines[2]


def test_the_short_version_has_nothing_that_differs_from_machine_to_machine():
    timing = {name: {"texts_per_second": 987654.0, "milliseconds_per_text": 0.0987} for name in make().timing}
    text = page(replace(make(), timing=timing), template="page.md", pictures=False)
    assert not re.search("987|seconds|commit: ", text)
    assert "- sha256 of train: `def`" in text


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
        "changes": None,
        "rows": [],
        "differing": [],
    }
    text = render("compare.html", facts | {"charts": {"size": "", "accuracy": ""}, "score": "accuracy"})
    assert "b" * 50 not in re.sub(r' title="[^"]*"', "", text)


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
    emulate(chromium, width)
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
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_is_accessible(chromium, reported, width, scheme):
    emulate(chromium, width, scheme)
    chromium.get(reported)
    chromium.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
    back = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    assert faint_texts(chromium) == []
    assert violations(chromium) == []


@pytest.mark.slow
def test_the_student_runs_in_the_report(chromium, reported):
    emulate(chromium, 1280)
    chromium.get(reported)
    made = make().student
    buttons = chromium.find_elements(By.CSS_SELECTOR, "[data-example]")
    texts = [row["text"] for row in collect(make(), PARAMS)["examples"]]
    assert [button.get_attribute("data-example") for button in buttons] == texts
    area, answer = chromium.find_element(By.ID, "text"), chromium.find_element(By.ID, "answer")
    assert area.get_attribute("value") == texts[0]
    buttons[1].click()
    assert area.get_attribute("value") == texts[1]
    assert answer.text.startswith(made.predict(texts[1])[0])
    area.clear()
    area.send_keys("the ab")
    assert answer.text.startswith(made.predict("the ab")[0])


@pytest.mark.slow
def test_a_term_is_explained_on_hover_and_focus(chromium, reported):
    emulate(chromium, 390)
    chromium.get(reported)
    tip, terms = chromium.find_element(By.ID, "tip"), chromium.find_elements(By.TAG_NAME, "dfn")
    assert {term.text for term in terms} == set(TERMS)
    for act in (lambda term: ActionChains(chromium).move_to_element(term).perform(), lambda term: term.send_keys("")):
        ActionChains(chromium).send_keys(Keys.ESCAPE).perform()
        assert not tip.is_displayed()
        act(terms[0])
        assert tip.text == TERMS[terms[0].text]
        assert tip.rect["x"] >= 0
        assert tip.rect["x"] + tip.rect["width"] <= 390


@pytest.mark.slow
def test_on_a_phone_wide_tables_scroll_with_a_hint_and_keep_the_first_column(chromium, reported):
    emulate(chromium, 390)
    chromium.get(reported)
    hint = "return getComputedStyle(arguments[0], '::before').content"
    boxes = chromium.find_elements(By.CSS_SELECTOR, ".wide")
    wide = [box for box in boxes if chromium.execute_script("return arguments[0].scrollWidth", box) > 358]
    assert len(wide) > 1
    for box in boxes:
        assert ("Scroll" in chromium.execute_script(hint, box)) == (box in wide)
        assert (box.get_attribute("tabindex") == "0") == (box in wide)
    models = next(box for box in wide if box.text.count("minilm"))
    first = models.find_element(By.XPATH, ".//td[.='student']")
    place, columns = first.rect["x"], chromium.execute_script("return arguments[0].scrollLeft = 200", models)
    assert columns == 200
    assert first.rect["x"] == place
    # A text and its labels are one below the other, and nothing has to be scrolled.
    for table in chromium.find_elements(By.CSS_SELECTOR, "table.texts"):
        assert table.rect["width"] <= 358
