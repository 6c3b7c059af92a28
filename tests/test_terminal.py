"""What is printed is safe for a terminal."""

import json

import pytest

from potstill.terminal import as_json


@pytest.mark.parametrize(
    "value",
    [
        "\x00\x1b\x7f\x85\x9b\u200b\u202e\u2028\ufeff\ud800\U000e0001",
        'plain "ä" \\ 日 👩\u200d👧',
        {"a\x9b": [None, 1.5]},
    ],
)
def test_json_is_printable_and_reads_back(value):
    assert json.loads(as_json(value)) == value
    assert "\u200d" in as_json(value) or as_json(value).isprintable()
    assert as_json([float("nan"), {"a": float("-inf")}, 1e308]) == '[null, {"a": null}, 1e+308]'
