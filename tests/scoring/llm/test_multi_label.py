"""An LLM decides on each label of a multi-label task, all of them in one request."""

from dataclasses import replace

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.core.labels import sigmoid
from potstill.scoring import model
from potstill.scoring.llm.params import MULTI_LABEL_PROMPT

TEXTS = ["i feel glad and gloomy", "furious again", "at home"]
ANSWERS = [[True, True, False], [False, False, True], [False, False, False]]


@pytest.fixture
def make_mixed(make, mixed):
    """A function that makes a teacher of the multi-label task with changes to its settings."""
    return lambda **changes: make(mixed, **changes)


def score(teacher, texts=TEXTS):
    return sigmoid(teacher.score(texts)[0])


def prompts(server):
    return [body["messages"][0]["content"] for body in server.bodies]


def test_one_request_for_each_order_gives_the_probabilities_of_all_labels(make_mixed, server):
    np.testing.assert_allclose(score(make_mixed()), np.where(ANSWERS, 0.9, 0.1 / 3), atol=1e-4)
    assert len(server.bodies) == 2 * len(TEXTS)
    assert {(body["max_tokens"], body["logprobs"]) for body in server.bodies} == {(3 * 8, True)}


@pytest.mark.parametrize(("lines", "requests"), [(2, 2), (1, 3)])
def test_labels_that_an_answer_leaves_out_are_asked_about_again(make_mixed, server, lines, requests):
    server.lines = lines
    assert (score(make_mixed(orders=1)) > 0.5).tolist() == ANSWERS
    assert len(server.bodies) == requests * len(TEXTS)
    assert "anger" in prompts(server)[-1]
    assert "joy" not in prompts(server)[-1]


def test_a_bias_to_the_first_line_is_shared_by_all_labels(make_mixed, server):
    server.knows = lambda text, names: [0.6 if name == "sadness" else 0.4 for name in names]
    server.bias = 1.5
    (one,), (six,) = score(make_mixed(orders=1), ["what"]), score(make_mixed(orders=6), ["how"])
    assert one[0] > one[1] > one[2]
    assert six[1] > six[0]
    np.testing.assert_allclose(six[0], six[2], atol=1e-4)  # each label is first in as many of six orders


@pytest.mark.parametrize("samples", [1, 4])
def test_without_log_probabilities_the_shares_of_answers_are_the_probabilities(make_mixed, server, samples):
    server.logprobs = False
    with pytest.raises(PotstillError, match=r"gives no log-probabilities\. Set .*samples to 1"):
        make_mixed(concurrency=1).score(TEXTS)
    server.bodies.clear()
    np.testing.assert_allclose(score(make_mixed(samples=samples)), ANSWERS, atol=1e-5)
    assert len(server.bodies) == samples * len(TEXTS)
    if samples == 4:  # a label whose decision depends on the order
        server.knows = lambda text, names: [0.9 if i == 0 else 0.1 for i in range(len(names))]
        np.testing.assert_allclose(score(make_mixed(samples=4), ["what"]), [[0.5, 0, 0.5]], atol=1e-5)


def test_answers_that_decide_on_no_label_are_left_out_and_said(make_mixed, server, capsys):
    server.mute = {TEXTS[1]}
    found, _ = make_mixed().score(TEXTS)
    assert np.isnan(found).all(1).tolist() == [False, True, False]
    assert "1 texts without an answer that fits all labels" in capsys.readouterr().out
    server.mute = {f"text {i}" for i in range(50)}
    with pytest.raises(PotstillError, match="none of the first 20 answers fits all labels"):
        make_mixed().score(sorted(server.mute))


def test_examples_show_which_labels_apply(make_mixed, server, mixed):
    train = dict(zip(mixed.train["text"], mixed.train["label"], strict=True))
    make_mixed(examples=30, orders=1).score(["today at home"])
    (shown,) = prompts(server)
    examples = [part.split("\nAnswer:\n") for part in shown.split("\n\nText: ")[1:-1]]
    assert len(examples) == 30
    for text, lines in examples:
        expected = [f"{code}: {'yes' if i in train[text] else 'no'}" for i, code in enumerate("ABC")]
        assert lines.splitlines() == expected
    assert {len(train[text]) for text, _ in examples} >= {0, 1, 2}  # a text without a label is an example too


def test_it_is_the_same_after_it_was_saved(make, server, mixed, tmp_path):
    teacher = make(replace(mixed, descriptions={"joy": "good"}), examples=2)
    folder = tmp_path / "mine"
    folder.mkdir()
    teacher.save(folder)
    before = score(teacher)
    loaded = model.load(folder)
    np.testing.assert_array_equal(score(loaded), before)
    assert len(server.bodies) == 2 * len(TEXTS)  # the second time from the store
    assert all("A. joy: good\n" in shown or "C. joy: good\n" in shown for shown in prompts(server))


def test_a_prompt_of_ones_own_has_the_same_variables(make_mixed, server, tmp_path):
    (tmp_path / "mine.txt").write_text(MULTI_LABEL_PROMPT.read_text().replace("Decide", "Please decide"))
    score(make_mixed(prompt="mine.txt", examples=1))
    assert all(shown.startswith("Please decide") for shown in prompts(server))
