"""Scores, intervals and tests against values computed by hand."""

import math

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.evaluate.metrics import scores
from tests.evaluate.examples import FOUND, KNOWN


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


def test_mcnemar_is_the_mid_p_test_of_fagerland():
    # The example of the paper, where the exact test has p = 0.070.
    result = scores.mcnemar([1] * 14 + [0] * 7, [1] * 13 + [0] + [1] * 7)
    assert (result["only_first"], result["only_second"]) == (1, 7)
    assert result["p"] == 0.0390625
    assert result["difference"] == -0.285714


def test_interval_of_a_paired_difference_is_agresti_and_mins():
    # The example of diffpropci.mp in the R package PropCIs: 40 and 20 of 160.
    result = scores.mcnemar([0] * 40 + [1] * 120, [1] * 40 + [0] * 20 + [1] * 100)
    assert (result["difference_low"], result["difference_high"]) == (-0.216017, -0.030896)


def test_mcnemar_is_antisymmetric():
    first, second = [1, 1, 1, 0, 1], [0, 0, 1, 1, 1]
    one, other = scores.mcnemar(first, second), scores.mcnemar(second, first)
    assert one["p"] == other["p"] == 0.625
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
    result = scores.scores(LABELS, PROBABILITIES)
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
    assert all(type(value) is float and round(value, 6) == value for value in result.values())


def test_a_text_without_an_answer_counts_as_wrong_and_has_no_confidence():
    # The fourth text, of class 1, would be right.
    probabilities = np.where(np.arange(6)[:, None] == 3, np.nan, PROBABILITIES)
    result = scores.scores(LABELS, probabilities)
    assert result["accuracy"] == 0.5
    # F1: class 0 as above; class 1 has 1 right, 2 false, 1 missed.
    assert result["macro_f1"] == pytest.approx((4 / 5 + 2 / 5 + 0) / 3, abs=1e-6)
    likelihoods = [0.9, 0.9, 0.3, 0.7, 1e-12]
    assert result["log_loss"] == pytest.approx(-sum(map(math.log, likelihoods)) / 5, abs=1e-6)
    assert result["calibration_error"] == pytest.approx((2 * 0.1 + 3 * (0.7 - 1 / 3)) / 5, abs=1e-6)
    # Of several labels, none is no answer, even where it would be right.
    none = np.array([[False, False], [True, False]])
    several = np.array([[np.nan, np.nan], [0.9, 0.1]])
    assert scores.scores(none, several, [0.5, 0.5])["accuracy"] == 0.5


def test_scores_of_a_model_that_always_predicts_one_class():
    result = scores.scores(LABELS, np.tile([1.0, 0.0, 0.0], (6, 1)))
    assert (result["accuracy"], result["matthews"], result["calibration_error"]) == (0.5, 0.0, 0.5)


def test_scores_refuse_nan():
    with pytest.raises(PotstillError, match="not finite"):
        scores.scores([0], [[math.nan, 1.0]])


def test_scores_refuse_shapes_that_do_not_match():
    with pytest.raises(ValueError, match="do not match"):
        scores.scores(LABELS[1:], PROBABILITIES)


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


def test_multi_label_scores_equal_values_computed_by_hand():
    result = scores.scores(KNOWN, FOUND, [0.5, 0.5])
    assert result["accuracy"] == 0.5  # the second text lacks a label, the fourth has one too many
    # The first label: 2 right, 1 wrong, 0 missed; the second: 1, 0, 1.
    assert result["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2, abs=1e-6)
    assert result["micro_f1"] == pytest.approx(6 / 8, abs=1e-6)
    likelihoods = [0.9, 0.9, 0.9, 0.4, 0.8, 0.8, 0.4, 0.7]
    assert result["log_loss"] == pytest.approx(-np.log(likelihoods).mean(), abs=1e-6)
    # Of probabilities 0.9, 0.9, 0.1, 0.4, 0.2, 0.2, 0.6, 0.7 those that belong to a label, bin by bin.
    gaps = [2 * 0.1, 0.1, 0.6, 2 * 0.2, 0.6, 0.3]
    assert result["calibration_error"] == pytest.approx(sum(gaps) / 8, abs=1e-6)
    assert "matthews" not in result
    cases = scores.label_confusion(KNOWN, FOUND >= 0.5, ["a", "b"])
    assert cases.loc["a"].to_dict() == {"TP": 2, "FN": 0, "FP": 1, "TN": 1}
    assert cases.loc["b"].to_dict() == {"TP": 1, "FN": 1, "FP": 0, "TN": 2}
