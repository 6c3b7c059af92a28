"""Figures: the same numbers give the same bytes, whatever the names."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from potstill.core.errors import PotstillError
from potstill.evaluate.metrics import scores
from potstill.evaluate.plots import figure, placement
from potstill.evaluate.plots.figure import confusion_figure
from potstill.report import charts
from tests.evaluate.examples import FOUND, KNOWN, ROWS, row


@pytest.mark.slow
def test_size_figure_is_the_same_to_the_byte(tmp_path):
    for name in ("one.png", "two.png"):
        figure.size_figure(ROWS, "minilm", tmp_path / name, published=True)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert imread(tmp_path / "one.png").shape == (1000, 1600, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]


def test_size_figure_ignores_the_users_own_settings(tmp_path):
    import matplotlib

    figure.size_figure(ROWS, "minilm", tmp_path / "one.png")
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 50}):
        figure.size_figure(ROWS, "minilm", tmp_path / "two.png")
        assert matplotlib.rcParams["font.size"] == 20
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("published", [False, True])
def test_names_in_the_size_figure_do_not_overlap(tmp_path, monkeypatch, published):
    placed = []
    real = placement.place

    def watched(axes, points, texts, taken):
        real(axes, points, texts, taken)
        placed.extend(text.get_window_extent() for text in texts)

    monkeypatch.setattr(figure, "place", watched)
    twins = [row(f"student {n}", "student", 80_000 + n, 0.91 + 0.002 * n) for n in range(6)]
    figure.size_figure(ROWS + twins, "minilm", tmp_path / "f.png", published)
    assert len(placed) == 10 + 7 * published
    assert not [(a, b) for a in placed for b in placed if a is not b and a.overlaps(b)]


def test_size_figure_with_one_point_or_none(tmp_path):
    figure.size_figure(ROWS[:1], "mlp", tmp_path / "one.png")
    figure.size_figure(ROWS[-1:], "table", tmp_path / "none.png")
    assert (tmp_path / "one.png").exists()
    assert (tmp_path / "none.png").exists()


def test_size_figure_needs_its_reference(tmp_path):
    with pytest.raises(PotstillError, match="'bert'"):
        figure.size_figure(ROWS, "bert", tmp_path / "f.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 6, 40, 200])
def test_confusion_figure_for_few_and_many_classes(tmp_path, classes):
    matrix = np.arange(classes**2).reshape(classes, classes)
    matrix[0] = 0  # a class without a text
    names = [f"${number}_{'long ' * 9}" for number in range(classes)]
    for name in ("one.png", "two.png"):
        figure.confusion_figure(matrix, names, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert max(imread(tmp_path / "one.png").shape) < 3500


NAMES = ["$x^2$", "$", "a\nb", "_c", "x" * 500, "日本", "😀", "مرحبا", "a\x1b[31m\x00", "<b>&", ""]


@pytest.mark.slow
def test_names_of_any_kind_are_drawn_without_a_warning(tmp_path, recwarn):
    figure.confusion_figure(np.eye(len(NAMES), dtype=int), NAMES, tmp_path / "square.png")
    cases = ["found", "missed", "wrong"]
    figure.confusion_figure(np.ones((len(NAMES), 3), int), NAMES, tmp_path / "cases.png", cases)
    rows = [row(name or "none", "teacher", 10 ** (3 + i), 0.9) for i, name in enumerate(NAMES)]
    svg = charts.inline(lambda path: figure.size_figure(rows, NAMES[0], path), "Names")
    sure = np.array([0.6, 0.9])
    svg_of_lines = charts.inline(
        lambda path: charts.reliability(dict.fromkeys(NAMES, (sure, sure > 0.8)), path), "Sure"
    )
    assert not recwarn.list
    assert "日本" in svg
    assert "_c" in svg_of_lines
    assert "$x^2$: " in svg
    assert "a\\x1b[31m\\x00: " in svg


@pytest.mark.slow
def test_curves_figure_skips_gaps(tmp_path):
    whole = pd.DataFrame({"epoch": [1, 2, 3], "loss": [1, 0.5, 0.2], "validation_accuracy": [0.5, 0.9, 0.8]})
    gaps = whole.assign(loss=[np.nan, 1, 2], validation_accuracy=np.nan)
    for count in (1, 5):
        runs = {"gaps": gaps, **{f"run {number}": whole for number in range(count)}}
        figure.curves_figure(runs, tmp_path / "one.png")
        figure.curves_figure(runs, tmp_path / "two.png")
        assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    figure.curves_figure({"gaps": gaps}, tmp_path / "three.png")


def test_curves_figure_needs_a_run(tmp_path):
    with pytest.raises(PotstillError, match="no training curves"):
        figure.curves_figure({}, tmp_path / "f.png")


@pytest.mark.slow
def test_nothing_here_imports_torch_or_pyplot():
    code = (
        "import sys; from potstill.core import timing; from potstill.evaluate import table; "
        "from potstill.evaluate.metrics import scores; from potstill.evaluate.plots import figure; "
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_confusion_figure_has_a_row_per_label(tmp_path):
    cases = scores.label_confusion(KNOWN, FOUND >= 0.5, ["a", "a label with a long name"])
    confusion_figure(cases, list(cases.index), tmp_path / "a.png", list(cases))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
