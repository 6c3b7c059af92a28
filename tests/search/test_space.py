import pytest

from potstill.search.space import expected_size, fit_vocab_size
from potstill.student.distil import distil
from tests.settings import soft_labels, student_settings


@pytest.mark.parametrize("architecture", ["mlp", "attention", "cnn", "bigru"])
@pytest.mark.parametrize("budget", [500, 3000, 80_102])
@pytest.mark.parametrize("words_per_row", [1.0, 2.0])
def test_a_budget_of_parameters_is_filled_to_the_last_row(architecture, budget, words_per_row):
    params = fit_vocab_size(
        student_settings(architecture=architecture, embedding_dim=3, hidden=5), 6, budget, "parameters", words_per_row
    )
    rows = params.embedding_rows or params.vocab_size
    assert params.vocab_size == pytest.approx(words_per_row * rows, abs=1)
    more = params.model_copy(update={"vocab_size": params.vocab_size + 2, "embedding_rows": rows + 1})
    assert expected_size(params, 6, "parameters") <= budget < expected_size(more, 6, "parameters")


def test_a_student_that_does_not_fit_is_none():
    assert fit_vocab_size(student_settings(architecture="bigru", hidden=64), 6, 1000, "parameters") is None


@pytest.mark.parametrize(("bits", "rows"), [(2, None), (4, None), (None, None), (4, 30)])
def test_the_expected_bytes_are_right_within_some_percent(bits, rows, data):
    sizes = {
        "vocab_size": 90,
        "embedding_rows": rows,
        "embedding_dim": 8,
        "hidden": 16,
        "weight_bits": bits,
        "fingerprint_bits": 4,
    }
    params = student_settings(architecture="cnn", epochs=1, **sizes)
    trained = distil(data.labels, data.train["text"].tolist(), soft_labels(data), data.validation, params)
    size = len(trained.student.to_bytes())
    expected = expected_size(params, 3, "bytes")
    assert 0.98 * size <= expected <= 1.1 * size + 10
