import numpy as np
import pytest

from potstill.scoring.llm.parse import Answer, decisions, distribution, label_of

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


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("A: yes\nB: no\nC: no\nD: yes", [1, 0, 0, 1]),
        ("D: YES\nC: No.\nB: no\nA: No", [0, 0, 0, 1]),  # in another order
        ("A:yes, B:no, C:no, D:no", [1, 0, 0, 0]),
        ("A:\nyes\nB:\nno\nC:\nno\nD:\nno", [1, 0, 0, 0]),
        ("- **A. joy**: yes\n- **B. deep_sadness**: no\n- **C. sadness**: no\n- **D. Anger**: no", [1, 0, 0, 0]),
        ("Joy - yes\nDeep sadness - no\nSadness - yes\nAngre - no", [1, 0, 1, 0]),
        ('{"A": "yes", "B": "no", "C": "no", "D": "no"}', [1, 0, 0, 0]),
        ("<think>A: no, I think</think>\nA: yes\nB: no\nC: no\nD: no", [1, 0, 0, 0]),
        ("The labels:\nA: yes (glad)\nB: no, since\nit says so\nC: no\nD: no\nA: no", [1, 0, 0, 0]),
        ("A: yes\nC: no", [1, None, 0, None]),
        ("A: yes\nB: no\nC: no\nD: maybe", [1, 0, 0, None]),
        ("A, D", [None] * 4),
        ("no", [None] * 4),
        ("", [None] * 4),
    ],
)
def test_an_answer_decides_on_each_label(answer, found):
    np.testing.assert_array_equal(decisions(Answer(answer, []), NAMES, CODES), np.array(found, float))


def test_a_name_that_begins_with_no_is_not_a_decision():
    names = ["no damage", "yes men"]
    assert decisions(Answer("A: no damage: yes\nB: yes men: no", []), names, ["A", "B"]).tolist() == [1, 0]


def test_the_probability_of_a_label_is_that_of_yes_in_the_place_of_its_decision():
    first = [(" yes", np.log(0.5)), ("Yes", np.log(0.1)), (" no", np.log(0.2)), ("No", np.log(0.1)), (" not", -2.0)]
    second = [(" no", np.log(0.8))]  # the least likely tokens are not listed
    places = [[("A", 0.0)], [(":", 0.0)], first, [("\n", 0.0)], [("B", 0.0)], [(":", 0.0), (" yes", -9.0)], second]
    found = decisions(Answer("A: yes\nB: no", places), ["joy", "anger"], ["A", "B"])
    np.testing.assert_allclose(found, [6 / 9, 0])
