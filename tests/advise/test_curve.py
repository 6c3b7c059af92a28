import pytest

from potstill.advise.curve import Curve


def test_a_power_law_is_fitted():
    curve = Curve.fit([1000, 2000, 4000], [0.4, 0.2, 0.1], 500)
    assert (curve.power, curve.largest) == (pytest.approx(1), 4000)
    assert curve.error(8000) == pytest.approx(0.05)
    assert curve.gain(8000) == pytest.approx(0.025)
    size = curve.saturation(0.005, 1e9)
    assert curve.gain(size) == pytest.approx(0.005)
    assert curve.saturation(0.005, 10_000) == 10_000


def test_a_curve_that_does_not_fall_gains_nothing():
    curve = Curve.fit([1000, 2000, 4000], [0.2, 0.21, 0.22], 500)
    assert curve.gain(4000) < 0
    assert curve.saturation(0.005, 1e9) == 4000


def test_an_error_of_0_counts_as_half_a_text():
    assert Curve.fit([10, 20], [0.0, 0.0], 100).error(20) == pytest.approx(0.005)
