"""The tests of drift: they find it, and rarely where there is none."""

from dataclasses import replace

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.runtime import drift
from potstill.runtime.martingale import Martingale
from potstill.runtime.profile import Profile
from potstill.web.drift import page
from tests.profiles import IN_DOMAIN, with_profile
from tests.students import student


def draw(shares, size, rng):
    return rng.multinomial(size, shares)


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.97, 0.01, 0.01, 0.01], np.full(12, 1 / 12)])
def test_the_permutation_test_keeps_its_rate_however_few_texts_a_bin_has(shares):
    rng = np.random.default_rng(0)
    p = np.array(
        [drift.permutation_test(draw(shares, 90, rng), draw(shares, 30, rng), 999, rng)[0] for _ in range(400)]
    )
    for level in (0.05, 0.2, 0.5):  # within four standard errors
        assert (p <= level).mean() <= level + 4 * np.sqrt(level * (1 - level) / len(p))


def test_a_trifle_in_many_texts_is_significant_but_no_drift():
    rng = np.random.default_rng(0)
    p, effect = drift.permutation_test(np.array([500_000, 500_000]), np.array([2_020_000, 1_980_000]), 9999, rng)
    assert p == pytest.approx(0.0001)
    assert effect == pytest.approx(0.005, abs=0.001)


def test_what_chance_brings_is_no_effect():
    rng = np.random.default_rng(0)
    shares = np.full(150, 1 / 150)
    effects = [drift.permutation_test(draw(shares, 900, rng), draw(shares, 200, rng), 200, rng)[1] for _ in range(20)]
    assert np.mean(effects) < 0.02


def test_more_texts_than_can_be_drawn_from_are_thinned():
    rng = np.random.default_rng(0)
    same = np.array([3_000_000_000, 1_000_000_000])
    assert drift.permutation_test(np.array([750, 250]), same, 999, rng)[0] > 0.01
    assert drift.permutation_test(np.array([250, 750]), same, 999, rng)[0] < 0.01


def test_p_values_are_adjusted_as_by_holm():
    assert drift.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert drift.holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_expected_accuracy_of_the_same_confidences_is_that_of_validation():
    counts = np.array([0, 10, 20, 30, 40, 0])
    profile = Profile({"length": counts, "confidence": counts}, 77)
    assert drift.expected_accuracy(profile, 3 * counts) == pytest.approx(0.77)
    lowest, *_, highest = np.eye(len(counts))
    assert drift.expected_accuracy(profile, highest) == 1
    assert drift.expected_accuracy(profile, lowest) == 0


def test_what_is_expected_where_nobody_has_labelled_validation_is_an_agreement():
    made = with_profile(IN_DOMAIN * 40)
    made = replace(made, facts=made.facts | {"labelled_by_teacher": ["validation"]})
    found = made.drift(IN_DOMAIN * 30)
    assert found.score == "agreement"
    assert "\nagreement   50.0% expected, 50.0% on validation" in str(found)
    assert "Expected agreement with its teacher: 50.0%" in page(found)


def test_drift_of_texts_is_found_and_described():
    made = with_profile(IN_DOMAIN * 40)
    same = made.drift(IN_DOMAIN * 30)
    assert "\naccuracy    50.0% expected, 50.0% on validation" in str(same)
    assert "Expected accuracy: 50.0%" in page(same)
    assert not same.drifted
    assert str(same).startswith("no drift: 150 texts, compared with 200 validation texts\n")
    assert same.expected_accuracy == pytest.approx(same.validation_accuracy)
    other = made.drift(["unheard of words only, in a longer text"] * 50 + ["the"] * 10)
    assert other.drifted
    assert {change.trait for change in other.changes if change.drifted} >= {"length", "unknown"}
    assert str(other).startswith("drift in length, unknown")
    assert ("unheard", 50) in other.unknown_words
    assert made.drift(["unheard of words only"] * 2, alpha=0.001).drifted is False  # two texts prove little


@pytest.mark.parametrize(
    ("texts", "arguments", "says"),
    [
        ([], {}, "texts: there are none"),
        (["a"], {"alpha": 0}, "alpha: must be"),
        (["a"], {"min_effect": 2}, "min_effect: must be"),
    ],
)
def test_what_cannot_be_compared_is_refused(texts, arguments, says):
    with pytest.raises(PotstillError, match=says):
        with_profile(IN_DOMAIN).drift(texts, **arguments)


def test_a_file_without_a_profile_says_what_to_do():
    with pytest.raises(PotstillError, match=r"`export\.profile: true`"):
        student("mlp").drift(["a"])


def stream(shares, size, rng):
    return rng.choice(len(shares), size, p=shares)


def test_the_sequential_test_keeps_its_rate_whenever_one_looks():
    rng = np.random.default_rng(0)
    shares = [0.5, 0.3, 0.15, 0.05]
    alarms, runs, alpha = 0, 150, 0.1
    for _ in range(runs):
        martingale = Martingale(draw(shares, 100, rng), rng)
        for _ in range(40):
            martingale.update(stream(shares, 10, rng))
        alarms += martingale.evidence >= np.log(1 / alpha)
    assert alarms <= runs * alpha


def test_the_sequential_test_finds_drift_that_begins_late():
    rng = np.random.default_rng(0)
    before, after = [0.5, 0.3, 0.15, 0.05], [0.2, 0.3, 0.3, 0.2]
    martingale = Martingale(draw(before, 1000, rng), rng)
    for _ in range(100):
        martingale.update(stream(before, 100, rng))
    assert martingale.evidence < np.log(100)
    for _ in range(10):
        martingale.update(stream(after, 100, rng))
    assert martingale.evidence > np.log(100)


def test_p_values_of_a_stream_are_uniform():
    rng = np.random.default_rng(0)
    shares = [0.7, 0.2, 0.1]
    martingale = Martingale(draw(shares, 50, rng), rng)
    p = np.concatenate([martingale._p_values(stream(shares, n, rng)) for n in (1, 999, 2000)])
    np.testing.assert_allclose(np.quantile(p, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)
    martingale.update(np.array([], int))
