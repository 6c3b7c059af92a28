"""The number of test texts that would decide."""

import numpy as np
import pytest

from potstill.evaluate.metrics.power import texts_needed
from potstill.evaluate.metrics.scores import mcnemar


def paired(rng, texts, only_first, only_second):
    """Return McNemar's test for classifiers with these rates of texts that only one of them gets right."""
    draw = rng.random(texts)
    return mcnemar(draw < only_first, (draw >= only_first) & (draw < only_first + only_second))


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second", "bound"), [(0.03, 0.05, 0), (0.03, 0.03, -0.01), (0.02, 0.024, -0.01)])
def test_with_as_many_texts_the_interval_excludes_the_bound_in_80_percent_of_trials(first, second, bound):
    rng = np.random.default_rng(0)
    # A large sample, so that the observed rates are nearly the true ones.
    needed = texts_needed(paired(rng, 1_000_000, first, second), 1_000_000, bound)
    trials = [paired(rng, needed, first, second) for _ in range(400)]
    excluded = [test["difference_low"] > bound or test["difference_high"] < bound for test in trials]
    assert 0.74 < np.mean(excluded) < 0.88


def test_it_is_more_than_there_are_if_they_do_not_decide_and_has_two_digits():
    test = paired(np.random.default_rng(1), 500, 0.03, 0.05)
    assert test["difference_low"] < 0 < test["difference_high"]
    needed = texts_needed(test, 500, 0)
    assert needed > 500
    assert needed == float(f"{needed:.2g}")


def test_few_texts_on_which_both_agree_do_not_count_as_proof():
    same = mcnemar([True] * 40, [True] * 40)
    assert 1000 < texts_needed(same, 40, -0.01) < 5000


def test_it_is_none_if_the_difference_is_at_the_bound_or_nearly_so():
    assert texts_needed(mcnemar([True] * 40, [True] * 40), 40, 0) is None
    assert texts_needed({"difference_low": -0.02, "difference_high": 0.0199}, 1000, 0) is None
