"""The demo corpus: reproducible, without leaks, and with the documented difficulties."""

import random

import pandas as pd
import pytest

from potstill.core.errors import PotstillError
from potstill.data.clean import comparison_keys
from potstill.data.dataset import SPLITS, Dataset
from potstill.prepare import demo

SIZES = {"train": 1500, "validation": 300, "test": 1000, "unlabelled": 3000}


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return demo.generate(**SIZES, seed=1)


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[demo.Sentence]]:
    """The sentences of train and test, with attributes that the tables lack."""
    taken: set[str] = set()
    return {name: demo.sentences(SIZES[name], random.Random(name), taken) for name in ("test", "train")}


def test_same_seed_gives_same_data(dataset):
    again = demo.generate(**SIZES, seed=1)
    for name in SIZES:
        pd.testing.assert_frame_equal(again.split(name), dataset.split(name))


def test_other_seed_gives_other_data(dataset):
    other = demo.generate(**SIZES, seed=2)
    assert len(set(other.test["text"]) & set(dataset.test["text"])) < 0.05 * SIZES["test"]


def test_a_larger_train_split_leaves_the_test_split_as_it_is(dataset):
    larger = demo.generate(**{**SIZES, "train": 2000}, seed=1)
    pd.testing.assert_frame_equal(larger.test, dataset.test)


def test_tables_have_the_sizes_and_columns_of_a_dataset(dataset):
    assert {name: len(dataset.split(name)) for name in SIZES} == SIZES
    for name in SPLITS:
        assert list(dataset.split(name).columns) == ["text", "label"]
        assert dataset.split(name)["label"].dtype == "int64"
    assert list(dataset.unlabelled.columns) == ["text"]


def test_no_text_occurs_twice_in_whatever_part(dataset):
    every = comparison_keys(pd.concat([dataset.split(name)["text"] for name in SIZES]))
    assert every.is_unique


def test_texts_are_lower_case_words_of_tweet_length(dataset):
    texts = dataset.unlabelled["text"]
    assert texts.str.fullmatch(r"[a-z]+( [a-z]+)*").all()
    assert texts.str.split().str.len().between(5, 35).all()


@pytest.mark.parametrize("size", [6, 7, 30, 200])
def test_every_split_holds_every_class(size):
    small = demo.generate(size, size, size, 0, seed=3)
    for name in SPLITS:
        assert set(small.split(name)["label"]) == set(range(6))


@pytest.mark.parametrize("size", [0, 1, 5])
def test_tiny_sizes_are_exact(size):
    tiny = demo.generate(size, size, size, size, seed=3)
    assert [len(tiny.split(name)) for name in SIZES] == [size] * 4


def test_classes_have_their_shares(dataset):
    shares = dataset.train["label"].value_counts(normalize=True)
    for label, share in enumerate(demo.SHARES.values()):
        assert shares[label] == pytest.approx(share, abs=0.02)


def test_some_labels_are_wrong(dataset):
    drawn = demo.sentences(SIZES["test"], random.Random("1 test"), set())
    true = [dataset.labels.index(sentence.label) for sentence in drawn]
    assert (dataset.test["label"] != true).mean() == pytest.approx(demo.NOISE)


def test_some_sentences_depend_on_order(drawn):
    ordered = [sentence.ordered for sentence in drawn["train"]]
    assert 0.10 < sum(ordered) / len(ordered) < 0.18


def test_train_lacks_many_terms_that_test_has(drawn):
    known = {sentence.term for sentence in drawn["train"]}
    unseen = [sentence.term not in known for sentence in drawn["test"]]
    assert 0.08 < sum(unseen) / len(unseen) < 0.30


def test_a_contrast_has_its_terms_either_way_round():
    for templates in demo._GRAMMAR["contrast"].values():
        new_first = [template.index("{new}") < template.index("{old}") for template in templates]
        assert sum(new_first) * 2 == len(new_first)


def test_no_term_belongs_to_two_emotions_or_to_the_filler():
    terms = [term for kinds in demo._GRAMMAR["terms"].values() for some in kinds.values() for term in some]
    assert len(terms) == len(set(terms))
    filler = " ".join(text for some in demo._GRAMMAR["fragments"].values() for text in some).split()
    assert set(terms).isdisjoint(filler)


def test_a_size_that_cannot_be_had_is_refused():
    with pytest.raises(PotstillError, match="the limit is 200000"):
        demo.generate(200_000, 1, 0, 0, seed=1)
    with pytest.raises(PotstillError, match="test` is -1"):
        demo.generate(1, 1, -1, 1, seed=1)
