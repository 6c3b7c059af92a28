import string

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from potstill.core.errors import PotstillError
from potstill.core.labels import accuracy
from potstill.scoring.tfidf import Tfidf, words


def test_probabilities_are_those_of_scikit_learn(data):
    texts = data.test["text"].tolist()
    stock = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(data.train["text"], data.train["label"])
    ours = Tfidf.fit(data.train, C=1.0, class_weight=None)
    np.testing.assert_allclose(ours.predict_proba(texts), stock.predict_proba(texts), atol=1e-3)
    assert (ours.predict_proba(texts).argmax(1) == data.test["label"]).mean() > 0.9


def test_words_are_those_of_scikit_learn_plus_scripts_without_spaces_and_emoji():
    stock = TfidfVectorizer().build_analyzer()
    for text in (string.printable, "Don't a_b I'm 3 x2 __ A", "Ça, déjà vu – “naïve”, я в Москве"):
        assert TfidfVectorizer(tokenizer=words, token_pattern=None).build_analyzer()(text) == stock(text)
    assert words("今天，好 ❤️👍🏽!") == ["今", "天", "好", "❤", "👍"]


@pytest.mark.parametrize("classes", [2, 3])
def test_a_saved_model_predicts_the_same(data, tmp_path, classes):
    train = data.train[data.train["label"] < classes]
    model = Tfidf.fit(train, C=10.0, class_weight=None)
    model.save(tmp_path / "tfidf")
    texts = [*data.test["text"], "", "never seen"]
    again = Tfidf.load(tmp_path / "tfidf")
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))
    assert again.parameters == model.parameters
    assert model.predict_proba(texts).shape == (len(texts), classes)


@pytest.mark.parametrize("name", ["vocabulary.json", "model.safetensors"])
def test_the_error_names_a_damaged_file(data, tmp_path, name):
    Tfidf.fit(data.train, C=1.0, class_weight=None).save(tmp_path / "tfidf")
    (tmp_path / "tfidf" / name).write_bytes(b"\x80")
    with pytest.raises(PotstillError, match="tfidf"):
        Tfidf.load(tmp_path / "tfidf")


def test_tfidf_has_a_regression_per_label(mixed, tmp_path):
    model = Tfidf.fit(mixed.train, C=10.0, class_weight=None)
    texts = mixed.test["text"].tolist()
    assert accuracy(model.predict_proba(texts), mixed.targets("test"), threshold=0.5) > 0.9
    model.save(tmp_path / "tfidf")
    again = Tfidf.load(tmp_path / "tfidf")
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))
    assert again.parameters == model.parameters


def test_tfidf_takes_a_label_that_every_text_has(mixed):
    train = mixed.train.assign(label=[[*ids, 3] for ids in mixed.train["label"]])
    assert Tfidf.fit(train, C=1.0, class_weight=None).predict_proba(["i feel happy"])[0, 3] > 0.99
