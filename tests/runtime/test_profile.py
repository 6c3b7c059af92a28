"""What texts look like, in counts."""

import dataclasses

import numpy as np
import pytest

from potstill.core.errors import PotstillError
from potstill.runtime import profile
from potstill.runtime.model import Student
from potstill.runtime.profile import Answers, Profile, Tally, Texts, traits
from tests.students import KINDS, multi_label_student, student
from tests.transformers import transformer

TEXTS = ["the ab not unheard", "", "THE ab", "unheard unheard"]


def answers(made, texts):
    probabilities = made.predict_proba(texts)
    return Answers.of(probabilities, probabilities.argmax(1))


@pytest.mark.parametrize("kind", KINDS)
def test_each_text_is_in_the_bin_of_its_words(kind):
    made = student("mlp", **KINDS[kind])
    seen = Texts(made, TEXTS, answers(made, TEXTS))
    named = {name: [traits(made)[name][i] for i in bins] for name, bins in seen.bins.items()}
    assert named["length"] == ["4 to 5", "0", "2", "2"]
    assert named["class"] == made.predict(TEXTS).tolist()
    for text, share in zip(TEXTS, named["confidence"], strict=True):
        low, high = map(float, share.split(" to "))
        assert low <= made.predict_proba(text).max() < high
    if kind == "strings":
        assert named["unknown"] == ["40% to 50%", "75% to 100%", "0%", "75% to 100%"]
        assert seen.unknown_words == [{"not", "unheard"}, set(), set(), {"unheard"}]


def test_words_that_a_small_transformer_splits_are_unknown():
    made = transformer()
    vocabulary = made.tokenizer.spec["model"]["vocab"]
    whole = next(word for word in vocabulary if word.isalpha() and word.islower())
    assert made.knows([whole, whole + "zzz", "\u2603", "x" * 100_000]) == [True, False, False, False]


def test_the_profile_comes_back_from_the_file(tmp_path):
    made = multi_label_student("mlp")
    tally = Tally(made)
    tally.add(TEXTS)
    known = Profile(tally.counts, 2)
    assert known.texts == len(TEXTS)
    dataclasses.replace(made, facts={profile.FACT: known.fact()}).save(tmp_path / "a.pot")
    found = Profile.of(Student.load(tmp_path / "a.pot"))
    assert found.correct == 2
    assert found.counts.keys() == {"length", "unknown", "confidence", "class", "labels"}
    for name, counts in known.counts.items():
        np.testing.assert_array_equal(found.counts[name], counts)


@pytest.mark.parametrize(
    "change",
    [
        {"length": None},
        {"length": [1]},
        {"class": [4, 0, True]},
        {"class": [4, 0, -0.5]},
        {"class": [4, 0, 1e300]},
        {"class": [5, 0, 0]},
        {"class": ["4", 0, 0]},
        {"correct": 5},
        {"correct": [1]},
    ],
)
def test_a_forged_profile_is_refused(change):
    made = student("mlp")
    tally = Tally(made)
    tally.add(TEXTS)
    fact = Profile(tally.counts, 2).fact()
    assert Profile.of(dataclasses.replace(made, facts={profile.FACT: fact}))
    for forged in (fact | change, [], 1, "", {}):
        with pytest.raises(PotstillError, match=r"^profile: that of the model file cannot be read"):
            Profile.of(dataclasses.replace(made, facts={profile.FACT: forged}))
    assert Profile.of(made) is None


def test_of_very_many_unknown_words_the_rarest_are_dropped(monkeypatch):
    monkeypatch.setattr(profile, "MOST_WORDS", 8)
    tally = Tally(student("mlp"))
    tally.add(["often"] * 3)
    tally.add([f"word{i}" for i in range(20)])
    assert len(tally.unknown_words) == 4
    assert tally.unknown_words.most_common(1) == [("often", 3)]
