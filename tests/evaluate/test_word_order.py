"""Word-order sensitivity and unknown words."""

import numpy as np
import pytest

from potstill.evaluate.word_order import out_of_vocabulary, vocabulary, word_order_sensitivity

TEXTS = [f"a{i} b c d e f g h" for i in range(200)]


def bag(texts: list[str]) -> np.ndarray:
    return np.array([[len(text.split()), "b" in text.split()] for text in texts], float)


def test_a_bag_of_words_is_not_sensitive_to_order() -> None:
    found = word_order_sensitivity(bag, TEXTS)
    assert found == {"wos": 0.0, "survived": 1.0, "texts": 200}


def test_a_model_of_the_first_word_is_sensitive_to_order() -> None:
    found = word_order_sensitivity(lambda texts: np.array([[t[0] == "a", t[0] != "a"] for t in texts], float), TEXTS)
    assert found["survived"] == pytest.approx(1 / 8, abs=0.07)  # a shuffle leaves one word in eight first
    assert found["wos"] == pytest.approx(2 * (1 - found["survived"]))


def test_texts_of_one_word_are_left_out() -> None:
    assert word_order_sensitivity(bag, ["one", "two two", ""]) is None
    assert word_order_sensitivity(bag, ["one", "one two"])["texts"] == 1


def test_unknown_words_are_counted() -> None:
    words = vocabulary(["A b", "c."])
    assert words == {"a", "b", "c", "."}
    assert out_of_vocabulary(words, ["a B", "a x y", "."]) == {"words": 0.333333, "texts": 0.333333}
    assert out_of_vocabulary(words, []) == {"words": 0.0, "texts": 0.0}


def test_word_order_matters_in_scripts_without_spaces():
    texts = ["好不好看" * 3, "今天天气很好"]
    first = word_order_sensitivity(lambda some: np.array([[text[0] == "好", text[0] == "今"] for text in some]), texts)
    assert first["texts"] == 2
