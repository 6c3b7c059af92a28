"""Explanations, and informative words."""

import dataclasses

import numpy as np
import pytest

from potstill.runtime import explain
from potstill.runtime.model import Student
from potstill.runtime.tokenizer import UNKNOWN
from tests.students import multi_label_student, student


def test_each_label_is_explained_by_itself():
    made = multi_label_student("mlp", max_ngram=1)
    text = "the not good ab"
    for column, label in enumerate(made.labels):
        named_label, probability, parts = explain.explain(made, text, label)
        assert named_label == label
        assert probability == pytest.approx(made.predict_proba(text)[0, column], abs=1e-6)
        without = made.predict_proba("unheard not good ab")[0, column]
        assert parts[0].score == pytest.approx(np.log(probability) - np.log(without), abs=1e-4)
    for label, found in explain.informative_words(made, 3).items():
        alone = np.log(made.predict_proba([found[0][0], "unheard"])[:, made.labels.index(label)])
        assert found[0][1] == pytest.approx(alone[0] - alone[1], abs=1e-4)


@pytest.mark.parametrize("architecture", ["mlp", "bigru"])
@pytest.mark.parametrize("strings", [True, False], ids=["strings", "fingerprints"])
def test_a_word_in_pieces_is_explained_as_a_whole(architecture, strings):
    made = student(architecture, strings, subwords=True)
    text = "the ab thea #thq ss"
    label, probability, parts = explain.explain(made, text)
    assert len(made.vocabulary.word_rows("thea")) > 1
    assert made.vocabulary.word_rows("thq") == (UNKNOWN,)
    assert [part.word for part in parts] == ["the", "ab", "thea", "#", "thq", "ss"]
    assert [part.known for part in parts] == [made.vocabulary.word_rows(part.word) != (UNKNOWN,) for part in parts]
    without = made.predict_proba("the ab thq #thq ss")[0, made.labels.index(label)]
    assert parts[2].score == pytest.approx(np.log(probability) - np.log(without), abs=1e-4)
    assert explain.explain(made, "")[2] == []


@pytest.mark.parametrize("architecture", ["mlp", "bigru"])
def test_no_more_is_held_for_a_longer_text(architecture, monkeypatch):
    made = student(architecture)
    held = []
    scored = Student.logits
    monkeypatch.setattr(explain, "CHUNK", 1 << 12)
    monkeypatch.setattr(Student, "logits", lambda made, texts: held.append(texts.ids.size) or scored(made, texts))
    made = dataclasses.replace(made, vocabulary=dataclasses.replace(made.vocabulary, max_length=300))
    explain.explain(made, "the not good ab " * 100)
    assert max(held) <= 1 << 12
    assert sum(held) > 300 * 300
