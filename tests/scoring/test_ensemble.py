import numpy as np

from potstill.scoring.ensemble import average


def test_averaging_ignores_what_logits_share(tmp_path):
    first = np.array([[1.0, 3.0]])
    np.testing.assert_allclose(average([first, first + 100]), [[-1, 1]])
    np.testing.assert_allclose(average([first, np.array([[5.0, 1.0]])]), [[0.5, -0.5]])
    assert np.isnan(average([first, np.array([[np.nan, np.nan]])])).all()


def test_multi_label_teachers_are_averaged_without_centring():
    one, other = np.array([[3.0, 2.0]]), np.array([[1.0, -4.0]])
    np.testing.assert_array_equal(average([one, other], multi_label=True), [[2, -1]])
    np.testing.assert_array_equal(average([one, other]), [[1.5, -1.5]])
