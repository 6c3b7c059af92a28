import pytest
from pydantic import ValidationError

from potstill.runtime import file
from tests.settings import student_settings


def test_only_mlp_takes_ngrams():
    with pytest.raises(ValidationError, match="must be 1 unless architecture is mlp"):
        student_settings(architecture="cnn", max_ngram=2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vocab_size", file.MAX_WORDS + 1),
        ("embedding_rows", file.MAX_WORDS + 1),
        ("max_ngram", file.MAX_NGRAM + 1),
        ("embedding_dim", file.MAX_WIDTH + 1),
        ("hidden", file.MAX_WIDTH + 1),
        ("max_length", file.MAX_LENGTH + 1),
        ("max_length", 0),
        ("weight_bits", 9),
        ("fingerprint_bits", 17),
        ("seed", 2**32),
        ("temperature", float("inf")),
        ("weight_decay", float("inf")),
    ],
)
def test_parameters_beyond_the_limits_of_the_file_are_rejected(key, value):
    with pytest.raises(ValidationError, match=key):
        student_settings(**{key: value})
