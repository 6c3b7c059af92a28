"""`potstill explain`."""

import dataclasses
import json

import numpy as np
import pytest

from potstill import cli
from tests.command import call, refused
from tests.students import student


@pytest.mark.parametrize("architecture", ["mlp", "bigru"])
def test_a_part_is_what_the_answer_loses_without_the_word(architecture, tmp_path, capsys):
    made = student(architecture)
    made.save(tmp_path / "a.pot")
    found = json.loads(call(capsys, "explain", tmp_path / "a.pot", "The not good ab", "--json"))
    texts = ["the not good ab", "? not good ab", "the ? good ab", "the not ? ab", "the not good ?"]
    texts = [text.replace("?", "unheard") for text in texts]
    probabilities = made.predict_proba(texts)
    column = made.labels.index(found["label"])
    assert column == probabilities[0].argmax()
    assert found["probability"] == pytest.approx(probabilities[0, column], abs=1e-5)
    losses = np.log(probabilities[0, column]) - np.log(probabilities[1:, column])
    assert [word["score"] for word in found["words"]] == pytest.approx(losses, abs=1e-4)
    runs = architecture == "mlp"  # only a bag knows "not good"
    assert [word["known"] for word in found["words"]] == [True, runs, runs, True]


def test_of_a_long_text_the_first_words_are_explained(tmp_path, capsys):
    made = student("mlp")
    dataclasses.replace(made, vocabulary=dataclasses.replace(made.vocabulary, max_length=1200)).save(tmp_path / "a.pot")
    for text, said in (("the " * 1000, ""), ("the ab " * 1000, "the first 1,000 of 1,200 words are explained")):
        cli.execute(["explain", str(tmp_path / "a.pot"), text, "--json"])
        out, err = capsys.readouterr()
        assert len(json.loads(out)["words"]) == 1000
        assert err.startswith(said)
        assert bool(err) == bool(said)


def test_another_class_and_no_words(model, capsys):
    assert call(capsys, "explain", model, "the", "--label", "c1").startswith("c1 ")
    assert call(capsys, "explain", model, "  ").count("\n") == 1
    assert "has no class 'c9' (found: c0, c1, c2)" in refused("explain", model, "the", "--label", "c9")
