"""Tables in Markdown."""

import pytest

from potstill.evaluate import table
from potstill.evaluate.metrics import scores
from tests.evaluate.examples import ROWS

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
        "The difference is significant (McNemar's mid-p test, p = 0.0025): "
        "5 texts are classified correctly only by the student, 20 only by the teacher.\n"
    )
    assert "equally accurate" in table.comparison("a", "b", scores.mcnemar([1, 0], [0, 1]))
    assert "is not significant" in table.comparison("a", "b", scores.mcnemar([1, 1], [0, 1]))
