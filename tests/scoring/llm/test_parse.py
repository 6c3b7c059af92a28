import numpy as np
import pytest

from potstill.scoring.llm.parse import Answer, distribution, label_of

NAMES = ["joy", "deep_sadness", "sadness", "Anger"]
CODES = list("ABCD")


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("A", 0),
        (" D\n", 3),
        ("(B)", 1),
        ("**C**", 2),
        ("C. sadness", 2),
        ("B: because it says so", 1),
        ("Answer: D", 3),
        ("The answer is A.", 0),
        ("<think>It may be A, or B.</think>\n\nC", 2),
        ("JOY", 0),
        ("'anger'.", 3),
        ("Deep sadness", 1),
        ("The text expresses joy, clearly", 0),
        ("It is deep sadness", 1),  # which also mentions sadness
        ("sadnes", 2),
        ("angre", 3),
        ("a", None),
        ("A person who is sad", None),
        ("E", None),
        ("joy or anger", None),
        ("I cannot tell", None),
        ("surprise", None),
        ("", None),
        ("<think>It may be A, or", None),
    ],
)
def test_an_answer_counts_as_the_label_that_it_names(answer, label):
    assert label_of(answer, NAMES, CODES) == label


def test_an_empty_answer_is_no_name_without_letters():
    assert label_of("", [":)", ":("], ["A", "B"]) is None
    assert label_of("?!", [":)", ":("], ["A", "B"]) is None
    assert label_of(":(", [":)", ":("], ["A", "B"]) == 1


def test_a_code_of_two_letters_is_not_taken_for_one_of_a_single():
    codes = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB"]
    names = [f"label {i}" for i in range(28)]
    assert label_of("AB", names, codes) == 27
    assert label_of("A", names, codes) == 0


def test_probabilities_are_those_of_the_codes_where_the_answer_has_one():
    places = [[("\n", -0.1), ("A", -5.0)], [(" B", np.log(0.6)), ("A", np.log(0.1)), ("B", np.log(0.2)), ("x", -3.0)]]
    found = distribution(Answer("\nB", places), NAMES, CODES)
    np.testing.assert_allclose(found, [1 / 9, 8 / 9, 0, 0])


def test_an_answer_by_name_is_certain():
    found = distribution(Answer("sadness", [[("sad", -0.1), ("A", -2.5)]]), NAMES, CODES)
    assert found.tolist() == [0, 0, 1, 0]


def test_the_codes_count_even_if_the_likeliest_token_is_none():
    found = distribution(Answer("Well,", [[("Well", -0.5), ("A", np.log(0.3)), ("D", np.log(0.1))]]), NAMES, CODES)
    np.testing.assert_allclose(found, [0.75, 0, 0, 0.25])


@pytest.mark.parametrize("places", [[], [[]], [[("Well", -0.01), ("A", -6.0)]]])
def test_an_answer_that_fits_no_label_has_no_probabilities(places):
    assert distribution(Answer("Well,", places), NAMES, CODES) is None
