"""Scores against values computed by hand; figures, tables, timing and the verdict."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from potstill.core import timing
from potstill.core.errors import PotstillError
from potstill.evaluate import table
from potstill.evaluate.metrics import scores
from potstill.evaluate.plots import canvas, figure, placement
from potstill.evaluate.verdict import judge
from potstill.report import charts


def test_interval_is_wilsons():
    # 8 of 10 with z = 1.959964: (0.8 + z²/20 ± z·√(0.16/10 + z²/400)) / (1 + z²/10)
    z = 1.959964
    middle, reach = 0.8 + z**2 / 20, z * math.sqrt(0.016 + z**2 / 400)
    expected = [(middle - reach) / (1 + z**2 / 10), (middle + reach) / (1 + z**2 / 10)]
    assert scores.interval(8, 10) == pytest.approx(expected, abs=1e-6)
    assert scores.interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert scores.interval(10, 10)[1] == 1.0
    assert scores.interval(0, 10)[0] == 0.0


def test_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="not less than 1"):
        scores.interval(0, 0)


def test_mcnemar_is_the_exact_binomial_test_of_the_texts_that_differ():
    first = [1] * 90 + [1] * 6 + [0] * 1 + [0] * 3
    second = [1] * 90 + [0] * 6 + [1] * 1 + [0] * 3
    result = scores.mcnemar(first, second)
    assert (result["only_first"], result["only_second"]) == (6, 1)
    assert result["p"] == 2 * (1 + 7) / 2**7  # both tails of B(7, ½) beyond 6
    assert result["difference"] == 0.05


def test_interval_of_a_paired_difference_is_agresti_and_mins():
    # The example of diffpropci.mp in the R package PropCIs: 40 and 20 of 160.
    result = scores.mcnemar([0] * 40 + [1] * 120, [1] * 40 + [0] * 20 + [1] * 100)
    assert (result["difference_low"], result["difference_high"]) == (-0.216017, -0.030896)


def test_mcnemar_is_antisymmetric():
    first, second = [1, 1, 1, 0, 1], [0, 0, 1, 1, 1]
    one, other = scores.mcnemar(first, second), scores.mcnemar(second, first)
    assert one["p"] == other["p"] == 1.0
    assert one["difference"] == -other["difference"]
    assert one["difference_low"] == -other["difference_high"]


def test_mcnemar_of_equal_models_finds_nothing():
    assert scores.mcnemar([1, 0, 1], [1, 0, 1])["p"] == 1.0


def test_mcnemar_keeps_a_tiny_p():
    assert 0 < scores.mcnemar([1] * 100, [0] * 100)["p"] < 1e-29


@pytest.mark.parametrize("lengths", [(2, 3), (0, 0)])
def test_mcnemar_refuses_lengths_that_differ(lengths):
    with pytest.raises(ValueError, match="paired test"):
        scores.mcnemar([1] * lengths[0], [1] * lengths[1])


LABELS = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.9, 0.1, 0.0],
        [0.9, 0.1, 0.0],
        [0.3, 0.7, 0.0],  # wrong: 1 instead of 0
        [0.3, 0.7, 0.0],
        [0.3, 0.7, 0.0],
        [0.3, 0.7, 0.0],  # wrong: 1 instead of 2, which is never predicted and given no probability
    ]
)


def test_scores_equal_values_computed_by_hand():
    result = scores.scores(LABELS, PROBABILITIES, PROBABILITIES.argmax(1)[::-1])
    assert result["accuracy"] == 0.666667
    assert (result["accuracy_low"], result["accuracy_high"]) == scores.interval(4, 6)
    # F1: class 0 has 2 right, 0 false, 1 missed; class 1 has 2, 2, 0; class 2 has none.
    assert result["macro_f1"] == pytest.approx((4 / 5 + 4 / 6 + 0) / 3, abs=1e-6)
    # Gorodkin: (c·s − Σp·t) / √(s² − Σp²)(s² − Σt²), s = 6 texts, c = 4 right, p = (2, 4, 0), t = (3, 2, 1)
    assert result["matthews"] == pytest.approx((4 * 6 - 14) / math.sqrt((36 - 20) * (36 - 14)), abs=1e-6)
    likelihoods = [0.9, 0.9, 0.3, 0.7, 0.7, 1e-12]
    assert result["log_loss"] == pytest.approx(-sum(map(math.log, likelihoods)) / 6, abs=1e-6)
    # Two bins: 0.9 sure and 2 of 2 right; 0.7 sure and 2 of 4 right.
    assert result["calibration_error"] == pytest.approx((2 * 0.1 + 4 * 0.2) / 6, abs=1e-6)
    assert result["agreement"] == pytest.approx(2 / 6, abs=1e-6)
    assert all(type(value) is float and round(value, 6) == value for value in result.values())


def test_scores_leave_agreement_out_without_a_reference():
    assert "agreement" not in scores.scores(LABELS, PROBABILITIES)


def test_scores_of_a_model_that_always_predicts_one_class():
    result = scores.scores(LABELS, np.tile([1.0, 0.0, 0.0], (6, 1)))
    assert (result["accuracy"], result["matthews"], result["calibration_error"]) == (0.5, 0.0, 0.5)


def test_scores_refuse_nan():
    with pytest.raises(PotstillError, match="not finite"):
        scores.scores([0], [[math.nan, 1.0]])


@pytest.mark.parametrize("reference", [None, np.ones(5)])
def test_scores_refuse_shapes_that_do_not_match(reference):
    labels = LABELS if reference is not None else LABELS[1:]
    with pytest.raises(ValueError, match="do"):
        scores.scores(labels, PROBABILITIES, reference)


def test_calibration_bins_hold_their_upper_edge():
    # 1/15 belongs to the first bin, a hair more to the second: apart, their errors do not cancel.
    edge = np.linspace(0, 1, 16)[1]
    gaps = scores.calibration_error([edge, edge + 1e-9], [True, False])
    assert gaps == pytest.approx((1 - edge + edge) / 2)
    assert scores.calibration_error([1.0, 1.0], [True, True]) == 0


def test_confusion_has_a_row_per_true_class():
    result = scores.confusion([0, 0, 1], [0, 1, 1], ["no", "yes", "never"])
    assert result.loc["no"].tolist() == [1, 1, 0]
    assert result.loc["yes"].tolist() == [0, 1, 0]
    assert result.loc["never"].tolist() == [0, 0, 0]


class Clock:
    """A fake clock and model, whose calls take as long as `cost` returns."""

    def __init__(self, cost):
        self.now, self.cost, self.batches = 0.0, cost, []

    def predict(self, texts):
        self.batches.append(len(texts))
        self.now += self.cost(texts)


@pytest.fixture
def clock(monkeypatch):
    def make(cost):
        clock = Clock(cost)
        monkeypatch.setattr(timing, "perf_counter", lambda: clock.now)
        return clock

    return make


def test_throughput_of_a_fast_model_uses_all_texts(clock):
    model = clock(lambda texts: 1e-4 + 1e-5 * len(texts))
    result = timing.throughput(model.predict, ["a"] * 2000)
    assert result == {
        "texts_per_second": pytest.approx(2000 / 0.0201, abs=0.1),
        "batch": 2000,
        "milliseconds_per_text": 0.11,
    }
    assert model.now <= 2


def test_throughput_of_a_slow_model_stays_within_its_time(clock):
    model = clock(lambda texts: 0.03 * len(texts))
    result = timing.throughput(model.predict, ["a"] * 2000)
    assert result == {"texts_per_second": 33.3, "batch": 8, "milliseconds_per_text": 30}
    assert model.now <= 2.5


def test_throughput_of_the_slowest_model_measures_a_few_texts(clock):
    model = clock(lambda texts: 5.0 * len(texts))
    assert timing.throughput(model.predict, ["a"] * 9)["milliseconds_per_text"] == 5000
    assert sum(model.batches) == 6


def test_throughput_draws_the_same_texts_every_time_and_takes_the_median(clock):
    texts = [f"{number:04}" for number in range(2000)]
    seen = [[], []]
    for run in seen:
        model = clock(lambda batch, run=run: run.append(batch) or 0.1 * len(batch))
        timing.throughput(model.predict, texts)
    assert seen[0] == seen[1]
    assert seen[0][-1] != texts[:1]


def test_throughput_needs_a_text():
    with pytest.raises(ValueError, match="at least one text"):
        timing.throughput(len, [])


def row(name, kind, parameters, accuracy, **more):
    low, high = scores.interval(round(2000 * accuracy), 2000)
    return {
        "name": name, "kind": kind, "parameters": parameters, "bytes": 4 * (parameters or 0),
        "accuracy": accuracy, "accuracy_low": low, "accuracy_high": high, **more,
    }  # fmt: skip


ROWS = [
    row(
        "mlp",
        "student",
        80_102,
        0.918,
        agreement=0.96,
        milliseconds_per_text=0.0312,
        texts_per_second=61234.5,
    ),
    row("minilm", "teacher", 22_700_000, 0.927, macro_f1=0.8812, matthews=0.9023, relative=1.0),
    row("hard", "baseline", 80_102, 0.8635),
    row("tf|idf", "baseline", 60_000, 0.8615),
    row("table", "teacher", None, 0.93),
]


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


def test_a_class_whose_name_the_font_lacks_is_drawn_by_its_id():
    assert canvas.drawable(["joy", "日本", "a\nb", "x" * 40]) == ["joy", "#1", "a b", "x" * 27 + "…"]


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


TABLE = """\
| model | kind | accuracy, % (95% CI) | macro-F1, % | Matthews | agreement, % | relative accuracy, % \
| parameters | size |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| tf\\|idf | baseline | 86.15 (84.6–87.6) | – | – | – | – | 60,000 | 240 kB |
| hard | baseline | 86.35 (84.8–87.8) | – | – | – | – | 80,102 | 320 kB |
| table | teacher | 93.00 (91.8–94.0) | – | – | – | – | – | 0 B |
| minilm | teacher | 92.70 (91.5–93.8) | 88.12 | 0.902 | – | 100.0 | 22.7M | 90.8 MB |
| mlp | student | 91.80 (90.5–92.9) | – | – | 96.00 | – | 80,102 | 320 kB |
"""


def test_table_is_sorted_by_kind_then_size_with_dashes_for_what_is_missing():
    assert table.markdown(ROWS) == TABLE


def test_speeds_are_sorted_and_relative_to_a_reference():
    timings = {
        "slow": {"texts_per_second": 250.0, "milliseconds_per_text": 4.0},
        "fast": {"texts_per_second": 50000.0, "milliseconds_per_text": 0.02},
    }
    rows = table.speeds(timings, "fast").splitlines()[2:]
    assert rows == ["| fast | 0.02 | 50,000 | 1 |", "| slow | 4 | 250 | 0.005 |"]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (80_102, "80.1 kB"), (999_700, "1 MB"), (2.5e9, "2.5 GB")]
)
def test_size_of_files(count, text):
    assert table.size(count) == text


def test_a_comparison_says_which_is_better_and_whether_significantly():
    test = scores.mcnemar([0] * 20 + [1] * 80, [1] * 20 + [1] * 75 + [0] * 5)
    assert table.comparison("the student", "the teacher", test) == (
        "The student is 15.00 points less accurate than the teacher (95% CI +5.33 to +24.08). "
        "The difference is significant (exact McNemar test, p = 0.0041): "
        "5 texts are classified correctly only by the student, 20 only by the teacher.\n"
    )
    assert "equally accurate" in table.comparison("a", "b", scores.mcnemar([1, 0], [0, 1]))
    assert "is not significant" in table.comparison("a", "b", scores.mcnemar([1, 1], [0, 1]))


def test_nothing_here_imports_torch_or_pyplot():
    code = (
        "import sys; from potstill.core import timing; from potstill.evaluate import table; "
        "from potstill.evaluate.metrics import scores; from potstill.evaluate.plots import figure; "
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def paired(low, high):
    return {"difference": (low + high) / 2, "difference_low": low, "difference_high": high}


STUDENT = {"accuracy": 0.929, "accuracy_low": 0.917, "macro_f1": 0.88, "parameters": 2574, "bytes": 2900}


@pytest.mark.parametrize(
    ("teacher", "baseline", "ship", "says"),
    [
        (paired(-0.008, 0.01), paired(0.05, 0.08), True, "up to 0.8 points less accurate"),
        (paired(0.001, 0.01), paired(0.05, 0.08), True, "is not less accurate"),
        (
            paired(-0.012, 0.01),
            paired(0.05, 0.08),
            False,
            "up to 1.2 points less accurate",
        ),  # a wide interval
        (paired(-0.008, 0.01), paired(-0.001, 0.08), False, "It is not significantly better than TF-IDF"),
        (None, paired(0.05, 0.08), False, "no predictions"),
    ],
)
def test_a_student_ships_if_it_is_non_inferior_and_better_than_tfidf(teacher, baseline, ship, says):
    answer = judge(STUDENT, teacher, baseline, 0.01, 0.35)
    assert answer.ship is ship
    assert answer.decision == ("Ship" if ship else "Do not ship")
    assert says in answer.details
    assert "2,574 parameters and 2,900 bytes" in answer.details


def test_the_margin_is_a_parameter():
    assert judge(STUDENT, paired(-0.015, 0), paired(0.1, 0.2), 0.02, 0.35).ship
    assert "2 points allowed" in judge(STUDENT, paired(-0.015, 0), paired(0.1, 0.2), 0.02, 0.35).details
    assert (
        "(95% CI −1.5 to +0.0 points; 1 point allowed)"
        in judge(STUDENT, paired(-0.015, 0), paired(0.1, 0.2), 0.01, 0.35).details
    )


def test_a_teacher_that_is_no_better_than_tfidf_is_named():
    says = "Neither is its teacher (95% CI −2.0 to +1.0 points), so there is little to distil"
    of = {"student": STUDENT, "versus_teacher": paired(-0.03, 0), "margin": 0.01, "majority": 0.35}
    verdict = judge(**of, versus_baseline=paired(-0.01, 0.01), teacher_versus_baseline=paired(-0.02, 0.01))
    assert says in verdict.details
    verdict = judge(**of, versus_baseline=paired(-0.01, 0.01), teacher_versus_baseline=paired(0.02, 0.03))
    assert "Neither is its teacher" not in verdict.details
    verdict = judge(**of, versus_baseline=paired(0.01, 0.02), teacher_versus_baseline=paired(-0.02, 0.01))
    assert "Neither is its teacher" not in verdict.details


def test_a_better_network_on_hard_labels_is_named():
    of = (STUDENT, paired(-0.005, 0), paired(0.1, 0.2), 0.01, 0.35)
    verdict = judge(*of, versus_hard=paired(-0.03, -0.01))
    assert (
        "trained on hard labels, is significantly better (student minus network: 95% CI −3.0 to −1.0 points)"
        in verdict.details
    )
    assert verdict.ship
    assert "hard labels" not in judge(*of, versus_hard=paired(-0.03, 0.01)).details


def test_an_accuracy_no_better_than_the_majority_class_is_named():
    says = "predicting the most frequent class has an accuracy of 92.0%, so judge the student by its macro-F1, 88.0%"
    assert says in judge(STUDENT, paired(0, 0.1), paired(0.1, 0.2), 0.01, 0.92).details
    assert "most frequent" not in judge(STUDENT, paired(0, 0.1), paired(0.1, 0.2), 0.01, 0.91).details
