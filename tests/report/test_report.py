"""The report: numbers, sentences, charts and the page."""

import re
from collections import defaultdict
from dataclasses import asdict, astuple, replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from potstill.core import files, paths
from potstill.core.class_weights import majority
from potstill.core.markdown import clip, cut
from potstill.evaluate.compare import Model, compare
from potstill.evaluate.metrics.scores import mcnemar
from potstill.evaluate.plots import figure
from potstill.evaluate.predictions import Predictions
from potstill.evaluate.verdict import judge
from potstill.report import charts, origin
from potstill.report.cascade import cascade
from potstill.report.experiments import recommend
from potstill.report.facts import CLASSES, Inputs, collect, two_digits
from potstill.report.page import digits, render
from potstill.report.params import ReportParams
from potstill.report.pictures import draw
from potstill.report.suspects import find_label_errors
from tests.conftest import make_transfer
from tests.core.test_markdown import HOSTILE, INVISIBLE, RENDERER, Cells

LABELS = ["joy", "<b>anger</b>", "fear | awe"]
PARAMS = ReportParams(samples=2, errors=5, suspects=5)


def predictions_of(labels, accuracy, seed, sure=4.0):
    """Return probabilities of a model of this accuracy, more confident where it is correct."""
    rng = np.random.default_rng(seed)
    right = rng.random(len(labels)) < accuracy
    chosen = np.where(right, labels, (labels + 1) % len(LABELS))
    logits = rng.normal(0, 0.3, (len(labels), len(LABELS)))
    logits[np.arange(len(labels)), chosen] += np.where(right, sure, sure / 2)
    return softmax(logits, axis=1)


def make(student=0.9, teacher=0.93, texts=2000, with_teacher=True):
    """Return outputs of the stages."""
    rng = np.random.default_rng(0)
    splits, rows = {}, []
    accuracies = {"tfidf": 0.7, "hard": 0.8, "student": student} | ({"minilm": teacher} if with_teacher else {})
    sizes = {"tfidf": 9000, "hard": 4000, "student": 2500, "minilm": 22_000_000}
    kinds = {"student": "student", "minilm": "teacher"}
    for split in ("validation", "test"):
        labels = rng.integers(0, 3, texts)
        models = {name: predictions_of(labels, share, i) for i, (name, share) in enumerate(accuracies.items())}
        splits[split] = Predictions(
            [f"{split} text {i} <script>alert(1)</script> | x" for i in range(texts)], labels, models
        )
    test = splits["test"]
    models = [
        Model(
            name,
            kinds.get(name, "baseline"),
            test.probabilities[name],
            test.probabilities[name],
            sizes[name],
            2 * sizes[name],
        )
        for name in accuracies
    ]
    rows, _ = compare(models, test.labels, "minilm" if with_teacher else None, None)
    row = {"texts": 100, "parameters": 2500, "validation_accuracy": 0.8} | {
        end: rows[0][end] for end in ("accuracy", "accuracy_low", "accuracy_high")
    }
    train = rng.integers(0, 3, 90)
    order = {"student": {"wos": 0.2, "survived": 0.9, "texts": 9}, "minilm": {"wos": 0.3, "survived": 0.85, "texts": 9}}
    unknown = {split: {"words": 0.1, "texts": 0.3} for split in ("train", "train_and_unlabelled")}
    probabilities = predictions_of(np.r_[train, np.zeros(10, int)], 0.98, 9)
    of = {row["name"]: row for row in rows}
    better = mcnemar(test.correct("student"), test.correct("tfidf"))
    return Inputs(
        labels=LABELS,
        name="bigru-2.5K",
        teacher="minilm" if with_teacher else None,
        validation=splits["validation"],
        test=test,
        train=pd.DataFrame({"text": [f"train {i}" for i in range(90)], "label": train}),
        transfer_set=make_transfer(
            [*(f"train {i}" for i in range(90)), *(f"made {i}" for i in range(10))],
            ["train"] * 90 + ["generated"] * 10,
            np.log(probabilities),
        ),
        transfer_probabilities=probabilities,
        scores={
            "models": of,
            "task_profile": {"word_order": order if with_teacher else {}, "unknown_words": unknown},
        },
        verdict=asdict(judge(of["student"], of["student"].get("versus_teacher"), better, 0.01, majority(test.labels))),
        timing={name: {"texts_per_second": 1e6 / size, "milliseconds_per_text": 0.1} for name, size in sizes.items()},
        prepared={"removed": 1, "two_labels": 2},
        ablation={
            "sources": {"train": row, "unlabelled": row},
            "vocabulary": {"frequent": row},
            "architectures": {"bigru": row, "mlp": row},
            "pool": {"0.1": row},
            "hard": {"0.1": row},
            "tfidf": {"0.1": row},
        },
        truncated={"teacher": 0.25, "student": 0.0},
    )


def page(inputs=None, template="page.html", pictures=True):
    """Return the page; without charts it is faster."""
    inputs = inputs or make()
    facts = collect(inputs, PARAMS)
    curve = pd.DataFrame({"epoch": [1, 2, 3], "loss": [1, 0.5, 0.3], "validation_accuracy": [0.5, 0.6, 0.7]})
    shown = {
        "title": f"bigru-2.5K: {', '.join(inputs.labels[:8])}",
        "labels": inputs.labels,
        "fallback": "minilm",
        "reference": inputs.teacher or "student",
        "published": True,
        "rows": {"train": 90, "validation": 2000, "test": 2000, "unlabelled": 0},
        "transfer": 100,
        "resources": {"prepare": {"seconds": 1.5, "core_seconds": 2.0, "peak_megabytes": 300.0}},
        "provenance": {"commit": "abc"},
        "parameters": "a: <1>",
        "charts": draw(inputs, facts, {"hard": curve}, inputs.teacher or inputs.name, published=True)
        if pictures
        else defaultdict(str),
    }
    return render(template, facts | shown)


def hostile():
    """Return outputs of the stages with texts and labels that are markup or control characters."""
    inputs = make(texts=300)
    splits = {"validation": inputs.validation, "test": inputs.test}
    texts = [*HOSTILE, *(text for text in INVISIBLE if "\ud800" not in text)]
    splits = {name: replace(part, texts=[texts[i % len(texts)] for i in range(300)]) for name, part in splits.items()}
    return replace(inputs, labels=["@a closes #1", "<img src=x>|[b](https://c)", "\x1b[31m`d`"], **splits)


def test_markdown_shows_texts_and_labels_as_they_are():
    inputs = hostile()
    facts = collect(inputs, PARAMS)
    html = RENDERER.render(page(inputs, "page.md", pictures=False))
    found = Cells(html)
    assert found.elements <= {"code", "strong"}
    assert all(f"<{tag}" not in html for tag in ("a ", "img", "script", "h1>Ship", "em>"))
    shown = {clip(row["text"]) for row in facts["error_analysis"]["errors"] + facts["label_errors"]["rows"]}
    assert len(shown) > 3
    assert shown <= set(found.texts)
    assert {clip(label) for label in inputs.labels} <= {text.removesuffix(" – below average") for text in found.texts}
    assert "<h1><code>bigru-2.5K: @a closes #1, &lt;img src=x&gt;</code>|<code>[b](" in html
    # Each table has its number of cells in every row, whatever the texts hold.
    for part in html.split("<table>")[1:]:
        rows = part.split("</table>")[0].split("<tr>")[1:]
        assert len({row.count("<th") + row.count("<td") for row in rows}) == 1


def test_html_shows_texts_and_labels_as_they_are():
    html = page(hostile(), pictures=False)
    assert "<img" not in html
    assert "@a closes #1" in html
    assert "\\x1b[31m`d`" in html
    assert not set(html) & set("\x00\x1b\u202e\u200b\u2028")


@pytest.mark.parametrize("template", ["compare.md", "compare.html"])
def test_names_of_experiments_are_shown_as_they_are(template):
    scores = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "macro_f1": 0.5, "bytes": 10, "parameters": 5}
    name = "a<b>#1|@me"
    row = {"name": name, "changes": {"teacher.checkpoints": ["<i>"]}, "ship": True, "best": True, "p": 1.0, **scores}
    rows = [row | {"teacher": None, "milliseconds_per_text": 0.1}]
    chosen, why = recommend(rows)
    assert chosen == name
    charts = {"size": "", "size_narrow": ""}
    text = render(
        template, {"title": "One", "chosen": chosen, "why": why, "rows": rows, "charts": charts, "reference": "x"}
    )
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


def test_the_page_shows_text_as_text():
    html = page()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<b>anger" not in html
    assert "a: &lt;1&gt;" in html


def test_the_page_shows_the_share_of_truncated_texts():
    assert "at most 25.0% of a split for the teacher, 0.0% for the student" in page()


def test_the_page_without_predictions_of_a_teacher():
    html = page(make(with_teacher=False))
    assert "the teacher has no predictions for the test split" in html
    assert "labels are probably wrong" not in html


def test_a_student_as_accurate_as_its_teacher_ships():
    verdict = collect(make(student=0.95, teacher=0.93, texts=5000), PARAMS)["verdict"]
    assert verdict["ship"]
    assert all(reason["holds"] for reason in verdict["reasons"])
    assert verdict["headline"].startswith("bigru-2.5K has a test accuracy of 9")
    assert "), which is 10" in verdict["headline"]
    assert verdict["headline"].endswith(
        "It has 1/8,800 of the teacher's parameters and classifies 8,800 times as many texts per second"
    )


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
    facts = {"title": title, "labels": names, "chosen": "b" * 300, "why": "", "rows": [], "reference": "c" * 300}
    text = render("compare.html", facts | {"charts": {"size": "", "size_narrow": ""}})
    assert not any(letter * 50 in re.sub(r' title="[^"]*"', "", text) for letter in "bc")


def test_a_student_that_is_three_points_less_accurate_does_not_ship():
    verdict = collect(make(), PARAMS)["verdict"]
    assert not verdict["ship"]
    assert [reason["holds"] for reason in verdict["reasons"]] == [False, True]
    assert "less accurate than its teacher" in verdict["reasons"][0]["text"]


def test_without_predictions_of_a_teacher_there_is_no_comparison_with_one():
    facts = collect(make(with_teacher=False), PARAMS)
    assert not facts["verdict"]["ship"]
    assert facts["cascade"] is None
    assert facts["label_errors"]["noise"] is None
    assert "teacher" not in facts["verdict"]["headline"]


def test_bold_models_are_not_significantly_worse_than_the_best():
    rows = {row["name"]: row["best"] for row in collect(make(student=0.929, teacher=0.93), PARAMS)["models"]}
    assert rows == {"tfidf": False, "hard": False, "minilm": True, "student": True}


def test_the_cascade_takes_the_lowest_threshold_that_reaches_the_teacher_on_validation():
    labels = np.array([0, 0, 0, 0, 1, 1])
    student = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55], [0.35, 0.65], [0.1, 0.9], [0.4, 0.6]])
    teacher = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    found = cascade((labels, student, teacher), (labels, student, teacher))
    # The student is correct on 4 of 6, the teacher on 5; below 0.56 one text is sent to the teacher, and is correct.
    assert found.needed
    assert found.threshold == 0.56
    assert found.fallback_share == pytest.approx(1 / 6)
    assert found.accuracy == pytest.approx(5 / 6)
    assert astuple(found.curve[0])[1:] == (0.0, pytest.approx(4 / 6))
    assert astuple(found.curve[-1])[1:] == (1.0, pytest.approx(5 / 6))


def test_no_cascade_is_needed_if_the_student_is_as_accurate():
    labels = np.array([0, 1])
    sure = np.array([[0.9, 0.1], [0.1, 0.9]])
    found = cascade((labels, sure, sure), (labels, sure, sure))
    assert not found.needed
    assert found.threshold is None
    assert found.fallback_share == 0


def test_the_cascade_ignores_texts_without_predictions_of_the_teacher():
    labels = np.array([0, 1])
    student, teacher = np.array([[0.4, 0.6], [0.1, 0.9]]), np.array([[0.9, 0.1], [np.nan, np.nan]])
    assert cascade((labels, student, teacher), (labels, student, teacher)).teacher == 1.0


def test_swapped_labels_are_found():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 600)
    given = truth.copy()
    swapped = rng.permutation(600)[:30]
    given[swapped] = (truth[swapped] + 1) % 3
    found = find_label_errors(given, predictions_of(truth, 1.0, 1), LABELS)
    assert {error.text for error in found[:30]} == set(swapped)
    assert all(error.suggested == LABELS[truth[error.text]] for error in found[:30])
    assert len(found) / len(given) == pytest.approx(0.05, abs=0.01)


def test_correct_labels_are_no_errors_and_missing_predictions_are_left_out():
    labels = np.array([0, 1, 2, 0])
    probabilities = np.eye(3)[labels] * 0.9 + 0.03
    probabilities[3] = np.nan
    assert not find_label_errors(labels, probabilities, LABELS)
    assert not find_label_errors(labels[:0], probabilities[:0], LABELS)


def test_a_class_without_texts_is_never_suggested():
    assert not find_label_errors(np.array([0, 0]), np.array([[0.1, 0.9], [0.9, 0.1]]), LABELS[:2])


def test_a_chart_has_the_pages_colours_and_tooltips():
    rows = collect(make(), PARAMS)["models"]
    svg = charts.inline(lambda path: figure.size_figure(rows, "minilm", path, titled=False), "Size & all")
    root = ElementTree.fromstring(svg)
    tips = [element.get("data-tip") for element in root.iter() if element.get("data-tip")]
    assert len(tips) == len(rows)
    assert any(tip.startswith("student: 9") and "2,500 parameters" in tip for tip in tips)
    assert root.get("aria-label") == "Size & all"
    assert "var(--ink)" in svg
    assert "#1f2933" not in svg
    # Ids are unique in the page.
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert ids
    assert all(name.startswith("size-all-") for name in ids)


def test_equal_numbers_give_equal_charts():
    rows = collect(make(), PARAMS)["ablation"]["sources"]
    one, two = (charts.inline(lambda path: charts.bars(rows, path), "Bars") for _ in range(2))
    assert one == two


def test_ratios_have_two_digits():
    assert [two_digits(value) for value in (8825, 104.2, 12.3, 3.14)] == ["8,800", "100", "12", "3.1"]


def test_seconds_have_three_digits():
    expected = {None: "–", 0.00423: "0.00423", 11.23: "11.2", 999.4: "999", 999.6: "1,000", 1934.2: "1,934"}
    assert [digits(value) for value in expected] == list(expected.values())


def test_a_long_text_is_cut_and_stays_on_one_line():
    assert clip("a\nb  c") == "a b c"
    assert len(clip("a" * 1000)) == 240


def test_resources_of_teachers_that_are_not_listed_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "METRICS", tmp_path)
    cost = {"resources": {"seconds": 1.5, "core_seconds": 2.0, "peak_megabytes": 9.0}}
    for stage in origin.STAGES:
        names = ["bert", "minilm"] if stage in ("teacher", "label") else [""]
        for name in names:
            files.write_json(tmp_path / stage / name / "resources.json", cost)
    files.write_json(tmp_path / "label" / "mine" / "resources.json", {"dollars": 9})
    found = origin.stage_resources({"teacher": ["minilm", "bert"], "label": ["minilm"]})
    assert list(found)[:6] == ["prepare", "baseline", "teacher bert", "teacher minilm", "pool", "label minilm"]
    assert len(found) == len(origin.STAGES) + 1
